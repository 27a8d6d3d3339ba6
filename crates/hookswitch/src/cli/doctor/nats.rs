//! The NATS of a cluster, as a node looks at it when it starts.

use hookswitch_server::config::Config;
use hookswitch_store::{self as store, Engine, Examined, Weakness};

use super::Findings;

/// Name of the finding.
const NATS: &str = "NATS";

/// Checks whether a node could start on the NATS that the settings name, if they name one.
///
/// # Errors
/// If no thread can be had.
pub(super) fn check(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    if config.store.engine != Engine::Nats {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Examined { version, streams, missing, outdated, weakness } =
        match runtime.block_on(store::examine(&config.store_settings())) {
            Ok(examined) => examined,
            Err(error) => {
                findings.failed(
                    NATS,
                    format!("{error:#}"),
                    "follow what it says, and run this again: no node starts before",
                );
                return Ok(());
            }
        };
    let servers = config.nats.servers.join(",");
    let prefix = &config.nats.prefix;
    findings.ok(NATS, format!("{servers} answers as NATS {version}"));
    if missing > 0 {
        findings.ok(
            NATS,
            format!(
                "{missing} of {streams} streams of {prefix:?} are not there yet, and the next start makes them: one was made \
                 to try, written, followed and removed"
            ),
        );
    } else {
        findings.ok(NATS, format!("the {streams} streams of {prefix:?} fit, and can be followed"));
    }
    if !outdated.is_empty() {
        findings.ok(NATS, format!("the next start changes the limits of {}", outdated.join(", ")));
    }
    if let Some(Weakness { found, fix }) = weakness {
        findings.warning(NATS, found, fix);
    }
    Ok(())
}
