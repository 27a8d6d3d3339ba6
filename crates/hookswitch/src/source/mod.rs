//! Where messages come from.

pub(crate) mod captures;
