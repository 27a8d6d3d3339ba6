//! Fences: which messages of the streams count.
//!
//! Servers are asked to take a message only where its writer expects it. In a cluster NATS 2.9 looks before
//! it writes, so that of two that come together it may take both. So each message says what it rests on, and
//! who reads goes by that: all read the same in the same order, and come to the same.

use std::collections::HashMap;

use super::streams::STREAM_DOCUMENTS;
use super::wire::{Changes, Entry};
use crate::batch::Batch;
use crate::partition::Partition;

/// Condition that the next messages must rest on to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The message by which the last term of each partition began.
    pub terms: HashMap<Partition, u64>,
    /// The last change of documents.
    pub changed: u64,
}

impl Fence {
    /// Returns `true` if a message at this sequence of a stream counts; if so, the next must rest on it.
    pub(super) fn takes(&mut self, stream: &str, entry: &Entry, sequence: u64) -> bool {
        match entry {
            Entry::Term(term) => {
                self.terms.insert(term.partition, sequence);
                true
            }
            Entry::Batch(batch) => self.takes_batch(batch),
            // Of what deliveries write down, who comes last is right.
            Entry::Changes(changes) => stream != STREAM_DOCUMENTS || self.takes_changes(changes, sequence),
            Entry::Rows(_) => {
                if stream == STREAM_DOCUMENTS {
                    self.changed = sequence;
                }
                true
            }
        }
    }

    /// A batch counts in the term in which it was written.
    fn takes_batch(&mut self, batch: &Batch) -> bool {
        let known = self.terms.entry(batch.partition).or_default();
        // The beginning of a term may be in the stream no longer.
        *known = batch.term.max(*known);
        *known == batch.term
    }

    /// Changes count if no others came since they were checked.
    const fn takes_changes(&mut self, changes: &Changes, sequence: u64) -> bool {
        let counts = changes.after >= self.changed;
        if counts {
            self.changed = sequence;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::STREAM_LOG;
    use super::super::wire::Term;
    use super::*;
    use crate::Journal;

    fn term(partition: Partition) -> Entry {
        Entry::Term(Term { partition, node: "a".into() })
    }

    fn batch(partition: Partition, term: u64) -> Entry {
        Entry::Batch(Batch { partition, term, ..Batch::default() })
    }

    fn changes(after: u64) -> Entry {
        Entry::Changes(Changes { id: 1, after, all: Vec::new(), journal: Journal::default() })
    }

    #[test]
    fn a_batch_counts_until_another_term_begins() {
        let mut fence = Fence::default();
        let [first, second] = [0, 1].map(|index| Partition::try_from(index).expect("few"));
        assert!(fence.takes(STREAM_LOG, &term(first), 5));
        assert!(fence.takes(STREAM_LOG, &batch(first, 5), 6));
        assert!(fence.takes(STREAM_LOG, &term(first), 7));
        assert!(!fence.takes(STREAM_LOG, &batch(first, 5), 8), "its writer came too late");
        assert!(fence.takes(STREAM_LOG, &batch(first, 7), 9));
        assert!(fence.takes(STREAM_LOG, &batch(second, 4), 10), "its term began before this node read");
        assert!(!fence.takes(STREAM_LOG, &batch(second, 3), 11));
    }

    #[test]
    fn of_two_changes_that_were_checked_against_the_same_the_first_counts() {
        let mut fence = Fence::default();
        assert!(fence.takes(STREAM_DOCUMENTS, &changes(0), 1));
        assert!(fence.takes(STREAM_DOCUMENTS, &changes(1), 2));
        assert!(!fence.takes(STREAM_DOCUMENTS, &changes(1), 3));
        assert!(
            fence.takes(STREAM_DOCUMENTS, &changes(3), 4),
            "it was checked after the one that does not count"
        );
        assert!(fence.takes(STREAM_LOG, &changes(0), 9), "what deliveries write down");
        assert_eq!(fence.changed, 4);
    }
}
