//! Two tenants with the same numbers, over every way in and every way out: neither hears a word of the other.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver as Lines, channel};
use std::thread;
use std::time::Duration;

use hookswitch_server::secret::Digest;
use serde_json::{Value, json};

use super::access::PASSWORD;
use super::client::{Answer, call as call_with};
use super::reading::home;
use super::receiver::Receiver;
use super::socket::Socket;
use super::traffic::{Agent, Way, call as sip_call};
use super::wait_for;
use super::webhooks::{Dev, SESSIONS, SUBSCRIPTION};

/// A tenant, and what stands in its calls alone.
struct Tenant {
    account: u64,
    canary: &'static str,
    other: &'static str,
    host: [u8; 4],
    key: &'static str,
}

const TENANTS: [Tenant; 2] = [
    Tenant {
        account: 1001,
        canary: "+1415555777",
        other: "+1415555888",
        host: [127, 0, 0, 11],
        key: "first key",
    },
    Tenant {
        account: 2001,
        canary: "+1415555888",
        other: "+1415555777",
        host: [127, 0, 0, 12],
        key: "second key",
    },
];

/// The lines of a stream of server-sent events, as they come.
fn follow(to: std::net::SocketAddr, path: &str, token: &str) -> Lines<String> {
    let mut stream = TcpStream::connect(to).expect("it connects");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is sent");
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

#[test]
fn two_tenants_hear_nothing_of_each_other_by_any_way() {
    const CALLS: usize = 12;
    let home = home("tenants");
    let mut lines = String::new();
    for tenant in &TENANTS {
        let [a, b, c, d] = tenant.host;
        let account = format!(
            "[[hep.source]]\nname = \"hep-{0}\"\naddresses = [\"{a}.{b}.{c}.{d}\"]\naccount = {0}\n\
             [[ingest.key]]\nname = \"key-{0}\"\nsha256 = \"{1}\"\naccount = {0}\n",
            tenant.account,
            Digest::of(tenant.key.as_bytes())
        );
        lines.push_str(&account);
    }
    home.configure(&lines);
    let dev = Dev::start(&home);
    let (server, http) = (&dev.server, dev.server.http());
    let scopes =
        ["CallControl", "SubscriptionWebhook", "WebSocketsSubscription", "ReadPresence", "ReadAccounts"];
    let mut outs = BTreeMap::new();
    for tenant in &TENANTS {
        let extension = tenant.account + 100;
        let user = json!({"admin": true, "password": PASSWORD});
        let token = server.token(&home, (tenant.account, extension, user), &scopes);
        let receiver = Receiver::good();
        // Also by the id of the other's account, and of its extension.
        let other = TENANTS.iter().find(|other| other.account != tenant.account).expect("there are two");
        for foreign in [
            format!("/restapi/v1.0/account/{}/telephony/sessions", other.account),
            format!(
                "/restapi/v1.0/account/{}/extension/{}/telephony/sessions",
                other.account,
                other.account + 100
            ),
        ] {
            let body = json!({"eventFilters": [foreign],
                "deliveryMode": {"transportType": "WebHook", "address": receiver.url()}});
            assert_eq!(server.call(&token, "POST", SUBSCRIPTION, Some(&body)).error(), (403, "", "SUB-406"));
        }
        let others = format!("/restapi/v1.0/account/~/extension/{}/telephony/sessions", other.account + 100);
        let body = |filters: &[&str]| {
            json!({"eventFilters": filters,
                "deliveryMode": {"transportType": "WebHook", "address": receiver.url()}})
        };
        let refused = server.call(&token, "POST", SUBSCRIPTION, Some(&body(&[SESSIONS, &others])));
        assert_eq!(refused.error(), (403, "", "SUB-408"), "it is nobody's extension in this account");
        assert_eq!(server.call(&token, "POST", SUBSCRIPTION, Some(&body(&[SESSIONS]))).status, 200);
        let mut socket = Socket::open(http, &server.socket_token(&token), None);
        socket.expect("ConnectionDetails");
        socket.subscribe();
        let events = follow(http, "/events", &token);
        let console = server.sign_in(&format!("{}*101", tenant.account)).text("access_token");
        let live = follow(http, "/admin/v1/live", &console);
        outs.insert(tenant.account, (token, receiver, socket, events, console, live));
    }
    // Calls of both, at random beside each other, by HEP and by posts, which try the other's account too.
    let mut random = fastrand::Rng::with_seed(24);
    for number in 0..CALLS {
        for index in [0, 1].map(|first| (first + random.usize(..2)) % 2) {
            let tenant = &TENANTS[index];
            let socket = UdpSocket::bind((std::net::Ipv4Addr::from(tenant.host), 0)).expect("a free port");
            let mut agent = Agent::new(server.hep(), 1);
            let domains = [["one.example", "two.example"][index], "192.0.2.2", "elsewhere.example"];
            let domain = domains[random.usize(..3)];
            for (way, message) in sip_call(&format!("t{}-{number}", tenant.account)) {
                let caller = format!("<sip:{}{number:02}@{domain}>", tenant.canary);
                let message = with_caller(&message, way, &caller);
                socket.send_to(&agent.frame(way, &message), server.hep()).expect("it leaves");
            }
            let leg = format!("p{}-{number}", tenant.account);
            // A key that names an account is bound to it, whatever domain the caller claims.
            let claimed = ["one.example", "two.example"][random.usize(..2)];
            let caller = json!({"number": format!("{}{number:02}", tenant.canary), "host": claimed});
            let signal = |account: u64| {
                json!({"signals": [{"id": format!("{leg}-1"), "account": account, "leg": leg, "kind": "created",
                    "direction": "outbound", "callee": "102", "caller": caller}]})
            };
            let post =
                |account| call_with(http, tenant.key, "POST", "/ingest/v1/signals", Some(&signal(account)));
            let foreign: Answer = post(TENANTS[1 - index].account);
            assert_eq!(foreign.status, 403, "{foreign:?}");
            assert_eq!(post(tenant.account).status, 200);
        }
    }
    for tenant in &TENANTS {
        let (token, receiver, socket, events, console, live) =
            outs.get_mut(&tenant.account).expect("it is there");
        wait_for(|| (receiver.count() >= CALLS / 2).then_some(()), || format!("calls of {}", tenant.account));
        thread::sleep(Duration::from_secs(1));
        let mut heard: BTreeMap<&str, String> = BTreeMap::new();
        let posted: Vec<String> = receiver.notifications().iter().map(|posted| posted.text.clone()).collect();
        heard.insert("webhook", posted.concat());
        let mut frames = socket.take(CALLS / 2);
        socket.settle();
        frames.append(&mut socket.notifications);
        heard.insert("websocket", frames.iter().map(Value::to_string).collect());
        heard.insert("events", events.try_iter().collect());
        heard.insert("live", live.try_iter().collect());
        for (what, who, path) in [
            ("presence", &*token, "/restapi/v1.0/account/~/presence?detailedTelephonyState=true"),
            ("sessions", console, "/admin/v1/sessions?limit=200"),
            ("search", console, "/admin/v1/sessions?limit=200&total=true&text=1415555"),
            ("table", console, "/admin/v1/sessions.csv?number=1415555"),
            ("subscriptions", console, "/admin/v1/subscriptions"),
        ] {
            let answer = server.call(who, "GET", path, None);
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
            heard.insert(what, answer.text.clone());
        }
        let trial = json!({"eventFilters": [SESSIONS], "from": "2020-01-01T00:00:00Z"});
        heard.insert("trial", server.call(console, "POST", "/admin/v1/filter-trials", Some(&trial)).text);
        for (what, text) in &heard {
            assert!(!text.contains(tenant.other), "{what} of {} tells of the other", tenant.account);
        }
        let of_other =
            format!("/admin/v1/sessions?accountId={}", if tenant.account == 1001 { 2001 } else { 1001 });
        assert_eq!(server.call(console, "GET", &of_other, None).status, 404);
        let searched = server.call(console, "GET", "/admin/v1/sessions?limit=200&total=true", None).body;
        let listed = searched["records"].as_array().map(Vec::len);
        assert_eq!(
            searched["total"].as_u64(),
            listed.map(|count| count as u64),
            "calls of others are not counted"
        );
        for what in ["webhook", "websocket", "events", "live", "sessions", "search", "table"] {
            assert!(
                heard[what].contains(tenant.canary),
                "{what} of {} tells of its own calls",
                tenant.account
            );
        }
    }
}

/// A message of a call with another caller.
fn with_caller(message: &str, _: Way, caller: &str) -> String {
    let lines = message.split("\r\n").map(|line| match line.strip_prefix("From:") {
        Some(rest) => {
            let tag = rest.split_once(";tag=").map_or("", |(_, tag)| tag);
            format!("From: {caller};tag={tag}")
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n")
}
