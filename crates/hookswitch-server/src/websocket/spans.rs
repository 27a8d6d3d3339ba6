//! Spans of what connections were sent and when, until it is written down: one row for each
//! notification would cost as much as sending it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_store::Span;

/// The longest stretch: so exactly it is known when an event was sent that waited.
const SPAN_MAX: Duration = Duration::from_secs(60);

/// The most stretches that wait to be written; what a disk refuses for longer is not told.
const CLOSED_MAX: usize = 20_000;

/// The stretches of all connections.
#[derive(Default)]
pub(super) struct Spans(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By the number of the connection; whether it has grown since it was written.
    open: HashMap<u64, (Span, bool), RandomState>,
    closed: Vec<Span>,
}

impl Spans {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection was handed some notifications, one after the other.
    pub(super) fn note(&self, sent: Span) {
        let mut inner = self.lock();
        let Inner { open, closed } = &mut *inner;
        let (span, grown) = open.entry(sent.connection).or_insert((sent, true));
        *grown = true;
        if span.first == sent.first {
            return;
        }
        let goes_on = span.subscription == sent.subscription && sent.to.since(span.from) < SPAN_MAX;
        if goes_on {
            (span.last, span.to) = (sent.last, sent.to);
            span.count += sent.count;
        } else {
            let ended = std::mem::replace(span, sent);
            if closed.len() < CLOSED_MAX {
                closed.push(ended);
            }
        }
    }

    /// A connection has ended.
    pub(super) fn end(&self, connection: u64) {
        let mut inner = self.lock();
        if let Some((span, true)) = inner.open.remove(&connection)
            && inner.closed.len() < CLOSED_MAX
        {
            inner.closed.push(span);
        }
    }

    /// Returns what is to be written.
    pub(super) fn take(&self) -> Vec<Span> {
        let mut inner = self.lock();
        let mut taken = std::mem::take(&mut inner.closed);
        for (span, grown) in inner.open.values_mut() {
            if std::mem::take(grown) {
                taken.push(*span);
            }
        }
        taken
    }

    /// It was not written; it is the next time.
    pub(super) fn give_back(&self, spans: Vec<Span>) {
        let mut inner = self.lock();
        let room = CLOSED_MAX.saturating_sub(inner.closed.len());
        inner.closed.extend(spans.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_model::{SubscriptionId, Timestamp};

    use super::*;

    fn sent(connection: u64, first: u64, last: u64, secs: i64) -> Span {
        let at = Timestamp::from_micros(secs * 1_000_000);
        let subscription = SubscriptionId::from_bits(1);
        Span { subscription, connection, from: at, to: at, first, last, count: last - first + 1 }
    }

    #[test]
    fn a_stretch_grows_until_it_is_long_and_is_written_when_it_has_grown() {
        let spans = Spans::default();
        spans.note(sent(1, 1, 2, 0));
        spans.note(sent(1, 5, 5, 30));
        let to = Timestamp::from_micros(30_000_000);
        assert_eq!(spans.take(), [Span { to, last: 5, count: 3, ..sent(1, 1, 2, 0) }]);
        assert_eq!(spans.take(), []);
        spans.note(sent(1, 6, 9, 61));
        assert_eq!(spans.take().len(), 2, "the one that has ended, and the next");
        spans.end(1);
        assert_eq!(spans.take(), [], "nothing has come since");
        spans.note(sent(2, 7, 7, 62));
        spans.end(2);
        let ended = spans.take();
        assert_eq!(ended, [sent(2, 7, 7, 62)]);
        spans.give_back(ended);
        assert_eq!(spans.take(), [sent(2, 7, 7, 62)]);
    }
}
