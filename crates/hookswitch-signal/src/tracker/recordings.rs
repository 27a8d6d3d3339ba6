//! Recording sessions (SIPREC, RFC 7866): SIP sessions between who has a call recorded and who records it.
//!
//! They are no calls of anybody, whatever From and To say. That one runs, pauses and ends is told, with what its
//! metadata (RFC 7865) says of the call that it records.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use hookswitch_model::{Alias, LegId, RecordingId, RecordingSession, Signal, SignalKind, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ANSWERED_MAX, REPEAT_MAX, Seen, SipTracker, identity, signal};
use crate::sip::{MediaDirection, Message, Method, RecordingFact, Sdp, SessionId, StartLine, Uri};

/// The most recording sessions that are known at once; a further one is counted and passed over.
const RECORDINGS_MAX: usize = 200_000;

/// The most participants, and the most names of the call, that are read of one recording session.
const FACTS_MAX: usize = 16;

/// The recording sessions, by their Call-ID.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Recordings {
    by_call_id: HashMap<Box<[u8]>, Recording, RandomState>,
    /// Time when each is forgotten at the latest, and those that have ended; each with its leg.
    open: VecDeque<(Timestamp, Box<[u8]>, LegId)>,
    ended: VecDeque<(Timestamp, Box<[u8]>, LegId)>,
}

#[derive(Serialize, Deserialize)]
struct Recording {
    /// The tag of who opened it.
    tag: Box<[u8]>,
    /// Names the recording session in its signals.
    leg: LegId,
    about: RecordingSession,
    /// It was answered.
    answered: bool,
    /// All media of its last offer, and of the last answer, are inactive: it is paused.
    offer_silent: bool,
    answer_silent: bool,
    ended: bool,
}

impl Recordings {
    /// Returns `true` if a message is of one of them.
    fn has(&self, message: &Message<'_>) -> bool {
        !self.by_call_id.is_empty()
            && self
                .by_call_id
                .get(message.call_id())
                .is_some_and(|known| [message.from_tag(), message.to_tag()].contains(&Some(&*known.tag)))
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        for queue in [&mut self.open, &mut self.ended] {
            while queue.front().is_some_and(|(at, ..)| *at <= now) {
                if let Some((_, call_id, leg)) = queue.pop_front()
                    && self.by_call_id.get(&call_id).is_some_and(|known| known.leg == leg)
                {
                    self.by_call_id.remove(&call_id);
                }
            }
        }
    }
}

impl SipTracker {
    /// Takes a message of a recording session; false if it is of none.
    pub(super) fn recording(&mut self, seen: &Seen<'_, '_>, out: &mut Vec<Signal>) -> bool {
        let message = seen.message;
        if !self.recordings.has(message) {
            let opens = matches!(message.start(), StartLine::Request { method: Method::Invite, .. })
                && message.to_tag().is_none()
                && message.is_of_recording_session();
            if opens {
                self.open_recording(seen);
            }
            return opens;
        }
        self.counters.no_call += 1;
        let Some(known) = self.recordings.by_call_id.get_mut(message.call_id()) else { return true };
        if known.ended {
            return true;
        }
        let silent = message.sdp().map(|sdp| is_silent(&sdp));
        match (message.start(), message.cseq().method) {
            (StartLine::Request { .. }, Method::Invite | Method::Update) => {
                known.offer_silent = silent.unwrap_or(known.offer_silent);
                if message.recording_metadata().is_some() {
                    describe(&mut known.about, message);
                }
            }
            (StartLine::Response { status: 200..=299, .. }, Method::Invite | Method::Update) => {
                known.answered |= message.cseq().method == Method::Invite;
                known.answer_silent = silent.unwrap_or(known.answer_silent);
            }
            (StartLine::Request { .. }, Method::Bye) => {
                known.ended = true;
                let until = seen.captured.time + REPEAT_MAX;
                self.recordings.ended.push_back((until, message.call_id().into(), known.leg));
            }
            _ => return true,
        }
        let runs = known.answered && !known.ended && !known.offer_silent && !known.answer_silent;
        let is_request = matches!(message.start(), StartLine::Request { .. });
        // An offer counts when it is accepted.
        let counts = !is_request || known.ended;
        if counts && known.about.active != runs {
            known.about.active = runs;
            let kind = SignalKind::RecordingSession(Box::new(known.about.clone()));
            out.push(signal(self.account, seen, known.leg, kind));
        }
        true
    }

    fn open_recording(&mut self, seen: &Seen<'_, '_>) {
        let message = seen.message;
        if self.recordings.by_call_id.len() >= RECORDINGS_MAX
            && !self.recordings.by_call_id.contains_key(message.call_id())
        {
            self.counters.refused += 1;
            return;
        }
        self.counters.no_call += 1;
        let leg = LegId::new(self.source, self.next_leg);
        self.next_leg += 1;
        let tag = message.from_tag().unwrap_or_default();
        let mut about = RecordingSession {
            id: recording_id(message),
            active: false,
            of: Vec::new(),
            participants: Vec::new(),
            src: seen.captured.src,
        };
        describe(&mut about, message);
        if about.participants.is_empty() && about.of.is_empty() {
            // Who does not say it writes the call's own From and To.
            let people = [message.from().uri(), message.to().uri()];
            about.participants = people.iter().filter_map(identity::number).collect();
        }
        let offer_silent = message.sdp().is_some_and(|sdp| is_silent(&sdp));
        let known = Recording {
            tag: tag.into(),
            leg,
            about,
            answered: false,
            offer_silent,
            answer_silent: false,
            ended: false,
        };
        self.recordings.by_call_id.insert(message.call_id().into(), known);
        let until = seen.captured.time + ANSWERED_MAX;
        self.recordings.open.push_back((until, message.call_id().into(), leg));
    }
}

/// Notes what the metadata says; an update may name those alone who are new.
fn describe(about: &mut RecordingSession, message: &Message<'_>) {
    let Some(metadata) = message.recording_metadata() else { return };
    for fact in metadata.facts() {
        match fact {
            RecordingFact::Participant(address) => {
                let number = Uri::parse(address).ok().and_then(|uri| identity::number(&uri));
                if let Some(number) = number
                    && about.participants.len() < FACTS_MAX
                    && !about.participants.contains(&number)
                {
                    about.participants.push(number);
                }
            }
            RecordingFact::CallName(name) => {
                let mut names = vec![Alias::CallId(name.into())];
                if let Some(id) = SessionId::parse(name) {
                    names = [Some(id.local), id.remote]
                        .into_iter()
                        .flatten()
                        .filter(|half| !SessionId::is_nil(half))
                        .map(|half| Alias::SessionId(half.to_ascii_lowercase().into()))
                        .collect();
                    names.push(Alias::CallId(id.local.into()));
                }
                for name in names {
                    if about.of.len() < FACTS_MAX && !about.of.contains(&name) {
                        about.of.push(name);
                    }
                }
            }
        }
    }
}

/// Returns `true` if a description has media, all of which flow neither way.
fn is_silent(sdp: &Sdp<'_>) -> bool {
    let mut active = sdp.media().filter(crate::sip::Media::is_active).peekable();
    active.peek().is_some() && active.all(|media| media.direction() == MediaDirection::Inactive)
}

/// The id of a recording: a number of 53 bits, which JavaScript can hold.
fn recording_id(message: &Message<'_>) -> RecordingId {
    // FNV-1a: the same in every run.
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let parts = [message.call_id(), b"\n", message.from_tag().unwrap_or_default()];
    let hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, mix);
    RecordingId::new((hash & (u64::MAX >> 11)).max(1))
}
