//! Explanations as lines for people: inputs, events and deliveries on one line of time.

use std::io::{self, Write};

use serde_json::Value;

/// Beginning of the lines under an event.
const INDENT: &str = "              ";

/// Writes the story of a session or of an event, as the API gives it.
///
/// # Errors
/// If the output cannot be written.
pub fn write(story: &Value, out: &mut impl Write) -> io::Result<()> {
    let none = Vec::new();
    let list = |value: &'_ Value| -> Vec<Value> { value.as_array().unwrap_or(&none).clone() };
    let (inputs, deliveries) = (list(&story["inputs"]), list(&story["deliveries"]));
    let events = match &story["session"] {
        Value::Null => vec![story.clone()],
        session => {
            head(session, out)?;
            list(&story["events"])
        }
    };
    let mut inputs = inputs.into_iter().peekable();
    for event in &events {
        let causes = list(&event["causes"]);
        let last = causes.iter().filter_map(Value::as_u64).max().unwrap_or_default();
        while let Some(input) = inputs.next_if(|input| input["position"].as_u64() <= Some(last)) {
            write_input(&input, out)?;
        }
        write_event(event, out)?;
        for delivery in deliveries.iter().filter(|delivery| delivery["eventId"] == event["id"]) {
            write_delivery(delivery, out)?;
        }
    }
    for input in inputs {
        write_input(&input, out)?;
    }
    if let Some(left_out) = story["deliveriesLeftOut"].as_u64().filter(|&count| count > 0) {
        line(out, &format!("{left_out} more subscriptions were not told, for the same kinds of reasons"))?;
    }
    for linked in list(&story["linked"]) {
        line(out, &format!("linked with {}", text(&linked)))?;
    }
    Ok(())
}

fn head(session: &Value, out: &mut impl Write) -> io::Result<()> {
    let end = session["endTime"].as_str().map_or_else(|| "still open".to_owned(), |end| format!("to {end}"));
    let id = text(&session["telephonySessionId"]);
    line(out, &format!("session {id}, account {}", text(&session["accountId"])))?;
    line(out, &format!("{} from {} {end}", text(&session["origin"]), text(&session["startTime"])))?;
    line(out, "")
}

fn write_input(input: &Value, out: &mut impl Write) -> io::Result<()> {
    let way = match (input["src"].as_str(), input["dst"].as_str()) {
        (Some(src), Some(dst)) => format!(" {src} -> {dst}"),
        _ => String::new(),
    };
    let (time, kind, position) = (time(&input["time"]), text(&input["kind"]), &input["position"]);
    let name = text(&input["source"]["name"]);
    line(out, &format!("{time}  {kind} {name}{way}  {}  (input {position})", text(&input["summary"])))?;
    if let Some(raw) = input["raw"].as_str() {
        for raw in raw.lines() {
            line(out, &format!("{INDENT}| {raw}"))?;
        }
    }
    Ok(())
}

fn write_event(event: &Value, out: &mut impl Write) -> io::Result<()> {
    let (at, sequence) = (time(&event["time"]), &event["sequence"]);
    line(out, &format!("{at}  {sequence:>2} {}  ({})", text(&event["text"]), text(&event["id"])))?;
    line(out, &format!("{INDENT}because {}", text(&event["rule"]["text"])))?;
    if let asked @ Value::Object(_) = &event["asked"] {
        let (operation, extension) = (text(&asked["operation"]), text(&asked["extensionId"]));
        let (client, at) = (text(&asked["clientId"]), time(&asked["time"]));
        let id = text(&asked["actionId"]);
        let who = format!("the user of extension {extension} by the application {client}");
        line(out, &format!("{INDENT}asked for at {at}: {operation}, by {who} (action {id})"))?;
    }
    for note in event["notes"].as_array().into_iter().flatten() {
        line(out, &format!("{INDENT}{}", text(note)))?;
    }
    for cause in event["sweptCauses"].as_array().into_iter().flatten() {
        line(out, &format!("{INDENT}input {cause}, which caused it, is kept no longer"))?;
    }
    Ok(())
}

fn write_delivery(delivery: &Value, out: &mut impl Write) -> io::Result<()> {
    let (id, state) = (text(&delivery["subscriptionId"]), text(&delivery["state"]));
    line(out, &format!("{INDENT}to {id}: {state}: {}", text(&delivery["because"])))?;
    for attempt in delivery["attempts"].as_array().into_iter().flatten() {
        let status = attempt["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
        let error = attempt["error"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
        let answer = match (attempt["answer"].as_str(), attempt["answerIsBase64"].as_bool()) {
            (Some(answer), Some(true)) => format!(", answer in base64 {answer}"),
            (Some(answer), _) => format!(", answer {answer:?}"),
            (None, _) => String::new(),
        };
        let replay = attempt["redeliveryId"].as_str().map(|id| format!(" by redelivery {id}"));
        let said = format!(
            "{INDENT}    attempt {}{} at {} to {}: {}{status}{error} in {} ms{answer}",
            attempt["number"],
            replay.unwrap_or_default(),
            time(&attempt["time"]),
            text(&attempt["address"]),
            text(&attempt["outcome"]),
            attempt["durationMs"],
        );
        line(out, &said)?;
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The time of day.
fn time(value: &Value) -> &str {
    text(value).get(11..23).unwrap_or_default()
}

/// Writes a line. What moves the cursor or turns the direction of writing is shown, and does nothing.
fn line(out: &mut impl Write, text: &str) -> io::Result<()> {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    writeln!(out, "{}", shown.trim_end())
}

/// Returns `true` if a character does something to a terminal other than standing there.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_caller_is_called_moves_no_cursor() {
        let story = json!({
            "id": "s-1:2", "sequence": 2, "time": "2026-11-24T02:51:20.602Z",
            "text": "p1 \u{1b}[2J\u{202e}evil\u{9b}\r\n", "rule": {"text": "it rang"}, "causes": [1],
            "inputs": [{"position": 1, "kind": "sip", "summary": "INVITE \u{7}", "time": "2026-11-24T02:51:20.600Z",
                "source": {"name": "pbx"}, "raw": "INVITE\r\nX: \u{1b}c\r\n"}],
            "deliveries": [{"eventId": "s-1:2", "subscriptionId": "one", "state": "waiting", "because": "\u{1b}",
                "attempts": [{"number": 1, "outcome": "refused", "status": 500, "answer": "\u{1b}]0;x\u{7}",
                    "time": "2026-11-24T02:51:20.603Z", "durationMs": 3, "address": "http://x/"}]}],
        });
        let mut out = Vec::new();
        write(&story, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(text.lines().all(|line| !line.chars().any(is_unsafe)), "{text:?}");
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(text.contains("p1 \\u{1b}[2J\\u{202e}evil"), "{text}");
    }
}
