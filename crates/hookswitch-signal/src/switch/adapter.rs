//! Interface of a switch that reports its own calls to the rest of the program.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use hookswitch_model::{AccountId, InputRef, LegId, Signal, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Action, CannotAct, Counters, SwitchProtocol};

/// A switch that reports its own calls: a folder of this crate, and an entry of `Switch`, the list of all.
///
/// Nothing outside of the folder knows which switch it has before it; all that differs from switch to switch is
/// asked here.
pub trait Adapter: Sync {
    /// Name of its section in the settings, of its transcripts and metrics, and of its inputs in the API: `ami`.
    fn name(&self) -> &'static str;

    /// Words that operators know it by.
    fn words(&self) -> &'static Words;

    /// Name of its counts in the summary of a replay.
    fn summary_name(&self) -> &'static str {
        self.name()
    }

    /// Form of a transcript of its connection.
    fn transcript(&self) -> Transcript;

    /// Returns `true` if a file that begins like this is a transcript of its connection.
    fn begins_transcript(&self, start: &[u8]) -> bool;

    /// Appends a message to a transcript.
    fn write_entry(&self, at: Timestamp, message: &[u8], out: &mut Vec<u8>);

    /// A message in a line, for people: its event, and the channel that it is about.
    fn title(&self, message: &[u8]) -> String;

    /// Returns `true` if a message lists all calls of the switch, whosever they are.
    fn lists_all_calls(&self, _message: &[u8]) -> bool {
        false
    }

    /// Names by which a message belongs to calls.
    fn call_names(&self, message: &[u8]) -> CallNames;

    /// A message with others in place of the names and numbers in it, and with what is read of it alone.
    fn anonymise(&self, message: &[u8], others: &mut dyn Replacements) -> Vec<u8>;

    /// Keys of a source in the settings, beside [`COMMON_KEYS`].
    fn keys(&self) -> &'static [&'static str];

    /// Returns `true` if it may connect by itself, as [`Adapter::accept`] goes on with.
    fn may_connect(&self) -> bool {
        false
    }

    /// Checks the settings of a source.
    ///
    /// # Errors
    /// If they cannot be used; a sentence that says what to write instead.
    fn check(&self, settings: &SourceSettings<'_>) -> Result<(), SettingsError>;

    /// Returns `true` if its settings hold what must stay secret.
    fn has_secret(&self, settings: &SourceSettings<'_>) -> bool {
        !settings.address.is_empty()
    }

    /// The secret of a source goes over the network as it is; what changes that.
    fn exposes_secret(&self, _settings: &SourceSettings<'_>) -> Option<&'static str> {
        None
    }

    /// Checks that a source can be asked for an action on a call.
    ///
    /// # Errors
    /// Why it cannot.
    fn check_action(&self, _settings: &SourceSettings<'_>, _action: &Action) -> Result<(), CannotAct> {
        let product = self.words().product;
        let protocol = self.words().protocol;
        Err(CannotAct::new(format!("This server does not act on calls of {product} by {protocol}")))
    }

    /// Returns `true` if [`Adapter::check_action`] lets any action pass.
    fn acts(&self) -> bool {
        false
    }

    /// First bytes that it says when it is connected to; empty if it waits.
    fn greeting(&self) -> &'static [u8];

    /// Begins the conversation on a connection that was made to it.
    ///
    /// # Errors
    /// As [`Adapter::check`].
    fn connect(&self, settings: &SourceSettings<'_>) -> Result<Box<dyn SwitchProtocol>, SettingsError>;

    /// Begins the conversation on a connection that it has made by itself.
    ///
    /// # Errors
    /// As [`Adapter::check`], and if it never connects by itself.
    fn accept(&self, settings: &SourceSettings<'_>) -> Result<Box<dyn SwitchProtocol>, SettingsError> {
        let name = settings.name;
        Err(SettingsError(format!("the source {name:?} is connected to, and does not connect by itself")))
    }
}

/// Words for a switch that stand in logs and other text for operators.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The product with its article: `an Asterisk`.
    pub product: &'static str,
    /// The protocol: `AMI`.
    pub protocol: &'static str,
    /// Peer of the connection: `manager`.
    pub peer: &'static str,
    /// A connection: `manager connection`.
    pub connection: &'static str,
    /// Connections, in the help of metrics: `manager connections`.
    pub connections: &'static str,
    /// A connection that the switch has made by itself; empty if it makes none.
    pub accepted: &'static str,
    /// A transcript, in the list of what is understood: `Asterisk's manager`.
    pub transcript: &'static str,
}

/// Keys that the settings of a source may have, whatever the switch.
pub const COMMON_KEYS: [&str; 8] =
    ["name", "address", "tls_ca", "hep", "account", "lost_after", "control", "control_in_flight"];

/// Settings of a source, as an adapter reads them.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings<'a> {
    /// Name of the source, for people.
    pub name: &'a str,
    /// Host and port; empty if the switch connects by itself.
    pub address: &'a str,
    /// Set if the connection is encrypted.
    pub over_tls: bool,
    /// Set if some address may connect as this source.
    pub may_connect: bool,
    /// Values of [`Adapter::keys`].
    pub options: &'a Options,
}

impl SourceSettings<'_> {
    /// Returns `true` if the address has a host and a port.
    pub fn has_port(&self) -> bool {
        let parts = self.address.rsplit_once(':');
        parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    }
}

/// Values of the keys that an adapter has of its own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options(Map<String, Value>);

impl Options {
    /// The values of these keys.
    pub fn new(values: Map<String, Value>) -> Self {
        Self(values)
    }

    /// Reads them as what the adapter has.
    ///
    /// # Errors
    /// If a value is of another kind, or one is missing.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, SettingsError> {
        T::deserialize(Value::Object(self.0.clone()))
            .map_err(|error| SettingsError(format!("the source {name:?} cannot be used: {error}")))
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish() // passwords are among the values
    }
}

/// Text that is never shown: a password among the settings.
#[derive(Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself, for who knows it; never to be logged.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Settings that cannot be used: a sentence that says why, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// Returns `true` if what is sent to a switch in one line is one: a line end would begin another command.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.contains(['\r', '\n', '\0'])
}

/// Form of a transcript: what was written down of a connection with its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transcript {
    /// Before each message a line `;; <ISO time> <seconds since 1970>`.
    TimedMessages,
    /// Before each block a line `=== <seconds since 1970> <ISO time> in|out <bytes>`; what went out is passed over.
    TimedBlocks,
    /// One JSON object a line: `t`, seconds since 1970, and `event`, the message; other members are passed over.
    JsonLines,
}

impl Transcript {
    /// Ending of the name of such a file.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::TimedMessages | Self::TimedBlocks => "log",
            Self::JsonLines => "jsonl",
        }
    }
}

/// Names by which a message belongs to calls: ids of channels with the name of the adapter before them, and SIP
/// Call-IDs as [`sip_name`] writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallNames {
    /// Names of one call: what else has one of them belongs to it too.
    pub leading: Vec<Vec<u8>>,
    /// Names that stand side by side for another reason: those of a list of all calls.
    pub listed: Vec<Vec<u8>>,
}

/// Name of a call by a SIP Call-ID.
pub fn sip_name(call_id: &[u8]) -> Vec<u8> {
    [b"sip:", call_id].concat()
}

/// Replacements of what names somebody, each the same wherever it stands.
pub trait Replacements {
    /// Another user: a number as a number, a code as a code, and any other as a word.
    fn user(&mut self, text: &str) -> String;

    /// Another name; a number that stands for one stays a number.
    fn name(&mut self, text: &str) -> String;

    /// Another word in place of an id, a user, an endpoint.
    fn word(&mut self, text: &str) -> String;

    /// Another host: an address as an address of the same networks, a name as a name.
    fn host(&mut self, text: &str) -> String;

    /// The same with a port behind it, or without.
    fn host_port(&mut self, text: &str) -> String;

    /// A text of no form that is known: what was collected elsewhere is replaced in it, and numbers are.
    fn free(&mut self, text: &str) -> String;

    /// Another address of the same networks.
    fn ip(&mut self, ip: IpAddr) -> IpAddr;

    /// Returns `true` if a text was found to name somebody.
    fn is_original(&self, text: &str) -> bool;
}

/// Phones, mailboxes, queues and parking lots that a switch says it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Phones and trunks.
    pub endpoints: BTreeSet<String>,
    /// Numbers, and the endpoint that each rings.
    pub hints: std::collections::BTreeMap<String, String>,
    /// Numbers of mailboxes, and whose they are.
    pub mailboxes: std::collections::BTreeMap<String, String>,
    /// Names of queues.
    pub queues: BTreeSet<String>,
    /// First and last slot of each parking lot.
    pub lots: BTreeSet<(String, String)>,
}

/// Channel of a switch, as who acts on it names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// Its id.
    pub id: String,
    /// Id of the phone's or trunk's channel that it talks with, or is called by.
    pub peer: Option<String>,
    /// Set if it was answered.
    pub is_up: bool,
}

/// Tracker of the channels of one switch: from its messages to signals.
///
/// Does no IO and reads no clock: after each `handle_*`, come back no later than
/// [`SwitchTracker::poll_timeout`]. Its state is plain data.
pub trait SwitchTracker {
    /// Tracks a switch whose legs are numbered in `source`, and whose calls are those of an account.
    fn new(account: AccountId, source: u16) -> Self
    where
        Self: Sized;

    /// Applies what came at `at`, and adds what it tells to `out`.
    fn handle(&mut self, message: &[u8], at: Timestamp, input: InputRef, out: &mut Vec<Signal>);

    /// Lets time pass: tells what has waited for an explanation long enough.
    fn handle_time(&mut self, now: Timestamp, out: &mut Vec<Signal>);

    /// Notes that a connection was made: what the switch names when it is asked goes on.
    fn connected(&mut self) {}

    /// Ends all that goes on: the switch has not come back in the time that its calls have.
    fn handle_lost(&mut self, at: Timestamp, input: InputRef, out: &mut Vec<Signal>);

    /// Returns the time when [`SwitchTracker::handle_time`] wants to be called at the latest.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Tells all that waits: nothing more will be heard.
    fn finish(&mut self, out: &mut Vec<Signal>);

    /// Returns what became of the messages.
    fn counters(&self) -> Counters;

    /// Returns the number of channels that are tracked.
    fn channels(&self) -> usize;

    /// The channel of a leg, as it stands; none if it has ended, or stands for somebody who has no channel.
    fn channel(&self, leg: LegId) -> Option<ChannelView>;

    /// The leg of the channel with an id; none if the channel is not tracked.
    fn leg_of(&self, id: &str) -> Option<LegId>;
}
