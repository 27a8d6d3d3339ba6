//! The one loop that owns the machine: takes what came in, lets time pass, hands all of it to the store.
//!
//! It waits for the store only when that is several batches behind, so the next batch is worked on
//! while the last is synced. Nobody is answered and nothing is told before the sync.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hookswitch_core::engine;
use hookswitch_model::{AccountId, ClockId, Event, Timestamp};
use hookswitch_signal::capture::{Transport, hep};
use hookswitch_signal::ingest::Posted;
use hookswitch_signal::{sip, tracker};
use hookswitch_store::{
    Batch, IngestId, Input, LoggedInput, Message, Sender as SourceSender, Settings, Source, Store, kind,
    write_link,
};
use serde_json::value::RawValue;

use crate::clock;
use crate::derivation::{Derivation, SOURCES_MAX, STATE_VERSION};
use crate::intake::{
    Accepted, Access, ForwardedInput, Frames, Intake, Item, PostedBatch, Question, SwitchBatch,
};
use crate::repeated::{LoggedSequences, Repeats};
use crate::telemetry::{Metrics, Redacted};

/// Time that a source is taken to go on before it is known that no message of an earlier
/// time is on its way.
const GRACE: Duration = Duration::from_millis(250);

/// Lead that a time stamp may have on the clock of this machine; beyond it the message is of now.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// The most agents of one host that are told apart.
const AGENTS_PER_HOST_MAX: usize = 64;

/// Number of the sources that capture agents may take, so that others find room.
const AGENTS_MAX: usize = SOURCES_MAX / 4 * 3;

/// How many agents without a call make room at once.
const IDLE_AT_ONCE: usize = 256;

/// The most hosts of which it is remembered that they found no room.
const FULL_HOSTS_MAX: usize = 4096;

/// Interval at which senders that tell no call are looked for while there is no room.
const ROOM_EVERY: Duration = Duration::from_secs(1);

/// Interval between warnings that senders are refused.
const REFUSED_EVERY: Duration = Duration::from_secs(60);

/// The most that is worked on before it is handed to the store.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest wait when no timer is due.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Inputs after which the state is saved even if the time for it has not come: a restart reads about
/// as many in a second.
const SNAPSHOT_INPUTS_MAX: u64 = 500_000;

/// Time for which a sender is remembered; longer than a call is followed without a message.
const SILENT_MAX: Duration = Duration::from_secs(26 * 3600);

/// The loop and what it owns.
pub(crate) struct EngineLoop {
    derivation: Derivation,
    store: Store,
    metrics: Arc<Metrics>,
    batch: Batch,
    clocks: HashMap<u16, Clock>,
    /// The numbers of senders, by the access under which they came.
    senders: HashMap<(u16, IpAddr, u32), u16, foldhash::fast::RandomState>,
    /// The hosts whose new agents found no room, and when.
    full_hosts: HashMap<IpAddr, Instant, foldhash::fast::RandomState>,
    /// The sources whose stamps were ahead of the clock, as was said of each once.
    ahead: HashSet<u16>,
    /// Senders that were refused since that was said, and when it may be said again.
    refused: (u64, Option<Instant>),
    /// Time when it was last looked for senders that tell no call.
    room_looked: Option<Instant>,
    access: Arc<Access>,
    counted: engine::Counters,
    /// Number of sessions that were open when they were counted.
    open: i64,
    /// Ids of posted signals that may not be on disk yet, with their positions.
    recent_ids: HashMap<(u16, String), u64>,
    recent_order: VecDeque<(u64, u16, String)>,
    logged: LoggedSequences,
    repeats: Repeats,
    /// How often the state is saved, and when and where it was saved last.
    snapshot_every: Duration,
    snapshot_at: Instant,
    snapshot_position: u64,
}

/// The state where the log ends; where it was read from, and how many inputs came after that.
fn restored(store: &Store) -> anyhow::Result<(Derivation, u64, u64)> {
    let saved = store
        .read(|reader| reader.snapshot(store.partition()))?
        .filter(|(_, version, _)| *version == STATE_VERSION);
    let saved = saved.and_then(|(position, _, state)| match Derivation::read(&state) {
        Ok(derivation) => Some((derivation, position)),
        Err(error) => {
            tracing::warn!("{error:#}; all inputs that are kept are read instead");
            None
        }
    });
    let whole = saved.is_none();
    let (mut derivation, from) = saved.unwrap_or_default();
    let mut read = 0_u64;
    let mut apply = |logged: LoggedInput<'_>| {
        derivation.apply(logged.position, logged.arrival, &Input::read(logged.columns)?)?;
        // The events are in the log: they were written together with the input.
        while derivation.poll_event().is_some() {}
        read += 1;
        Ok(())
    };
    store
        .read(|reader| {
            let partition = store.partition();
            Ok(if whole {
                reader.kept_inputs(partition, &mut apply)
            } else {
                reader.inputs(partition, from, &mut apply)
            })
        })?
        .context("cannot read the signal log")?;
    Ok((derivation, from, read))
}

/// The time of a source.
#[derive(Clone, Copy)]
struct Clock {
    /// The time of its last message.
    shows: Timestamp,
    /// Time when that was, by the steady clock.
    since: Timestamp,
}

impl Clock {
    /// Returns what the clock shows, less the grace.
    fn now(self, steady: Timestamp) -> Timestamp {
        self.shows + steady.since(self.since).saturating_sub(GRACE)
    }

    /// Returns the time when the clock will show this time, with the grace; by the steady clock.
    fn when(self, at: Timestamp) -> Timestamp {
        self.since + at.since(self.shows) + GRACE
    }
}

impl EngineLoop {
    /// Brings the machine to where the log ends, and to the settings that hold from now on.
    ///
    /// # Errors
    /// If the log cannot be read, or was written by another version.
    pub(crate) fn restore(
        store: &Store,
        metrics: Arc<Metrics>,
        settings: &Settings,
        snapshot_every: Duration,
    ) -> anyhow::Result<Self> {
        let started = clock::now();
        let (derivation, from, read) = restored(store)?;
        let counted = derivation.engine_counters();
        tracing::info!(
            from,
            inputs = read,
            open_sessions = derivation.open_sessions(),
            milliseconds = started.elapsed().as_millis() as u64,
            "the state of open calls is restored"
        );
        let (steady, wall) = (clock::steady(), clock::wall());
        let clock = |number| {
            let (shows, arrival) = derivation.newest(number)?;
            // While the server was down the clocks of others went on.
            Some((number, Clock { shows, since: steady - wall.since(arrival) }))
        };
        let clocks = derivation.sources().filter_map(|(number, _)| clock(number)).collect();
        let mut machine = Self {
            derivation,
            batch: Batch::after(store.partition(), store.ends()),
            store: store.clone(),
            metrics,
            clocks,
            senders: HashMap::default(),
            full_hosts: HashMap::default(),
            ahead: HashSet::new(),
            refused: (0, None),
            room_looked: None,
            access: Arc::default(),
            counted,
            open: 0,
            recent_ids: HashMap::new(),
            recent_order: VecDeque::new(),
            logged: LoggedSequences::default(),
            repeats: Repeats::default(),
            snapshot_every,
            snapshot_at: clock::now(),
            snapshot_position: from,
        };
        machine.take_settings(settings)?;
        Ok(machine)
    }

    /// Runs until it is told to stop, or the store has ended.
    pub(crate) fn run(mut self, intake: &Receiver<Intake>) {
        loop {
            let mut next = match intake.recv_timeout(self.wait()) {
                Ok(next) => Some(next),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Intake::Stop),
            };
            let began = clock::now();
            let mut stop = false;
            while let Some(input) = next.take() {
                stop |= matches!(input, Intake::Stop);
                self.take(input);
                if !stop && self.batch.len_bytes() < BATCH_BYTES_MAX {
                    next = intake.try_recv().ok();
                }
            }
            let now = clock::now();
            self.tick(clock::steady());
            self.repeats.warn(now, !stop);
            let due = now.saturating_duration_since(self.snapshot_at) >= self.snapshot_every;
            if due {
                self.forget_sources();
            }
            if !self.hand_over() || !self.save(due || stop, now) || stop {
                return;
            }
            self.metrics.engine_busy.inc_by(began.elapsed().as_secs_f64());
        }
    }

    fn take(&mut self, input: Intake) {
        match input {
            Intake::Frames(frames, back) => {
                self.take_frames(&frames);
                back.send(frames).ok(); // the listener may have ended
            }
            Intake::Posted(batch) => {
                if let Err(error) = self.take_posted(batch) {
                    tracing::error!("posted signals were refused: {error:#}");
                }
            }
            Intake::Switch(batch) => self.take_told(&batch),
            Intake::ForwardedInput(carried, done) => {
                self.take_carried(&carried);
                self.batch.add_waiting(done);
            }
            Intake::Forwarded { carried, taken, resume } => {
                self.take_carried(&carried);
                self.batch.set_intake(taken, resume);
            }
            Intake::Asked(question) => self.answer(question),
            Intake::Settings(settings) => {
                if let Err(error) = self.take_settings(&settings) {
                    tracing::error!("the settings stay as they are: {error:#}");
                }
            }
            Intake::Stop => {}
        }
    }

    /// Answers a question; who has asked may have gone.
    fn answer(&self, question: Question) {
        match question {
            Question::Call { session, answer } => {
                answer.send(self.derivation.located(session)).ok();
            }
            Question::Channel { source, channel, answer } => {
                answer.send(self.derivation.session_of_channel(&source, &channel)).ok();
            }
        }
    }

    fn take_carried(&mut self, carried: &ForwardedInput) {
        match carried {
            ForwardedInput::Frames(frames) => self.take_frames(frames),
            ForwardedInput::Switch(batch) => self.take_told(batch),
            ForwardedInput::Posted(sender, signals) => {
                if let Err(error) = self.apply_posted(sender.clone(), signals.clone()) {
                    tracing::error!("posted signals of another node were refused: {error:#}");
                }
            }
        }
    }

    /// Logs settings that are new, and goes by them.
    fn take_settings(&mut self, settings: &Settings) -> anyhow::Result<()> {
        if self.derivation.settings() == Some(settings) {
            return Ok(());
        }
        let body = serde_json::to_vec(settings)?;
        let now = clock::wall();
        self.metrics.notes.inc();
        let position = self.batch.add_input(kind::SETTINGS, 0, now, now, &body);
        let input = Input::Settings(settings.clone());
        self.derivation.apply(position, now, &input)?;
        tracing::info!("the directory and the policy are in use");
        Ok(())
    }

    fn take_frames(&mut self, frames: &Frames) {
        if !Arc::ptr_eq(&frames.access, &self.access) {
            self.access = frames.access.clone();
            self.index_senders();
        }
        let now = clock::steady();
        for (item, correlation, payload) in frames.iter() {
            let Ok(sip) = sip::Message::parse(payload) else {
                self.metrics.messages.malformed.inc();
                continue;
            };
            let Some(source) = self.source(item, frames.arrival) else {
                self.metrics.messages.senders_full.inc();
                continue;
            };
            let stamp = item.time.filter(|&stamp| !self.is_ahead(source, stamp, frames.arrival));
            let at = hep::time(stamp, frames.arrival, self.derivation.newest(source).map(|(at, _)| at));
            let Item { transport, src, dst, .. } = *item;
            let tcp = transport == Transport::Tcp;
            let message = Message { source, at, tcp, src, dst, correlation, payload };
            let position = self.batch.add_message(&message, frames.arrival);
            // Silence is measured by the clock of this machine, whatever the agent's shows.
            self.clocks.insert(source, Clock { shows: at.min(frames.arrival), since: now });
            let before = self.derivation.tracker_counters(source);
            if let Err(error) = self.derivation.apply_message(position, frames.arrival, &message, &sip) {
                // A source is logged before its first message, and settings before all.
                tracing::error!(%error, "a message was not applied");
            }
            self.count_message(before, self.derivation.tracker_counters(source));
            self.take_events(frames.arrival);
        }
    }

    /// Returns `true` if a stamp lies so far ahead of this machine's clock that it cannot be; counted, and said once of a source.
    fn is_ahead(&mut self, source: u16, stamp: Timestamp, arrival: Timestamp) -> bool {
        let by = stamp.since(arrival);
        if by <= AHEAD_MAX {
            return false;
        }
        self.metrics.stamps_ahead.inc();
        if self.ahead.insert(source) {
            let sender = self.derivation.sources().find(|(number, _)| *number == source);
            tracing::warn!(
                source,
                sender = ?sender.map(|(_, sender)| sender),
                ahead_by = ?by,
                "the time stamps of a sender are ahead of this machine's clock; they are taken as now, set its clock"
            );
        }
        true
    }

    /// Applies signals that were posted, all or none; those whose ids are known are passed over.
    fn take_posted(&mut self, batch: PostedBatch) -> anyhow::Result<()> {
        let PostedBatch { sender, signals, accepted } = batch;
        let outcome = self.apply_posted(sender, signals)?;
        self.batch.add_waiting(Box::new(move || {
            accepted.send(outcome).ok(); // the client may have gone
        }));
        Ok(())
    }

    fn apply_posted(
        &mut self,
        sender: SourceSender,
        signals: Vec<(Posted, Box<RawValue>)>,
    ) -> anyhow::Result<Accepted> {
        let arrival = clock::wall();
        let source = self.number(sender, arrival).context("there are too many sources")?;
        self.forget_ids();
        let mut new: Vec<(Posted, Box<RawValue>)> = Vec::with_capacity(signals.len());
        let mut outcome = Accepted { accepted: 0, repeated: 0 };
        let mut ids = HashSet::new();
        for (posted, json) in signals {
            let known = ids.contains(&posted.id)
                || self.recent_ids.contains_key(&(source, posted.id.clone()))
                || self.store.read(|reader| reader.ingest_id(source, &posted.id))?.is_some();
            if known {
                outcome.repeated += 1;
            } else {
                ids.insert(posted.id.clone());
                new.push((posted, json));
            }
        }
        outcome.accepted = new.len();
        for (posted, json) in new {
            let at = posted.at.filter(|&at| !self.is_ahead(source, at, arrival)).unwrap_or(arrival);
            let id = posted.id.clone();
            let json = json.get().as_bytes();
            let position = self.batch.add_input(kind::SIGNAL, source, at, arrival, json);
            self.batch.add_id(IngestId { source, id: id.clone(), position });
            self.recent_ids.insert((source, id.clone()), position);
            self.recent_order.push_back((position, source, id));
            self.clocks.insert(source, Clock { shows: at.min(arrival), since: clock::steady() });
            self.derivation.apply_posted(position, arrival, source, at, posted)?;
            self.take_events(arrival);
        }
        self.metrics.posted.accepted.inc_by(outcome.accepted as u64);
        self.metrics.posted.repeated.inc_by(outcome.repeated as u64);
        Ok(outcome)
    }

    fn take_told(&mut self, batch: &SwitchBatch) {
        let arrival = clock::wall();
        let Some(source) = self.number((*batch.sender).clone(), arrival) else { return };
        if let Some(link) = batch.link {
            self.metrics.notes.inc();
            let position = self.batch.add_input(kind::LINK, source, arrival, arrival, &write_link(link));
            self.clocks.insert(source, Clock { shows: arrival, since: clock::steady() });
            let input = Input::Link { source, at: arrival, link };
            if let Err(error) = self.derivation.apply(position, arrival, &input) {
                tracing::error!(%error, "a change of the connection to a switch was not applied");
            }
            self.take_events(arrival);
        }
        let mut from = 0;
        for &(at, end) in &batch.messages {
            let message = &batch.bytes[from..end];
            from = end;
            let position = self.batch.add_input(kind::MANAGER, source, at, arrival, message);
            self.clocks.insert(source, Clock { shows: at, since: clock::steady() });
            if let Err(error) = self.derivation.apply_told(position, arrival, source, at, message) {
                tracing::error!(%error, "a message of a switch was not applied");
            }
            self.take_events(arrival);
        }
    }

    /// Forgets ids that the store knows.
    fn forget_ids(&mut self) {
        let stored = self.store.ends().signals;
        while self.recent_order.front().is_some_and(|&(position, ..)| position <= stored) {
            if let Some((_, source, id)) = self.recent_order.pop_front() {
                self.recent_ids.remove(&(source, id));
            }
        }
    }

    /// The number of a sender, who is logged when it is new.
    fn source(&mut self, item: &Item, arrival: Timestamp) -> Option<u16> {
        let key = (item.source, item.from, item.agent);
        if let Some(&known) = self.senders.get(&key) {
            return Some(known);
        }
        let now = clock::now();
        let full = self.full_hosts.get(&item.from);
        if full.is_some_and(|&since| now.saturating_duration_since(since) < ROOM_EVERY) {
            self.refused.0 += 1;
            return None;
        }
        let (name, account) = self.access.source(item.source)?;
        let sender = SourceSender::Hep {
            name: name.to_owned(),
            address: item.from,
            agent: item.agent,
            account: account.as_u64(),
        };
        let number = self.number(sender, arrival);
        if let Some(number) = number {
            self.senders.insert(key, number);
        } else {
            if self.full_hosts.len() >= FULL_HOSTS_MAX {
                self.full_hosts.clear();
            }
            self.full_hosts.insert(item.from, now);
        }
        number
    }

    /// Finds the senders of the access that holds, so that one that is not found is new.
    fn index_senders(&mut self) {
        self.senders.clear();
        let sources: Vec<(String, u64)> =
            self.access.sources().map(|(name, account)| (name.to_owned(), account.as_u64())).collect();
        for (number, sender) in self.derivation.sources() {
            let SourceSender::Hep { name, address, agent, account } = sender else { continue };
            let index = sources.iter().position(|(known, of)| known == name && of == account);
            if let Some(index) = index.and_then(|index| u16::try_from(index).ok()) {
                self.senders.insert((index, *address, *agent), number);
            }
        }
    }

    /// Returns `true` if one more agent finds room: as one of its host, and among all.
    fn has_room(&mut self, sender: &SourceSender, arrival: Timestamp) -> bool {
        let SourceSender::Hep { address, .. } = sender else { return true };
        let count = |of: &Self| {
            let agents = of.derivation.sources().filter_map(|(_, known)| match known {
                SourceSender::Hep { address, .. } => Some(address),
                _ => None,
            });
            agents.fold((0, 0), |(host, all), of| (host + usize::from(of == address), all + 1))
        };
        let fits = |(host, all): (usize, usize)| host < AGENTS_PER_HOST_MAX && all < AGENTS_MAX;
        let counted = count(self);
        if fits(counted) {
            return true;
        }
        let now = clock::now();
        if self.room_looked.is_some_and(|looked| now.saturating_duration_since(looked) < ROOM_EVERY) {
            return false;
        }
        self.room_looked = Some(now);
        // Of one's own host if that has too many; else of the host that has most.
        let of_host = (counted.0 >= AGENTS_PER_HOST_MAX).then_some(*address);
        let count_max = if of_host.is_some() { AGENTS_PER_HOST_MAX / 4 } else { IDLE_AT_ONCE };
        for source in self.derivation.idle_agents(of_host, count_max) {
            self.forget_source(source, arrival, "a sender that tells no call makes room for others");
        }
        fits(count(self))
    }

    /// Says, once in a while, that senders are refused.
    fn refuse(&mut self, sender: &SourceSender) {
        let now = clock::now();
        self.refused.0 += 1;
        if self.refused.1.is_none_or(|since| now.saturating_duration_since(since) >= REFUSED_EVERY) {
            let messages = std::mem::take(&mut self.refused.0);
            self.refused.1 = Some(now);
            tracing::warn!(
                ?sender,
                messages,
                "there are too many senders; the messages of the newest are dropped"
            );
        }
    }

    fn number(&mut self, sender: SourceSender, arrival: Timestamp) -> Option<u16> {
        let known = self.derivation.sources().find(|(_, known)| **known == sender);
        if let Some((number, _)) = known {
            return Some(number);
        }
        let room = self.has_room(&sender, arrival);
        let Some(number) = self.derivation.free_source(self.store.sources()).filter(|_| room) else {
            self.refuse(&sender);
            return None;
        };
        tracing::info!(source = number, sender = ?sender, "a new sender");
        let source = Source { number, sender };
        let body = serde_json::to_vec(&source).ok()?;
        self.metrics.notes.inc();
        let position = self.batch.add_input(kind::SOURCE, number, arrival, arrival, &body);
        self.derivation.apply(position, arrival, &Input::Source(source)).ok()?;
        Some(number)
    }

    /// Forgets senders that have been silent for longer than any call of theirs can go on.
    fn forget_sources(&mut self) {
        let arrival = clock::wall();
        let before =
            Timestamp::from_micros(arrival.as_micros().saturating_sub(SILENT_MAX.as_micros() as i64));
        for source in self.derivation.silent_since(before) {
            self.forget_source(source, arrival, "a sender was silent for too long and is forgotten");
        }
    }

    fn forget_source(&mut self, source: u16, arrival: Timestamp, why: &str) {
        self.metrics.notes.inc();
        let position = self.batch.add_input(kind::FORGOTTEN, source, arrival, arrival, &[]);
        if self.derivation.apply(position, arrival, &Input::Forgotten { source }).is_ok() {
            self.clocks.remove(&source);
            self.ahead.remove(&source);
            self.senders.retain(|_, number| *number != source);
            tracing::debug!(source, "{why}");
        }
    }

    fn take_events(&mut self, arrival: Timestamp) {
        while let Some(event) = self.derivation.poll_event() {
            self.metrics.events.inc();
            if !self.is_new(&event) {
                self.metrics.events_repeated.inc();
                self.repeats.add(event.session.id, clock::now());
                continue;
            }
            tracing::debug!(
                session.id = %event.session.id,
                sequence = event.sequence,
                status = %event.party.status.code,
                to = %Redacted(event.party.to.phone_number.as_deref().unwrap_or_default()),
                "a party has changed"
            );
            self.batch.add_event(event, arrival);
        }
        while let Some((agent, switch)) = self.derivation.poll_double() {
            tracing::warn!(
                source = switch,
                hep = agent,
                "one call came from both, and is told twice: the agent sees the SIP of this switch; set its key hep to \
                 the name of the agent's source"
            );
        }
    }

    /// Returns `true` if the log does not have an event yet.
    fn is_new(&mut self, event: &Event) -> bool {
        let (session, store) = (event.session.id, &self.store);
        let added = self.logged.add(session, event.sequence, || {
            store.read(|reader| reader.last_sequence(session)) //
        });
        self.logged.forget_oldest(self.batch.ends().signals, || store.ends().signals);
        added.unwrap_or_else(|error| {
            tracing::error!(%error, "it is not known whether the log has an event");
            true // it is not written twice all the same
        })
    }

    /// Fires the timers that are due by the clocks of their sources.
    fn tick(&mut self, now: Timestamp) {
        let arrival = clock::wall();
        let mut due: Vec<(u16, Timestamp)> = Vec::new();
        for (&source, clock) in &self.clocks {
            let shows = clock.now(now);
            if self.derivation.poll_timeout(ClockId(source)).is_some_and(|at| at <= shows) {
                due.push((source, shows));
            }
        }
        due.sort_unstable();
        for (source, shows) in due {
            let clock = ClockId(source);
            while let Some(at) = self.derivation.poll_timeout(clock).filter(|&at| at <= shows) {
                self.metrics.ticks.inc();
                let position = self.batch.add_input(kind::TICK, source, at, arrival, &[]);
                let tick = Input::Tick { clock, at };
                if let Err(error) = self.derivation.apply(position, arrival, &tick) {
                    tracing::error!(%error, "a tick was not applied");
                    return;
                }
                self.take_events(arrival);
            }
        }
    }

    /// Returns how long until a timer is due.
    fn wait(&self) -> Duration {
        let when = |(&source, clock): (&u16, &Clock)| {
            Some(clock.when(self.derivation.poll_timeout(ClockId(source))?))
        };
        let next = self.clocks.iter().filter_map(when).min();
        next.map_or(WAIT_MAX, |next| next.since(clock::steady())).min(WAIT_MAX)
    }

    /// Hands what was done to the store. False if the store has ended.
    fn hand_over(&mut self) -> bool {
        self.count_engine();
        if self.batch.is_empty() {
            return true;
        }
        let next = self.batch.next();
        let batch = std::mem::replace(&mut self.batch, next);
        self.store.append(batch).is_ok()
    }

    /// Saves the state if that is due and something has come. False if the store has ended.
    fn save(&mut self, due: bool, now: Instant) -> bool {
        let position = self.batch.ends().signals;
        if !due && position - self.snapshot_position < SNAPSHOT_INPUTS_MAX {
            return true;
        }
        self.snapshot_at = now;
        if position == self.snapshot_position {
            return true;
        }
        self.snapshot_position = position;
        let state = self.derivation.state();
        self.metrics.snapshot_bytes.set(i64::try_from(state.len()).unwrap_or(i64::MAX));
        self.metrics.snapshot_seconds.observe(now.elapsed().as_secs_f64());
        self.store.save_snapshot(position, STATE_VERSION, state).is_ok()
    }

    fn count_message(&self, before: tracker::Counters, after: tracker::Counters) {
        let counters = &self.metrics.messages;
        for (counter, before, after) in [
            (&counters.retransmission, before.retransmissions, after.retransmissions),
            (&counters.in_call, before.in_call, after.in_call),
            (&counters.no_call, before.no_call, after.no_call),
            (&counters.stray, before.stray, after.stray),
            (&counters.refused, before.refused, after.refused),
        ] {
            if after > before {
                counter.inc_by(after - before);
            }
        }
    }

    fn count_engine(&mut self) {
        let now = self.derivation.engine_counters();
        let before = std::mem::replace(&mut self.counted, now);
        let (signals, sessions) = (&self.metrics.signals, &self.metrics.sessions);
        signals.applied.inc_by(now.applied - before.applied);
        signals.without_leg.inc_by(now.without_leg - before.without_leg);
        signals.refused.inc_by(now.refused - before.refused);
        sessions.opened.inc_by(now.sessions - before.sessions);
        sessions.closed.inc_by(now.closed - before.closed);
        let open = i64::try_from(self.derivation.open_sessions()).unwrap_or(i64::MAX);
        // Other partitions of this node are counted by their machines.
        self.metrics.sessions_open.inc_by(open - self.open);
        self.open = open;
    }
}

impl Drop for EngineLoop {
    fn drop(&mut self) {
        self.metrics.sessions_open.dec_by(self.open);
    }
}

/// The account of calls of which the directory knows nothing.
pub fn default_account(settings: &Settings) -> AccountId {
    AccountId::new(settings.account)
}
