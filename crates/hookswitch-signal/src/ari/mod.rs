//! The Asterisk REST Interface (ARI): the events of its WebSocket, translated into signals.
//!
//! ARI and the manager report the same channels of the same Asterisk, so there is one set of rules: each event is
//! written as the messages in which the manager would say it, which [`crate::ami`] tracks. What ARI leaves out is
//! concluded here from what it says instead.
//!
//! Foreign words (`dialplan`, `bridge_class`, `tech_cause`) are Asterisk's own.

mod adapter;
mod anonymise;
mod event;
mod manager;
mod protocol;
mod tracker;

pub(crate) use adapter::Ari;
pub use tracker::AriTracker;
