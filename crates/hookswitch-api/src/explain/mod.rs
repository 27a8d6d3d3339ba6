//! Explanations: for each event the inputs that caused it and the rule, for each subscription why it was told or not,
//! and what became of that.
//!
//! All of it is read from the store, so that it can be asked of a running server and of one that is gone.
//! The shapes are those of the API, and the command prints the same.

mod belonging;
mod delivery;
mod hosts;
mod input;
mod session;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use hookswitch_core::delivery::Stage;
use hookswitch_core::directory::Directory;
use hookswitch_core::filter::Projection;
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_core::presence::ActiveCalls;
use hookswitch_model::{AccountId, Event, ExtensionId, Logged, Note, SubscriptionId, TelephonySessionId};
use hookswitch_server::control::{ActionRecord, Operation, actions_of};
use hookswitch_server::subscriptions::{Stored, stored};
use hookswitch_store::{Reader, StoreError};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use self::belonging::positions_of_calls;
pub(crate) use self::belonging::{Belonging, stretch};
pub(crate) use self::delivery::Delivery;
use self::hosts::{Host, Hosts};
pub use self::input::{Input, Sources};
pub(crate) use self::session::{COLUMNS, SessionSummary};
pub use self::text::{is_unsafe, write as write_text};

/// Length of the stretch of the signal log in which all inputs of a call are looked for.
const ALL_INPUTS_MAX: u64 = 20_000;

/// The most subscriptions that are told of for each event to which it was not told.
const UNMATCHED_MAX: usize = 50;

/// How many events before and behind those of a session, and how many at most, are looked at for others that
/// name it.
const LINKS_AROUND: u64 = 500;
const LINKS_LOOKED_AT_MAX: u64 = 20_000;

/// The most linked sessions that are told of in short.
const LINKED_MAX: usize = 16;

/// Thing that an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A session, by its id.
    Session(TelephonySessionId),
    /// An event by its session and sequence.
    Event(TelephonySessionId, u32),
    /// A position of the event log, or the `uuid` of a notification.
    Number(u64),
}

impl Named {
    /// Reads `s-…`, `s-…:SEQUENCE`, a position or a `uuid`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Number(number));
        }
        match text.split_once(':') {
            None => session_id(text).map(Self::Session),
            Some((session, sequence)) => Some(Self::Event(session_id(session)?, sequence.parse().ok()?)),
        }
    }
}

/// Reads the text form of a session's id.
pub fn session_id(text: &str) -> Option<TelephonySessionId> {
    TelephonySessionId::parse(text)
}

/// The rule by which an event followed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleBody {
    name: &'static str,
    /// The rule in the words of a telephony engineer.
    pub text: &'static str,
}

/// An event and what caused it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The session, a colon and the sequence.
    pub id: String,
    /// Position in the event log.
    pub position: u64,
    pub(crate) sequence: u32,
    /// Time when it happened, by the clock of the source.
    pub time: String,
    /// Time when it came about, by the clock of the server.
    pub(crate) stored_time: String,
    pub(crate) party_id: String,
    pub(crate) status_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The event as a row for people.
    pub text: String,
    pub(crate) rule: RuleBody,
    /// Set if no source reported it.
    pub(crate) inferred: bool,
    /// Notes on its sources.
    pub notes: Vec<&'static str>,
    /// Who asked for it by the API, if somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The positions of the inputs that caused it.
    pub causes: Vec<u64>,
    /// Those of them that are in the signal log no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) swept_causes: Vec<u64>,
    /// As it is published, for a subscription that is none.
    #[schema(value_type = Object)]
    pub notification: Box<RawValue>,
}

/// An action by which somebody asked for what an event tells.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The id of the action.
    pub action_id: String,
    /// What was asked for.
    pub operation: &'static str,
    /// When, by the clock of the server.
    pub time: String,
    /// The extension of the user who asked.
    pub extension_id: String,
    /// The application.
    pub client_id: String,
}

impl Asked {
    /// The last of some actions that may have brought an event about.
    fn of(logged: &Logged, actions: &[ActionRecord]) -> Option<Self> {
        let party = logged.event.party.id;
        let action = actions.iter().rfind(|action| action.may_have_caused(party, logged.arrival))?;
        Some(Self {
            action_id: action.id.to_string(),
            operation: action.operation.as_ref().map_or("call out", Operation::name),
            time: action.at.to_string(),
            extension_id: action.by.extension.to_string(),
            client_id: action.by.client.clone(),
        })
    }
}

/// A session: how it went, what it was told by, and who was told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    pub(crate) session: SessionSummary,
    pub(crate) events: Vec<Explained>,
    /// The inputs that caused the events, or all of the call, in the order in which they came.
    pub inputs: Vec<Input>,
    /// Reason why there are not all, if all were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inputs_left_out: Option<String>,
    /// The hosts between which the SIP among the inputs went.
    pub(crate) hosts: Vec<Host>,
    pub(crate) deliveries: Vec<Delivery>,
    /// Number of deliveries that are left out, of events that were not told.
    pub(crate) deliveries_left_out: usize,
    /// Sessions with which it has parties or media in common.
    pub(crate) linked: Vec<String>,
    /// Those of them that are kept, in short; 16 at most.
    pub(crate) linked_calls: Vec<SessionSummary>,
    /// Value of `after` for the events that follow; missing when there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

impl Story {
    /// Names the phones among the hosts by the directory, as it is now.
    pub(crate) fn name_hosts(&mut self, directory: &Directory) {
        let own = |id: &AccountId| id.to_string() == self.session.account_id;
        let Some(account) = directory.accounts().find(|account| own(&account.id())) else { return };
        self.hosts.iter_mut().for_each(|host| host.name_by(account));
    }
}

/// Selection of a session's events: those behind a sequence, so many at most. Inputs, deliveries and links are
/// those of these events.
#[derive(Clone, Copy, Debug)]
pub struct Events {
    /// The sequence.
    pub after: u32,
    /// How many.
    pub limit: usize,
}

impl Default for Events {
    /// As many as a page has, from the first on.
    fn default() -> Self {
        Self { after: 0, limit: EVENTS_PAGE }
    }
}

/// The most events of a session on a page: of one call there may be tens of thousands.
pub const EVENTS_PAGE: usize = 500;

/// One event: what it was told by, and who was told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventStory {
    pub(crate) telephony_session_id: String,
    #[serde(flatten)]
    pub(crate) event: Explained,
    pub(crate) inputs: Vec<Input>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) deliveries_left_out: usize,
}

/// Selection of inputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Set if they come with their bytes.
    pub raw: bool,
    /// Set if those of the call come that caused no event, too.
    pub all: bool,
}

/// Reads why, for one account or for all.
pub struct Explainer<'a> {
    reader: &'a Reader,
    account: Option<AccountId>,
    subscriptions: Vec<Stored>,
    sources: Sources,
    /// Behind this event attempts are written down.
    journal_from: u64,
}

impl<'a> Explainer<'a> {
    /// Looks at a store with the eyes of an account, or of an operator of all.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(reader: &'a Reader, account: Option<AccountId>) -> Result<Self, StoreError> {
        let mut subscriptions = stored(reader)?;
        subscriptions.sort_by_key(|one| (one.kept.subscription.created, one.kept.subscription.id));
        Ok(Self {
            reader,
            account,
            subscriptions,
            sources: Sources::read(reader)?,
            journal_from: reader.swept("attempts")?,
        })
    }

    /// A session, if it is kept and may be seen.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn session(
        &self,
        id: TelephonySessionId,
        wanted: Wanted,
        page: Events,
    ) -> Result<Option<Story>, StoreError> {
        let first = self.reader.events_of_after(id, 0, 1)?;
        let Some(summary) = SessionSummary::read(self.reader, id)?.filter(|_| sees(self.account, &first))
        else {
            return Ok(None);
        };
        let mut events = self.reader.events_of_after(id, page.after, page.limit.saturating_add(1))?;
        let has_more = events.len() > page.limit;
        events.truncate(page.limit);
        let next = events.last().filter(|_| has_more).map(|last| last.event.sequence);
        let mut positions = causes(&events);
        let mut inputs_left_out = None;
        if wanted.all {
            match positions_of_calls(self.reader, &events, ALL_INPUTS_MAX) {
                Ok(all) => positions.extend(all),
                Err(error) => inputs_left_out = Some(format!("{error:#}")),
            }
        }
        let linked = linked(self.reader, id, &events)?;
        let mut linked_calls = Vec::new();
        for &other in linked.iter().take(LINKED_MAX) {
            let theirs = SessionSummary::read(self.reader, other)?;
            linked_calls.extend(theirs.filter(|theirs| theirs.account_id == summary.account_id));
        }
        let mut hosts = Hosts::default();
        let inputs = self.inputs(&positions, wanted, &mut hosts)?;
        let (deliveries, deliveries_left_out) = self.deliveries(&events)?;
        let actions = actions_of(self.reader, id)?;
        Ok(Some(Story {
            session: summary,
            events: events.iter().map(|logged| explained(logged, &inputs, &actions)).collect(),
            inputs,
            inputs_left_out,
            hosts: hosts.into_list(),
            deliveries,
            deliveries_left_out,
            linked: linked.iter().map(ToString::to_string).collect(),
            linked_calls,
            next,
        }))
    }

    /// An event by its session and sequence, its position or the `uuid` of one of its notifications.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn event(&self, named: Named, wanted: Wanted) -> Result<Option<EventStory>, StoreError> {
        let events = match named {
            Named::Session(_) => Vec::new(),
            Named::Event(session, sequence) => {
                let mut events = self.reader.events_of_after(session, sequence.saturating_sub(1), 1)?;
                events.retain(|logged| logged.event.sequence == sequence);
                events
            }
            Named::Number(number) => {
                let mut events = self.reader.events_at(&[number])?;
                if events.is_empty()
                    && let Some(position) = self.find_notification(number)?
                {
                    events = self.reader.events_at(&[position])?;
                }
                events
            }
        };
        let Some(logged) = events.first().filter(|_| sees(self.account, &events)) else { return Ok(None) };
        let inputs = self.inputs(&causes(&events), wanted, &mut Hosts::default())?;
        let (deliveries, deliveries_left_out) = self.deliveries(&events)?;
        let actions = actions_of(self.reader, logged.event.session.id)?;
        Ok(Some(EventStory {
            telephony_session_id: logged.event.session.id.to_string(),
            event: explained(logged, &inputs, &actions),
            inputs,
            deliveries,
            deliveries_left_out,
        }))
    }

    /// The event of which a notification with this `uuid` tells a subscription that is known.
    fn find_notification(&self, uuid: u64) -> Result<Option<u64>, StoreError> {
        let subscribers: Vec<Subscriber> = self
            .subscriptions
            .iter()
            .map(|one| &one.kept.subscription)
            .filter(|subscription| self.account.is_none_or(|account| account == subscription.owner.account))
            .map(|subscription| Subscriber::new(subscription.id, subscription.owner.extension, SERVER_ID))
            .collect();
        if subscribers.is_empty() {
            return Ok(None);
        }
        self.reader.find_event(|session, sequence| {
            subscribers
                .iter()
                .any(|subscriber| subscriber.notification_id_of(session, sequence).as_u64() == uuid)
        })
    }

    /// The inputs at some positions, as far as they are kept, and what they say of hosts.
    fn inputs(
        &self,
        positions: &BTreeSet<u64>,
        wanted: Wanted,
        hosts: &mut Hosts,
    ) -> Result<Vec<Input>, StoreError> {
        let mut inputs = Vec::with_capacity(positions.len());
        for &position in positions {
            let read = self.reader.each_between(position, position, |logged| {
                inputs.push(Input::of(&logged, &self.sources, wanted.raw, self.account)?);
                hosts.note(&logged, &self.sources);
                Ok(())
            });
            read.map_err(StoreError::Log)?;
        }
        Ok(inputs)
    }

    /// Some events of a session with the changes of extensions' calls that they made, if a subscription hears of such.
    fn with_changes(&self, events: &[Logged]) -> Result<Vec<Logged>, StoreError> {
        let mut changed = events.to_vec();
        let wants = self.subscriptions.iter().any(|one| one.kept.subscription.wants_changes());
        let Some(last) = events.last().filter(|_| wants) else { return Ok(changed) };
        // Whether a filter is told follows from what the party was before, and so from the session alone.
        let (id, mut calls, mut after) = (last.event.session.id, ActiveCalls::default(), 0);
        loop {
            let read = self.reader.events_of_after(id, after, EVENTS_PAGE)?;
            for logged in &read {
                let change = calls.apply(&logged.event, logged.position).map(Arc::new);
                if let Some(wanted) = changed.iter_mut().find(|one| one.position == logged.position) {
                    wanted.change = change;
                }
            }
            match read.last() {
                Some(newest) if newest.position < last.position => after = newest.event.sequence,
                _ => return Ok(changed),
            }
        }
    }

    /// Returns what each subscription was told of some events, and how many are left out that were not told.
    fn deliveries(&self, events: &[Logged]) -> Result<(Vec<Delivery>, usize), StoreError> {
        let (mut deliveries, mut left_out) = (Vec::new(), 0);
        for logged in &self.with_changes(events)? {
            let mut attempts = self.reader.attempts_of(logged.position)?;
            let mut unmatched = 0;
            for one in &self.subscriptions {
                let subscription = &one.kept.subscription;
                if subscription.owner.account != logged.event.session.account {
                    continue;
                }
                let own: Vec<_> =
                    attempts.extract_if(.., |attempt| attempt.subscription == subscription.id).collect();
                let delivery = Delivery::of(logged, one, &own, self.journal_from, self.reader)?;
                if !delivery.is_told() {
                    unmatched += 1;
                    if unmatched > UNMATCHED_MAX {
                        left_out += 1;
                        continue;
                    }
                }
                deliveries.push(delivery);
            }
            // What is left is of subscriptions that are not known any more, or of redeliveries to addresses.
            while let Some(first) = attempts.first() {
                let id = first.subscription;
                let own: Vec<_> = attempts.extract_if(.., |attempt| attempt.subscription == id).collect();
                deliveries.push(Delivery::of_unknown(logged, id, &own));
            }
        }
        Ok((deliveries, left_out))
    }
}

/// Returns `true` if somebody sees a session by its events.
fn sees(account: Option<AccountId>, events: &[Logged]) -> bool {
    events.first().is_some_and(|logged| account.is_none_or(|own| own == logged.event.session.account))
}

/// The sessions with which one has parties or media in common: those that it names, those that name it
/// while it goes on, and those in which its call went on before and after an end that was inferred.
///
/// # Errors
/// If the store cannot be read.
pub(crate) fn linked(
    reader: &Reader,
    id: TelephonySessionId,
    events: &[Logged],
) -> Result<BTreeSet<TelephonySessionId>, StoreError> {
    let mut found: BTreeSet<_> = events.iter().flat_map(|logged| names(&logged.event)).collect();
    let positions = events.iter().map(|logged| logged.position);
    if let (Some(first), Some(last)) = (positions.clone().min(), positions.max()) {
        let mut after = first.saturating_sub(LINKS_AROUND);
        let end = (last + LINKS_AROUND).min(after + LINKS_LOOKED_AT_MAX);
        while after < end {
            let read = reader.events_after(after, 500)?;
            let Some(last) = read.last() else { break };
            after = last.position;
            let naming = read.iter().filter(|logged| names(&logged.event).any(|named| named == id));
            found.extend(naming.map(|logged| logged.event.session.id));
        }
    }
    let account = events.first().map(|logged| logged.event.session.account);
    for other in [id.resumed_from(), id.resumed()] {
        let theirs = reader.events_of(other)?;
        if theirs.first().is_some_and(|logged| Some(logged.event.session.account) == account) {
            found.insert(other);
        }
    }
    found.remove(&id);
    Ok(found)
}

/// The sessions that an event names.
fn names(event: &Event) -> impl Iterator<Item = TelephonySessionId> + use<> {
    let party = &event.party;
    [Some(party.id.session), party.status.peer.as_ref().map(|peer| peer.party.session)].into_iter().flatten()
}

/// An event as a row for people.
pub fn row(event: &Event) -> String {
    let party = &event.party;
    let side = if party.direction == hookswitch_model::Direction::Outbound { &party.from } else { &party.to };
    let mut row = format!("p{} {}", party.id.number, party.direction);
    let (number, name) = (side.phone_number.as_deref(), side.name.as_deref());
    for word in [number, name].into_iter().flatten().chain([party.status.code.as_str()]) {
        row.push(' ');
        row.push_str(word);
    }
    if let Some(reason) = party.status.reason {
        row.push(' ');
        row.push_str(reason.as_str());
    }
    if party.missed_call {
        row.push_str(" missed");
    }
    row
}

/// The positions of the inputs that caused some events.
fn causes(events: &[Logged]) -> BTreeSet<u64> {
    events.iter().flat_map(|logged| logged.event.causes.iter()).map(|cause| cause.number).collect()
}

fn explained(logged: &Logged, inputs: &[Input], actions: &[ActionRecord]) -> Explained {
    let event = &logged.event;
    let party = &event.party;
    let causes: Vec<u64> = event.causes.iter().map(|cause| cause.number).collect();
    let is_kept = |cause: &u64| inputs.iter().any(|input| input.position == *cause);
    Explained {
        id: format!("{}:{}", event.session.id, event.sequence),
        position: logged.position,
        sequence: event.sequence,
        time: event.at.to_string(),
        stored_time: logged.arrival.to_string(),
        party_id: party.id.to_string(),
        status_code: party.status.code.to_string(),
        reason: party.status.reason.map(|reason| reason.to_string()),
        text: row(event),
        rule: RuleBody { name: event.rule.name(), text: event.rule.as_str() },
        inferred: event.rule.is_inferred(),
        notes: event.notes.iter().map(Note::as_str).collect(),
        asked: Asked::of(logged, actions),
        swept_causes: causes.iter().copied().filter(|cause| !is_kept(cause)).collect(),
        causes,
        notification: notification(event),
    }
}

/// An event as it is published, for a subscription that is none: its ids are made up from the account.
pub fn notification(event: &Event) -> Box<RawValue> {
    let account = event.session.account;
    let filter = format!("/restapi/v1.0/account/{account}/telephony/sessions");
    let subscriber = Subscriber::of_replay(&[filter], ExtensionId::new(account.as_u64()));
    let mut json = Vec::new();
    subscriber.write(event, Projection::WHOLE, event.at, &mut json);
    let json = String::from_utf8_lossy(&json).into_owned();
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Returns what a running server knows of deliveries that are not done.
pub(crate) fn unfinished(deliveries: &[Delivery]) -> Vec<(SubscriptionId, TelephonySessionId, u64)> {
    deliveries.iter().filter_map(Delivery::unfinished).collect()
}

/// Takes over of deliveries that are not done that their subscription is suspended, which `why` tells.
pub(crate) fn withhold(deliveries: &mut [Delivery], why: impl Fn(SubscriptionId) -> Option<String>) {
    for delivery in deliveries {
        if let Some((id, ..)) = delivery.unfinished()
            && let Some(reason) = why(id)
        {
            delivery.withhold(&reason);
        }
    }
}

/// Takes over what a running server knows of those.
pub(crate) fn refine(deliveries: &mut [Delivery], stages: &[Option<Stage>]) {
    let unfinished = deliveries.iter_mut().filter(|delivery| delivery.unfinished().is_some());
    for (delivery, stage) in unfinished.zip(stages) {
        if let Some(stage) = stage {
            delivery.refine(*stage);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hookswitch_core::filter::{EventFilter, Own};
    use hookswitch_model::{
        Causes, Direction, Endpoint, InputRef, Notes, Origin, Party, Rule, SessionFacts, SessionId, Status,
        StatusCode, Timestamp,
    };
    use hookswitch_store::{Batch, Durability, Options, Store, kind};

    use super::*;

    #[test]
    fn ids_say_what_they_name() {
        let text = "s-00112233445566778899aabbccddeeff";
        let id = TelephonySessionId::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(Named::parse(text), Some(Named::Session(id)));
        assert_eq!(Named::parse(&format!("{text}:5")), Some(Named::Event(id, 5)));
        assert_eq!(Named::parse("77"), Some(Named::Number(77)));
        for wrong in ["", "s-", "s-00", "s-00112233445566778899AABBCCDDEEFF", "-1", "x:5"] {
            assert_eq!(Named::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Named::parse(&format!("{text}:x")), None);
    }

    /// The first event of a session of an account, caused by the input at this position.
    fn event(account: u64, session: u128, cause: u64) -> Event {
        let (account, id) = (AccountId::new(account), TelephonySessionId::new(session));
        let side = |number: &str| {
            Arc::new(Endpoint { phone_number: Some(Arc::from(number)), ..Endpoint::default() })
        };
        let status = Status {
            code: StatusCode::Setup,
            reason: None,
            park_data: None,
            peer: None,
            mobile_pickup: false,
        };
        Event {
            session: Arc::new(SessionFacts {
                account,
                id,
                session_id: SessionId::new(5000),
                origin: Origin::Call,
            }),
            sequence: 2,
            at: Timestamp::from_micros(1_700_000_000_000_000),
            party: Party {
                account,
                extension: None,
                id: id.party(1),
                direction: Direction::Outbound,
                to: side("102"),
                from: side("101"),
                status,
                park: None,
                missed_call: false,
                stand_alone: false,
                muted: false,
                conference_role: None,
                ring_out_role: None,
                queue_call: false,
                recordings: Vec::new(),
                sip: None,
            },
            rule: Rule::CallSeen,
            causes: Causes::one(InputRef { source: 1, number: cause }),
            notes: Notes::default(),
        }
    }

    #[test]
    fn an_account_sees_its_own_sessions_and_those_of_no_other() {
        let directory = std::env::temp_dir().join(format!("hookswitch-explain-{}", std::process::id()));
        let kept = Duration::from_secs(3600);
        let options = Options {
            durability: Durability::Relaxed,
            partitions: 1,
            is_copy: false,
            signals_kept: kept,
            events_kept: kept,
        };
        let (store, writer) =
            Store::open(&directory, options, hookswitch_store::Metrics::default()).expect("a store");
        let (done, written) = std::sync::mpsc::channel();
        let mut batch = Batch::after(store.partition(), store.ends());
        let arrival = hookswitch_server::clock::wall();
        let listing =
            b"Answer-To: show channels as json\nContent-Type: api/response\nContent-Length: 2\n\n{}";
        for (account, session) in [(1, 11), (2, 22), (1, 33)] {
            let cause = batch.add_input(kind::MANAGER, 1, arrival, arrival, listing);
            batch.add_event(event(account, session, cause), arrival);
        }
        batch.add_waiting(Box::new(move || done.send(()).expect("the test waits")));
        store.append(batch).expect("it is written");
        written.recv().expect("it is written");
        let seen = |account: Option<u64>| {
            let account = account.map(AccountId::new);
            let read = store.read(|reader| {
                let explainer = Explainer::new(reader, account)?;
                let mut found = Vec::new();
                for (position, session) in [(1, 11), (2, 22), (3, 33)] {
                    let id = TelephonySessionId::new(session);
                    let wanted = Wanted::default();
                    let by = [
                        explainer.session(id, wanted, Events::default())?.is_some(),
                        explainer.event(Named::Event(id, 2), wanted)?.is_some(),
                        explainer.event(Named::Number(position), wanted)?.is_some(),
                    ];
                    assert!(by.iter().all(|one| *one == by[0]), "{session}: {by:?}");
                    found.push(by[0]);
                }
                Ok(found)
            });
            read.expect("it is read")
        };
        assert_eq!(seen(None), [true, true, true]);
        assert_eq!(seen(Some(1)), [true, false, true]);
        assert_eq!(seen(Some(2)), [false, true, false]);
        assert_eq!(seen(Some(3)), [false, false, false]);
        // What lists the calls of all accounts is shown to who sees them all.
        let raw = |account: Option<u64>| {
            let wanted = Wanted { raw: true, all: false };
            let read = store.read(|reader| {
                let explainer = Explainer::new(reader, account.map(AccountId::new))?;
                explainer.session(TelephonySessionId::new(11), wanted, Events::default())
            });
            read.expect("it is read").expect("it is seen").inputs[0].raw.is_some()
        };
        assert_eq!((raw(None), raw(Some(1))), (true, false));
        // A capture is of what is seen.
        let capture = |account| {
            let account = Some(AccountId::new(account));
            store.read(|reader| Ok(crate::capture::of(reader, account, TelephonySessionId::new(11), false)))
        };
        assert!(capture(2).expect("it is read").expect("nothing is wrong").is_none());
        assert!(capture(1).expect("it is read").is_err(), "there is no message, but it is looked for");
        let own = Own { account: AccountId::new(1), extension: ExtensionId::new(1) };
        let filter = EventFilter::parse(hookswitch_server::config::FILTER, own).expect("a filter");
        assert!(filter.explain(&event(2, 22, 1)).failed().is_some());
        writer.close(store);
        std::fs::remove_dir_all(directory).expect("it goes away");
    }

    #[test]
    fn a_call_of_many_events_is_read_by_pages_and_none_is_left_out() {
        let directory = std::env::temp_dir().join(format!("hookswitch-pages-{}", std::process::id()));
        let kept = Duration::from_secs(3600);
        let options = Options {
            durability: Durability::Relaxed,
            partitions: 1,
            is_copy: false,
            signals_kept: kept,
            events_kept: kept,
        };
        let (store, writer) =
            Store::open(&directory, options, hookswitch_store::Metrics::default()).expect("a store");
        let (done, written) = std::sync::mpsc::channel();
        let mut batch = Batch::after(store.partition(), store.ends());
        let arrival = hookswitch_server::clock::wall();
        let count = 2 * u32::try_from(EVENTS_PAGE).expect("it fits") + 7;
        for sequence in 2..count + 2 {
            batch.add_event(Event { sequence, ..event(1, 11, 1) }, arrival);
        }
        batch.add_waiting(Box::new(move || done.send(()).expect("the test waits")));
        store.append(batch).expect("it is written");
        written.recv().expect("it is written");
        let (mut page, mut pages, mut sequences) = (Events::default(), 0, Vec::new());
        loop {
            let read = store.read(|reader| {
                let id = TelephonySessionId::new(11);
                Explainer::new(reader, None)?.session(id, Wanted::default(), page)
            });
            let story = read.expect("it is read").expect("it is there");
            assert!(story.events.len() <= EVENTS_PAGE);
            let summary = serde_json::to_value(&story.session).expect("JSON");
            assert_eq!(summary["events"], count, "the summary is of the whole call");
            sequences.extend(story.events.iter().map(|event| event.sequence));
            pages += 1;
            let Some(next) = story.next else { break };
            page.after = next;
        }
        assert_eq!((pages, sequences), (3, (2..count + 2).collect::<Vec<_>>()));
        writer.close(store);
        std::fs::remove_dir_all(directory).expect("it goes away");
    }
}
