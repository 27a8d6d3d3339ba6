//! Webhooks from end to end: subscriptions over the API, calls in HEP, and what receivers get.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Answer;
use super::receiver::{Posted, Receiver, Reply, now};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, hookswitch, wait_for};

pub(super) const SUBSCRIPTION: &str = "/restapi/v1.0/subscription";
pub(super) const SESSIONS: &str = "/restapi/v1.0/account/~/telephony/sessions";

/// A server for development, and a token of its first user.
pub(super) struct Dev {
    pub(super) server: Server,
    pub(super) token: String,
}

impl Dev {
    #[track_caller]
    pub(super) fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    #[track_caller]
    pub(super) fn start_with(home: &Home, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch"));
        command.arg("serve").arg("--dev").arg("--config").arg(home.config());
        let server = Server::spawn(&mut command, variables);
        let token = server.log_in(home).text("access_token");
        Self { server, token }
    }

    #[track_caller]
    pub(super) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.server.call(&self.token, method, path, body)
    }

    pub(super) fn ask(&self, delivery: &Value, filters: &[&str]) -> Answer {
        let body = json!({"eventFilters": filters, "deliveryMode": delivery});
        self.call("POST", SUBSCRIPTION, Some(&body))
    }

    /// Subscribes a receiver, and gives the subscription.
    #[track_caller]
    pub(super) fn subscribe(&self, receiver: &Receiver) -> Value {
        let answer = self.ask(&json!({"transportType": "WebHook", "address": receiver.url()}), &[SESSIONS]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(super) fn agent(&self) -> Agent {
        Agent::new(self.server.hep(), 1)
    }

    /// Returns what became of notifications; checks that the counts balance, as they do at rest.
    #[track_caller]
    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.counts_on_the_way();
        let settled = ["acknowledged", "expired", "dropped", "pending"].map(|stage| counts[stage]);
        assert_eq!(counts["matched"], settled.iter().sum::<u64>(), "{counts:?}");
        counts
    }

    /// The same while notifications are on their way, when one may be between two counts.
    #[track_caller]
    fn counts_on_the_way(&self) -> BTreeMap<&'static str, u64> {
        let (_, text) = self.server.get("/metrics");
        let text = text.as_str().expect("text").to_owned();
        let of = |name: &str| -> u64 {
            let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(key, _)| key == name));
            line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
        };
        let stages = ["matched", "attempted", "acknowledged", "failed", "expired", "dropped"];
        let mut counts: BTreeMap<_, _> = stages
            .map(|stage| (stage, of(&format!("hookswitch_webhook_notifications_total{{stage=\"{stage}\"}}"))))
            .into();
        counts.insert("pending", of("hookswitch_webhook_notifications_pending"));
        counts
    }
}

/// Sends calls, a few messages at a time so that none is lost.
pub(super) fn place(agent: &mut Agent, ids: impl Iterator<Item = String>) {
    for id in ids {
        for (way, message) in call(&id) {
            agent.send(way, &message);
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Waits until a receiver has so many notifications.
#[track_caller]
pub(super) fn wait_for_count(receiver: &Receiver, count: usize) {
    let enough = || (receiver.count() >= count).then_some(());
    wait_for(enough, || format!("{count} notifications, of which {} came", receiver.count()));
}

/// Checks that the sequences of each session rise by the order of arrival, and gives how many there are.
#[track_caller]
fn check_order<'a>(posted: impl IntoIterator<Item = &'a Posted>) -> usize {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for one in posted {
        let (session, sequence) = one.event();
        let before = last.insert(session.clone(), sequence).unwrap_or(1);
        assert_eq!(sequence, before + 1, "{session}");
    }
    last.len()
}

#[test]
fn a_subscriber_gets_what_replay_prints() {
    let home = Home::new("webhook-replay");
    let dev = Dev::start(&home);
    let receiver = Receiver::good();
    let delivery = json!({
        "transportType": "WebHook", "address": receiver.url(), "verificationToken": "open sesame",
    });
    let answer = dev.ask(&delivery, &[SESSIONS]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let capture = "captures/answered-call.pcap";
    let printed = hookswitch(&["replay", capture]).stdout;
    let printed: Vec<Value> =
        String::from_utf8_lossy(&printed).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    dev.server.play(capture);
    wait_for_count(&receiver, printed.len());
    let notifications = receiver.notifications();
    assert_eq!(notifications.len(), printed.len());
    for (posted, printed) in notifications.iter().zip(&printed) {
        let header = |name: &str| posted.headers.get(name).map_or("", String::as_str);
        assert_eq!(header("content-type"), "application/json; charset=UTF-8");
        assert_eq!(header("accept"), "application/json");
        assert_eq!(header("accept-encoding"), "UTF-8");
        assert!(header("user-agent").starts_with("RingCentral-Webhook/"), "{}", header("user-agent"));
        assert_eq!(header("verification-token"), "open sesame");
        assert!(!posted.headers.contains_key("validation-token"));
        let posted = posted.json();
        assert_eq!(posted["subscriptionId"], answer.body["id"]);
        // What depends on the account, on names given by hash and on when it was sent is set apart.
        let comparable = |value: &Value| {
            let mut body = value["body"].clone();
            for key in ["telephonySessionId", "sessionId", "eventTime"] {
                body[key].take();
            }
            let party = &mut body["parties"][0];
            for key in ["id", "accountId"] {
                party[key].take();
            }
            for key in ["to", "from"] {
                if let Some(side) = party[key].as_object_mut() {
                    side.remove("extensionId");
                    side.remove("deviceId");
                }
            }
            if let Some(party) = party.as_object_mut() {
                party.remove("extensionId");
            }
            body["parties"][0]["status"]["mobilePickupData"].take();
            body
        };
        assert_eq!(comparable(&posted), comparable(printed));
    }
    assert_eq!(check_order(&notifications), 1);
    let counts = dev.counts();
    assert_eq!((counts["acknowledged"], counts["pending"]), (printed.len() as u64, 0));
    dev.server.stop();
}

#[test]
fn a_receiver_is_asked_first_and_every_failure_has_its_code() {
    let home = Home::new("webhook-handshake");
    let dev = Dev::start(&home);
    let echo = |posted: &Posted| ("Validation-Token", posted.token().unwrap_or_default().to_owned());
    let refused = |receiver: &Receiver| {
        let answer = dev.ask(&json!({"transportType": "WebHook", "address": receiver.url()}), &[SESSIONS]);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(!answer.text("message").is_empty());
        answer.text("errorCode")
    };
    // Echoed or not; 200 or another; in time or late; short or long by body or head; any content type.
    dev.subscribe(&Receiver::new(move |posted| Reply::Full(200, vec![echo(posted)], String::new())));
    assert_eq!(refused(&Receiver::new(|_| Reply::Status(200))), "SUB-520");
    let other = |_: &Posted| Reply::Full(200, vec![("Validation-Token", "other".into())], String::new());
    assert_eq!(refused(&Receiver::new(other)), "SUB-520");
    for status in [201, 204, 301, 302, 307, 308, 400, 500] {
        let receiver = Receiver::new(move |posted| Reply::Full(status, vec![echo(posted)], String::new()));
        assert_eq!(refused(&receiver), "SUB-522", "{status}");
    }
    let started = now();
    assert_eq!(refused(&Receiver::new(|_| Reply::Hang)), "SUB-521");
    assert!((2900..4500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(refused(&Receiver::new(|_| Reply::Reset)), "SUB-521");
    let sized = |bytes: usize| {
        Receiver::new(move |posted: &Posted| {
            // What the head of such an answer has without the body.
            let head = 95 + posted.token().map_or(0, str::len);
            Reply::Full(200, vec![echo(posted)], "x".repeat(bytes - head))
        })
    };
    dev.subscribe(&sized(1000));
    assert_eq!(refused(&sized(1100)), "SUB-525");
    let long_head = move |posted: &Posted| {
        Reply::Full(200, vec![echo(posted), ("X-Long", "x".repeat(1000))], String::new())
    };
    assert_eq!(refused(&Receiver::new(long_head)), "SUB-525");
    let html = move |posted: &Posted| {
        Reply::Full(200, vec![echo(posted), ("Content-Type", "text/html".into())], "<p>ok</p>".into())
    };
    dev.subscribe(&Receiver::new(html));
    // Nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = json!({"transportType": "WebHook", "address": format!("http://{free}/")});
    assert_eq!(dev.ask(&closed, &[SESSIONS]).text("errorCode"), "SUB-521");
    let answer = dev.call("GET", SUBSCRIPTION, None);
    assert_eq!(answer.body["records"].as_array().map(Vec::len), Some(3), "only those that passed are there");
}

#[test]
fn a_subscription_is_created_read_renewed_and_deleted_by_its_owner() {
    let home = Home::new("webhook-lifetime");
    let dev = Dev::start(&home);
    let receiver = Receiver::good();
    let body = json!({
        "eventFilters": [
            format!("{SESSIONS}?statusCode=Answered"),
            "/restapi/v1.0/account/~/extension/~/message-store",
            "/restapi/v1.0/subscription/~?threshold=60&interval=15",
        ],
        "deliveryMode": {"transportType": "webhook", "address": receiver.url(), "encryption": "true",
            "verificationToken": "hush"},
        "expiresIn": 3600,
    });
    let created = dev.call("POST", &format!("{SUBSCRIPTION}/"), Some(&body));
    assert_eq!(created.status, 200, "{created:?}");
    assert!(!created.text.contains("hush"), "the token is not shown");
    let (id, one) = (created.text("id"), &created.body);
    assert_eq!((one["status"].as_str(), one["expiresIn"].as_u64()), (Some("Active"), Some(3599)));
    assert_eq!(one["deliveryMode"]["transportType"], "WebHook");
    assert_eq!(one["deliveryMode"]["encryption"], false);
    assert_eq!(one["eventFilters"].as_array().map(Vec::len), Some(3));
    assert!(!one["eventFilters"][0].as_str().unwrap().contains('~'), "{one}");
    assert!(!one["eventFilters"][1].as_str().unwrap().contains('~'), "{one}");
    assert!(one["eventFilters"][2].as_str().unwrap().contains(&id), "{one}");
    assert!(one["uri"].as_str().unwrap().ends_with(&format!("{SUBSCRIPTION}/{id}")));
    let at = format!("{SUBSCRIPTION}/{id}");
    assert_eq!(dev.call("GET", &at, None).text("id"), id);

    // What was shown can be sent back, and an empty body renews.
    let update =
        json!({"eventFilters": one["eventFilters"], "expiresIn": 7200, "deliveryMode": {"address": "x"}});
    let updated = dev.call("PUT", &format!("{at}/"), Some(&update));
    assert_eq!((updated.status, updated.body["expiresIn"].as_u64()), (200, Some(7199)), "{updated:?}");
    assert_eq!(updated.body["deliveryMode"], one["deliveryMode"]);
    for (method, path) in [("PUT", at.clone()), ("POST", format!("{at}/renew"))] {
        let renewed = dev.call(method, &path, None);
        assert_eq!((renewed.status, renewed.body["expiresIn"].as_u64()), (200, Some(7199)), "{renewed:?}");
        assert_eq!(renewed.body["eventFilters"], one["eventFilters"]);
    }
    let deleted = dev.call("DELETE", &at, None);
    assert_eq!((deleted.status, &*deleted.text), (204, ""));
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(dev.call(method, &at, None).error(), (404, "", "CMN-102"), "{method}");
    }
    let none = dev.call("GET", &format!("{SUBSCRIPTION}?perPage=MAX"), None);
    assert_eq!((&none.body["records"], &none.body["paging"]["totalPages"]), (&json!([]), &json!(1)));
}

#[test]
fn bad_requests_get_the_documented_errors() {
    let home = Home::new("webhook-errors");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__SUBSCRIPTIONS_MAX", "1")]);
    let receiver = Receiver::good();
    let hook = json!({"transportType": "WebHook", "address": receiver.url()});
    let address = |address: &str| json!({"transportType": "WebHook", "address": address});
    let reminder = "/restapi/v1.0/subscription/~?threshold=10&interval=9";
    for (delivery, filters, status, code) in [
        (&hook, vec![], 400, "CMN-101"),
        (&hook, vec!["/restapi/v1.0/nonsense"], 400, "SUB-508"),
        (&hook, vec![SESSIONS, "/restapi/v1.0/account/~/telephony/session"], 400, "SUB-508"),
        (&hook, vec!["/restapi/v1.0/account/~/extension/101/telephony/sessions"], 400, "SUB-408"),
        (&hook, vec!["/restapi/v1.0/account/1/extension/~/presence"], 403, "SUB-406"),
        (&hook, vec!["/restapi/v1.0/account/~/telephony/sessions?statusCode=Ringing"], 400, "SUB-508"),
        (&hook, vec!["/restapi/v1.0/account/1/telephony/sessions"], 403, "SUB-406"),
        (&hook, vec![reminder], 400, "SUB-516"),
        (&json!({}), vec![SESSIONS], 400, "CMN-101"),
        (&json!({"transportType": "PubNub"}), vec![SESSIONS], 400, "CMN-101"),
        (&json!({"transportType": "WebSocket"}), vec![SESSIONS], 400, "CMN-101"),
        (&json!({"transportType": "WebHook"}), vec![SESSIONS], 400, "CMN-101"),
        (&address("hook.example"), vec![SESSIONS], 400, "CMN-101"),
        (&address("ftp://hook.example/"), vec![SESSIONS], 400, "CMN-101"),
        (&address("https://10.0.0.1/"), vec![SESSIONS], 400, "SUB-521"),
        (&address("https://hook.invalid/"), vec![SESSIONS], 400, "SUB-521"),
        (
            &json!({"transportType": "WebHook", "address": receiver.url(), "signingSecret": "x"}),
            vec![SESSIONS],
            400,
            "CMN-101",
        ),
    ] {
        let answer = dev.ask(delivery, &filters);
        assert_eq!(answer.error(), (status, "", code), "{delivery} {filters:?}: {answer:?}");
        assert!(!answer.text("message").is_empty());
        let field = if code == "SUB-521" { "deliveryMode.address" } else { "eventFilters" };
        if code.starts_with("SUB") {
            assert_eq!(answer.body["parameterName"], field, "{answer:?}");
        }
    }
    for (body, field) in [
        (json!({"eventFilters": "x"}), "eventFilters"),
        (json!({"eventFilters": [1]}), "eventFilters"),
        (json!({"eventFilters": [SESSIONS], "expiresIn": "soon"}), "expiresIn"),
        (json!({"eventFilters": [SESSIONS], "deliveryMode": "WebHook"}), "deliveryMode"),
        (
            json!({"eventFilters": [SESSIONS], "deliveryMode": {"transportType": 1}}),
            "deliveryMode.transportType",
        ),
    ] {
        let answer = dev.call("POST", SUBSCRIPTION, Some(&body));
        assert_eq!(answer.error(), (400, "", "CMN-101"), "{body}");
        assert_eq!(answer.body["parameterName"], field, "{answer:?}");
        assert!(answer.text("message").contains("must be"), "{answer:?}");
    }
    let bearer = format!("Bearer {}", dev.token);
    for (body, code) in
        [("{", "CMN-103"), ("", "CMN-103"), ("[]", "CMN-101"), (r#"{"expiresIn":"x"}"#, "CMN-101")]
    {
        let (status, answer) =
            dev.server.request("POST", SUBSCRIPTION, &[("Authorization", &bearer)], body.as_bytes());
        assert_eq!((status, answer["errorCode"].as_str()), (400, Some(code)), "{body}: {answer}");
    }
    let (status, _) = dev.server.request("GET", SUBSCRIPTION, &[("Authorization", "Bearer x")], b"");
    assert_eq!(status, 401);
    dev.subscribe(&receiver);
    assert_eq!(dev.ask(&hook, &[SESSIONS]).error(), (403, "", "SUB-505"));
    for id in ["~", "x", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(dev.call("GET", &format!("{SUBSCRIPTION}/{id}"), None).error(), (404, "", "CMN-102"));
    }
    assert_eq!(receiver.all().len(), 1, "one handshake, of the one that was created");
}

#[test]
fn an_access_token_that_has_expired_opens_no_subscriptions() {
    let home = Home::new("webhook-expired-token");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_OAUTH__ACCESS_TOKEN_LIFE", "1s")]);
    let expired = || {
        let answer = dev.call("GET", SUBSCRIPTION, None);
        (answer.status != 200).then_some(answer)
    };
    let answer = wait_for(expired, || "the end of the token".into());
    assert_eq!((answer.status, answer.text("errorCode")), (401, "TokenInvalid".into()), "{answer:?}");
    assert_eq!(answer.body["errors"][0]["errorCode"], "OAU-128");
}

#[test]
fn without_the_development_profile_only_public_https_addresses_are_taken() {
    let home = Home::new("webhook-public");
    let server = Server::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__TIMEOUT", "500ms")]);
    let token = server.log_in(&home).text("access_token");
    let receiver = Receiver::good();
    let mut took = Vec::new();
    let mut said = BTreeSet::new();
    for (address, code) in [
        (receiver.url(), "SUB-523"),
        (format!("https://{}/", receiver.address), "SUB-521"),
        ("https://localhost/".into(), "SUB-521"),
        ("https://hook.invalid/".into(), "SUB-521"),
    ] {
        let body = json!({"eventFilters": [SESSIONS],
            "deliveryMode": {"transportType": "WebHook", "address": address}});
        let started = now();
        let answer = server.call(&token, "POST", SUBSCRIPTION, Some(&body));
        assert_eq!(answer.error(), (400, "", code), "{address}: {answer:?}");
        if code == "SUB-521" {
            took.push(started.elapsed());
            said.insert(answer.text("message"));
        }
    }
    assert_eq!(said.len(), 1, "what is forbidden cannot be told from what does not answer");
    assert_eq!(receiver.connections(), 0);
    // The first was known to be forbidden by its text alone.
    assert!(took[1..].iter().all(|took| *took >= Duration::from_millis(500)), "{took:?}");
}

#[test]
fn a_notification_that_fails_is_sent_again_with_the_same_uuid_before_its_successors() {
    let home = Home::new("webhook-retry");
    let waits = [("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"200ms\"]"), ("HOOKSWITCH_WEBHOOKS__TIMEOUT", "1s")];
    let dev = Dev::start_with(&home, &waits);
    let seen = Mutex::new(BTreeMap::<String, usize>::new());
    // Each notification fails in four ways before it is taken.
    let receiver = Receiver::new(move |posted| {
        if posted.token().is_some() {
            return Reply::good(posted);
        }
        let mut seen = seen.lock().expect("no panic");
        let attempts = seen.entry(posted.text_id()).or_default();
        *attempts += 1;
        match *attempts {
            1 => Reply::Status(500),
            2 => Reply::Reset,
            3 => Reply::Hang,
            4 => Reply::Full(302, vec![("Location", "/elsewhere".into())], String::new()),
            _ => Reply::Status(204),
        }
    });
    dev.subscribe(&receiver);
    place(&mut dev.agent(), ["retried".to_owned()].into_iter());
    wait_for_count(&receiver, 5 * EVENTS_OF_CALL);
    wait_for(|| (dev.counts_on_the_way()["pending"] == 0).then_some(()), || "all to be delivered".into());
    let notifications = receiver.notifications();
    assert_eq!(notifications.len(), 5 * EVENTS_OF_CALL);
    assert!(notifications.iter().all(|posted| posted.path == "/hook"), "redirects are not followed");
    let attempts: Vec<_> = notifications.chunks(5).collect();
    for five in &attempts {
        assert_eq!(five.iter().map(Posted::text_id).collect::<BTreeSet<_>>().len(), 1);
    }
    assert_eq!(check_order(attempts.iter().map(|five| &five[0])), 1);
    let counts = dev.counts();
    assert_eq!(
        (counts["attempted"], counts["failed"]),
        (5 * EVENTS_OF_CALL as u64, 4 * EVENTS_OF_CALL as u64)
    );
}

impl Posted {
    fn text_id(&self) -> String {
        self.json()["uuid"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn events_of_two_thousand_sessions_arrive_in_order_at_a_receiver_that_is_not_always_well() {
    const CALLS: usize = 2000;
    let home = Home::new("webhook-order");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"50ms\"]")]);
    let turn = AtomicUsize::new(0);
    let receiver = Receiver::new(move |posted| match turn.fetch_add(1, Ordering::Relaxed) % 50 {
        7 if posted.token().is_none() => Reply::Status(503),
        9 if posted.token().is_none() => Reply::Reset,
        _ => Reply::good(posted),
    });
    dev.subscribe(&receiver);
    let started = now();
    place(&mut dev.agent(), (0..CALLS).map(|number| format!("order-{number}")));
    let total = (CALLS * EVENTS_OF_CALL) as u64;
    let done = || (dev.counts_on_the_way()["acknowledged"] >= total).then_some(());
    for _ in 0..4 {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_for(done, || "all".into()))).is_ok()
        {
            break;
        }
    }
    let counts = dev.counts();
    assert_eq!((counts["acknowledged"], counts["pending"]), (total, 0), "{counts:?}");
    println!("{CALLS} sessions, {total} notifications in {:?}", started.elapsed());
    // Of what was sent again the last counts: it is what the receiver has taken.
    let notifications = receiver.notifications();
    let mut taken = BTreeMap::new();
    for (index, posted) in notifications.iter().enumerate() {
        taken.insert(posted.text_id(), index);
    }
    let mut order: Vec<usize> = taken.into_values().collect();
    order.sort_unstable();
    assert_eq!(order.len() as u64, total);
    assert_eq!(check_order(order.into_iter().map(|index| &notifications[index])), CALLS);
}

#[test]
fn black_holes_cost_the_others_nothing() {
    let home = Home::new("webhook-isolation");
    let dev = Dev::start(&home);
    let good: Vec<Receiver> = (0..18).map(|_| Receiver::good()).collect();
    let run = |label: &str| -> (Duration, Duration) {
        let before = good[0].count();
        let mut agent = dev.agent();
        let mut sent: BTreeMap<u64, Instant> = BTreeMap::new();
        for number in 0..60_u64 {
            sent.insert(number, now());
            for (way, message) in call(&format!("{label}-{number}")) {
                agent.send(way, &message);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        for receiver in &good {
            wait_for_count(receiver, before + 60 * EVENTS_OF_CALL);
        }
        // By the first event of each call, in the order in which the calls were placed.
        let mut waits: Vec<Duration> = Vec::new();
        for receiver in &good {
            let notifications = receiver.notifications();
            let firsts = notifications[before..].iter().filter(|posted| posted.event().1 == 2);
            waits.extend(
                firsts.zip(sent.values()).map(|(posted, sent)| posted.at.saturating_duration_since(*sent)),
            );
        }
        waits.sort_unstable();
        (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
    };
    for receiver in &good {
        dev.subscribe(receiver);
    }
    let (alone_median, alone) = run("alone");
    let hole =
        Receiver::new(|posted| if posted.token().is_some() { Reply::good(posted) } else { Reply::Hang });
    let drip = Receiver::new(|posted| match posted.token() {
        Some(_) => Reply::good(posted),
        None => Reply::Slowly(200, "x".repeat(600)),
    });
    dev.subscribe(&hole);
    dev.subscribe(&drip);
    let (beside_median, beside) = run("beside");
    println!(
        "first event to 18 receivers: alone p50 {alone_median:?} p99 {alone:?}, beside p50 {beside_median:?} p99 {beside:?}"
    );
    // Generous against the noise of a busy machine; a black hole that held anybody up would cost 3 s.
    assert!(beside < alone * 3 + Duration::from_millis(250), "{beside:?} against {alone:?}");
    for receiver in &good {
        assert_eq!(check_order(&receiver.notifications()), 120);
    }
}

#[test]
fn a_dead_receiver_is_blacklisted_and_gets_all_when_it_is_back() {
    let home = Home::new("webhook-blacklist");
    let variables = [
        ("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"100ms\"]"),
        ("HOOKSWITCH_WEBHOOKS__BLACKLIST_AFTER", "1s"),
        ("HOOKSWITCH_WEBHOOKS__REVALIDATE_EVERY", "1h"),
    ];
    let dev = Dev::start_with(&home, &variables);
    let well = std::sync::Arc::new(AtomicBool::new(true));
    let state = well.clone();
    let receiver =
        Receiver::new(
            move |posted| {
                if state.load(Ordering::Relaxed) { Reply::good(posted) } else { Reply::Status(500) }
            },
        );
    let id = dev.subscribe(&receiver)["id"].as_str().unwrap().to_owned();
    let at = format!("{SUBSCRIPTION}/{id}");
    well.store(false, Ordering::Relaxed);
    let mut agent = dev.agent();
    place(&mut agent, ["before".to_owned()].into_iter());
    let black = wait_for(
        || Some(dev.call("GET", &at, None).body).filter(|one| one["status"] == "Blacklisted"),
        || "the blacklisting".into(),
    );
    let reason = black["blacklistedData"]["reason"].as_str().unwrap();
    assert!(reason.contains("code: [500]"), "{reason}");
    assert!(black["blacklistedData"]["blacklistedAt"].as_str().unwrap().ends_with('Z'));
    place(&mut agent, ["meanwhile".to_owned()].into_iter());
    // While it fails, renewing does not help.
    assert_eq!(dev.call("POST", &format!("{at}/renew"), None).text("status"), "Blacklisted");
    well.store(true, Ordering::Relaxed);
    let tried = receiver.count();
    assert_eq!(dev.call("POST", &format!("{at}/renew"), None).text("status"), "Active");
    wait_for_count(&receiver, tried + 2 * EVENTS_OF_CALL);
    let notifications = receiver.notifications();
    assert_eq!(check_order(&notifications[tried..]), 2);
    let shown = wait_for(
        || Some(dev.call("GET", &at, None).body).filter(|one| one["status"] == "Active"),
        || "the status".into(),
    );
    assert!(shown.get("blacklistedData").is_none());
    wait_for(|| (dev.counts_on_the_way()["pending"] == 0).then_some(()), || "nothing pending".into());
}

#[test]
fn a_server_that_is_killed_while_it_delivers_skips_nothing() {
    const KILLS: usize = 30;
    let home = Home::new("webhook-kills");
    let receiver = Receiver::new(|posted| {
        // The answer leaves late enough for the server to be killed before it is recorded.
        std::thread::sleep(Duration::from_millis(2));
        Reply::good(posted)
    });
    let mut dev = Dev::start(&home);
    dev.subscribe(&receiver);
    let mut agent = dev.agent();
    for kill in 0..KILLS {
        place(&mut agent, (0..20).map(|number| format!("kill-{kill}-{number}")));
        // Between nothing and all of it is delivered.
        let before = receiver.count();
        std::thread::sleep(Duration::from_millis(kill as u64 * 7 % 60));
        wait_for(|| (receiver.count() > before || kill % 3 == 0).then_some(()), || "a delivery".into());
        dev.server.kill();
        dev = Dev::start(&home);
        agent.send_to(dev.server.hep());
    }
    wait_for(|| (dev.counts_on_the_way()["pending"] == 0).then_some(()), || "all to be delivered".into());
    let logged = home.store("events");
    let wanted: BTreeSet<(String, u64)> = logged
        .lines()
        .map(|line| {
            let body = &serde_json::from_str::<Value>(line).unwrap()["body"];
            (body["telephonySessionId"].as_str().unwrap().to_owned(), body["sequence"].as_u64().unwrap())
        })
        .collect();
    let all = || {
        let got: BTreeSet<(String, u64)> = receiver.notifications().iter().map(Posted::event).collect();
        (got == wanted).then_some(())
    };
    wait_for(all, || format!("{} events", wanted.len()));
    // The first time that each event came, in the order of its session; a repeat has the same uuid.
    let (mut first, mut last) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
    let notifications = receiver.notifications();
    for posted in &notifications {
        let (session, sequence) = posted.event();
        let uuid = posted.text_id();
        if let Some(known) = first.insert((session.clone(), sequence), uuid.clone()) {
            assert_eq!(known, uuid);
            continue;
        }
        let before = last.insert(session.clone(), sequence).unwrap_or(1);
        assert_eq!(sequence, before + 1, "{session}");
    }
    let repeats = notifications.len() - wanted.len();
    println!("{KILLS} kills, {} events, {repeats} of them sent again", wanted.len());
    assert!(wanted.len() > KILLS * 20, "calls were seen between the kills");
}

#[test]
fn a_receiver_that_was_away_gets_everything_in_order() {
    let home = Home::new("webhook-away");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"200ms\"]")]);
    let well = std::sync::Arc::new(AtomicBool::new(true));
    // What it has taken; which of those that arrive it will take is known when it answers, and not before.
    let taken = std::sync::Arc::new(Mutex::new(Vec::new()));
    let receiver = Receiver::new({
        let (well, taken) = (well.clone(), taken.clone());
        move |posted: &Posted| {
            if !well.load(Ordering::Relaxed) {
                return Reply::Status(503);
            }
            if posted.token().is_none() {
                taken.lock().expect("no panic").push(posted.clone());
            }
            Reply::good(posted)
        }
    });
    dev.subscribe(&receiver);
    well.store(false, Ordering::Relaxed);
    // More than a queue holds, so that most of it is read again from the log.
    place(&mut dev.agent(), (0..800).map(|number| format!("away-{number}")));
    wait_for(|| (dev.counts_on_the_way()["pending"] >= 512).then_some(()), || "a full queue".into());
    assert!(dev.counts_on_the_way()["pending"] <= 2048, "{:?}", dev.counts_on_the_way());
    // With what is in memory the server stops and starts again.
    dev.server.stop();
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"200ms\"]")]);
    well.store(true, Ordering::Relaxed);
    let ids =
        || -> BTreeSet<String> { taken.lock().expect("no panic").iter().map(Posted::text_id).collect() };
    let all = || (ids().len() == 800 * EVENTS_OF_CALL).then_some(());
    wait_for(all, || format!("the rest; {:?}", dev.counts_on_the_way()));
    let mut seen = BTreeSet::new();
    let taken = taken.lock().expect("no panic");
    let first = taken.iter().filter(|posted| seen.insert(posted.text_id()));
    assert_eq!(check_order(first), 800);
}

#[test]
fn a_subscriber_is_reminded_and_a_subscription_that_was_not_renewed_ends() {
    let home = Home::new("webhook-expiry");
    let dev = Dev::start(&home);
    let receiver = Receiver::good();
    let body = json!({
        "eventFilters": [SESSIONS],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
        "expiresIn": 2,
    });
    let one = dev.call("POST", SUBSCRIPTION, Some(&body));
    let at = format!("{SUBSCRIPTION}/{}", one.text("id"));
    let body = json!({
        "eventFilters": ["/restapi/v1.0/subscription/~?threshold=20&interval=10"],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
        "expiresIn": 40,
    });
    let reminded = dev.call("POST", SUBSCRIPTION, Some(&body));
    assert_eq!(reminded.status, 200, "{reminded:?}");
    wait_for(
        || (dev.call("GET", &at, None).error() == (404, "", "SUB-507")).then_some(()),
        || "the end".into(),
    );
    assert_eq!(dev.call("POST", &format!("{at}/renew"), None).error(), (404, "", "SUB-507"));
    assert_eq!(dev.call("GET", SUBSCRIPTION, None).body["records"].as_array().map(Vec::len), Some(1));
    wait_for_count(&receiver, 1);
    let reminder = receiver.notifications()[0].json();
    let uri = format!("{SUBSCRIPTION}/{}?threshold=20&interval=10", reminded.text("id"));
    assert_eq!(reminder["event"], uri);
    assert_eq!(reminder["subscriptionId"], reminded.body["id"]);
    assert!((17..=20).contains(&reminder["body"]["expiresIn"].as_u64().unwrap()), "{reminder}");
}

#[test]
fn what_a_subscriber_said_in_confidence_is_in_no_answer_no_file_and_no_log() {
    let home = Home::new("webhook-secrets");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_LOG__LEVEL", "debug")]);
    let receiver = Receiver::good();
    let (token, secret) = ("canary-of-the-token", "whsec_Y2FuYXJ5IG9mIHRoZSBzaWduYXR1cmUgc2VjcmV0");
    let delivery = json!({
        "transportType": "WebHook", "address": receiver.url(), "verificationToken": token, "signingSecret": secret,
    });
    let created = dev.ask(&delivery, &[SESSIONS]);
    assert_eq!(created.status, 200, "{created:?}");
    let at = format!("{SUBSCRIPTION}/{}", created.text("id"));
    let mut said = vec![created.text.clone()];
    for (method, path) in [("GET", &*at), ("PUT", &*at), ("GET", SUBSCRIPTION)] {
        said.push(dev.call(method, path, None).text);
    }
    let all = dev.server.call(home.made("admin_token"), "GET", "/admin/v1/subscriptions", None);
    assert_eq!(all.body["records"][0]["id"], created.body["id"], "{all:?}");
    assert_eq!(all.body["records"][0]["address"], receiver.url());
    assert!(!all.text.contains("signing") && !all.text.contains("oken"), "{}", all.text);
    said.push(all.text);
    place(&mut dev.agent(), ["secret".to_owned()].into_iter());
    wait_for_count(&receiver, EVENTS_OF_CALL);
    // After a restart it is sent as before, and the published verifier takes it.
    dev.server.stop();
    let dev = Dev::start(&home);
    let mut agent = dev.agent().ahead(1);
    place(&mut agent, ["secret-again".to_owned()].into_iter());
    wait_for_count(&receiver, 2 * EVENTS_OF_CALL);
    let verifier = standardwebhooks::Webhook::new(secret).expect("a secret");
    for posted in receiver.notifications() {
        assert_eq!(posted.headers["verification-token"], token);
        let mut headers = hyper::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, posted.headers[name].parse().expect("a header"));
        }
        verifier.verify(posted.text.as_bytes(), &headers).expect("it is signed");
        assert_eq!(posted.headers["webhook-id"], posted.text_id());
    }
    dev.server.stop();
    for text in said {
        assert!(!text.contains(token) && !text.contains(secret), "{text}");
    }
    for file in ["hookswitch.db", "hookswitch.db-wal"] {
        let bytes = std::fs::read(home.directory.join("data").join(file)).unwrap_or_default();
        for canary in [token, secret] {
            assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{file}");
        }
    }
}

#[test]
fn a_subscription_needs_the_permissions_for_its_events_and_its_transport() {
    let home = Home::new("webhook-permissions");
    let dev = Dev::start(&home);
    let receiver = Receiver::good();
    let account = home.made("account_id");
    let body = json!({
        "eventFilters": [SESSIONS],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
    });
    for (scopes, status, code, named) in [
        (vec!["CallControl"], 403, "CMN-401", "SubscriptionWebhook"),
        (vec!["SubscriptionWebhook"], 403, "CMN-401", "CallControl"),
        (vec!["CallControl", "SubscriptionWebhook"], 200, "", ""),
    ] {
        let user = (account.parse().expect("a number"), home.made("extension_id").parse().expect("a number"));
        let token = dev.server.token(&home, (user.0, user.1, json!({"admin": true})), &scopes);
        let answer = dev.server.call(&token, "POST", SUBSCRIPTION, Some(&body));
        assert_eq!(answer.error(), (status, "", code), "{scopes:?}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.body["errors"][0]["permissionName"], named, "{answer:?}");
        }
    }
}

#[test]
fn two_thousand_pairs_of_token_and_subscription_are_allowed_to_the_owner_alone() {
    let home = Home::new("webhook-owners");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_LIMITS__REQUESTS_PER_MINUTE", "100000")]);
    let accounts = "[[account]]\nid = 1001\nextension = [{number = \"101\", id = 1101}, {number = \"102\", id = 1102}]\n\
                    [[account]]\nid = 2001\nextension = [{number = \"101\", id = 2101}, {number = \"102\", id = 2102}]\n";
    std::fs::write(home.directory.join("directory.toml"), accounts).expect("it can be written");
    dev.server.signal("HUP");
    dev.server.logged("are read again");
    let receiver = Receiver::good();
    let body = json!({
        "eventFilters": ["/restapi/v1.0/account/~/extension/~/telephony/sessions"],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()},
    });
    // Each user with two applications; one of each account is an administrator, which changes nothing.
    let mut owners = Vec::new();
    for (account, extension, admin) in
        [(1001, 1101, true), (1001, 1102, false), (2001, 2101, true), (2001, 2102, false)]
    {
        for _ in 0..2 {
            let token = dev.server.token(
                &home,
                (account, extension, json!({"admin": admin})),
                &["CallControl", "SubscriptionWebhook"],
            );
            let created = dev.server.call(&token, "POST", SUBSCRIPTION, Some(&body));
            assert_eq!(created.status, 200, "{created:?}");
            owners.push((token, created.text("id")));
        }
    }
    let mut random = fastrand::Rng::with_seed(5);
    let (mut allowed, mut denied) = (0, 0);
    for _ in 0..2000 {
        let (who, whose) = (random.usize(..owners.len()), random.usize(..owners.len()));
        let (token, id) = (&owners[who].0.clone(), &owners[whose].1.clone());
        let (method, end) = [("GET", ""), ("PUT", ""), ("POST", "/renew"), ("DELETE", "")][random.usize(..4)];
        let answer = dev.server.call(token, method, &format!("{SUBSCRIPTION}/{id}{end}"), None);
        if who != whose {
            assert_eq!(answer.error(), (404, "", "CMN-102"), "{method} {answer:?}");
            denied += 1;
            continue;
        }
        allowed += 1;
        if method == "DELETE" {
            assert_eq!(answer.status, 204, "{answer:?}");
            owners[who].1 = dev.server.call(token, "POST", SUBSCRIPTION, Some(&body)).text("id");
        } else {
            assert_eq!((answer.status, &answer.text("id")), (200, id), "{method} {answer:?}");
        }
        if allowed % 20 == 0 {
            let list = dev.server.call(token, "GET", SUBSCRIPTION, None);
            let ids: Vec<_> =
                list.body["records"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
            assert_eq!(ids, [&owners[who].1], "nobody sees those of others");
        }
    }
    println!("{allowed} pairs were allowed and {denied} denied, as they should be");
    assert!(allowed > 100 && denied > 1000);
}
