//! Tests of the whole product: real messages and files in, events and output out.

mod asterisk;
mod calls;
mod catalogue;
mod commands;
#[path = "../dense/mod.rs"]
mod dense;
mod endings;
mod forged;
mod forks;
mod forwarding;
mod freeswitch;
mod hold;
mod joining;
mod ladder;
mod manual;
mod parking;
mod pickups;
mod properties;
mod proxies;
mod recordings;
mod rfc3665;
mod rfc5359;
mod server;
mod services;
mod strays;
mod switches;
mod tenants;
mod timers;
mod told;
mod transfers;

/// How many cases a test takes: few by default, all when the environment says
/// `HOOKSWITCH_TEST_SIZE=full`, as `make robustness` does.
fn size(few: usize, full: usize) -> usize {
    if std::env::var_os("HOOKSWITCH_TEST_SIZE").is_some_and(|size| size == "full") { full } else { few }
}
