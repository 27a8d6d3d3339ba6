//! Clients as others have published them, from `target/tools`, where `ci/setup` installs them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use super::{Home, Server, root, wait_for};

/// A file of the tools, if they are installed.
pub(super) fn tool(path: &str) -> Option<PathBuf> {
    let file = root().join("target/tools").join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped: {} is not there; ci/setup target/tools installs it", file.display());
    None
}

/// Runs a client against a server, as the first user of the first application.
fn run(command: &mut Command, home: &Home, server: &Server) -> Output {
    run_as_user(command, home, server.http()).output().expect("the client starts")
}

/// Tells a client where the server is, and who it is.
pub(super) fn run_as_user<'a>(command: &'a mut Command, home: &Home, server: SocketAddr) -> &'a mut Command {
    command
        .env("SERVER", format!("http://{server}"))
        .env("CLIENT_ID", home.made("client_id"))
        .env("CLIENT_SECRET", home.made("client_secret"))
        .env("JWT", home.made("jwt"))
        .current_dir(&home.directory)
}

#[track_caller]
fn assert_good(output: &Output) {
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
}

/// A call from 101 to 102 that goes on, and can be read.
fn call(home: &Home, server: &Server) {
    let signals = json!({"signals": [
        {"id": "1", "leg": "a", "kind": "created", "direction": "outbound", "callee": "102", "caller": {"number": "101"}},
        {"id": "2", "leg": "b", "kind": "created", "direction": "inbound", "of": "a", "callee": "102", "caller": {"number": "101"}},
        {"id": "3", "leg": "b", "kind": "ringing"},
        {"id": "4", "leg": "b", "kind": "answered"},
        {"id": "5", "leg": "a", "kind": "answered"},
    ]});
    let posted = server.call(home.made("admin_token"), "POST", "/ingest/v1/signals", Some(&signals));
    assert_eq!(posted.status, 200, "{posted:?}");
    let token = server.log_in(home).text("access_token");
    let status = || {
        let presence = server.call(&token, "GET", "/restapi/v1.0/account/~/extension/~/presence", None);
        (presence.body["telephonyStatus"] == "CallConnected").then_some(())
    };
    wait_for(status, || "the call in the presence".to_owned());
}

#[test]
fn the_javascript_sdk_logs_in_and_the_call_control_library_finds_the_call() {
    let Some(modules) = tool("npm/node_modules") else { return };
    let home = Home::new("client-javascript");
    let server = Server::start(&home);
    call(&home, &server);
    let script = root().join("crates/hookswitch/tests/clients/sdk.js");
    assert_good(&run(Command::new("node").arg(script).env("NODE_PATH", modules), &home, &server));
}

#[test]
fn answers_and_notifications_have_the_fields_that_the_types_of_the_sdk_have() {
    let Some(modules) = tool("npm/node_modules") else { return };
    if tool("npm/node_modules/typescript").is_none() {
        return;
    }
    let home = Home::new("client-shapes");
    let file = home.directory.join("directory.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    let text = text.replace("# country = \"US\"", "country = \"US\"");
    let text = text.replacen(
        "number = \"101\"\n",
        "number = \"101\"\nname = \"Ann Lee\"\nnumbers = [\"+14155550101\"]\n",
        1,
    );
    std::fs::write(&file, text.replacen("number = \"104\"", "number = \"104\"\nkind = \"queue\"", 1))
        .expect("it can be written");
    let server = development(&home);
    let script = root().join("crates/hookswitch/tests/clients/shapes.js");
    let mut command = Command::new("node");
    command.arg(script).env("NODE_PATH", modules).env("ADMIN", home.made("admin_token"));
    assert_good(&run(&mut command, &home, &server));
}

#[test]
fn the_python_sdk_logs_in_refreshes_and_revokes() {
    let Some(python) = tool("python/bin/python") else { return };
    let home = Home::new("client-python");
    let server = Server::start(&home);
    let script = root().join("crates/hookswitch/tests/clients/sdk.py");
    assert_good(&run(Command::new(python).arg(script), &home, &server));
}

/// A server that sends webhooks to this machine.
fn development(home: &Home) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command.args(["serve", "--dev", "--config"]).arg(home.config());
    Server::spawn(&mut command, &[])
}

#[test]
fn the_javascript_sdk_subscribes_and_the_call_control_library_follows_a_call_by_webhook() {
    let Some(modules) = tool("npm/node_modules") else { return };
    let home = Home::new("client-javascript-webhook");
    let server = development(&home);
    let script = root().join("crates/hookswitch/tests/clients/subscriptions.js");
    let mut command = Command::new("node");
    command.arg(script).env("NODE_PATH", modules).env("ADMIN", home.made("admin_token"));
    assert_good(&run(&mut command, &home, &server));
}

#[test]
fn the_python_sdk_subscribes_renews_and_deletes() {
    let Some(python) = tool("python/bin/python") else { return };
    let home = Home::new("client-python-webhook");
    let server = development(&home);
    let script = root().join("crates/hookswitch/tests/clients/subscriptions.py");
    assert_good(&run(Command::new(python).arg(script), &home, &server));
}

/// Runs schemathesis on the paths that match, with a token.
#[track_caller]
fn generated_requests(home: &Home, server: &Server, paths: &str, token: &str) {
    let Some(st) = tool("python/bin/st") else { return };
    let base = format!("http://{}", server.http());
    let output = run(
        Command::new(st)
            .args(["run", &format!("{base}/openapi.json"), "--url", &base])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(["--include-path-regex", paths, "--exclude-method", "DELETE"])
            // It has no end.
            .args(["--exclude-path", "/admin/v1/live"])
            .args(["--max-examples", "20", "--seed", "1", "--no-color"])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
            .args(["--checks", "response_schema_conformance,unsupported_method"]),
        home,
        server,
    );
    assert_good(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains(" passed"));
}

#[test]
fn generated_requests_to_the_admin_api_get_what_the_document_says() {
    let home = Home::new("client-admin");
    let server = Server::start(&home);
    generated_requests(&home, &server, "^/(admin|healthz|readyz|openapi|docs)", home.made("admin_token"));
}

#[test]
fn generated_requests_of_applications_get_what_the_document_says() {
    let home = Home::new("client-platform");
    let server = Server::start(&home);
    call(&home, &server);
    let token = server.log_in(&home).text("access_token");
    generated_requests(&home, &server, "^/restapi/v1.0", &token);
    generated_requests(&home, &server, "^/restapi/oauth", &token);
}
