//! Calls as an Asterisk tells of them over its manager.

mod calls;
mod moves;
mod properties;
mod services;
mod story;
