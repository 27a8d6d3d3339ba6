//! `docs/reference/scenarios.md`: the call flows of the tests beside this file, as tables.
//!
//! The flows are read from the sources, because there a flow, its name and what it must tell stand
//! together. The rules come from the machine, for the events that it tells as the test says.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use hookswitch_model::{Event, Rule};

use hookswitch_flows::ladder::{Ladder, by_time, in_order, ladder, lines, named, written};

/// Set to write the file instead of comparing it.
const WRITE: &str = "WRITE_SCENARIOS";

/// The chapters, and the sources of their scenarios.
const CHAPTERS: &[(&str, &str)] = &[
    ("Calls from phone to phone", include_str!("calls.rs")),
    ("Calls through proxies", include_str!("proxies.rs")),
    ("Calls through a switch", include_str!("switches.rs")),
    ("Switches with several addresses", include_str!("addresses.rs")),
    ("Addresses that are translated", include_str!("translated.rs")),
    ("Calls to several phones", include_str!("forks.rs")),
    ("Forks seen from the callees' side", include_str!("branches.rs")),
    ("Refusals and next tries", include_str!("tries.rs")),
    ("Calls that nothing answers", include_str!("unanswered.rs")),
    ("Calls that seem lost", include_str!("lost.rs")),
    ("Reports out of order", include_str!("late.rs")),
    ("Session timers", include_str!("timers.rs")),
    ("Hold", include_str!("hold.rs")),
    ("Forwarding", include_str!("forwarding.rs")),
    ("Transfer", include_str!("transfers.rs")),
    ("Pickup, flip and join", include_str!("pickups.rs")),
    ("Park", include_str!("parking.rs")),
    ("Recording", include_str!("recording.rs")),
    ("Services", include_str!("services.rs")),
    ("RFC 3665: basic call flows", include_str!("rfc3665.rs")),
    ("RFC 5359: services", include_str!("rfc5359.rs")),
];

/// Headers that say nothing about what is told.
const LEFT_OUT: &[&str] = &[
    "Allow",
    "Error-Info",
    "Event",
    "Expires",
    "Min-SE",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "RAck",
    "RSeq",
    "Refer-Sub",
    "Require",
    "Route",
    "Subscription-State",
    "Supported",
    "Content-Type",
];

#[test]
fn the_catalogue_of_scenarios_says_what_the_tests_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/scenarios.md");
    let catalogue = catalogue();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&file, catalogue).expect("docs can be written");
        return;
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(catalogue.lines()).position(|(kept, now)| kept != now);
    let line = differs.unwrap_or(kept.lines().count().min(catalogue.lines().count())) + 1;
    assert!(
        kept == catalogue,
        "docs/reference/scenarios.md differs from the tests in line {line}; run `make scenarios`"
    );
}

#[test]
fn every_call_flow_of_a_source_is_found_in_it() {
    for (chapter, source) in CHAPTERS {
        let told = source.matches(".tells(\n        \"\n").count();
        assert_eq!(scenarios(source).len(), told, "{chapter}");
        assert!(told > 0, "{chapter}");
    }
}

fn catalogue() -> String {
    let mut text = include_str!("catalogue/head.md").to_owned();
    text.push_str(&contents());
    for (chapter, source) in CHAPTERS {
        let _ = write!(text, "\n## {chapter}\n");
        for scenario in scenarios(source) {
            scenario.write(&mut text);
        }
    }
    let _ = write!(text, "\n{}", include_str!("catalogue/limits.md"));
    text.push_str(
        "\n## Rules\n\n`hookswitch replay --explain` gives the rule of each event in these words.\n\n",
    );
    for (number, rule) in (1..).zip(Rule::ALL) {
        let _ = writeln!(text, "{number}. {rule}");
    }
    text
}

/// Links to each chapter and each of its flows.
fn contents() -> String {
    let mut text = "\n## Flows\n".to_owned();
    for (chapter, source) in CHAPTERS {
        let _ = write!(text, "\n* [{chapter}](#{})\n", anchor(chapter));
        for scenario in scenarios(source) {
            let _ = writeln!(text, "  * [{}](#{})", scenario.title, anchor(&scenario.title));
        }
    }
    text
}

/// Anchor of a heading, as renderers of Markdown make it: lower case, hyphens for spaces, no other marks.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The call flows of all chapters.
pub(crate) fn ladders() -> Vec<Ladder> {
    CHAPTERS.iter().flat_map(|(_, source)| scenarios(source)).map(|scenario| scenario.ladder).collect()
}

/// A call flow of a test and what it must tell.
struct Scenario {
    title: String,
    comment: String,
    ladder: Ladder,
    text: String,
    expected: Vec<String>,
}

/// The call flows of a source, in their order.
fn scenarios(source: &'static str) -> Vec<Scenario> {
    let mut found = Vec::new();
    for test in source.split("#[test]\nfn ").skip(1) {
        let (name, body) = test.split_once("() {\n").expect("a test");
        let body = body.split_once("\n}\n").map_or(body, |(body, _)| body);
        let comment = body.lines().map_while(|line| line.trim().strip_prefix("//")).map(str::trim);
        let comment = comment.collect::<Vec<_>>().join(" ").replace(". ", ".\n");
        let mut rest = body;
        while let Some((before, after)) = rest.split_once("(\n        \"\n") {
            let (text, after) = literal(after);
            let Some((between, tells)) = after.split_once(".tells(\n        \"\n") else { break };
            let (expected, after) = literal(tells);
            rest = after;
            let ladder = if before.ends_with("named") { named(&text) } else { ladder(&text) };
            let ladder =
                match between.split_once(".with_directory(").and_then(|(_, name)| name.split_once(')')) {
                    Some((name, _)) => ladder.with_directory(constant(source, name)),
                    None => ladder,
                };
            found.push(Scenario {
                title: title(name),
                comment: comment.clone(),
                ladder,
                text,
                expected: by_time(lines(&expected).map(str::to_owned).collect()),
            });
        }
    }
    found
}

/// A string literal whose opening quote has been read, and what follows it.
fn literal(text: &str) -> (String, &str) {
    let end = text.match_indices('"').find(|(at, _)| !text[..*at].ends_with('\\')).map(|(at, _)| at);
    let (literal, rest) = text.split_at(end.expect("the end of a string"));
    (literal.replace("\\\"", "\""), &rest[1..])
}

/// The raw string constant with this name.
fn constant(source: &'static str, name: &str) -> &'static str {
    let (_, rest) = source.split_once(&format!("const {name}: &str = r#\"")).expect("the constant");
    rest.split_once("\"#").expect("the end of a raw string").0
}

/// The name of a test as a title.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let (first, rest) = words.split_at(1);
    first.to_uppercase() + rest
}

impl Scenario {
    fn write(&self, text: &mut String) {
        let _ = write!(text, "\n### {}\n\n", self.title);
        if !self.comment.is_empty() {
            let _ = write!(text, "{}\n\n", self.comment);
        }
        text.push_str("| Message | Event | Rule |\n|---|---|---|\n");
        let calls = lines(&self.text).filter_map(|line| option(line, "call")).count();
        let messages: Vec<&str> = lines(&self.text).collect();
        let mut events = self.events();
        for (number, line) in (0..).zip(&messages) {
            let (at, rest) = line.split_once(' ').expect("a time");
            let here = events.remove(&number).unwrap_or_default();
            let (now, later): (Vec<_>, Vec<_>) = here.into_iter().partition(|told| told.at == at);
            if !now.is_empty() || !only_confirms(&messages[..=number]) {
                row(text, &format!("`{at} {}`", message(rest, calls > 0)), &now);
            }
            for told in later.chunk_by(|one, other| one.at == other.at) {
                row(text, &format!("`{}` nothing", told[0].at), told);
            }
        }
    }

    /// Returns what must be told, by the number of the message that it follows from.
    fn events(&self) -> HashMap<usize, Vec<ScenarioResult>> {
        let events = self.ladder.events();
        let mut told: Vec<(String, &Event)> = written(&events).into_iter().zip(&events).collect();
        in_order(&mut told, |(line, _)| line);
        let times: Vec<&str> =
            lines(&self.text).map(|line| line.split(' ').next().unwrap_or_default()).collect();
        let mut by_message: HashMap<usize, Vec<ScenarioResult>> = HashMap::new();
        for line in &self.expected {
            let (session, rest) = match line.strip_prefix('#').and_then(|line| line.split_once(' ')) {
                Some((number, rest)) => (Some(number), rest),
                None => (None, line.as_str()),
            };
            let (at, what) = rest.split_once(' ').expect("a time");
            let event = told.iter().position(|(told, _)| told == line).map(|at| told.remove(at).1);
            let causes = event.map(|event| event.causes.iter().map(|input| input.number as usize - 1));
            let cause = causes.and_then(|mut causes| causes.find(|&cause| times[cause] == at));
            let seconds = |time: &str| time.parse::<f64>().expect("seconds");
            let before = || times.iter().rposition(|time| seconds(time) <= seconds(at)).unwrap_or(0);
            by_message.entry(cause.unwrap_or_else(before)).or_default().push(ScenarioResult {
                at: at.to_owned(),
                what: told_as(session, what),
                rule: event.map(|event| event.rule),
            });
        }
        by_message
    }
}

/// An event of a row.
struct ScenarioResult {
    at: String,
    what: String,
    rule: Option<Rule>,
}

fn row(text: &mut String, message: &str, told: &[ScenarioResult]) {
    let events: Vec<&str> = told.iter().map(|told| told.what.as_str()).collect();
    let rules: Vec<String> = told.iter().map(|told| told.rule.map_or("–".to_owned(), number)).collect();
    let _ = writeln!(text, "| {message} | {} | {} |", events.join("<br>"), rules.join("<br>"));
}

fn number(rule: Rule) -> String {
    let at = Rule::ALL.iter().position(|&known| known == rule);
    at.map_or(String::new(), |at| (at + 1).to_string())
}

/// An event in the words of the table: `102 Inbound: Disconnected/TargetBusy missed`.
fn told_as(session: Option<&str>, what: &str) -> String {
    let directions = what.replace("out ", "Outbound ").replace("inb ", "Inbound ");
    let mut words = directions.splitn(3, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (direction, who, status) = (next(), next(), next());
    let session = session.map_or(String::new(), |number| format!("#{number} "));
    format!("{session}{who} {direction}: {status}")
}

/// The value of an option of a ladder's line.
fn option<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let words = line.split('|').next().unwrap_or_default();
    words.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Returns `true` if the last of these messages only confirms one before it.
fn only_confirms(messages: &[&str]) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let Some((last, before)) = messages.split_last() else { return false };
    let last_words = words(last);
    let [_, from, _, to, what, ..] = last_words.as_slice() else { return false };
    match what.as_str() {
        "100" | "ACK" => option(last, "sdp").is_none(),
        "200" => {
            // The newest request that went the other way in the same SIP call.
            let request = before.iter().rev().map(|line| (line, words(line))).find(|(line, words)| {
                words[1] == *to
                    && words[3] == *from
                    && option(line, "call") == option(last, "call")
                    && option(last, "for").is_none_or(|method| words[4] == method)
                    && words[4].bytes().all(|byte| byte.is_ascii_uppercase())
                    && words[4] != "ACK"
            });
            request.is_some_and(|(_, words)| words[4] != "INVITE" && words[4] != "REGISTER")
        }
        _ => false,
    }
}

/// A message in the words of the table: `alice → pbx INVITE 102 (2)`.
fn message(line: &str, with_calls: bool) -> String {
    let line = line.split("||").next().unwrap_or_default();
    let (words, headers) = line.split_once('|').unwrap_or((line, ""));
    let mut positional = words.split_whitespace().filter(|word| !is_option(word));
    let mut next = || positional.next().unwrap_or_default();
    let (from, _, to, what, target) = (next(), next(), next(), next(), next());
    let mut text = format!("{from} → {to} {what}");
    if let Some(phrase) = phrase(what) {
        let _ = write!(text, " {phrase}");
    }
    if !target.is_empty() {
        let _ = write!(text, " {target}");
    }
    if let Some(from) = option(words, "from") {
        let _ = write!(text, ", From {from}");
    }
    match option(words, "sdp") {
        Some("zero") => text.push_str(", 0.0.0.0"),
        Some("late") => text.push_str(", no offer"),
        Some("t38") => text.push_str(", T.38"),
        Some(direction @ ("sendonly" | "recvonly" | "inactive")) => {
            let _ = write!(text, ", {direction}");
        }
        _ => {}
    }
    if let Some(status) = option(words, "frag") {
        let _ = write!(text, ", sipfrag {status}");
    }
    if let Some(dialog) = option(words, "dialog") {
        let _ = write!(text, ", dialog {}", dialog.split(':').next().unwrap_or_default());
    }
    if let Some(features) = option(words, "features") {
        let _ = write!(text, ", Contact {features}");
    }
    for header in headers.split('|').map(str::trim).filter(|header| !header.is_empty()) {
        if !LEFT_OUT.contains(&header.split(':').next().unwrap_or_default()) {
            let _ = write!(text, ", {}", spoken(header));
        }
    }
    if let (true, Some(call)) = (with_calls, option(words, "call")) {
        let _ = write!(text, " ({call})");
    }
    text
}

/// Returns `true` if a word of a line is an option of the harness.
fn is_option(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// A header with what stands in braces as people say it: the host, or the call whose dialog it is.
fn spoken(header: &str) -> String {
    let mut spoken = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a closing brace");
        let value = match name.split_once('=') {
            Some(("user", user)) => user.to_owned(),
            Some((_, dialog)) => format!("call {}", dialog.split('@').next().unwrap_or_default()),
            None => name.to_owned(),
        };
        let _ = write!(spoken, "{before}{value}");
        rest = after;
    }
    spoken + rest
}

fn phrase(status: &str) -> Option<&'static str> {
    Some(match status {
        "100" => "Trying",
        "180" => "Ringing",
        "181" => "Call Is Being Forwarded",
        "183" => "Session Progress",
        "200" => "OK",
        "202" => "Accepted",
        "302" => "Moved Temporarily",
        "305" => "Use Proxy",
        "401" => "Unauthorized",
        "403" => "Forbidden",
        "404" => "Not Found",
        "407" => "Proxy Authentication Required",
        "408" => "Request Timeout",
        "422" => "Session Interval Too Small",
        "480" => "Temporarily Unavailable",
        "486" => "Busy Here",
        "487" => "Request Terminated",
        "488" => "Not Acceptable Here",
        "500" => "Server Internal Error",
        "503" => "Service Unavailable",
        "600" => "Busy Everywhere",
        "603" => "Decline",
        _ => return None,
    })
}
