//! Tests of which node has which partition, and of orders that move them: by the admin API and by the command.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::exchange;
use super::nats::Nats;
use super::{Home, Server, hookswitch, wait_for};

const LEASE: Duration = Duration::from_secs(2);

/// Two directories with the same settings, users and tokens.
pub(super) fn twins(name: &str) -> [Home; 2] {
    let first = Home::new(name);
    let directory = PathBuf::from(format!("{}-twin", first.directory.display()));
    std::fs::remove_dir_all(&directory).ok();
    let copied = Command::new("cp").arg("-r").args([&first.directory, &directory]).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let second = Home { directory, made: first.made.clone() };
    [first, second]
}

/// Waits until a node says something of the cluster, and gives that.
#[track_caller]
pub(super) fn until(server: &Server, home: &Home, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let said = || {
        let said = server.admin(home, "GET", "/cluster", &Value::Null).body;
        holds(&said).then_some(said)
    };
    wait_for(said, || what.to_owned())
}

/// Returns the number of partitions that a node has.
pub(super) fn share(said: &Value, node: &str) -> usize {
    let partitions = said["partitions"].as_array().expect("a list");
    partitions.iter().filter(|partition| partition["owner"] == node).count()
}

/// Returns `true` if all is where it should be, on so many nodes.
pub(super) fn is_settled(said: &Value, nodes: usize) -> bool {
    let partitions = said["partitions"].as_array().expect("a list");
    said["nodes"].as_array().is_some_and(|all| all.len() == nodes)
        && partitions.iter().all(|partition| partition["isSettled"] == true)
}

/// Runs `hookswitch cluster` against a server.
fn cluster(server: &Server, home: &Home, arguments: &[&str]) -> Output {
    let address = format!("http://{}", server.http());
    let asked = ["--server", &*address, "--token", home.made("admin_token")];
    let words: Vec<&str> = ["cluster"].iter().chain(arguments).chain(&asked).copied().collect();
    hookswitch(&words)
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_server_alone_says_that_it_has_all_the_work_and_moves_nothing() {
    let home = Home::new("cluster-alone");
    let server = Server::start(&home);
    let admin = |method: &str, path: &str, body: Value| server.admin(&home, method, path, &body);
    let said = admin("GET", "/cluster", Value::Null);
    assert_eq!(said.status, 200, "{said:?}");
    assert_eq!((&said.body["engine"], &said.body["node"]), (&json!("sqlite"), &json!("server")));
    let version = env!("CARGO_PKG_VERSION");
    let url = format!("http://{}", server.http());
    let node =
        json!({"name": "server", "url": url, "version": version, "isDraining": false, "partitions": 1});
    assert_eq!(said.body["nodes"], json!([node]));
    let partition = &said.body["partitions"][0];
    assert_eq!(partition["partition"], 0);
    assert_eq!((&partition["owner"], &partition["wanted"]), (&json!("server"), &json!("server")));
    assert_eq!(partition["isSettled"], true);
    assert!(partition["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{partition}");

    for (path, body) in [
        ("/cluster/partitions/0", json!({"node": "server"})),
        ("/cluster/nodes/server", json!({"draining": true})),
    ] {
        let answer = admin("POST", path, body);
        assert_eq!(answer.error(), (409, "", "CMN-304"), "{path}");
        assert!(answer.text("message").contains("This server is alone"), "{answer:?}");
    }
    for (path, body) in [
        ("/cluster/partitions/0", json!({})),
        ("/cluster/partitions/0", json!({"node": 1})),
        ("/cluster/nodes/server", json!({"draining": "yes"})),
        ("/cluster/nodes/server", json!({"draining": true, "now": true})),
    ] {
        assert_eq!(admin("POST", path, body.clone()).status, 400, "{path} {body}");
    }

    assert_eq!(printed(&cluster(&server, &home, &["status"])), "one server, which has all the work\n");
    let text = printed(&cluster(&server, &home, &["status", "--format", "json"]));
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told, said.body);
    let text = refused(&cluster(&server, &home, &["move", "0", "b", "--wait"]));
    assert!(text.contains("This server is alone"), "{text}");
    let text = refused(&cluster(&server, &home, &["drain", "b", "--undo"]));
    assert!(text.contains("This server is alone"), "{text}");
    let text = refused(&hookswitch(&["cluster", "status"]));
    assert!(text.contains("nothing says where to ask"), "{text}");
    let text = refused(&cluster(&server, &home, &["move", "0"]));
    assert!(text.contains("<NODE>"), "{text}");
}

#[test]
fn a_user_of_an_account_sees_the_nodes_without_their_addresses() {
    let home = Home::new("cluster-user");
    let server = Server::start(&home);
    let account = home.made("account_id").parse().expect("a number");
    let extension = home.made("extension_id").parse().expect("a number");
    server.user(&home, account, extension, json!({"console": "full"}));
    let token = server.sign_in("101").text("access_token");
    let said = server.call(&token, "GET", "/admin/v1/cluster", None);
    assert_eq!(said.status, 200, "{said:?}");
    assert_eq!(said.body["nodes"][0]["name"], "server");
    assert_eq!(said.body["nodes"][0]["url"], Value::Null);
    let order = json!({"draining": true});
    let refused = server.call(&token, "POST", "/admin/v1/cluster/nodes/server", Some(&order));
    assert_eq!(refused.status, 403, "{refused:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test measures time")]
fn partitions_are_seen_and_moved_by_any_node_and_taken_over_from_one_that_dies() {
    let nats = Nats::start("cluster-moves");
    let [home, twin] = twins("cluster-moves");
    let (a, b) = (nats.node(&home, "a"), nats.node(&twin, "b"));
    for server in [&a, &b] {
        let said = until(server, &home, "both to have a share", |said| is_settled(said, 2));
        assert_eq!((&said["engine"], share(&said, "a") + share(&said, "b")), (&json!("nats"), 8));
        assert!(share(&said, "a") > 0 && share(&said, "b") > 0, "{said}");
        assert_eq!(said["nodes"][1]["url"], format!("http://{}", b.http()));
    }
    let said = a.admin(&home, "GET", "/cluster", &Value::Null).body;
    let of_b = said["partitions"].as_array().expect("a list").iter().find(|one| one["owner"] == "b");
    let moved = of_b.expect("it has a share")["partition"].to_string();

    let text = printed(&cluster(&b, &home, &["status"]));
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NODE", "PARTITIONS", "VERSION", "URL"], "{text}");
    assert_eq!(rows[2][..2], ["b", &*share(&said, "b").to_string()], "{text}");
    assert_eq!(rows.len(), 2 + 1 + 1 + 1 + 8, "{text}");
    let row = |text: &str| {
        let row = text.lines().find(|line| line.starts_with(&format!("{moved} ")));
        row.map(str::to_owned).unwrap_or_default()
    };
    assert!(row(&text).contains(" b "), "{text}");

    let text = printed(&cluster(&b, &home, &["move", &moved, "a", "--wait"]));
    assert_eq!(text, format!("partition {moved} is on a\n"));
    let text = printed(&cluster(&a, &home, &["status"]));
    assert!(row(&text).contains(" a ") && row(&text).ends_with("pinned"), "{text}");

    let text = printed(&cluster(&b, &home, &["drain", "a", "--wait"]));
    assert_eq!(text, "a has no partition any more\n");
    let said = until(&a, &home, "the other to have all", |said| share(said, "b") == 8);
    assert_eq!(said["nodes"][0]["isDraining"], true);
    let text = printed(&cluster(&a, &home, &["status"]));
    assert!(row(&text).ends_with("pinned to a, which cannot have it"), "{text}");
    for (arguments, sentence) in [
        (&["drain", "b"][..], "There is no other node"),
        (&["drain", "c"], "[node] is not found"),
        (&["move", &moved, "a"], "gives its partitions away"),
        (&["move", &moved, "c"], "names no node that lives"),
        (&["move", "8", "b"], "[partition] is not found"),
    ] {
        let text = refused(&cluster(&b, &home, arguments));
        assert!(text.contains(sentence), "{arguments:?}: {text}");
    }
    let text = printed(&cluster(&b, &home, &["drain", "a", "--undo", "--wait"]));
    assert_eq!(text, "a has its share again\n");
    let text = printed(&cluster(&a, &home, &["move", &moved, "--unpin", "--wait=20"]));
    assert_eq!(text, format!("partition {moved} is on b\n"));

    let said = until(&a, &home, "all to be settled", |said| is_settled(said, 2));
    let metrics = exchange(a.http(), "GET", "/metrics", &[], b"").text;
    let owned = format!("hookswitch_cluster_partitions_owned {}\n", share(&said, "a"));
    assert!(metrics.contains(&owned), "{owned} {metrics}");
    let killed = Instant::now();
    drop(b);
    until(&a, &home, "one to have all", |said| share(said, "a") == 8 && is_settled(said, 1));
    let took = killed.elapsed();
    println!("taken over {took:?} after the end of a node, with a lease of {LEASE:?}");
    assert!(took < LEASE + Duration::from_secs(4), "{took:?}");
}
