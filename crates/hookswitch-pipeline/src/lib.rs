//! From what phone systems send to events, without IO.
//!
//! [`Pipeline`] takes SIP messages, what switches tell, posted signals and time, and gives events. It is
//! [`Sources`], which go from inputs to signals, and the [`Engine`](hookswitch_core::engine::Engine), which
//! goes from signals to events; a replay runs the two halves on threads of their own. Server, replay, tests,
//! benches and fuzz targets all use it, so that there is one way from an input to an event.
//!
//! Reads no clock, opens nothing and draws no random numbers. All state is plain data: it can be saved
//! between two inputs and read again, and goes on as if nothing had been.

#![warn(clippy::iter_over_hash_type, reason = "the order of a hash map differs from run to run")]

mod doubles;
mod pipeline;
mod sources;

pub use hookswitch_signal::adapters::Switch;
pub use pipeline::Pipeline;
pub use sources::{Clocks, Sources, SwitchSource, UnknownSource};
