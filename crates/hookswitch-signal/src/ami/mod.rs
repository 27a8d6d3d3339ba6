//! The Asterisk Manager Interface: what a switch says of its channels, translated into signals.
//!
//! [`Frames`] cuts a connection into messages, [`Message`] reads one, borrowed from its bytes, and
//! [`Follower`] follows the channels of one Asterisk and tells what happens to them. What was written
//! down of a connection with its times is read by [`crate::capture`].
//!
//! Foreign words (`Uniqueid`, `Linkedid`, `Exten`) are Asterisk's own.

mod call;
mod cause;
mod channel;
mod dial;
mod follower;
mod framing;
mod listing;
mod message;
mod moves;
mod service;
mod text;

pub use follower::Follower;
pub use framing::{Frames, LINE_BYTES_MAX, MESSAGE_BYTES_MAX};
pub use message::Message;
