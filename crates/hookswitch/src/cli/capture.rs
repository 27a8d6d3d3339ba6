//! `hookswitch capture`: a call of a server as files that `replay` reads.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use hookswitch_api::capture;
use hookswitch_api::explain::{is_unsafe, session_id};
use serde::Deserialize;

use super::explain::{From, StoredData};

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Capture {
    /// The telephonySessionId (s-ID)
    #[arg(value_name = "SESSION_ID")]
    session: String,
    /// Where the files go: a directory that is not there, or is empty
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Put others in the place of names, numbers, hosts and addresses, each the same everywhere
    #[arg(long)]
    anonymise: bool,
    #[command(flatten)]
    from: From,
}

/// A capture as the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    files: Vec<GivenFile>,
    replay: Vec<String>,
    notes: Vec<String>,
    is_exact: bool,
}

#[derive(Deserialize)]
struct GivenFile {
    name: String,
    text: String,
}

impl Capture {
    /// Writes the files.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let id = session_id(&self.session)
            .ok_or_else(|| anyhow!("{:?} is no id of a session; give s- and 32 digits", self.session))?;
        let given = match self.from.open()? {
            StoredData::Server(admin) => {
                let anonymise = if self.anonymise { "?anonymise=true" } else { "" };
                let path = format!("/admin/v1/sessions/{id}/capture{anonymise}");
                admin.read(&path)?
            }
            StoredData::Store(reader) => {
                let made = capture::of(&reader, None, id, self.anonymise)?;
                let made = made
                    .ok_or_else(|| anyhow!("the store has no events of {id}; they are kept for some days"))?;
                serde_json::to_value(made)?
            }
        };
        let given: Given = serde_json::from_value(given).context("the server gave no capture")?;
        write(&given, &self.directory)?;
        let files: Vec<&str> = given.files.iter().map(|file| &*file.name).collect();
        writeln!(out, "{}: {}", self.directory.display(), files.join(", "))?;
        for note in &given.notes {
            let note: String = note.chars().filter(|&character| !is_unsafe(character)).collect();
            eprintln!("hookswitch: note: {note}");
        }
        ensure!(
            given.is_exact,
            "the files are written, and a replay of them does not give the events of the log"
        );
        writeln!(out, "tried: hookswitch replay {} gives expected.jsonl", given.replay.join(" "))?;
        Ok(())
    }
}

fn write(given: &Given, directory: &Path) -> anyhow::Result<()> {
    let name = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {name}"))?;
    let mut entries = fs::read_dir(directory).with_context(|| format!("cannot read {name}"))?;
    ensure!(entries.next().is_none(), "{name} is not empty; name a directory that is not there");
    for file in &given.files {
        // What a server says is no path.
        ensure!(capture::is_name(&file.name), "the server gave a file that no capture has");
        let path = directory.join(&file.name);
        fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut readme = format!("hookswitch replay {}\n\nprints expected.jsonl.\n", given.replay.join(" "));
    for note in &given.notes {
        let _ = writeln!(readme, "{note}.");
    }
    fs::write(directory.join("README"), readme).with_context(|| format!("cannot write in {name}"))
}
