//! IP datagrams that came in pieces (RFC 791 §3.2, RFC 8200 §4.5).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use hookswitch_model::Timestamp;

/// Number of datagrams that may be in the making; beyond it the oldest is given up.
const DATAGRAMS_MAX: usize = 256;

/// The longest datagram there is, without jumbograms.
const DATAGRAM_BYTES_MAX: usize = u16::MAX as usize;

/// The most pieces of one datagram: 64 KiB over links of the least MTU of IPv4 are fewer.
const PIECES_MAX: usize = 256;

/// Time for which the pieces of a datagram are waited for, in the time of the capture (RFC 8200 §4.5).
const WAIT_MAX: Duration = Duration::from_secs(60);

/// One piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) id: u32,
    pub(super) protocol: u8,
    /// Offset at which it belongs, in bytes.
    pub(super) offset: usize,
    /// More pieces follow behind it.
    pub(super) more: bool,
    pub(super) payload: &'a [u8],
}

/// Datagrams in the making.
#[derive(Default)]
pub(super) struct Fragments {
    datagrams: VecDeque<Datagram>,
    /// The datagram that was completed last.
    whole: Vec<u8>,
}

struct Datagram {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    protocol: u8,
    since: Timestamp,
    bytes: Vec<u8>,
    /// Bytes that have come: start and end, in order, without overlap.
    pieces: Vec<(usize, usize)>,
    /// Offset of its end, once the last piece came.
    end: Option<usize>,
}

/// Outcome of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It waits for others; so many datagrams were given up meanwhile.
    Deferred,
    /// The datagram is complete: [`Fragments::whole`].
    Whole,
    /// The datagram was given up: its pieces contradict each other.
    Dropped,
}

impl Fragments {
    /// Adds a piece. Pieces that overlap make a datagram void, as hosts hold it (RFC 5722 §4), since
    /// which of them counts is what attackers play with; one that came twice is let pass.
    pub(super) fn push(&mut self, piece: &Fragment<'_>, now: Timestamp) -> Joined {
        while self.datagrams.front().is_some_and(|datagram| datagram.since + WAIT_MAX <= now) {
            self.datagrams.pop_front();
        }
        let same = |datagram: &Datagram| {
            (datagram.id, datagram.protocol) == (piece.id, piece.protocol)
                && (datagram.src, datagram.dst) == (piece.src, piece.dst)
        };
        let index = self.datagrams.iter().position(same).unwrap_or_else(|| {
            if self.datagrams.len() >= DATAGRAMS_MAX {
                self.datagrams.pop_front();
            }
            self.datagrams.push_back(Datagram {
                src: piece.src,
                dst: piece.dst,
                id: piece.id,
                protocol: piece.protocol,
                since: now,
                bytes: Vec::new(),
                pieces: Vec::new(),
                end: None,
            });
            self.datagrams.len() - 1
        });
        match self.datagrams[index].add(piece) {
            Joined::Deferred => Joined::Deferred,
            done => {
                if let Some(datagram) = self.datagrams.remove(index) {
                    self.whole = datagram.bytes;
                }
                done
            }
        }
    }

    /// The datagram that was completed last, without its IP header.
    pub(super) fn whole(&self) -> &[u8] {
        &self.whole
    }
}

impl Datagram {
    fn add(&mut self, piece: &Fragment<'_>) -> Joined {
        let (start, end) = (piece.offset, piece.offset + piece.payload.len());
        let beyond = self.end.is_some_and(|last| end > last || (!piece.more && end != last));
        if end > DATAGRAM_BYTES_MAX || beyond || (piece.more && piece.payload.is_empty()) {
            return Joined::Dropped;
        }
        let at = self.pieces.partition_point(|&(first, _)| first < start);
        if self.pieces.get(at) == Some(&(start, end)) {
            return Joined::Deferred; // again
        }
        let before = at.checked_sub(1).is_some_and(|before| self.pieces[before].1 > start);
        let behind = self.pieces.get(at).is_some_and(|&(next, _)| next < end);
        let too_short = !piece.more && self.pieces.last().is_some_and(|&(_, last)| last > end);
        if before || behind || too_short || self.pieces.len() >= PIECES_MAX {
            return Joined::Dropped;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(piece.payload);
        self.pieces.insert(at, (start, end));
        if !piece.more {
            self.end = Some(end);
        }
        let mut reached = 0;
        for &(first, last) in &self.pieces {
            if first != reached {
                return Joined::Deferred;
            }
            reached = last;
        }
        if self.end == Some(reached) { Joined::Whole } else { Joined::Deferred }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(0);

    fn piece(id: u32, offset: usize, more: bool, payload: &[u8]) -> Fragment<'_> {
        let (src, dst) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        Fragment { src, dst, id, protocol: 17, offset, more, payload }
    }

    #[test]
    fn pieces_are_joined_in_any_order_and_may_come_twice() {
        let mut fragments = Fragments::default();
        for piece in
            [piece(1, 8, true, b"89abcdef"), piece(1, 16, false, b"end"), piece(1, 8, true, b"89abcdef")]
        {
            assert_eq!(fragments.push(&piece, NOW), Joined::Deferred);
        }
        assert_eq!(fragments.push(&piece(1, 0, true, b"01234567"), NOW), Joined::Whole);
        assert_eq!(fragments.whole(), b"0123456789abcdefend");
        assert!(fragments.datagrams.is_empty());
    }

    #[test]
    fn pieces_that_overlap_make_the_datagram_void() {
        for wrong in
            [piece(1, 0, true, b"x123456789abcdef"), piece(1, 8, true, b"x"), piece(1, 0, false, b"012")]
        {
            let mut fragments = Fragments::default();
            fragments.push(&piece(1, 8, true, b"89abcdef"), NOW);
            assert_eq!(fragments.push(&wrong, NOW), Joined::Dropped, "{wrong:?}");
        }
    }

    #[test]
    fn pieces_of_different_datagrams_do_not_mix() {
        let mut fragments = Fragments::default();
        fragments.push(&piece(1, 0, true, b"01234567"), NOW);
        assert_eq!(fragments.push(&piece(2, 8, false, b"x"), NOW), Joined::Deferred);
        assert_eq!(fragments.push(&piece(1, 8, false, b"y"), NOW), Joined::Whole);
        assert_eq!(fragments.whole(), b"01234567y");
    }

    #[test]
    fn what_is_never_completed_is_given_up() {
        let mut fragments = Fragments::default();
        for id in 0..10_000 {
            fragments.push(&piece(id, 8, true, b"12345678"), NOW);
        }
        assert_eq!(fragments.datagrams.len(), DATAGRAMS_MAX);
        fragments.push(&piece(1, 8, true, b"12345678"), NOW + WAIT_MAX);
        assert_eq!(fragments.datagrams.len(), 1);
        let mut endless = (0..=PIECES_MAX).map(|n| piece(2, n * 16, true, b"12345678"));
        assert!(endless.any(|piece| fragments.push(&piece, NOW) == Joined::Dropped));
    }

    proptest! {
        #[test]
        fn any_order_gives_the_datagram(length in 1usize..3000, step in 1usize..20, seed in any::<u64>()) {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut pieces: Vec<_> = bytes.chunks(step * 8).enumerate().collect();
            let last = pieces.len() - 1;
            let mut random = seed;
            for at in (1..pieces.len()).rev() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                pieces.swap(at, (random >> 33) as usize % (at + 1));
            }
            let mut fragments = Fragments::default();
            let mut whole = 0;
            for (number, payload) in pieces {
                let joined = fragments.push(&piece(7, number * step * 8, number != last, payload), NOW);
                whole += usize::from(joined == Joined::Whole);
            }
            // A datagram of more pieces than are kept is given up.
            if last < PIECES_MAX {
                prop_assert_eq!((whole, fragments.whole()), (1, &bytes[..]));
            }
        }
    }
}
