//! `hookswitch cluster`: who has which partition, and orders that move them.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use hookswitch_server::{clock, escape};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::{Admin, Asked};
use super::explain::printable;

/// Interval between checks whether something has come about that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Time to wait where nothing else is said, in seconds.
const WAIT_SECONDS: &str = "60";

/// The arguments of the command.
#[derive(clap::Args)]
pub(super) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the nodes and the partitions of each
    Status(Status),
    /// Move a partition to a node, where it stays as long as the node runs
    Move(Move),
    /// Move all partitions of a node to others, before it is stopped or repaired
    Drain(Drain),
}

#[derive(clap::Args)]
struct Status {
    #[command(flatten)]
    asked: Asked,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(clap::Args)]
struct Move {
    /// The number of the partition, as `status` shows it
    partition: usize,
    /// The name of the node
    #[arg(required_unless_present = "unpin")]
    node: Option<String>,
    /// Let the cluster place the partition again
    #[arg(long, conflicts_with = "node")]
    unpin: bool,
    /// Wait until it is there, for so many seconds at most; 60 if none are given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = WAIT_SECONDS)]
    wait: Option<u64>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(clap::Args)]
struct Drain {
    /// The name of the node
    node: String,
    /// Let the node take partitions again
    #[arg(long)]
    undo: bool,
    /// Wait until all have moved, for so many seconds at most; 60 if none are given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = WAIT_SECONDS)]
    wait: Option<u64>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables
    Text,
    /// One JSON object
    Json,
}

/// Answer of a server about its cluster.
#[derive(Deserialize)]
struct Said {
    engine: String,
    nodes: Vec<Node>,
    partitions: Vec<Partition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    url: Option<String>,
    version: String,
    is_draining: bool,
    partitions: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    #[serde(rename = "partition")]
    number: usize,
    owner: Option<String>,
    since: Option<String>,
    wanted: Option<String>,
    pinned_to: Option<String>,
    is_settled: bool,
}

impl Cluster {
    /// Does what the arguments ask for.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self.command {
            Command::Status(status) => status.run(out),
            Command::Move(order) => order.run(out),
            Command::Drain(order) => order.run(out),
        }
    }
}

impl Status {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let said = self.asked.open()?.read("/admin/v1/cluster")?;
        if self.format == Format::Json {
            return Ok(writeln!(out, "{}", printable(&said))?);
        }
        Said::of(said)?.write(out)
    }
}

impl Move {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let admin = self.asked.open()?;
        let Self { partition, node, .. } = self;
        admin.post(&format!("/admin/v1/cluster/partitions/{partition}"), &json!({"node": node}))?;
        let Some(seconds) = self.wait else {
            let to = node.map_or("where the cluster wants it".to_owned(), |node| format!("to {node}"));
            return Ok(writeln!(out, "partition {partition} moves {to}")?);
        };
        let has_moved = |said: &Said| {
            let found = said.partitions.iter().find(|found| found.number == partition);
            found.is_some_and(|found| found.is_settled && found.pinned_to == node)
        };
        let said = wait(&admin, seconds, &format!("partition {partition} has not moved"), has_moved)?;
        let owner = said.partitions.into_iter().find(|found| found.number == partition);
        let owner = owner.and_then(|found| found.owner).unwrap_or_default();
        Ok(writeln!(out, "partition {partition} is on {}", escape::plain(&owner))?)
    }
}

impl Drain {
    fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let admin = self.asked.open()?;
        let Self { node, undo, .. } = self;
        let name: String = form_urlencoded::byte_serialize(node.as_bytes()).collect();
        admin.post(&format!("/admin/v1/cluster/nodes/{name}"), &json!({"draining": !undo}))?;
        let shown = escape::plain(&node).into_owned();
        let Some(seconds) = self.wait else {
            let does = if undo { "gets its share again" } else { "gives its partitions to others" };
            return Ok(writeln!(out, "{shown} {does}")?);
        };
        let has_moved = |said: &Said| {
            let found = said.nodes.iter().find(|found| found.name == node);
            let has_heard = found.is_none_or(|found| found.is_draining != undo);
            let is_empty = said.partitions.iter().all(|of| of.owner.as_ref() != Some(&node));
            has_heard && (undo || is_empty) && said.partitions.iter().all(|of| of.is_settled)
        };
        wait(&admin, seconds, &format!("{shown} has not got there"), has_moved)?;
        let has = if undo { "has its share again" } else { "has no partition any more" };
        Ok(writeln!(out, "{shown} {has}")?)
    }
}

/// Waits until something holds of the cluster, for some seconds at most.
fn wait(admin: &Admin, seconds: u64, why: &str, holds: impl Fn(&Said) -> bool) -> anyhow::Result<Said> {
    let began = clock::now();
    loop {
        let said = Said::of(admin.read("/admin/v1/cluster")?)?;
        if holds(&said) {
            return Ok(said);
        }
        if began.elapsed() >= Duration::from_secs(seconds) {
            bail!("{why} after {seconds} s; hookswitch cluster status shows how things stand");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Said {
    fn of(said: Value) -> anyhow::Result<Self> {
        serde_json::from_value(said).context("the server does not say what a cluster is like; is it older?")
    }

    fn write(&self, out: &mut impl Write) -> anyhow::Result<()> {
        if self.engine == "sqlite" {
            return Ok(writeln!(out, "one server, which has all the work")?);
        }
        let nodes = self.nodes.iter().map(|node| {
            let state = if node.is_draining { "draining" } else { "" };
            let url = node.url.as_deref().unwrap_or_default();
            [&*node.name, &*node.partitions.to_string(), &*node.version, url, state].map(str::to_owned)
        });
        write_table(out, ["NODE", "PARTITIONS", "VERSION", "URL", ""], nodes.collect())?;
        writeln!(out)?;
        let partitions = self.partitions.iter().map(|of| {
            let owner = of.owner.as_deref().unwrap_or("-");
            let since = of.since.as_deref().unwrap_or("-");
            let state = match (&of.pinned_to, &of.wanted) {
                (Some(pin), _) if of.is_settled && of.owner.as_ref() == Some(pin) => "pinned".to_owned(),
                (Some(pin), _) if of.is_settled => format!("pinned to {pin}, which cannot have it"),
                (_, Some(wanted)) if !of.is_settled => format!("moves to {wanted}"),
                _ => String::new(),
            };
            [of.number.to_string(), owner.to_owned(), since.to_owned(), state]
        });
        write_table(out, ["PARTITION", "OWNER", "SINCE", ""], partitions.collect())
    }
}

/// Writes rows under a heading, each column as wide as its widest cell.
pub(super) fn write_table<const N: usize>(
    out: &mut impl Write,
    heading: [&str; N],
    rows: Vec<[String; N]>,
) -> anyhow::Result<()> {
    let rows: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned))
        .chain(rows.into_iter().map(|row| row.map(|cell| escape::plain(&cell).into_owned())))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
