//! The switches that are connected to.

use hookswitch_server::config::Config;
use hookswitch_server::source::try_connection;
use hookswitch_signal::switch::Refusal;

use super::Findings;

/// Returns whether each switch lets us in, and answers what the server asks. One that connects by itself is not looked for.
///
/// # Errors
/// If no thread can be had.
pub(super) fn check_switches(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (switch, source) in config.switches.sources().filter(|(_, source)| !source.connects()) {
        let check = switch.adapter().words().protocol;
        let place = format!("{} at {}", source.name, source.address);
        match runtime.block_on(try_connection(switch, source)) {
            Ok(refusals) => report(check, &place, &refusals, findings),
            Err(error) => findings.failed(
                check,
                format!("{place} cannot be followed: {error:#}"),
                "look whether the switch listens there for this machine, and compare what the source has with what \
                 it lets in",
            ),
        }
    }
    Ok(())
}

/// Tells that a switch has let us in, and what it has not answered.
fn report(check: &'static str, place: &str, refusals: &[Refusal], findings: &mut Findings) {
    let mut unknown: Vec<&str> = Vec::new();
    for Refusal { question, text, hint } in refusals {
        if !hint.is_empty() {
            let said = if text.is_empty() { String::new() } else { format!(": {text}") };
            findings.warning(check, format!("{place} does not answer {question:?}{said}"), *hint);
            continue;
        }
        let command = question.split_whitespace().next().unwrap_or_default();
        if !unknown.contains(&command) {
            unknown.push(command);
        }
    }
    let but = if unknown.is_empty() { String::new() } else { format!("; it has no {}", unknown.join(", ")) };
    findings.ok(check, format!("{place} lets us in, and answers what it is asked{but}"));
}
