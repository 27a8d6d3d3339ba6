//! Deliveries of one event to one subscription: why or why not, and each attempt.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookswitch_core::delivery::Stage;
use hookswitch_core::filter::EventFilter;
use hookswitch_core::subscription::{Blacklisting, SubscriptionStatus, Transport};
use hookswitch_model::{Logged, SubscriptionId, TelephonySessionId};
use hookswitch_server::subscriptions::Stored;
use hookswitch_store::{self as store, AttemptOutcome, Reader, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

/// Fate of an event for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    /// None of the filters lets the event pass.
    NotMatched,
    /// The subscription was created after it.
    Before,
    /// The subscription had ended before it.
    After,
    /// Its turn has not come.
    Queued,
    /// An attempt is under way.
    Sending,
    /// The last attempt failed, and there will be another.
    Waiting,
    /// The receiver has taken it.
    Delivered,
    /// It was too old to be of use.
    Expired,
    /// The subscription ended before it could be delivered.
    Dropped,
    /// It was sent over a WebSocket.
    Streamed,
    /// Nothing of it was written down.
    Unknown,
}

/// Delivery of an event to a subscription.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Delivery {
    pub(crate) subscription_id: String,
    pub(crate) event_id: String,
    pub position: u64,
    /// `WebHook` or `WebSocket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    /// Set if one of the filters lets the event pass; missing when they are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<bool>,
    /// Verdict of each filter on the event.
    pub why: Vec<Verdict>,
    pub state: State,
    /// The state in a sentence.
    pub because: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_time: Option<String>,
    /// Time when it was sent over a WebSocket: between these times.
    #[serde(skip_serializing_if = "Option::is_none")]
    streamed: Option<Stretch>,
    pub attempts: Vec<AttemptBody>,
    #[serde(skip)]
    key: (SubscriptionId, TelephonySessionId),
}

/// Verdict of a filter on an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    pub filter: String,
    pub(crate) matched: bool,
    /// The clause that the event does not pass, or all that it passes, such as
    /// `statusCode=Answered: the party is Proceeding`.
    pub(crate) clause: String,
}

/// A stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stretch {
    from: String,
    to: String,
}

/// An attempt to deliver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptBody {
    /// Counts from 1; again after a restart or a blacklisting.
    pub number: u32,
    pub time: String,
    pub(crate) duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `delivered`, `refused`, `timedOut`, `failed` or `gone`.
    pub(crate) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How the answer began: 1 KiB at most, as text, or as base64 when it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    answer_is_base64: bool,
    /// Set if it was made by a redelivery.
    pub(crate) is_replay: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redelivery_id: Option<String>,
    pub address: String,
}

impl AttemptBody {
    fn of(attempt: &store::Attempt) -> Self {
        let answer = &attempt.answer;
        // A text that was cut in the middle of a character is one all the same.
        let text = match std::str::from_utf8(answer) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&answer[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        Self {
            number: attempt.number,
            time: attempt.at.to_string(),
            duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            status: attempt.status,
            outcome: attempt.outcome.as_str(),
            error: attempt.error.as_deref().map(str::to_owned),
            answer: (!answer.is_empty()).then(|| text.map_or_else(|| STANDARD.encode(answer), str::to_owned)),
            answer_is_base64: text.is_none(),
            is_replay: attempt.redelivery.is_some(),
            redelivery_id: attempt.redelivery.as_deref().map(str::to_owned),
            address: attempt.address.to_string(),
        }
    }
}

impl Verdict {
    /// Returns what a filter for the calls of extensions says to an event and the change that it made.
    fn of_change(filter: &EventFilter, logged: &Logged) -> Self {
        let matched = filter.projection_of(&logged.event, logged.change.as_deref()).is_some();
        let found = if matched {
            "the event is such a change of the extension's calls"
        } else {
            "the event is no such change of the extension's calls, or of another's"
        };
        Self { filter: filter.to_string(), matched, clause: format!("{filter}: {found}") }
    }
}

impl Delivery {
    /// Returns what a subscription was told of an event. Behind `journal_from` attempts are written down.
    pub(super) fn of(
        logged: &Logged,
        one: &Stored,
        attempts: &[store::Attempt],
        journal_from: u64,
        reader: &Reader,
    ) -> Result<Self, StoreError> {
        let subscription = &one.kept.subscription;
        let why: Vec<Verdict> = subscription
            .filters
            .iter()
            .map(|filter| {
                if matches!(filter, EventFilter::Calls(_)) {
                    return Verdict::of_change(filter, logged);
                }
                let explanation = filter.explain(&logged.event);
                let (matched, clause) = (explanation.matched(), explanation.to_string());
                Verdict { filter: filter.to_string(), matched, clause }
            })
            .collect();
        let mut delivery = Self::bare(logged, subscription.id, attempts);
        delivery.transport = Some(subscription.transport.as_str());
        delivery.matched = Some(why.iter().any(|verdict| verdict.matched));
        delivery.why = why;
        delivery.judge(logged, one, attempts, journal_from, reader)?;
        Ok(delivery)
    }

    /// Returns what somebody was told who is not known any more, or is no subscription.
    pub(super) fn of_unknown(logged: &Logged, id: SubscriptionId, attempts: &[store::Attempt]) -> Self {
        let mut delivery = Self::bare(logged, id, attempts);
        let replayed = attempts.iter().all(|attempt| attempt.redelivery.is_some());
        delivery.set(
            if is_delivered(attempts) { State::Delivered } else { State::Unknown },
            if replayed {
                "a redelivery has sent it to an address of its own"
            } else {
                "the subscription is not known any more"
            },
        );
        delivery
    }

    fn bare(logged: &Logged, id: SubscriptionId, attempts: &[store::Attempt]) -> Self {
        let event = &logged.event;
        Self {
            subscription_id: id.to_string(),
            event_id: format!("{}:{}", event.session.id, event.sequence),
            position: logged.position,
            transport: None,
            matched: None,
            why: Vec::new(),
            state: State::Unknown,
            because: String::new(),
            next_attempt_time: None,
            streamed: None,
            attempts: attempts.iter().map(AttemptBody::of).collect(),
            key: (id, event.session.id),
        }
    }

    fn set(&mut self, state: State, because: impl Into<String>) {
        self.state = state;
        self.because = because.into();
    }

    /// Decides what became of it.
    fn judge(
        &mut self,
        logged: &Logged,
        one: &Stored,
        attempts: &[store::Attempt],
        journal_from: u64,
        reader: &Reader,
    ) -> Result<(), StoreError> {
        let (position, arrival) = (logged.position, logged.arrival);
        let subscription = &one.kept.subscription;
        if let Some(taken) = attempts.iter().find(|attempt| attempt.outcome == AttemptOutcome::Delivered) {
            let (status, millis) = (taken.status.unwrap_or_default(), taken.duration.as_millis());
            let how = if taken.redelivery.is_some() { "a redelivery" } else { "an attempt" };
            let said = format!("taken by {how} at {} with HTTP status {status} after {millis} ms", taken.at);
            self.set(State::Delivered, said);
            return Ok(());
        }
        let start = one.kept.start;
        if position <= start || (start == 0 && arrival < subscription.created) {
            let created = subscription.created;
            self.set(State::Before, format!("the subscription was created at {created}, after the event"));
            return Ok(());
        }
        if subscription.transport == Transport::WebSocket {
            return self.judge_stream(logged, one, reader);
        }
        let ended = one.ended.or(one.kept.expired.then_some(subscription.expires));
        let open = one.progress.as_ref().is_some_and(|progress| {
            progress.open.contains(&position) || (position > progress.read && self.matched == Some(true))
        });
        if let Some(ended) = ended
            && !open
        {
            if ended < arrival {
                self.set(State::After, format!("the subscription had ended at {ended}, before the event"));
                return Ok(());
            }
            if !attempts.is_empty() {
                let said = format!("the subscription ended at {ended}; {}", last_failure(attempts));
                self.set(State::Dropped, said);
                return Ok(());
            }
        }
        if open {
            if subscription.paused.is_some() {
                self.set(State::Waiting, "an operator has paused the subscription");
                return Ok(());
            }
            match &subscription.standing {
                SubscriptionStatus::Blacklisted(Blacklisting { since, reason, .. }) => {
                    let said = format!("the receiver is blacklisted since {since}: {reason}");
                    self.set(State::Waiting, said);
                }
                SubscriptionStatus::Active if attempts.is_empty() => {
                    self.set(State::Queued, "its turn has not come");
                }
                SubscriptionStatus::Active => {
                    self.set(State::Waiting, format!("it will be tried again; {}", last_failure(attempts)));
                }
            }
            return Ok(());
        }
        if self.matched == Some(false) && attempts.is_empty() {
            self.set_not_matched();
            if position <= one.kept.filters_from {
                self.because.push_str(" (the filters were changed after the event)");
            }
            return Ok(());
        }
        if !attempts.is_empty() {
            self.set(State::Expired, format!("given up as too old to be of use; {}", last_failure(attempts)));
        } else if position <= journal_from {
            self.set(State::Unknown, "what was done then was not written down by the version of then");
        } else if position <= one.kept.filters_from {
            self.set(
                State::Unknown,
                "the filters were changed after the event, and it was not sent before that",
            );
        } else if ended.is_some() {
            self.set(State::Dropped, "the subscription ended before its turn came");
        } else {
            self.set(State::Expired, "given up before the first attempt: it was too old to be of use");
        }
        Ok(())
    }

    fn judge_stream(&mut self, logged: &Logged, one: &Stored, reader: &Reader) -> Result<(), StoreError> {
        let (position, subscription) = (logged.position, &one.kept.subscription);
        if self.matched == Some(false) {
            self.set_not_matched();
            return Ok(());
        }
        let span = reader.span_at(subscription.id, position)?;
        match span {
            Some(span) if span.first <= position => {
                // It cannot have been sent before it came about.
                let from = span.from.max(logged.arrival).min(span.to);
                let said = if span.first == span.last {
                    format!("sent over the WebSocket at {}", span.to)
                } else {
                    format!("sent over the WebSocket between {from} and {}", span.to)
                };
                self.set(State::Streamed, said);
                self.streamed = Some(Stretch { from: from.to_string(), to: span.to.to_string() });
            }
            Some(_) => self.set(
                State::Dropped,
                "the client was away for more notifications than are kept for it, and this one was not sent",
            ),
            None => match one.ended {
                Some(ended) if ended < logged.arrival => {
                    self.set(State::After, format!("the connection had ended at {ended}, before the event"));
                }
                Some(ended) => self.set(
                    State::Dropped,
                    format!("the connection ended, and nobody came back for it until {ended}"),
                ),
                None => self.set(State::Queued, "the client is away, or does not take what it is sent"),
            },
        }
        Ok(())
    }

    fn set_not_matched(&mut self) {
        let mut said = String::new();
        for (index, verdict) in self.why.iter().enumerate() {
            let _ = write!(said, "{}{}", if index > 0 { "; " } else { "" }, verdict.clause);
        }
        self.set(State::NotMatched, said);
    }

    /// Returns `true` if there is something to say beside that a filter did not let the event pass.
    pub(super) fn is_told(&self) -> bool {
        !matches!(self.state, State::NotMatched | State::Before | State::After)
    }

    /// Returns what a running server can be asked about it, if it is not done.
    pub(super) fn unfinished(&self) -> Option<(SubscriptionId, TelephonySessionId, u64)> {
        let unfinished = matches!(self.state, State::Queued | State::Waiting);
        let asked = unfinished && self.transport == Some(Transport::WebHook.as_str());
        asked.then_some((self.key.0, self.key.1, self.position))
    }

    /// Takes over that the subscription is suspended at the moment, for a reason.
    pub(super) fn withhold(&mut self, reason: &str) {
        self.set(State::Waiting, format!("the subscription is suspended: {reason}"));
    }

    /// Takes over how far it has come in a running server.
    pub(super) fn refine(&mut self, stage: Stage) {
        match stage {
            Stage::Queued => {}
            Stage::Sending => self.set(State::Sending, "an attempt is under way"),
            Stage::Waiting(at) => {
                self.state = State::Waiting;
                self.next_attempt_time = Some(at.to_string());
                let _ = write!(self.because, "; the next attempt is made at {at}");
            }
        }
    }
}

fn is_delivered(attempts: &[store::Attempt]) -> bool {
    attempts.iter().any(|attempt| attempt.outcome == AttemptOutcome::Delivered)
}

/// Returns how the last attempt failed, for people.
fn last_failure(attempts: &[store::Attempt]) -> String {
    let Some(last) = attempts.last() else { return "it was not tried".to_owned() };
    let count = attempts.len();
    let times = if count == 1 { "the attempt".to_owned() } else { format!("the last of {count} attempts") };
    let how = match (last.outcome, last.status) {
        (AttemptOutcome::TimedOut, _) => "got no answer in time".to_owned(),
        (_, Some(status)) => format!("was answered with HTTP status {status}"),
        (_, None) => format!("failed: {}", last.error.as_deref().unwrap_or("the connection was lost")),
    };
    format!("{times} {how}")
}
