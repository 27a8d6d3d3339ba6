//! What is sent to an event socket: commands, each with an empty line behind it.

use anyhow::ensure;

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
pub(super) fn command(words: &[&str]) -> anyhow::Result<String> {
    let line = words.join(" ");
    ensure!(
        !line.contains(['\r', '\n', '\0']),
        "a command for an event socket holds a line end; write what it is made of on one line"
    );
    Ok(line + "\n\n")
}

/// Asks for the events that say something of calls.
pub(super) fn events(format: &str) -> anyhow::Result<String> {
    command(&["event", format, EVENTS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_begins_another_command() {
        assert_eq!(command(&["auth", "ClueCon"]).expect("one line"), "auth ClueCon\n\n");
        for word in ["a\n\napi shutdown", "a\r", "a\nb", "a\0"] {
            assert!(command(&["auth", word]).is_err());
        }
        let text = events("json").expect("one line");
        assert!(text.starts_with("event json CHANNEL_CREATE ") && !text.contains("  "), "{text}");
    }
}
