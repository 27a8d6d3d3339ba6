//! Tests of the whole product: real messages and files in, events and output out.

mod cases;
mod claims;
mod commands;
mod manual;
mod recordings;
mod server;
