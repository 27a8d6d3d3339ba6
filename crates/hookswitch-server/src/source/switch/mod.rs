//! Connections to switches that report their own calls, whatever they speak: made, kept, and made again.

mod callers;
mod carrier;
mod feed;
mod kept;
mod line;
mod place;

pub(crate) use self::callers::{Allowed, Callers};
use self::carrier::Carrier;
pub(crate) use self::feed::InputBuffer;
use self::kept::refused;
pub(crate) use self::kept::{Found, KeptSource, run_with_reconnect};
use self::line::{Stream, carry, follow};
pub(crate) use self::place::SwitchEndpoint;
