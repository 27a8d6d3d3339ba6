//! The scripted calls: who is called when, in the words of `docs/ingest.md`.

use clap::ValueEnum;
use hookswitch_model::Reason;
use serde_json::{Value, json};

/// Somebody outside, and the number of a queue or menu, of the calls that need one.
const OUTSIDE: &str = "+12125550147";
const SERVICE: &str = "600";

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Call {
    /// Answered, and hung up after a while
    Answered,
    /// Rings, and nobody answers
    Missed,
    /// Rings until the caller gives up
    Cancelled,
    /// Finds the called party busy
    Busy,
    /// Is declined
    Rejected,
    /// Is answered with a text instead
    Replied,
    /// Goes to the mailbox of the called party
    Voicemail,
    /// Goes to the mailbox, and the called party listens in
    Screening,
    /// Is a fax
    Fax,
    /// Is put on hold and taken back
    Hold,
    /// The called party mutes and unmutes
    Mute,
    /// Is recorded for a while
    Recording,
    /// Is transferred blind by the called party
    Transfer,
    /// Is transferred after a consultation
    AttendedTransfer,
    /// Is transferred by a feature code
    CodeTransfer,
    /// Is parked and retrieved by a third party
    Park,
    /// Is parked and returns because nobody retrieves it
    ParkTimeout,
    /// Is picked up by a third party while it rings
    Pickup,
    /// Waits in a queue until one of two agents answers
    Queue,
    /// Waits in a queue until its time limit
    QueueTimeout,
    /// Waits in a queue and is lost while an agent is being connected
    AgentDropped,
    /// Goes to a menu, in which the caller chooses
    Menu,
    /// Is forwarded to a third party
    Forward,
    /// A supervisor listens in
    Supervise,
    /// A supervisor takes the call over
    TakeOver,
    /// The called party moves the call to another device
    Flip,
    /// The phone system rings the caller first
    RingOut,
    /// Goes to somebody outside, who answers
    Outgoing,
    /// Goes to a number that does not exist
    InvalidNumber,
    /// Goes to an extension that does not exist
    NoSuchUser,
    /// Goes to a number that is blocked
    Blocked,
    /// Goes abroad, which is not allowed
    InternationalDisabled,
    /// Cannot be paid for
    NotEnoughFunds,
    /// The phone system or the network fails
    Failed,
    /// Is answered, and lost
    Dropped,
}

/// People of a call.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) from: String,
    /// The caller's name.
    pub(super) name: Option<String>,
    pub(super) to: String,
    /// Party that fetches, picks up, supervises, or is transferred to.
    pub(super) third: String,
    /// The number of the queue or menu.
    pub(super) service: String,
    /// Place where calls are parked.
    pub(super) slot: String,
}

/// Times that phones ring and people talk, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) ring: u64,
    pub(super) talk: u64,
}

/// A signal, and when it comes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Milliseconds since the call began.
    pub(super) at: u64,
    /// The signal without its id, time and account; `leg` is a name within the call.
    pub(super) signal: Value,
}

impl Call {
    /// Returns who takes part unless it is said otherwise.
    pub(super) fn numbers(self) -> Numbers {
        let (from, to) = match self {
            Self::Outgoing
            | Self::RingOut
            | Self::InvalidNumber
            | Self::Blocked
            | Self::InternationalDisabled
            | Self::NotEnoughFunds => ("101", OUTSIDE),
            Self::NoSuchUser => ("101", "199"),
            _ => (OUTSIDE, "101"),
        };
        let [from, to, third, service, slot] = [from, to, "102", SERVICE, "701"].map(str::to_owned);
        Numbers { from, name: None, to, third, service, slot }
    }

    /// The signals of the call. A reason is said of the party of which the script is about, in place of the reason
    /// that would follow.
    pub(super) fn script(self, numbers: &Numbers, pace: Pace, reason: Option<Reason>) -> Vec<Step> {
        let mut script = Script { numbers, pace, reason, at: 0, steps: Vec::new() };
        script.write(self);
        script.steps
    }
}

/// Writes the steps of a call, in their order.
struct Script<'a> {
    numbers: &'a Numbers,
    pace: Pace,
    reason: Option<Reason>,
    at: u64,
    steps: Vec<Step>,
}

impl Script<'_> {
    fn write(&mut self, call: Call) {
        let Numbers { from, to, third, service, slot, .. } = &self.numbers.clone();
        match call {
            Call::Answered | Call::Outgoing => {
                self.answered();
                self.hang_up("hung_up");
            }
            Call::Dropped => {
                self.answered();
                self.hang_up("lost");
            }
            Call::Missed => self.unanswered(true, "no_answer"),
            Call::Busy => self.unanswered(false, "busy"),
            Call::Rejected => self.unanswered(true, "rejected"),
            Call::Failed => self.unanswered(false, "failed"),
            Call::Replied => {
                self.offered();
                self.ring();
                self.told_end("b", Reason::CallReplied);
                self.end("a", "no_answer");
            }
            Call::Cancelled => {
                self.offered();
                self.ring();
                if self.reason.is_some() {
                    self.ends("b", "cancelled");
                }
                self.end("a", "cancelled");
                self.end("b", "cancelled");
            }
            Call::InvalidNumber | Call::NoSuchUser => self.refused("unknown_number"),
            Call::Blocked => self.refused("blocked"),
            Call::InternationalDisabled => self.refused("international_barred"),
            Call::NotEnoughFunds => self.refused("no_funds"),
            Call::Voicemail | Call::Screening => {
                self.offered();
                self.ring();
                self.say("b", "sent_to_voicemail", json!({}));
                self.say("a", "answered", json!({}));
                if call == Call::Screening {
                    self.talk();
                    self.say("b", "screened", json!({}));
                }
                self.hang_up("hung_up");
            }
            Call::Fax => {
                self.offered();
                self.say("b", "answered", json!({}));
                self.say("a", "answered", json!({}));
                self.say("b", "fax_started", json!({}));
                self.hang_up("hung_up");
            }
            Call::Hold => {
                self.answered();
                self.talk();
                self.say("b", "held", json!({}));
                self.talk();
                self.say("b", "resumed", json!({}));
                self.hang_up("hung_up");
            }
            Call::Mute => {
                self.answered();
                for on in [true, false] {
                    self.talk();
                    self.say("b", "muted", json!({"on": on}));
                }
                self.hang_up("hung_up");
            }
            Call::Recording => {
                self.answered();
                for on in [true, false] {
                    self.talk();
                    self.say("b", "recording", json!({"recording": 1, "on": on}));
                }
                self.hang_up("hung_up");
            }
            Call::Transfer | Call::CodeTransfer => self.transfer(third, call == Call::CodeTransfer),
            Call::AttendedTransfer => {
                self.answered();
                self.talk();
                self.say("b", "held", json!({}));
                self.calls("d", to, third);
                self.called("c", "d", to, third);
                self.say("c", "ringing", json!({}));
                self.ring();
                self.say("c", "answered", json!({}));
                self.say("d", "answered", json!({}));
                self.talk();
                self.say("b", "transfer_asked", json!({"to": third, "consulted": "d"}));
                self.say("b", "transfer_done", json!({"succeeded": true}));
                self.ends("b", "hung_up");
                self.end("d", "hung_up");
                self.talk();
                self.end("c", "hung_up");
                self.end("a", "hung_up");
            }
            Call::Park => {
                self.answered();
                self.talk();
                self.say("b", "parked", json!({"slot": slot}));
                self.end("b", "hung_up");
                self.talk();
                self.calls("c", third, slot);
                self.say("b", "retrieved", json!({"by": "c"}));
                self.say("c", "answered", json!({}));
                self.talk();
                self.ends("c", "hung_up");
                self.end("a", "hung_up");
            }
            Call::ParkTimeout => {
                self.answered();
                self.talk();
                self.say("b", "parked", json!({"slot": slot}));
                self.ring();
                self.say("b", "park_ran_out", json!({}));
                self.called("c", "a", from, to);
                self.say("c", "ringing", json!({}));
                self.ring();
                self.say("c", "answered", json!({}));
                self.talk();
                self.ends("c", "hung_up");
                self.end("a", "hung_up");
            }
            Call::Pickup => {
                self.offered();
                self.ring();
                self.calls("c", third, to);
                self.say("b", "picked_up", json!({"by": "c"}));
                self.say("c", "answered", json!({}));
                self.say("a", "answered", json!({}));
                self.ends("b", "answered_elsewhere");
                self.talk();
                self.end("c", "hung_up");
                self.end("a", "hung_up");
            }
            Call::Queue => {
                self.entered(service, "queue");
                self.agent("b", from, to);
                self.agent("c", from, third);
                self.ring();
                self.say("b", "answered", json!({}));
                self.end("c", "answered_elsewhere");
                self.end("q", "answered_elsewhere");
                self.talk();
                self.ends("b", "hung_up");
                self.end("a", "hung_up");
            }
            Call::QueueTimeout => {
                self.entered(service, "queue");
                self.agent("b", from, to);
                self.ring();
                self.end("b", "no_answer");
                self.told_end("q", Reason::Timeout);
                self.end("a", "hung_up");
            }
            Call::AgentDropped => {
                self.entered(service, "queue");
                self.agent("b", from, to);
                self.ring();
                self.told_end("b", Reason::AgentDropped);
                self.talk();
                self.end("q", "hung_up");
                self.end("a", "hung_up");
            }
            Call::Menu => {
                self.entered(service, "menu");
                self.told_end("q", Reason::CallerInputRedirect);
                self.called("b", "a", from, to);
                self.say("b", "ringing", json!({}));
                self.ring();
                self.say("b", "answered", json!({}));
                self.talk();
                self.end("b", "hung_up");
                self.end("a", "hung_up");
            }
            Call::Forward => {
                self.offered();
                self.ring();
                self.ends("b", "redirected");
                let created = self.leg_to("a", from, third, json!({"diverted_by": to}));
                self.say("c", "created", created);
                self.say("c", "ringing", json!({}));
                self.ring();
                self.say("c", "answered", json!({}));
                self.say("a", "answered", json!({}));
                self.talk();
                self.end("c", "hung_up");
                self.end("a", "hung_up");
            }
            Call::Supervise | Call::TakeOver => {
                self.answered();
                self.talk();
                self.calls("c", third, to);
                self.say("c", "supervises", json!({"whom": "b"}));
                self.say("c", "answered", json!({}));
                self.talk();
                if call == Call::TakeOver {
                    self.told_end("b", Reason::TakeOver);
                    self.talk();
                    self.end("c", "hung_up");
                    self.end("a", "hung_up");
                } else {
                    self.end("c", "hung_up");
                    self.hang_up("hung_up");
                }
            }
            Call::Flip => {
                self.answered();
                self.talk();
                self.told_end("b", Reason::CallFlip);
                self.called("c", "a", from, to);
                self.say("c", "answered", json!({}));
                self.talk();
                self.end("c", "hung_up");
                self.end("a", "hung_up");
            }
            Call::RingOut => {
                let created = self.leg_of(from, to, json!({"ring_out_role": "Initiator"}));
                self.say("a", "created", created);
                self.say("a", "ringing", json!({}));
                self.ring();
                self.say("a", "answered", json!({}));
                let created = self.leg_to("a", from, to, json!({"ring_out_role": "Target"}));
                self.say("b", "created", created);
                self.say("b", "ringing", json!({}));
                self.ring();
                self.say("b", "answered", json!({}));
                self.hang_up("hung_up");
            }
        }
    }

    fn transfer(&mut self, third: &str, by_code: bool) {
        self.answered();
        self.talk();
        // Who names the reason need not say that it is a transfer.
        if self.reason.is_some() {
            self.ends("b", "hung_up");
        } else {
            self.say("b", "transfer_asked", json!({"to": third, "by_code": by_code}));
        }
        self.called("c", "a", &self.numbers.from, third);
        self.say("c", "ringing", json!({}));
        self.ring();
        self.say("c", "answered", json!({}));
        if self.reason.is_none() {
            self.say("b", "transfer_done", json!({"succeeded": true}));
            self.end("b", "hung_up");
        }
        self.talk();
        self.end("c", "hung_up");
        self.end("a", "hung_up");
    }

    /// The call reaches the called party.
    fn offered(&mut self) {
        self.calls("a", &self.numbers.from, &self.numbers.to);
        self.called("b", "a", &self.numbers.from, &self.numbers.to);
    }

    /// The call is answered, and goes on.
    fn answered(&mut self) {
        self.offered();
        self.say("b", "ringing", json!({}));
        self.say("a", "ringing", json!({}));
        self.wait(self.pace.ring);
        self.say("b", "answered", json!({}));
        self.say("a", "answered", json!({}));
    }

    fn unanswered(&mut self, rings: bool, cause: &str) {
        self.offered();
        if rings {
            self.ring();
        }
        self.ends("b", cause);
        self.end("a", cause);
    }

    /// The call reaches nobody.
    fn refused(&mut self, cause: &str) {
        self.calls("a", &self.numbers.from, &self.numbers.to);
        self.ends("a", cause);
    }

    /// The call enters a queue or a menu.
    fn entered(&mut self, service: &str, kind: &str) {
        self.calls("a", &self.numbers.from, service);
        let created = self.leg_to("a", &self.numbers.from, service, json!({"service": kind}));
        self.say("q", "created", created);
        self.say("q", "answered", json!({}));
        self.say("a", "answered", json!({}));
        self.talk();
    }

    /// A phone of an agent rings.
    fn agent(&mut self, leg: &str, from: &str, agent: &str) {
        let created = self.leg_to("a", from, agent, json!({"from_queue": true}));
        self.say(leg, "created", created);
        self.say(leg, "ringing", json!({}));
    }

    /// The called party rings for a while, if it does not ring yet.
    fn ring(&mut self) {
        let rings = self.steps.iter().any(|step| step.signal["kind"] == "ringing");
        if !rings {
            self.say("b", "ringing", json!({}));
        }
        self.wait(self.pace.ring);
    }

    fn talk(&mut self) {
        self.wait(self.pace.talk);
    }

    /// Both hang up after a while, the called party first.
    fn hang_up(&mut self, cause: &str) {
        self.talk();
        self.ends("b", cause);
        match self.reason.filter(|&reason| reason == Reason::CallFinished) {
            Some(reason) => self.say("a", "ended", json!({"reason": reason.as_str()})),
            None => self.end("a", cause),
        }
    }

    fn calls(&mut self, leg: &str, from: &str, to: &str) {
        let created = self.leg_of(from, to, json!({}));
        self.say(leg, "created", created);
    }

    fn called(&mut self, leg: &str, of: &str, from: &str, to: &str) {
        let created = self.leg_to(of, from, to, json!({}));
        self.say(leg, "created", created);
    }

    fn leg_of(&self, from: &str, to: &str, more: Value) -> Value {
        with(json!({"direction": "outbound", "callee": to, "caller": self.caller(from)}), more)
    }

    fn leg_to(&self, of: &str, from: &str, to: &str, more: Value) -> Value {
        with(json!({"direction": "inbound", "of": of, "callee": to, "caller": self.caller(from)}), more)
    }

    fn caller(&self, number: &str) -> Value {
        match &self.numbers.name {
            Some(name) if number == self.numbers.from => json!({"number": number, "name": name}),
            _ => json!({"number": number}),
        }
    }

    /// The leg that the script is about ends: as it was asked for, else by its cause.
    fn ends(&mut self, leg: &str, cause: &str) {
        match self.reason {
            Some(reason) => self.say(leg, "ended", json!({"reason": reason.as_str()})),
            None => self.end(leg, cause),
        }
    }

    /// The leg that the script is about ends for a reason that the phone system names.
    fn told_end(&mut self, leg: &str, reason: Reason) {
        let reason = self.reason.unwrap_or(reason);
        self.say(leg, "ended", json!({"reason": reason.as_str()}));
    }

    fn end(&mut self, leg: &str, cause: &str) {
        self.say(leg, "ended", json!({"cause": cause}));
    }

    fn say(&mut self, leg: &str, kind: &str, more: Value) {
        let signal = with(json!({"leg": leg, "kind": kind}), more);
        self.steps.push(Step { at: self.at, signal });
        self.wait(GAP);
    }

    fn wait(&mut self, milliseconds: u64) {
        self.at += milliseconds;
    }
}

/// Time between two signals that follow one another, in milliseconds.
const GAP: u64 = 100;

/// An object with the keys of another as well.
fn with(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
