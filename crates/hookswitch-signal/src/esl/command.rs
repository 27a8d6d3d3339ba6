//! Commands to an event socket, each with an empty line behind it.

use crate::switch::{ProtocolError, is_one_line};

/// The events that say something of calls.
const EVENTS: &str = "CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_BRIDGE \
    CHANNEL_UNBRIDGE CHANNEL_HOLD CHANNEL_CALLSTATE CHANNEL_PARK CHANNEL_UNPARK CHANNEL_EXECUTE CHANNEL_HANGUP \
    CHANNEL_HANGUP_COMPLETE CHANNEL_DESTROY RECORD_START RECORD_STOP MEDIA_BUG_START MEDIA_BUG_STOP SHUTDOWN \
    CUSTOM valet_parking::info fifo::info callcenter::info conference::maintenance menu::enter \
    spandsp::rxfaxnegociateresult spandsp::rxfaxpageresult spandsp::rxfaxresult";

/// A command as it is sent.
///
/// # Errors
/// If a word holds a line end, which would begin another command.
pub(super) fn command(words: &[&str]) -> Result<String, ProtocolError> {
    let line = words.join(" ");
    if !is_one_line(&line) {
        let said = "a command for an event socket holds a line end; write what it is made of on one line";
        return Err(ProtocolError(said.to_owned()));
    }
    Ok(line + "\n\n")
}

/// Asks for the events that say something of calls.
pub(super) fn events(format: &str) -> Result<String, ProtocolError> {
    command(&["event", format, EVENTS])
}

#[cfg(test)]
mod tests {

    use std::collections::BTreeSet;

    use super::*;
    use crate::esl::{Message, listing, protocol::LIFE};

    #[test]
    fn no_word_begins_another_command() {
        assert_eq!(command(&["auth", "ClueCon"]).expect("one line"), "auth ClueCon\n\n");
        for word in ["a\n\napi shutdown", "a\r", "a\nb", "a\0"] {
            assert!(command(&["auth", word]).is_err());
        }
        let text = events("json").expect("one line");
        assert!(text.starts_with("event json CHANNEL_CREATE ") && !text.contains("  "), "{text}");
    }

    const DOCS: &str = include_str!("../../../../docs/freeswitch.md");

    /// The value of a parameter of the user that the documentation sets up.
    fn documented(parameter: &str) -> &'static str {
        let mark = format!("<param name=\"{parameter}\" value=\"");
        let (_, value) = DOCS.split_once(&mark).expect("it is documented");
        value.split_once('"').expect("the value ends").0
    }

    /// Returns `true` if mod_event_socket.c of FreeSWITCH 1.11 lets a user hear of an event whose `esl-allowed-events` is
    /// this, as its source says: `ALL` stands for all but subclasses, and those are named behind `CUSTOM`.
    fn is_allowed(list: &str, event: &str) -> bool {
        let words: Vec<&str> = list.split(' ').collect();
        let custom = words.iter().position(|&word| word == "CUSTOM").unwrap_or(words.len());
        let (events, subclasses) = words.split_at(custom);
        match event {
            "CUSTOM" => !subclasses.is_empty() || events.contains(&"ALL"),
            event if event.contains("::") => subclasses.contains(&event),
            event => events.contains(&event) || events.contains(&"ALL"),
        }
    }

    #[test]
    fn the_documented_user_hears_of_all_events_and_its_login_is_answered_in_whole() {
        let (events, api) = (documented("esl-allowed-events"), documented("esl-allowed-api"));
        for event in EVENTS.split(' ') {
            assert!(is_allowed(events, event), "{event}");
            assert!(is_allowed(EVENTS, event), "{event}");
            assert!(!is_allowed("CHANNEL_STATE", event), "{event}");
        }
        let log = documented("esl-allowed-log");
        let answer = format!(
            "~Reply-Text: +OK accepted\nAllowed-Events: {events}\nAllowed-API: {api}\nAllowed-LOG: {log}\n\n"
        );
        assert!(answer.len() < 512, "{} bytes, and one that ends the text", answer.len());
        // The documentation says how long the lists may be.
        let longest = 511 - (answer.len() - events.len() - api.len());
        assert!(DOCS.contains(&format!("more than {longest} bytes together")), "{longest}");
        assert!(
            DOCS.contains(&format!("event json {EVENTS}\n")),
            "the list of all events is that of the program"
        );
    }

    #[test]
    fn the_documented_user_may_ask_all_that_is_asked() {
        let api = documented("esl-allowed-api");
        let channels = br#"{"rows":[{"uuid":"u","name":"sofia/a/b"}]}"#;
        let answer = [b"Content-Type: api/response\nContent-Length: 43\n\n", &channels[..]].concat();
        let of_channels = listing::questions_of_channels(&Message::new(&answer), &mut BTreeSet::new());
        assert_eq!(of_channels.len(), 3);
        let asked = listing::QUESTIONS.into_iter().chain(listing::FURTHER).chain(listing::AGAIN);
        let asked = asked.chain([listing::MEMBERS, LIFE]).chain(of_channels.iter().map(String::as_str));
        for question in asked {
            let command = question.split(' ').next().expect("a word");
            assert!(api.split(' ').any(|word| word == command), "{question}");
        }
    }
}
