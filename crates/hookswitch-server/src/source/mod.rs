//! Sources of messages.

pub mod batch;
pub mod captures;
mod compressed;
pub(crate) mod hep;
pub(crate) mod inventory;
pub mod replay;
pub(crate) mod switch;
pub(crate) mod switches;

pub use self::switch::try_connection;
