//! Connections to switches that report their own calls, whatever they speak: made, kept, and made again.

mod callers;
mod carrier;
mod conversation;
mod endpoint;
mod input_buffer;
mod reconnect;
mod trial;

pub(crate) use self::callers::{Allowed, Callers};
use self::carrier::Carrier;
use self::conversation::{Stream, carry, cut_log_in, follow};
pub(crate) use self::endpoint::SwitchEndpoint;
pub(crate) use self::input_buffer::InputBuffer;
use self::reconnect::refused;
pub(crate) use self::reconnect::{Found, KeptSource, run_with_reconnect};
pub use self::trial::try_connection;
