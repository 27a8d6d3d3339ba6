//! The phones of the firm: which call begins when, who takes part, and what is sent.

use std::collections::{BTreeMap, VecDeque};
use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Context as _;
use hookswitch_server::{clock, secret};
use hookswitch_signal::capture::{Captured, Transport, hep};

use super::firm::{self, Person};
use super::scripts::{Cast, SCRIPTS, Script};
use super::sip::{Message, Wire};

/// Time that it takes until the next call begins.
const GAP_MILLIS: RangeInclusive<u64> = 1500..=5000;

/// Delay at which a message is still sent without waiting.
const SLACK: Duration = Duration::from_micros(200);

/// Phones that act in the order of time: an iterator that ends only if it is to play each script once.
pub(super) struct Phones {
    random: fastrand::Rng,
    /// The scripts that are still to come in this round.
    round: VecDeque<&'static Script>,
    once: bool,
    staff: Vec<Busy>,
    outside: Vec<Busy>,
    /// Time when the next call may begin.
    next_call: Duration,
    calls: u64,
    /// Messages on their way, by their time and the order in which they were written.
    waiting: BTreeMap<(Duration, u64), Step>,
    written: u64,
}

/// Somebody, and until when they have a call.
struct Busy {
    person: Person,
    until: Duration,
}

/// One thing that the phones do.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A call begins, of which the sentence says what happens.
    Begin(String),
    Send(Message),
}

impl Phones {
    /// The phones of a seed; with `once`, each script is played once.
    pub(super) fn new(seed: u64, once: bool) -> Self {
        let busy = |person| Busy { person, until: Duration::ZERO };
        let mut phones = Self {
            random: fastrand::Rng::with_seed(seed),
            round: VecDeque::new(),
            once,
            staff: firm::staff().into_iter().map(busy).collect(),
            outside: firm::outside().into_iter().map(busy).collect(),
            next_call: Duration::ZERO,
            calls: 0,
            waiting: BTreeMap::new(),
            written: 0,
        };
        phones.deal();
        phones
    }

    /// Returns the number of telephony sessions that there are when each script is played once.
    pub(super) fn sessions_of_a_round() -> usize {
        SCRIPTS.iter().map(|script| script.sessions).sum()
    }

    /// Puts all scripts into the next round.
    fn deal(&mut self) {
        let mut scripts: Vec<&Script> = SCRIPTS.iter().collect();
        self.random.shuffle(&mut scripts);
        self.round.extend(scripts);
    }

    /// Lets the next call begin, or waits until enough people are free.
    fn begin(&mut self, script: &Script) {
        let at = self.next_call;
        let mut free_at = at;
        for (people, wanted) in [(&mut self.staff, script.staff), (&mut self.outside, script.outside)] {
            self.random.shuffle(people);
            people.sort_by_key(|busy| busy.until.max(at)); // stable: who is free stays shuffled
            if let Some(last) = wanted.checked_sub(1) {
                free_at = free_at.max(people[last].until);
            }
        }
        let of = |people: &[Busy], count: usize| people[..count].iter().map(|busy| busy.person).collect();
        let cast = Cast {
            staff: of(&self.staff, script.staff),
            outside: of(&self.outside, script.outside),
            slot: (self.calls % 9 + 1) as u8,
        };
        let mut wire = Wire::new(&mut self.random);
        let title = (script.play)(&mut wire, &cast);
        let (ended, messages) = (free_at + wire.at, wire.messages);
        self.push(free_at, Step::Begin(title));
        for mut message in messages {
            message.at += free_at;
            self.push(message.at, Step::Send(message));
        }
        // Nobody calls in the very moment in which the last call ends.
        let rest = Duration::from_millis(self.random.u64(1000..3000));
        for busy in self.staff[..script.staff].iter_mut().chain(&mut self.outside[..script.outside]) {
            busy.until = ended + rest;
        }
        self.next_call = free_at + Duration::from_millis(self.random.u64(GAP_MILLIS));
        self.calls += 1;
    }

    fn push(&mut self, at: Duration, step: Step) {
        self.waiting.insert((at, self.written), step);
        self.written += 1;
    }
}

impl Iterator for Phones {
    type Item = (Duration, Step);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = self.waiting.first_key_value().map(|(&(at, _), _)| at);
            if first.is_none_or(|first| first >= self.next_call) {
                if self.round.is_empty() && !self.once {
                    self.deal();
                }
                if let Some(script) = self.round.pop_front() {
                    self.begin(script);
                    continue;
                }
            }
            return self.waiting.pop_first().map(|((at, _), step)| (at, step));
        }
    }
}

/// Sends what the phones say to a HEP listener, `speed` times as fast as people are, until all is said or
/// `stop` has nobody at its other end; tells of each call that begins.
///
/// # Errors
/// If nobody listens.
pub(super) fn send(
    phones: Phones,
    socket: &UdpSocket,
    speed: f64,
    stop: &Receiver<()>,
    mut begun: impl FnMut(String),
) -> anyhow::Result<()> {
    let agent = u32::from_be_bytes(secret::random()?);
    // Their clock goes as fast as they do, so that nothing that waits for a time does so in vain.
    let (started, from) = (clock::now(), clock::wall());
    let mut frame = Vec::new();
    for (packet, (due, step)) in (1..).zip(phones) {
        let wait = if speed > 0.0 {
            due.div_f64(speed).saturating_sub(started.elapsed())
        } else {
            SLACK * 2 // a pause, so that no buffer runs over
        };
        if wait > SLACK && stop.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected) {
            return Ok(());
        }
        let message = match step {
            Step::Begin(title) => {
                begun(title);
                continue;
            }
            Step::Send(message) => message,
        };
        let captured = Captured {
            time: from + due,
            transport: Transport::Udp,
            src: message.src.0,
            dst: message.dst.0,
            packet,
            correlation: None,
            payload: message.text.as_bytes(),
        };
        frame.clear();
        hep::write(&captured, agent, None, &mut frame)?;
        socket.send(&frame).context("the server takes no HEP")?;
    }
    Ok(())
}
