//! `hookswitch explain`: why an event came about, and why a subscriber was or was not told.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use hookswitch_api::explain::{Events, Explainer, Named, Wanted, is_unsafe, write_text};
use hookswitch_server::config::Config;
use hookswitch_store::Reader;
use serde_json::Value;

use super::admin::{ADMIN_TOKEN, Admin, Asked};

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Explain {
    /// What is to be explained: a telephonySessionId (s-ID), an event (s-ID:SEQUENCE), a position of the event log, or the
    /// uuid of a notification
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    from: From,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the inputs with all their bytes
    #[arg(long)]
    raw: bool,
    /// Print those inputs of a session, too, that caused no event
    #[arg(long)]
    all: bool,
}

/// Place that a command reads stored data from: the server itself, or its store.
#[derive(clap::Args)]
pub(super) struct From {
    #[command(flatten)]
    asked: Asked,
    /// Read the store of this configuration, beside the server or without one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login", "server"])]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line of time
    Text,
    /// One JSON object
    Json,
}

/// Stored data that is asked for as a file.
pub(super) enum StoredData {
    /// A server.
    Server(Box<Admin>),
    /// The store of a configuration.
    Store(Reader),
}

impl From {
    /// Opens what the arguments name.
    pub(super) fn open(&self) -> anyhow::Result<StoredData> {
        if let Some(config) = &self.config {
            let config = Config::load(config)?;
            let reader = Reader::of(&config.store.directory, config.partitions())?;
            return Ok(StoredData::Store(reader));
        }
        let Some(admin) = self.asked.find()? else {
            bail!(
                "nothing says where to look; give --config FILE, --login FILE, or --server URL and --token TOKEN \
                 (or {ADMIN_TOKEN})"
            )
        };
        Ok(StoredData::Server(Box::new(admin)))
    }
}

impl Explain {
    /// Prints what the arguments ask for.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let id = &self.id;
        let named = Named::parse(id).ok_or_else(|| {
            anyhow!("{id:?} is no id; give s-…, s-…:SEQUENCE, a position of the event log, or a uuid")
        })?;
        let story = match self.from.open()? {
            StoredData::Server(admin) => {
                let query = format!("?raw={}&all={}", self.raw, self.all);
                match named {
                    Named::Session(session) => {
                        read_pages(&admin, &format!("/admin/v1/sessions/{session}{query}"))?
                    }
                    Named::Event(..) | Named::Number(_) => {
                        admin.read(&format!("/admin/v1/events/{id}{query}"))?
                    }
                }
            }
            StoredData::Store(reader) => {
                let explainer = Explainer::new(&reader, None)?;
                let wanted = Wanted { raw: self.raw, all: self.all };
                let story = match named {
                    Named::Session(session) => explainer
                        .session(session, wanted, Events { after: 0, limit: usize::MAX })?
                        .map(serde_json::to_value),
                    Named::Event(..) | Named::Number(_) => {
                        explainer.event(named, wanted)?.map(serde_json::to_value)
                    }
                };
                story.ok_or_else(|| {
                    anyhow!("the store has no events of {id}; they are kept for some days")
                })??
            }
        };
        match self.format {
            Format::Text => write_text(&story, out)?,
            Format::Json => writeln!(out, "{}", printable(&story))?,
        }
        Ok(())
    }
}

/// Reads a session page by page, and puts the pages together.
fn read_pages(admin: &Admin, path: &str) -> anyhow::Result<Value> {
    let mut whole = admin.read(path)?;
    while let Some(after) = whole.as_object_mut().and_then(|whole| whole.remove("next")) {
        let mut page = admin.read(&format!("{path}&after={after}"))?;
        for key in ["events", "inputs", "deliveries", "linked"] {
            let more = page[key].as_array_mut().map(std::mem::take).unwrap_or_default();
            let Some(known) = whole[key].as_array_mut() else { continue };
            for one in more {
                // An input may have caused events of two pages, and a link stands on each.
                let is_known = matches!(key, "inputs" | "linked") && known.contains(&one);
                if !is_known {
                    known.push(one);
                }
            }
        }
        if let Some(next) = page.get("next") {
            whole["next"] = next.clone();
        }
    }
    Ok(whole)
}

/// JSON in which nothing does anything to a terminal.
pub(super) fn printable(value: &Value) -> String {
    let json = value.to_string();
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unsafe(character) {
            // Such characters stand in strings alone, and all have one unit of UTF-16.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}
