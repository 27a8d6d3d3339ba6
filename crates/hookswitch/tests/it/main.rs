//! Tests of the whole product: real messages and files in, events and output out.

mod calls;
mod forks;
mod hold;
mod ladder;
mod properties;
mod proxies;
mod strays;
mod switches;
