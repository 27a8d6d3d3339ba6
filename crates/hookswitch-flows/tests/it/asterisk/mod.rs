//! Calls as an Asterisk tells of them over its manager.

mod beside_sip;
mod calls;
mod moves;
mod numbers;
mod properties;
mod services;
mod targets;
