//! Checks of a store: it is whole, and its times agree.

use std::time::Duration;

use hookswitch_server::config::Config;
use hookswitch_store::Reader;

use super::Findings;

/// Number of messages that are looked at for their times.
const MESSAGES: u32 = 200;

/// Error that the clock of an agent may have.
const OFF_MAX: Duration = Duration::from_secs(2);

/// Checks the store, if there is one yet.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let directory = &config.store.directory;
    let name = directory.display();
    if !directory.exists() {
        findings.ok("store", format!("{name} is not there yet; the first start makes it"));
        return;
    }
    let checked = Reader::of(directory, config.partitions()).and_then(|reader| {
        let version = reader.check_version()?;
        Ok((version, reader.damage()?, reader.lag_of_messages(MESSAGES)?))
    });
    let (version, damage, lag) = match checked {
        Ok(found) => found,
        Err(error) => {
            findings.failed(
                "store",
                format!("{error:#}"),
                "restore a backup, or name the right directory in store.directory",
            );
            return;
        }
    };
    match damage.first() {
        None => findings.ok("store", format!("{name} has schema {version}, and is whole")),
        Some(first) => findings.failed(
            "store",
            format!("{name} is damaged: {first}"),
            "stop the server, keep a copy of the directory, and restore a backup",
        ),
    }
    let Some(lag) = lag else { return };
    let off = Duration::from_micros(lag.unsigned_abs());
    let behind = if lag < 0 { "ahead of" } else { "behind" };
    if off > OFF_MAX {
        findings.warning(
            "clock",
            format!("the stamps of the last messages are {} s {behind} the clock here", off.as_secs()),
            "set the clocks of the capture agents and of this machine by the same time service",
        );
    } else {
        findings.ok(
            "clock",
            format!("the stamps of the last messages are {:.1} s {behind} the clock here", off.as_secs_f64()),
        );
    }
}
