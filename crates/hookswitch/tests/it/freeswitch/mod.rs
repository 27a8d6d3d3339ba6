//! Calls as a FreeSWITCH tells of them over its event socket.

mod calls;
mod moves;
mod properties;
mod services;
pub(crate) mod story;
