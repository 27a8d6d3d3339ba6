//! Tests of the whole product: real messages and files in, events and output out.

mod calls;
mod catalogue;
mod commands;
mod forks;
mod forwarding;
mod hold;
mod ladder;
mod parking;
mod pickups;
mod properties;
mod proxies;
mod recordings;
mod rfc3665;
mod rfc5359;
mod services;
mod strays;
mod switches;
mod tenants;
mod transfers;
