//! Messages outside of calls that come again.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use foldhash::fast::{FixedState, RandomState};
use hookswitch_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::REPEAT_MAX;
use crate::capture::Captured;
use crate::sip::Message;

/// The most messages that are remembered to recognise retransmissions.
const REMEMBERED_MAX: usize = 1_000_000;

/// Recognises messages that were seen before and are part of no call.
#[derive(Serialize, Deserialize)]
pub(super) struct Repeats {
    /// Seed that fingerprints are hashed with: they are told apart from those of other processes, and are the
    /// same when the state is restored.
    seed: u64,
    known: HashSet<u64, RandomState>,
    order: VecDeque<(Timestamp, u64)>,
}

impl Default for Repeats {
    fn default() -> Self {
        let seed = RandomState::default().hash_one(());
        Self { seed, known: HashSet::default(), order: VecDeque::new() }
    }
}

impl Repeats {
    /// Gives the same number for messages with the same start line and identifiers.
    ///
    /// A branch names one transaction between two neighbours (RFC 3261 §8.1.1.7), so where there is one the
    /// addresses do not count: a host that translates them, or a capture on several interfaces, shows each
    /// packet with those outside and with those inside.
    pub(super) fn fingerprint(&self, message: &Message<'_>, captured: &Captured<'_>) -> u64 {
        let mut hasher = FixedState::with_seed(self.seed).build_hasher();
        for part in [
            message.start_line(),
            message.call_id(),
            message.from_tag().unwrap_or_default(),
            message.to_tag().unwrap_or_default(),
            message.top_via().branch().unwrap_or_default(),
            message.cseq().method.as_bytes(),
        ] {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.write_u32(message.cseq().number);
        if message.top_via().unique_branch().is_some() {
            return hasher.finish();
        }
        for address in [captured.src, captured.dst] {
            match address.ip() {
                IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
                IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
            }
            hasher.write_u16(address.port());
        }
        hasher.finish()
    }

    pub(super) fn contains(&self, print: u64) -> bool {
        self.known.contains(&print)
    }

    pub(super) fn add(&mut self, print: u64, now: Timestamp) {
        if self.known.insert(print) {
            self.order.push_back((now, print));
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|&(at, _)| at + REPEAT_MAX <= now) {
            if let Some((_, print)) = self.order.pop_front() {
                self.known.remove(&print);
            }
        }
    }
}
