//! The messages in which Asterisk's manager would say what ARI says.

use super::event::Channel;

/// One message of a manager, as it is written.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// An event with a name.
    pub(super) fn event(name: &str) -> Self {
        Self(Vec::with_capacity(512)).with("Event", name)
    }

    /// The response behind which a list of all channels follows.
    pub(super) fn list_follows() -> Self {
        Self(Vec::new())
            .with("Response", "Success")
            .with("EventList", "start")
            .with("Message", "Channels will follow")
    }

    /// Adds a value; what would end its line is left out.
    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend(value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Adds a number; none that is 0.
    pub(super) fn with_number(self, key: &str, value: u32) -> Self {
        if value == 0 { self } else { self.with(key, &value.to_string()) }
    }

    /// Adds the fields of a channel, each with `before` before its name.
    pub(super) fn with_channel(self, before: &str, channel: &Channel<'_>) -> Self {
        let key = |key: &str| format!("{before}{key}");
        self.with(&key("Channel"), &channel.name)
            .with(&key("ChannelState"), state(&channel.state))
            .with(&key("CallerIDNum"), &channel.caller.number)
            .with(&key("CallerIDName"), &escaped(&channel.caller.name))
            .with(&key("Exten"), &channel.dialplan.exten)
            .with(&key("Uniqueid"), &channel.id)
            .with(&key("Linkedid"), &channel.id)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The number of a state (`ast_channel_state`).
fn state(name: &str) -> &'static str {
    match name {
        "Ring" => "4",
        "Ringing" => "5",
        "Up" => "6",
        "Busy" => "7",
        "Rsrvd" => "1",
        "OffHook" => "2",
        "Dialing" => "3",
        "Dialing Offhook" => "8",
        "Pre-ring" => "9",
        _ => "0",
    }
}

/// A display name as the manager writes it, which escapes once more what ARI escapes once.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_begins_another_line() {
        let message =
            Message::event("Hangup").with("Cause", "16\r\nEvent: Newchannel\0").with_number("TechCause", 0);
        assert_eq!(message.bytes(), b"Event: Hangup\r\nCause: 16Event: Newchannel\r\n");
    }
}
