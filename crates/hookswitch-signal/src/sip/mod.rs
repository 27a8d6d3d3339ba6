//! The SIP reader.
