//! Calls through a switch, made up with known truth: which SIP call is a leg of which call of people.
//!
//! One switch, many phones that register with it, and one trunk. It is asked for credentials, answers 100, and calls
//! its targets 1 to 50 ms later, on SIP calls of its own that carry no id of the caller's. All that makes the
//! joining of legs hard is there: ring groups, queues, numbers that are rewritten on the way to a trunk or withheld,
//! calls that come in with one company number, identical twins at the same moment, a caller with two calls, forwards,
//! legs whose caller's leg is not captured, and messages that are sent again.

mod dialog;
mod measure;

use std::collections::HashMap;
use std::net::SocketAddr;

use fastrand::Rng;

use self::dialog::Dialog;
pub use self::measure::{measure, measure_with};

/// Part of the messages that is sent again because it was lost.
const SENT_AGAIN: f64 = 0.01;

/// Numbers from which many people call in, one a company.
const COMPANIES: usize = 25;

/// Shape of the traffic that is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Calls that begin in a second.
    pub calls_a_second: u32,
    /// How many calls.
    pub calls: usize,
    pub hosts: Hosts,
    pub seed: u64,
}

/// Addresses of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Each has an address.
    Apart,
    /// They share one address and differ in their ports.
    Together,
    /// Each has an address, and the switch another one from which it places its legs.
    SwitchOfTwo,
}

/// One message on the wire.
#[derive(Clone)]
pub struct Packet {
    pub at_micros: i64,
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub payload: Vec<u8>,
}

/// True facts of a SIP call.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// The call of people that it is a leg of.
    pub call: Call,
    /// Side of the leg.
    pub side: Side,
}

/// A call of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub number: usize,
    /// Calls with the same caller and the same dialled number, as they are shown, have the same.
    pub twins: usize,
}

/// Side of the switch that a leg is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller's.
    Caller,
    /// Leg to a target, with the caller's leg in view.
    Target,
    /// Leg to a target whose caller's leg is not in view.
    TargetAlone,
}

/// Messages in the order of their times, and what the SIP call of each Call-ID is.
pub struct Traffic {
    pub packets: Vec<Packet>,
    pub truth: HashMap<String, Truth>,
}

/// Caller as the caller's leg and the legs of the switch show it.
#[derive(Clone)]
struct Calling {
    host: SocketAddr,
    number: String,
    name: String,
    withheld: bool,
    /// The trunk asserts the number of who withholds it, and the switch passes that on.
    asserted: bool,
    from_trunk: bool,
}

/// A phone and who is at it.
struct Phone {
    host: SocketAddr,
    extension: String,
    name: String,
    direct_number: String,
    /// Until when it is in a call that it placed.
    busy_until: i64,
}

/// A target that a call is offered to.
struct Target {
    host: SocketAddr,
    number: String,
}

/// Outcome of a call once its targets ring, in microseconds after they were offered it.
#[derive(Clone, Copy)]
enum Outcome {
    /// The target in this place answers.
    Answered {
        target: usize,
        after: i64,
        talk: i64,
    },
    Cancelled {
        after: i64,
    },
    Busy,
}

/// Makes traffic.
pub fn traffic(shape: Shape) -> Traffic {
    let mut maker = Maker::new(shape);
    let mut now = 0;
    while maker.calls < shape.calls {
        maker.next_call(now);
        let mean = 1e6 / f64::from(shape.calls_a_second);
        now += (-mean * (1.0 - maker.rng.f64()).ln()) as i64;
    }
    let Maker { mut packets, truth, .. } = maker;
    packets.sort_by_key(|packet| packet.at_micros); // stable
    Traffic { packets, truth }
}

struct Maker {
    rng: Rng,
    phones: Vec<Phone>,
    switch: SocketAddr,
    /// From where the switch places its legs.
    other_side: SocketAddr,
    trunk: SocketAddr,
    packets: Vec<Packet>,
    truth: HashMap<String, Truth>,
    calls: usize,
    /// The first call with this caller and this dialled number.
    twins: HashMap<(String, String), usize>,
}

impl Maker {
    fn new(shape: Shape) -> Self {
        // Enough that a phone is idle at most times.
        let count = (shape.calls_a_second as usize * 150).clamp(200, 20_000);
        let laboratory = shape.hosts == Hosts::Together;
        let phones = (0..count).map(|number| phone(number, laboratory)).collect();
        let address = |host: &str, port| {
            let host = if laboratory { "127.0.0.1" } else { host };
            SocketAddr::new(host.parse().expect("an address"), port)
        };
        Self {
            rng: Rng::with_seed(shape.seed),
            phones,
            switch: address("10.30.0.1", 5060),
            other_side: match shape.hosts {
                Hosts::SwitchOfTwo => address("10.30.0.3", 5060),
                Hosts::Apart | Hosts::Together => address("10.30.0.1", 5060),
            },
            trunk: address("10.30.0.2", if laboratory { 5080 } else { 5060 }),
            packets: Vec::new(),
            truth: HashMap::new(),
            calls: 0,
            twins: HashMap::new(),
        }
    }

    /// Starts a call, or two that belong to each other.
    fn next_call(&mut self, at: i64) {
        match self.rng.usize(..100) {
            0..28 => {
                let (caller, target) = (self.idle_phone(at), self.any_phone());
                let dialled = self.phones[target].extension.clone();
                let calling = self.inside(caller);
                let end = self.call(&calling, &dialled, &[target], at);
                self.phones[caller].busy_until = end;
            }
            28..48 => {
                let target = self.any_phone();
                let (calling, dialled) = (self.outside(), self.phones[target].direct_number.clone());
                self.call(&calling, &dialled, &[target], at);
            }
            48..67 => self.call_out(at),
            67..75 => {
                let (calling, group) = (self.anybody(at), self.group());
                let dialled = if calling.from_trunk { "+16505559610" } else { "610" };
                self.call(&calling, dialled, &group, at);
            }
            75..81 => self.queue_call(at),
            81..88 => self.forwarded(at),
            88..92 => self.twins(at),
            92..96 => self.caller_twice(at),
            96..97 => self.target_alone(at),
            _ => self.refused(at),
        }
    }

    /// A call to one phone or to several at once.
    fn call(&mut self, calling: &Calling, dialled: &str, targets: &[usize], at: i64) -> i64 {
        let call = self.begin(calling, dialled);
        let (caller, at) = self.caller_leg(calling, dialled, call, at);
        let at = at + self.delay();
        self.offer(calling, caller, targets, call, at)
    }

    /// A call of an extension to a number outside; the switch shows a number of its own there.
    fn call_out(&mut self, at: i64) {
        let phone = self.idle_phone(at);
        // Some numbers are called by many.
        let subscriber =
            if self.rng.f64() < 0.05 { self.rng.usize(..50) } else { self.rng.usize(1000..9_999_999) };
        let number = format!("+1415{subscriber:07}");
        let calling = self.inside(phone);
        let dialled = format!("9{}", &number[1..]);
        let call = self.begin(&calling, &dialled);
        let (caller, after) = self.caller_leg(&calling, &dialled, call, at);
        let shown = match self.rng.usize(..10) {
            0..6 => Calling { number: self.phones[phone].direct_number.clone(), ..calling.clone() },
            6..9 => Calling { number: "+16505550000".to_owned(), name: "Acme".to_owned(), ..calling.clone() },
            _ => Calling { withheld: true, ..calling.clone() },
        };
        let offered = after + self.delay();
        let target = Target { host: self.trunk, number };
        let leg = self.target_leg(&shown, &target, call, Side::Target, "", offered);
        let outcome = self.outcome(1);
        let end = self.finish(caller, vec![leg], outcome, offered);
        self.phones[phone].busy_until = end;
    }

    /// A call that the switch answers itself, with a menu or music, before it calls agents.
    fn queue_call(&mut self, at: i64) {
        let (calling, mut agents) = (self.anybody(at), self.group());
        agents.truncate(1 + self.rng.usize(..3));
        let dialled = if calling.from_trunk { "+16505559620" } else { "620" };
        let call = self.begin(&calling, dialled);
        let (mut caller, at) = self.caller_leg(&calling, dialled, call, at);
        let answered = at + self.rng.i64(1_000..30_000);
        self.answer(&mut caller, answered);
        let at = answered + self.rng.i64(300_000..20_000_000);
        self.offer(&calling, caller, &agents, call, at);
    }

    /// A call that the first target does not take: the switch offers it to another, or outside.
    fn forwarded(&mut self, at: i64) {
        let (first, second) = (self.any_phone(), self.any_phone());
        let calling = self.anybody(at);
        let dialled = if calling.from_trunk {
            self.phones[first].direct_number.clone()
        } else {
            self.phones[first].extension.clone()
        };
        let call = self.begin(&calling, &dialled);
        let (caller, at) = self.caller_leg(&calling, &dialled, call, at);
        let mut at = at + self.delay();
        if self.rng.bool() {
            let target = self.target(first);
            let mut leg = self.target_leg(&calling, &target, call, Side::Target, "", at);
            at += self.rng.i64(3_000_000..15_000_000);
            self.cancel(&mut leg, at);
            at += self.delay();
        }
        let diversion = if self.rng.bool() {
            format!(
                "Diversion: <sip:{}@{}>;reason=no-answer\r\n",
                self.phones[first].extension,
                self.switch.ip()
            )
        } else {
            String::new()
        };
        let target = if self.rng.f64() < 0.3 {
            Target { host: self.trunk, number: format!("+1415{:07}", self.rng.usize(1000..9_999_999)) }
        } else {
            self.target(second)
        };
        let leg = self.target_leg(&calling, &target, call, Side::Target, &diversion, at);
        let outcome = self.outcome(1);
        self.finish(caller, vec![leg], outcome, at);
    }

    /// Two calls at the same moment that look the same.
    fn twins(&mut self, at: i64) {
        let calling = Calling { withheld: self.rng.f64() < 0.4, asserted: false, ..self.company() };
        let targets = if self.rng.bool() { self.group() } else { vec![self.any_phone()] };
        let dialled = if targets.len() > 1 {
            "+16505559610".to_owned()
        } else {
            self.phones[targets[0]].direct_number.clone()
        };
        let mut placed = Vec::new();
        for _ in 0..2 {
            let call = self.begin(&calling, &dialled);
            let at = at + self.rng.i64(0..5_000);
            placed.push((call, self.caller_leg(&calling, &dialled, call, at)));
        }
        for (call, (caller, at)) in placed {
            let at = at + self.delay();
            self.offer(&calling, caller, &targets, call, at);
        }
    }

    /// A caller who places a second call while the first still rings.
    fn caller_twice(&mut self, at: i64) {
        let phone = self.idle_phone(at);
        let calling = self.inside(phone);
        let first = self.any_phone();
        let dialled = self.phones[first].extension.clone();
        self.call(&calling, &dialled, &[first], at);
        let at = at + self.rng.i64(500_000..6_000_000);
        let mut group = self.group();
        let end = if self.rng.bool() {
            if self.rng.bool() {
                group.push(first); // who rings in the first call already
            }
            self.call(&calling, "610", &group, at)
        } else {
            let dialled = self.phones[group[0]].extension.clone();
            self.call(&calling, &dialled, &group[..1], at)
        };
        self.phones[phone].busy_until = end;
    }

    /// A call of which only the legs to the targets are in view.
    fn target_alone(&mut self, at: i64) {
        let calling = self.anybody(at);
        let targets = if self.rng.bool() { self.group() } else { vec![self.any_phone()] };
        let call = self.begin(&calling, "");
        let legs: Vec<Dialog> = targets
            .iter()
            .map(|&phone| {
                let target = self.target(phone);
                let at = at + self.rng.i64(0..5_000);
                self.target_leg(&calling, &target, call, Side::TargetAlone, "", at)
            })
            .collect();
        for mut leg in legs {
            self.ring(&mut leg, at + 60_000);
            self.cancel(&mut leg, at + 9_000_000);
        }
    }

    /// A call that the switch refuses.
    fn refused(&mut self, at: i64) {
        let calling = self.anybody(at);
        let call = self.begin(&calling, "7777");
        let (mut caller, at) = self.caller_leg(&calling, "7777", call, at);
        caller.refuse(at + 3_000, "404 Not Found", &mut self.packets);
    }

    /// The caller's leg; gives when the switch has it.
    fn caller_leg(&mut self, calling: &Calling, dialled: &str, call: Call, at: i64) -> (Dialog, i64) {
        let domain = self.switch.ip();
        let asserted = if calling.asserted {
            format!("P-Asserted-Identity: <sip:{}@{domain}>\r\n", calling.number)
        } else {
            String::new()
        };
        let from = from(calling, &domain.to_string());
        let mut leg = Dialog::new(
            &mut self.rng,
            calling.host,
            self.switch,
            &from,
            dialled,
            &domain.to_string(),
            &asserted,
        );
        leg.agents = if calling.from_trunk {
            ["Carrier 9", "Switchboard 18"]
        } else {
            ["Deskphone 4", "Switchboard 18"]
        };
        self.truth.insert(leg.call_id.clone(), Truth { call, side: Side::Caller });
        let mut at = at;
        leg.invite(at, &mut self.packets);
        if !calling.from_trunk {
            at += self.rng.i64(300..2_000);
            leg.refuse(at, "401 Unauthorized", &mut self.packets);
            at += self.rng.i64(500..8_000);
            leg.try_again(&mut self.rng);
            leg.invite(at, &mut self.packets);
        }
        self.perhaps_again();
        leg.respond(at + 300, "100 Trying", &mut self.packets);
        (leg, at)
    }

    /// A leg that the switch places to a target.
    fn target_leg(
        &mut self,
        calling: &Calling,
        target: &Target,
        call: Call,
        side: Side,
        diversion: &str,
        at: i64,
    ) -> Dialog {
        let domain = self.other_side.ip().to_string();
        let mut headers = diversion.to_owned();
        if calling.asserted || !calling.withheld {
            headers = format!("{headers}P-Asserted-Identity: {}\r\n", asserted(calling, &domain));
        }
        if calling.withheld {
            headers += "Privacy: id\r\n";
        }
        let from = from(calling, &domain);
        let host = target.host.to_string();
        let mut leg =
            Dialog::new(&mut self.rng, self.other_side, target.host, &from, &target.number, &host, &headers);
        leg.agents = ["Switchboard 18", if target.host == self.trunk { "Carrier 9" } else { "Deskphone 4" }];
        self.truth.insert(leg.call_id.clone(), Truth { call, side });
        leg.invite(at, &mut self.packets);
        self.perhaps_again();
        leg.respond(at + 1_500, "100 Trying", &mut self.packets);
        leg
    }

    /// Offers a call to phones in any order, and plays it to its end; gives when that is.
    fn offer(&mut self, calling: &Calling, caller: Dialog, targets: &[usize], call: Call, at: i64) -> i64 {
        let mut order = targets.to_vec();
        self.rng.shuffle(&mut order);
        let mut offered = at;
        let mut legs = Vec::new();
        for phone in order {
            let target = self.target(phone);
            legs.push(self.target_leg(calling, &target, call, Side::Target, "", offered));
            offered += self.rng.i64(300..3_000);
        }
        let outcome = self.outcome(legs.len());
        self.finish(caller, legs, outcome, offered)
    }

    fn finish(&mut self, mut caller: Dialog, mut legs: Vec<Dialog>, outcome: Outcome, at: i64) -> i64 {
        if matches!(outcome, Outcome::Busy) {
            for leg in &mut legs {
                leg.refuse(at + self.rng.i64(3_000..30_000), "486 Busy Here", &mut self.packets);
            }
        }
        if !matches!(outcome, Outcome::Busy) {
            for leg in &mut legs {
                let at = at + self.rng.i64(10_000..120_000);
                self.ring(leg, at);
            }
            if !caller.answered {
                caller.respond(at + 125_000, "180 Ringing", &mut self.packets);
            }
        }
        match outcome {
            Outcome::Answered { target, after, talk } => {
                let answered = at + after;
                self.answer(&mut legs[target], answered);
                for (place, leg) in legs.iter_mut().enumerate() {
                    if place != target {
                        self.cancel(leg, answered + 1_500);
                    }
                }
                if !caller.answered {
                    self.answer(&mut caller, answered + 2_000);
                }
                let end = answered + talk;
                legs[target].bye(end, &mut self.packets);
                caller.bye(end + 2_000, &mut self.packets);
                end
            }
            Outcome::Cancelled { after } => {
                let end = at + after;
                if caller.answered {
                    caller.bye(end, &mut self.packets);
                } else {
                    caller.cancel(end, &mut self.packets);
                }
                for leg in &mut legs {
                    self.cancel(leg, end + 2_500);
                }
                end
            }
            Outcome::Busy => {
                let end = at + 32_000;
                if caller.answered {
                    caller.bye(end, &mut self.packets);
                } else {
                    caller.refuse(end, "486 Busy Here", &mut self.packets);
                }
                end
            }
        }
    }

    fn ring(&mut self, leg: &mut Dialog, at: i64) {
        leg.respond(at, "180 Ringing", &mut self.packets);
    }

    fn answer(&mut self, leg: &mut Dialog, at: i64) {
        leg.answer(at, &mut self.packets);
    }

    fn cancel(&mut self, leg: &mut Dialog, at: i64) {
        leg.cancel(at, &mut self.packets);
    }

    /// Sends the last message again, now and then.
    fn perhaps_again(&mut self) {
        if self.rng.f64() < SENT_AGAIN
            && let Some(mut last) = self.packets.last().cloned()
        {
            last.at_micros += 500_000; // T1, RFC 3261 §17.1.1.1
            self.packets.push(last);
        }
    }

    fn begin(&mut self, calling: &Calling, dialled: &str) -> Call {
        let number = self.calls;
        self.calls += 1;
        let shown = if calling.withheld && !calling.asserted { "" } else { &calling.number };
        let twins = *self.twins.entry((shown.to_owned(), dialled.to_owned())).or_insert(number);
        Call { number, twins }
    }

    /// Returns how long the switch takes to place a leg.
    fn delay(&mut self) -> i64 {
        self.rng.i64(1_000..50_000)
    }

    fn outcome(&mut self, targets: usize) -> Outcome {
        let after = self.rng.i64(2_000_000..20_000_000);
        match self.rng.usize(..10) {
            0..7 => Outcome::Answered {
                target: self.rng.usize(..targets),
                after,
                talk: self.rng.i64(5_000_000..90_000_000),
            },
            7..9 => Outcome::Cancelled { after },
            _ => Outcome::Busy,
        }
    }

    fn anybody(&mut self, at: i64) -> Calling {
        if self.rng.bool() {
            return self.outside();
        }
        let phone = self.idle_phone(at);
        self.phones[phone].busy_until = at + 60_000_000;
        self.inside(phone)
    }

    fn inside(&self, phone: usize) -> Calling {
        let Phone { host, extension, name, .. } = &self.phones[phone];
        Calling {
            host: *host,
            number: extension.clone(),
            name: name.clone(),
            withheld: false,
            asserted: false,
            from_trunk: false,
        }
    }

    fn outside(&mut self) -> Calling {
        let kind = self.rng.usize(..10);
        if kind < 2 {
            return self.company();
        }
        let number = format!("+1212{:07}", self.rng.usize(..10_000_000));
        Calling {
            host: self.trunk,
            name: format!("Caller {}", &number[7..]),
            number,
            withheld: kind == 2,
            asserted: kind == 2 && self.rng.bool(),
            from_trunk: true,
        }
    }

    /// Somebody of a company, all of whose people show one number.
    fn company(&mut self) -> Calling {
        let company = self.rng.usize(..COMPANIES);
        Calling {
            host: self.trunk,
            number: format!("+1213555{company:04}"),
            name: format!("Company {company}"),
            withheld: false,
            asserted: false,
            from_trunk: true,
        }
    }

    fn group(&mut self) -> Vec<usize> {
        let mut group: Vec<usize> = (0..self.rng.usize(2..=8)).map(|_| self.any_phone()).collect();
        group.sort_unstable();
        group.dedup();
        group
    }

    fn any_phone(&mut self) -> usize {
        self.rng.usize(..self.phones.len())
    }

    fn idle_phone(&mut self, at: i64) -> usize {
        loop {
            let phone = self.any_phone();
            if self.phones[phone].busy_until <= at {
                return phone;
            }
        }
    }

    fn target(&self, phone: usize) -> Target {
        let Phone { host, extension, .. } = &self.phones[phone];
        Target { host: *host, number: extension.clone() }
    }
}

/// A phone; the direct numbers of every second one end like its extension.
fn phone(number: usize, laboratory: bool) -> Phone {
    let host = if laboratory {
        SocketAddr::new([127, 0, 0, 1].into(), 10_000 + number as u16)
    } else {
        SocketAddr::new([10, 31, (number / 250) as u8, (number % 250) as u8].into(), 5060)
    };
    let direct = if number.is_multiple_of(2) { 5_010_000 + number } else { 5_900_000 - number * 7 };
    Phone {
        host,
        extension: format!("{}", 10_000 + number),
        name: format!("Person {number}"),
        direct_number: format!("+1650{direct}"),
        busy_until: 0,
    }
}

/// The From of a caller.
fn from(calling: &Calling, domain: &str) -> String {
    if calling.withheld {
        return "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned();
    }
    asserted(calling, domain)
}

fn asserted(calling: &Calling, domain: &str) -> String {
    format!("\"{}\" <sip:{}@{domain}>", calling.name, calling.number)
}
