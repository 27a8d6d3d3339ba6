//! A call of the log as files that `replay` reads: what came in, the directory, and the events expected.
//!
//! What is given was tried: the files are replayed before, and give the events of the log. With
//! `anonymise` they do but for names, numbers, hosts and addresses, each of which is another, the same
//! everywhere.

mod anonymise;
mod compare;
mod files;
mod select;

pub use self::files::is_name;

use std::collections::BTreeSet;

use anyhow::Context as _;
use hookswitch_core::directory::Directory;
use hookswitch_core::filter::{EventFilter, Own};
use hookswitch_core::notification::Subscriber;
use hookswitch_model::{AccountId, Event, ExtensionId, Logged, TelephonySessionId, Timestamp};
use hookswitch_server::config::FILTER;
use hookswitch_server::source::captures::CaptureFiles;
use hookswitch_server::source::replay;
use hookswitch_store::{Reader, Settings};
use serde::Serialize;
use utoipa::ToSchema;

use self::anonymise::Anonymiser;
use self::anonymise::directory::of_accounts;
use self::compare::shapes;
use self::select::{Chosen, Selected};
use crate::explain::linked;

/// The most sessions of one capture: those that are linked with the one that was asked for.
const SESSIONS_MAX: usize = 32;

/// Files that `replay` reads.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// The files, in the order in which `replay` reads them.
    pub files: Vec<CaptureFile>,
    /// The arguments of `hookswitch replay` in the directory of the files, which prints `expected.jsonl`.
    pub replay: Vec<String>,
    /// Notes on it.
    pub notes: Vec<String>,
    /// Set if the files give the events of the log.
    pub is_exact: bool,
}

/// A file.
#[derive(Debug, Serialize, ToSchema)]
pub struct CaptureFile {
    /// Its name, without a directory.
    pub name: String,
    /// All that is in it.
    pub text: String,
}

/// One attempt to make a capture of the inputs.
struct Attempt {
    inputs: Vec<(String, Vec<u8>)>,
    directory: Option<String>,
    events: Vec<Event>,
    until: Option<Timestamp>,
    /// Difference from the log; none if all agrees.
    difference: Option<String>,
}

/// A session and those linked with it that are seen, with their events in the order of the log.
fn sessions(
    reader: &Reader,
    account: Option<AccountId>,
    first: &[Logged],
    id: TelephonySessionId,
) -> anyhow::Result<Vec<Logged>> {
    let mut seen = BTreeSet::from([id]);
    let mut events = first.to_vec();
    let mut next: Vec<TelephonySessionId> = linked(reader, id, first)?.into_iter().collect();
    while let Some(other) = next.pop() {
        if seen.len() >= SESSIONS_MAX || !seen.insert(other) {
            continue;
        }
        let mut more = reader.events_of(other)?;
        more.retain(|logged| account.is_none_or(|own| own == logged.event.session.account));
        next.extend(linked(reader, other, &more)?);
        events.extend(more);
    }
    events.sort_by_key(|logged| logged.position);
    Ok(events)
}

/// The capture of a session; none if it is not kept, or belongs to an account that is not seen.
///
/// # Errors
/// If the store cannot be read, or the inputs are kept no longer.
pub fn of(
    reader: &Reader,
    account: Option<AccountId>,
    id: TelephonySessionId,
    anonymise: bool,
) -> anyhow::Result<Option<Capture>> {
    let first = reader.events_of(id)?;
    let seen =
        first.first().filter(|logged| account.is_none_or(|account| account == logged.event.session.account));
    if seen.is_none() {
        return Ok(None);
    }
    let expected = sessions(reader, account, &first, id)?;
    let mut notes = Vec::new();
    let is_limited = account.is_some();
    let Selected { chosen, settings, account, is_whole } = select::of_calls(reader, &expected, is_limited)?;
    if !is_whole {
        notes.push(
            "The signal log has swept what did not cause an event; the capture has what is left".to_owned(),
        );
    }
    let mut attempt = try_out(&chosen, &settings, account, &expected, anonymise)?;
    // What else the sources sent may be of other accounts.
    if let Some(difference) = attempt.difference.as_ref().filter(|_| !is_limited) {
        notes.push(format!("The messages of the call alone give other events ({difference}); all that its sources sent meanwhile is there"));
        let chosen = select::of_sources(reader, &expected)?;
        attempt = try_out(&chosen, &settings, account, &expected, anonymise)?;
    }
    let is_exact = attempt.difference.is_none();
    if let Some(difference) = &attempt.difference {
        notes.push(format!("A replay of the files gives other events than the log has: {difference}"));
    }
    if has_policy(&settings) {
        notes.push("The server has a policy of its own, which replay does not".to_owned());
    }
    let expected_text = expected_text(&attempt.events, account)?;
    let mut replay = Vec::new();
    let mut files = Vec::new();
    for (name, bytes) in attempt.inputs {
        replay.push(name.clone());
        // Messages in base64 and JSON are text; a manager connection speaks it, but for what a caller is called.
        files.push(CaptureFile { name, text: String::from_utf8_lossy(&bytes).into_owned() });
    }
    if let Some(text) = attempt.directory {
        replay.extend(["--directory".to_owned(), DIRECTORY.to_owned()]);
        files.push(CaptureFile { name: DIRECTORY.to_owned(), text });
    }
    replay.extend(["--account".to_owned(), account.to_string()]);
    if let Some(until) = attempt.until {
        replay.extend(["--until".to_owned(), until_text(until)]);
    }
    files.push(CaptureFile { name: "expected.jsonl".to_owned(), text: expected_text });
    Ok(Some(Capture { files, replay, notes, is_exact }))
}

/// The SIP of a session and those linked with it as a pcap file; none if it is not kept, or belongs to an account that
/// is not seen.
///
/// # Errors
/// If the store cannot be read, the inputs are kept no longer, or there is no SIP among them.
pub fn pcap_of(
    reader: &Reader,
    account: Option<AccountId>,
    id: TelephonySessionId,
    anonymise: bool,
) -> anyhow::Result<Option<Vec<u8>>> {
    let first = reader.events_of(id)?;
    let Some(logged) = first.first() else { return Ok(None) };
    if account.is_some_and(|account| account != logged.event.session.account) {
        return Ok(None);
    }
    let expected = sessions(reader, account, &first, id)?;
    let Selected { mut chosen, settings, .. } = select::of_calls(reader, &expected, account.is_some())?;
    if anonymise {
        let made = Anonymiser::for_inputs(&chosen, settings.directory.as_deref())?;
        chosen = made.apply(&chosen, settings.directory.as_deref())?.0;
    }
    files::pcap(&chosen).context("no source has sent SIP of this call").map(Some)
}

/// The file of the directory.
const DIRECTORY: &str = "directory.toml";

/// A time in microseconds, as `--until` takes it.
fn until_text(at: Timestamp) -> String {
    let text = at.to_string();
    let micros = at.as_micros().rem_euclid(1000);
    format!("{}{micros:03}Z", text.trim_end_matches('Z'))
}

fn has_policy(settings: &Settings) -> bool {
    settings.answered_elsewhere_is_missed || settings.explicit_reasons || !settings.join_by_numbers
}

/// Makes the files, and replays them.
fn try_out(
    chosen: &Chosen,
    settings: &Settings,
    account: AccountId,
    expected: &[Logged],
    anonymise: bool,
) -> anyhow::Result<Attempt> {
    let mut anonymiser = None;
    let (mut inputs, mut directory) = (files::write(chosen)?, settings.directory.clone());
    if anonymise {
        // Whom else the switch serves is nobody's concern.
        let accounts = expected.iter().map(|logged| logged.event.session.account.as_u64()).collect();
        directory = directory.map(|text| of_accounts(&text, &accounts)).transpose()?;
        let made = Anonymiser::for_inputs(chosen, directory.as_deref())?;
        let (replaced, shortened) = made.apply(chosen, directory.as_deref())?;
        inputs = files::write(&replaced)?;
        directory = shortened;
        anonymiser = Some(made);
    }
    let wanted = shapes(expected.iter().map(|logged| &*logged.event), anonymiser.as_ref());
    let sessions = wanted.len();
    let last = expected.iter().map(|logged| logged.event.at).max().unwrap_or_default();
    let mut attempt = None;
    for until in [None, Some(last)] {
        let parsed = match &directory {
            Some(text) => Directory::parse(text)
                .map_err(|error| anyhow::anyhow!("the directory of the capture, {error}"))?,
            None => Directory::built_in(account),
        };
        let files = CaptureFiles::in_memory(inputs.iter().cloned())?;
        let events = replay::events(files, parsed, account, until).context("replay the capture")?;
        let given = shapes(events.iter(), None);
        let difference = compare::difference(&wanted, &given, sessions);
        let found = difference.is_none();
        attempt =
            Some(Attempt { inputs: inputs.clone(), directory: directory.clone(), events, until, difference });
        if found {
            break;
        }
    }
    attempt.context("a capture is tried once at least")
}

/// Returns what `replay` prints of the files.
fn expected_text(events: &[Event], account: AccountId) -> anyhow::Result<String> {
    let owner = ExtensionId::new(account.as_u64());
    let filter = EventFilter::parse(FILTER, Own { account, extension: owner })?;
    let subscriber = Subscriber::of_replay(&[filter.to_string()], owner);
    let mut text = Vec::new();
    for event in events.iter().filter(|event| filter.matches(event)) {
        subscriber.write(event, filter.projection(), event.at, &mut text);
        text.push(b'\n');
    }
    Ok(String::from_utf8(text)?)
}
