//! Live HEP: who may send, and what comes over UDP, TCP and TLS.

pub(crate) mod stream;
pub(crate) mod udp;
