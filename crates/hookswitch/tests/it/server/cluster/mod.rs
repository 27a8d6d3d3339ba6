//! Several nodes on NATS: who works for which calls, and what becomes of them when something fails.

mod chaos;
mod parts;
mod versions;

use std::time::Duration;

use serde_json::{Value, json};

use self::parts::{ACCOUNTS, Cluster, LEASE, account, key};
use super::access::{PASSWORD, sign_in};
use super::asterisk::{ANSWERED, Asterisk};
use super::client::exchange;
use super::receiver::{Receiver, now};
use super::socket::{Socket, check_complete};
use super::traffic::{Agent, EVENTS_OF_CALL};
use super::webhooks::{place, wait_for_count};
use super::{hookswitch, request, wait_for};

/// Posts signals with the key of an account, and gives the status.
fn post(to: std::net::SocketAddr, account: u64, signals: &Value) -> u16 {
    let authorization = format!("Bearer {}", key(account));
    let body = json!({"signals": signals}).to_string();
    let headers = [("Authorization", &*authorization)];
    request(to, "POST", "/ingest/v1/signals", &headers, body.as_bytes()).map_or(0, |(status, _)| status)
}

/// A call that begins, and how it ends.
fn posted(id: &str) -> [Value; 2] {
    let (a, b) = (format!("{id}-a"), format!("{id}-b"));
    let caller = json!({"number": "101", "name": id});
    [
        json!([
            {"id": format!("{id}-1"), "leg": a, "kind": "created", "direction": "outbound", "callee": "102", "caller": caller},
            {"id": format!("{id}-2"), "leg": b, "kind": "created", "direction": "inbound", "of": a, "callee": "102", "caller": caller},
            {"id": format!("{id}-3"), "leg": b, "kind": "ringing"},
        ]),
        json!([
            {"id": format!("{id}-4"), "leg": b, "kind": "answered"},
            {"id": format!("{id}-5"), "leg": a, "kind": "answered"},
            {"id": format!("{id}-6"), "leg": b, "kind": "ended", "cause": "hung_up"},
            {"id": format!("{id}-7"), "leg": a, "kind": "ended", "cause": "hung_up"},
        ]),
    ]
}

#[test]
fn nodes_share_the_work_and_each_answers_for_all() {
    let cluster = Cluster::start("shared", 1, 2, 8);
    let [first, second] = &cluster.nodes[..] else { panic!("there are two") };
    let view = second.view(cluster.admin()).expect("an answer");
    let shares: Vec<u64> = view["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| node["partitions"].as_u64().expect("a number"))
        .collect();
    assert_eq!(shares.iter().sum::<u64>(), 8, "{view}");
    assert!(shares.iter().all(|&share| share > 0), "{view}");

    // What one has been told, the other knows.
    let receivers: Vec<Receiver> = (0..ACCOUNTS).map(|_| Receiver::good()).collect();
    let mut tokens = Vec::new();
    for number in 0..ACCOUNTS {
        tokens.push(cluster.subscribe(number as usize % 2, account(number), &receivers[number as usize]));
    }
    for node in [first, second] {
        for (number, token) in (0..).zip(&tokens) {
            let listed = node.call(token, "GET", "/restapi/v1.0/subscription", None);
            assert_eq!(listed.body["records"].as_array().map(Vec::len), Some(1), "{number}: {listed:?}");
        }
    }
    // Who signs in at one node is known at the other.
    let entry = json!({"accountId": "1001", "password": PASSWORD, "admin": true});
    let made = first.call(cluster.admin(), "PUT", "/admin/v1/users/1101", Some(&entry));
    assert_eq!(made.status, 200, "{made:?}");
    let signed_in = sign_in(first.http, "1001*101");
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(second.call(&signed_in.text("access_token"), "GET", "/admin/v1/me", None).status, 200);
    // Each account's calls are posted to both, beginning and end.
    for number in 0..ACCOUNTS * 4 {
        let [begin, end] = posted(&format!("call{number}"));
        assert_eq!(post(first.http, account(number), &begin), 200);
        let repeated = post(second.http, account(number), &begin);
        assert_eq!(repeated, 200, "it is known");
        assert_eq!(post(second.http, account(number), &end), 200);
    }
    // And SIP, of which nobody knows whose it is: it is the first account's.
    for node in [first, second] {
        place(&mut Agent::new(node.hep, 1), (0..10).map(|n| format!("sip-{}-{n}", node.name)));
    }
    let count = ACCOUNTS as usize * 4 * EVENTS_OF_POSTED + 20 * EVENTS_OF_CALL;
    let events = cluster.same_events(count);
    assert_eq!(events.lines().count(), count);
    for receiver in &receivers {
        wait_for_count(receiver, 4 * EVENTS_OF_POSTED);
        let all = receiver.notifications();
        assert_eq!(all.len(), 4 * EVENTS_OF_POSTED, "none twice");
    }
    // Either explains any session.
    let session = receivers[0].notifications()[0].event().0;
    for node in [first, second] {
        let told = node.call(cluster.admin(), "GET", &format!("/admin/v1/sessions/{session}"), None);
        assert_eq!(told.status, 200, "{told:?}");
        let text = told.text;
        assert!(text.contains("delivered"), "{}: {text}", node.name);
        let captured =
            node.call(cluster.admin(), "GET", &format!("/admin/v1/sessions/{session}/capture"), None);
        assert_eq!(captured.status, 200, "{}: {captured:?}", node.name);
    }
}

/// How many events [`posted`] tells.
const EVENTS_OF_POSTED: usize = 7;

/// Number of them that its beginning tells.
const EVENTS_OF_BEGIN: usize = 3;

#[test]
fn what_is_posted_to_one_node_comes_before_what_is_posted_after_it_to_another() {
    const CALLS: usize = 60;
    let cluster = Cluster::start("order", 1, 2, 8);
    for number in 0..CALLS {
        let [begin, end] = posted(&format!("call{number}"));
        let account = account(number as u64 / 2);
        assert_eq!(post(cluster.nodes[number % 2].http, account, &begin), 200);
        assert_eq!(post(cluster.nodes[(number + 1) % 2].http, account, &end), 200);
    }
    let events = cluster.same_events(CALLS * EVENTS_OF_POSTED);
    assert_eq!(events.lines().count(), CALLS * EVENTS_OF_POSTED);
}

#[test]
fn a_websocket_goes_on_at_another_node_when_its_own_is_gone() {
    let mut cluster = Cluster::start("sockets", 1, 2, 4);
    let receiver = Receiver::good();
    let token = cluster.subscribe(0, account(0), &receiver);
    let connect = |cluster: &Cluster, node: usize, wsc: Option<&str>| {
        let http = cluster.nodes[node].http;
        let given = exchange(
            http,
            "POST",
            "/restapi/oauth/wstoken",
            &[("Authorization", &format!("Bearer {token}"))],
            b"",
        );
        Socket::open(http, &given.text("ws_access_token"), wsc)
    };
    let mut socket = connect(&cluster, 0, None);
    socket.expect("ConnectionDetails");
    socket.subscribe();
    let tell = |cluster: &Cluster, node: usize, id: &str| {
        for part in posted(id) {
            wait_for(
                || (post(cluster.nodes[node].http, account(0), &part) == 200).then_some(()),
                || "an answer".to_owned(),
            );
        }
    };
    tell(&cluster, 1, "before");
    let mut frames = socket.take(EVENTS_OF_POSTED);
    let (handle, _) = socket.cut().expect("a handle");
    cluster.nodes[0].kill();
    tell(&cluster, 1, "while it is away");
    let mut socket = connect(&cluster, 1, Some(&handle));
    let details = socket.expect("ConnectionDetails");
    assert_eq!(details[1]["recoveryState"], "Successful", "{details}");
    tell(&cluster, 1, "after");
    frames.extend(socket.take(2 * EVENTS_OF_POSTED));
    assert_eq!(check_complete(&frames), 3, "three calls, none of their events lost or doubled");
    // The node that is back does not take it away again.
    cluster.nodes[0].run();
    cluster.nodes[0].ready();
    tell(&cluster, 0, "at last");
    frames.extend(socket.take(EVENTS_OF_POSTED));
    assert_eq!(check_complete(&frames), 4);
}

#[test]
fn a_node_that_is_killed_is_replaced_within_five_seconds() {
    let mut cluster = Cluster::start("killed", 1, 2, 4);
    let receiver = Receiver::good();
    cluster.subscribe(0, account(0), &receiver);
    let [begin, end] = posted("long");
    assert_eq!(post(cluster.nodes[1].http, account(0), &begin), 200);
    wait_for_count(&receiver, EVENTS_OF_BEGIN);
    // Who tells of the account's calls is the owner; both are killed in turn, whichever that is.
    let mut slowest = Duration::ZERO;
    for (turn, victim) in [0, 1].into_iter().enumerate() {
        let other = 1 - victim;
        let before = receiver.count();
        cluster.nodes[victim].kill();
        let killed = now();
        let [first, second] = posted(&format!("turn{turn}"));
        wait_for(
            || (post(cluster.nodes[other].http, account(0), &first) == 200).then_some(()),
            || "an answer".to_owned(),
        );
        wait_for_count(&receiver, before + EVENTS_OF_BEGIN);
        slowest = slowest.max(killed.elapsed());
        assert_eq!(post(cluster.nodes[other].http, account(0), &second), 200);
        wait_for_count(&receiver, before + EVENTS_OF_POSTED);
        cluster.nodes[victim].run();
        cluster.nodes[victim].ready();
        cluster.settled();
    }
    eprintln!("takeover: {} ms with a lease of {} s", slowest.as_millis(), LEASE.as_secs());
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    // The call that was open all the time goes on.
    assert_eq!(post(cluster.nodes[0].http, account(0), &end), 200);
    wait_for_count(&receiver, 3 * EVENTS_OF_POSTED);
    chaos::check(
        &[
            ("long".to_owned(), account(0)),
            ("turn0".to_owned(), account(0)),
            ("turn1".to_owned(), account(0)),
        ],
        &[&receiver],
    );
}

#[test]
fn an_owner_that_was_paused_beyond_its_lease_cannot_publish_when_it_wakes() {
    let cluster = Cluster::start("paused", 1, 2, 1);
    let owner = cluster.owner(0, 0).expect("there is an owner");
    let (owner, other) = (&cluster.nodes[owner], &cluster.nodes[1 - owner]);
    let [begin, end] = posted("open");
    assert_eq!(post(owner.http, account(0), &begin), 200);
    owner.signal("STOP");
    // What it is sent meanwhile waits in its socket.
    place(&mut Agent::new(owner.hep, 1), (0..5).map(|n| format!("paused-{n}")));
    let taken = wait_for(
        || other.view(cluster.admin()).filter(|view| view["partitions"][0]["owner"] == *other.name),
        || "the other node to own the partition".to_owned(),
    );
    assert_eq!(taken["nodes"].as_array().map(Vec::len), Some(1), "{taken}");
    wait_for(|| (post(other.http, account(0), &end) == 200).then_some(()), || "an answer".to_owned());
    wait_for(|| other.events().contains("Disconnected").then_some(()), || "the end of the call".to_owned());
    let before = other.events();
    owner.signal("CONT");
    // It hands over what it has, once, and has written nothing itself.
    let events = cluster.same_events(EVENTS_OF_POSTED + 5 * EVENTS_OF_CALL);
    assert_eq!(events.lines().count(), EVENTS_OF_POSTED + 5 * EVENTS_OF_CALL);
    assert!(events.starts_with(&before), "what was told stands");
    let lost = ["the lease has run out", "the lease was lost", "another node owns the partition now"];
    assert!(lost.iter().any(|text| owner.says(text)), "it has noticed");
}

#[test]
fn while_nats_is_away_what_comes_in_waits_on_disk_and_nothing_that_was_accepted_is_lost() {
    let mut cluster = Cluster::start("away", 1, 1, 2);
    let receiver = Receiver::good();
    cluster.subscribe(0, account(0), &receiver);
    let [begin, end] = posted("across");
    assert_eq!(post(cluster.nodes[0].http, account(0), &begin), 200);
    wait_for_count(&receiver, EVENTS_OF_BEGIN);
    cluster.nats[0].kill();
    wait_for(
        || (post(cluster.nodes[0].http, account(0), &end) == 503).then_some(()),
        || "a refusal while nothing can be kept".to_owned(),
    );
    std::thread::sleep(LEASE);
    place(&mut Agent::new(cluster.nodes[0].hep, 1), (0..50).map(|n| format!("away-{n}")));
    // Also what waits when the node itself is stopped and started again.
    cluster.nodes[0].stop();
    let waits = cluster.nodes[0].home.directory.join("data/spool");
    let files = std::fs::read_dir(waits).expect("a spool").count();
    assert!(files > 0, "what came in waits on disk");
    cluster.nats[0].run();
    cluster.nodes[0].run();
    cluster.nodes[0].ready();
    wait_for(
        || (post(cluster.nodes[0].http, account(0), &end) == 200).then_some(()),
        || "an answer".to_owned(),
    );
    wait_for_count(&receiver, EVENTS_OF_POSTED);
    let events = cluster.same_events(EVENTS_OF_POSTED + 50 * EVENTS_OF_CALL);
    assert_eq!(events.lines().count(), EVENTS_OF_POSTED + 50 * EVENTS_OF_CALL);
}

#[test]
fn nodes_are_restarted_one_after_the_other_while_calls_go_on() {
    let mut cluster = Cluster::start("rolling", 1, 3, 6);
    let receivers: Vec<Receiver> = (0..ACCOUNTS).map(|_| Receiver::good()).collect();
    for number in 0..ACCOUNTS {
        cluster.subscribe(number as usize % 3, account(number), &receivers[number as usize]);
    }
    let mut calls = Vec::new();
    let mut open = Vec::new();
    for victim in 0..3 {
        let other = (victim + 1) % 3;
        for number in 0..ACCOUNTS {
            let id = format!("round{victim}-{number}");
            let [begin, end] = posted(&id);
            assert_eq!(post(cluster.nodes[other].http, account(number), &begin), 200);
            calls.push((id, account(number)));
            open.push((account(number), end));
        }
        // SIP goes on at a node that stays.
        let mut agent = Agent::new(cluster.nodes[other].hep, 1);
        let sip = std::thread::spawn(move || {
            place(&mut agent, (0..40).map(|n| format!("rolling-{victim}-{n}")));
        });
        cluster.nodes[victim].stop();
        sip.join().expect("no panic");
        cluster.nodes[victim].run();
        cluster.nodes[victim].ready();
        cluster.settled();
    }
    for (account, end) in &open {
        assert_eq!(post(cluster.nodes[0].http, *account, end), 200);
    }
    for receiver in &receivers {
        wait_for_count(receiver, 3 * EVENTS_OF_POSTED);
        assert_eq!(receiver.count(), 3 * EVENTS_OF_POSTED, "none twice");
    }
    chaos::check(&calls, &receivers.iter().collect::<Vec<_>>());
    let events = cluster.same_events(calls.len() * EVENTS_OF_POSTED + 3 * 40 * EVENTS_OF_CALL);
    assert_eq!(events.lines().count(), calls.len() * EVENTS_OF_POSTED + 3 * 40 * EVENTS_OF_CALL);
    for node in &cluster.nodes {
        assert!(!node.says("waits on disk"), "a planned move holds nothing up for long");
    }
}

#[test]
fn a_switch_is_connected_to_by_one_node_and_by_another_when_that_is_gone() {
    let pbx = Asterisk::new();
    let settings = format!("{}account = {}\n", pbx.configuration(), account(0));
    let mut cluster = Cluster::start_with("switch", 1, 2, 1, &settings);
    let owner = cluster.owner(0, 0).expect("there is an owner");
    if owner != 0 {
        // The first node had the partition before the other came.
        pbx.pass_over();
    }
    pbx.accept_login("").tell(ANSWERED);
    cluster.same_events(6);
    cluster.nodes[owner].kill();
    // The other has the call, and is told that it is there no longer.
    let _manager = pbx.accept_login("");
    let other = &cluster.nodes[1 - owner];
    wait_for(
        || (other.events().lines().count() >= 8).then_some(()),
        || "the end of the call that began with the other".to_owned(),
    );
    assert_eq!(other.events().lines().count(), 8, "one call, told once");
}

#[test]
fn partitions_are_moved_and_nodes_drained_by_hand() {
    let cluster = Cluster::start("moved", 1, 2, 4);
    let run = |arguments: &[&str]| {
        let server = format!("http://{}", cluster.nodes[0].http);
        let mut all = vec!["cluster"];
        all.extend(arguments);
        all.extend(["--server", &server, "--token", cluster.admin()]);
        let output = hookswitch(&all);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let owners = || {
        let view = cluster.nodes[1].view(cluster.admin()).expect("an answer");
        let all = view["partitions"].as_array().expect("partitions").clone();
        all.iter().map(|one| one["owner"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let to = if owners()[2] == "node1" { "node2" } else { "node1" };
    run(&["move", "2", to, "--wait=20"]);
    assert_eq!(owners()[2], to);
    run(&["drain", "node1", "--wait=20"]);
    assert_eq!(owners(), vec!["node2"; 4]);
    run(&["drain", "node1", "--undo", "--wait=20"]);
    cluster.settled();
    assert!(owners().contains(&"node1".to_owned()), "{:?}", owners());
    let status = run(&["status"]);
    assert!(status.contains("node1") && status.contains("node2"), "{status}");
}
