//! Running server: from what comes in to what is delivered, and who may do what.
//!
//! Start at [`run`], which starts the parts in their order. What comes in by a `source` goes through the `intake` to the
//! machine (`run`), which derives events and hands both to the store; `deliver` reads the log and posts `webhook`s,
//! `websocket` writes to WebSockets, `redelivery` sends again what is asked for. `subscriptions` and `auth` say who hears
//! and who may ask; a node among others is in `cluster`. What answers HTTP is given by the program, as [`Http`].

pub mod auth;
mod backoff;
pub mod call_changes;
pub mod clock;
pub mod cluster;
pub mod config;
mod connection_limits;
pub mod control;
mod deliver;
pub mod derivation;
pub mod escape;
pub mod health;
pub mod intake;
mod listener;
pub mod process;
pub mod rates;
pub mod redelivery;
mod repeated;
pub mod rights;
mod run;
pub mod scans;
pub mod secret;
mod server;
pub mod source;
pub mod source_counts;
pub mod subscriptions;
pub mod telemetry;
pub mod webhook;
pub mod websocket;

pub use self::listener::{ClientAddress, Traffic};
pub use self::run::default_account;
pub use self::server::{Http, Parts, Profile, Reloaded, Sockets, run, serve, settings};
