//! Where messages come from.

pub(crate) mod ami;
pub mod batch;
pub mod captures;
mod compressed;
pub(crate) mod esl;
pub(crate) mod hep;
pub mod replay;
pub(crate) mod switch;
pub(crate) mod switches;
