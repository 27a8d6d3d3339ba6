//! Who has which partition, and orders that move them: by the admin API and by the command.

use std::process::Output;

use serde_json::{Value, json};

use super::{Home, Server, hookswitch};

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
    let node = json!({"name": "server", "url": url, "version": version, "isDraining": false, "partitions": 1});
    assert_eq!(said.body["nodes"], json!([node]));
    let partition = &said.body["partitions"][0];
    assert_eq!(partition["partition"], 0);
    assert_eq!((&partition["owner"], &partition["wanted"]), (&json!("server"), &json!("server")));
    assert_eq!(partition["isSettled"], true);
    assert!(partition["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{partition}");

    for (path, body) in
        [("/cluster/partitions/0", json!({"node": "server"})), ("/cluster/nodes/server", json!({"draining": true}))]
    {
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
