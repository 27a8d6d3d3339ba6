//! Actions on calls: what a switch is asked to do, in words that are those of no switch.
//!
//! An adapter writes an [`Action`] as what its switch takes (`ami/action.rs`, `esl/action.rs`), and reads the answer.

use serde::{Deserialize, Serialize};

use super::{SettingsError, is_one_line};

/// The longest number, name or slot in an action, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// Something that a switch is asked to do. Channels are named as the switch names them: by the `Uniqueid` of an
/// Asterisk, the UUID of a FreeSWITCH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Ends channels.
    HangUp {
        /// Channels that end.
        channels: Vec<String>,
        /// As what.
        end: End,
    },
    /// Sends the call of who rings elsewhere.
    Forward {
        /// The channel that rings.
        own: String,
        /// The channel of who calls.
        peer: String,
        /// Destination.
        to: Target,
    },
    /// Moves the call of who talks elsewhere.
    Transfer {
        /// The channel of who leaves.
        own: String,
        /// The channel that it talks with.
        peer: String,
        /// Destination.
        to: Target,
    },
    /// Parks a call.
    Park {
        /// The channel of who parks it.
        own: String,
        /// The channel that is parked.
        peer: String,
    },
    /// Joins the far ends of two calls.
    Bridge {
        /// The channel of who leaves the one call.
        own: String,
        /// The channel that it talks with.
        peer: String,
        /// The channel of who leaves the other.
        other_own: String,
        /// The channel that it talks with.
        other_peer: String,
    },
    /// Puts a call on hold, or takes it back.
    Hold {
        /// The channel of who holds.
        own: String,
        /// Set if it is held from here on.
        on: bool,
    },
    /// Takes the call that rings.
    Answer {
        /// The channel that rings.
        own: String,
    },
    /// Mutes who is at the end of a channel, or not any more.
    Mute {
        /// The channel.
        own: String,
        /// Set if it is muted from here on.
        on: bool,
    },
    /// Records a channel, or pauses that.
    Record {
        /// The channel.
        own: String,
        /// What becomes of the recording.
        step: RecordingStep,
    },
    /// Calls a phone, and does something when it has answered. The channel has the id of the action as its own.
    Call {
        /// The SIP user of the phone.
        device: String,
        /// What its caller ID shows.
        shows: String,
        /// What follows.
        then: Then,
    },
    /// Sends a channel into the conference room.
    Join {
        /// The channel.
        channel: String,
    },
}

/// Way in which a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As if somebody hung up.
    Cleared,
    /// The call is declined.
    Rejected,
    /// The call is not taken here; it goes on elsewhere.
    Passed,
}

/// Place that a call is sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A number, as it is dialled.
    Number(String),
    /// The mailbox of an extension, by its number.
    Mailbox(String),
    /// A slot where calls are parked.
    Slot(String),
}

/// Step in the life of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingStep {
    /// It begins.
    Start,
    /// It goes on, and what is said is kept out of it.
    Pause,
    /// What is said is kept again.
    Resume,
}

/// Continuation of a call to a phone that has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Calls a number.
    Dial(String),
    /// Takes the call that rings on a channel.
    PickUp(String),
    /// Takes the call that is parked in a slot.
    Retrieve(String),
    /// Takes the place of a channel, which talks with another.
    Replace {
        /// The channel whose place is taken.
        own: String,
        /// The channel that it talks with.
        peer: String,
    },
    /// Listens to a channel, and is heard by nobody.
    Listen(String),
}

impl Action {
    /// Words of the action that a switch gets as they are.
    pub fn words(&self) -> Vec<&str> {
        match self {
            Self::HangUp { channels, .. } => channels.iter().map(String::as_str).collect(),
            Self::Forward { own, peer, to } | Self::Transfer { own, peer, to } => {
                vec![own, peer, to.word()]
            }
            Self::Park { own, peer } => vec![own, peer],
            Self::Bridge { own, peer, other_own, other_peer } => vec![own, peer, other_own, other_peer],
            Self::Hold { own, .. }
            | Self::Answer { own }
            | Self::Mute { own, .. }
            | Self::Record { own, .. } => {
                vec![own]
            }
            Self::Call { device, shows, then } => {
                let mut words: Vec<&str> = vec![device, shows];
                match then {
                    Then::Dial(word) | Then::PickUp(word) | Then::Retrieve(word) | Then::Listen(word) => {
                        words.push(word);
                    }
                    Then::Replace { own, peer } => words.extend([own.as_str(), peer]),
                }
                words
            }
            Self::Join { channel } => vec![channel],
        }
    }

    /// Checks that no word of it would be read as more than one.
    ///
    /// # Errors
    /// If one might.
    pub fn check(&self) -> Result<(), CannotAct> {
        match self.words().into_iter().find(|word| !is_word(word)) {
            Some(word) => Err(CannotAct::new(format!("{word:?} is nothing that a switch can be given"))),
            None => Ok(()),
        }
    }
}

impl Target {
    /// Its number.
    pub fn word(&self) -> &str {
        match self {
            Self::Number(word) | Self::Mailbox(word) | Self::Slot(word) => word,
        }
    }
}

/// Returns `true` if a switch takes a text for one word wherever it stands: in an action, a command, a dial string.
pub fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+*#.-_@".contains(&byte);
    !text.is_empty() && text.len() <= WORD_BYTES_MAX && text.bytes().all(is_plain) && !text.starts_with('-')
}

/// Why a switch cannot be asked for an action, as a sentence for whoever wants it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotAct(pub String);

impl CannotAct {
    /// A reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Answer of a switch to an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acted {
    /// It was taken.
    Taken,
    /// The switch refuses it, and says this.
    Refused(String),
    /// The channel is not there.
    Gone,
}

impl Acted {
    /// The answer to an action of several parts: it was taken if any was, for the channels of a call go with one
    /// another.
    pub(crate) fn and(best: Option<Self>, answer: Self) -> Self {
        match (best, answer) {
            (None, answer) => answer,
            (Some(Self::Taken), _) | (_, Self::Taken) => Self::Taken,
            (Some(Self::Refused(text)), _) | (_, Self::Refused(text)) => Self::Refused(text),
            (Some(Self::Gone), Self::Gone) => Self::Gone,
        }
    }
}

/// Settings of a source that say how its switch is asked, all with the defaults of the switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct ActionOptions {
    /// Context of the dialplan in which numbers are dialled.
    pub(crate) context: Option<String>,
    /// Begins the number under which a caller reaches a mailbox.
    pub(crate) voicemail_prefix: Option<String>,
    /// Domain of the users of a switch that has several.
    pub(crate) domain: Option<String>,
    /// Name of the parking lot.
    pub(crate) parking_lot: Option<String>,
    /// First and last slot of the lot, as `6001-6099`.
    pub(crate) parking_slots: Option<String>,
    /// Name, or extension, of the conference room; none: there is none.
    pub(crate) conference_room: Option<String>,
    /// Begins the address of a phone, before its user: `PJSIP/`.
    pub(crate) phone_prefix: Option<String>,
    /// Folder for recordings on the machine of the switch.
    pub(crate) recordings: Option<String>,
    /// Set if phones do what `Event: hold` and `Event: talk` ask for.
    #[serde(default)]
    pub(crate) phones_obey: bool,
}

/// Keys of [`ActionOptions`] that all adapters have which act.
const ACTION_KEYS: [&str; 9] = [
    "context",
    "voicemail_prefix",
    "domain",
    "parking_lot",
    "parking_slots",
    "conference_room",
    "phone_prefix",
    "recordings",
    "phones_obey",
];

/// The keys of an adapter, with those of [`ActionOptions`] behind them.
pub(crate) const fn with_action_keys<const OWN: usize, const ALL: usize>(
    own: [&'static str; OWN],
) -> [&'static str; ALL] {
    let mut all = [""; ALL];
    let mut index = 0;
    while index < ALL {
        all[index] = if index < OWN { own[index] } else { ACTION_KEYS[index - OWN] };
        index += 1;
    }
    all
}

/// Checks the settings of a source that say how its switch is asked.
///
/// # Errors
/// If one would be read as more than one word.
pub(crate) fn check_actions(source: &str, options: &ActionOptions) -> Result<(), SettingsError> {
    let Some(wrong) = options.wrong() else { return Ok(()) };
    Err(SettingsError(format!(
        "the source {source:?} has {wrong:?} among what its switch is told, which is no single word; write letters, \
         digits, +, *, #, ., -, _ and @ alone"
    )))
}

impl ActionOptions {
    /// The first setting that would be read as more than one word.
    pub(crate) fn wrong(&self) -> Option<&str> {
        let words = [
            &self.context,
            &self.voicemail_prefix,
            &self.domain,
            &self.parking_lot,
            &self.parking_slots,
            &self.conference_room,
        ];
        let is_wrong = |text: &&str| !is_word(text);
        let lines = [&self.phone_prefix, &self.recordings];
        let is_broken = |text: &&str| !is_one_line(text) || text.contains([' ', ',', '\'', '"', '{', '}']);
        words
            .into_iter()
            .filter_map(Option::as_deref)
            .find(is_wrong)
            .or_else(|| lines.into_iter().filter_map(Option::as_deref).find(is_broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_an_action_is_read_as_more_than_one() {
        let hang_up =
            |channel: &str| Action::HangUp { channels: vec![channel.to_owned()], end: End::Cleared };
        assert_eq!(hang_up("pbx-1700000000.12").check(), Ok(()));
        for wrong in ["", "a b", "1\r\nAction: Command", "a,b", "{x=1}user", "-bleg", "'", "$(x)", "a|b", "é"]
        {
            assert!(hang_up(wrong).check().is_err(), "{wrong:?}");
            let to = Target::Number(wrong.to_owned());
            let own = "1.1".to_owned();
            let transfer = Action::Transfer { own: own.clone(), peer: own, to };
            assert!(transfer.check().is_err(), "{wrong:?}");
            let then = Then::Dial(wrong.to_owned());
            let call = Action::Call { device: "101".to_owned(), shows: "102".to_owned(), then };
            assert!(call.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_setting_that_would_begin_another_word_is_found() {
        let options =
            |context: &str| ActionOptions { context: Some(context.to_owned()), ..Default::default() };
        assert_eq!(options("from-internal").wrong(), None);
        assert_eq!(options("a b").wrong(), Some("a b"));
        let options = ActionOptions { recordings: Some("/var/a b".to_owned()), ..Default::default() };
        assert_eq!(options.wrong(), Some("/var/a b"));
    }
}
