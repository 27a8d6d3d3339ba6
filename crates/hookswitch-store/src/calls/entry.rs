//! One call as the index has it, folded from its events.

use std::collections::{BTreeMap, BTreeSet};

use hookswitch_model::{Endpoint, ExtensionId, Logged, Reason, StatusCode};

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum WordKind {
    /// The digits of a number.
    Number = 1,
    /// A name, in lower case.
    Name = 2,
    /// The Call-ID of a SIP dialog.
    CallId = 3,
    /// The name of a source.
    Source = 4,
}

/// Something that a call can be found by.
pub(super) type Word = (WordKind, String);

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) session_id: String,
    pub(super) account: u64,
    /// The positions of its first event and of its last.
    pub(super) first: u64,
    pub(super) last: u64,
    /// Time when it began and when it changed last, in microseconds.
    pub(super) start: i64,
    pub(super) changed: i64,
    pub(super) recorded: bool,
    /// By their numbers in the session.
    pub(super) parties: BTreeMap<u32, PartyEntry>,
    pub(super) words: BTreeSet<Word>,
}

/// A party of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartyEntry {
    pub(super) extension: Option<u64>,
    pub(super) direction: &'static str,
    pub(super) code: StatusCode,
    pub(super) reason: Option<&'static str>,
    pub(super) missed: bool,
    /// Set if it ever was connected.
    pub(super) answered: bool,
    /// Set if it ever was the mailbox.
    pub(super) voice_mail: bool,
}

/// The characters of a number that count: digits, and those of feature codes.
pub(super) fn digits(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_digit() || matches!(character, '*' | '#')).collect()
}

impl Entry {
    /// A call without parties yet, which begins with an event.
    pub(super) fn begin(logged: &Logged) -> Self {
        let event = &logged.event;
        Self {
            id: event.session.id.to_string(),
            session_id: event.session.session_id.to_string(),
            account: event.session.account.as_u64(),
            first: logged.position,
            last: logged.position,
            start: event.at.as_micros(),
            changed: event.at.as_micros(),
            recorded: false,
            parties: BTreeMap::new(),
            words: BTreeSet::new(),
        }
    }

    /// Adds an event; `sources` names those that an input came from. Gives the words that are new.
    pub(super) fn add(&mut self, logged: &Logged, sources: impl Fn(u16, u64) -> Option<String>) -> Vec<Word> {
        let (event, party) = (&logged.event, &logged.event.party);
        self.last = logged.position;
        self.changed = event.at.as_micros();
        self.recorded |= !party.recordings.is_empty();
        let before = self.parties.get(&party.id.number);
        let code = party.status.code;
        let now = PartyEntry {
            extension: party.extension.map(ExtensionId::as_u64),
            direction: party.direction.as_str(),
            code,
            reason: party.status.reason.map(Reason::as_str),
            missed: party.missed_call,
            answered: code == StatusCode::Answered || before.is_some_and(|before| before.answered),
            voice_mail: matches!(code, StatusCode::VoiceMail | StatusCode::VoiceMailScreening)
                || before.is_some_and(|before| before.voice_mail),
        };
        self.parties.insert(party.id.number, now);
        let mut words = Vec::new();
        for end in [&party.from, &party.to] {
            let Endpoint { phone_number, sent_number, name, .. } = &**end;
            for number in [phone_number, sent_number].into_iter().flatten() {
                words.push((WordKind::Number, digits(number)));
            }
            words.extend(name.iter().map(|name| (WordKind::Name, name.to_lowercase())));
        }
        words.extend(party.sip.iter().map(|sip| (WordKind::CallId, sip.call_id.to_string())));
        let sources = event.causes.iter().filter_map(|cause| sources(cause.source, cause.number));
        words.extend(sources.map(|source| (WordKind::Source, source)));
        words.retain(|word| !word.1.is_empty() && self.words.insert(word.clone()));
        words
    }

    /// Returns the time when it ended; none of one that goes on.
    pub(super) fn end(&self) -> Option<i64> {
        self.parties.values().all(|party| party.code.is_terminal()).then_some(self.changed)
    }
}
