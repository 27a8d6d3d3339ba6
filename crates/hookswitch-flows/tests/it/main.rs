//! Call flows and what is told of them; properties that hold for all of them.

mod ari;
mod asterisk;
mod calls;
mod catalogue;
mod contract;
mod endings;
mod forged;
mod forks;
mod forwarding;
mod freeswitch;
mod hold;
mod joining;
mod parking;
mod pickups;
mod properties;
mod proxies;
mod rfc3665;
mod rfc5359;
mod services;
mod strays;
mod switches;
mod tenants;
mod timers;
mod transfers;
