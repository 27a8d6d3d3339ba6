//! `hookswitch doctor`: looks at all that a server rests on, and says what to fix.
//!
//! Nothing is changed: what it writes to measure the disk is removed, and a running server goes on.

mod machine;
mod nats;
mod server;
mod settings;
mod sources;
mod store;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use hookswitch_server::config::Config;
use hookswitch_server::escape;
use serde::Serialize;

/// Exit status when something should be looked at, and when something does not work.
const WARNED: u8 = 1;
const FAILED: u8 = 2;

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Doctor {
    /// The configuration of the server
    #[arg(long, value_name = "FILE", default_value = "hookswitch.toml")]
    config: PathBuf,
    /// File with an admin token, to ask a running server about its webhooks
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Output format of the findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line per finding, and below it the fix
    Text,
    /// One JSON object per line
    Json,
}

/// State of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warning,
    Failed,
}

/// Finding about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    /// Fact that was found.
    found: String,
    /// Fix, if anything is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// Findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { check, state: State::Ok, found: found.into(), fix: None });
    }

    fn warning(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { check, state: State::Warning, found: found.into(), fix: Some(fix.into()) });
    }

    fn failed(&mut self, check: &'static str, found: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { check, state: State::Failed, found: found.into(), fix: Some(fix.into()) });
    }
}

impl Doctor {
    /// Prints what is found: 0 if all is well, 1 if something should be looked at, 2 if something fails.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let mut findings = Findings::default();
        match Config::load(&self.config) {
            // Without settings there is nothing to look at.
            Err(error) => {
                findings.failed("config", format!("{error:#}"), "fix the file, and run this again");
            }
            Ok(config) => self.examine(&config, &mut findings)?,
        }
        for finding in &findings.0 {
            self.print(finding, out)?;
        }
        let worst = findings.0.iter().map(|finding| finding.state).max();
        Ok(match worst {
            Some(State::Failed) => ExitCode::from(FAILED),
            Some(State::Warning) => ExitCode::from(WARNED),
            _ => ExitCode::SUCCESS,
        })
    }

    fn examine(&self, config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
        settings::check(&self.config, config, findings);
        settings::check_files(&self.config, config, findings);
        let running = server::is_running(config);
        server::check_ports(config, running, findings);
        machine::check_clock(findings);
        machine::check_open_files(config, findings);
        machine::check_receive_buffer(config, findings);
        machine::check_disk(config, findings);
        store::check(config, findings);
        nats::check(config, findings)?;
        sources::check_switches(config, findings)?;
        if running {
            server::check_arrival(config, findings);
            if let Some(file) = &self.admin_token_file {
                server::check_webhooks(config, file, findings)?;
            }
        }
        Ok(())
    }

    fn print(&self, finding: &Finding, out: &mut impl Write) -> anyhow::Result<()> {
        if self.format == Format::Json {
            let mut line = serde_json::to_vec(finding)?;
            return Ok(super::write_line(out, &mut line)?);
        }
        let state = match finding.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Failed => "failed",
        };
        writeln!(out, "{state:<8} {:<15} {}", finding.check, escape::plain(&finding.found))?;
        if let Some(fix) = &finding.fix {
            writeln!(out, "{:<24} → {}", "", escape::plain(fix))?;
        }
        Ok(())
    }
}
