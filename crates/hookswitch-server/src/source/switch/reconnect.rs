//! A connection that is kept: made again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::AccountId;
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::switch::{Inventory, ProtocolEvent, SwitchConnection};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::{InputBuffer, SwitchEndpoint, carry, follow};
use crate::backoff::Backoff;
use crate::clock;
use crate::config::SwitchSource;
use crate::control::{ControlLine, Placement};

/// The waits before a connection is made again. They begin anew with each login, for calls that begin and end
/// while there is no connection are lost: a switch that lets nobody in is asked less and less often, one that
/// was restarted several times is not.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(25));

/// The waits while a switch that was connected to may be starting again, and how long that is taken to last: calls
/// begin as soon as it listens.
const RESTART: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(1));
const RESTART_MAX: Duration = Duration::from_secs(120);

/// Told what a switch says it has, and of whose account that is.
pub(crate) type Found = Arc<dyn Fn(&str, AccountId, Inventory) + Send + Sync>;

/// A source whose connection is kept.
pub(crate) struct KeptSource {
    pub(crate) switch: Switch,
    pub(crate) settings: SwitchSource,
    pub(crate) account: AccountId,
    pub(crate) endpoint: Arc<SwitchEndpoint>,
    /// The queue of what its switch is asked to do, if its calls are acted on.
    pub(crate) control: Option<Arc<ControlLine>>,
}

/// Keeps a connection until told to stop, or that its source is gone (`stop` is dropped).
pub(crate) async fn run_with_reconnect(
    source: KeptSource,
    input: InputBuffer,
    found: Found,
    mut stop: watch::Receiver<bool>,
) {
    let (endpoint, words) = (&source.endpoint, source.switch.adapter().words());
    let (mut backoff, mut quick) = (RECONNECT, RESTART);
    let mut quick_until = None;
    input.count.set_connected(false);
    // Until it is made, what agents see of the switch goes its own way.
    input.another().is_lost().await;
    let lost_after = source.settings.lost_after.0;
    // When its calls end as lost, until that is said.
    let mut ends_at = Some(clock::now() + lost_after);
    loop {
        let (mut input, mut is_up) = (input.another(), false);
        let ended = tokio::select! {
            ended = connect(&source, &mut input, &found, &mut is_up) => Some(ended),
            _ = stop.wait_for(|&stop| stop) => None,
        };
        if is_up {
            input.counters.up.dec();
            input.count.set_connected(false);
        }
        let Some(ended) = ended else {
            // The source is gone, or the server stops; then nobody would take it.
            if is_up && stop.has_changed().is_err() {
                input.is_lost().await;
            }
            return;
        };
        if is_up {
            input.is_lost().await;
            backoff.succeeded();
            quick.succeeded();
            quick_until = Some(clock::now() + RESTART_MAX);
            ends_at = Some(clock::now() + lost_after);
        }
        let now = clock::now();
        if ends_at.take_if(|at| *at <= now).is_some() {
            tracing::warn!(
                source = endpoint.name,
                lost_after = ?lost_after,
                "there was no {} for so long that its calls have ended as lost",
                words.connection
            );
        }
        let waits = if quick_until.is_some_and(|until| now < until) { &mut quick } else { &mut backoff };
        let again = waits.retry_at(now, fastrand::f64());
        let error = ended.err().map_or_else(String::new, |error| format!("{error:#}"));
        tracing::warn!(
            source = endpoint.name,
            address = endpoint.address,
            error,
            again_in_milliseconds = (again - now).as_millis() as u64,
            "there is no {}",
            words.connection
        );
        input.counters.lost.inc();
        tokio::select! {
            () = sleep_until(again.into()) => {}
            _ = stop.wait_for(|&stop| stop) => return,
        }
    }
}

/// Makes the connection once, and carries it out until it ends; `is_up` says whether the switch has let us in.
async fn connect(
    source: &KeptSource,
    input: &mut InputBuffer,
    found: &Found,
    is_up: &mut bool,
) -> anyhow::Result<()> {
    let KeptSource { switch, settings, account, endpoint, control } = source;
    let words = switch.adapter().words();
    let mut connection = SwitchConnection::new(switch.adapter().connect(&settings.settings())?);
    let stream = endpoint.connect().await?;
    let mut carrier = carry(stream, endpoint, &mut connection).await?;
    let handle = |event, input: &mut InputBuffer| match event {
        ProtocolEvent::LoggedIn => {
            *is_up = true;
            input.counters.up.inc();
            input.count.set_connected(true);
            input.is_up();
            tracing::info!(
                source = endpoint.name,
                address = endpoint.address,
                "logged in to the {}",
                words.peer
            );
        }
        ProtocolEvent::Inventory(inventory) => {
            input.pass_over();
            found(&endpoint.name, *account, *inventory);
        }
        event => {
            input.pass_over();
            refused(&endpoint.name, words.peer, event);
        }
    };
    let mut orders = Placement::of(control.as_ref());
    follow(&mut carrier, Some(endpoint), &mut connection, (input, &mut orders), handle).await
}

/// Logs that a switch does not answer a question.
pub(super) fn refused(source: &str, peer: &str, event: ProtocolEvent) {
    let ProtocolEvent::Refused(refusal) = event else { return };
    let (question, text) = (refusal.question, refusal.text);
    if refusal.hint.is_empty() {
        tracing::debug!(source, question, text, "the {peer} does not answer");
    } else {
        tracing::warn!(source, question, text, "{}", refusal.hint);
    }
}
