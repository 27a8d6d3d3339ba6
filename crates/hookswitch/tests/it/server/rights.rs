//! Tests that what is taken away from a user or an application stops, whatever carries it; and whose is what comes back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{JWT_BEARER, basic, post_form};
use super::reading::home;
use super::receiver::{Receiver, now};
use super::socket::Socket;
use super::webhooks::{Dev, SESSIONS, SUBSCRIPTION, wait_for_count};
use super::{Home, hookswitch, wait_for};

const OWN: &str = "/restapi/v1.0/account/~/extension/~/telephony/sessions";
const SCOPES: [&str; 3] = ["CallControl", "SubscriptionWebhook", "WebSocketsSubscription"];

/// A user of the first account, with an application of their own.
struct Member {
    extension: u64,
    client_id: String,
    secret: String,
    jwt_id: String,
    jwt: String,
    token: String,
    refresh: String,
}

/// A server with two tenants, whose calls are posted.
struct World {
    home: Home,
    dev: Dev,
    calls: std::cell::Cell<u32>,
}

impl World {
    fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let home = home(name);
        // The first user that init has made is of an account that this directory does not have.
        let dev = Dev::start_with(&home, variables);
        Self { home, dev, calls: std::cell::Cell::new(0) }
    }

    #[track_caller]
    fn admin(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let answer = self.dev.server.admin(&self.home, method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer.body
    }

    fn user(&self, extension: u64, mut entry: Value) {
        entry["accountId"] = json!("1001");
        self.admin("PUT", &format!("/users/{extension}"), &entry, 200);
    }

    fn member(&self, extension: u64, entry: Value) -> Member {
        self.user(extension, entry);
        let application = json!({"name": "App", "accountId": "1001", "scopes": SCOPES,
            "grants": ["jwt-bearer", "refresh_token", "password"]});
        let application = self.admin("POST", "/applications", &application, 201);
        let jwt = self.admin("POST", &format!("/users/{extension}/jwts"), &json!({"label": "t"}), 201);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut member = Member {
            extension,
            client_id: text(&application["clientId"]),
            secret: text(&application["clientSecret"]),
            jwt_id: text(&jwt["id"]),
            jwt: text(&jwt["jwt"]),
            token: String::new(),
            refresh: String::new(),
        };
        let tokens = self.grant(&member, &[("grant_type", JWT_BEARER), ("assertion", &member.jwt)]);
        (member.token, member.refresh) = (text(&tokens["access_token"]), text(&tokens["refresh_token"]));
        member
    }

    fn grant(&self, of: &Member, parameters: &[(&str, &str)]) -> Value {
        let authorization = basic(&of.client_id, &of.secret);
        post_form(self.dev.server.http(), "/restapi/oauth/token", Some(&authorization), parameters).body
    }

    /// Posts a call from 101 to 102 of the first account.
    fn call(&self) {
        self.calls.set(self.calls.get() + 1);
        let (a, b) = (format!("a{}", self.calls.get()), format!("b{}", self.calls.get()));
        let caller = json!({"number": "101"});
        self.dev.server.signals(
            &self.home,
            &json!([
                {"id": format!("{a}1"), "account": 1001, "leg": a, "kind": "created", "direction": "outbound", "callee": "102", "caller": caller},
                {"id": format!("{b}2"), "account": 1001, "leg": b, "kind": "created", "direction": "inbound", "of": a, "callee": "102", "caller": caller},
                {"id": format!("{b}3"), "account": 1001, "leg": b, "kind": "answered"},
                {"id": format!("{b}4"), "account": 1001, "leg": b, "kind": "ended"},
                {"id": format!("{a}5"), "account": 1001, "leg": a, "kind": "ended"},
            ]),
        );
    }

    #[track_caller]
    fn subscribe(&self, of: &Member, receiver: &Receiver, filters: &[&str]) -> String {
        let body = json!({"eventFilters": filters,
            "deliveryMode": {"transportType": "WebHook", "address": receiver.url()}});
        let answer = self.dev.server.call(&of.token, "POST", SUBSCRIPTION, Some(&body));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("id")
    }

    fn subscription(&self, id: &str) -> Value {
        self.admin("GET", &format!("/subscriptions/{id}"), &Value::Null, 200)
    }

    /// Waits, for a second at most, until a subscription has a status.
    #[track_caller]
    fn becomes(&self, id: &str, status: &str) -> Value {
        let began = now();
        loop {
            let one = self.subscription(id);
            if one["status"] == status {
                return one;
            }
            assert!(began.elapsed() < Duration::from_secs(1), "not {status} within a second: {one}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A stream of server-sent events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(to: SocketAddr, path: &str, token: &str) -> Self {
        let mut stream = TcpStream::connect(to).expect("it connects");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("it can be set");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut one = Self(BufReader::new(stream));
        let status = one.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        one
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("something comes within five seconds");
        line
    }

    /// Reads until a line begins so.
    #[track_caller]
    fn until(&mut self, begin: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the stream ends before {begin:?}");
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// The rest, up to its end.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        while self.0.read_line(&mut rest).expect("it ends within five seconds") > 0 {}
        rest
    }
}

/// Something that takes the right to hear of calls away, and gives it back where that can be.
type Case = (&'static str, fn(&World, &Member), Option<fn(&World, &Member)>);

fn application(world: &World, of: &Member, scopes: &[&str], disabled: bool) {
    let entry = json!({"name": "App", "accountId": "1001", "scopes": scopes, "disabled": disabled,
        "grants": ["jwt-bearer", "refresh_token", "password"]});
    world.admin("PUT", &format!("/applications/{}", of.client_id), &entry, 200);
}

fn remove(world: &World, path: &str) {
    world.admin("DELETE", path, &Value::Null, 204);
}

const CASES: [Case; 7] = [
    (
        "the user is disabled",
        |world, of| world.user(of.extension, json!({"disabled": true})),
        Some(|world, of| world.user(of.extension, json!({}))),
    ),
    (
        "the user loses CallControl",
        |world, of| {
            let rest = json!(["SubscriptionWebhook", "WebSocketsSubscription"]);
            world.user(of.extension, json!({"permissions": rest}));
        },
        Some(|world, of| world.user(of.extension, json!({}))),
    ),
    (
        "the user loses the transports",
        |world, of| world.user(of.extension, json!({"permissions": ["CallControl"]})),
        Some(|world, of| world.user(of.extension, json!({}))),
    ),
    (
        "the application is disabled",
        |world, of| application(world, of, &SCOPES, true),
        Some(|world, of| application(world, of, &SCOPES, false)),
    ),
    (
        "the application loses CallControl",
        |world, of| application(world, of, &["SubscriptionWebhook", "WebSocketsSubscription"], false),
        Some(|world, of| application(world, of, &SCOPES, false)),
    ),
    ("the user is removed", |world, of| remove(world, &format!("/users/{}", of.extension)), None),
    (
        "the application is removed",
        |world, of| remove(world, &format!("/applications/{}", of.client_id)),
        None,
    ),
];

#[test]
fn what_is_taken_away_stops_within_a_second_and_goes_on_from_the_cursor() {
    let world = World::start("rights-taken", &[]);
    let http = world.dev.server.http();
    for (case, take, give) in CASES {
        let of = world.member(1101, json!({}));
        let receiver = Receiver::good();
        let id = world.subscribe(&of, &receiver, &[OWN]);
        let mut socket = Socket::open(http, &world.dev.server.socket_token(&of.token), None);
        socket.expect("ConnectionDetails");
        let body = json!({"eventFilters": [OWN], "deliveryMode": {"transportType": "WebSocket"}});
        assert_eq!(socket.request("POST", SUBSCRIPTION, Some(body))[0]["status"], 200);
        let mut stream = Stream::open(http, &format!("/events?eventFilters={OWN}"), &of.token);
        stream.until(": subscription");
        let handshakes = receiver.count();
        world.call();
        wait_for(|| (receiver.count() > handshakes).then_some(()), || format!("{case}: nothing before"));
        stream.until("data:");
        let settled = wait_settled(&receiver);

        take(&world, &of);
        let one = world.becomes(&id, "Suspended");
        assert!(!one["suspendedData"]["reason"].as_str().unwrap_or_default().is_empty(), "{case}: {one}");
        if case != "the user loses the transports" {
            let rest = stream.rest();
            assert!(rest.contains("event: error"), "{case}: {rest}");
            // What is missing is said as it would be to who asks anew.
            let code = match case {
                "the user loses CallControl" => "CMN-408",
                "the application loses CallControl" => "CMN-401",
                _ => "OAU-",
            };
            assert!(rest.contains(code), "{case}: {rest}");
        }
        assert_eq!(socket.closed(), Some(4401), "{case}");
        world.call();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(receiver.count(), settled, "{case}: nothing more is sent");

        if let Some(give) = give {
            give(&world, &of);
            world.becomes(&id, "Active");
            wait_for(|| (receiver.count() > settled).then_some(()), || format!("{case}: it goes on"));
        } else {
            // The extension, or the name of the application, given to somebody else opens nothing.
            world.user(1101, json!({}));
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(world.subscription(&id)["status"], "Suspended", "{case}");
            assert_eq!(receiver.count(), settled, "{case}");
        }
        world.admin("DELETE", &format!("/subscriptions/{id}"), &Value::Null, 204);
    }
}

/// Returns the number of requests that there are when no more have come for a while.
fn wait_settled(receiver: &Receiver) -> usize {
    let mut count = receiver.count();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        if receiver.count() == count {
            return count;
        }
        count = receiver.count();
    }
}

#[test]
fn a_login_that_is_taken_back_ends_what_streams() {
    let world = World::start("rights-logins", &[]);
    let http = world.dev.server.http();
    let revoke: fn(&World, &Member) = |world, of| {
        let authorization = basic(&of.client_id, &of.secret);
        let to = world.dev.server.http();
        post_form(to, "/restapi/oauth/revoke", Some(&authorization), &[("token", &of.token)]);
    };
    let jwt: fn(&World, &Member) = |world, of| {
        world.admin("DELETE", &format!("/users/{}/jwts/{}", of.extension, of.jwt_id), &Value::Null, 204);
    };
    for (case, take) in [("the login is revoked", revoke), ("the JWT is taken back", jwt)] {
        let of = world.member(1101, json!({}));
        let mut stream = Stream::open(http, &format!("/events?eventFilters={OWN}"), &of.token);
        stream.until(": subscription");
        let began = now();
        take(&world, &of);
        let rest = stream.rest();
        assert!(began.elapsed() < Duration::from_secs(1) && rest.contains("event: error"), "{case}: {rest}");
    }
}

#[test]
fn an_extension_given_to_somebody_else_and_a_changed_password_open_nothing_of_before() {
    let world = World::start("rights-generations", &[("HOOKSWITCH_OAUTH__PASSWORD_GRANT", "true")]);
    let me = |token: &str| {
        world.dev.server.call(token, "GET", "/restapi/v1.0/account/~/telephony/sessions/s-1", None).status
    };
    let before = world.member(1101, json!({}));
    assert_eq!(me(&before.token), 404);
    world.admin("DELETE", "/users/1101", &Value::Null, 204);
    world.user(1101, json!({}));
    assert_eq!(me(&before.token), 401, "the access token");
    let refreshed =
        world.grant(&before, &[("grant_type", "refresh_token"), ("refresh_token", &before.refresh)]);
    assert_eq!(refreshed["error"], "invalid_grant", "{refreshed}");
    let again = world.grant(&before, &[("grant_type", JWT_BEARER), ("assertion", &before.jwt)]);
    assert_eq!(again["error"], "invalid_grant", "{again}");

    // An extension that leaves the directory takes its user along.
    let gone = world.member(1102, json!({}));
    world.admin("DELETE", "/accounts/1001/extensions/102", &Value::Null, 204);
    let back = json!({"number": "102", "id": 1102});
    world.admin("POST", "/accounts/1001/extensions", &back, 201);
    world.user(1102, json!({}));
    assert_eq!(me(&gone.token), 401);

    let of = world.member(1103, json!({"password": "an old password"}));
    let log_in = |password: &str| {
        world.grant(&of, &[("grant_type", "password"), ("username", "1001*103"), ("password", password)])
    };
    let old = log_in("an old password");
    let token = old["access_token"].as_str().expect("a token");
    world.user(1103, json!({}));
    assert_eq!(me(token), 404, "a change of something else ends nothing");
    world.user(1103, json!({"password": "a new password"}));
    assert_eq!(me(token), 401);
    let refresh = old["refresh_token"].as_str().expect("a token");
    let refreshed = world.grant(&of, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]);
    assert_eq!(refreshed["error"], "invalid_grant", "{refreshed}");
    assert!(log_in("a new password")["access_token"].is_string());
    assert_eq!(me(&of.token), 404, "a login by JWT does not rest on the password");
}

#[test]
fn a_plain_user_hears_of_the_own_extension_by_every_transport() {
    let world = World::start("rights-account", &[]);
    let (server, http) = (&world.dev.server, world.dev.server.http());
    let of = world.member(1103, json!({}));
    let receiver = Receiver::good();
    let other = "/restapi/v1.0/account/~/extension/1102/telephony/sessions";
    let reminder = "/restapi/v1.0/subscription/~?threshold=20&interval=10";
    let delivery = json!({"transportType": "WebHook", "address": receiver.url()});
    for filters in [vec![SESSIONS], vec![other], vec![SESSIONS, other, reminder]] {
        let body = json!({"eventFilters": filters, "deliveryMode": delivery});
        let answer = server.call(&of.token, "POST", SUBSCRIPTION, Some(&body));
        assert_eq!(answer.error(), (403, "", "SUB-412"), "{answer:?}");
        let mut socket = Socket::open(http, &server.socket_token(&of.token), None);
        socket.expect("ConnectionDetails");
        let body = json!({"eventFilters": filters, "deliveryMode": {"transportType": "WebSocket"}});
        assert_eq!(socket.request("POST", SUBSCRIPTION, Some(body))[0]["status"], 403);
    }
    for path in ["/events".to_owned(), format!("/events?eventFilters={other}")] {
        assert_eq!(server.call(&of.token, "GET", &path, None).error(), (403, "", "SUB-412"), "{path}");
    }
    // Others remain, so the refused one is shown as disabled, and has no effect.
    let id = world.subscribe(&of, &receiver, &[SESSIONS, OWN]);
    let shown = server.call(&of.token, "GET", &format!("{SUBSCRIPTION}/{id}"), None).body;
    assert_eq!(shown["eventFilters"].as_array().map(Vec::len), Some(2), "{shown}");
    assert_eq!(shown["disabledFilters"][0]["reason"], "SUB-412", "{shown}");
    assert_eq!(shown["disabledFilters"].as_array().map(Vec::len), Some(1), "{shown}");
    let admin = world.member(1102, json!({"admin": true}));
    let all = Receiver::good();
    world.subscribe(&admin, &all, &[SESSIONS]);
    let handshakes = receiver.count();
    world.call();
    wait_for_count(&all, 2);
    wait_settled(&all);
    assert_eq!(receiver.count(), handshakes, "the call is one of others");

    // With the role the filter has effect, without it no more.
    world.user(1103, json!({"admin": true}));
    let is_open = || {
        let shown = server.call(&of.token, "GET", &format!("{SUBSCRIPTION}/{id}"), None).body;
        shown.get("disabledFilters").is_none().then_some(())
    };
    wait_for(is_open, || "no filter is disabled".to_owned());
    world.call();
    wait_for(|| (receiver.count() > handshakes).then_some(()), || "it hears of the account".to_owned());
    let settled = wait_settled(&receiver);
    world.user(1103, json!({}));
    std::thread::sleep(Duration::from_millis(500));
    world.call();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(receiver.count(), settled);
}

#[test]
fn operators_pause_resume_and_delete_by_api_and_command_within_their_account() {
    let world = World::start("rights-operators", &[]);
    let of = world.member(1101, json!({}));
    let receiver = Receiver::good();
    let id = world.subscribe(&of, &receiver, &[OWN]);
    let url = format!("http://{}", world.dev.server.http());
    let command = |order: &str| {
        let token = world.home.made("admin_token");
        let output = hookswitch(&["subscriptions", order, &id, "--server", &url, "--token", token]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(command("pause").contains("Suspended"));
    let paused = world.dev.server.call(&of.token, "GET", &format!("{SUBSCRIPTION}/{id}"), None).body;
    assert!(paused["suspendedData"]["suspendedAt"].is_string(), "{paused}");
    let renewed = world.dev.server.call(&of.token, "POST", &format!("{SUBSCRIPTION}/{id}/renew"), None);
    assert_eq!(renewed.text("status"), "Suspended", "its owner does not undo it");
    world.call();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(receiver.count(), 0, "nothing is sent");
    let last = world.admin("GET", "/sessions?limit=1", &Value::Null, 200);
    let session = last["records"][0]["telephonySessionId"].as_str().expect("an id");
    let story = world.admin("GET", &format!("/sessions/{session}"), &Value::Null, 200).to_string();
    assert!(story.contains("the subscription is suspended: An operator has paused it"), "{story}");
    let token = world.home.made("admin_token");
    let listed = hookswitch(&["subscriptions", "list", "--server", &url, "--token", token]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(&id) && listed.contains("An operator has paused it"), "{listed}");
    command("resume");
    wait_for(|| (receiver.count() > 0).then_some(()), || "it goes on where it was".to_owned());

    // A user of the console acts on the own account alone.
    world.user(1102, json!({"console": "full", "password": super::access::PASSWORD}));
    let own = world.dev.server.sign_in("1001*102").text("access_token");
    let foreign = json!({"accountId": "2001", "console": "full", "password": super::access::PASSWORD});
    world.admin("PUT", "/users/2102", &foreign, 200);
    let foreign = world.dev.server.sign_in("2001*102").text("access_token");
    for (method, end) in [("POST", "/pause"), ("POST", "/resume"), ("DELETE", "")] {
        let path = format!("/admin/v1/subscriptions/{id}{end}");
        assert_eq!(world.dev.server.call(&foreign, method, &path, None).status, 404, "{method} {end}");
    }
    let pause = format!("/admin/v1/subscriptions/{id}/pause");
    assert_eq!(world.dev.server.call(&own, "POST", &pause, None).status, 200);
    command("delete");
    assert_eq!(
        world.dev.server.call(&of.token, "GET", &format!("{SUBSCRIPTION}/{id}"), None).error(),
        (404, "", "CMN-102")
    );
}
