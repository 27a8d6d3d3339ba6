//! Live HEP: who may send, and what comes over UDP, TCP and TLS.

mod access;
mod frames;
pub(crate) mod stream;
pub(crate) mod udp;

pub(crate) use self::access::{Access, Gate};
pub(crate) use self::frames::{Frames, Item, Pool};
