//! Hookswitch: Account Telephony Sessions events from the call signalling that phone systems
//! already emit.
//!
//! This crate is the program: commands, help, terminal output. Start at `cli`; what runs is in
//! `hookswitch_server`, and what answers HTTP in `hookswitch_api`.

mod cli;

use std::process::ExitCode;

/// Signals are made on one thread and dropped on another, which the C library's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
