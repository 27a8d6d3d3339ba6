//! Notifications of presence, rings and missed calls from end to end, by each way out.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::reading::{call, home};
use super::receiver::{Receiver, Reply};
use super::socket::Socket;
use super::webhooks::{Dev, SUBSCRIPTION, wait_for_count};
use super::{Home, Server, wait_for};

const OWN: &str = "/restapi/v1.0/account/~/extension/~";
const EVERYTHING: [&str; 5] =
    ["CallControl", "ReadAccounts", "ReadPresence", "SubscriptionWebhook", "WebSocketsSubscription"];

fn detailed() -> String {
    format!("{OWN}/presence?detailedTelephonyState=true&sipData=true")
}

/// The filters of all that happens to the calls of the user's extension.
fn filters() -> Vec<String> {
    let families = [
        "missed-calls",
        "start-ring",
        "stop-ring",
        "telephony?action=call-answered-elsewhere",
        "telephony/sessions",
    ];
    families.map(|family| format!("{OWN}/{family}")).into_iter().chain([detailed()]).collect()
}

#[track_caller]
fn subscribe(server: &Server, token: &str, receiver: &Receiver, filters: &[String]) -> String {
    let body = json!({"eventFilters": filters,
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()}});
    let answer = server.call(token, "POST", SUBSCRIPTION, Some(&body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("id")
}

/// The end of the path of a notification, without its query, and its body.
fn said(notification: &Value) -> (String, Value) {
    let event = notification["event"].as_str().expect("an event");
    let path = event.split('?').next().unwrap_or_default();
    let family = path.rsplit('/').next().unwrap_or_default();
    (family.to_owned(), notification["body"].clone())
}

/// The bodies of one family, in their order.
fn of_family(notifications: &[Value], family: &str) -> Vec<Value> {
    notifications.iter().map(said).filter(|(of, _)| of == family).map(|(_, body)| body).collect()
}

/// The telephony status of each notification of presence, with how its own call stands.
fn statuses(notifications: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let bodies = of_family(notifications, "presence");
    bodies.iter().map(|body| (text(&body["telephonyStatus"]), text(&body["presenceStatus"]))).collect()
}

pub(super) fn end(account: u64) -> Value {
    json!([
        {"id": format!("{account}-e1"), "account": account, "leg": format!("{account}-b"), "kind": "ended"},
        {"id": format!("{account}-e2"), "account": account, "leg": format!("{account}-a"), "kind": "ended"},
    ])
}

/// The same call as [`call`] in another session, of which the callee hears no more than the ring.
pub(super) fn missed(account: u64) -> Value {
    let mut signals = call(account);
    let signals = signals.as_array_mut().expect("signals");
    signals.truncate(3);
    let (a, b) = (format!("{account}-ma"), format!("{account}-mb"));
    for signal in signals.iter_mut() {
        let is_caller = signal["leg"].as_str().is_some_and(|leg| leg.ends_with("-a"));
        signal["id"] = json!(format!("m{}", signal["id"].as_str().unwrap_or_default()));
        signal["leg"] = json!(if is_caller { &a } else { &b });
        if signal.get("of").is_some() {
            signal["of"] = json!(a);
        }
    }
    signals.push(json!({"id": "m4", "account": account, "leg": b, "kind": "ended", "cause": "cancelled"}));
    signals.push(json!({"id": "m5", "account": account, "leg": a, "kind": "ended", "cause": "cancelled"}));
    json!(signals)
}

#[test]
fn an_extension_is_told_of_its_presence_rings_and_missed_calls_by_webhook() {
    let home = home("presence-webhook");
    let dev = Dev::start(&home);
    let server = &dev.server;
    let ann = server.token(&home, (1001, 1101, json!({"admin": true})), &EVERYTHING);
    let bo = server.token(&home, (1001, 1102, json!({})), &EVERYTHING);
    let cy = server.token(&home, (1001, 1103, json!({})), &EVERYTHING);
    let (own, all, others) = (Receiver::good(), Receiver::good(), Receiver::good());
    subscribe(server, &bo, &own, &filters());
    subscribe(server, &ann, &all, &["/restapi/v1.0/account/~/presence".to_owned()]);
    subscribe(server, &cy, &others, &filters());

    // Nobody hears of others without the right to.
    for (token, filter, status, code) in [
        (&bo, "/restapi/v1.0/account/~/presence", 403, "SUB-412"),
        (&bo, "/restapi/v1.0/account/~/extension/1101/presence", 403, "SUB-412"),
        (&bo, "/restapi/v1.0/account/~/extension/1101/missed-calls", 403, "SUB-412"),
        (&ann, "/restapi/v1.0/account/2001/presence", 403, "SUB-406"),
        (&ann, "/restapi/v1.0/account/~/extension/102/presence", 400, "SUB-408"),
        (&ann, "/restapi/v1.0/account/~/extension/2101/presence", 403, "SUB-408"),
        (&ann, "/restapi/v1.0/account/~/extension/9999/telephony/sessions", 403, "SUB-408"),
        (&ann, "/restapi/v1.0/account/~/extension/~/presence?sipData=1", 400, "SUB-508"),
    ] {
        let body = json!({"eventFilters": [filter],
            "deliveryMode": {"transportType": "WebHook", "address": own.url()}});
        assert_eq!(
            server.call(token, "POST", SUBSCRIPTION, Some(&body)).error(),
            (status, "", code),
            "{filter}"
        );
    }

    server.signals(&home, &call(1001));
    server.signals(&home, &call(2001));
    server.signals(&home, &end(1001));
    server.signals(&home, &missed(1001));
    // Of Bo's parties: four events of the call and three of the one that is missed; 3 + 2 of the presence,
    // two rings that begin and end, and one missed call.
    wait_for_count(&own, 7 + 5 + 4 + 1);
    let told: Vec<Value> = own.notifications().iter().map(super::receiver::Posted::json).collect();
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(
        statuses(&told),
        [
            pair("Ringing", "Available"),
            pair("CallConnected", "Busy"),
            pair("NoCall", "Available"),
            pair("Ringing", "Available"),
            pair("NoCall", "Available"),
        ]
    );
    let presence = of_family(&told, "presence");
    let sequences: Vec<u64> = presence.iter().filter_map(|body| body["sequence"].as_u64()).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next) && sequences.len() == 5, "{sequences:?}");
    let last = &presence[4]["activeCalls"][0];
    assert_eq!((&last["terminationType"], &last["telephonyStatus"]), (&json!("final"), &json!("NoCall")));
    for (family, action, count) in
        [("start-ring", "StartRing", 2), ("stop-ring", "StopRing", 2), ("missed-calls", "MissedCall", 1)]
    {
        let bodies = of_family(&told, family);
        assert_eq!(bodies.len(), count, "{family}");
        assert!(
            bodies.iter().all(|body| body["action"] == action && body["extensionId"] == "1102"),
            "{bodies:?}"
        );
    }
    assert_eq!(of_family(&told, "telephony"), Vec::<Value>::new(), "nobody answered elsewhere");
    assert_eq!(of_family(&told, "sessions").len(), 7);
    // What is told is what is read.
    let read = server.call(&bo, "GET", &format!("{OWN}/presence"), None);
    assert_eq!(read.body["telephonyStatus"], presence[4]["telephonyStatus"]);

    // Both extensions of the account are told to the administrator, and nothing to one who had no call.
    wait_for_count(&all, 10);
    let all: Vec<Value> = all.notifications().iter().map(super::receiver::Posted::json).collect();
    let of = |extension: &str| all.iter().filter(|one| one["body"]["extensionId"] == extension).count();
    assert_eq!((of("1101"), of("1102"), all.len()), (5, 5, 10));
    assert!(all.iter().all(|one| one["event"] == "/restapi/v1.0/account/1001/presence"));
    assert_eq!(others.count(), 0);

    // An explanation says which filter has let them pass, and that the others have not.
    let admin = home.made("admin_token");
    let sessions = server.call(admin, "GET", "/admin/v1/sessions?limit=1", None).body;
    let id = sessions["records"][0]["telephonySessionId"].as_str().expect("an id").to_owned();
    let path = format!("/admin/v1/sessions/{id}");
    let of_presence = |one: &Value| one["why"][0]["filter"] == "/restapi/v1.0/account/1001/presence";
    let verdicts = || -> Vec<(bool, String)> {
        let story = server.call(admin, "GET", &path, None).body;
        let all = story["deliveries"].as_array().cloned().unwrap_or_default();
        let text = |one: &Value| one["state"].as_str().unwrap_or_default().to_owned();
        all.iter().filter(|one| of_presence(one)).map(|one| (one["matched"] == true, text(one))).collect()
    };
    let explained = wait_for(
        || Some(verdicts()).filter(|all| all.iter().all(|(_, state)| state != "queued")),
        || "all that was sent is written down".to_owned(),
    );
    assert!(explained.iter().any(|(matched, _)| *matched), "{explained:?}");
    for (matched, state) in &explained {
        assert_eq!(state, if *matched { "delivered" } else { "notMatched" }, "{explained:?}");
    }

    // A trial of the same filters counts what was told.
    let tried = json!({"eventFilters": ["/restapi/v1.0/account/~/presence",
        "/restapi/v1.0/account/~/extension/1102/presence", "/restapi/v1.0/account/~/extension/1102/missed-calls",
        "/restapi/v1.0/account/~/extension/1102/start-ring"], "accountId": "1001"});
    let trial = server.call(home.made("admin_token"), "POST", "/admin/v1/filter-trials", Some(&tried)).body;
    let counts: Vec<&Value> =
        trial["byFilter"].as_array().expect("counts").iter().map(|one| &one["matched"]).collect();
    assert_eq!(counts, [10, 5, 1, 2], "{trial}");
    assert_eq!(trial["sample"].as_array().map(Vec::len), Some(10), "{trial}");
}

#[test]
fn presence_and_rings_are_sent_again_on_request_as_they_were_told() {
    let home = home("presence-redelivery");
    let dev = Dev::start(&home);
    let server = &dev.server;
    let bo = server.token(&home, (1001, 1102, json!({})), &EVERYTHING);
    let receiver = Receiver::good();
    let id = subscribe(server, &bo, &receiver, &filters());
    server.signals(&home, &call(1001));
    server.signals(&home, &end(1001));
    server.signals(&home, &missed(1001));
    let count = 7 + 5 + 4 + 1;
    wait_for_count(&receiver, count);
    let admin = home.made("admin_token");
    let call = |body: &Value| server.call(admin, "POST", "/admin/v1/redeliveries", Some(body));
    let all = json!({"subscriptionId": id, "from": "2020-01-01T00:00:00Z", "preview": true});
    assert_eq!(call(&all).body["count"], count);
    let all = json!({"subscriptionId": id, "from": "2020-01-01T00:00:00Z"});
    assert_eq!(call(&all).status, 201);
    wait_for_count(&receiver, 2 * count);
    let posted = receiver.notifications();
    let told = |again: bool| {
        let of = posted.iter().filter(|one| one.headers.contains_key("hookswitch-replay") == again);
        let mut all: Vec<Value> = of.map(super::receiver::Posted::json).collect();
        for one in &mut all {
            one["timestamp"] = Value::Null; // when it was sent
        }
        all.sort_by_key(|one| one["uuid"].to_string());
        all
    };
    assert_eq!(told(true), told(false));
}

#[test]
fn presence_that_was_not_delivered_is_told_from_the_log_after_a_crash() {
    let home = home("presence-crash");
    let down = Arc::new(AtomicBool::new(false));
    let receiver = {
        let down = down.clone();
        Receiver::new(
            move |posted| {
                if down.load(Ordering::Relaxed) { Reply::Status(503) } else { Reply::good(posted) }
            },
        )
    };
    let mut dev = Dev::start(&home);
    let bo = dev.server.token(&home, (1001, 1102, json!({})), &EVERYTHING);
    subscribe(&dev.server, &bo, &receiver, &[detailed()]);
    down.store(true, Ordering::Relaxed);
    dev.server.signals(&home, &call(1001));
    wait_for_count(&receiver, 1);
    dev.server.kill();
    down.store(false, Ordering::Relaxed);
    let refused = receiver.count();
    let dev = Dev::start(&home);
    dev.server.signals(&home, &end(1001));
    wait_for_count(&receiver, refused + 3);
    let told: Vec<Value> =
        receiver.notifications()[refused..].iter().map(super::receiver::Posted::json).collect();
    let words: Vec<String> = statuses(&told).into_iter().map(|(telephony, _)| telephony).collect();
    assert_eq!(words, ["Ringing", "CallConnected", "NoCall"]);
    // What was refused before is the same as what was taken then.
    let first = receiver.notifications()[0].json();
    assert_eq!((&first["uuid"], &first["body"]), (&told[0]["uuid"], &told[0]["body"]));
}

#[test]
fn sockets_and_streams_are_told_the_same_and_go_on_behind_what_they_have() {
    let home = home("presence-socket");
    let server = Server::start(&home);
    let bo = server.token(&home, (1001, 1102, json!({})), &EVERYTHING);
    let open = |wsc: Option<&str>| Socket::open(server.http(), &server.socket_token(&bo), wsc);
    let mut socket = open(None);
    socket.expect("ConnectionDetails");
    let body = json!({"eventFilters": filters(), "deliveryMode": {"transportType": "WebSocket"}});
    let answer = socket.request("POST", SUBSCRIPTION, Some(body));
    assert_eq!(answer[0]["status"], 200, "{answer}");
    server.signals(&home, &call(1001));
    // Three events of the session, two of the presence, a ring that begins and one that ends.
    let mut frames: Vec<Value> = socket.take(7).iter().map(|frame| frame[1].clone()).collect();
    let (wsc, _) = socket.cut().expect("a handle");
    server.signals(&home, &end(1001));
    server.signals(&home, &missed(1001));
    let mut socket = open(Some(&wsc));
    let details = socket.expect("ConnectionDetails");
    assert_eq!(details[1]["recoveryState"], "Successful", "{details}");
    frames.extend(socket.take(10).iter().map(|frame| frame[1].clone()));
    socket.settle();
    assert!(socket.notifications.is_empty());
    let words: Vec<String> = statuses(&frames).into_iter().map(|(telephony, _)| telephony).collect();
    assert_eq!(words, ["Ringing", "CallConnected", "NoCall", "Ringing", "NoCall"]);

    let streamed = stream(&home, &server, &bo, 17);
    let bodies = |all: &[Value]| all.iter().map(|one| one["body"].clone()).collect::<Vec<_>>();
    assert_eq!(bodies(&streamed), bodies(&frames));
}

/// The notifications of a stream from the beginning of the log.
#[track_caller]
fn stream(home: &Home, server: &Server, token: &str, count: usize) -> Vec<Value> {
    home.events_at_least(1);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("lastEventId", "0");
    for filter in filters() {
        query.append_pair("eventFilters", &filter);
    }
    let mut stream = TcpStream::connect(server.http()).expect("it listens");
    stream.set_read_timeout(Some(super::PATIENCE)).expect("it can be set");
    let query = query.finish();
    let head = format!("GET /events?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("it is sent");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let data =
        lines.filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).expect("JSON")));
    data.take(count).collect()
}
