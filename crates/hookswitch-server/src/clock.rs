//! The clocks of the store, which all of the program goes by.

pub use hookswitch_store::clock::{advance, ahead, follow_moves, instant_of, now, steady, steady_at, wall};
