//! From posted JSON to signals: for switches that have no adapter of their own.
//!
//! A posted signal is one fact about one leg, in the words of the model. Its client names the legs;
//! `docs/ingest.md` is the schema.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookswitch_model::{
    AccountId, Alias, Caller, Cause, Direction, FarEnd, InputRef, LegCreated, LegId, LegRelation, Mailbox,
    Reason, RecordingId, RingOutRole, Service, Signal, SignalKind, SipData, Timestamp, Transfer,
};
use serde::{Deserialize, Serialize};

/// The most legs that are known at once; beyond it those that were created first are forgotten.
const LEGS_MAX: usize = 1_000_000;

/// How many legs stay known after their end, for what is told late.
const ENDED_KEPT: usize = 1_000;

/// The longest text of a posted signal, in bytes: a name, a number, a tag.
const TEXT_BYTES_MAX: usize = 256;

/// The most names of a call.
const NAMES_MAX: usize = 16;

/// The longest time without a sign of life that a signal may ask for, in seconds.
const ALIVE_SECONDS_MAX: u64 = 7 * 86_400;

/// Reason why a posted signal is not one.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The JSON is malformed, has an unknown key, or a value of another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A key is missing that the kind needs.
    #[error("a signal of kind {kind:?} needs {key:?}")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A key is there that the kind does not have.
    #[error("a signal of kind {kind:?} has no {key:?}")]
    Foreign {
        /// The kind.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A value is out of its range.
    #[error("{key:?} is {what}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong, and the fix.
        what: &'static str,
    },
}

/// A posted signal that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The id by which the client may repeat it, and it counts once.
    pub id: String,
    /// Time when it happened, if the client says so.
    pub at: Option<Timestamp>,
    /// The account in which it happened, if the client says so.
    pub account: Option<AccountId>,
    leg: Box<str>,
    told: PostedSignal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PostedSignal {
    Created(Box<Created>),
    TransferAsked {
        transfer: Box<Transfer>,
        consulted: Option<Box<str>>,
    },
    /// Something between this leg and another.
    Between {
        how: Between,
        other: Box<str>,
    },
    Other(SignalKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    PickedUp,
    Retrieved,
    Supervises,
}

/// A new leg, with the names of the legs that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Created {
    leg: LegCreated,
    of: Option<Box<str>>,
    place: Option<(RelationKind, Box<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RelationKind {
    Replaces,
    Joins,
    SamePartyAs,
}

macro_rules! fields {
    ($($key:ident: $type:ty),+ $(,)?) => {
        /// All keys of all kinds.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            id: String,
            leg: String,
            kind: Kind,
            at: Option<String>,
            account: Option<u64>,
            $($key: Option<$type>),+
        }

        impl Fields {
            /// The first key that no one has taken.
            fn left(&self) -> Option<&'static str> {
                $(if self.$key.is_some() { return Some(stringify!($key)); })+
                None
            }
        }
    };
}

fields! {
    direction: Way,
    of: String,
    caller: CallerFields,
    callee: String,
    callee_name: String,
    callee_host: String,
    src: SocketAddr,
    dst: SocketAddr,
    sent_by: SocketAddr,
    endpoint: String,
    agent: String,
    far_end: FarEndWord,
    call_ids: Vec<String>,
    session_ids: Vec<String>,
    correlation_ids: Vec<String>,
    sip: SipFields,
    ring_out_role: String,
    service: ServiceWord,
    from_queue: bool,
    sent_by_server: bool,
    place: PlaceFields,
    mailbox: MailboxFields,
    diverted_by: String,
    is_automaton: bool,
    to_tag: String,
    name: String,
    owns: bool,
    slot: String,
    by: String,
    whom: String,
    on: bool,
    recording: u64,
    seconds: u64,
    to: String,
    to_host: String,
    consulted: String,
    by_code: bool,
    succeeded: bool,
    cause: CauseWord,
    reason: String,
}

macro_rules! kinds {
    ($($variant:ident = $word:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        enum Kind { $(#[serde(rename = $word)] $variant),+ }

        impl Kind {
            const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

kinds! {
    Created = "created",
    Challenged = "challenged",
    Relayed = "relayed",
    TriedAgain = "tried_again",
    Ringing = "ringing",
    Answered = "answered",
    Automaton = "automaton",
    Focus = "focus",
    ServedBy = "served_by",
    Held = "held",
    Resumed = "resumed",
    Parked = "parked",
    ParkRanOut = "park_ran_out",
    PickedUp = "picked_up",
    Retrieved = "retrieved",
    Supervises = "supervises",
    SentToVoicemail = "sent_to_voicemail",
    Screened = "screened",
    FaxStarted = "fax_started",
    TransferAsked = "transfer_asked",
    TransferDone = "transfer_done",
    Muted = "muted",
    Recording = "recording",
    Alive = "alive",
    Ended = "ended",
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Outbound,
    Inbound,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FarEndWord {
    Unknown,
    Server,
    Switch,
    Endpoint,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ServiceWord {
    Menu,
    Queue,
    Voicemail,
    Fax,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CauseWord {
    HungUp,
    Cancelled,
    Withdrawn,
    AnsweredElsewhere,
    NoAnswer,
    Busy,
    Rejected,
    Redirected,
    UnknownNumber,
    Blocked,
    InternationalBarred,
    NoFunds,
    Failed,
    Lost,
}

impl CauseWord {
    const fn cause(self) -> Cause {
        match self {
            Self::HungUp => Cause::HungUp,
            Self::Cancelled => Cause::Cancelled,
            Self::Withdrawn => Cause::Withdrawn,
            Self::AnsweredElsewhere => Cause::AnsweredElsewhere,
            Self::NoAnswer => Cause::NoAnswer,
            Self::Busy => Cause::Busy,
            Self::Rejected => Cause::Rejected,
            Self::Redirected => Cause::Redirected,
            Self::UnknownNumber => Cause::UnknownNumber,
            Self::Blocked => Cause::Blocked,
            Self::InternationalBarred => Cause::InternationalBarred,
            Self::NoFunds => Cause::NoFunds,
            Self::Failed => Cause::Failed,
            Self::Lost => Cause::Lost,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerFields {
    number: Option<String>,
    name: Option<String>,
    host: Option<String>,
    #[serde(default)]
    withheld: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SipFields {
    call_id: String,
    from_tag: String,
    to_tag: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceFields {
    leg: String,
    how: RelationKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MailboxFields {
    of: String,
    cause: Option<CauseWord>,
}

impl Posted {
    /// Reads one signal.
    ///
    /// # Errors
    /// If the JSON does not fit the schema; the error names the key and what it may be.
    pub fn parse(json: &[u8]) -> Result<Self, IngestError> {
        let mut fields: Fields = serde_json::from_slice(json)?;
        text("id", &fields.id)?;
        text("leg", &fields.leg)?;
        let at = fields.at.as_deref().map(timestamp).transpose()?;
        if fields.account == Some(0) {
            return Err(IngestError::Value {
                key: "account",
                what: "0, which is none; give a positive number",
            });
        }
        let told = told(&mut fields)?;
        if let Some(key) = fields.left() {
            return Err(IngestError::Foreign { kind: fields.kind.as_str(), key });
        }
        let account = fields.account.map(AccountId::new);
        Ok(Self { id: fields.id, at, account, leg: fields.leg.into(), told })
    }
}

fn told(fields: &mut Fields) -> Result<PostedSignal, IngestError> {
    let kind = fields.kind;
    let missing = |key| IngestError::Missing { kind: kind.as_str(), key };
    let signal = match kind {
        Kind::Created => return Ok(PostedSignal::Created(Box::new(created(fields)?))),
        Kind::TransferAsked => {
            let transfer = Transfer {
                to: optional("to", fields.to.take())?.ok_or_else(|| missing("to"))?,
                to_host: optional("to_host", fields.to_host.take())?,
                consulted: None,
                by_code: fields.by_code.take().unwrap_or(false),
            };
            let consulted = optional("consulted", fields.consulted.take())?.map(|name| Box::from(&*name));
            return Ok(PostedSignal::TransferAsked { transfer: Box::new(transfer), consulted });
        }
        Kind::PickedUp => return between(kind, Between::PickedUp, "by", fields.by.take()),
        Kind::Retrieved => return between(kind, Between::Retrieved, "by", fields.by.take()),
        Kind::Supervises => return between(kind, Between::Supervises, "whom", fields.whom.take()),
        Kind::Automaton => SignalKind::Automaton,
        Kind::Focus => SignalKind::Focus {
            room: optional("name", fields.name.take())?.ok_or_else(|| missing("name"))?,
            owns: fields.owns.take().unwrap_or(false),
        },
        Kind::ParkRanOut => SignalKind::ParkRanOut,
        Kind::Challenged => SignalKind::Challenged,
        Kind::Relayed => SignalKind::Relayed,
        Kind::TriedAgain => SignalKind::TriedAgain,
        Kind::Ringing => SignalKind::Ringing { to_tag: optional("to_tag", fields.to_tag.take())? },
        Kind::Answered => SignalKind::Answered { to_tag: optional("to_tag", fields.to_tag.take())? },
        Kind::ServedBy => {
            SignalKind::ServedBy(optional("name", fields.name.take())?.ok_or_else(|| missing("name"))?)
        }
        Kind::Held => SignalKind::Held,
        Kind::Resumed => SignalKind::Resumed,
        Kind::Parked => SignalKind::Parked { slot: optional("slot", fields.slot.take())? },
        Kind::SentToVoicemail => SignalKind::SentToVoicemail,
        Kind::Screened => SignalKind::Screened,
        Kind::FaxStarted => SignalKind::FaxStarted,
        Kind::TransferDone => SignalKind::TransferDone {
            succeeded: fields.succeeded.take().ok_or_else(|| missing("succeeded"))?,
        },
        Kind::Muted => SignalKind::Muted(fields.on.take().ok_or_else(|| missing("on"))?),
        Kind::Recording => SignalKind::Recording {
            id: RecordingId::new(fields.recording.take().ok_or_else(|| missing("recording"))?),
            active: fields.on.take().ok_or_else(|| missing("on"))?,
        },
        Kind::Alive => {
            let seconds = fields.seconds.take().ok_or_else(|| missing("seconds"))?;
            if seconds > ALIVE_SECONDS_MAX {
                let what = "longer than a week; give 604800 at most";
                return Err(IngestError::Value { key: "seconds", what });
            }
            SignalKind::Alive { within: Some(Duration::from_secs(seconds)) }
        }
        Kind::Ended => SignalKind::Ended(match (fields.cause.take(), fields.reason.take()) {
            (cause, None) => cause.unwrap_or(CauseWord::HungUp).cause(),
            (None, Some(reason)) => Cause::Named(word::<Reason>(
                "reason",
                &reason,
                "no reason of the API; docs/reasons.md lists them",
            )?),
            (Some(_), Some(_)) => {
                let what = "given beside \"cause\"; give one of the two";
                return Err(IngestError::Value { key: "reason", what });
            }
        }),
    };
    Ok(PostedSignal::Other(signal))
}

fn between(
    kind: Kind,
    how: Between,
    key: &'static str,
    other: Option<String>,
) -> Result<PostedSignal, IngestError> {
    let other = other.ok_or(IngestError::Missing { kind: kind.as_str(), key })?;
    text(key, &other)?;
    Ok(PostedSignal::Between { how, other: other.into() })
}

fn created(fields: &mut Fields) -> Result<Created, IngestError> {
    let missing = |key| IngestError::Missing { kind: Kind::Created.as_str(), key };
    let direction = match fields.direction.take().ok_or_else(|| missing("direction"))? {
        Way::Outbound => Direction::Outbound,
        Way::Inbound => Direction::Inbound,
    };
    let of = optional("of", fields.of.take())?.map(|name| Box::from(&*name));
    if direction == Direction::Inbound && of.is_none() {
        return Err(missing("of"));
    }
    let caller = match fields.caller.take() {
        None => Caller::default(),
        Some(caller) => Caller {
            number: optional("number", caller.number)?,
            name: optional("name", caller.name)?,
            host: optional("host", caller.host)?,
            withheld: caller.withheld,
        },
    };
    let sip = match fields.sip.take() {
        None => None,
        Some(sip) => Some(Arc::new(SipData {
            call_id: optional("call_id", Some(sip.call_id))?.unwrap_or_default(),
            from_tag: sip.from_tag.into(),
            to_tag: sip.to_tag.map(Arc::from),
        })),
    };
    let place = match fields.place.take() {
        None => None,
        Some(place) => {
            text("place", &place.leg)?;
            Some((place.how, place.leg.into()))
        }
    };
    let mailbox = match fields.mailbox.take() {
        None => None,
        Some(mailbox) => {
            text("mailbox", &mailbox.of)?;
            Some(Mailbox { of: mailbox.of.into(), cause: mailbox.cause.map(CauseWord::cause) })
        }
    };
    let role = fields.ring_out_role.take();
    let role = role.map(|role| word::<RingOutRole>("ring_out_role", &role, "neither Initiator nor Target"));
    let leg = LegCreated {
        direction,
        of: None,
        caller,
        callee: optional("callee", fields.callee.take())?.ok_or_else(|| missing("callee"))?,
        callee_name: optional("callee_name", fields.callee_name.take())?,
        callee_host: optional("callee_host", fields.callee_host.take())?,
        src: fields.src.take(),
        dst: fields.dst.take(),
        sent_by: fields.sent_by.take(),
        endpoint: optional("endpoint", fields.endpoint.take())?,
        endpoint_domain: None,
        agent: optional("agent", fields.agent.take())?,
        // Who reports in the words of calls knows that its target is no server.
        far_end: match fields.far_end.take().unwrap_or(FarEndWord::Endpoint) {
            FarEndWord::Unknown => FarEnd::Unknown,
            FarEndWord::Server => FarEnd::Server,
            FarEndWord::Switch => FarEnd::Switch,
            FarEndWord::Endpoint => FarEnd::Endpoint,
        },
        aliases: aliases(fields)?,
        sip,
        ring_out_role: role.transpose()?,
        service: fields.service.take().map(|service| match service {
            ServiceWord::Menu => Service::Menu,
            ServiceWord::Queue => Service::Queue,
            ServiceWord::Voicemail => Service::Voicemail,
            ServiceWord::Fax => Service::Fax,
        }),
        from_queue: fields.from_queue.take().unwrap_or(false),
        reported: false,
        found_running: false,
        sent_by_server: fields.sent_by_server.take().unwrap_or(false),
        place: None,
        mailbox,
        diverted_by: optional("diverted_by", fields.diverted_by.take())?,
        called_first: None,
        offer: None,
        is_automaton: fields.is_automaton.take().unwrap_or(false),
    };
    Ok(Created { leg, of, place })
}

fn aliases(fields: &mut Fields) -> Result<Vec<Alias>, IngestError> {
    let mut aliases = Vec::new();
    for (key, names, alias) in [
        ("call_ids", fields.call_ids.take(), Alias::CallId as fn(Box<[u8]>) -> Alias),
        ("session_ids", fields.session_ids.take(), Alias::SessionId),
        ("correlation_ids", fields.correlation_ids.take(), Alias::Correlation),
    ] {
        for name in names.unwrap_or_default() {
            text(key, &name)?;
            aliases.push(alias(name.into_bytes().into()));
        }
        if aliases.len() > NAMES_MAX {
            return Err(IngestError::Value { key, what: "too many names of a call; give 16 at most" });
        }
    }
    Ok(aliases)
}

fn timestamp(text: &str) -> Result<Timestamp, IngestError> {
    let what = "no time; write it as in RFC 3339, such as \"2026-01-31T12:00:00.250Z\"";
    let at: jiff::Timestamp = text.parse().map_err(|_| IngestError::Value { key: "at", what })?;
    Ok(Timestamp::from_micros(at.as_microsecond()))
}

fn text(key: &'static str, text: &str) -> Result<(), IngestError> {
    let what = match text.len() {
        0 => "empty; leave it out, or give 1 to 256 bytes",
        1..=TEXT_BYTES_MAX => return Ok(()),
        _ => "too long; give 1 to 256 bytes",
    };
    Err(IngestError::Value { key, what })
}

fn optional(key: &'static str, value: Option<String>) -> Result<Option<Arc<str>>, IngestError> {
    let Some(value) = value else { return Ok(None) };
    text(key, &value)?;
    Ok(Some(value.into()))
}

fn word<T: std::str::FromStr>(key: &'static str, text: &str, what: &'static str) -> Result<T, IngestError> {
    text.parse().map_err(|_| IngestError::Value { key, what })
}

/// Follows the legs of one client.
#[derive(Serialize, Deserialize)]
pub struct Ingest {
    account: AccountId,
    source: u16,
    legs: HashMap<Box<str>, LegId, RandomState>,
    /// Names in the order in which they were given, with the leg that had them then.
    created: VecDeque<(Box<str>, LegId)>,
    ended: VecDeque<(Box<str>, LegId)>,
    next_leg: u64,
}

impl Ingest {
    /// Follows the legs of the client with this number, whose calls are those of an account.
    pub fn new(account: AccountId, source: u16) -> Self {
        Self {
            account,
            source,
            legs: HashMap::default(),
            created: VecDeque::new(),
            ended: VecDeque::new(),
            next_leg: 1,
        }
    }

    /// Translates a signal that was posted; `at` is when it happened.
    pub fn handle(&mut self, posted: Posted, at: Timestamp, input: InputRef) -> Signal {
        let Posted { account, leg: name, told, .. } = posted;
        let (account, account_given) = (account.unwrap_or(self.account), account.is_some());
        let (leg, kind) = match told {
            PostedSignal::Created(created) => {
                let Created { mut leg, of, place } = *created;
                leg.of = of.map(|name| self.leg(&name));
                leg.place = place.map(|(how, name)| {
                    let leg = self.leg(&name);
                    match how {
                        RelationKind::Replaces => LegRelation::Replaces(leg),
                        RelationKind::Joins => LegRelation::Joins(leg),
                        RelationKind::SamePartyAs => LegRelation::SamePartyAs(leg),
                    }
                });
                if leg.sip.is_none() && leg.direction == Direction::Outbound {
                    // The id of a session is derived from those of its first dialog, which this has not.
                    leg.sip = Some(Arc::new(SipData {
                        call_id: Arc::from(&*name),
                        from_tag: Arc::from(""),
                        to_tag: None,
                    }));
                }
                (self.create(name), SignalKind::Created(Box::new(leg)))
            }
            PostedSignal::TransferAsked { mut transfer, consulted } => {
                transfer.consulted = consulted.map(|name| self.leg(&name));
                (self.leg(&name), SignalKind::TransferAsked(transfer))
            }
            PostedSignal::Between { how, other } => {
                let other = self.leg(&other);
                let kind = match how {
                    Between::PickedUp => SignalKind::PickedUp { by: other },
                    Between::Retrieved => SignalKind::Retrieved { by: other },
                    Between::Supervises => SignalKind::Supervises { whom: other },
                };
                (self.leg(&name), kind)
            }
            PostedSignal::Other(kind) => {
                let leg = self.leg(&name);
                if matches!(kind, SignalKind::Ended(_)) {
                    self.end(name, leg);
                }
                (leg, kind)
            }
        };
        Signal { at, account, account_given, leg, input, kind }
    }

    /// The leg with a name; one that nobody knows if the name was not given.
    fn leg(&self, name: &str) -> LegId {
        self.legs.get(name).copied().unwrap_or(LegId::new(self.source, 0))
    }

    fn create(&mut self, name: Box<str>) -> LegId {
        while self.legs.len() >= LEGS_MAX {
            let Some((oldest, leg)) = self.created.pop_front() else { break };
            self.forget(&oldest, leg);
        }
        let leg = LegId::new(self.source, self.next_leg);
        self.next_leg += 1;
        self.legs.insert(name.clone(), leg);
        self.created.push_back((name, leg));
        leg
    }

    fn end(&mut self, name: Box<str>, leg: LegId) {
        self.ended.push_back((name, leg));
        if self.ended.len() > ENDED_KEPT
            && let Some((oldest, leg)) = self.ended.pop_front()
        {
            self.forget(&oldest, leg);
        }
        // What was forgotten by its end leaves its place here, until the front gets there.
        while self.created.front().is_some_and(|(name, leg)| self.legs.get(name) != Some(leg)) {
            self.created.pop_front();
        }
    }

    /// Forgets a name, if it is still that of the leg.
    fn forget(&mut self, name: &str, leg: LegId) {
        if self.legs.get(name) == Some(&leg) {
            self.legs.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        Posted::parse(json.as_bytes()).expect_err(json).to_string()
    }

    fn signal(ingest: &mut Ingest, json: &str) -> Signal {
        let posted = Posted::parse(json.as_bytes()).expect(json);
        let at = posted.at.unwrap_or_default();
        ingest.handle(posted, at, InputRef { source: 3, number: 9 })
    }

    #[test]
    fn a_call_is_told_leg_by_leg() {
        let mut ingest = Ingest::new(AccountId::new(7), 3);
        let caller = signal(
            &mut ingest,
            r#"{"id":"1","leg":"a","kind":"created","at":"2026-01-31T13:00:00.25+01:00","direction":"outbound",
                "callee":"102","caller":{"number":"101","name":"Ann"}}"#,
        );
        assert_eq!(caller.at, Timestamp::from_micros(1_769_860_800_250_000));
        assert_eq!((caller.account, caller.account_given), (AccountId::new(7), false));
        let SignalKind::Created(leg) = &caller.kind else { panic!("{caller:?}") };
        assert_eq!((leg.direction, &*leg.callee), (Direction::Outbound, "102"));
        let target = signal(
            &mut ingest,
            r#"{"id":"2","leg":"b","kind":"created","direction":"inbound","of":"a","callee":"102","account":8}"#,
        );
        assert_eq!((target.account, target.account_given), (AccountId::new(8), true));
        let SignalKind::Created(leg) = &target.kind else { panic!("{target:?}") };
        assert_eq!(leg.of, Some(caller.leg));
        let ended = signal(&mut ingest, r#"{"id":"3","leg":"b","kind":"ended","cause":"busy"}"#);
        assert_eq!((ended.leg, ended.kind), (target.leg, SignalKind::Ended(Cause::Busy)));
        let late = signal(&mut ingest, r#"{"id":"4","leg":"b","kind":"transfer_done","succeeded":true}"#);
        assert_eq!(late.leg, target.leg);
        let picked = signal(&mut ingest, r#"{"id":"6","leg":"b","kind":"picked_up","by":"a"}"#);
        assert_eq!((picked.leg, picked.kind), (target.leg, SignalKind::PickedUp { by: caller.leg }));
        let unknown = signal(&mut ingest, r#"{"id":"5","leg":"c","kind":"held"}"#);
        assert!(unknown.leg != caller.leg && unknown.leg != target.leg);
    }

    #[test]
    fn every_reason_can_be_named() {
        for reason in Reason::ALL {
            let json = format!(r#"{{"id":"1","leg":"a","kind":"ended","reason":"{reason}"}}"#);
            let ended = signal(&mut Ingest::new(AccountId::new(7), 3), &json);
            assert_eq!(ended.kind, SignalKind::Ended(Cause::Named(*reason)));
        }
    }

    #[test]
    fn what_does_not_fit_the_schema_is_refused_by_its_key() {
        for (json, named) in [
            ("{", "EOF"),
            ("[]", "expected struct"),
            (r#"{"id":"1","leg":"a","kind":"exploded"}"#, "unknown variant `exploded`"),
            (r#"{"id":"1","leg":"a","kind":"held","colour":"red"}"#, "unknown field `colour`"),
            (r#"{"id":"1","leg":"a","leg":"b","kind":"held"}"#, "duplicate field `leg`"),
            (r#"{"leg":"a","kind":"held"}"#, "missing field `id`"),
            (r#"{"id":"","leg":"a","kind":"held"}"#, "\"id\" is empty"),
            (r#"{"id":"1","leg":"a","kind":"held","account":0}"#, "\"account\" is 0"),
            (r#"{"id":"1","leg":"a","kind":"held","at":"noon"}"#, "\"at\" is no time"),
            (r#"{"id":"1","leg":"a","kind":"held","slot":"7"}"#, "kind \"held\" has no \"slot\""),
            (r#"{"id":"1","leg":"a","kind":"created"}"#, "needs \"direction\""),
            (r#"{"id":"1","leg":"a","kind":"created","direction":"outbound"}"#, "needs \"callee\""),
            (r#"{"id":"1","leg":"a","kind":"created","direction":"inbound","callee":"1"}"#, "needs \"of\""),
            (r#"{"id":"1","leg":"a","kind":"transfer_asked"}"#, "needs \"to\""),
            (r#"{"id":"1","leg":"a","kind":"picked_up"}"#, "needs \"by\""),
            (r#"{"id":"1","leg":"a","kind":"supervises","by":"b"}"#, "needs \"whom\""),
            (r#"{"id":"1","leg":"a","kind":"alive","seconds":1e9}"#, "invalid type"),
            (r#"{"id":"1","leg":"a","kind":"alive","seconds":1000000}"#, "longer than a week"),
            (r#"{"id":"1","leg":"a","kind":"ended","reason":"Boredom"}"#, "\"reason\" is no reason"),
            (r#"{"id":"1","leg":"a","kind":"ended","reason":"Pickup","cause":"busy"}"#, "one of the two"),
        ] {
            let error = refused(json);
            assert!(error.contains(named), "{json}: {error}");
        }
        let long = format!(r#"{{"id":"1","leg":"{}","kind":"held"}}"#, "x".repeat(257));
        assert!(refused(&long).contains("too long"));
    }

    #[test]
    fn names_are_forgotten_some_time_after_their_legs_have_ended() {
        let mut ingest = Ingest::new(AccountId::new(7), 3);
        for number in 0..3 * ENDED_KEPT {
            let create = format!(
                r#"{{"id":"1","leg":"{number}","kind":"created","direction":"outbound","callee":"1"}}"#
            );
            signal(&mut ingest, &create);
            signal(&mut ingest, &format!(r#"{{"id":"1","leg":"{number}","kind":"ended"}}"#));
        }
        assert_eq!(ingest.legs.len(), ENDED_KEPT);
        assert!(ingest.created.len() <= ENDED_KEPT + 1);
    }
}
