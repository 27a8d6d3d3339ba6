//! Keepers among themselves, over a real nats-server.

use std::sync::atomic::{AtomicBool, Ordering};

use hookswitch_store::testing::{Server, directory};
use hookswitch_store::{Change, Durability, Nats, Options, Store, Wanted, WriterThread};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::telemetry::Metrics;

const LEASE: Duration = Duration::from_secs(2);

/// Time that something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A duty as it was told: how it ended, or that it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Observed {
    Begin,
    End { orderly: bool },
}

/// A node without a server.
struct Member {
    membership: Arc<Membership>,
    metrics: Arc<Metrics>,
    nats: Nats,
    store: Store,
    writer: WriterThread,
    keeper: JoinHandle<()>,
    stop: watch::Sender<bool>,
    told: Arc<Mutex<Vec<(Partition, Observed)>>>,
}

impl Member {
    async fn start(server: &Server, name: &str, partitions: u8) -> Self {
        let wanted = Wanted {
            durability: Durability::Relaxed,
            partitions,
            kept: Duration::from_secs(86_400),
            lease: LEASE,
        };
        let nats = Nats::connect(&server.settings(), &wanted).await.expect("it connects");
        let options = Options {
            durability: Durability::Relaxed,
            partitions,
            is_copy: false,
            signals_kept: wanted.kept,
            events_kept: wanted.kept,
        };
        let metrics = Metrics::new();
        let directory = directory(&format!("member-{name}"));
        let joined = Box::pin(Store::join(&directory, options, nats.clone(), metrics.store.clone())).await;
        let (store, writer) = joined.expect("the store opens");
        let membership = Arc::new(Membership::new(name.into()));
        let (duties, mut due) = mpsc::channel(1);
        let told: Arc<Mutex<Vec<(Partition, Observed)>>> = Arc::default();
        let (noted, own) = (told.clone(), membership.clone());
        tokio::spawn(async move {
            let note = |partition, what| noted.lock().expect("no panic").push((partition, what));
            while let Some(duty) = due.recv().await {
                match duty {
                    Duty::Begin(partition) => note(partition, Observed::Begin),
                    Duty::End { partition, orderly, done } => {
                        // What is finished in order is finished under the lease.
                        assert!(own.owns(partition) || !orderly);
                        note(partition, Observed::End { orderly });
                        done.send(()).ok();
                    }
                }
            }
        });
        let identity =
            Identity { name: name.into(), url: format!("http://{name}"), partitions, lease: LEASE };
        let keeper = Keeper::new(identity, &nats, store.clone(), membership.clone(), duties, metrics.clone());
        let stop = watch::Sender::new(false);
        let keeper = tokio::spawn(keeper.run(stop.subscribe()));
        Self { membership, metrics, nats, store, writer, keeper, stop, told }
    }

    fn share(&self) -> usize {
        self.membership.owned().into_iter().filter(|&partition| self.membership.owns(partition)).count()
    }

    fn told(&self, partition: Partition) -> Vec<Observed> {
        let told = self.told.lock().expect("no panic");
        told.iter().filter(|(of, _)| *of == partition).map(|&(_, what)| what).collect()
    }

    async fn order(&self, order: Change) {
        self.store.change(vec![order]).await.expect("documents can be changed");
    }

    /// Stops as a process does that is killed: nobody is told.
    fn kill(&self) {
        self.keeper.abort();
    }

    async fn leave(&mut self) {
        self.stop.send_replace(true);
        (&mut self.keeper).await.expect("the keeper does not panic");
    }

    fn close(self) {
        self.keeper.abort();
        self.writer.close(self.store);
    }
}

/// Looks all the time that no partition is owned by two.
struct Watcher {
    end: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watcher {
    fn start(members: &[&Member], partitions: u8) -> Self {
        let members: Vec<_> = members.iter().map(|member| member.membership.clone()).collect();
        let end = Arc::new(AtomicBool::new(false));
        let is_ended = end.clone();
        let thread = std::thread::spawn(move || {
            while !is_ended.load(Ordering::Relaxed) {
                for partition in Partition::all(partitions) {
                    let owners = members.iter().filter(|member| member.owns(partition)).count();
                    assert!(owners <= 1, "partition {partition} has {owners} owners");
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { end, thread }
    }

    fn end(self) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("no partition has two owners");
    }
}

/// Waits until something holds, and says how long that took.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = clock::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

/// Two nodes that share eight partitions.
async fn pair(server: &Server) -> (Member, Member) {
    let (a, b) = tokio::join!(Member::start(server, "a", 8), Member::start(server, "b", 8));
    until("both to have a share", || {
        let view = a.membership.view();
        let is_settled =
            |partition| view.owner(partition).is_some_and(|it| view.wanted(partition) == Some(it));
        a.share() + b.share() == 8
            && a.share() > 0
            && b.share() > 0
            && Partition::all(8).all(is_settled)
            && view == b.membership.view()
    });
    (a, b)
}

fn partition(index: usize) -> Partition {
    Partition::try_from(index).expect("there is one")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_partitions_and_one_that_dies_leaves_them_to_the_other() {
    let server = Server::start();
    let (a, b) = Box::pin(pair(&server)).await;
    let watcher = Watcher::start(&[&a, &b], 8);
    let view = a.membership.view();
    assert_eq!((view.share("a"), view.share("b")), (a.share(), b.share()));
    for partition in view.partitions() {
        assert_eq!(view.owner(partition), view.wanted(partition));
        assert!(clock::wall().since(view.owners[&partition].since()) < PATIENCE);
    }
    b.kill();
    let took = until("one to have all", || a.share() == 8);
    assert!(took < LEASE + Duration::from_secs(2), "{took:?}");
    println!("taken over {took:?} after the end of the owner, with a lease of {LEASE:?}");
    assert_eq!(b.share(), 0, "its leases have run out for itself as well");
    until("the dead one to be forgotten", || !a.membership.view().nodes.contains_key("b"));
    assert_eq!(a.metrics.partitions_owned.get(), 8);
    assert!(a.metrics.takeovers.get() >= 8);
    watcher.end();
    a.close();
    b.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_in_order_gives_its_partitions_away_at_once() {
    let server = Server::start();
    let (a, mut b) = Box::pin(pair(&server)).await;
    let watcher = Watcher::start(&[&a, &b], 8);
    let left = b.membership.owned();
    let began = clock::now();
    b.leave().await;
    until("one to have all", || a.share() == 8);
    let took = began.elapsed();
    assert!(took < LEASE / 3, "{took:?}");
    println!("given away in {took:?}");
    for partition in left {
        assert_eq!(b.told(partition).last(), Some(&Observed::End { orderly: true }));
        until("the other to begin", || a.told(partition).last() == Some(&Observed::Begin));
    }
    until("it to be forgotten", || !a.membership.view().nodes.contains_key("b"));
    watcher.end();
    a.close();
    b.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_goes_where_it_is_pinned_and_back() {
    let server = Server::start();
    let (a, b) = Box::pin(pair(&server)).await;
    let watcher = Watcher::start(&[&a, &b], 8);
    let moved = b.membership.owned()[0];
    // By any node, also by one that has nothing to do with it.
    b.order(Placement::pin(moved, Some("a"))).await;
    let took = until("the partition to move", || a.membership.owns(moved));
    println!("moved in {took:?}");
    assert!(took < LEASE, "{took:?}");
    assert!(!b.membership.owns(moved));
    until("both to see it", || {
        [&a, &b].iter().all(|member| member.membership.view().owner(moved) == Some("a"))
    });
    assert_eq!(a.membership.view().orders.pins[&moved], "a");
    assert_eq!(b.told(moved).last(), Some(&Observed::End { orderly: true }));
    a.order(Placement::pin(moved, None)).await;
    until("the partition to go back", || b.membership.owns(moved));
    assert!(a.membership.view().orders.pins.is_empty());
    watcher.end();
    a.close();
    b.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_drains_gives_all_away_and_may_have_some_again() {
    let server = Server::start();
    let (a, b) = Box::pin(pair(&server)).await;
    let watcher = Watcher::start(&[&a, &b], 8);
    let share = b.share();
    a.order(Placement::drain("b", true)).await;
    until("one to have all", || a.share() == 8 && b.share() == 0);
    assert!(a.membership.view().nodes["b"].draining);
    // A pin does not bring anything to it.
    b.order(Placement::pin(partition(0), Some("b"))).await;
    until("the pin to be known", || !a.membership.view().orders.pins.is_empty());
    assert_eq!(a.membership.view().wanted(partition(0)), Some("a"));
    b.order(Placement::pin(partition(0), None)).await;
    b.order(Placement::drain("b", false)).await;
    until("both to have a share", || b.share() == share && a.share() == 8 - share);
    watcher.end();
    a.close();
    b.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_nats_ends_its_duties_in_time_and_has_them_again_later() {
    let server = Server::start();
    let (a, b) = Box::pin(pair(&server)).await;
    let watcher = Watcher::start(&[&a, &b], 8);
    let (of_a, of_b) = (a.membership.owned(), b.membership.owned());
    server.pause(true);
    let took = until("all leases to run out", || a.membership.owned().is_empty() && b.share() == 0);
    assert!(took <= LEASE + Duration::from_millis(700), "{took:?}");
    until("the duties to end", || {
        of_a.iter().all(|&partition| a.told(partition).last() == Some(&Observed::End { orderly: false }))
    });
    assert!(a.metrics.lease_renewals_failed.get() > 0);
    assert_eq!(a.membership.view().nodes.len(), 2, "the nodes are shown as they were seen last");
    assert_eq!(a.membership.view().share("a"), 0, "but for what this node knows better");
    server.pause(false);
    let took =
        until("each to have its own again", || a.membership.owned() == of_a && b.membership.owned() == of_b);
    println!("{took:?} after the end of the pause all is as it was");
    for &partition in &of_a {
        assert_eq!(
            b.told(partition).last().copied().unwrap_or(Observed::End { orderly: true }),
            Observed::End { orderly: true }
        );
    }
    watcher.end();
    a.close();
    b.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_whose_answer_was_lost_costs_nothing_and_a_lost_lease_ends_the_work() {
    let server = Server::start();
    let a = Box::pin(Member::start(&server, "a", 2)).await;
    until("it to have all", || a.share() == 2);
    let leases = a.nats.lease_table(LEASE, PATIENCE);
    let lease = async |index| leases.read(partition(index)).await.expect("NATS answers");
    let (owner, revision) = lease(0).await.expect("there is a lease");
    // As if the node had renewed it and not been told.
    let renewed = leases.renew(partition(0), &owner, revision).await;
    let renewed = renewed.unwrap_or_else(|_| panic!("nobody else was faster"));
    let is_renewed = async || lease(0).await.is_some_and(|(_, revision)| revision > renewed);
    let began = clock::now();
    while !is_renewed().await {
        assert!(began.elapsed() < PATIENCE, "it is never renewed again");
    }
    assert_eq!(a.told(partition(0)), [Observed::Begin]);
    // Another node puts itself in its place.
    let other = Owner::new("other".into(), 1);
    while let Some((_, revision)) = lease(1).await {
        if leases.renew(partition(1), &other, revision).await.is_ok() {
            break;
        }
    }
    until("the work to end", || a.told(partition(1)) == [Observed::Begin, Observed::End { orderly: false }]);
    // Which it has for as long as a lease is good.
    until("it to have all", || a.share() == 2);
    assert_eq!(a.told(partition(0)), [Observed::Begin]);
    a.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_costs_a_message_for_each_lease_and_one_more() {
    let server = Server::start();
    let a = Box::pin(Member::start(&server, "a", 32)).await;
    until("it to have all", || a.share() == 32);
    tokio::time::sleep(LEASE).await;
    let before = server.messages();
    tokio::time::sleep(LEASE * 2).await;
    let sent = server.messages() - before;
    // Six or seven turns.
    println!("{sent} messages in {:?}", LEASE * 2);
    assert!((33 * 5..33 * 8).contains(&sent), "{sent}");
    a.close();
}
