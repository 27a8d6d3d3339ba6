//! From bytes to signals: what a capture or a switch says, translated into the words of the model.

pub mod capture;
pub mod sip;
