//! The commands and what they have in common.

mod access;
mod admin;
mod capture;
mod causes;
mod client;
mod cluster;
mod copy;
mod credentials;
mod decode;
mod demo;
mod doctor;
mod ephemeral;
mod explain;
mod forward;
mod init;
mod listen;
mod manual;
mod no_calls;
mod play;
mod replay;
mod rows;
mod serve;
mod store;
mod subscribe;
mod subscriptions;
mod table;
mod temporary;
mod token;
mod trigger;
mod user;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Parser, Subcommand};
use hookswitch_server::escape;

/// Time that an answer of a server may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Exit status for bad arguments, an unreadable file or a bad filter.
const USAGE: u8 = 2;

/// Bytes of output that are gathered before they are written.
const OUTPUT_BYTES: usize = 256 * 1024;

/// Account Telephony Sessions events from the call signalling that phone systems already emit.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a server at work: simulated phones, subscribers, and the notifications they receive
    ///
    /// All of it runs on free ports of 127.0.0.1 with its data in a temporary directory, until Ctrl-C, and
    /// leaves nothing behind.
    Demo(demo::Demo),
    /// Print the notifications of the calls in captures
    ///
    /// Reads pcap, pcapng, HEP frames, JSON lines of HEP datagrams or of posted signals, and transcripts; several files are merged by
    /// time. At the end of the captures the clock stops: calls that are still open stay open.
    Replay(replay::Replay),
    /// Print every SIP message of captures as one JSON object per line
    Decode(decode::Decode),
    /// Create a directory with everything a first start of the server needs
    Init(init::Init),
    /// Run the server: take live signalling and deliver notifications
    Serve(serve::Serve),
    /// Send captures to a running server, as a capture agent would
    ///
    /// Times are shifted to now, so a capture that is played again gives new events.
    Play(play::Play),
    /// Subscribe to a running server and print its notifications as they come
    ///
    /// When the connection or the server is lost, it reconnects and continues where it was.
    Listen(listen::Listen),
    /// Subscribe to a running server by webhook
    Subscribe(subscribe::Subscribe),
    /// Make a scripted call on a running server and print its events
    ///
    /// The call is posted as a switch would post it, so its events are those of a real call.
    Trigger(trigger::Trigger),
    /// Explain why an event was sent, and why each subscriber did or did not receive it
    ///
    /// Asks a running server, or reads the store beside it or without it.
    Explain(explain::Explain),
    /// Write the inputs of a call as files that `replay` reads, with the events that come out
    ///
    /// The files are replayed before they are given. With --anonymise, names, numbers, hosts and addresses are others.
    Capture(capture::Capture),
    /// Show the nodes of a cluster and their partitions, and move partitions
    ///
    /// Asks any node; all follow.
    Cluster(cluster::Cluster),
    /// Create, list and revoke admin tokens
    ///
    /// Of a running server, or of the store of one that does not run.
    Token(token::Token),
    /// Create, list and remove users and their credentials
    ///
    /// Of a running server, or of the store of one that does not run.
    User(user::User),
    /// List, pause, resume and delete subscriptions
    ///
    /// Asks a running server with an admin token.
    Subscriptions(subscriptions::Subscriptions),
    /// Print, check, back up or copy the store of a server
    Store(store::Store),
    /// Check configuration, storage and connections, and suggest fixes
    ///
    /// Looks at settings, files, ports, clock, limits, disk, store, NATS and sources, beside a running server
    /// or before its start, and changes nothing. Ends with 0 if all is well, 1 if there are warnings, 2 if
    /// something fails.
    Doctor(doctor::Doctor),
    /// Print the completions for a shell
    ///
    /// For bash: hookswitch completions bash > /usr/share/bash-completion/completions/hookswitch
    Completions(manual::Completions),
    /// Write the manual pages, one for each command
    Man(manual::Manual),
}

/// The captures that a command reads.
#[derive(clap::Args)]
struct Captures {
    /// Capture files (pcap, pcapng, HEP frames, or JSON lines of HEP datagrams), also compressed (gzip,
    /// Zstandard, LZ4); - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
    let mut ended = ExitCode::SUCCESS;
    let done = match arguments.command {
        Command::Replay(replay) => replay.run(&mut out),
        Command::Demo(demo) => demo.run(&mut out),
        Command::Decode(decode) => decode.run(&mut out),
        Command::Init(init) => init.run(&mut out),
        Command::Serve(serve) => serve.run(&mut out),
        Command::Play(play) => play.run(),
        Command::Listen(listen) => listen.run(&mut out),
        Command::Subscribe(subscribe) => subscribe.run(&mut out),
        Command::Trigger(trigger) => trigger.run(&mut out),
        Command::Capture(capture) => capture.run(&mut out),
        Command::Explain(explain) => explain.run(&mut out),
        Command::Cluster(cluster) => cluster.run(&mut out),
        Command::Token(token) => token.run(&mut out),
        Command::User(user) => user.run(&mut out),
        Command::Subscriptions(subscriptions) => subscriptions.run(&mut out),
        Command::Store(store) => store.run(&mut out),
        Command::Doctor(doctor) => doctor.run(&mut out).map(|status| ended = status),
        Command::Completions(completions) => completions.run(&mut out),
        Command::Man(manual) => manual.run(&mut out),
    };
    match done.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ended,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hookswitch: {}", escape::plain(&format!("{error:#}")));
            ExitCode::from(USAGE)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Returns `true` if progress is to be shown on stderr.
fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// Writes a line of JSON: as it is for a program, and so that nothing in it acts on a terminal.
fn write_line(out: &mut impl Write, line: &mut Vec<u8>) -> io::Result<()> {
    // Asked once, and not for each of many lines.
    static ON_TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());
    if *ON_TERMINAL {
        *line = escape::json(&String::from_utf8_lossy(line)).into_owned().into_bytes();
    }
    line.push(b'\n');
    out.write_all(line)
}

/// Writes notes about captures to stderr, one a line.
fn note(notes: &[String]) {
    for note in notes {
        eprintln!("hookswitch: {}", escape::plain(note));
    }
}

/// Writes warnings about captures to stderr, one a line.
fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("hookswitch: warning: {}", escape::plain(warning));
    }
}
