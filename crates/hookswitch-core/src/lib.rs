//! From signals to notifications: the session machine, filters and the published JSON.
//!
//! Nothing here does IO, reads a clock or knows a protocol. Signals and time are arguments, so the
//! same signals always give the same events. Start at [`engine::Engine`], which is driven by
//! `handle_*` and `poll_*`; `session` has the
//! story of a call and knows nothing of the engine.

#![warn(clippy::iter_over_hash_type, reason = "the order of a hash map differs from run to run")]

pub mod audience;
pub mod call_log;
pub mod delivery;
pub mod directory;
pub mod engine;
pub mod filter;
pub mod notification;
mod policy;
pub mod presence;
mod session;
pub mod subscription;
pub mod websocket;

use hookswitch_model::{hash, number};
