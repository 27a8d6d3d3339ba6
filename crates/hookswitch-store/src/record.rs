//! Records of the store, in versions that are told apart: inputs of the signal log, events of the event log.
//!
//! A shape that changes gets a new version and keeps its reader; words are stored as the API spells
//! them, so that a new word does not change what the old ones mean.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hookswitch_model::{
    AccountId, Causes, ClockId, DeviceId, Endpoint, Event, ExtensionId, InputRef, Notes, Party, PartyId,
    Peer, Recording, RecordingId, Rule, SessionFacts, SessionId, SipData, Status, SwitchLink,
    TelephonySessionId, Timestamp,
};
use serde::{Deserialize, Serialize};

/// Reason why something stored cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It was written by a version that this one does not know.
    #[error("a {what} of version {version}, which this Hookswitch does not know; start the newer one")]
    Version {
        /// Kind of record.
        what: &'static str,
        /// The version that it has.
        version: u8,
    },
    /// A word that this version does not know.
    #[error("a stored {what} is {word:?}, which this Hookswitch does not know; start the newer one")]
    Word {
        /// Purpose of the word.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// The bytes are damaged.
    #[error("a stored record is damaged")]
    Damaged(#[from] postcard::Error),
    /// The text is damaged.
    #[error("a stored record is damaged")]
    Text(#[from] serde_json::Error),
}

/// One input of the machine, as the signal log has it.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A SIP message that a capture agent has sent.
    Message(Message<'a>),
    /// A signal that was posted, as JSON.
    Signal {
        /// Source.
        source: u16,
        /// Time when it happened.
        at: Timestamp,
        /// The signal as it was posted, with the account of its key if that names one.
        json: &'a [u8],
    },
    /// A message of a switch that tells of its calls itself.
    Manager {
        /// Source.
        source: u16,
        /// Time when it came.
        at: Timestamp,
        /// The message as it came.
        message: &'a [u8],
    },
    /// The connection to such a switch was made, or was lost.
    Link {
        /// Source of the connection.
        source: u16,
        /// Time when it was made or lost.
        at: Timestamp,
        /// Change of the connection.
        link: SwitchLink,
    },
    /// A clock has come so far, and a timer was due.
    Tick {
        /// Clock.
        clock: ClockId,
        /// Point up to which it has come.
        at: Timestamp,
    },
    /// The directory and the policy that hold from here on.
    Settings(Settings),
    /// A sender that was not known before.
    Source(Source),
    /// A sender that has been silent for so long that its number may be given to another.
    Forgotten {
        /// The number that is free again.
        source: u16,
    },
}

/// A SIP message that a capture agent has sent.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Source.
    pub source: u16,
    /// Time when the agent saw it.
    pub at: Timestamp,
    /// Set if a stream carried it; else a datagram.
    pub tcp: bool,
    /// Source address.
    pub src: SocketAddr,
    /// Destination address.
    pub dst: SocketAddr,
    /// The correlation id that the agent gave it (HEP chunk 17).
    pub correlation: Option<&'a [u8]>,
    /// The message itself.
    pub payload: &'a [u8],
}

/// Settings of the session machine, beside signals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The directory file; none for the built-in directory.
    pub directory: Option<String>,
    /// The account of calls of which the directory knows nothing.
    pub account: u64,
    /// Set if a call that another phone has answered counts as missed.
    pub answered_elsewhere_is_missed: bool,
    /// Set if events say reasons that clients may not know.
    pub explicit_reasons: bool,
    /// Set if legs may be joined because their numbers agree.
    pub join_by_numbers: bool,
    /// The most sessions that are open at once.
    pub sessions_max: usize,
    /// Time that a SIP response that is reported before its request waits for it, in milliseconds.
    #[serde(default = "late_requests_ms")]
    pub late_requests_ms: u64,
}

/// The default, for logs that do not say it.
fn late_requests_ms() -> u64 {
    100
}

/// Somebody who sends messages or signals, with a clock of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// By which inputs name it.
    pub number: u16,
    /// Sender.
    pub sender: Sender,
}

/// Identity of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "SenderRecord", into = "SenderRecord")]
pub enum Sender {
    /// A capture agent: one that has another address, id or account is another.
    Hep {
        /// The name of its source in the settings.
        name: String,
        /// The address that it sends from.
        address: IpAddr,
        /// The number that it gives itself (HEP chunk 12).
        agent: u32,
        /// The account of its calls.
        account: u64,
    },
    /// The holder of an ingest key.
    Ingest {
        /// The name of the key.
        name: String,
        /// The account that it posts into.
        account: u64,
    },
    /// A switch that reports its own calls.
    Switch {
        /// The name of the adapter that reads them.
        adapter: String,
        /// The name of its source in the settings.
        name: String,
        /// The account of its calls.
        account: u64,
        /// The name of the agents that see its SIP.
        hep: Option<String>,
    },
}

impl Sender {
    /// Its name, for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Hep { name, .. } | Self::Ingest { name, .. } | Self::Switch { name, .. } => name,
        }
    }

    /// Its kind, in the word of the API: `hep`, `ingest`, or the name of an adapter.
    pub fn kind(&self) -> &str {
        match self {
            Self::Hep { .. } => "hep",
            Self::Ingest { .. } => "ingest",
            Self::Switch { adapter, .. } => adapter,
        }
    }

    /// Returns whose calls it tells of, when nothing else says.
    pub const fn account(&self) -> u64 {
        match self {
            Self::Hep { account, .. } | Self::Ingest { account, .. } | Self::Switch { account, .. } => {
                *account
            }
        }
    }
}

/// A sender as it is stored.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")] // not tagged inside: saved states are postcard, which cannot read that
enum SenderRecord {
    Hep {
        name: String,
        address: IpAddr,
        agent: u32,
        account: u64,
    },
    Ingest {
        name: String,
        account: u64,
    },
    /// The first two adapters have a form of their own.
    Ami {
        name: String,
        account: u64,
        hep: Option<String>,
    },
    Esl {
        name: String,
        account: u64,
        hep: Option<String>,
    },
    Switch {
        adapter: String,
        name: String,
        account: u64,
        hep: Option<String>,
    },
}

impl From<SenderRecord> for Sender {
    fn from(record: SenderRecord) -> Self {
        let of =
            |adapter: &str, name, account, hep| Self::Switch { adapter: adapter.into(), name, account, hep };
        match record {
            SenderRecord::Hep { name, address, agent, account } => {
                Self::Hep { name, address, agent, account }
            }
            SenderRecord::Ingest { name, account } => Self::Ingest { name, account },
            SenderRecord::Ami { name, account, hep } => of("ami", name, account, hep),
            SenderRecord::Esl { name, account, hep } => of("esl", name, account, hep),
            SenderRecord::Switch { adapter, name, account, hep } => of(&adapter, name, account, hep),
        }
    }
}

impl From<Sender> for SenderRecord {
    fn from(sender: Sender) -> Self {
        match sender {
            Sender::Hep { name, address, agent, account } => Self::Hep { name, address, agent, account },
            Sender::Ingest { name, account } => Self::Ingest { name, account },
            Sender::Switch { adapter, name, account, hep } => match &*adapter {
                "ami" => Self::Ami { name, account, hep },
                "esl" => Self::Esl { name, account, hep },
                _ => Self::Switch { adapter, name, account, hep },
            },
        }
    }
}

/// The parts of an input as the signal log keeps them in columns.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Kind of input, one of [`kind`].
    pub kind: u8,
    /// The source, or the clock of a tick; 0 if it has none.
    pub source: u16,
    /// Time when it happened, by the clock of the source.
    pub at: Timestamp,
    /// Addresses of a message; empty for other kinds.
    pub place: &'a [u8],
    /// The input itself, as its kind has it.
    pub body: &'a [u8],
}

/// The kinds of inputs, as numbers in the log.
pub mod kind {
    /// A SIP message.
    pub const MESSAGE: u8 = 1;
    /// A posted signal.
    pub const SIGNAL: u8 = 2;
    /// A clock that has come so far.
    pub const TICK: u8 = 3;
    /// Settings.
    pub const SETTINGS: u8 = 4;
    /// A new source.
    pub const SOURCE: u8 = 5;
    /// A source whose number is free again.
    pub const FORGOTTEN: u8 = 6;
    /// A message of a switch.
    pub const MANAGER: u8 = 7;
    /// A connection to a switch, made or lost.
    pub const LINK: u8 = 8;
}

/// Addresses and transport of a message.
#[derive(Serialize, Deserialize)]
struct MessageAddresses<'a> {
    tcp: bool,
    src: SocketAddr,
    dst: SocketAddr,
    #[serde(borrow)]
    correlation: Option<&'a [u8]>,
}

impl Message<'_> {
    /// Appends where the message was seen, as the column `place` has it.
    pub fn write_place(&self, out: &mut Vec<u8>) {
        let place =
            MessageAddresses { tcp: self.tcp, src: self.src, dst: self.dst, correlation: self.correlation };
        append(&place, out);
    }
}

impl<'a> Input<'a> {
    /// Reads an input from its columns.
    pub fn read(columns: Columns<'a>) -> Result<Self, RecordError> {
        let Columns { source, at, body, .. } = columns;
        Ok(match columns.kind {
            kind::MESSAGE => {
                let place: MessageAddresses<'a> = postcard::from_bytes(columns.place)?;
                let MessageAddresses { tcp, src, dst, correlation } = place;
                Self::Message(Message { source, at, tcp, src, dst, correlation, payload: body })
            }
            kind::SIGNAL => Self::Signal { source, at, json: body },
            kind::TICK => Self::Tick { clock: ClockId(source), at },
            kind::SETTINGS => Self::Settings(serde_json::from_slice(body)?),
            kind::SOURCE => Self::Source(serde_json::from_slice(body)?),
            kind::FORGOTTEN => Self::Forgotten { source },
            kind::MANAGER => Self::Manager { source, at, message: body },
            kind::LINK => Self::Link { source, at, link: read_link(body) },
            version => return Err(RecordError::Version { what: "input", version }),
        })
    }
}

/// Writes the state of a connection as the body of an input.
pub fn write_link(link: SwitchLink) -> Vec<u8> {
    match link {
        SwitchLink::Up => vec![1],
        SwitchLink::Lost { lost_after: None } => vec![0],
        SwitchLink::Lost { lost_after: Some(after) } => {
            let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            [&[0][..], &millis.to_le_bytes()].concat()
        }
    }
}

/// Reads it; a body that says nothing of the time that calls have is one of an earlier version.
fn read_link(body: &[u8]) -> SwitchLink {
    match body {
        [1] => SwitchLink::Up,
        [0, millis @ ..] => {
            let millis = millis.try_into().ok().map(u64::from_le_bytes);
            SwitchLink::Lost { lost_after: millis.map(Duration::from_millis) }
        }
        _ => SwitchLink::Lost { lost_after: None },
    }
}

/// The version of events that is written.
const EVENT_VERSION: u8 = 2;

#[derive(Serialize, Deserialize)]
struct EventRecord<'a> {
    account: u64,
    session: u128,
    session_id: u64,
    origin: &'a str,
    sequence: u32,
    at: i64,
    rule: &'a str,
    causes: Vec<(u16, u64)>,
    #[serde(borrow)]
    party: PartyRecord<'a>,
}

#[derive(Serialize, Deserialize)]
struct PartyRecord<'a> {
    account: u64,
    extension: Option<u64>,
    id: (u128, u32),
    direction: &'a str,
    #[serde(borrow)]
    to: EndpointRecord<'a>,
    #[serde(borrow)]
    from: EndpointRecord<'a>,
    code: &'a str,
    reason: Option<&'a str>,
    park_data: Option<&'a str>,
    peer: Option<(u64, u128, u32)>,
    mobile_pickup: bool,
    park: Option<&'a str>,
    missed_call: bool,
    stand_alone: bool,
    muted: bool,
    conference_role: Option<&'a str>,
    ring_out_role: Option<&'a str>,
    queue_call: bool,
    recordings: Vec<(u64, bool)>,
    sip: Option<(&'a str, &'a str, Option<&'a str>)>,
}

#[derive(Serialize, Deserialize)]
struct EndpointRecord<'a> {
    phone_number: Option<&'a str>,
    sent_number: Option<&'a str>,
    name: Option<&'a str>,
    extension: Option<u64>,
    device: Option<u64>,
}

/// Appends an event as the event log keeps it.
pub(crate) fn write_event(event: &Event, out: &mut Vec<u8>) {
    let Event { session, sequence, at, party, rule, causes, notes } = event;
    let status = &party.status;
    let party = PartyRecord {
        account: party.account.as_u64(),
        extension: party.extension.map(ExtensionId::as_u64),
        id: (party.id.session.as_u128(), party.id.number),
        direction: party.direction.as_str(),
        to: EndpointRecord::of(&party.to),
        from: EndpointRecord::of(&party.from),
        code: status.code.as_str(),
        reason: status.reason.map(hookswitch_model::Reason::as_str),
        park_data: status.park_data.as_deref(),
        peer: status
            .peer
            .as_ref()
            .map(|peer| (peer.session.as_u64(), peer.party.session.as_u128(), peer.party.number)),
        mobile_pickup: status.mobile_pickup,
        park: party.park.as_deref(),
        missed_call: party.missed_call,
        stand_alone: party.stand_alone,
        muted: party.muted,
        conference_role: party.conference_role.map(hookswitch_model::ConferenceRole::as_str),
        ring_out_role: party.ring_out_role.map(hookswitch_model::RingOutRole::as_str),
        queue_call: party.queue_call,
        recordings: party.recordings.iter().map(|it| (it.id.as_u64(), it.active)).collect(),
        sip: party.sip.as_ref().map(|sip| (&*sip.call_id, &*sip.from_tag, sip.to_tag.as_deref())),
    };
    let record = EventRecord {
        account: session.account.as_u64(),
        session: session.id.as_u128(),
        session_id: session.session_id.as_u64(),
        origin: session.origin.as_str(),
        sequence: *sequence,
        at: at.as_micros(),
        rule: rule.name(),
        causes: causes.iter().map(|input| (input.source, input.number)).collect(),
        party,
    };
    out.push(EVENT_VERSION);
    out.push(notes.bits());
    append(&record, out);
}

/// Reads an event.
pub(crate) fn read_event(bytes: &[u8]) -> Result<Event, RecordError> {
    let (&version, body) = bytes.split_first().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
    let (notes, body) = match (version, body) {
        // Version 1 has no notes.
        (1, body) => (0, body),
        (EVENT_VERSION, [notes, body @ ..]) => (*notes, body),
        (EVENT_VERSION, []) => return Err(postcard::Error::DeserializeUnexpectedEnd.into()),
        _ => return Err(RecordError::Version { what: "event", version }),
    };
    let record: EventRecord<'_> = postcard::from_bytes(body)?;
    let party = record.party;
    let session = SessionFacts {
        account: AccountId::new(record.account),
        id: TelephonySessionId::new(record.session),
        session_id: SessionId::new(record.session_id),
        origin: word("origin", record.origin)?,
    };
    let status = Status {
        code: word("status", party.code)?,
        reason: party.reason.map(|text| word("reason", text)).transpose()?,
        park_data: party.park_data.map(Arc::from),
        peer: party.peer.map(|(id, session, number)| {
            let party = PartyId { session: TelephonySessionId::new(session), number };
            Box::new(Peer { session: SessionId::new(id), party })
        }),
        mobile_pickup: party.mobile_pickup,
    };
    let mut causes = record.causes.iter().map(|&(source, number)| InputRef { source, number });
    let mut all = Causes::one(causes.next().unwrap_or_default());
    causes.for_each(|input| all.add(input));
    Ok(Event {
        session: Arc::new(session),
        sequence: record.sequence,
        at: Timestamp::from_micros(record.at),
        rule: rule(record.rule)?,
        causes: all,
        notes: Notes::from_bits(notes),
        party: Party {
            account: AccountId::new(party.account),
            extension: party.extension.map(ExtensionId::new),
            id: PartyId { session: TelephonySessionId::new(party.id.0), number: party.id.1 },
            direction: word("direction", party.direction)?,
            to: Arc::new(party.to.endpoint()),
            from: Arc::new(party.from.endpoint()),
            status,
            park: party.park.map(Arc::from),
            missed_call: party.missed_call,
            stand_alone: party.stand_alone,
            muted: party.muted,
            conference_role: party.conference_role.map(|text| word("conference role", text)).transpose()?,
            ring_out_role: party.ring_out_role.map(|text| word("RingOut role", text)).transpose()?,
            queue_call: party.queue_call,
            recordings: party
                .recordings
                .iter()
                .map(|&(id, active)| Recording { id: RecordingId::new(id), active })
                .collect(),
            sip: party.sip.map(|(call_id, from_tag, to_tag)| {
                Arc::new(SipData {
                    call_id: call_id.into(),
                    from_tag: from_tag.into(),
                    to_tag: to_tag.map(Arc::from),
                })
            }),
        },
    })
}

impl<'a> EndpointRecord<'a> {
    fn of(endpoint: &'a Endpoint) -> Self {
        Self {
            phone_number: endpoint.phone_number.as_deref(),
            sent_number: endpoint.sent_number.as_deref(),
            name: endpoint.name.as_deref(),
            extension: endpoint.extension.map(ExtensionId::as_u64),
            device: endpoint.device.map(DeviceId::as_u64),
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            phone_number: self.phone_number.map(Arc::from),
            sent_number: self.sent_number.map(Arc::from),
            name: self.name.map(Arc::from),
            extension: self.extension.map(ExtensionId::new),
            device: self.device.map(DeviceId::new),
        }
    }
}

fn append(record: &impl Serialize, out: &mut Vec<u8>) {
    let taken = std::mem::take(out);
    *out = postcard::to_extend(record, taken).expect("writing to memory does not fail");
}

fn word<T: FromStr>(what: &'static str, text: &str) -> Result<T, RecordError> {
    text.parse().map_err(|_| RecordError::Word { what, word: text.to_owned() })
}

fn rule(name: &str) -> Result<Rule, RecordError> {
    let rule = Rule::ALL.iter().copied().find(|rule| rule.name() == name);
    rule.ok_or_else(|| RecordError::Word { what: "rule", word: name.to_owned() })
}
