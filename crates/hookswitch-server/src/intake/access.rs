//! Senders of HEP, and how much they may send.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use hookswitch_model::AccountId;
use hookswitch_signal::capture::hep::{self, Frame, NoSip};

use super::frames::{Frames, Item};
use crate::clock;
use crate::config::{Config, HepSource};
use crate::source_counts::{Drop, SourceCount, SourceCounts};
use crate::telemetry::Frames as FrameCounters;

/// Messages that a sender may send a second when nothing else is said.
const MESSAGES_PER_SECOND: u32 = 30_000;

/// For how many seconds' worth a sender may exceed its rate.
const BURST_SECONDS: f64 = 2.0;

/// The most senders whose rates are watched; those of the longest silence are forgotten.
const SENDERS_MAX: usize = 16_384;

/// Interval at which silent senders are looked for while there is no room.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The name of the source when everybody may send.
const ANYBODY: &str = "hep";

/// The sources of the configuration; replaced as a whole when it is read again.
#[derive(Debug, Default)]
pub struct Access {
    sources: Vec<Allowed>,
}

/// One source of the configuration.
#[derive(Debug)]
pub(crate) struct Allowed {
    rule: HepSource,
    pub account: AccountId,
    count: Arc<SourceCount>,
}

impl Access {
    /// The access that a configuration gives; `account` is that of sources that name none.
    pub fn of(config: &Config, account: AccountId, counts: &SourceCounts) -> Self {
        let mut rules = config.hep.source.clone();
        if rules.is_empty() {
            let name = ANYBODY.to_owned();
            let anybody = HepSource {
                name,
                addresses: Vec::new(),
                key: None,
                account: None,
                messages_per_second: None,
            };
            rules.push(anybody);
        }
        let allowed = |rule: HepSource| {
            let account = rule.account.map_or(account, |account| account.0);
            Allowed { count: counts.of("hep", &rule.name, account), account, rule }
        };
        Self { sources: rules.into_iter().map(allowed).collect() }
    }

    /// The access by which another node has let in what it hands over: the names and accounts of its sources.
    pub fn of_sources(sources: Vec<(String, AccountId)>) -> Self {
        let allowed = |(name, account)| {
            let rule = HepSource {
                name,
                addresses: Vec::new(),
                key: None,
                account: None,
                messages_per_second: None,
            };
            Allowed { rule, account, count: Arc::default() }
        };
        Self { sources: sources.into_iter().map(allowed).collect() }
    }

    /// The names and accounts of all sources.
    pub fn sources(&self) -> impl Iterator<Item = (&str, AccountId)> {
        self.sources.iter().map(|source| (&*source.rule.name, source.account))
    }

    /// The source that an address belongs to.
    fn find(&self, address: IpAddr) -> Option<usize> {
        self.sources.iter().position(|source| {
            let addresses = &source.rule.addresses;
            addresses.is_empty() || addresses.iter().any(|block| block.contains(address))
        })
    }

    /// The name and the account of a source.
    pub fn source(&self, index: u16) -> Option<(&str, AccountId)> {
        self.sources.get(usize::from(index)).map(|source| (&*source.rule.name, source.account))
    }
}

/// The gate that frames go through: counts each, and takes those that may come in.
pub(crate) struct Gate {
    current: Arc<RwLock<Arc<Access>>>,
    access: Arc<Access>,
    senders: HashMap<IpAddr, Sender, foldhash::fast::RandomState>,
    /// The rate of all for whom there is no room.
    others: Option<Sender>,
    /// Time when it was last looked for senders that are silent.
    looked: Option<Instant>,
    counters: FrameCounters,
    unpacked: Vec<u8>,
}

/// Facts about a sender.
struct Sender {
    /// Its place among the sources.
    source: usize,
    per_second: f64,
    /// Number of messages that it may send at once.
    tokens: f64,
    filled: Instant,
    wrong_keys: WrongKeys,
}

/// Interval at which the log says that a sender has a wrong key.
const WRONG_KEYS_EVERY: Duration = Duration::from_secs(60);

/// Frames of one sender that had another key than they must, or none.
#[derive(Default)]
struct WrongKeys {
    /// Those of which the log says nothing yet.
    count: u64,
    /// Time of the last warning.
    said: Option<Instant>,
}

impl WrongKeys {
    /// Counts one more; gives how many there were when it is time to say so: of the first at once, of others once a
    /// minute.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let is_time = self.said.is_none_or(|said| now.saturating_duration_since(said) >= WRONG_KEYS_EVERY);
        is_time.then(|| {
            self.said = Some(now);
            std::mem::take(&mut self.count)
        })
    }
}

impl Gate {
    /// A gate by the access that holds.
    pub(crate) fn new(current: Arc<RwLock<Arc<Access>>>, counters: FrameCounters) -> Self {
        let access = Arc::default();
        let (senders, others, looked) = (HashMap::default(), None, None);
        let mut gate = Self { current, access, senders, others, looked, counters, unpacked: Vec::new() };
        gate.refresh();
        gate
    }

    /// Takes over access that has changed.
    pub(crate) fn refresh(&mut self) {
        if let Ok(current) = self.current.read()
            && !Arc::ptr_eq(&current, &self.access)
        {
            self.access = current.clone();
            self.senders.clear();
            self.others = None;
        }
    }

    /// The access by which the gate lets in.
    pub(crate) fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Returns `true` if a source lists the address.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        self.access.find(address).is_some()
    }

    /// Takes one frame of a sender into `frames`, or counts why not. False if it was damaged.
    pub(crate) fn pass(
        &mut self,
        bytes: &[u8],
        from: IpAddr,
        now: Instant,
        frames: Option<&mut Frames>,
    ) -> bool {
        let access = &self.access;
        let full = self.senders.len() >= SENDERS_MAX;
        if !self.senders.contains_key(&from) {
            // Before anything is remembered of it: whoever may not send takes no room.
            let Some(source) = access.find(from) else {
                self.counters.address.inc();
                return true;
            };
            if full && self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY) {
                self.looked = Some(now);
                // Those that are not silent come back with their next frame.
                self.senders.retain(|_, sender| now.saturating_duration_since(sender.filled).as_secs() < 10);
            }
            let rate = access.sources[source].rule.messages_per_second;
            let per_second = f64::from(rate.unwrap_or(MESSAGES_PER_SECOND));
            let tokens = per_second * BURST_SECONDS;
            let wrong_keys = WrongKeys::default();
            let sender = Sender { source, per_second, tokens, filled: now, wrong_keys };
            if self.senders.len() < SENDERS_MAX {
                self.senders.insert(from, sender);
            } else {
                // Those for whom there is no room share one.
                self.others.get_or_insert(sender).source = source;
            }
        }
        let Some(sender) = self.senders.get_mut(&from).or(self.others.as_mut()) else { return true };
        let index = sender.source;
        let (count, at) = (&access.sources[index].count, clock::steady_at(now));
        if !sender.takes_token(now) {
            self.counters.rate.inc();
            count.dropped(Drop::Rate, 1, at);
            return true;
        }
        let Ok(frame) = hep::parse(bytes) else {
            self.counters.malformed.inc();
            count.dropped(Drop::Malformed, 1, at);
            return false;
        };
        if let Some(key) = &access.sources[index].rule.key
            && !frame.key.is_some_and(|given| key.is(given))
        {
            self.counters.key.inc();
            count.dropped(Drop::Key, 1, at);
            if let Some(frames) = sender.wrong_keys.add(now) {
                let (source, has_key) = (&*access.sources[index].rule.name, frame.key.is_some());
                tracing::warn!(
                    address = %from,
                    source,
                    frames,
                    has_key,
                    "HEP frames were dropped: they have not the key of the source; give the capture agent the key of \
                     [[hep.source]]"
                );
            }
            return true;
        }
        let sip = match hep::sip(&frame, &mut self.unpacked) {
            Ok(sip) => sip,
            Err(NoSip::OtherProtocol) => {
                self.counters.not_sip.inc();
                count.dropped(Drop::NoCall, 1, at);
                return true;
            }
            Err(NoSip::Damaged(_)) => {
                self.counters.malformed.inc();
                count.dropped(Drop::Malformed, 1, at);
                return false;
            }
            Err(NoSip::WithoutAddress) => {
                self.counters.without_address.inc();
                count.dropped(Drop::Malformed, 1, at);
                return true;
            }
        };
        let Some(frames) = frames.filter(|frames| !frames.is_full()) else {
            self.counters.busy.inc();
            count.dropped(Drop::Busy, 1, at);
            return true;
        };
        let Frame { time, correlation, agent, .. } = frame;
        let item = Item {
            source: index as u16,
            from,
            agent: agent.unwrap_or(0),
            time,
            transport: frame.transport(),
            src: sip.src,
            dst: sip.dst,
        };
        let mut messages = 0;
        for message in sip.messages(&frame) {
            frames.push(item, correlation, message);
            messages += 1;
        }
        self.counters.accepted.inc();
        count.messages(messages, at);
        true
    }
}

impl Sender {
    /// Returns `true` if the sender may send one more message.
    fn takes_token(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second * BURST_SECONDS);
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hookswitch_signal::capture::Captured;

    use super::*;
    use crate::telemetry::Metrics;

    fn gate(sources: &str) -> (Gate, Arc<Metrics>) {
        let config = Config::of_text(sources);
        let metrics = Metrics::new();
        let access = Access::of(&config, AccountId::new(1), &metrics.sources);
        (Gate::new(Arc::new(RwLock::new(Arc::new(access))), metrics.frames.clone()), metrics)
    }

    fn frame() -> Vec<u8> {
        let payload = b"OPTIONS sip:a@b.example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n";
        let mut frame = Vec::new();
        let captured = Captured {
            time: hookswitch_model::Timestamp::from_micros(1_700_000_000_000_000),
            transport: hookswitch_signal::capture::Transport::Udp,
            src: "192.0.2.1:5060".parse().expect("an address"),
            dst: "192.0.2.2:5060".parse().expect("an address"),
            packet: 1,
            correlation: None,
            payload,
        };
        hep::write(&captured, 1, None, &mut frame).expect("it fits");
        frame
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    #[test]
    fn who_may_not_send_takes_no_room_from_who_may() {
        let (mut gate, metrics) = gate("[[hep.source]]\nname = \"pbx\"\naddresses = [\"192.0.2.10\"]\n");
        let (frame, now) = (frame(), clock::now());
        for number in 0..SENDERS_MAX as u32 + 10 {
            gate.pass(&frame, address(number), now, None);
        }
        assert!(gate.senders.is_empty());
        assert_eq!(metrics.frames.address.get(), SENDERS_MAX as u64 + 10);
        let mut frames = Frames::default();
        gate.pass(&frame, "192.0.2.10".parse().expect("an address"), now, Some(&mut frames));
        assert_eq!(frames.iter().count(), 1);
    }

    #[test]
    fn a_flood_of_senders_leaves_the_known_ones_their_rate_and_the_others_one_in_common() {
        let (mut gate, metrics) = gate("");
        let (frame, now) = (frame(), clock::now());
        let mut frames = Frames::default();
        for number in 0..SENDERS_MAX as u32 + 1000 {
            gate.pass(&frame, address(number), now, None);
        }
        assert_eq!(gate.senders.len(), SENDERS_MAX);
        assert_eq!(metrics.frames.rate.get(), 0, "within the common rate");
        gate.pass(&frame, address(0), now, Some(&mut frames));
        gate.pass(&frame, address(u32::from(u16::MAX) * 2), now, Some(&mut frames));
        assert_eq!(frames.iter().count(), 2, "a known one and a new one");
    }

    #[test]
    fn a_wrong_key_is_said_at_once_and_then_once_a_minute_with_how_many_there_were() {
        let (mut keys, start) = (WrongKeys::default(), clock::now());
        let mut add = |seconds: u64| keys.add(start + Duration::from_secs(seconds));
        assert_eq!([add(0), add(1), add(59), add(60), add(61)], [Some(1), None, None, Some(3), None]);
        assert_eq!(add(200), Some(2));
    }
}
