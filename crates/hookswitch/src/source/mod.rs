//! Where messages come from.

pub(crate) mod ami;
pub(crate) mod batch;
pub(crate) mod captures;
pub(crate) mod count;
pub(crate) mod hep;
