//! Calls as a FreeSWITCH tells of them over its event socket.

mod beside_sip;
mod calls;
mod confirmation;
mod moves;
mod numbers;
mod originated;
mod properties;
mod recorded;
mod restarts;
mod rooms;
mod scripts;
mod services;
mod tenants;
mod unlisted;
