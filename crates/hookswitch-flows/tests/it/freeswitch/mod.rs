//! Calls as a FreeSWITCH tells of them over its event socket.

mod beside_sip;
mod calls;
mod moves;
mod properties;
mod services;
mod tenants;
