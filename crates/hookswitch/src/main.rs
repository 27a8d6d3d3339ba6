//! Hookswitch: Account Telephony Sessions events from the call signalling that phone systems
//! already emit.
//!
//! This crate holds all that touches the world. Start at [`cli`]; what the commands do with
//! captures is in [`source`].

mod api;
mod backoff;
mod capture;
mod cli;
mod clock;
mod cluster;
mod config;
mod deliver;
mod derivation;
mod explain;
mod gateway;
mod health;
mod rates;
mod redelivery;
mod repeated;
mod run;
mod secret;
mod server;
mod shown;
mod source;
mod subscriptions;
mod telemetry;
mod webhook;

use std::process::ExitCode;

/// Signals are made on one thread and dropped on another, which the C library's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
