//! Projection of an event: what a subscriber receives of one that its filters let pass.

use hookswitch_model::{CallChange, Event};
use smallvec::SmallVec;

use super::EventFilter;
use crate::presence::Family;

/// A notification that a subscriber receives of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Projection {
    /// The party that changed (contract events §2).
    Session {
        /// Set if it carries its `sipData` (contract subscriptions §1).
        sip_data: bool,
    },
    /// The calls of the party's extension.
    Calls {
        /// Family of what is told of them.
        family: Family,
        /// Set if the filter was one for the whole account.
        of_account: bool,
        /// Set if the calls are listed.
        detailed: bool,
        /// Set if calls carry their `sipData`.
        sip_data: bool,
    },
}

/// The notifications that a subscriber receives of an event, in the order in which they are sent.
pub type Projections = SmallVec<[Projection; 1]>;

impl Default for Projection {
    fn default() -> Self {
        Self::Session { sip_data: false }
    }
}

impl Projection {
    /// All that an event says of its party.
    pub const WHOLE: Self = Self::Session { sip_data: true };

    /// The notification of the party that a subscriber with these filters receives of an event: what any of the
    /// filters that match asks for. `None` if none matches.
    pub fn of<'a>(filters: impl IntoIterator<Item = &'a EventFilter>, event: &Event) -> Option<Self> {
        let matching = filters.into_iter().filter(|filter| filter.matches(event));
        matching.map(EventFilter::projection).reduce(Self::union)
    }

    /// All notifications that a subscriber with these filters receives of an event that made this change.
    pub fn all<'a>(
        filters: impl IntoIterator<Item = &'a EventFilter>,
        event: &Event,
        change: Option<&CallChange>,
    ) -> Projections {
        let mut all: Projections =
            filters.into_iter().filter_map(|filter| filter.projection_of(event, change)).collect();
        all.sort_unstable();
        all.dedup_by(|later, earlier| {
            let is_same = later.is_like(*earlier);
            if is_same {
                *earlier = earlier.union(*later);
            }
            is_same
        });
        all
    }

    /// Returns `true` if two are the same notification, with more or less in it.
    pub(super) fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Session { .. }, Self::Session { .. }) => true,
            (
                Self::Calls { family, of_account, .. },
                Self::Calls { family: other_family, of_account: other_account, .. },
            ) => family == other_family && of_account == other_account,
            _ => false,
        }
    }

    /// Returns what either of two asks for that are alike.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Session { sip_data }, Self::Session { sip_data: more }) => {
                Self::Session { sip_data: sip_data | more }
            }
            (
                Self::Calls { family, of_account, detailed, sip_data },
                Self::Calls { detailed: more, sip_data: more_sip, .. },
            ) => Self::Calls { family, of_account, detailed: detailed | more, sip_data: sip_data | more_sip },
            (one, _) => one,
        }
    }
}
