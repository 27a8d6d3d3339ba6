//! The event socket of FreeSWITCH (ESL): what a switch says of its channels, translated into signals.
//!
//! [`Frames`] cuts a connection into messages, [`Message`] reads one, borrowed from its bytes where it can,
//! and [`EslTracker`] follows the channels of one FreeSWITCH and tells what happens to them. What was written
//! down of a connection with its times is read by [`crate::capture`].
//!
//! Foreign words (`Unique-ID`, `Hangup-Cause`, `transfer_to`) are FreeSWITCH's own.

mod action;
mod adapter;
mod anonymise;
mod call;
mod call_protocol;
mod cause;
mod channel;
mod command;
mod framing;
pub mod listing;
mod message;
mod moves;
mod names;
mod object;
mod protocol;
mod service;
mod tracker;

pub(crate) use adapter::Esl;
pub use framing::{Frames, MESSAGE_BYTES_MAX};
pub use message::{Message, lost_channel};
pub use tracker::EslTracker;
