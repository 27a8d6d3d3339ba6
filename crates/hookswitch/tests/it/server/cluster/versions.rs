//! Two nodes on each version of NATS that the documentation names, on one server and on three.

use std::process::Command;

use super::super::receiver::Receiver;
use super::super::webhooks::wait_for_count;
use super::super::{ended, path, wait_for, without_test_sizes};
use super::parts::{Cluster, Node, account};
use super::{EVENTS_OF_BEGIN, EVENTS_OF_POSTED, post, posted};

/// The tests of each version.
macro_rules! with {
    ($($name:ident $version:literal)+) => {$(
        mod $name {
            #[test]
            fn a_node_that_is_killed_is_replaced_on_one_server() {
                super::a_node_is_replaced($version, 1);
            }

            #[test]
            fn a_node_that_is_killed_is_replaced_on_three_servers() {
                super::a_node_is_replaced($version, 3);
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

/// A call begins on one node and ends on another, the doctor finds all well, and the log goes to SQLite.
fn a_node_is_replaced(version: &str, servers: usize) {
    let test = format!("nats-{version}-{servers}");
    let mut cluster = Cluster::start_on((version, servers), &test, 2, 1, "");
    let receiver = Receiver::good();
    cluster.subscribe(0, account(0), &receiver);
    let owner = cluster.owner(0, 0).expect("there is an owner");
    let other = 1 - owner;
    let [begin, end] = posted("across");
    assert_eq!(post(cluster.nodes[other].http, account(0), &begin), 200);
    wait_for_count(&receiver, EVENTS_OF_BEGIN);
    let found = doctor(&cluster.nodes[other]);
    assert!(found.contains(&format!("answers as NATS {version}")), "{found}");
    assert!(found.contains("fit, and can be followed"), "{found}");

    cluster.nodes[owner].kill();
    let answered = || (post(cluster.nodes[other].http, account(0), &end) == 200).then_some(());
    wait_for(answered, || format!("an answer of the other node{}", cluster.report()));
    wait_for_count(&receiver, EVENTS_OF_POSTED);
    cluster.nodes[owner].run();
    cluster.nodes[owner].ready();
    let events = cluster.same_events(EVENTS_OF_POSTED);
    assert_eq!(events.lines().count(), EVENTS_OF_POSTED, "nothing is lost or told twice");

    cluster.nodes.iter_mut().for_each(Node::stop);
    let home = &cluster.nodes[owner].home;
    let (config, alone) = (home.config(), home.directory.join("alone.toml"));
    let text = std::fs::read_to_string(&config).expect("it is there");
    let text = text.replace("engine = \"nats\"", "engine = \"sqlite\"");
    let text = text.replace("# directory = \"data\"", "directory = \"alone\"");
    std::fs::write(&alone, text).expect("a file");
    let copy = ["store", "copy", "--from", path(&config), "--to", path(&alone)];
    let (status, printed, said) = hookswitch(&copy, &cluster.nodes[owner]);
    assert!(status == Some(0) && printed.contains(&format!("{EVENTS_OF_POSTED} events")), "{printed}{said}");
}

/// Returns what the doctor finds beside a node that runs.
fn doctor(node: &Node) -> String {
    let config = node.home.config();
    let (status, found, said) = hookswitch(&["doctor", "--config", path(&config)], node);
    assert!(status < Some(2), "{found}{said}");
    found
}

/// Runs a command with the addresses of a node.
fn hookswitch(arguments: &[&str], node: &Node) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    ended(
        without_test_sizes(&mut command)
            .args(arguments)
            .env("HOOKSWITCH_SERVER__LISTEN", node.http.to_string())
            .env("HOOKSWITCH_HEP__LISTEN", node.hep.to_string()),
    )
}
