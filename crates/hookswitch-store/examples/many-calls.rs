//! Fills a store with calls that nobody made, indexes them, and times what the console asks of the index.
//!
//! `cargo run --release -p hookswitch-store --example many-calls -- DIRECTORY 1000000`; the directory can be the
//! `store.directory` of a server that is tried with it. A directory that has calls already gets no more of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hookswitch_model::{
    AccountId, Causes, Direction, Endpoint, Event, ExtensionId, InputRef, Notes, Origin, Party, Reason, Rule,
    SessionFacts, SessionId, SipData, Status, StatusCode, TelephonySessionId, Timestamp,
};
use hookswitch_store::{Batch, CallIndex, CallQuery, Durability, Metrics, Options, PartyQuery, Store, clock};

/// How many calls are written at once.
const CALLS_AT_ONCE: u64 = 500;

/// How many extensions, callers and names there are.
const EXTENSIONS: u64 = 500;
const CALLERS: u64 = 200_000;
const NAMES: u64 = 5_000;

/// The account of the configuration that `hookswitch init` writes.
const ACCOUNT: AccountId = AccountId::new(310_001_016);

/// How long a call is behind the one before.
const APART: i64 = 250_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, calls] = &arguments[..] else { anyhow::bail!("give a directory and a number of calls") };
    let (directory, calls) = (Path::new(directory), calls.parse().context("a number of calls")?);
    let kept = Duration::from_secs(365 * 86_400);
    let options = Options {
        durability: Durability::Relaxed,
        partitions: 1,
        is_copy: false,
        signals_kept: kept,
        events_kept: kept,
    };
    let (store, writer) = Store::open(directory, options, Metrics::default())?;
    if store.ends().events == 0 {
        let began = clock::now();
        fill(&store, calls)?;
        println!("{calls} calls, {} events written in {:.0?}", store.ends().events, began.elapsed());
    }
    let began = clock::now();
    let (index, thread) = store.index_calls()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    while runtime.block_on(index.reach(store.ends().events)) > 0 {}
    println!("indexed in {:.0?}", began.elapsed());
    ask(&index)?;
    writer.close(store);
    thread.join().ok(); // a panic in it is told by its own hook
    Ok(())
}

/// Writes the calls, the last of them as of now.
fn fill(store: &Store, calls: u64) -> anyhow::Result<()> {
    let first = clock::wall().as_micros() - calls.cast_signed() * APART;
    let mut from = 0;
    while from < calls {
        let until = calls.min(from + CALLS_AT_ONCE);
        let mut batch = Batch::after(store.partition(), store.ends());
        for number in from..until {
            let start = first + number.cast_signed() * APART;
            for event in call(number, start) {
                let at = event.at;
                batch.add_event(event, at);
            }
        }
        let (done, on_disk) = channel();
        batch.add_waiting(Box::new(move || done.send(()).unwrap_or_default()));
        store.append(batch)?;
        on_disk.recv_timeout(Duration::from_secs(60)).context("the disk does not take it")?;
        from = until;
    }
    Ok(())
}

/// A number that is spread over all by another.
const fn spread(number: u64, salt: u64) -> u64 {
    let mixed = number.wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

/// A call from outside to an extension; one of ten is missed.
fn call(number: u64, start: i64) -> Vec<Event> {
    let id = TelephonySessionId::new(u128::from(spread(number, 1)) << 64 | u128::from(number));
    let session_id = SessionId::new(1_000_000_000 + number);
    let session = Arc::new(SessionFacts { account: ACCOUNT, id, session_id, origin: Origin::Call });
    let extension = 101 + spread(number, 2) % EXTENSIONS;
    let caller = spread(number, 3) % CALLERS;
    let end = |number: String, name: String| {
        Arc::new(Endpoint {
            phone_number: Some(number.into()),
            name: Some(name.into()),
            ..Endpoint::default()
        })
    };
    let from = end(format!("+1415{:07}", caller * 41 % 10_000_000), format!("Caller {}", caller % NAMES));
    let to = end(extension.to_string(), format!("Extension {extension}"));
    let missed = spread(number, 4).is_multiple_of(10);
    let (answer, reason) = if missed {
        (StatusCode::Disconnected, Some(Reason::NoAnswer))
    } else {
        (StatusCode::Answered, None)
    };
    let mut told = vec![
        (1, StatusCode::Setup, None),
        (2, StatusCode::Proceeding, None),
        (2, answer, reason),
        (1, StatusCode::Disconnected, None),
    ];
    if !missed {
        told.push((2, StatusCode::Disconnected, None));
    }
    let event = |(sequence, (party, code, reason)): (u32, (u32, StatusCode, Option<Reason>))| Event {
        session: session.clone(),
        sequence,
        at: Timestamp::from_micros(start + i64::from(sequence) * 2_000_000),
        party: Party {
            account: ACCOUNT,
            extension: (party == 2).then(|| ExtensionId::new(extension)),
            id: id.party(party),
            direction: if party == 1 { Direction::Outbound } else { Direction::Inbound },
            to: to.clone(),
            from: from.clone(),
            status: Status { code, reason, park_data: None, peer: None, mobile_pickup: false },
            park: None,
            missed_call: missed && party == 2 && code == StatusCode::Disconnected,
            stand_alone: false,
            muted: false,
            conference_role: None,
            ring_out_role: None,
            queue_call: false,
            recordings: Vec::new(),
            sip: Some(Arc::new(SipData {
                call_id: format!("{:016x}@pbx", spread(number, 5 + u64::from(party))).into(),
                from_tag: "a".into(),
                to_tag: None,
            })),
        },
        rule: Rule::Reported,
        notes: Notes::default(),
        causes: Causes::one(InputRef::default()),
    };
    (2..).zip(told).map(event).collect()
}

/// Times the first page and the counts of what operators ask for.
fn ask(index: &CallIndex) -> anyhow::Result<()> {
    let query = CallQuery::default;
    let party = |party| CallQuery { party, ..CallQuery::default() };
    let sample = index.find(&query(), None, 1)?;
    let newest = sample.first().context("there is no call")?.id;
    let part = newest.to_string().chars().skip(6).take(12).collect();
    let extensions = Some(vec![ExtensionId::new(101)]);
    let questions = [
        ("all", query()),
        ("a whole id", CallQuery { id: Some(newest.to_string()), ..query() }),
        ("part of an id", CallQuery { id: Some(part), ..query() }),
        ("a number", CallQuery { number: Some("+1 415 0000-041".into()), ..query() }),
        ("a name", CallQuery { name: Some("caller 4711".into()), ..query() }),
        ("a text", CallQuery { text: Some("0000041".into()), ..query() }),
        ("nothing", CallQuery { text: Some("nobody at all".into()), ..query() }),
        ("missed", party(PartyQuery { missed: Some(true), ..PartyQuery::default() })),
        ("of an extension", party(PartyQuery { extensions: extensions.clone(), ..PartyQuery::default() })),
        (
            "missed by an extension",
            party(PartyQuery { extensions, missed: Some(true), ..PartyQuery::default() }),
        ),
        ("open", CallQuery { is_open: Some(true), ..query() }),
    ];
    println!("{:<24} {:>12} {:>12} {:>10}", "asked for", "first page", "count", "calls");
    for (what, query) in questions {
        let (mut page, mut count, mut total) = (Duration::MAX, Duration::MAX, 0);
        for _ in 0..3 {
            let began: Instant = clock::now();
            let found = index.find(&query, None, 100)?;
            page = page.min(began.elapsed());
            let began = clock::now();
            total = index.count(&query)?.total;
            count = count.min(began.elapsed());
            ensure!(found.len() as u64 == total.min(100), "{what}: {} of {total}", found.len());
        }
        println!("{what:<24} {:>9.1} ms {:>9.1} ms {total:>10}", millis(page), millis(count));
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
