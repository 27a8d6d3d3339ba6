//! Where messages come from.

pub(crate) mod batch;
pub(crate) mod captures;
mod compressed;
pub(crate) mod count;
pub(crate) mod hep;
pub(crate) mod inventory;
pub(crate) mod switch;
pub(crate) mod switches;
