//! Hookswitch: Account Telephony Sessions events from the call signalling that phone systems
//! already emit.
//!
//! This crate holds all that touches the world. Start at [`cli`]; what the commands do with
//! captures is in [`source`].

mod cli;
mod source;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
