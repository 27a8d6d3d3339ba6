//! Nodes on each version of NATS that the documentation names, on one server and on three.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::copy::{Come, Phase};
use crate::nats::LostRace;
use crate::testing::DEBIAN;

/// Number of rounds of a race, and how many take part.
const ROUNDS: usize = 40;
const RACERS: usize = 3;

/// Number of changes of one document that each of two nodes makes.
const CHANGES: usize = 20;

/// A filler by which a message takes two parts.
const LONG: usize = 600_000;

/// The tests of each version.
macro_rules! with {
    ($($name:ident $version:literal)+) => {$(
        mod $name {
            use super::*;

            #[test]
            fn one_server_carries_the_log_of_several_nodes() {
                carries_the_log(Server::start_as($version, 1), $version);
            }

            #[test]
            fn three_servers_carry_the_log_of_several_nodes() {
                carries_the_log(Server::start_as($version, 3), $version);
            }
        }
    )+};
}

with! {
    nats_2_9_10 "2.9.10"
    nats_2_12_8 "2.12.8"
    nats_2_14_6 "2.14.6"
    nats_2_15_1 "2.15.1"
}

fn carries_the_log(server: Server, version: &str) {
    let settings = server.settings();
    let is_cluster = settings.replicas > 1;
    let engine = Engine::Nats(server);
    let directories = ["a", "b", "c", "d"].map(|name| directory(&format!("version-{name}")));
    let a = engine.open(&directories[0], 2);
    let mut batch = Batch::after(a.store.partition(), a.store.ends());
    let mut calls = Calls::new(&mut batch, 1);
    calls.call(&mut batch, "101", LONG);
    let next = batch.next();
    a.append(batch);
    let b = engine.open(&directories[1], 1);
    assert_eq!(told(&b.events_after(0)), told(&a.events_after(0)), "another node follows the log");

    check_races(&[&a, &b], is_cluster, version);
    check_documents(&a, &b);
    check_intake(&a, &b);
    let c = check_takeover(&a, next, calls, || engine.open(&directories[2], 2));

    // A node that comes late begins with what was saved.
    let saved_at = b.save_documents();
    let d = engine.open(&directories[3], 0);
    assert_eq!(d.store.shared().followed(STREAM_DOCUMENTS), saved_at);
    assert_eq!(d.documents(&["user"]), a.documents(&["user"]));
    assert_eq!(told(&d.events_after(0)), told(&c.events_after(0)));
    for node in [a, b, c, d] {
        assert_eq!(node.store.health(), Health::Good, "nothing was refused but for a race");
        node.close();
    }
    check_fill(&NatsSettings { prefix: "filled".into(), ..settings });
}

/// Of messages that come together the first counts, and the writers of the others are told so in a way that
/// is known.
fn check_races(nodes: &[&Node; 2], is_cluster: bool, version: &str) {
    let partition = Partition::try_from(3).expect("there is one");
    let (mut races, mut winners) = (BTreeSet::new(), BTreeSet::new());
    nodes[0].runtime.block_on(async {
        let begin =
            |racer: usize, last| super::super::nats::begin_term(nodes[racer % 2].nats(), partition, last);
        let mut last = begin(0, None).await.expect("NATS takes it");
        let mut revision = nodes[0].nats().leases.put("raced", "0".into()).await.expect("NATS takes it");
        for _ in 0..ROUNDS {
            let terms = join_all((0..RACERS).map(|racer| begin(racer, Some(last)))).await;
            winners.insert(terms.iter().filter(|term| term.is_ok()).count());
            for term in terms {
                match term {
                    Ok(begun) => last = last.max(begun),
                    Err(error) => {
                        let race = LostRace::of(&error).unwrap_or_else(|| panic!("a race: {error:?}"));
                        races.insert(format!("{race:?}"));
                    }
                }
            }
            let before = revision;
            let update = |racer: usize| nodes[racer % 2].nats().leases.update("raced", "1".into(), before);
            for update in join_all((0..RACERS).map(update)).await {
                match update {
                    Ok(updated) => revision = revision.max(updated),
                    Err(error) => assert!(LostRace::of(&error).is_some(), "a race: {error:?}"),
                }
            }
        }
    });
    // A server of 2.9 in a cluster looks before it proposes, and takes more than one.
    let is_old = version == DEBIAN;
    assert!(winners == BTreeSet::from([1]) || is_cluster && is_old, "{winners:?}");
    let expected = if is_cluster && !is_old { "UnderWay" } else { "Written" };
    assert!(races.contains(expected), "{races:?}");
    println!("{version}, cluster {is_cluster}: {winners:?} of {RACERS} were first; {races:?}");
}

/// Two nodes change one document at once, and each change counts.
fn check_documents(a: &Node, b: &Node) {
    let change = |node: &Node| {
        for n in 0..CHANGES {
            node.change(vec![set("user", "both", Expected::Any, Some(&n.to_string()))]).expect("it is made");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| change(a));
        scope.spawn(|| change(b));
    });
    let count = |node: &Node| node.documents(&["user"]).iter().map(|document| document.revision).sum::<u64>();
    wait_until("both have all changes", || [a, b].iter().all(|node| count(node) == 2 * CHANGES as u64));
}

/// Checks that what one node hands over, another takes.
fn check_intake(a: &Node, b: &Node) {
    let partition = Partition::try_from(0).expect("there is one");
    let parcels = [vec![1; 10], vec![2; LONG], vec![3; 10]];
    a.runtime.block_on(async {
        for parcel in &parcels {
            a.nats().forward(partition, parcel.clone()).await.expect("NATS takes it");
        }
    });
    b.runtime.block_on(async {
        let mut reader = b.nats().read_intake(partition, 0).await.expect("it is there");
        let mut brought = Vec::new();
        while brought.len() < parcels.len() {
            let next = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
            brought.extend(next.expect("it comes").expect("it can be read").whole);
        }
        assert!(brought == parcels, "in their order");
    });
}

/// A partition is taken over from an owner that writes all the time, which then has nothing more in the log.
fn check_takeover(old: &Node, next: Batch, mut calls: Calls, take: impl FnOnce() -> Node) -> Node {
    let new = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut batch = next;
            // For 90 s at most: when nobody takes the partition, the test fails and says why.
            for _ in 0..4500 {
                calls.call(&mut batch, "102", 0);
                let next = batch.next();
                // It is refused when this node knows that another has the partition.
                if old.store.append(std::mem::replace(&mut batch, next)).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        std::thread::sleep(Duration::from_millis(200));
        take()
    });
    let count = new.events_after(0).len();
    let added = new.append_another_call();
    assert_eq!(new.events_after(0).len(), count + added, "the old owner writes no more");
    wait_until("the old owner follows", || old.events_after(0).len() == count + added);
    assert_eq!(told(&old.events_after(0)), told(&new.events_after(0)));
    new
}

/// A copy fills the log up to where another stood.
fn check_fill(settings: &NatsSettings) {
    const MESSAGES: u64 = 600;
    let runtime = Runtime::new().expect("a runtime");
    let row = rows::DocumentRow { kind: "user".into(), id: "1".into(), revision: 7, content: "{}".into() };
    runtime.block_on(async {
        let nats = Nats::connect(settings, &Engine::wanted()).await.expect("it connects");
        let (mut into, come) =
            super::super::nats::CopyInto::begin(nats.clone(), "a".into()).await.expect("it is empty");
        let documented = Come { phase: Phase::Documents, until: rows::END };
        into.write(come, documented, &rows::Rows::of(vec![row])).await.expect("it is written");
        into.write(Come::BEFORE_LAST, Come::BEFORE_LAST, &rows::Rows::default())
            .await
            .expect("it is written");
        into.reach(MESSAGES << 16).await.expect("it is written");
        let last = Come { phase: Phase::Last, until: rows::END };
        into.write(Come::BEFORE_LAST, last, &rows::Rows::default()).await.expect("it is written");
        assert_eq!(nats.end(STREAM_LOG).await.expect("NATS answers"), MESSAGES + 1);
        let joined =
            Box::pin(Store::join(&directory("filled"), Engine::options(), nats, Metrics::default())).await;
        let (store, writer) = joined.expect("it is whole");
        let document = store.read(|reader| reader.document("user", "1")).expect("it can be read");
        assert_eq!(document.map(|document| document.revision), Some(7));
        writer.close(Store { cluster: None, ..store });
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}
