//! From bytes to signals: what a capture or a switch says, translated into the words of the model.
//!
//! Opens no socket, reads no clock and keeps no rules about sessions. A capture goes through
//! [`capture`], each message through [`sip`], and the calls are followed by [`tracker`]. Signals that are
//! posted go through [`ingest`], what an Asterisk says of itself through [`ami`], and a FreeSWITCH through [`esl`],
//! which [`switch`] makes one and [`adapters`] lists; [`pairing`] brings together what a switch and its SIP tell of one call.

#![warn(clippy::iter_over_hash_type, reason = "the order of a hash map differs from run to run")]

pub mod adapters;
pub mod ami;
pub mod ari;
mod byte_set;
pub mod capture;
mod cause;
mod deferred;
pub mod esl;
pub mod ingest;
mod keywords;
mod marks;
pub mod pairing;
pub mod sip;
pub mod switch;
pub mod tracker;
