//! Actions on calls as a manager takes them, and what it answers.
//!
//! Channels are named by their `Uniqueid`: Asterisk takes it wherever it takes a name, and it does not change when a
//! channel takes the place of another.

use hookswitch_model::ActionId;

use super::Message;
use super::login::action_with_id;
use crate::switch::{Acted, Action, ActionOptions, CannotAct, End, RecordingStep, Target, Then};

/// Begins the id of each action on a call; its [`ActionId`] follows, and what is to be known of it in the log.
const PREFIX: &str = "hookswitch-act-";

/// Time for which a phone is called, in milliseconds.
const RING_MILLISECONDS: &str = "30000";

/// The text of an action, and how many answers are due to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) answers: usize,
}

/// What an id of an action on a call says beside the action: what the tracker is to know when it is sent or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    Plain,
    /// The call that rings on this channel is sent elsewhere, from when this is sent.
    Forwards(&'a str),
    /// Who is at the end of this channel is muted, or not, from when this is taken.
    Mutes(&'a str, bool),
    /// The call that rings on this channel is declined, once this is taken.
    Rejects(&'a str),
    /// The far ends of the calls of these channels are joined, once this is taken.
    Joins(&'a str, &'a str),
}

impl Mark<'_> {
    fn write(self) -> String {
        match self {
            Self::Plain => String::new(),
            Self::Forwards(own) => format!("/forward/{own}"),
            Self::Mutes(own, true) => format!("/mute/{own}"),
            Self::Mutes(own, false) => format!("/unmute/{own}"),
            Self::Rejects(own) => format!("/reject/{own}"),
            Self::Joins(own, other) => format!("/join/{own}/{other}"),
        }
    }
}

/// Reads the id of an action on a call; none if it is another's.
pub(super) fn read_id(id: &[u8]) -> Option<(ActionId, Mark<'_>)> {
    let text = std::str::from_utf8(id).ok()?.strip_prefix(PREFIX)?;
    let (id, mark) = text.split_once('/').unwrap_or((text, ""));
    let mark = match mark.split_once('/') {
        Some(("forward", own)) => Mark::Forwards(own),
        Some(("mute", own)) => Mark::Mutes(own, true),
        Some(("unmute", own)) => Mark::Mutes(own, false),
        Some(("reject", own)) => Mark::Rejects(own),
        Some(("join", both)) => {
            both.split_once('/').map_or(Mark::Plain, |(own, other)| Mark::Joins(own, other))
        }
        _ => Mark::Plain,
    };
    Some((ActionId::parse(id)?, mark))
}

/// Returns `true` if the tracker has use for a message that is no event: what was asked for, or that it was taken.
pub(super) fn counts(message: &Message<'_>) -> bool {
    let marked = message.value("ActionID").and_then(read_id).map(|(_, mark)| mark);
    match marked {
        Some(Mark::Forwards(_)) => message.is_action(),
        Some(Mark::Mutes(..) | Mark::Rejects(_) | Mark::Joins(..)) => message.response() == Some(b"Success"),
        Some(Mark::Plain) | None => false,
    }
}

/// Returns what a response says of an action.
pub(super) fn answer(message: &Message<'_>) -> Acted {
    if message.response() != Some(b"Error") {
        return Acted::Taken;
    }
    let text = message.value("Message").unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    // As manager.c and res_parking say it, one in other words than the next.
    let is_gone = ["No such channel", "Channel does not exist", "Channel not existent", "Could not find"];
    if is_gone.iter().any(|said| text.starts_with(said)) || text.contains("does not exist") {
        return Acted::Gone;
    }
    Acted::Refused(crate::switch::without_quotations(&text))
}

/// Writes an action.
///
/// # Errors
/// If a manager cannot be asked for it.
pub(super) fn write(id: ActionId, action: &Action, options: &ActionOptions) -> Result<Written, CannotAct> {
    action.check()?;
    let context = options.context.as_deref().unwrap_or("default");
    let mut written = Written { text: String::new(), answers: 0 };
    let mut add = |name: &str, mark: Mark<'_>, fields: &[(&str, &str)]| {
        let id = format!("{PREFIX}{id}{}", mark.write());
        let text = action_with_id(name, &id, fields).map_err(|error| CannotAct::new(error.to_string()))?;
        written.text.push_str(&text);
        written.answers += 1;
        Ok::<(), CannotAct>(())
    };
    let exten = |to: &Target| match to {
        Target::Number(number) | Target::Slot(number) => number.clone(),
        Target::Mailbox(mailbox) => {
            format!("{}{mailbox}", options.voicemail_prefix.as_deref().unwrap_or("*"))
        }
    };
    match action {
        Action::HangUp { channels, end } => {
            let cause = match end {
                End::Cleared => "16",
                End::Rejected => "21",
                End::Passed => "19",
            };
            for channel in channels {
                let mark = if *end == End::Rejected { Mark::Rejects(channel) } else { Mark::Plain };
                add("Hangup", mark, &[("Channel", channel), ("Cause", cause)])?;
            }
        }
        Action::Forward { own, peer, to } => {
            let fields =
                [("Channel", &**peer), ("Context", context), ("Exten", &exten(to)), ("Priority", "1")];
            add("Redirect", Mark::Forwards(own), &fields)?;
        }
        Action::Transfer { own, to, .. } => {
            let fields = [("Channel", &**own), ("Context", context), ("Exten", &exten(to))];
            add("BlindTransfer", Mark::Plain, &fields)?;
        }
        Action::Park { own, peer } => {
            let lot = options.parking_lot.as_deref().unwrap_or("default");
            add("Park", Mark::Plain, &[("Channel", peer), ("TimeoutChannel", own), ("Parkinglot", lot)])?;
        }
        Action::Bridge { own, peer, other_own, other_peer } => {
            let fields = [("Channel1", &**peer), ("Channel2", other_peer), ("Tone", "no")];
            add("Bridge", Mark::Joins(own, other_own), &fields)?;
        }
        Action::Hold { own, on } => {
            let event = if *on { "Event=hold" } else { "Event=talk" };
            notify(own, event, options, &mut add)?;
        }
        Action::Answer { own } => notify(own, "Event=talk", options, &mut add)?,
        Action::Mute { own, on } => {
            let state = if *on { "on" } else { "off" };
            let fields = [("Channel", &**own), ("Direction", "in"), ("State", state)];
            add("MuteAudio", Mark::Mutes(own, *on), &fields)?;
        }
        Action::Record { own, step: RecordingStep::Start } => {
            let folder = options.recordings.as_deref().map_or(String::new(), |folder| format!("{folder}/"));
            let file = format!("{folder}hookswitch-{own}.wav");
            add("MixMonitor", Mark::Plain, &[("Channel", own), ("File", &file)])?;
        }
        Action::Record { own, step } => {
            let state = if *step == RecordingStep::Pause { "1" } else { "0" };
            let fields = [("Channel", &**own), ("Direction", "both"), ("State", state)];
            add("MixMonitorMute", Mark::Plain, &fields)?;
        }
        Action::Call { device, shows, then } => {
            let phone = format!("{}{device}", options.phone_prefix.as_deref().unwrap_or("PJSIP/"));
            let lot = options.parking_lot.as_deref().unwrap_or("default");
            let channel = id.to_string();
            let mut fields = vec![
                ("Channel", &*phone),
                ("ChannelId", &*channel),
                ("CallerID", &**shows),
                ("Timeout", RING_MILLISECONDS),
                ("Async", "true"),
            ];
            let data = match then {
                Then::Dial(number) => number.clone(),
                Then::PickUp(channel) => channel.clone(),
                Then::Retrieve(slot) => format!("{lot},{slot}"),
                Then::Replace { peer, .. } => peer.clone(),
                Then::Listen(channel) => format!("{channel},qu"),
            };
            match then {
                Then::Dial(_) => {
                    fields.extend([("Context", context), ("Exten", &*data), ("Priority", "1")]);
                }
                Then::PickUp(_) => fields.extend([("Application", "PickupChan"), ("Data", &*data)]),
                Then::Retrieve(_) => fields.extend([("Application", "ParkedCall"), ("Data", &*data)]),
                Then::Replace { .. } => fields.extend([("Application", "Bridge"), ("Data", &*data)]),
                Then::Listen(_) => fields.extend([("Application", "ChanSpy"), ("Data", &*data)]),
            }
            add("Originate", Mark::Plain, &fields)?;
        }
        Action::Join { channel } => {
            let room = options.conference_room.as_deref().ok_or_else(|| {
                CannotAct::new(
                    "This server knows no conference room of the phone system; set conference_room",
                )
            })?;
            let fields = [("Channel", &**channel), ("Context", context), ("Exten", room), ("Priority", "1")];
            add("Redirect", Mark::Plain, &fields)?;
        }
    }
    Ok(written)
}

/// Asks a phone by `Event` in a NOTIFY, which is all that Asterisk has for it.
fn notify(
    own: &str,
    event: &str,
    options: &ActionOptions,
    add: &mut impl FnMut(&str, Mark<'_>, &[(&str, &str)]) -> Result<(), CannotAct>,
) -> Result<(), CannotAct> {
    if !options.phones_obey {
        return Err(CannotAct::new(
            "Asterisk's manager cannot do this itself, and its phones are not known to do it when they are asked; act \
             on the phone, or set phones_obey where they do",
        ));
    }
    add("PJSIPNotify", Mark::Plain, &[("Channel", own), ("Variable", event)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ActionId {
        ActionId::from_bits(0x1122_3344_5566_4788_99aa_bbcc_ddee_ff00)
    }

    /// The actions that are written, without their ids.
    fn written(action: &Action, options: &ActionOptions) -> Vec<String> {
        let written = write(id(), action, options).expect("a manager can be asked");
        let actions: Vec<String> = written
            .text
            .split("\r\n\r\n")
            .filter(|action| !action.is_empty())
            .map(|action| {
                let lines = action.split("\r\n").filter(|line| !line.starts_with("ActionID: "));
                lines.collect::<Vec<_>>().join(" | ")
            })
            .collect();
        assert_eq!(actions.len(), written.answers);
        actions
    }

    fn own() -> String {
        "1700000000.2".to_owned()
    }

    fn peer() -> String {
        "1700000000.1".to_owned()
    }

    #[test]
    fn each_action_is_written_as_the_manager_takes_it() {
        let options = ActionOptions { context: Some("phones".to_owned()), ..Default::default() };
        let number = || Target::Number("103".to_owned());
        let call = |then| Action::Call { device: "101".to_owned(), shows: "102".to_owned(), then };
        let originate = "Action: Originate | Channel: PJSIP/101 | ChannelId: 11223344-5566-4788-99aa-bbccddeeff00 | \
                         CallerID: 102 | Timeout: 30000 | Async: true | ";
        for (action, right) in [
            (
                Action::HangUp { channels: vec![own(), peer()], end: End::Cleared },
                vec![
                    "Action: Hangup | Channel: 1700000000.2 | Cause: 16".to_owned(),
                    "Action: Hangup | Channel: 1700000000.1 | Cause: 16".to_owned(),
                ],
            ),
            (
                Action::HangUp { channels: vec![own()], end: End::Rejected },
                vec!["Action: Hangup | Channel: 1700000000.2 | Cause: 21".to_owned()],
            ),
            (
                Action::Forward { own: own(), peer: peer(), to: number() },
                vec![
                    "Action: Redirect | Channel: 1700000000.1 | Context: phones | Exten: 103 | Priority: 1".to_owned(),
                ],
            ),
            (
                Action::Transfer { own: own(), peer: peer(), to: number() },
                vec!["Action: BlindTransfer | Channel: 1700000000.2 | Context: phones | Exten: 103".to_owned()],
            ),
            (
                Action::Transfer { own: own(), peer: peer(), to: Target::Mailbox("102".to_owned()) },
                vec!["Action: BlindTransfer | Channel: 1700000000.2 | Context: phones | Exten: *102".to_owned()],
            ),
            (
                Action::Park { own: own(), peer: peer() },
                vec![
                    "Action: Park | Channel: 1700000000.1 | TimeoutChannel: 1700000000.2 | Parkinglot: default"
                        .to_owned(),
                ],
            ),
            (
                Action::Bridge { own: own(), peer: peer(), other_own: "1.3".into(), other_peer: "1.4".into() },
                vec!["Action: Bridge | Channel1: 1700000000.1 | Channel2: 1.4 | Tone: no".to_owned()],
            ),
            (
                Action::Mute { own: own(), on: true },
                vec!["Action: MuteAudio | Channel: 1700000000.2 | Direction: in | State: on".to_owned()],
            ),
            (
                Action::Record { own: own(), step: RecordingStep::Start },
                vec!["Action: MixMonitor | Channel: 1700000000.2 | File: hookswitch-1700000000.2.wav".to_owned()],
            ),
            (
                Action::Record { own: own(), step: RecordingStep::Pause },
                vec!["Action: MixMonitorMute | Channel: 1700000000.2 | Direction: both | State: 1".to_owned()],
            ),
            (
                call(Then::Dial("102".to_owned())),
                vec![format!("{originate}Context: phones | Exten: 102 | Priority: 1")],
            ),
            (
                call(Then::PickUp(own())),
                vec![format!("{originate}Application: PickupChan | Data: 1700000000.2")],
            ),
            (
                call(Then::Retrieve("701".to_owned())),
                vec![format!("{originate}Application: ParkedCall | Data: default,701")],
            ),
            (
                call(Then::Replace { own: own(), peer: peer() }),
                vec![format!("{originate}Application: Bridge | Data: 1700000000.1")],
            ),
            (
                call(Then::Listen(own())),
                vec![format!("{originate}Application: ChanSpy | Data: 1700000000.2,qu")],
            ),
        ] {
            assert_eq!(written(&action, &options), right, "{action:?}");
        }
    }

    #[test]
    fn what_the_phones_or_the_dialplan_must_do_is_refused_where_they_are_not_known_to() {
        let none = ActionOptions::default();
        for action in [
            Action::Hold { own: own(), on: true },
            Action::Answer { own: own() },
            Action::Join { channel: own() },
        ] {
            assert!(write(id(), &action, &none).is_err(), "{action:?}");
        }
        let all = ActionOptions {
            phones_obey: true,
            conference_room: Some("800".to_owned()),
            ..Default::default()
        };
        for (action, right) in [
            (
                Action::Hold { own: own(), on: true },
                "Action: PJSIPNotify | Channel: 1700000000.2 | Variable: Event=hold",
            ),
            (
                Action::Hold { own: own(), on: false },
                "Action: PJSIPNotify | Channel: 1700000000.2 | Variable: Event=talk",
            ),
            (
                Action::Answer { own: own() },
                "Action: PJSIPNotify | Channel: 1700000000.2 | Variable: Event=talk",
            ),
            (
                Action::Join { channel: own() },
                "Action: Redirect | Channel: 1700000000.2 | Context: default | Exten: 800 | Priority: 1",
            ),
        ] {
            assert_eq!(written(&action, &all), [right], "{action:?}");
        }
    }

    #[test]
    fn the_id_of_an_action_says_what_the_tracker_is_to_know() {
        let text =
            |action: &Action| write(id(), action, &ActionOptions::default()).expect("it can be asked").text;
        let marks = |text: &str| {
            let message = Message::new(text.as_bytes());
            let read = message.value("ActionID").and_then(read_id);
            (read.map(|(id, mark)| (id, format!("{mark:?}"))), counts(&message))
        };
        let forward = Action::Forward { own: own(), peer: peer(), to: Target::Number("103".to_owned()) };
        let right = (Some((id(), "Forwards(\"1700000000.2\")".to_owned())), true);
        assert_eq!(marks(&text(&forward)), right);
        let mute = Action::Mute { own: own(), on: false };
        let right = (Some((id(), "Mutes(\"1700000000.2\", false)".to_owned())), false);
        assert_eq!(marks(&text(&mute)), right, "it is not muted before the switch has taken it");
        let taken = text(&mute).replace("Action: MuteAudio", "Response: Success");
        assert!(marks(&taken).1);
        assert_eq!(read_id(b"hookswitch-inventory-1"), None);
    }

    #[test]
    fn an_answer_says_whether_the_action_was_taken() {
        let answer = |text: &str| answer(&Message::new(text.as_bytes()));
        assert_eq!(answer("Response: Success\r\nMessage: Channel Hungup\r\n\r\n"), Acted::Taken);
        for gone in ["No such channel", "Channel does not exist: 1.1", "No such channel: 1.1"] {
            assert_eq!(answer(&format!("Response: Error\r\nMessage: {gone}\r\n\r\n")), Acted::Gone);
        }
        let refused = answer("Response: Error\r\nMessage: Permission denied\r\n\r\n");
        assert_eq!(refused, Acted::Refused("Permission denied".to_owned()));
    }
}
