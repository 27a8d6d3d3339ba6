//! From a webhook that did not come to its cause: by the API, by the command, and without a server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::receiver::{Receiver, Reply};
use super::socket::Socket;
use super::traffic::EVENTS_OF_CALL;
use super::webhooks::{Dev, SESSIONS, SUBSCRIPTION, place, wait_for_count};
use super::{Home, hookswitch, path, wait_for};

impl Dev {
    /// Returns what the admin API says.
    #[track_caller]
    fn ask_why(&self, home: &Home, path: &str) -> Value {
        let answer = self.server.call(home.made("admin_token"), "GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// The only session there is, with all that is known of it.
    #[track_caller]
    fn story(&self, home: &Home) -> Value {
        let sessions = self.ask_why(home, "/admin/v1/sessions");
        let [session] = sessions["records"].as_array().expect("a list").as_slice() else {
            panic!("one session: {sessions}")
        };
        let id = session["telephonySessionId"].as_str().expect("an id");
        self.ask_why(home, &format!("/admin/v1/sessions/{id}"))
    }

    /// Subscribes a receiver with a filter, and gives the id of the subscription.
    #[track_caller]
    fn subscribe_to(&self, receiver: &Receiver, filter: &str) -> String {
        let delivery = json!({"transportType": "WebHook", "address": receiver.url()});
        let answer = self.ask(&delivery, &[filter]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("id")
    }
}

/// The states of the deliveries to a subscription, by sequence.
fn states(story: &Value, subscription: &str) -> BTreeMap<u64, String> {
    of(story, subscription)
        .map(|delivery| {
            let sequence = delivery["eventId"].as_str().expect("an id").rsplit(':').next().expect("a colon");
            (sequence.parse().expect("a number"), delivery["state"].as_str().expect("a state").to_owned())
        })
        .collect()
}

fn of<'a>(story: &'a Value, subscription: &'a str) -> impl Iterator<Item = &'a Value> {
    let deliveries = story["deliveries"].as_array().expect("a list").iter();
    deliveries.filter(move |delivery| delivery["subscriptionId"] == subscription)
}

#[test]
fn each_event_names_its_messages_its_rule_and_the_clause_that_kept_it_from_a_subscriber() {
    let home = Home::new("explain-clauses");
    let dev = Dev::start(&home);
    let receiver = Receiver::good();
    let answered = dev.subscribe_to(&receiver, &format!("{SESSIONS}?statusCode=Answered"));
    let other = dev.subscribe_to(&receiver, &format!("{SESSIONS}?phoneNumber=999"));
    place(&mut dev.agent(), ["one".to_owned()].into_iter());
    wait_for_count(&receiver, 2);
    // It is written down a moment after it was taken.
    let delivered = |story: &Value| states(story, &answered).values().filter(|it| *it == "delivered").count();
    let story = wait_for(
        || Some(dev.story(&home)).filter(|story| delivered(story) == 2),
        || "all to be delivered".into(),
    );
    let events = story["events"].as_array().expect("a list");
    assert_eq!(events.len(), EVENTS_OF_CALL);
    assert_eq!(story["session"]["events"], EVENTS_OF_CALL as u64);
    assert_eq!(story["session"]["isOpen"], false);
    assert_eq!(events[0]["rule"]["name"], "CallSeen");
    let inputs = story["inputs"].as_array().expect("a list");
    let cause = |event: &Value| {
        let position = &event["causes"][0];
        inputs.iter().find(|input| input["position"] == *position).expect("the cause").clone()
    };
    assert_eq!(inputs.len(), 4, "those that caused an event");
    let id = story["session"]["telephonySessionId"].as_str().expect("an id");
    let all = dev.ask_why(&home, &format!("/admin/v1/sessions/{id}?all=true"));
    let summaries: Vec<&str> =
        all["inputs"].as_array().expect("a list").iter().filter_map(|it| it["summary"].as_str()).collect();
    assert_eq!(
        summaries.iter().map(|text| text.split(" sip:").next().unwrap_or_default()).collect::<Vec<_>>(),
        ["INVITE", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "ACK", "BYE", "SIP/2.0 200 OK"]
    );
    let invite = cause(&events[0]);
    assert_eq!(invite["summary"], "INVITE sip:102@pbx SIP/2.0");
    assert_eq!((&invite["kind"], &invite["src"]), (&json!("sip"), &json!("192.0.2.1:5060")));
    assert_eq!(invite["raw"], Value::Null);
    let states = states(&story, &answered);
    for event in events {
        let expected = if event["statusCode"] == "Answered" { "delivered" } else { "notMatched" };
        assert_eq!(states[&event["sequence"].as_u64().expect("a number")], expected, "{event}");
    }
    let setup = of(&story, &answered).next().expect("the first");
    assert_eq!(setup["why"][0]["clause"], "statusCode=Answered: the party is Setup");
    let taken = of(&story, &answered).find(|delivery| delivery["state"] == "delivered").expect("one");
    let attempt = &taken["attempts"][0];
    assert_eq!(
        (&attempt["number"], &attempt["status"], &attempt["outcome"]),
        (&json!(1), &json!(200), &json!("delivered"))
    );
    assert_eq!(attempt["address"], receiver.url());
    let never = of(&story, &other).next().expect("the first");
    assert_eq!(never["because"], "phoneNumber=999: the call is from 101 to 102");
    // The same event by each of its names; with the bytes of its message.
    let id = events[3]["id"].as_str().expect("an id");
    let by_id = dev.ask_why(&home, &format!("/admin/v1/events/{id}?raw=true"));
    assert!(by_id["inputs"][0]["raw"].as_str().expect("bytes").starts_with("SIP/2.0 "), "{by_id}");
    let by_position = dev.ask_why(&home, &format!("/admin/v1/events/{}", events[3]["position"]));
    assert_eq!(by_position["id"], id);
    let posted = &receiver.notifications()[0];
    let uuid = posted.json()["uuid"].as_str().expect("a uuid").to_owned();
    let by_uuid = dev.ask_why(&home, &format!("/admin/v1/events/{uuid}"));
    assert_eq!(by_uuid["sequence"], posted.event().1);
    let notification = &by_uuid["notification"]["body"];
    assert_eq!(notification["parties"][0]["id"], posted.json()["body"]["parties"][0]["id"]);
    for unknown in ["s-00000000000000000000000000000000:2", "1", "nonsense", "9000000000000000000"] {
        let answer =
            dev.server.call(home.made("admin_token"), "GET", &format!("/admin/v1/events/{unknown}"), None);
        assert_eq!(answer.status, if unknown == "1" { 200 } else { 404 }, "{unknown}: {answer:?}");
    }
}

#[test]
fn a_receiver_that_fails_first_shows_both_attempts_with_the_beginning_of_their_answers() {
    let home = Home::new("explain-retry");
    let dev = Dev::start_with(&home, &[("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"100ms\"]")]);
    let attempts = AtomicUsize::new(0);
    let receiver = Receiver::new(move |posted| match posted.token() {
        Some(_) => Reply::good(posted),
        None if attempts.fetch_add(1, Ordering::Relaxed) == 0 => {
            Reply::Full(500, vec![], format!("\u{1b}[2J{}", "x".repeat(3000)))
        }
        None => Reply::Full(200, vec![], "thanks".to_owned()),
    });
    let id = dev.subscribe_to(&receiver, &format!("{SESSIONS}?statusCode=Setup&direction=Outbound"));
    place(&mut dev.agent(), ["one".to_owned()].into_iter());
    wait_for_count(&receiver, 2);
    let delivery = wait_for(
        || of(&dev.story(&home), &id).find(|delivery| delivery["state"] == "delivered").cloned(),
        || "the second attempt to be written down".into(),
    );
    let attempts = delivery["attempts"].as_array().expect("a list");
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt["number"].as_u64(), attempt["status"].as_u64(), attempt["outcome"].as_str()))
        .collect();
    assert_eq!(outcomes, [(Some(1), Some(500), Some("refused")), (Some(2), Some(200), Some("delivered"))]);
    assert_eq!(attempts[0]["answer"].as_str().map(str::len), Some(1024));
    assert_eq!(attempts[1]["answer"], "thanks");
    // By the command, from the server and from its store.
    let login = home.directory.join("login.json");
    let server = format!("http://{}", dev.server.addresses["HTTP"]);
    std::fs::write(&login, home.made.to_string()).expect("it can be written");
    let event = delivery["eventId"].as_str().expect("an id");
    let asked = hookswitch(&["explain", event, "--login", path(&login), "--server", &server]);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let read = hookswitch(&["explain", event, "--config", path(&home.config())]);
    let text = String::from_utf8(asked.stdout).expect("UTF-8");
    assert_eq!(text, String::from_utf8_lossy(&read.stdout), "a server and its store say the same");
    for said in
        ["because the call was seen for the first time", "attempt 1 at", "refused 500", "answer \"thanks\""]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let json = hookswitch(&["explain", event, "--config", path(&home.config()), "--format", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["deliveries"][0]["attempts"], delivery["attempts"]);
    for (arguments, said) in [
        (&["explain", "nonsense", "--config", path(&home.config())][..], "is no id"),
        (&["explain", "77"], "nothing says where to look"),
        (
            &["explain", "s-00000000000000000000000000000000", "--config", path(&home.config())],
            "has no events",
        ),
        (&["explain", "77", "--server", &server, "--token", "wrong"], "does not take this admin token"),
    ] {
        let refused = hookswitch(arguments);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
}

#[test]
fn what_has_not_been_delivered_says_why() {
    let home = Home::new("explain-undelivered");
    let variables = [
        ("HOOKSWITCH_WEBHOOKS__TIMEOUT", "300ms"),
        ("HOOKSWITCH_WEBHOOKS__RETRY_WAITS", "[\"200ms\"]"),
        ("HOOKSWITCH_WEBHOOKS__BLACKLIST_AFTER", "3s"),
    ];
    let dev = Dev::start_with(&home, &variables);
    let hole =
        Receiver::new(|posted| if posted.token().is_some() { Reply::good(posted) } else { Reply::Hang });
    let gone = Receiver::new(
        |posted| if posted.token().is_some() { Reply::good(posted) } else { Reply::Status(410) },
    );
    let silent = dev.subscribe_to(&hole, SESSIONS);
    let blacklisted = dev.subscribe_to(&gone, SESSIONS);
    let deleted = dev.subscribe_to(&hole, SESSIONS);
    place(&mut dev.agent(), ["one".to_owned()].into_iter());
    wait_for_count(&gone, 1);
    wait_for_count(&hole, 2);
    let late = Receiver::good();
    let late = dev.subscribe_to(&late, SESSIONS);
    let first = |id: &str| of(&dev.story(&home), id).next().cloned().expect("a delivery of the first event");
    // It is written down a moment after it has failed.
    let failed = |it: &Value| it["state"] == "waiting" && it["attempts"][0].is_object();
    let sent = wait_for(|| Some(first(&silent)).filter(failed), || "a timeout".into());
    assert_eq!(sent["attempts"][0]["outcome"], "timedOut");
    assert!(sent["because"].as_str().expect("text").contains("got no answer in time"), "{sent}");
    let waiting = of(&dev.story(&home), &silent).nth(1).cloned().expect("the second event");
    assert!(waiting["state"] == "queued" || waiting["state"] == "waiting", "behind the first: {waiting}");
    let black = wait_for(
        || Some(first(&blacklisted)).filter(|it| it["because"].to_string().contains("blacklisted since")),
        || "the blacklisting".into(),
    );
    assert_eq!(
        (&black["attempts"][0]["outcome"], &black["attempts"][0]["status"]),
        (&json!("gone"), &json!(410))
    );
    let before = first(&late);
    assert_eq!(before["state"], "before");
    assert!(before["because"].as_str().expect("text").contains("after the event"), "{before}");
    assert_eq!(before["matched"], true);
    assert_eq!(dev.call("DELETE", &format!("{SUBSCRIPTION}/{deleted}"), None).status, 204);
    let dropped = first(&deleted);
    assert_eq!(dropped["state"], "dropped", "{dropped}");
    // The black hole is blacklisted in the end, and says since when and why.
    let black = wait_for(
        || Some(first(&silent)).filter(|it| it["because"].to_string().contains("blacklisted since")),
        || "the blacklisting".into(),
    );
    assert!(black["because"].as_str().expect("text").contains("Read timed out"), "{black}");
}

#[test]
fn of_a_websocket_it_is_known_when_it_was_sent_an_event() {
    let home = Home::new("explain-socket");
    let dev = Dev::start(&home);
    let token = dev.server.socket_token(&dev.token);
    let mut socket = Socket::open(dev.server.addresses["HTTP"], &token, None);
    socket.expect("ConnectionDetails");
    let id = socket.subscribe();
    place(&mut dev.agent(), ["one".to_owned()].into_iter());
    socket.take(EVENTS_OF_CALL);
    let story = dev.story(&home);
    let told: Vec<&Value> = of(&story, &id).collect();
    assert_eq!(told.len(), EVENTS_OF_CALL);
    for delivery in told {
        assert_eq!(delivery["state"], "streamed", "{delivery}");
        assert_eq!(delivery["transport"], "WebSocket");
        assert!(delivery["streamed"]["from"].as_str() <= delivery["streamed"]["to"].as_str());
    }
    // Also when the server and the connection are gone.
    drop(socket);
    dev.server.stop();
    let session = story["session"]["telephonySessionId"].as_str().expect("an id");
    let read = hookswitch(&["explain", session, "--config", path(&home.config()), "--format", "json"]);
    let read: Value = serde_json::from_slice(&read.stdout).expect("JSON");
    assert_eq!(states(&read, &id), states(&story, &id));
}

#[test]
fn filters_are_tried_on_what_has_happened_before_anybody_subscribes() {
    let home = Home::new("filter-trials");
    let dev = Dev::start(&home);
    place(&mut dev.agent(), ["one", "two"].map(str::to_owned).into_iter());
    home.events(2 * EVENTS_OF_CALL);
    let try_out = |body: &Value| {
        dev.server.call(home.made("admin_token"), "POST", "/admin/v1/filter-trials", Some(body))
    };
    let setups = format!("{SESSIONS}?statusCode=Setup&direction=Outbound");
    let outcome =
        try_out(&json!({"eventFilters": [setups, format!("{SESSIONS}?phoneNumber=999")], "sample": 1})).body;
    assert_eq!(
        (&outcome["scanned"], &outcome["matched"], &outcome["sessions"]),
        (&json!(16), &json!(2), &json!(2))
    );
    assert_eq!(
        (&outcome["byFilter"][0]["matched"], &outcome["byFilter"][1]["matched"]),
        (&json!(2), &json!(0))
    );
    let sample = outcome["sample"].as_array().expect("a list");
    assert_eq!(sample.len(), 1);
    assert_eq!(sample[0]["body"]["parties"][0]["status"]["code"], "Setup");
    // What is counted is what a subscriber is sent.
    let receiver = Receiver::good();
    dev.subscribe_to(&receiver, &setups);
    place(&mut dev.agent(), ["three".to_owned()].into_iter());
    wait_for_count(&receiver, 1);
    for (body, status) in [
        (json!({"eventFilters": []}), 400),
        (json!({"eventFilters": ["/nonsense"]}), 400),
        (json!({"eventFilters": [SESSIONS], "hours": 169}), 400),
        (json!({"eventFilters": [SESSIONS], "sample": 101}), 400),
        (json!({"eventFilters": [SESSIONS], "accountId": "77"}), 404),
        (json!({"eventFilters": ["/restapi/v1.0/account/77/telephony/sessions"]}), 403),
        (json!({"eventFilters": [SESSIONS], "more": 1}), 400),
    ] {
        assert_eq!(try_out(&body).status, status, "{body}");
    }
}
