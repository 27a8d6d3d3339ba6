//! The Asterisk Manager Interface: what a switch says of its channels, translated into signals.
//!
//! [`Frames`] cuts a connection into messages, [`Message`] reads one, borrowed from its bytes, and
//! [`AmiTracker`] follows the channels of one Asterisk and tells what happens to them. What was written
//! down of a connection with its times is read by [`crate::capture`].
//!
//! Foreign words (`Uniqueid`, `Linkedid`, `Exten`) are Asterisk's own.

mod action;
mod adapter;
mod anonymise;
mod call;
mod cause;
mod channel;
mod dial;
mod framing;
mod inventory;
mod listing;
mod login;
mod message;
mod moves;
mod protocol;
mod service;
mod text;
mod tracker;

pub(crate) use adapter::Ami;
pub use framing::{Frames, LINE_BYTES_MAX, MESSAGE_BYTES_MAX};
pub use message::Message;
pub use tracker::AmiTracker;

/// The lines of a message, as keys and values without the spaces around them.
fn lines(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    message.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
    })
}
