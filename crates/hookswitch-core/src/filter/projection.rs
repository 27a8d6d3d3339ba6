//! What a subscriber receives of an event that its filters let pass.

use hookswitch_model::Event;

use super::EventFilter;

/// The part of an event that a subscriber receives (contract subscriptions §1, `sipData`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Projection {
    /// Whether parties carry their `sipData`.
    pub sip_data: bool,
}

impl Projection {
    /// All that an event says.
    pub const WHOLE: Self = Self { sip_data: true };

    /// The projection that a subscriber with these filters receives of an event: what any of the filters that match
    /// asks for. `None` if none matches.
    pub fn of<'a>(filters: impl IntoIterator<Item = &'a EventFilter>, event: &Event) -> Option<Self> {
        let matching = filters.into_iter().filter(|filter| filter.matches(event));
        matching.map(EventFilter::projection).reduce(Self::union)
    }

    /// What either of two asks for.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { sip_data: self.sip_data | other.sip_data }
    }
}
