//! The parties of a session, in the order in which they came into the call.

use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::party::PartyState;

/// Bound on the parties of a session; further targets are refused and counted (reliability F3).
const PARTIES_PER_SESSION_MAX: usize = 64;

/// Place of a party among those of its session, the same as long as the session is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PartyIndex(u32);

/// Place of the caller, or of the initiator of a RingOut call.
pub(crate) const CALLER: PartyIndex = PartyIndex(0);

/// Parties of a session: the caller, and behind it those who were offered the call or joined it.
#[derive(Serialize, Deserialize)]
pub(super) struct Parties(Vec<PartyState>);

impl Parties {
    /// Room for the two parties that most calls have.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(2))
    }

    /// Adds a party behind all others.
    pub(super) fn add(&mut self, party: PartyState) -> PartyIndex {
        let index = PartyIndex(self.0.len() as u32);
        self.0.push(party);
        index
    }

    /// The place that the next party gets.
    pub(super) fn next_index(&self) -> PartyIndex {
        PartyIndex(self.0.len() as u32)
    }

    /// Tests whether nobody else can be offered the call.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= PARTIES_PER_SESSION_MAX
    }

    /// All parties.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, PartyState> {
        self.0.iter()
    }

    /// All parties, to be changed.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, PartyState> {
        self.0.iter_mut()
    }

    /// All parties but the caller.
    pub(super) fn others(&self) -> std::slice::Iter<'_, PartyState> {
        self.0.get(1..).unwrap_or_default().iter()
    }

    /// All parties with their places.
    pub(super) fn enumerate(&self) -> impl Iterator<Item = (PartyIndex, &PartyState)> {
        (0..).map(PartyIndex).zip(&self.0)
    }

    /// The places of all parties.
    pub(super) fn indices(&self) -> impl DoubleEndedIterator<Item = PartyIndex> + use<> {
        (0..self.0.len() as u32).map(PartyIndex)
    }

    /// The places of all parties but the caller.
    pub(super) fn other_indices(&self) -> impl DoubleEndedIterator<Item = PartyIndex> + use<> {
        (1..self.0.len() as u32).map(PartyIndex)
    }

    /// The place of the first party that answers to a description.
    pub(super) fn position(&self, is_meant: impl FnMut(&PartyState) -> bool) -> Option<PartyIndex> {
        self.0.iter().position(is_meant).map(|index| PartyIndex(index as u32))
    }
}

impl Index<PartyIndex> for Parties {
    type Output = PartyState;

    fn index(&self, index: PartyIndex) -> &PartyState {
        &self.0[index.0 as usize]
    }
}

impl IndexMut<PartyIndex> for Parties {
    fn index_mut(&mut self, index: PartyIndex) -> &mut PartyState {
        &mut self.0[index.0 as usize]
    }
}

impl<'a> IntoIterator for &'a Parties {
    type Item = &'a PartyState;
    type IntoIter = std::slice::Iter<'a, PartyState>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Parties {
    type Item = &'a mut PartyState;
    type IntoIter = std::slice::IterMut<'a, PartyState>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
