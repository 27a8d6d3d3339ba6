//! A connection that is kept: made again whenever it is lost.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::{Feed, Frames, Line, Place};
use crate::backoff::Backoff;
use crate::clock;

/// The waits before a connection is made again. They begin anew with each login, for calls that begin and end
/// while there is no connection are lost: a switch that lets nobody in is asked less and less often, one that
/// was restarted several times is not.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(25));

/// What is said on one connection to a switch, in the words of the switch.
pub(crate) trait Talk: Send {
    type Frames: Frames;

    /// What the switch, and a connection to it, are called in the log.
    const SWITCH: &'static str;
    const CONNECTION: &'static str;

    /// Logs in, so that what happens from then on is told.
    ///
    /// # Errors
    /// If the switch refuses, or is none.
    fn log_in(&mut self, line: &mut Line<Self::Frames>) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Looks at a message; appends what of it is for the machine, and says whether there is anything.
    ///
    /// # Errors
    /// If the switch says that the connection ends.
    fn take(&mut self, message: &[u8], out: &mut Vec<u8>) -> anyhow::Result<bool>;

    /// What is to be sent: at first what asks for all that goes on.
    ///
    /// # Errors
    /// If it cannot be said in one line.
    fn asks(&mut self) -> anyhow::Result<String>;

    /// Nothing need have been heard for some time; what is asked next shows whether the switch is there.
    fn asks_for_life(&mut self);
}

/// Keeps a connection until told to stop, or that its source is gone (`stop` is dropped); `talk` begins each.
pub(crate) async fn keep<T: Talk>(
    place: Place,
    feed: Feed,
    talk: impl Fn() -> T + Send,
    mut stop: watch::Receiver<bool>,
) {
    let mut backoff = RECONNECT;
    feed.count.set_connected(false);
    loop {
        let (mut feed, mut talk, mut is_up) = (feed.another(), talk(), false);
        let ended = tokio::select! {
            ended = follow(&place, &mut feed, &mut talk, &mut is_up) => Some(ended),
            _ = stop.wait_for(|&stop| stop) => None,
        };
        if is_up {
            feed.counters.up.dec();
            feed.count.set_connected(false);
        }
        let Some(ended) = ended else {
            // The source is gone, or the server stops; then nobody would take it.
            if is_up && stop.has_changed().is_err() {
                feed.is_lost().await;
            }
            return;
        };
        if is_up {
            feed.is_lost().await;
            backoff.succeeded();
        }
        let now = clock::now();
        let again = backoff.retry_at(now, fastrand::f64());
        let error = ended.err().map_or_else(String::new, |error| format!("{error:#}"));
        tracing::warn!(
            source = place.name,
            address = place.address,
            error,
            again_in_milliseconds = (again - now).as_millis() as u64,
            "there is no {}",
            T::CONNECTION
        );
        feed.counters.lost.inc();
        tokio::select! {
            () = sleep_until(again.into()) => {}
            _ = stop.wait_for(|&stop| stop) => return,
        }
    }
}

async fn follow<T: Talk>(
    place: &Place,
    feed: &mut Feed,
    talk: &mut T,
    is_up: &mut bool,
) -> anyhow::Result<()> {
    let mut line = Line::new(place.connect().await?);
    talk.log_in(&mut line).await?;
    *is_up = true;
    feed.counters.up.inc();
    feed.count.set_connected(true);
    feed.is_up();
    tracing::info!(source = place.name, address = place.address, "logged in to the {}", T::SWITCH);
    line.follow(talk, feed).await
}
