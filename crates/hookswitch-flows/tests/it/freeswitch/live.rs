//! Transcripts that `live/freeswitch` has recorded, played by a peer: it lets in who connects, tells what the switch has
//! told at its times, and answers what is asked as the switch has answered it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use hookswitch_flows::ladder::{START_MICROS, ladder};
use hookswitch_flows::recordings::{self, Recording};
use hookswitch_flows::score;
use hookswitch_flows::told::{StoryResult, as_notifications, with_outages};
use hookswitch_model::SwitchLink;
use hookswitch_pipeline::Switch;
use hookswitch_signal::switch::{Options, ProtocolEvent, SourceSettings, SwitchConnection, Transmit};

const GREETING: &[u8] = b"Content-Type: auth/request";

/// How long after the last that was recorded the connection stays.
const REST: f64 = 30.0;

/// An answer, and when it was given.
type Answer = (f64, Vec<u8>);

/// One connection of a transcript.
#[derive(Default)]
struct Recorded {
    begins: f64,
    events: Vec<(f64, Vec<u8>)>,
    /// Answers to each question, in the order of asking.
    answers: BTreeMap<String, VecDeque<Answer>>,
}

/// The connections of a transcript, the first of which may have been there before. Times are seconds since its begin.
fn connections(transcript: &[u8]) -> Vec<Recorded> {
    let mut all = vec![Recorded::default()];
    let (mut asked, mut start) = (VecDeque::new(), None);
    let mut rest = transcript;
    while rest.starts_with(b"=== ") {
        let end = rest.iter().position(|&byte| byte == b'\n').expect("a line ends");
        let line = std::str::from_utf8(&rest[..end]).expect("text");
        let words: Vec<&str> = line.split(' ').collect();
        let (seconds, length): (f64, usize) =
            (words[1].parse().expect("seconds"), words[4].parse().expect("a length"));
        let block = &rest[end + 1..end + 1 + length];
        rest = &rest[end + 2 + length..];
        let at = seconds - *start.get_or_insert(seconds - 1.0);
        if words[3] == "out" {
            let text = String::from_utf8_lossy(block).into_owned();
            asked.extend(text.split("\n\n").filter_map(|line| Some(line.strip_prefix("api ")?.to_owned())));
        } else if block.starts_with(GREETING) {
            asked.clear();
            all.push(Recorded { begins: at, ..Recorded::default() });
        } else {
            let connection = all.last_mut().expect("one at least");
            let head = String::from_utf8_lossy(&block[..block.len().min(200)]).into_owned();
            if head.contains("api/response") {
                let question = asked.pop_front().expect("it was asked");
                connection.answers.entry(question).or_default().push_back((at, block.to_vec()));
            } else if head.contains("text/event-") {
                connection.events.push((at, block.to_vec()));
            }
        }
    }
    all
}

/// A connection to the peer, and what comes of it for the tracker.
struct Play<'a> {
    connection: SwitchConnection,
    recorded: &'a mut Recorded,
    told: &'a mut Vec<StoryResult>,
    /// Answers in the order of asking, and their times: not before the switch has.
    answers: VecDeque<Answer>,
    is_up: bool,
}

impl Play<'_> {
    fn since(&self, at: f64) -> Duration {
        Duration::from_secs_f64((at - self.recorded.begins).max(0.0))
    }

    fn hears(&mut self, bytes: &[u8], at: f64) {
        let since = self.since(at);
        self.connection.handle_input(bytes, since);
        self.goes_on(at);
    }

    /// Lets all happen that follows at once.
    fn goes_on(&mut self, at: f64) {
        let since = self.since(at);
        loop {
            let mut message = Vec::new();
            while let Some(event) = self.connection.poll_event(&mut message, since).expect("it goes on") {
                self.is_up |= event == ProtocolEvent::LoggedIn;
                if event == ProtocolEvent::Message {
                    let at_micros = START_MICROS + (at * 1e6).round() as i64;
                    self.told.push(StoryResult { at_micros, message: std::mem::take(&mut message) });
                }
            }
            while let Some(transmit) = self.connection.poll_transmit(since) {
                let Transmit::Bytes(bytes) = transmit else { panic!("an event socket carries bytes") };
                let sent = String::from_utf8(bytes).expect("text");
                for command in sent.split("\n\n").filter(|command| !command.is_empty()) {
                    let (given, answer) = self.answer(command);
                    let earliest = self.answers.back().map_or(at, |&(due, _)| due.max(at));
                    self.answers.push_back((given.max(earliest), answer));
                }
            }
            if self.answers.front().is_none_or(|(due, _)| *due > at) {
                return;
            }
            let Some((_, answer)) = self.answers.pop_front() else { return };
            self.connection.handle_input(&answer, since);
        }
    }

    fn answer(&mut self, command: &str) -> Answer {
        let Some(question) = command.strip_prefix("api ") else {
            let says = if command.starts_with("event ") {
                "+OK event listener enabled json"
            } else {
                "+OK accepted"
            };
            return (0.0, format!("Content-Type: command/reply\nReply-Text: {says}\n\n").into_bytes());
        };
        let answers = self.recorded.answers.get_mut(question);
        // What was not asked then is not known now; the last answer stays so.
        let answer =
            answers.and_then(
                |answers| if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() },
            );
        answer.unwrap_or_else(|| (0.0, b"Content-Type: api/response\nContent-Length: 5\n\n-ERR\n".to_vec()))
    }

    /// Plays all up to a time.
    fn until(&mut self, end: f64) {
        self.hears(b"Content-Type: auth/request\n\n", self.recorded.begins);
        for (at, event) in std::mem::take(&mut self.recorded.events) {
            self.waits_until(at);
            self.hears(&event, at);
        }
        self.waits_until(end);
    }

    /// Lets the connection ask what it asks from time to time, and gives the answers that are due.
    fn waits_until(&mut self, at: f64) {
        loop {
            let asks = self.recorded.begins + self.connection.poll_timeout().as_secs_f64();
            let answered = self.answers.front().map_or(f64::INFINITY, |&(due, _)| due);
            let next = asks.min(answered);
            if next > at {
                return;
            }
            if asks <= answered {
                self.connection.handle_timeout(self.connection.poll_timeout()).expect("the switch answers");
            }
            self.goes_on(next);
        }
    }
}

/// Returns what is told of a transcript that is played.
fn played(transcript: &[u8]) -> String {
    let mut connections = connections(transcript);
    let begins: Vec<f64> = connections.iter().skip(1).map(|connection| connection.begins).collect();
    let last =
        connections.iter().flat_map(|connection| &connection.events).map(|(at, _)| *at).fold(0.0, f64::max);
    let ends = begins.iter().copied().chain([last + REST]);
    let (mut told, mut links) = (Vec::new(), Vec::new());
    let options = serde_json::json!({"password": "x"});
    let options = Options::new(options.as_object().expect("an object").clone());
    let settings = SourceSettings {
        name: "pbx",
        address: "192.0.2.1:8021",
        over_tls: false,
        may_connect: false,
        options: &options,
    };
    for (recorded, end) in connections.iter_mut().zip(ends) {
        let begins = recorded.begins;
        let protocol = Switch::Esl.adapter().connect(&settings).expect("they can be used");
        let connection = SwitchConnection::new(protocol);
        let mut play = Play { connection, recorded, told: &mut told, answers: VecDeque::new(), is_up: false };
        play.until(end);
        assert!(play.is_up, "the log-in is done");
        // What was lost is known when the next connection is made at the latest.
        links.extend([
            (begins - 0.000_002, SwitchLink::Lost { lost_after: None }),
            (begins - 0.000_001, SwitchLink::Up),
        ]);
    }
    as_notifications(&with_outages(Switch::Esl, &told, &ladder(""), &links[1..]).0)
}

#[test]
fn what_a_live_freeswitch_has_told_and_answered_is_told_as_the_phones_did_it() {
    let mut wrong = String::new();
    let recordings: Vec<Recording> = recordings::all("freeswitch-live");
    assert!(recordings.len() >= 10);
    for recording in recordings {
        let told = score::sessions(&played(&recording.read("esl.log")));
        if let Err(difference) = told.and_then(|told| score::recording::compare(&recording.meta(), &told)) {
            writeln!(wrong, "{}\n{difference}", recording.name).expect("a text grows");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
