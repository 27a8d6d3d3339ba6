//! The event socket of FreeSWITCH (ESL): what a switch says of its channels, translated into signals.
//!
//! [`Frames`] cuts a connection into messages, [`Message`] reads one, borrowed from its bytes where it can,
//! and [`Follower`] follows the channels of one FreeSWITCH and tells what happens to them. What was written
//! down of a connection with its times is read by [`crate::capture`].
//!
//! Foreign words (`Unique-ID`, `Hangup-Cause`, `transfer_to`) are FreeSWITCH's own.

mod call;
mod cause;
mod channel;
mod follower;
mod framing;
pub mod listing;
mod message;
mod moves;
mod object;
mod service;

pub use follower::Follower;
pub use framing::{Frames, MESSAGE_BYTES_MAX};
pub use message::{Message, lost_channel};
