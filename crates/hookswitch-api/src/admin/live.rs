//! `GET /admin/v1/live`: calls as they change, and how the server is doing, as server-sent events.
//!
//! What is told of a call is how it stands, so that a reader that is slow is told of the newest state and of no more:
//! nothing is kept for it here but how far it has come in the log.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hookswitch_model::TelephonySessionId;
use hookswitch_store::Health;
use serde::Serialize;
use tokio::sync::mpsc;

use super::access::{Access, Reader};
use super::sessions::is_true;
use super::status::sees_whole;
use crate::explain::SessionSummary;
use crate::{Api, Problem, openapi};

/// Number of events that are read from the log at once.
const READ_EVENTS: usize = 500;

/// Interval at which a reader is told of calls at most; what changes meanwhile is told together.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Interval between checks whether the access still holds.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Time that a reader may take nothing before it is given up.
const STUCK_MAX: Duration = Duration::from_secs(60);

/// Number of open calls that are told in one piece to a reader that asks for all.
const OPEN_AT_ONCE: usize = 100;

/// The most open calls that such a reader is told of at its begin, the newest.
const OPEN_MAX: usize = 5_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// State of the server in short.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pulse<'a> {
    open_calls: usize,
    is_writable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<&'a hookswitch_server::rates::Sample>,
}

/// Streams calls as they change (`call`), and how the server is doing (`status`). `Last-Event-ID` goes on from there;
/// where that is too long ago, `reload` says that the list of calls has to be read again. With `open=true` the calls
/// that go on come first (`open`, arrays of them), the newest 5,000.
#[utoipa::path(get, path = "/admin/v1/live", tag = "Console", security(("admin" = [])),
    params(("open" = Option<bool>, Query, description = "Whether the calls that go on come first")),
    responses((status = 200, description = "Events; the data of each `call` is a SessionSummary",
        content_type = "text/event-stream"), openapi::Refusals))]
pub(crate) async fn live(
    State(api): State<Api>,
    Reader(access): Reader,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wants_open = is_true(query.as_deref(), "open");
    let end = *api.calls.position().borrow();
    let position = match headers.get(LAST_EVENT_ID).map(HeaderValue::to_str) {
        None => end,
        // A log that was replaced may be shorter.
        Some(last) => last.ok().and_then(|last| last.parse().ok()).map_or(end, |last: u64| last.min(end)),
    };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(Feed { api, access, position, wants_open, sender }.run());
    let pieces = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (Ok::<Bytes, Infallible>(piece), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// One reader, and how far it has come.
struct Feed {
    api: Api,
    access: Access,
    position: u64,
    wants_open: bool,
    sender: mpsc::Sender<Bytes>,
}

impl Feed {
    /// Tells until nobody reads, the access ends, or the server stops.
    async fn run(mut self) {
        let mut end = self.api.calls.position();
        let mut newest = self.api.rates.newest();
        let mut stop = self.api.gateway.follow_stop();
        let mut ends = self.api.oauth.follow_ends();
        let mut check = tokio::time::interval(CHECK_EVERY);
        check.reset();
        // At once, so that the reader knows where it is.
        let mut text = format!("retry: 1000\n\nid: {}\nevent: status\n", self.position);
        if !self.write_pulse(&mut text) || !self.send(text).await {
            return;
        }
        if self.wants_open && !self.send_open().await {
            return;
        }
        ends.mark_changed();
        loop {
            if ends.has_changed().unwrap_or_default() {
                ends.borrow_and_update();
                check.reset_immediately();
            }
            let position = self.position;
            let more = async { end.wait_for(|&end| end > position).await.map(|end| *end) };
            let stopped = async { stop.wait_for(|&stop| stop).await.is_ok() };
            let text = tokio::select! {
                biased;
                changed = ends.changed() => match changed {
                    Ok(()) => self.renew().await,
                    Err(_) => return,
                },
                _ = check.tick() => self.renew().await,
                more = more => match more {
                    Ok(end) => self.changed_calls(end).await,
                    Err(_) => return,
                },
                Ok(()) = newest.changed() => {
                    let mut text = "event: status\n".to_owned();
                    self.write_pulse(&mut text).then_some(text)
                }
                () = self.sender.closed() => return,
                _ = stopped => return,
            };
            let Some(text) = text else { return };
            if text.is_empty() {
                continue;
            }
            if !self.send(text).await {
                return;
            }
            tokio::time::sleep(TELL_EVERY).await;
        }
    }

    /// Looks whether the access still holds; nothing more is told without.
    async fn renew(&mut self) -> Option<String> {
        self.access = self.access.renewed(&self.api).await.ok()?;
        Some(String::new())
    }

    /// Writes how the calls stand that have changed up to a position of the log, or up to where it was read at once.
    async fn changed_calls(&mut self, end: u64) -> Option<String> {
        let read = self.api.store.events_after(self.position, READ_EVENTS).await.ok()?;
        let mut changed: BTreeMap<TelephonySessionId, u64> = BTreeMap::new();
        for logged in read.iter().take_while(|logged| logged.position <= end) {
            self.position = logged.position;
            if self.access.sees(logged.event.session.account) {
                changed.insert(logged.event.session.id, logged.position);
            }
        }
        if read.is_empty() {
            self.position = end;
        }
        let mut order: Vec<_> = changed.into_iter().map(|(id, position)| (position, id)).collect();
        order.sort_unstable();
        let mut text = String::new();
        let mut is_gone = false;
        for (_, id) in order {
            match self.api.calls.get(id).ok()? {
                Some(call) => {
                    let json = serde_json::to_string(&SessionSummary::of_call(&call)).ok()?;
                    text.push_str("event: call\ndata: ");
                    text.push_str(&json);
                    text.push_str("\n\n");
                }
                None => is_gone = true,
            }
        }
        if is_gone {
            text.push_str("event: reload\ndata: {}\n\n");
        }
        // An id alone dispatches nothing and is kept; it comes last, so that a cut in between repeats all.
        let _ = write!(text, "id: {}\n: \n\n", self.position); // to memory
        Some(text)
    }

    /// Tells of the calls that go on; whether the reader has taken them.
    async fn send_open(&self) -> bool {
        let Ok(open) = self.api.calls.open(self.access.account, OPEN_MAX) else { return true };
        for calls in open.chunks(OPEN_AT_ONCE) {
            let calls: Vec<_> = calls.iter().map(SessionSummary::of_call).collect();
            let Ok(json) = serde_json::to_string(&calls) else { return false };
            if !self.send(format!("event: open\ndata: {json}\n\n")).await {
                return false;
            }
        }
        true
    }

    fn write_pulse(&self, text: &mut String) -> bool {
        let whole = sees_whole(&self.api, &self.access);
        let sample: Arc<_> = self.api.rates.newest().borrow().clone();
        let pulse = Pulse {
            open_calls: self.api.calls.count(self.access.account).unwrap_or_default(),
            is_writable: self.api.store.health() == Health::Good,
            sample: whole.then_some(&*sample),
        };
        let Ok(json) = serde_json::to_string(&pulse) else { return false };
        text.push_str("data: ");
        text.push_str(&json);
        text.push_str("\n\n");
        true
    }

    async fn send(&self, text: String) -> bool {
        matches!(tokio::time::timeout(STUCK_MAX, self.sender.send(text.into())).await, Ok(Ok(())))
    }
}
