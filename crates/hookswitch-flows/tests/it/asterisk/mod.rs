//! Calls as an Asterisk tells of them over its manager.

mod applications;
mod beside_sip;
mod calls;
mod instants;
mod moves;
mod numbers;
mod pipes;
mod properties;
mod recorded;
mod services;
mod targets;
