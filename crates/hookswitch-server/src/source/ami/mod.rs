//! Manager connections to Asterisks.

mod inventory;
mod login;
mod talk;

use std::sync::Arc;

use hookswitch_model::AccountId;
use tokio::sync::watch;

pub(crate) use self::inventory::Inventory;
use self::talk::Manager;
use super::switch::{Feed, Place, keep};
use crate::config::AmiSource;

/// Told what a switch says of its own phones, mailboxes, queues and parking lots, and of whose account they are.
pub(crate) type Found = Arc<dyn Fn(&str, AccountId, Inventory) + Send + Sync>;

/// Keeps a manager connection until told to stop.
pub(crate) async fn run(
    config: AmiSource,
    account: AccountId,
    place: Place,
    feed: Feed,
    found: Found,
    stop: watch::Receiver<bool>,
) {
    let talk = || {
        let (name, found) = (config.name.clone(), found.clone());
        Manager::new(config.clone(), Box::new(move |inventory| found(&name, account, inventory)))
    };
    keep(place, feed, talk, stop).await;
}
