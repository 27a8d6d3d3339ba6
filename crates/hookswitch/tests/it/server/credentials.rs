//! Tests of credentials made by `init`, `token` and `user`, with a server and without one.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Home, Server, hookswitch, path, without_test_sizes};

/// Returns what a command prints that ends well.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = hookswitch(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns what a command says that is refused.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = hookswitch(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// The status with which a server answers the holder of an admin token.
fn asked(server: &Server, token: &str) -> u16 {
    let token = format!("Bearer {}", token.trim());
    server.request("GET", "/admin/v1/tokens", &[("Authorization", &token)], b"").0
}

/// Returns `true` if a server takes what `hookswitch user create --json` has printed.
fn logs_in(server: &Server, login: &Value) -> bool {
    let file = std::env::temp_dir().join(format!("hookswitch-login-{}", login["client_id"]));
    std::fs::write(&file, login.to_string()).expect("it is written");
    let address = format!("http://{}", server.addresses["HTTP"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    // A server that takes it has nothing to tell; one that does not ends it. Everybody may hear of their own calls.
    let own = "/restapi/v1.0/account/~/extension/~/telephony/sessions";
    without_test_sizes(&mut command).args([
        "listen",
        "--filter",
        own,
        "--count",
        "0",
        "--login",
        path(&file),
        "--server",
        &address,
    ]);
    let output = command.output().expect("it starts");
    std::fs::remove_file(&file).expect("it goes away");
    output.status.success()
}

#[test]
fn init_again_changes_nothing_and_says_how_new_credentials_are_made() {
    let home = Home::new("init-again");
    let directory = path(&home.directory).to_owned();
    let said = refused(&["init", &directory]);
    let config = format!("{directory}/hookswitch.toml");
    for line in [
        format!("hookswitch token create --config {config}"),
        format!("hookswitch user create 101 --admin --config {config}"),
    ] {
        assert!(said.contains(&line), "{said}");
        // As it stands there it works.
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        assert!(!printed(&words).is_empty(), "{line}");
    }
    let server = Server::start(&home);
    assert_eq!(asked(&server, home.made("admin_token")), 200, "the first token is good still");
}

#[test]
fn tokens_are_made_and_revoked_without_a_server_and_by_one() {
    let home = Home::new("tokens");
    let config = home.config();
    let offline = ["--config", path(&config)];
    let run = |words: &[&str], of: &[&str]| printed(&[&["token"], words, of].concat());
    let made = run(&["create", "--label", "spare", "--role", "read-only", "--json"], &offline);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let listed = run(&["list"], &offline);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let id_of = |listed: &str, label: &str| {
        let row = listed.lines().find(|row| row.ends_with(label)).expect(label);
        row.split(' ').next().expect("an id").to_owned()
    };
    let (first, spare) = (id_of(&listed, "First administrator"), id_of(&listed, "spare"));
    let said = refused(&[&["token", "revoke", &first], &offline[..]].concat());
    assert!(said.contains("last admin token that may change anything"), "{said}");
    let said = refused(&[&["token", "revoke", "0123456789abcdef"], &offline[..]].concat());
    assert!(said.contains("hookswitch token list"), "{said}");

    let server = Server::start(&home);
    let said = refused(&[&["token", "create"], &offline[..]].concat());
    assert!(said.contains("of a running server give --server URL"), "{said}");
    let address = format!("http://{}", server.addresses["HTTP"]);
    let running = ["--server", &address, "--token", home.made("admin_token")];
    assert_eq!(run(&["list"], &running), listed, "both lists are the same");
    let second = run(&["create", "--label", "by the server"], &running);
    assert_eq!(asked(&server, &second), 200);
    assert_eq!(asked(&server, made["admin_token"].as_str().expect("a token")), 403, "it may only see");
    run(&["revoke", &first], &running);
    assert_eq!(asked(&server, home.made("admin_token")), 401, "it is taken back");
    server.stop();
    run(&["revoke", &spare], &offline);
    assert!(!run(&["list"], &offline).contains("spare"));
    let said = refused(&["token", "list"]);
    assert!(said.contains("--config FILE") && said.contains("--server URL"), "{said}");
}

#[test]
fn users_are_made_and_removed_without_a_server_and_by_one() {
    let home = Home::new("users");
    let config = home.config();
    let offline = ["--config", path(&config)];
    let run = |words: &[&str], of: &[&str]| printed(&[&["user"], words, of].concat());
    let login = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let made = login(&run(&["create", "102", "--json"], &offline));
    assert_eq!(made["extension_number"], "102");
    let again = login(&run(&["create", "101", "--with-admin-token", "--json"], &offline));
    assert_eq!(again["extension_id"], home.made("extension_id"));
    let said = refused(&[&["user", "create", "199"], &offline[..]].concat());
    assert!(said.contains("no extension 199"), "{said}");

    let server = Server::start(&home);
    let address = format!("http://{}", server.addresses["HTTP"]);
    let running = ["--server", &address, "--token", home.made("admin_token")];
    let third = login(&run(&["create", "103", "--admin", "--json"], &running));
    for login in [&home.made, &made, &again, &third] {
        assert!(logs_in(&server, login), "{}", login["extension_number"]);
    }
    let mut wrong = made.clone();
    wrong["client_secret"] = "another".into();
    assert!(!logs_in(&server, &wrong));
    assert_eq!(asked(&server, again["admin_token"].as_str().expect("a token")), 200);
    assert!(made["admin_token"].is_null(), "nobody asked for one");
    let listed = run(&["list"], &running);
    let rows: Vec<(&str, bool, &str)> = listed
        .lines()
        .map(|row| {
            let words: Vec<&str> = row.split_whitespace().collect();
            (words[0], row.contains("all calls"), words[words.len() - 2])
        })
        .collect();
    for row in [("101", true, "2"), ("102", false, "1"), ("103", true, "1")] {
        assert!(rows.contains(&row), "{listed}");
    }
    run(&["remove", "102"], &running);
    assert!(!logs_in(&server, &made), "a user who is gone");
    server.stop();
    run(&["remove", "103"], &offline);
    let listed = run(&["list"], &offline);
    assert!(listed.starts_with("101 ") && listed.lines().count() == 1, "{listed}");
    let said = refused(&[&["user", "remove", "103"], &offline[..]].concat());
    assert!(said.contains("103 is no user"), "{said}");
}

#[test]
fn a_server_whose_store_has_nothing_to_log_in_with_says_so_at_its_start() {
    let home = Home::new("other-store");
    let elsewhere = home.directory.join("elsewhere");
    let server = Server::start_with(&home, &[("HOOKSWITCH_STORE__DIRECTORY", path(&elsewhere))]);
    let config = home.config();
    for (what, command) in [("no admin token", "token create"), ("no application", "user create 101 --admin")]
    {
        let line = server.warnings.iter().find(|line| line.contains(what)).expect(what);
        assert!(line.contains(&format!("hookswitch {command} --config {}", path(&config))), "{line}");
    }
    assert_eq!(asked(&server, home.made("admin_token")), 401);
    drop(server);
    let server = Server::start(&home);
    assert!(!server.warnings.iter().any(|line| line.contains("no admin token")), "{:?}", server.warnings);
}

#[test]
fn init_makes_the_store_where_the_configuration_or_the_command_names_it() {
    let home = Home::new("init-data");
    let (other, data) = (home.directory.join("other"), home.directory.join("their data"));
    let made = printed(&["init", path(&other), "--data", path(&data), "--json"]);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    assert!(data.join("hookswitch.db").exists() && !other.join("data").exists());
    let config = other.join("hookswitch.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
    command.args(["serve", "--config", path(&config)]);
    let server = Server::spawn(&mut command, &[]);
    assert_eq!(asked(&server, made["admin_token"].as_str().expect("a token")), 200);
    drop(server);

    // The environment names it for `init` as it does for `serve`.
    let (third, theirs) = (home.directory.join("third"), home.directory.join("theirs"));
    let init = |directory: &Path, data: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.args(["init", path(directory), "--json"]).env("HOOKSWITCH_STORE__DIRECTORY", data);
        without_test_sizes(&mut command).output().expect("it starts")
    };
    let output = init(&third, &theirs);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(theirs.join("hookswitch.db").exists() && !third.join("data").exists());

    // A store that is there has a key of its own, which another would make useless.
    let fourth = home.directory.join("fourth");
    let output = init(&fourth, &theirs);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("hookswitch user create"), "{said}");
    assert!(!fourth.exists(), "nothing is half made");
    let said = refused(&["init", path(&fourth), "--data", path(&data)]);
    assert!(said.contains("there is a store in") && said.contains(path(&data)), "{said}");
}
