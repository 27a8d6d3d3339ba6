//! Event sockets of FreeSWITCHes: connected to, or connecting for each call.

mod callers;
mod command;
mod socket;

use tokio::sync::watch;

pub(crate) use self::callers::{Allowed, Callers};
use self::socket::Socket;
use super::switch::{Feed, Place, keep};
use crate::config::EslSource;

/// Keeps the connection to an event socket until told to stop.
pub(crate) async fn run(config: EslSource, place: Place, feed: Feed, stop: watch::Receiver<bool>) {
    keep(place, feed, || Socket::new(config.clone()), stop).await;
}
