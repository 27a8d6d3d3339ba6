//! The clocks of the store, which all of the program goes by.

pub use hookswitch_store::clock::{instant_of, now, steady, steady_at, wall};
