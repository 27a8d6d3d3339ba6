//! Actions on calls as an event socket takes them, and what it answers.

use hookswitch_model::ActionId;

use super::Message;
use crate::switch::{
    Acted, Action, ActionOptions, CannotAct, End, RecordingStep, Target, Then, without_quotations,
};

/// Time for which a phone is called, in seconds.
const RING_SECONDS: u8 = 30;

/// Where FreeSWITCH's packages keep recordings.
const RECORDINGS: &str = "/var/lib/freeswitch/recordings";

/// Name and slots of the parking lot of FreeSWITCH's own configuration.
const LOT: &str = "valet_lot";
const SLOTS: (&str, &str) = ("6001", "6099");

/// The commands by which calls are acted on.
pub(super) const COMMANDS: [&str; 7] =
    ["uuid_kill", "uuid_transfer", "uuid_bridge", "uuid_hold", "uuid_audio", "uuid_record", "originate"];

/// Begins all that the tracker is told of an action.
pub(super) const NOTE: &str = "hookswitch-";

/// First words of what the tracker is told of an action: the call of a channel is sent to a number, when that is asked
/// for; and once it was taken, that the far ends of the calls of two channels are joined, that who is at the end of a
/// channel is muted or not, or kept out of a recording or not.
pub(super) const FORWARDS: &str = "hookswitch-forward";
pub(super) const PARKS: &str = "hookswitch-park";
pub(super) const JOINS: &str = "hookswitch-join";
pub(super) const MUTES: &str = "hookswitch-mute";
pub(super) const UNMUTES: &str = "hookswitch-unmute";
pub(super) const MASKS: &str = "hookswitch-mask";
pub(super) const UNMASKS: &str = "hookswitch-unmask";

/// The commands of an action, and what the tracker is to be told of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Each with `api` or `bgapi` before it.
    pub(super) commands: Vec<String>,
    /// Time when they are sent.
    pub(super) note: Option<String>,
    /// Time when they were taken.
    pub(super) taken: Option<String>,
}

/// Writes an action.
///
/// # Errors
/// If an event socket cannot be asked for it.
pub(super) fn write(id: ActionId, action: &Action, options: &ActionOptions) -> Result<Written, CannotAct> {
    action.check()?;
    let context = options.context.as_deref().unwrap_or("default");
    let lot = options.parking_lot.as_deref().unwrap_or(LOT);
    let (first, last) =
        options.parking_slots.as_deref().and_then(|slots| slots.split_once('-')).unwrap_or(SLOTS);
    let file =
        |own: &str| format!("{}/hookswitch-{own}.wav", options.recordings.as_deref().unwrap_or(RECORDINGS));
    // Into the dialplan, or straight to what does it.
    let place = |to: &Target| match to {
        Target::Number(number) => format!("{number} XML {context}"),
        Target::Slot(slot) => format!("'valet_park:{lot} {slot}' inline"),
        Target::Mailbox(mailbox) => match (&options.voicemail_prefix, &options.domain) {
            (Some(prefix), _) => format!("{prefix}{mailbox} XML {context}"),
            (None, Some(domain)) => format!("'voicemail:default {domain} {mailbox}' inline"),
            (None, None) => format!("'voicemail:default $${{domain}} {mailbox}' inline"),
        },
    };
    let (mut note, mut taken) = (None, None);
    let commands = match action {
        Action::HangUp { channels, end } => {
            let cause = match end {
                End::Cleared => "NORMAL_CLEARING",
                End::Rejected => "CALL_REJECTED",
                End::Passed => "NO_ANSWER",
            };
            channels.iter().map(|channel| format!("api uuid_kill {channel} {cause}")).collect()
        }
        // What is at the far end of the own channel goes, and the own channel ends.
        Action::Transfer { own, to: to @ Target::Number(_), .. } => {
            note = Some(format!("{FORWARDS} {own} {}", to.word()));
            vec![format!("api uuid_transfer {own} -bleg {}", place(to))]
        }
        Action::Forward { own, peer, to } | Action::Transfer { own, peer, to } => {
            note = Some(format!("{FORWARDS} {own} {}", to.word()));
            vec![format!("api uuid_transfer {peer} {}", place(to))]
        }
        Action::Park { own, peer } => {
            taken = Some(format!("{PARKS} {own} {peer}"));
            vec![format!("api uuid_transfer {peer} 'valet_park:{lot} auto in {first} {last}' inline")]
        }
        Action::Bridge { own, peer, other_own, other_peer } => {
            taken = Some(format!("{JOINS} {own} {other_own}"));
            vec![format!("api uuid_bridge {peer} {other_peer}")]
        }
        Action::Hold { own, on: true } => vec![format!("api uuid_hold {own}")],
        Action::Hold { own, on: false } => vec![format!("api uuid_hold off {own}")],
        Action::Answer { own } => {
            if !options.phones_obey {
                return Err(CannotAct::new(
                    "FreeSWITCH can ask a phone to answer, and its phones are not known to do it when they are asked; \
                     act on the phone, or set phones_obey where they do",
                ));
            }
            vec![format!("api uuid_phone_event {own} talk")]
        }
        Action::Mute { own, on: true } => {
            taken = Some(format!("{MUTES} {own}"));
            vec![format!("api uuid_audio {own} start read mute -1")]
        }
        Action::Mute { own, on: false } => {
            taken = Some(format!("{UNMUTES} {own}"));
            vec![format!("api uuid_audio {own} stop")]
        }
        Action::Record { own, step } => {
            let (step, tells) = match step {
                RecordingStep::Start => ("start", None),
                RecordingStep::Pause => ("mask", Some(MASKS)),
                RecordingStep::Resume => ("unmask", Some(UNMASKS)),
            };
            taken = tells.map(|tells| format!("{tells} {own} {}", file(own)));
            vec![format!("api uuid_record {own} {step} {}", file(own))]
        }
        Action::Call { device, shows, then } => {
            // Whoever is called to do something else than to call is shown to nobody but to itself.
            let shows = if matches!(then, Then::Dial(_)) { shows } else { device };
            let domain = options.domain.as_deref().filter(|_| !device.contains('@'));
            let domain = domain.map_or(String::new(), |domain| format!("@{domain}"));
            let phone = format!("{}{device}{domain}", options.phone_prefix.as_deref().unwrap_or("user/"));
            let then = match then {
                Then::Dial(number) => format!("{number} XML {context}"),
                Then::PickUp(channel) => format!("&intercept({channel})"),
                Then::Retrieve(slot) => format!("'&valet_park({lot} {slot})'"),
                // Whoever it talks with goes.
                Then::Replace { peer, .. } => format!("&intercept({peer})"),
                Then::Listen(channel) => format!("&eavesdrop({channel})"),
            };
            vec![format!(
                "bgapi originate {{origination_uuid={id},originate_timeout={RING_SECONDS},ignore_early_media=true,\
                 origination_caller_id_number={shows},origination_caller_id_name={shows}}}{phone} {then}"
            )]
        }
        Action::Join { channel } => {
            let room = options.conference_room.as_deref().ok_or_else(|| {
                CannotAct::new(
                    "This server knows no conference room of the phone system; set conference_room",
                )
            })?;
            let profile = if room.contains('@') { "" } else { "@default" };
            vec![format!("api uuid_transfer {channel} 'conference:{room}{profile}' inline")]
        }
    };
    Ok(Written { commands, note, taken })
}

/// Returns what an answer says of a command.
pub(super) fn answer(message: &Message<'_>) -> Acted {
    let text = match message.content_type() {
        b"api/response" => message.body(),
        _ => message.header("Reply-Text").unwrap_or_default(),
    };
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    // `uuid_transfer` and others say nothing but `+OK`, and some of them nothing at all.
    if !text.starts_with('-') {
        return Acted::Taken;
    }
    let is_gone = ["No such channel", "No Such Channel", "Cannot locate session", "No Such Source Channel"];
    if is_gone.iter().any(|said| text.contains(said)) {
        Acted::Gone
    } else {
        Acted::Refused(without_quotations(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "0a8e6e5c-0000-4000-8000-000000000002";
    const PEER: &str = "0a8e6e5c-0000-4000-8000-000000000001";

    fn id() -> ActionId {
        ActionId::from_bits(0x1122_3344_5566_4788_99aa_bbcc_ddee_ff00)
    }

    fn own() -> String {
        OWN.to_owned()
    }

    fn peer() -> String {
        PEER.to_owned()
    }

    #[test]
    fn each_action_is_written_as_the_event_socket_takes_it() {
        let options = ActionOptions { domain: Some("pbx.example.com".to_owned()), ..Default::default() };
        let number = || Target::Number("103".to_owned());
        let mailbox = || Target::Mailbox("102".to_owned());
        let call = |then| Action::Call { device: "101".to_owned(), shows: "102".to_owned(), then };
        let originate_as = |shown: &str, then: &str| {
            vec![format!(
                "bgapi originate {{origination_uuid={},originate_timeout=30,ignore_early_media=true,\
                 origination_caller_id_number={shown},origination_caller_id_name={shown}}}user/101@pbx.example.com {then}",
                id()
            )]
        };
        let originate = |then: &str| originate_as("101", then);
        let file = "/var/lib/freeswitch/recordings/hookswitch-";
        for (action, right) in [
            (
                Action::HangUp { channels: vec![own(), peer()], end: End::Cleared },
                vec![
                    format!("api uuid_kill {OWN} NORMAL_CLEARING"),
                    format!("api uuid_kill {PEER} NORMAL_CLEARING"),
                ],
            ),
            (
                Action::HangUp { channels: vec![own()], end: End::Rejected },
                vec![format!("api uuid_kill {OWN} CALL_REJECTED")],
            ),
            (
                Action::HangUp { channels: vec![own()], end: End::Passed },
                vec![format!("api uuid_kill {OWN} NO_ANSWER")],
            ),
            (
                Action::Forward { own: own(), peer: peer(), to: number() },
                vec![format!("api uuid_transfer {PEER} 103 XML default")],
            ),
            (
                Action::Transfer { own: own(), peer: peer(), to: number() },
                vec![format!("api uuid_transfer {OWN} -bleg 103 XML default")],
            ),
            (
                Action::Transfer { own: own(), peer: peer(), to: mailbox() },
                vec![format!("api uuid_transfer {PEER} 'voicemail:default pbx.example.com 102' inline")],
            ),
            (
                Action::Park { own: own(), peer: peer() },
                vec![format!("api uuid_transfer {PEER} 'valet_park:valet_lot auto in 6001 6099' inline")],
            ),
            (
                Action::Bridge {
                    own: own(),
                    peer: peer(),
                    other_own: "u-3".into(),
                    other_peer: "u-4".into(),
                },
                vec![format!("api uuid_bridge {PEER} u-4")],
            ),
            (Action::Hold { own: own(), on: true }, vec![format!("api uuid_hold {OWN}")]),
            (Action::Hold { own: own(), on: false }, vec![format!("api uuid_hold off {OWN}")]),
            (Action::Mute { own: own(), on: true }, vec![format!("api uuid_audio {OWN} start read mute -1")]),
            (Action::Mute { own: own(), on: false }, vec![format!("api uuid_audio {OWN} stop")]),
            (
                Action::Record { own: own(), step: RecordingStep::Start },
                vec![format!("api uuid_record {OWN} start {file}{OWN}.wav")],
            ),
            (
                Action::Record { own: own(), step: RecordingStep::Pause },
                vec![format!("api uuid_record {OWN} mask {file}{OWN}.wav")],
            ),
            (call(Then::Dial("102".to_owned())), originate_as("102", "102 XML default")),
            (call(Then::PickUp(own())), originate(&format!("&intercept({OWN})"))),
            (call(Then::Retrieve("6001".to_owned())), originate("'&valet_park(valet_lot 6001)'")),
            (call(Then::Replace { own: own(), peer: peer() }), originate(&format!("&intercept({PEER})"))),
            (call(Then::Listen(own())), originate(&format!("&eavesdrop({OWN})"))),
        ] {
            let written = write(id(), &action, &options).expect("an event socket can be asked");
            let names = written.commands.iter().filter_map(|command| command.split(' ').nth(1));
            assert!(names.into_iter().all(|name| COMMANDS.contains(&name)), "{action:?}");
            assert_eq!(written.commands, right, "{action:?}");
        }
    }

    #[test]
    fn the_tracker_is_told_of_a_call_that_is_sent_elsewhere_and_of_nothing_else() {
        let options = ActionOptions::default();
        let to = || Target::Number("103".to_owned());
        let note = |action: &Action| write(id(), action, &options).expect("it can be asked").note;
        let forward = Action::Forward { own: own(), peer: peer(), to: to() };
        assert_eq!(note(&forward), Some(format!("{FORWARDS} {OWN} 103")));
        assert_eq!(note(&Action::Transfer { own: own(), peer: peer(), to: to() }), note(&forward));
        let mute = Action::Mute { own: own(), on: true };
        let taken = write(id(), &mute, &options).expect("it can be asked").taken;
        assert_eq!((note(&mute), taken), (None, Some(format!("{MUTES} {OWN}"))), "not before it was taken");
        let park = Action::Park { own: own(), peer: peer() };
        let taken = write(id(), &park, &options).expect("it can be asked").taken;
        assert_eq!((note(&park), taken), (None, Some(format!("{PARKS} {OWN} {PEER}"))));
    }

    #[test]
    fn what_the_tracker_is_told_belongs_to_the_call() {
        let mut told = Vec::new();
        crate::esl::listing::note(&format!("{FORWARDS} {OWN} 103"), &mut told);
        let names = crate::esl::names::call_names(&told);
        assert_eq!(names.leading, [format!("esl:{OWN}").into_bytes()]);
        assert!(
            [FORWARDS, PARKS, JOINS, MUTES, UNMUTES, MASKS, UNMASKS]
                .iter()
                .all(|word| word.starts_with(NOTE))
        );
    }

    #[test]
    fn what_the_phones_or_the_settings_must_give_is_refused_without() {
        for action in [Action::Answer { own: own() }, Action::Join { channel: own() }] {
            assert!(write(id(), &action, &ActionOptions::default()).is_err(), "{action:?}");
        }
        let options = ActionOptions {
            phones_obey: true,
            conference_room: Some("3000".to_owned()),
            ..Default::default()
        };
        let commands = |action: &Action| write(id(), action, &options).expect("it can be asked").commands;
        assert_eq!(commands(&Action::Answer { own: own() }), [format!("api uuid_phone_event {OWN} talk")]);
        assert_eq!(
            commands(&Action::Join { channel: own() }),
            [format!("api uuid_transfer {OWN} 'conference:3000@default' inline")]
        );
    }

    #[test]
    fn an_answer_says_whether_the_command_was_taken() {
        let answer = |body: &str| {
            let text = format!("Content-Type: api/response\nContent-Length: {}\n\n{body}", body.len());
            super::answer(&Message::new(text.as_bytes()))
        };
        assert_eq!(answer("+OK\n"), Acted::Taken);
        assert_eq!(answer("-ERR No such channel!\n"), Acted::Gone);
        assert_eq!(answer("-ERR Invalid transfer\n"), Acted::Refused("-ERR Invalid transfer".to_owned()));
        let forbidden = b"Content-Type: command/reply\nReply-Text: -ERR permission denied\n\n";
        assert!(matches!(super::answer(&Message::new(forbidden)), Acted::Refused(_)));
        let job = b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 1\n\n";
        assert_eq!(super::answer(&Message::new(job)), Acted::Taken);
    }
}
