//! `hookswitch trigger`: a scripted call on a running server, with chosen numbers.
//!
//! What is posted are signals, as a switch would post them: the events are those of the session machine.

mod calls;
mod told;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;
use hookswitch_model::{Reason, StatusCode, Timestamp};
use hookswitch_server::{clock, escape, secret};
use serde_json::{Value, json};

use self::calls::{Call, Numbers, Pace, Step};
use self::told::PredictedEvents;
use super::admin::{Admin, Asked};
use super::play::check_speed;

/// The longest time that phones ring or people talk, in seconds.
const SECONDS_MAX: f64 = 3600.0;

/// Time that what was posted may take until it is told.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Interval between checks whether it is.
const PAUSE: Duration = Duration::from_millis(100);

/// For how long a cause may be waited for before an end is told.
const SETTLED: Duration = Duration::from_millis(700);

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Trigger {
    /// Kind of call; may be left out with --reason or --status
    #[arg(value_name = "CALL", value_enum, required_unless_present_any = ["reason", "status"])]
    call: Option<Call>,
    #[command(flatten)]
    asked: Asked,
    /// The number of the caller [default: one that fits the call, somebody outside or 101]
    #[arg(long, value_name = "NUMBER")]
    from: Option<String>,
    /// The name of the caller
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The number of the called party [default: one that fits the call, 101 or somebody outside]
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// Number of the person who is transferred to, picks up, retrieves or supervises [default: 102]
    #[arg(long, value_name = "NUMBER")]
    third: Option<String>,
    /// The number of the queue or menu [default: 600]
    #[arg(long, value_name = "NUMBER")]
    service: Option<String>,
    /// Slot where the call is parked [default: 701]
    #[arg(long, value_name = "SLOT")]
    slot: Option<String>,
    /// Let a party end with this reason of the API, such as NoAnswer
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Option<Reason>,
    /// Stop when a party reaches this status, such as Hold, and leave the call there
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<StatusCode>,
    /// The account of the call [default: that of the server]
    #[arg(long, value_name = "ID")]
    account: Option<u64>,
    /// Ringing time in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    ring: f64,
    /// Talk time in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    talk: f64,
    /// Speed of the call: 1 is real time, 10 is ten times as fast; 0 posts everything at once, with times that end now
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    speed: f64,
    /// Print one JSON object: the sessions with their events, and the names of the legs
    #[arg(long)]
    json: bool,
}

fn reason(text: &str) -> Result<Reason, String> {
    word(text, Reason::ALL, Reason::as_str)
}

fn status(text: &str) -> Result<StatusCode, String> {
    word(text, StatusCode::ALL, StatusCode::as_str)
}

/// Reads one of some words, in any case.
fn word<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().find(|&&one| name(one).eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|&one| name(one)).collect();
        format!("there are {}", names.join(", "))
    })
}

/// A call that was chosen: its kind and its signals.
struct Chosen {
    call: Call,
    steps: Vec<Step>,
}

impl Trigger {
    /// Posts the call, and prints what was told of it.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        check_speed(self.speed)?;
        for (name, seconds) in [("ring", self.ring), ("talk", self.talk)] {
            ensure!(
                (0.0..=SECONDS_MAX).contains(&seconds),
                "--{name} {seconds} is no time; give 0 to {SECONDS_MAX} seconds"
            );
        }
        let Chosen { call, steps } = self.choose()?;
        let admin = self.asked.open()?;
        let prefix = format!("{}-{}", name(call), &secret::token()?[..8]);
        let begun = self.post(&admin, &prefix, &steps)?;
        let told = told_of(&admin, &begun, self.status.is_some())?;
        if self.json {
            let legs: Vec<String> = begun.legs.iter().map(|leg| format!("{prefix}-{leg}")).collect();
            writeln!(out, "{}", escape::json(&json!({"sessions": told, "legs": legs}).to_string()))?;
            return Ok(());
        }
        for session in &told {
            writeln!(out, "{}", session["session"]["telephonySessionId"].as_str().unwrap_or_default())?;
            for event in session["events"].as_array().into_iter().flatten() {
                let text = |key: &str| event[key].as_str().unwrap_or_default();
                let time = text("time").get(11..23).unwrap_or_default();
                let sequence = event["sequence"].as_u64().unwrap_or_default();
                writeln!(out, "  {time} {sequence:>2} {}", escape::plain(text("text")))?;
            }
        }
        Ok(())
    }

    /// The call that does what was asked for.
    fn choose(&self) -> anyhow::Result<Chosen> {
        if let Some(call) = self.call {
            let steps = self.steps_of(call, self.reason);
            return self.stopped(call, steps).with_context(|| match (self.status, self.reason) {
                (Some(status), _) => format!("a call of the kind {} does not come to {status}", name(call)),
                (_, reason) => {
                    let reason = reason.map_or("", Reason::as_str);
                    format!("a call of the kind {} does not end with {reason}", name(call))
                }
            });
        }
        // What follows by itself comes first; for the other reasons the phone system names them.
        let by_itself = Call::value_variants().iter().map(|&call| (call, None));
        let likely = match self.reason {
            Some(Reason::RccTransfer) => Call::Transfer,
            Some(Reason::Voicemail) => Call::Missed,
            _ => Call::Answered,
        };
        let named = self.reason.map(|reason| (likely, Some(reason)));
        let mut fitting = by_itself.chain(named);
        let chosen = fitting.find_map(|(call, reason)| self.stopped(call, self.steps_of(call, reason)));
        chosen.context("no call comes there; name a CALL, or leave out --reason or --status")
    }

    fn steps_of(&self, call: Call, reason: Option<Reason>) -> Vec<Step> {
        let mut numbers = call.numbers();
        for (given, number) in [
            (&self.from, &mut numbers.from),
            (&self.to, &mut numbers.to),
            (&self.third, &mut numbers.third),
            (&self.service, &mut numbers.service),
            (&self.slot, &mut numbers.slot),
        ] {
            if let Some(given) = given {
                number.clone_from(given);
            }
        }
        let numbers = Numbers { name: self.name.clone(), ..numbers };
        let milliseconds =
            |seconds: f64| u64::try_from(Duration::from_secs_f64(seconds).as_millis()).unwrap_or(u64::MAX);
        call.script(&numbers, Pace { ring: milliseconds(self.ring), talk: milliseconds(self.talk) }, reason)
    }

    /// The steps as far as they are asked for, if they come there.
    fn stopped(&self, call: Call, steps: Vec<Step>) -> Option<Chosen> {
        let told = PredictedEvents::of(&steps);
        if self.reason.is_some_and(|reason| !told.has_reason(reason)) {
            return None;
        }
        let steps = match self.status {
            None => steps,
            // After an end there is nothing that could be left as it is.
            Some(status) if status.is_terminal() => told.has_status(status).then_some(steps)?,
            Some(status) => {
                let fits = (1..=steps.len())
                    .find(|&count| PredictedEvents::of(&steps[..count]).has_status(status))?;
                // What both sides are told of comes for both: who is called answers, and so the caller is answered.
                let kind = |step: &Step| step.signal["kind"].clone();
                let same =
                    steps[fits..].iter().take_while(|step| kind(step) == kind(&steps[fits - 1])).count();
                steps[..fits + same].to_vec()
            }
        };
        Some(Chosen { call, steps })
    }

    /// Posts the signals, each at its time.
    fn post(&self, admin: &Admin, prefix: &str, steps: &[Step]) -> anyhow::Result<Begun> {
        let length = steps.last().map_or(0, |step| step.at);
        let now = server_time(admin);
        let first = if self.speed > 0.0 { now } else { moved(now, -i64::try_from(length)?) };
        let started = clock::now();
        let signal = |number: usize, step: &Step, at: Timestamp| {
            let mut signal = step.signal.clone();
            for key in ["leg", "of", "by", "whom", "consulted"] {
                if let Some(leg) = signal[key].as_str() {
                    signal[key] = format!("{prefix}-{leg}").into();
                }
            }
            // A key that was looked for is there, with nothing in it.
            if let Some(signal) = signal.as_object_mut() {
                signal.retain(|_, value| !value.is_null());
            }
            signal["id"] = format!("{prefix}-{number}").into();
            signal["at"] = at.to_string().into();
            if let Some(account) = self.account {
                signal["account"] = account.into();
            }
            signal
        };
        let mut begun = Begun { sessions: Vec::new(), legs: Vec::new() };
        let mut batch = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let at = if self.speed > 0.0 {
                let due = Duration::from_millis(step.at).div_f64(self.speed);
                let wait = due.saturating_sub(started.elapsed());
                std::thread::sleep(wait);
                moved(first, i64::try_from(due.as_millis())?)
            } else {
                moved(first, i64::try_from(step.at)?)
            };
            begun.note(step, at);
            batch.push(signal(number, step, at));
            if self.speed > 0.0 || number + 1 == steps.len() {
                admin.post("/ingest/v1/signals", &json!({"signals": std::mem::take(&mut batch)}))?;
            }
        }
        Ok(begun)
    }
}

/// Call that was begun.
struct Begun {
    /// Time when each session began, as the API writes it.
    sessions: Vec<String>,
    /// The names of the legs within the call.
    legs: Vec<String>,
}

impl Begun {
    fn note(&mut self, step: &Step, at: Timestamp) {
        if step.signal["kind"] != "created" {
            return;
        }
        self.legs.extend(step.signal["leg"].as_str().map(str::to_owned));
        if step.signal["direction"] == "outbound" {
            self.sessions.push(at.to_string());
        }
    }
}

/// The word for a kind of call.
fn name(call: Call) -> String {
    call.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The time of the server, to the millisecond.
fn server_time(admin: &Admin) -> Timestamp {
    let read = admin.read("/admin/v1/clock").ok();
    let read = read.and_then(|clock| clock["now"].as_str()?.parse::<jiff::Timestamp>().ok());
    let now = read.map_or_else(clock::wall, |now| Timestamp::from_micros(now.as_microsecond()));
    Timestamp::from_micros(now.as_micros() / 1000 * 1000)
}

fn moved(at: Timestamp, milliseconds: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(milliseconds.saturating_mul(1000)))
}

/// Returns what the server has told of the sessions that were begun, once they have ended or nothing more comes.
fn told_of(admin: &Admin, begun: &Begun, stays: bool) -> anyhow::Result<Vec<Value>> {
    let deadline: Instant = clock::now() + TOLD_WITHIN;
    if stays {
        std::thread::sleep(SETTLED);
    }
    loop {
        let page = admin.read("/admin/v1/sessions?limit=200")?;
        let records = page["records"].as_array().map_or(&[][..], Vec::as_slice);
        let is_ours = |session: &&Value| {
            session["startTime"]
                .as_str()
                .is_some_and(|start| begun.sessions.iter().any(|began| began == start))
        };
        let mut ours: Vec<&Value> = records.iter().filter(is_ours).collect();
        ours.sort_by_key(|session| session["startTime"].as_str().unwrap_or_default().to_owned());
        let ended = !ours.is_empty() && ours.iter().all(|session| session["isOpen"] == false);
        if stays || ended || clock::now() > deadline {
            let story = |session: &&Value| {
                let id = session["telephonySessionId"].as_str().unwrap_or_default();
                admin.read(&format!("/admin/v1/sessions/{id}"))
            };
            return ours.iter().map(story).collect();
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;
    use hookswitch_signal::ingest::Posted;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        trigger: Trigger,
    }

    fn trigger(arguments: &[&str]) -> Trigger {
        let arguments = std::iter::once(&"trigger").chain(arguments);
        Command::try_parse_from(arguments).expect("they are arguments").trigger
    }

    /// Returns what is told of the parties, the last of each.
    fn ends(steps: &[Step]) -> BTreeMap<String, StatusCode> {
        let told = PredictedEvents::of(steps);
        let party = |event: &hookswitch_model::Event| (event.party.id.to_string(), event.party.status.code);
        told.events().iter().map(party).collect()
    }

    #[test]
    fn every_call_is_in_the_words_of_the_ingest_and_ends_for_all_parties() {
        for &call in Call::value_variants() {
            let chosen = trigger(&[&name(call)]).choose().expect("it can be chosen");
            for (number, step) in chosen.steps.iter().enumerate() {
                let mut signal = step.signal.clone();
                signal["id"] = number.to_string().into();
                let read = Posted::parse(signal.to_string().as_bytes());
                assert!(read.is_ok(), "{call:?}: {signal}: {:?}", read.err());
            }
            let ends = ends(&chosen.steps);
            assert!(!ends.is_empty() && ends.values().all(|code| code.is_terminal()), "{call:?}: {ends:?}");
        }
    }

    #[test]
    fn every_status_can_be_asked_for_and_the_call_stays_there() {
        for &status in StatusCode::ALL {
            let chosen = trigger(&["--status", status.as_str()]).choose().expect("a call comes there");
            let ends = ends(&chosen.steps);
            assert!(ends.values().any(|&code| code == status), "{status}: {ends:?}");
            if !status.is_terminal() {
                assert!(ends.values().all(|code| !code.is_terminal()), "{status}: {ends:?}");
            }
        }
    }

    #[test]
    fn every_reason_can_be_asked_for_with_and_without_a_call() {
        for &reason in Reason::ALL {
            for arguments in [&["--reason", reason.as_str()][..], &["answered", "--reason", reason.as_str()]]
            {
                let chosen = trigger(arguments).choose().expect("a call ends so");
                assert!(PredictedEvents::of(&chosen.steps).has_reason(reason), "{reason}: {arguments:?}");
                assert!(ends(&chosen.steps).values().all(|code| code.is_terminal()), "{reason}");
            }
        }
        for call in ["missed", "cancelled", "busy", "voicemail", "transfer", "queue", "menu", "no-such-user"]
        {
            let chosen = trigger(&[call, "--reason", "callswitch"]).choose().expect(call);
            assert!(PredictedEvents::of(&chosen.steps).has_reason(Reason::CallSwitch), "{call}");
        }
    }

    #[test]
    fn a_call_has_the_numbers_and_times_that_were_chosen() {
        let arguments =
            ["answered", "--from", "+4930123456", "--name", "Zo\u{eb}", "--to", "103", "--ring", "1.5"];
        let chosen = trigger(&arguments).choose().expect("it can be chosen");
        let told = PredictedEvents::of(&chosen.steps);
        for event in told.events() {
            assert_eq!(event.party.from.phone_number.as_deref(), Some("+4930123456"));
            assert_eq!(event.party.to.phone_number.as_deref(), Some("103"));
        }
        let answered = chosen.steps.iter().find(|step| step.signal["kind"] == "answered").expect("it is");
        assert_eq!(answered.at, 4 * 100 + 1500);
        assert_eq!(chosen.steps[0].signal["caller"], json!({"number": "+4930123456", "name": "Zo\u{eb}"}));
    }

    #[test]
    fn what_a_call_does_not_come_to_is_said() {
        let error =
            |arguments: &[&str]| trigger(arguments).choose().err().expect("it is refused").to_string();
        assert_eq!(error(&["busy", "--status", "Hold"]), "a call of the kind busy does not come to Hold");
        let parsed = Command::try_parse_from(["trigger", "--reason", "Boredom"]);
        assert!(parsed.err().expect("no reason").to_string().contains("there are Pickup, Supervising"));
        assert!(Command::try_parse_from(["trigger"]).is_err(), "nothing says which call");
    }
}
