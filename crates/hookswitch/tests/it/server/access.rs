//! Tests of who may use the admin API and how much; of calls as they change; of how subscriptions are doing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::client::{Answer, exchange, form};
use super::reading::{call, home};
use super::receiver::{Receiver, Reply};
use super::traffic::{Agent, Way, call as sip_call};
use super::{Home, PATIENCE, Server, wait_for};

pub(super) const PASSWORD: &str = "a password of ours";

impl Server {
    /// Signs a user in to the console, as its pages do.
    #[track_caller]
    pub(super) fn sign_in(&self, name: &str) -> Answer {
        sign_in(self.http(), name)
    }

    /// Makes an extension a user with a password.
    #[track_caller]
    pub(super) fn user(&self, home: &Home, account: u64, extension: u64, mut entry: Value) {
        entry["accountId"] = json!(account.to_string());
        entry["password"] = json!(PASSWORD);
        let made = self.admin(home, "PUT", &format!("/users/{extension}"), &entry);
        assert_eq!(made.status, 200, "{made:?}");
    }

    /// Makes an admin token.
    #[track_caller]
    pub(super) fn admin_token(&self, home: &Home, role: &str) -> (String, String) {
        let made =
            self.admin(home, "POST", "/tokens", &json!({"label": format!("{role} of a test"), "role": role}));
        assert_eq!(made.status, 201, "{made:?}");
        (made.text("id"), made.text("token"))
    }
}

/// Signs a user in to the console of a node.
#[track_caller]
pub(super) fn sign_in(at: SocketAddr, name: &str) -> Answer {
    let body = json!({"name": name, "password": PASSWORD}).to_string();
    exchange(at, "POST", "/console/sign-in", &[("Content-Type", "application/json")], body.as_bytes())
}

/// Methods that a resource of the admin API takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Reader,
    Operator,
    Admin,
}

impl Takes {
    fn of(method: &str, path: &str) -> Self {
        let first = path.trim_start_matches("/admin/v1/").split('/').next().unwrap_or_default();
        match first {
            "accounts" | "applications" | "users" | "sources" | "tokens" => Self::Admin,
            "cluster" | "clock" if method != "GET" => Self::Admin,
            _ if method == "GET" || first == "filter-trials" => Self::Reader,
            _ => Self::Operator,
        }
    }
}

#[test]
fn each_role_may_what_it_may_at_every_resource() {
    let home = home("access-roles");
    let server = Server::start(&home);
    server.user(&home, 1001, 1101, json!({"admin": true}));
    server.user(&home, 1001, 1102, json!({"console": "read-only"}));
    server.user(&home, 1001, 1103, json!({}));
    let (full, read_only, none) =
        (server.sign_in("1001*101"), server.sign_in("1001*102"), server.sign_in("1001*103"));
    let foreign = server.token(
        &home,
        (1001, 1101, json!({"admin": true, "password": PASSWORD})),
        &["CallControl", "ReadAccounts"],
    );
    let (_, watcher) = server.admin_token(&home, "read-only");
    // Whose token, and what is answered where they may not.
    let holders = [
        ("an admin token", home.made("admin_token").to_owned(), [None, None, None]),
        ("a read-only admin token", watcher, [None, Some(403), Some(403)]),
        ("an administrator", full.text("access_token"), [None, None, Some(403)]),
        ("a read-only user", read_only.text("access_token"), [None, Some(403), Some(403)]),
        ("a user without the console", none.text("access_token"), [Some(403); 3]),
        ("the token of another application", foreign, [Some(401); 3]),
        ("no token", "x".to_owned(), [Some(401); 3]),
    ];
    let document = exchange(server.http(), "GET", "/openapi.json", &[], b"");
    let mut asked = 0;
    for (path, methods) in document.body["paths"].as_object().expect("paths") {
        if !path.starts_with("/admin/v1/") || path == "/admin/v1/live" {
            continue;
        }
        let filled = path.replace(['{', '}'], "");
        for method in methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()) {
            let takes = Takes::of(&method, path);
            for (who, token, refused) in &holders {
                let body = (method != "GET" && method != "DELETE").then(|| json!({"nothing": "of use"}));
                let answer = server.call(token, &method, &filled, body.as_ref());
                match refused[takes as usize] {
                    Some(status) => assert_eq!(answer.status, status, "{who}: {method} {path}: {answer:?}"),
                    None => assert!(
                        answer.status != 401 && answer.status != 403 && answer.status < 500,
                        "{who}: {method} {path}: {answer:?}"
                    ),
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 200, "{asked}");
    let refused = server.call(&none.text("access_token"), "GET", "/admin/v1/me", None);
    assert!(refused.text("message").contains("no access to the console"), "{refused:?}");
    // A token of the console opens nothing of an account.
    let own = server.call(&full.text("access_token"), "GET", "/restapi/v1.0/account/~", None);
    assert_eq!(own.status, 403, "{own:?}");
}

#[test]
fn a_user_sees_their_own_account_alone() {
    let home = home("access-tenants");
    home.configure("[[hep.source]]\nname = \"of two\"\naddresses = [\"127.0.0.1\"]\naccount = 2001\n");
    let server = Server::start_dev(&home);
    server.user(&home, 1001, 1101, json!({"admin": true}));
    let tokens = server.sign_in("1001*101");
    let ann = tokens.text("access_token");
    assert_eq!(
        server.call(&ann, "GET", "/admin/v1/me", None).body,
        json!({"role": "full", "accountId": "1001", "name": "Extension 101"})
    );
    // The same number is somebody else's in the other account.
    let receiver = Receiver::good();
    let scopes = ["CallControl", "SubscriptionWebhook"];
    let subscribe = |token: &str| {
        let body = json!({
            "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
            "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
        });
        server.call(token, "POST", "/restapi/v1.0/subscription", Some(&body)).text("id")
    };
    let dee = server.token(&home, (2001, 2101, json!({"admin": true})), &scopes);
    let bo = server.token(&home, (1001, 1102, json!({"admin": true})), &scopes);
    let (foreign, own) = (subscribe(&dee), subscribe(&bo));
    let listed = |token: &str| {
        let listed = server.call(token, "GET", "/admin/v1/subscriptions", None);
        let ids = listed.body["records"].as_array().expect("records").iter();
        ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&ann), std::slice::from_ref(&own));
    assert_eq!(listed(home.made("admin_token")), [own.clone(), foreign.clone()], "the newest first");
    for (method, action) in [("GET", ""), ("POST", "/renew"), ("POST", "/test")] {
        let at = |id: &str| format!("/admin/v1/subscriptions/{id}{action}");
        let refused = server.call(&ann, method, &at(&foreign), None);
        assert_eq!(refused.error(), (404, "", "CMN-102"), "{method} {action}");
        assert_eq!(server.call(&ann, method, &at(&own), None).status, 200, "{method} {action}");
    }

    let mut stream = Live::open(&server, &ann, None);
    server.signals(&home, &call(2001));
    server.signals(&home, &call(1001));
    let seen = stream.call();
    assert_eq!(seen["accountId"], "1001", "{seen}");
    let status = |token: &str| server.call(token, "GET", "/admin/v1/status", None).body;
    wait_for(|| (status(home.made("admin_token"))["openCalls"] == 2).then_some(()), || "two calls".into());
    let narrow = status(&ann);
    assert_eq!(narrow["openCalls"], 1, "{narrow}");
    assert!(narrow.get("journey").is_none() && narrow.get("rates").is_none(), "{narrow}");
    assert!(!narrow.to_string().contains("of two"), "{narrow}");
    assert!(status(home.made("admin_token")).to_string().contains("of two"));
    // The directory of a capture names all accounts, unless it is cut down to who takes part.
    let capture = format!(
        "/admin/v1/sessions/{}/capture",
        seen["telephonySessionId"].as_str().expect("an id of the session")
    );
    assert_eq!(server.call(&ann, "GET", &capture, None).status, 403);
    let cut = server.call(&ann, "GET", &format!("{capture}?anonymise=true"), None);
    assert_eq!(cut.status, 200, "{cut:?}");
    // As a number of its own: the digits may stand in another by chance.
    let numbers = cut.body.to_string();
    let mut numbers = numbers.split(|character: char| !character.is_ascii_digit());
    assert!(!numbers.any(|number| number == "2001"), "{cut:?}");
    let whole = server.call(home.made("admin_token"), "GET", &capture, None);
    assert!(whole.body.to_string().contains("2001"), "{whole:?}");

    // What is taken back is good for nothing, and what hangs on it ends.
    server.user(&home, 1001, 1101, json!({"admin": true, "console": "none"}));
    assert_eq!(server.call(&ann, "GET", "/admin/v1/status", None).status, 403);
    stream.ends();
    server.user(&home, 1001, 1101, json!({"admin": true, "disabled": true}));
    assert_eq!(server.call(&ann, "GET", "/admin/v1/status", None).status, 401);
}

#[test]
fn users_sign_in_to_the_console_at_its_own_page_and_their_sessions_end() {
    let home = home("access-console");
    let server = Server::start(&home);
    let ways = || exchange(server.http(), "GET", "/console/server.json", &[], b"").body["signIn"].clone();
    let user = |entry: Value| server.user(&home, 1001, 1101, entry);
    // Only what works is offered: nobody has a password, or with it the console.
    assert_eq!(ways(), json!({"user": false, "token": true}));
    user(json!({}));
    assert_eq!(ways()["user"], false);
    user(json!({"admin": true, "disabled": true}));
    assert_eq!(ways()["user"], false);
    user(json!({"console": "read-only"}));
    assert_eq!(ways()["user"], true);
    user(json!({"admin": true}));
    assert_eq!(ways()["user"], true);
    // The page where applications send their users is none for it.
    let asked = [
        ("response_type", "code"),
        ("client_id", "hookswitch-console"),
        ("redirect_uri", "http://x/console/"),
    ];
    let page =
        exchange(server.http(), "GET", &format!("/restapi/oauth/authorize?{}", form(&asked)), &[], b"");
    assert!(page.status == 400 && page.text.contains("/console/"), "{page:?}");
    // One name for two people is nobody's, and a wrong password is told from nothing else.
    for (name, password) in [("101", PASSWORD), ("1001*101", "another password"), ("1001*999", PASSWORD)] {
        let body = json!({"name": name, "password": password}).to_string();
        let refused = exchange(server.http(), "POST", "/console/sign-in", &[], body.as_bytes());
        assert!(
            refused.status == 400 && refused.text.contains("The name or the password is wrong"),
            "{refused:?}"
        );
    }
    for body in ["", "{}", "[]", r#"{"name": "1001*101", "password": "x", "more": 1}"#] {
        assert_eq!(
            exchange(server.http(), "POST", "/console/sign-in", &[], body.as_bytes()).status,
            400,
            "{body}"
        );
    }
    // Its tokens are refreshed, and end.
    let tokens = server.sign_in("1001*101");
    assert_eq!(
        tokens.body["refresh_token_expires_in"],
        12 * 3600,
        "a session in which nothing is asked ends"
    );
    let parameters = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*tokens.text("refresh_token")),
        ("client_id", "hookswitch-console"),
    ];
    let next = server.post_form("/restapi/oauth/token", None, &parameters);
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(next.body["refresh_token_expires_in"], 12 * 3600);
    let me = |token: &str| server.call(token, "GET", "/admin/v1/me", None).status;
    assert_eq!(me(&next.text("access_token")), 200);
    let ended = [("token", &*next.text("refresh_token")), ("client_id", "hookswitch-console")];
    assert_eq!(server.post_form("/restapi/oauth/revoke", None, &ended).status, 200);
    assert_eq!(me(&next.text("access_token")), 401);
    // Nobody can take its name.
    let named = server.admin(&home, "GET", "/applications/hookswitch-console", &Value::Null);
    assert_eq!(named.status, 404);
}

#[test]
fn admin_tokens_are_made_shown_once_and_taken_back() {
    let home = Home::new("access-tokens");
    let server = Server::start(&home);
    let (id, token) = server.admin_token(&home, "read-only");
    let me = server.call(&token, "GET", "/admin/v1/me", None);
    assert_eq!(me.body, json!({"role": "read-only", "name": "read-only of a test"}));
    let listed = server.admin(&home, "GET", "/tokens", &Value::Null);
    assert!(listed.text.contains(&id) && !listed.text.contains(&token), "{listed:?}");
    // It posts no signals either.
    let signals = json!({"signals": call(310_001_016)});
    let posted = server.call(&token, "POST", "/ingest/v1/signals", Some(&signals));
    assert_eq!(posted.error(), (403, "", "CMN-408"));
    let first = listed.body["records"].as_array().expect("records").iter();
    let first = first.map(|one| one["id"].as_str().expect("an id")).find(|other| *other != id).expect("two");
    let last = server.admin(&home, "DELETE", &format!("/tokens/{first}"), &Value::Null);
    assert_eq!(last.error(), (409, "", "CMN-304"));
    assert_eq!(server.admin(&home, "DELETE", &format!("/tokens/{id}"), &Value::Null).status, 204);
    assert_eq!(server.call(&token, "GET", "/admin/v1/me", None).status, 401);
}

/// A reader of `/admin/v1/live`.
struct Live {
    lines: BufReader<TcpStream>,
}

impl Live {
    #[track_caller]
    fn open(server: &Server, token: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(server.http()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        write!(
            stream,
            "GET /admin/v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{last}\r\n"
        )
        .expect("it is sent");
        let mut live = Self { lines: BufReader::new(stream) };
        assert!(live.line().starts_with("HTTP/1.1 200"));
        // The first tells where it is.
        live.event();
        live
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("something comes");
        line.trim_end().to_owned()
    }

    /// The next event: its name, its data, and the last id that came with it.
    #[track_caller]
    fn event(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let line = self.line();
            if let Some(found) = line.strip_prefix("event: ") {
                found.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    /// The next call.
    #[track_caller]
    fn call(&mut self) -> Value {
        loop {
            let (name, data) = self.event();
            if name == "call" {
                return data;
            }
        }
    }

    /// The id that follows.
    fn id(&mut self) -> String {
        loop {
            if let Some(id) = self.line().strip_prefix("id: ") {
                return id.to_owned();
            }
        }
    }

    /// Waits until the server has ended it.
    fn ends(mut self) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).is_ok_and(|read| read > 0) {
            assert!(!line.starts_with("event: call"), "{line}");
            line.clear();
        }
    }
}

#[test]
fn a_call_is_told_as_it_changes_and_a_reader_goes_on_where_it_was() {
    let home = Home::new("access-live");
    let server = Server::start(&home);
    let token = home.made("admin_token");
    let mut live = Live::open(&server, token, None);
    let mut agent = Agent::new(server.hep(), 1);
    let messages = sip_call("live");
    for (way, message) in &messages[..3] {
        agent.send(*way, message);
    }
    let answered = |live: &mut Live| loop {
        let told = live.call();
        let codes: Vec<&str> = told["parties"]
            .as_array()
            .expect("parties")
            .iter()
            .filter_map(|one| one["statusCode"].as_str())
            .collect();
        if codes == ["Answered", "Answered"] {
            break told;
        }
    };
    let told = answered(&mut live);
    assert_eq!((&told["isOpen"], &told["origin"]), (&json!(true), &json!("Call")), "{told}");
    assert_eq!(told["parties"][0]["from"]["phoneNumber"], "101", "{told}");
    let id = live.id();
    assert_eq!(told["lastPosition"].to_string(), id);
    drop(live);
    for (way, message) in &messages[3..] {
        agent.send(*way, message);
    }
    home.events_at_least(8);
    let mut again = Live::open(&server, token, Some(&id));
    let ended = again.call();
    assert_eq!((&ended["isOpen"], &ended["events"]), (&json!(false), &json!(8)), "{ended}");
    assert_eq!(ended["telephonySessionId"], told["telephonySessionId"]);
    assert!(ended["endTime"].is_string(), "{ended}");
    // An id that is none of ours is taken for the end.
    let mut odd = Live::open(&server, token, Some("99999999999"));
    place(&mut agent, "odd");
    let first = odd.call();
    assert_ne!(first["telephonySessionId"], told["telephonySessionId"]);
}

fn place(agent: &mut Agent, id: &str) {
    for (way, message) in sip_call(id) {
        assert!(agent.send(way, &message));
    }
}

#[test]
fn a_reader_that_reads_nothing_costs_the_others_nothing() {
    let home = Home::new("access-slow");
    let server = Server::start(&home);
    let token = home.made("admin_token");
    // They have asked and never read.
    let stuck: Vec<Live> = (0..50).map(|_| Live::open(&server, token, None)).collect();
    let mut live = Live::open(&server, token, None);
    let mut agent = Agent::new(server.hep(), 1);
    for round in 0..20 {
        for number in 0..50 {
            place(&mut agent, &format!("slow-{round}-{number}"));
        }
        home.events_at_least((round + 1) * 50 * 8);
    }
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < 1000 {
        let told = live.call();
        if told["isOpen"] == false {
            ended.insert(told["telephonySessionId"].to_string());
        }
    }
    drop(stuck);
}

#[test]
fn the_health_of_a_subscription_says_what_is_wrong_and_a_test_is_sent_as_others_are() {
    let home = Home::new("access-health");
    let server = Server::start_dev(&home);
    let well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_well = well.clone();
    let receiver = Receiver::new(move |posted| match posted.token() {
        None if !is_well.load(std::sync::atomic::Ordering::Relaxed) => {
            Reply::Full(503, vec![], "<b>out of order</b>".into())
        }
        _ => Reply::good(posted),
    });
    let user = server.log_in(&home).text("access_token");
    let body = json!({
        "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
    });
    let id = server.call(&user, "POST", "/restapi/v1.0/subscription", Some(&body)).text("id");
    let read = || server.admin(&home, "GET", &format!("/subscriptions/{id}"), &Value::Null).body;
    let before = read();
    assert_eq!(
        (&before["health"]["state"], &before["status"]),
        (&json!("idle"), &json!("Active")),
        "{before}"
    );
    let mut agent = Agent::new(server.hep(), 1);
    let messages = sip_call("health");
    for (way, message) in &messages[..1] {
        assert!(*way == Way::There && agent.send(*way, message));
    }
    let failing = wait_for(
        || Some(read()).filter(|one| one["health"]["state"] == "failing"),
        || format!("a failure: {}", read()),
    );
    let health = &failing["health"];
    assert_eq!(health["lastFailure"]["status"], 503, "{health}");
    assert!(
        health["lastFailure"]["error"].as_str().is_some_and(|text| text.contains("code: [503]")),
        "{health}"
    );
    assert!(health["lagEvents"].as_u64() >= Some(1) && health["oldestWaiting"].is_string(), "{health}");
    assert!(health["failedLastHour"].as_u64() >= Some(1), "{health}");

    let test = || server.admin(&home, "POST", &format!("/subscriptions/{id}/test"), &Value::Null);
    let refused = test();
    assert_eq!(
        (&refused.body["outcome"], &refused.body["status"]),
        (&json!("refused"), &json!(503)),
        "{refused:?}"
    );
    well.store(true, std::sync::atomic::Ordering::Relaxed);
    let taken = test();
    assert_eq!(
        (&taken.body["outcome"], &taken.body["status"]),
        (&json!("delivered"), &json!(200)),
        "{taken:?}"
    );
    let posted = receiver.notifications();
    let posted = posted
        .iter()
        .rfind(|posted| posted.json()["event"].as_str().is_some_and(|name| name.ends_with("/test")));
    assert_eq!(posted.expect("it has arrived").json()["subscriptionId"], id);
    wait_for(|| (read()["health"]["state"] == "good").then_some(()), || format!("a success: {}", read()));
    assert_eq!(read()["health"]["lagEvents"], 0);
    let expires = read()["expirationTime"].clone();
    let renewed = server.admin(&home, "POST", &format!("/subscriptions/{id}/renew"), &Value::Null);
    assert!(renewed.body["expirationTime"].as_str() > expires.as_str(), "{renewed:?} {expires}");
}

#[test]
fn figures_balance_and_sources_are_named_with_what_they_lose() {
    let home = Home::new("access-status");
    home.configure("[[hep.source]]\nname = \"pbx\"\naddresses = [\"127.0.0.1\"]\nkey = \"open sesame\"\n");
    let server = Server::start(&home);
    let mut good = Agent::new(server.hep(), 1).with_key(b"open sesame");
    let mut bad = Agent::new(server.hep(), 2).with_key(b"open barley");
    place(&mut bad, "status-bad");
    place(&mut good, "status");
    good.send_raw(b"HEP3 and nothing else");
    let status = || server.admin(&home, "GET", "/status", &Value::Null).body;
    let status = wait_for(
        || {
            let status = status();
            let source = &status["sources"][0];
            (source["messages"] == 6 && source["dropped"]["malformed"] == 1).then_some(status)
        },
        || format!("the messages: {}", status()),
    );
    let source = &status["sources"][0];
    assert_eq!((&source["name"], &source["kind"]), (&json!("pbx"), &json!("hep")), "{source}");
    assert_eq!(source["dropped"], json!({"key": 6, "malformed": 1}));
    assert!(source["lastTime"].is_string(), "{source}");
    let journey = wait_for(
        || {
            let status = server.admin(&home, "GET", "/status", &Value::Null).body;
            let stages = status["journey"].as_array().expect("a journey").clone();
            let balances = stages.iter().all(|stage| {
                let outcomes = stage["outcomes"].as_object().expect("outcomes").values();
                outcomes.filter_map(Value::as_u64).sum::<u64>()
                    == stage["received"].as_u64().unwrap_or_default()
            });
            (balances && stages[3]["received"] == 8).then_some(stages)
        },
        || format!("a balance: {}", server.admin(&home, "GET", "/status", &Value::Null).text),
    );
    assert_eq!(journey[0]["received"], 13, "{journey:?}");
    assert_eq!(journey[1]["received"], 6, "{journey:?}");
}
