//! The configuration, and the files that it names.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hookswitch_server::config::Config;
use hookswitch_server::secret::Key;
use hookswitch_store::Durability;

use super::Findings;

/// Rights of others than the owner to a file.
const OTHERS: u32 = 0o077;

/// Checks that the settings can be used, and which of them weaken what is promised.
pub(super) fn check(path: &Path, config: &Config, findings: &mut Findings) {
    match hookswitch_server::settings(config) {
        Err(error) => findings.failed("config", format!("{error:#}"), "fix the directory file"),
        Ok(_) => findings.ok("config", format!("{} and the directory can be used", path.display())),
    }
    let open_hep = |listen: Option<std::net::SocketAddr>| {
        listen.is_some_and(|address| !address.ip().is_loopback()) && config.hep.source.is_empty()
    };
    let hep = open_hep(config.hep.listen.0) || open_hep(config.hep.tls_listen.0);
    let exposed = config.switches.sources().find_map(|(switch, source)| {
        let fix = switch.adapter().exposes_secret(&source.settings())?;
        let protocol = switch.adapter().words().protocol;
        let name = &source.name;
        Some((format!("the secret of the {protocol} source {name:?} goes over the network as it is"), fix))
    });
    let is_exposed = exposed.is_some();
    let (exposed, hide) = exposed.unwrap_or_default();
    let url = config.public_url(config.server.listen);
    let unencrypted = !config.server.listen.ip().is_loopback() && url.starts_with("http://");
    for (holds, found, fix) in [
        (
            !config.webhooks.allow.is_empty(),
            "webhooks.allow lets whoever may subscribe make this server post into those networks".to_owned(),
            "leave it empty, or name single addresses",
        ),
        (
            config.oauth.password_grant,
            "oauth.password_grant lets applications ask people for their passwords".to_owned(),
            "set it to false when no application needs it (RFC 9700)",
        ),
        (
            hep,
            "HEP is taken from everybody who can reach the port".to_owned(),
            "name who may send it, as [[hep.source]]",
        ),
        (is_exposed, exposed, hide),
        (
            unencrypted,
            format!("clients reach the server as {url}, where tokens can be read on the way"),
            "put a proxy with TLS before it, listen on 127.0.0.1, and set server.public_url",
        ),
        (
            config.store.durability == Durability::Relaxed,
            "store.durability is relaxed: a crash of the machine may lose the last moments".to_owned(),
            "set it to \"strict\"",
        ),
    ] {
        if holds {
            findings.warning("config", found, fix);
        }
    }
}

/// Checks whether others can read what is secret.
pub(super) fn check_files(path: &Path, config: &Config, findings: &mut Findings) {
    let key = &config.oauth.key_file;
    match Key::load(key) {
        Err(error) => findings.failed("files", format!("{error:#}"), "restore it, or run hookswitch init"),
        Ok(_) => private(key, "whoever reads it can be everybody", "0600", findings),
    }
    if config.store.directory.is_dir() {
        private(&config.store.directory, "it holds the calls", "0700", findings);
    }
    let has_secrets = config.hep.source.iter().any(|source| source.key.is_some())
        || config.switches.sources().any(|(switch, source)| switch.adapter().has_secret(&source.settings()));
    if has_secrets {
        private(path, "it holds secrets of sources", "0600", findings);
    }
}

/// Finds whether a file is its owner's alone.
fn private(path: &Path, why: &str, mode: &str, findings: &mut Findings) {
    let name = path.display();
    match fs::metadata(path).as_ref().map(Metadata::permissions) {
        Err(error) => findings.failed("files", format!("cannot look at {name}: {error}"), "check the path"),
        Ok(permissions) if permissions.mode() & OTHERS != 0 => findings.failed(
            "files",
            format!("others can get at {name} (mode {:04o}), and {why}", permissions.mode() & 0o7777),
            format!("chmod {mode} {name}"),
        ),
        Ok(permissions) => {
            findings
                .ok("files", format!("{name} is its owner's alone ({:04o})", permissions.mode() & 0o7777));
        }
    }
}
