//! Faults at random while calls go on: servers of NATS, nodes and links are killed, paused and cut, and
//! receivers must get what a server alone tells of the same calls.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::super::receiver::{Posted, Receiver, now};
use super::super::{Home, Server};
use super::parts::{ACCOUNTS, Cluster, LEASE, account};
use super::{EVENTS_OF_POSTED, post, posted};

/// Returns the number of faults that there are: a short form, or as many as the environment says.
fn faults() -> u32 {
    std::env::var("HOOKSWITCH_TEST_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(9)
}

/// Returns what a receiver is told of a call, without what differs from run to run.
fn told(event: &Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for name in [
                    "uuid",
                    "timestamp",
                    "subscriptionId",
                    "ownerId",
                    "telephonySessionId",
                    "sessionId",
                    "id",
                    "eventTime",
                    "creationTime",
                    "serverId",
                    "extensionId",
                    "deviceId",
                    "mobilePickupData",
                    "accountId",
                ] {
                    members.remove(name);
                }
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut body = event["body"].clone();
    strip(&mut body);
    body
}

/// The name of the call that an event is about: the caller's name.
fn call_of(event: &Value) -> Option<String> {
    let text = event.to_string();
    let start = text.find("\"name\":\"")? + 8;
    Some(text[start..].split('"').next()?.to_owned())
}

/// The events of each session, the first copy of each, in the order of arrival.
fn by_session(all: &[Posted]) -> BTreeMap<String, Vec<Value>> {
    let mut seen = HashSet::new();
    let mut sessions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for posted in all {
        let event = posted.json();
        let uuid = event["uuid"].as_str().expect("an id").to_owned();
        if seen.insert(uuid) {
            sessions.entry(posted.event().0).or_default().push(event);
        }
    }
    sessions
}

/// Checks that the receivers were told of these calls what a server alone tells of them: all, in the order of
/// each session, and what was told twice under one id.
#[track_caller]
pub(super) fn check(calls: &[(String, u64)], receivers: &[&Receiver]) {
    let expected = alone();
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for receiver in receivers {
        for (session, events) in by_session(&receiver.notifications()) {
            let sequences: Vec<u64> =
                events.iter().map(|event| event["body"]["sequence"].as_u64().expect("a number")).collect();
            let in_order: Vec<u64> = (2..).take(sequences.len()).collect();
            assert_eq!(sequences, in_order, "{session} is told in its order, and each event under one id");
            let call = events.iter().find_map(call_of).expect("its name");
            let told = events.iter().map(told).collect();
            assert!(found.insert(call.clone(), told).is_none(), "{call} is one session");
        }
    }
    for (id, _) in calls {
        let told = found.remove(id).unwrap_or_else(|| panic!("nothing was told of {id}"));
        let expected: Vec<Value> = expected
            .iter()
            .map(|event| serde_json::from_str(&event.to_string().replace("the call", id)).expect("JSON"))
            .collect();
        assert_eq!(told, expected, "{id}");
    }
    assert!(found.is_empty(), "nobody has called: {:?}", found.keys());
}

/// Returns what a server alone tells of a call.
fn alone() -> Vec<Value> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let home = Home::new(&format!("cluster-alone-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let server = Server::start(&home);
    for part in posted("the call") {
        let body = serde_json::json!({"signals": part});
        assert_eq!(
            server.call(home.made("admin_token"), "POST", "/ingest/v1/signals", Some(&body)).status,
            200
        );
    }
    home.events(EVENTS_OF_POSTED).iter().map(told).collect()
}

/// A sequence of numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Waits until something holds, and keeps the nodes running. The machine may be busy with other tests.
#[track_caller]
fn wait(cluster: &mut Cluster, what: impl Fn() -> String, holds: impl Fn(&Cluster) -> bool) {
    let began = now();
    while !holds(cluster) {
        cluster.nodes.iter_mut().for_each(super::parts::Node::keep_running);
        assert!(began.elapsed() < Duration::from_secs(180), "{}: {}", what(), cluster.report());
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn faults_at_random_lose_nothing_and_change_no_order() {
    let mut cluster = Cluster::start("chaos", 3, 3, 8);
    let receivers: Vec<Receiver> = (0..ACCOUNTS).map(|_| Receiver::good()).collect();
    for number in 0..ACCOUNTS {
        cluster.subscribe(number as usize % 3, account(number), &receivers[number as usize]);
    }
    let seed = std::env::var("HOOKSWITCH_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("HOOKSWITCH_TEST_SEED={seed}");
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);

    // Each thread places calls, and says the same to one node after the other until it is accepted.
    let over = Arc::new(AtomicBool::new(false));
    let calls: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
    let nodes: Vec<std::net::SocketAddr> = cluster.nodes.iter().map(|node| node.http).collect();
    let callers: Vec<_> = (0..4_u64)
        .map(|caller| {
            let (over, calls, nodes) = (over.clone(), calls.clone(), nodes.clone());
            thread::spawn(move || {
                let mut node = caller as usize;
                for number in 0_u64.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let account = account(caller + number);
                    let id = format!("call-{caller}-{number}");
                    calls.lock().expect("no panic").push((id.clone(), account));
                    for part in posted(&id) {
                        while post(nodes[node % nodes.len()], account, &part) != 200 {
                            node += 1;
                            thread::sleep(Duration::from_millis(20));
                        }
                    }
                    node += usize::from(number % 7 == 0);
                    thread::sleep(Duration::from_millis(30));
                }
            })
        })
        .collect();

    let began = now();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..faults() {
        let lasts = Duration::from_millis(200 + random.below(2 * LEASE.as_millis() as u64));
        let (node, nats) = (random.below(3) as usize, random.below(3) as usize);
        let fault = random.below(6);
        let name = match fault {
            0 => "a node is killed",
            1 => "a node is paused",
            2 => "a NATS server is killed",
            3 => "a NATS server is paused",
            4 => "a link is cut",
            _ => "a node is stopped and started",
        };
        *counts.entry(name).or_default() += 1;
        match fault {
            0 => cluster.nodes[node].kill(),
            1 => cluster.nodes[node].signal("STOP"),
            2 => cluster.nats[nats].kill(),
            3 => cluster.nats[nats].signal("STOP"),
            4 => cluster.nodes[node].links.iter().for_each(super::super::socket::Proxy::cut),
            _ => cluster.nodes[node].signal("TERM"),
        }
        thread::sleep(lasts);
        match fault {
            0 => cluster.nodes[node].run(),
            1 => cluster.nodes[node].signal("CONT"),
            2 => cluster.nats[nats].run(),
            3 => cluster.nats[nats].signal("CONT"),
            4 => (0..3).for_each(|link| cluster.nodes[node].join_link(link)),
            _ => {}
        }
        thread::sleep(Duration::from_millis(500 + random.below(2000)));
        cluster.nodes.iter_mut().for_each(super::parts::Node::keep_running);
    }
    over.store(true, Ordering::Relaxed);
    let said = || "what is said is accepted when all is well again".to_owned();
    wait(&mut cluster, said, |_| callers.iter().all(thread::JoinHandle::is_finished));
    let settled = || "all is settled when all is well again".to_owned();
    wait(&mut cluster, settled, Cluster::is_settled);
    let calls = calls.lock().expect("no panic").clone();
    let expected = calls.len() * EVENTS_OF_POSTED;
    let unique = || {
        let all = receivers.iter().flat_map(|receiver| by_session(&receiver.notifications()).into_values());
        all.map(|events| events.len()).sum::<usize>()
    };
    let came = || format!("{} of {expected} events came", unique());
    wait(&mut cluster, came, |_| unique() >= expected);
    check(&calls, &receivers.iter().collect::<Vec<_>>());
    let sent: usize = receivers.iter().map(Receiver::count).sum();
    eprintln!(
        "{counts:?} in {} s: {} calls, {expected} events, {} sent twice",
        began.elapsed().as_secs(),
        calls.len(),
        sent - expected
    );
}
