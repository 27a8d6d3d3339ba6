//! Conformance suite of both engines: what each must do.

mod damage;
mod versions;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookswitch_core::directory::Directory;
use hookswitch_core::engine::Policy;
use hookswitch_model::{AccountId, ClockId, InputRef, Timestamp};
use hookswitch_pipeline::{Clocks, Pipeline};
use hookswitch_signal::ingest::Posted;
use tokio::runtime::Runtime;

use super::testing::{NEWEST, Server, directory};
use super::*;

const ACCOUNT: u64 = 310_001_016;

/// An engine, and what must stay for as long as it is used.
enum Engine {
    Sqlite,
    Nats(Server),
}

/// A store that is open, as a node has it.
struct Node {
    runtime: Runtime,
    store: Store,
    owning: Option<tokio::task::JoinHandle<()>>,
    writer: WriterThread,
}

impl Engine {
    fn all() -> [Self; 3] {
        [Self::Sqlite, Self::Nats(Server::start()), Self::Nats(Server::start_as(NEWEST, 1))]
    }

    fn options() -> Options {
        Options {
            durability: Durability::Relaxed,
            partitions: 4,
            is_copy: false,
            signals_kept: Duration::from_secs(86_400),
            events_kept: Duration::from_secs(7 * 86_400),
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            durability: Durability::Relaxed,
            partitions: 4,
            kept: Duration::from_secs(7 * 86_400),
            lease: Duration::from_secs(3),
        }
    }

    /// Opens the store of a node that owns a partition.
    fn open(&self, directory: &Path, partition: usize) -> Node {
        let runtime = Runtime::new().expect("a runtime");
        let partition = Partition::try_from(partition).expect("there is one");
        let (store, owning, writer) = match self {
            Self::Sqlite => {
                let (store, writer) =
                    Store::open(directory, Self::options(), Metrics::default()).expect("the store opens");
                (Store { partition, ..store }, None, writer)
            }
            Self::Nats(server) => runtime.block_on(async {
                let nats = Nats::connect(&server.settings(), &Self::wanted()).await.expect("it connects");
                let (store, writer) =
                    Box::pin(Store::join(directory, Self::options(), nats, Metrics::default()))
                        .await
                        .expect("the store opens");
                let deadline = crate::clock::now() + Duration::from_secs(20);
                loop {
                    // Who writes may be first; it is tried again, as a node does.
                    let own = tokio::time::timeout_at(deadline.into(), store.own(partition, "node"));
                    match own.await.expect("the log is followed to the beginning of the term") {
                        Ok((store, owning)) => break (store, Some(owning), writer),
                        Err(error) => assert!(crate::clock::now() < deadline, "{error:#}"),
                    }
                }
            }),
        };
        Node { runtime, store, owning, writer }
    }
}

impl Node {
    /// Writes a batch, and waits until it is on disk.
    fn append(&self, mut batch: Batch) {
        let (told, on_disk) = std::sync::mpsc::channel();
        batch.add_waiting(Box::new(move || told.send(()).expect("the test waits")));
        self.store.append(batch).expect("the store is open");
        on_disk.recv_timeout(Duration::from_secs(20)).expect("the batch comes to the disk");
    }

    /// Writes a call of another source, at another time; gives how many events it tells.
    fn append_another_call(&self) -> usize {
        let mut batch = Batch::after(self.store.partition(), self.store.ends());
        let mut calls = Calls::new(&mut batch, 2);
        calls.number = 1000;
        calls.call(&mut batch, "104", 0);
        let added = batch.events.len();
        self.append(batch);
        added
    }

    fn nats(&self) -> &Nats {
        &self.store.cluster.as_ref().expect("it is one of a cluster").nats
    }

    /// Saves the documents of this node's copy, as it does now and then.
    fn save_documents(&self) -> u64 {
        self.runtime.block_on(super::nats::save_documents(self.nats(), &self.store)).expect("they are saved")
    }

    /// Returns the number of messages of a stream, and the position of the last.
    fn stream(&self, name: &str) -> (u64, u64) {
        let stream = self.runtime.block_on(self.nats().stream(name)).expect("there is one");
        let state = &stream.cached_info().state;
        (state.messages, state.last_sequence)
    }

    /// Lets the messages of a stream go by, up to this one.
    fn forget(&self, name: &str, until: u64) {
        self.runtime.block_on(async {
            let stream = self.nats().stream(name).await.expect("there is one");
            stream.purge().sequence(until + 1).await.expect("it is purged");
        });
    }

    /// All documents of these kinds, with their revisions.
    fn documents(&self, kinds: &[&str]) -> Vec<Document> {
        let all = |reader: &Reader| {
            let documents = kinds.iter().map(|kind| reader.documents(kind)).collect::<Result<Vec<_>, _>>()?;
            Ok(documents.concat())
        };
        self.store.read(all).expect("they can be read")
    }

    fn change(&self, changes: Vec<Change>) -> Result<Vec<u64>, StoreError> {
        self.runtime.block_on(self.store.change(changes))
    }

    fn events_after(&self, after: u64) -> Vec<Logged> {
        self.runtime.block_on(self.store.events_after(after, 100_000)).expect("events can be read")
    }

    /// Closes the store, as a server that stops does.
    fn close(self) {
        let Self { runtime, store, owning, writer } = self;
        let rest = Store { cluster: None, ..store.clone() };
        drop(store);
        if let Some(owning) = owning {
            runtime.block_on(owning).expect("the publisher ends");
        }
        writer.close(rest);
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Calls by posted signals, derived by the pipeline as in a server.
struct Calls {
    pipeline: Pipeline,
    source: u16,
    number: u64,
}

impl Calls {
    fn new(batch: &mut Batch, source: u16) -> Self {
        let account = AccountId::new(ACCOUNT);
        let directory = Directory::built_in(account);
        let mut pipeline = Pipeline::new(directory, Policy::default(), Clocks::OfEachSource);
        pipeline.sources_mut().add_posted(source, account);
        let mut calls = Self { pipeline, source, number: 0 };
        let settings = Settings {
            directory: None,
            account: ACCOUNT,
            answered_elsewhere_is_missed: false,
            explicit_reasons: false,
            join_by_numbers: true,
            sessions_max: 1000,
            late_requests_ms: 100,
        };
        let sender = Sender::Ingest { name: "test".into(), account: ACCOUNT };
        let source = Source { number: source, sender };
        calls.add(batch, kind::SETTINGS, 0, &serde_json::to_vec(&settings).expect("JSON"));
        calls.add(batch, kind::SOURCE, calls.source, &serde_json::to_vec(&source).expect("JSON"));
        calls
    }

    /// Adds an input, and gives its position and its time.
    fn add(&mut self, batch: &mut Batch, kind: u8, source: u16, body: &[u8]) -> (u64, Timestamp) {
        self.number += 1;
        let at = Timestamp::from_micros(1_700_000_000_000_000 + self.number.cast_signed() * 1000);
        (batch.add_input(kind, source, at, at, body), at)
    }

    /// Adds a signal and the events that follow from it, and gives its position.
    fn add_signal(&mut self, batch: &mut Batch, json: &[u8], posted: Posted) -> u64 {
        let happened = Timestamp::from_micros(1_700_000_000_000_000 + self.number.cast_signed() * 1000);
        let (position, at) = self.add(batch, kind::SIGNAL, self.source, json);
        let input = InputRef { source: self.source, number: position };
        self.pipeline.handle_posted(self.source, posted, happened, input).expect("it applies");
        while let Some(event) = self.pipeline.poll_event() {
            batch.add_event(event, at);
        }
        position
    }

    /// One call that is answered and ends; the events of it that are due without a timer.
    fn call(&mut self, batch: &mut Batch, caller: &str, filler: usize) {
        // White space may stand behind a signal.
        let (a, b, n) = (format!("a{}", self.number), format!("b{}", self.number), self.number);
        let filler = " ".repeat(filler);
        let signals = [
            format!(
                r#"{{"id":"{n}.1","leg":"{a}","kind":"created","direction":"outbound","callee":"102","caller":{{"number":"{caller}"}}}}{filler}"#
            ),
            format!(
                r#"{{"id":"{n}.2","leg":"{b}","kind":"created","direction":"inbound","of":"{a}","callee":"102","caller":{{"number":"{caller}"}}}}"#
            ),
            format!(r#"{{"id":"{n}.3","leg":"{b}","kind":"ringing"}}"#),
            format!(r#"{{"id":"{n}.4","leg":"{b}","kind":"answered"}}"#),
            format!(r#"{{"id":"{n}.5","leg":"{a}","kind":"answered"}}"#),
            format!(r#"{{"id":"{n}.6","leg":"{b}","kind":"ended","cause":"hung_up"}}"#),
            format!(r#"{{"id":"{n}.7","leg":"{a}","kind":"ended","cause":"hung_up"}}"#),
        ];
        for json in signals {
            let posted = Posted::parse(json.as_bytes()).expect("a signal");
            let id = posted.id.clone();
            let position = self.add_signal(batch, json.as_bytes(), posted);
            batch.add_id(IngestId { source: self.source, id, position });
        }
    }
}

/// Returns what an event says, to be compared.
fn told(events: &[Logged]) -> Vec<String> {
    events.iter().map(|logged| format!("{} {:?}", logged.position, logged.event)).collect()
}

fn set(kind: &'static str, id: &str, expected: Expected, content: Option<&str>) -> Change {
    Change { kind: kind.into(), id: id.into(), expected, content: content.map(str::to_owned) }
}

#[test]
fn a_batch_is_read_back_as_it_was_written_also_after_a_restart() {
    for engine in Engine::all() {
        let directory = directory("store");
        let node = engine.open(&directory, 0);
        assert_eq!(node.store.ends(), Ends::default());
        let mut batch = Batch::after(node.store.partition(), node.store.ends());
        let mut calls = Calls::new(&mut batch, 1);
        calls.call(&mut batch, "101", 0);
        let (inputs, events) = (batch.inputs.len() as u64, batch.events.len());
        assert!(events >= 6, "{events}");
        let written: Vec<String> = batch.events.iter().map(|row| format!("{:?}", row.event)).collect();
        let second = batch.next();
        node.append(batch);
        assert_eq!(node.store.ends().signals, inputs);
        let read = node.events_after(0);
        assert_eq!(read.iter().map(|logged| format!("{:?}", logged.event)).collect::<Vec<_>>(), written);
        assert_eq!(read.last().map(|logged| logged.position), Some(node.store.ends().events));
        assert!(read.windows(2).all(|pair| pair[0].position < pair[1].position));

        let mut second = Batch { after: Ends { events: node.store.ends().events, ..second.after }, ..second };
        calls.call(&mut second, "103", 0);
        node.append(second);
        let read = node.events_after(0);
        assert_eq!(read.len(), 2 * events);
        let middle = node.events_after(read[events - 1].position);
        assert_eq!(told(&middle), told(&read[events..]));
        let one = node.store.read(|reader| reader.events_at(&[read[3].position])).expect("it can be read");
        assert_eq!(told(&one), told(&read[3..4]));

        let ends = node.store.ends();
        let partition = node.store.partition();
        let count = |node: &Node, after| {
            let mut positions = Vec::new();
            node.store
                .read(|reader| {
                    Ok(reader.inputs(partition, after, |input| {
                        positions.push(input.position);
                        Ok(())
                    }))
                })
                .expect("the store is open")
                .expect("inputs can be read");
            positions
        };
        assert_eq!(count(&node, 0), (1..=ends.signals).collect::<Vec<_>>());
        assert_eq!(count(&node, inputs), (inputs + 1..=ends.signals).collect::<Vec<_>>());
        node.close();

        let node = engine.open(&directory, 0);
        assert_eq!(node.store.ends(), ends);
        assert_eq!(told(&node.events_after(0)), told(&read));
        assert_eq!(count(&node, 0).len() as u64, ends.signals);
        node.close();
        std::fs::remove_dir_all(&directory).ok();
    }
}

#[test]
fn an_owner_that_was_replaced_writes_no_more() {
    let server = Server::start();
    let engine = Engine::Nats(server);
    let directories = [directory("old"), directory("new")];
    let old = engine.open(&directories[0], 2);
    let mut batch = Batch::after(old.store.partition(), old.store.ends());
    let mut calls = Calls::new(&mut batch, 1);
    calls.call(&mut batch, "101", 0);
    let next = batch.next();
    old.append(batch);

    let new = engine.open(&directories[1], 2);
    assert_eq!(
        told(&new.events_after(0)),
        told(&old.events_after(0)),
        "the new owner has all that was written"
    );
    let mut late = next;
    calls.call(&mut late, "102", 0);
    let heard = Arc::new(AtomicUsize::new(0));
    late.add_waiting({
        let heard = heard.clone();
        Box::new(move || {
            heard.fetch_add(1, Ordering::Relaxed);
        })
    });
    let mut next = late.next();
    // It may know already that it was replaced.
    old.store.append(late).ok();
    let deadline = crate::clock::now() + Duration::from_secs(20);
    loop {
        let later = next.next();
        if old.store.append(std::mem::replace(&mut next, later)).is_err() {
            break;
        }
        assert!(crate::clock::now() < deadline, "the old owner is told");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(heard.load(Ordering::Relaxed), 0, "nobody is told that it is on disk");
    let count = new.events_after(0).len();
    let added = new.append_another_call();
    assert_eq!(new.events_after(0).len(), count + added);
    // Both copies say the same.
    while old.events_after(0).len() < count + added {
        assert!(crate::clock::now() < deadline, "the old owner's copy goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(told(&old.events_after(0)), told(&new.events_after(0)));
    old.close();
    new.close();
}

#[test]
fn what_a_server_takes_too_late_counts_for_nobody() {
    let engine = Engine::Nats(Server::start());
    let directories = [directory("late-old"), directory("late-new")];
    let old = engine.open(&directories[0], 2);
    let partition = old.store.partition();
    let mut batch = Batch::after(partition, old.store.ends());
    let mut calls = Calls::new(&mut batch, 1);
    calls.call(&mut batch, "101", 0);
    let mut late = batch.next();
    old.append(batch);
    late.term = old.store.shared().term(partition);
    calls.call(&mut late, "102", 0);

    let new = engine.open(&directories[1], 2);
    let count = new.events_after(0).len();
    let first = set("user", "101", Expected::Absent, Some("1"));
    let after = new.store.shared().followed(STREAM_DOCUMENTS);
    assert_eq!(new.change(vec![first]).expect("it is new"), [1]);
    let (at, changed) = new.runtime.block_on(async {
        let at = super::nats::write_late(new.nats(), &late).await;
        let second = set("user", "101", Expected::Any, Some("2"));
        (at, super::nats::change_late(new.nats(), after, &[second]).await)
    });
    let check = |node: &Node| {
        node.runtime.block_on(async {
            let shared = node.store.shared();
            shared.wait_followed(STREAM_LOG, at).await.expect("the store is open");
            shared.wait_followed(STREAM_DOCUMENTS, changed).await.expect("the store is open");
        });
        assert_eq!(node.events_after(0).len(), count, "what the old owner wrote does not count");
        assert_eq!(node.documents(&["user"])[0].content, "1", "the first of two changes counts");
    };
    check(&old);
    check(&new);
    // The new owner goes on as if nothing had come.
    let added = new.append_another_call();
    assert_eq!(new.events_after(0).len(), count + added);
    assert_eq!(new.change(vec![set("user", "101", Expected::Revision(1), Some("3"))]).expect("it is"), [2]);
    let told = told(&new.events_after(0));
    old.close();
    new.close();
    // Nor for who reads it again, or for the first time.
    for directory in [&directories[0], &directory("late-third")] {
        let node = engine.open(directory, 1);
        assert_eq!(self::told(&node.events_after(0)), told);
        assert_eq!(node.documents(&["user"])[0].content, "3");
        node.close();
        std::fs::remove_dir_all(directory).ok();
    }
    std::fs::remove_dir_all(&directories[1]).ok();
}

#[test]
fn a_batch_larger_than_a_message_counts_as_one() {
    for engine in Engine::all() {
        let directory = directory("large");
        let node = engine.open(&directory, 1);
        let mut batch = Batch::after(node.store.partition(), node.store.ends());
        let mut calls = Calls::new(&mut batch, 1);
        while batch.len_bytes() < 3 * 1024 * 1024 {
            calls.call(&mut batch, "101", 20_000);
        }
        let (ends, events) = (batch.ends().signals, batch.events.len());
        node.append(batch);
        assert_eq!(node.store.ends().signals, ends);
        assert_eq!(node.events_after(0).len(), events);
        node.close();
        std::fs::remove_dir_all(&directory).ok();
    }
}

#[test]
fn documents_change_together_or_not_at_all() {
    for engine in Engine::all() {
        let directory = directory("documents");
        let node = engine.open(&directory, 0);
        let first =
            [set("user", "101", Expected::Absent, Some("1")), set("jwt", "a", Expected::Any, Some("2"))];
        assert_eq!(node.change(first.to_vec()).expect("they are new"), [1, 1]);
        let again = node.change(vec![set("user", "101", Expected::Absent, Some("3"))]);
        assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
        let half = vec![
            set("jwt", "a", Expected::Any, Some("4")),
            set("user", "101", Expected::Revision(7), Some("4")),
        ];
        assert!(matches!(node.change(half), Err(StoreError::Conflict { .. })));
        let read = |kind: &'static str, id: &'static str| {
            let document = node.store.read(|reader| reader.document(kind, id)).expect("it can be read");
            document.map(|document| (document.revision, document.content))
        };
        assert_eq!(read("jwt", "a"), Some((1, "2".into())), "nothing of it counts");
        let right = vec![
            set("jwt", "a", Expected::Revision(1), None),
            set("user", "101", Expected::Revision(1), Some("5")),
        ];
        assert_eq!(node.change(right).expect("as expected"), [2, 2]);
        assert_eq!((read("jwt", "a"), read("user", "101")), (None, Some((2, "5".into()))));
        node.close();
        let node = engine.open(&directory, 0);
        let kept = node.store.read(|reader| reader.documents("user")).expect("they can be read");
        assert_eq!(kept.len(), 1);
        node.close();
        std::fs::remove_dir_all(&directory).ok();
    }
}

#[test]
fn of_many_who_change_a_document_from_one_revision_one_wins() {
    for engine in Engine::all() {
        let directories = [directory("race"), directory("race")];
        let mut nodes = vec![engine.open(&directories[0], 0)];
        if matches!(engine, Engine::Nats(_)) {
            nodes.push(engine.open(&directories[1], 1));
        }
        nodes[0].change(vec![set("counter", "n", Expected::Absent, Some("0"))]).expect("it is new");
        let wins = Arc::new(Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let (node, wins) = (&nodes[worker % nodes.len()], wins.clone());
                scope.spawn(move || {
                    for _ in 0..10 {
                        let found = node.store.read(|reader| reader.document("counter", "n"));
                        let revision = found.expect("it can be read").map_or(0, |document| document.revision);
                        if revision == 0 {
                            continue; // this node's copy does not have it yet
                        }
                        let change = set("counter", "n", Expected::Revision(revision), Some("x"));
                        if let Ok(revisions) = node.change(vec![change]) {
                            wins.lock().expect("no panic").extend(revisions);
                        }
                    }
                });
            }
        });
        let mut wins = Arc::into_inner(wins).expect("all have ended").into_inner().expect("no panic");
        wins.sort_unstable();
        assert!(wins.len() > 1, "some win: {wins:?}");
        assert_eq!(wins, (2..wins.len() as u64 + 2).collect::<Vec<_>>(), "each revision is given once");
        for node in nodes {
            node.close();
        }
    }
}

#[test]
fn ids_of_posted_signals_and_saved_states_are_kept() {
    for engine in Engine::all() {
        let directory = directory("ids");
        let node = engine.open(&directory, 3);
        let mut batch = Batch::after(node.store.partition(), node.store.ends());
        let mut calls = Calls::new(&mut batch, 1);
        calls.call(&mut batch, "101", 0);
        let id = batch.ids[0].clone();
        let end = batch.ends().signals;
        node.append(batch);
        let found = |node: &Node, text: &str| {
            node.store.read(|reader| reader.ingest_id(1, text)).expect("it can be read")
        };
        assert_eq!(found(&node, &id.id), Some(id.position));
        assert_eq!(found(&node, "never"), None);
        let partition = node.store.partition();
        let state = postcard::to_stdvec(&calls.pipeline).expect("writing to memory does not fail");
        node.store.save_snapshot(end - 1, 1, b"older".to_vec()).expect("the store is open");
        node.store.save_snapshot(end, 2, state.clone()).expect("the store is open");
        node.close();

        // Another node has it as well, if there can be one.
        let other =
            if matches!(engine, Engine::Sqlite) { directory.clone() } else { self::directory("other") };
        let node = engine.open(&other, 3);
        let deadline = crate::clock::now() + Duration::from_secs(20);
        loop {
            let saved = node.store.read(|reader| reader.snapshot(partition)).expect("it can be read");
            if saved == Some((end, 2, state.clone())) {
                break;
            }
            assert!(crate::clock::now() < deadline, "the state is there");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut read: Pipeline = postcard::from_bytes(&state).expect("it is a state");
        assert_eq!(read.poll_timeout(ClockId(1)), calls.pipeline.poll_timeout(ClockId(1)));
        assert!(read.poll_event().is_none());
        assert_eq!(found(&node, &id.id), Some(id.position));
        node.close();
        std::fs::remove_dir_all(&directory).ok();
    }
}

#[test]
fn nodes_that_were_set_up_differently_are_refused_with_the_mend() {
    let server = Server::start();
    let connect = |partitions, durability| {
        let runtime = Runtime::new().expect("a runtime");
        let wanted = Wanted { durability, partitions, ..Engine::wanted() };
        runtime
            .block_on(Nats::connect(&server.settings(), &wanted))
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    };
    assert_eq!(connect(4, Durability::Relaxed), Ok(()));
    assert_eq!(connect(4, Durability::Relaxed), Ok(()), "what is there already is fine");
    let error = connect(8, Durability::Relaxed).expect_err("8 are not 4");
    assert!(error.contains("set cluster.partitions to the same on all nodes"), "{error}");
    let error = connect(4, Durability::Strict).expect_err("2.9 cannot give it");
    assert!(error.contains("before it has synced to disk"), "{error}");
}

/// Returns what a delivery writes down of how far a subscription has come.
fn progress(id: &str, read: u64) -> Change {
    set(PROGRESS, id, Expected::Any, Some(&read.to_string()))
}

#[test]
fn documents_are_saved_and_a_node_that_comes_late_has_all_of_them() {
    let engine = Engine::Nats(Server::start());
    let directories = ["first", "behind", "new"].map(directory);
    let kinds = ["user", PROGRESS];
    let node = engine.open(&directories[0], 0);
    let change = |node: &Node, n: u64| {
        let id = (n % 7).to_string();
        node.change(vec![set("user", &id, Expected::Any, Some(&n.to_string()))]).expect("it is made")
    };
    for n in 0..5 {
        change(&node, n);
    }
    // One that goes away before the rest is changed, and comes back when the stream has it no longer.
    engine.open(&directories[1], 1).close();
    node.change(vec![progress("s", 0)]).expect("it is made");
    for n in 5..20 {
        change(&node, n);
    }
    node.change(vec![set("user", "3", Expected::Any, None)]).expect("it is made");
    let write = |node: &Node, id, read| {
        let written = node.store.record(vec![progress(id, read)], Journal::default());
        node.runtime.block_on(written).expect("it is written");
        wait_until("it is applied", || {
            node.documents(&[PROGRESS]).iter().any(|document| document.content == read.to_string())
        });
    };
    write(&node, "s", 17);
    let (before, end) = node.stream(STREAM_DOCUMENTS);
    assert_eq!((before, end), (22, 22));
    assert_eq!(node.save_documents(), end);
    assert_eq!(node.stream(STREAM_DOCUMENTS), (1, end), "only the last change is left");
    let changed = node.change(vec![set("user", "6", Expected::Any, Some("21"))]).expect("changes go on");
    assert_eq!(changed, [3]);

    // What a delivery wrote down is older than the log now.
    let (_, log) = node.stream(STREAM_LOG);
    node.forget(STREAM_LOG, log);
    write(&node, "t", 18);
    for directory in &directories[1..] {
        let other = engine.open(directory, 1);
        assert_eq!(other.documents(&kinds[..1]), node.documents(&kinds[..1]));
        let contents = |node: &Node| {
            let documents = node.documents(&kinds[1..]);
            documents.into_iter().map(|document| (document.id, document.content)).collect::<Vec<_>>()
        };
        assert_eq!(contents(&other), [("s".to_owned(), "17".to_owned()), ("t".to_owned(), "18".to_owned())]);
        assert_eq!(contents(&other), contents(&node));
        let changed = other.change(vec![set("user", "6", Expected::Revision(3), Some("22"))]);
        assert_eq!(changed.expect("it is the revision"), [4]);
        other.change(vec![set("user", "6", Expected::Revision(4), None)]).expect("it is the revision");
        node.runtime
            .block_on(node.store.shared.wait_followed(STREAM_DOCUMENTS, other.stream(STREAM_DOCUMENTS).1));
        let begun = node.change(vec![
            set("user", "6", Expected::Absent, Some("a")),
            set("user", "6", Expected::Any, Some("b")),
            set("user", "6", Expected::Any, Some("c")),
        ]);
        assert_eq!(begun.expect("it is gone").len(), 3);
        other.close();
    }
    // Saved again, a new copy begins there.
    let end = node.save_documents();
    node.close();
    let node = engine.open(&directory("last"), 0);
    assert_eq!(node.store.shared.followed(STREAM_DOCUMENTS), end);
    node.close();
}

#[test]
fn saved_documents_do_not_set_back_what_deliveries_have_written_since() {
    let engine = Engine::Nats(Server::start());
    let directory = directory("since");
    let node = engine.open(&directory, 0);
    node.change(vec![set("user", "1", Expected::Any, Some("old"))]).expect("it is made");
    let written = node.store.record(vec![progress("s", 9)], Journal::default());
    node.runtime.block_on(written).expect("it is written");
    let here = || node.documents(&["user", PROGRESS]);
    wait_until("it is applied", || here().len() == 2);
    let row = |kind: &str, id: &str, revision, content: &str| rows::DocumentRow {
        kind: kind.into(),
        id: id.into(),
        revision,
        content: content.into(),
    };
    let documents = || {
        vec![
            row("user", "1", 5, "new"),
            row("user", "2", 3, "other"),
            row(PROGRESS, "s", 1, "2"),
            row(PROGRESS, "t", 1, "4"),
        ]
    };
    let (documents_here, log_here) =
        (node.store.shared.followed(STREAM_DOCUMENTS), node.store.shared.followed(STREAM_LOG));
    let restore = |stream, documents_at, log_at| {
        let snapshot = super::nats::SavedDocuments {
            documents_at,
            log_at,
            changed: documents_at,
            documents: documents(),
        };
        node.store.writes.send(Write::Documented { stream, snapshot }).expect("the store is open");
    };
    let contents = || {
        here()
            .into_iter()
            .map(|document| (document.id, document.revision, document.content))
            .collect::<Vec<_>>()
    };
    let is = |expected: &[(&str, u64, &str)]| {
        contents()
            .iter()
            .map(|(id, revision, content)| (&**id, *revision, &**content))
            .eq(expected.iter().copied())
    };
    restore(STREAM_DOCUMENTS, documents_here, log_here - 1);
    restore(STREAM_LOG, documents_here, log_here);
    restore(STREAM_DOCUMENTS, documents_here + 8, log_here - 1);
    wait_until("all are applied", || node.store.shared.followed(STREAM_DOCUMENTS) == documents_here + 8);
    let s = contents().into_iter().find(|(id, ..)| id == "s");
    assert_eq!(s.map(|(.., content)| content), Some("9".to_owned()), "the log of this node has come further");
    assert!(is(&[("1", 5, "new"), ("2", 3, "other"), ("s", 1, "9"), ("t", 1, "4")]), "{:?}", contents());
    restore(STREAM_LOG, documents_here, log_here + 3);
    wait_until("what is newer is taken", || {
        is(&[("1", 5, "new"), ("2", 3, "other"), ("s", 1, "2"), ("t", 1, "4")])
    });
    node.close();
}

#[test]
fn a_node_joins_when_the_head_of_the_log_is_gone() {
    let engine = Engine::Nats(Server::start());
    let node = engine.open(&directory("head"), 2);
    let partition = node.store.partition();
    let mut batch = Batch::after(partition, node.store.ends());
    let mut calls = Calls::new(&mut batch, 1);
    let mut ends = Vec::new();
    for _ in 0..4 {
        calls.call(&mut batch, "101", 0);
        let next = batch.next();
        node.append(batch);
        ends.push((node.stream(STREAM_LOG).1, node.store.ends()));
        batch = Batch { after: Ends { events: node.store.ends().events, ..next.after }, ..next };
    }
    let (sequence, gone) = ends[1];
    node.forget(STREAM_LOG, sequence);
    let all = node.events_after(0);
    let rest: Vec<Logged> = all.iter().filter(|logged| logged.position > gone.events).cloned().collect();
    assert!(!rest.is_empty() && rest.len() < all.len());
    node.close();

    let other = engine.open(&directory("join"), 2);
    assert_eq!(other.store.ends(), ends[3].1);
    assert_eq!(told(&other.events_after(0)), told(&rest));
    assert_eq!(
        other.store.read(|reader| reader.swept(&sqlite::swept_signals(partition))).ok(),
        Some(gone.signals)
    );
    // A state that is saved before this node's copy has what is in it takes nothing away.
    calls.call(&mut batch, "103", 0);
    let added = batch.events.len();
    let end = batch.ends().signals;
    other.store.writes.send(early_state(partition, end)).expect("the store is open");
    other.append(batch);
    let (all_end, signals) = (other.events_after(0), other.store.ends().signals);
    other.store.save_snapshot(signals, 1, b"state".to_vec()).expect("the store is open");
    assert_eq!(all_end.len(), rest.len() + added);
    other.forget(STREAM_LOG, other.stream(STREAM_LOG).1);
    other.close();

    // Nothing is left of the log: what is written then goes on behind it.
    let last = engine.open(&directory("empty"), 2);
    assert!(last.events_after(0).is_empty());
    assert_eq!(last.store.ends().signals, signals, "the saved state says where the inputs end");
    let mut batch = Batch::after(partition, last.store.ends());
    calls.call(&mut batch, "104", 0);
    let added = batch.events.len();
    last.append(batch);
    let newest = last.events_after(0);
    assert_eq!(newest.len(), added);
    assert!(newest[0].position > all_end.last().expect("some").position);
    last.close();
}

#[test]
fn a_copy_that_ended_within_a_message_writes_it_again_and_it_counts_once() {
    use super::copy::{Come, Phase};
    let server = Server::start();
    let engine = Engine::Nats(server);
    let Engine::Nats(server) = &engine else { unreachable!("it is NATS") };
    let row = |id: &str, revision| rows::DocumentRow {
        kind: "user".into(),
        id: id.into(),
        revision,
        content: format!("{{\"name\":\"{id}\"}}"),
    };
    let (one, two) = (rows::Rows::of(vec![row("1", 7)]), rows::Rows::of(vec![row("2", 9), row("3", 1)]));
    let [begun, middle, end] = [0, 1, rows::END].map(|until| Come { phase: Phase::Documents, until });
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let nats = Nats::connect(&server.settings(), &Engine::wanted()).await.expect("it connects");
        let begin = async |id: &str| super::nats::CopyInto::begin(nats.clone(), id.to_owned()).await;
        let (mut into, come) = begin("a").await.expect("it is empty");
        assert_eq!(come, Come::NOTHING);
        into.write(begun, middle, &one).await.expect("it is written");
        into.write_half(middle, end, &two).await;
        let error = begin("b").await.err().expect("it is of another").to_string();
        assert!(error.contains("a copy of another store"), "{error}");
        let part = nats.check_copied().await.expect_err("it is a part").to_string();
        assert!(part.contains("has a part of a copy"), "{part}");
        // Who had begun before writes no more when another goes on.
        let (mut late, _) = begin("a").await.expect("it goes on");
        let (mut into, come) = begin("a").await.expect("it goes on");
        assert_eq!(come, middle, "the last is not whole");
        into.write(middle, end, &two).await.expect("it is written");
        assert!(late.write(middle, end, &two).await.is_err());
        let (mut into, come) = begin("a").await.expect("it goes on");
        assert_eq!(come, end);
        let last = Come { phase: Phase::Last, until: rows::END };
        into.write(Come::BEFORE_LAST, last, &rows::Rows::default()).await.expect("it is written");
    });
    let node = engine.open(&directory("copied"), 0);
    let found = node.documents(&["user"]).into_iter().map(|document| (document.id, document.revision));
    assert_eq!(found.collect::<Vec<_>>(), [("1".to_owned(), 7), ("2".to_owned(), 9), ("3".to_owned(), 1)]);
    node.close();
}

/// A state as a machine saves it that is ahead of the copy.
fn early_state(partition: Partition, position: u64) -> Write {
    Write::Snapshot { partition, position, version: 1, state: b"early".to_vec(), is_followed: false }
}

/// Waits for a condition.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = crate::clock::now() + Duration::from_secs(20);
    while !holds() {
        assert!(crate::clock::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
