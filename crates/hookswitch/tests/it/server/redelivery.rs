//! Events that are sent again on request: previewed, marked, in order, with an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Answer;
use super::receiver::{Posted, Receiver, Reply};
use super::traffic::EVENTS_OF_CALL;
use super::webhooks::{Dev, SESSIONS, place, wait_for_count};
use super::{Home, wait_for};

const REDELIVERIES: &str = "/admin/v1/redeliveries";

/// A server with an operator.
struct Desk {
    home: Home,
    dev: Dev,
}

impl Desk {
    #[track_caller]
    fn open(name: &str) -> Self {
        let home = Home::new(name);
        let dev = Dev::start(&home);
        Self { home, dev }
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.dev.server.call(self.home.made("admin_token"), method, path, body)
    }

    /// Asks for a redelivery, and gives its id.
    #[track_caller]
    fn redeliver(&self, asked: &Value) -> String {
        let answer = self.call("POST", REDELIVERIES, Some(asked));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text("id")
    }

    /// Waits until a redelivery stands so.
    #[track_caller]
    fn wait_for_state(&self, id: &str, state: &str) -> Value {
        let at = format!("{REDELIVERIES}/{id}");
        let read = || Some(self.call("GET", &at, None).body).filter(|read| read["state"] == state);
        wait_for(read, || format!("{state}, not {:?}", self.call("GET", &at, None).body))
    }
}

/// The redelivery that a notification was sent by.
fn mark(posted: &Posted) -> Option<&str> {
    posted.headers.get("hookswitch-replay").map(String::as_str)
}

fn marked(receiver: &Receiver) -> Vec<Posted> {
    receiver.notifications().into_iter().filter(|posted| mark(posted).is_some()).collect()
}

#[test]
fn a_session_is_sent_again_to_its_subscription_in_order_and_marked() {
    let desk = Desk::open("redelivery-session");
    let receiver = Receiver::good();
    let filter = format!("{SESSIONS}?direction=Outbound");
    let delivery =
        json!({"transportType": "WebHook", "address": receiver.url(), "verificationToken": "sesame"});
    let subscription = desk.dev.ask(&delivery, &[&filter]).text("id");
    place(&mut desk.dev.agent(), ["one".to_owned(), "two".to_owned()].into_iter());
    wait_for_count(&receiver, EVENTS_OF_CALL);
    let first = receiver.notifications()[0].clone();
    let session = first.event().0;
    let asked = json!({"subscriptionId": subscription, "telephonySessionId": session, "preview": true});
    let preview = desk.call("POST", REDELIVERIES, Some(&asked));
    assert_eq!(preview.status, 200, "{preview:?}");
    assert_eq!(
        (&preview.body["count"], &preview.body["sessions"], &preview.body["state"]),
        (&json!(4), &json!(1), &json!("preview"))
    );
    assert_eq!(preview.body["id"], Value::Null);
    assert_eq!(marked(&receiver).len(), 0, "a preview sends nothing");
    let id = desk.redeliver(&json!({"subscriptionId": subscription, "telephonySessionId": session}));
    let done = desk.wait_for_state(&id, "done");
    assert_eq!((&done["sent"], &done["delivered"], &done["failed"]), (&json!(4), &json!(4), &json!(0)));
    let again = marked(&receiver);
    assert_eq!(again.len(), 4);
    assert!(again.iter().all(|posted| mark(posted) == Some(&*id)));
    assert!(again.iter().all(|posted| posted.headers["verification-token"] == "sesame"));
    let of = |posted: &Posted| (posted.json()["uuid"].clone(), posted.event());
    let before: Vec<_> = receiver
        .notifications()
        .iter()
        .filter(|it| mark(it).is_none() && it.event().0 == session)
        .map(of)
        .collect();
    assert_eq!(again.iter().map(of).collect::<Vec<_>>(), before, "the same, in the same order");
    // It is written down beside the ordinary attempts.
    let event = format!("/admin/v1/events/{session}:{}", first.event().1);
    let told = desk.call("GET", &event, None).body;
    let attempts = told["deliveries"][0]["attempts"].as_array().expect("a list").clone();
    assert_eq!(
        attempts.iter().map(|it| it["isReplay"].as_bool()).collect::<Vec<_>>(),
        [Some(false), Some(true)]
    );
    assert_eq!(attempts[1]["redeliveryId"], id);
    let listed = desk.call("GET", REDELIVERIES, None).body;
    assert_eq!(listed["records"][0]["id"], id);
}

#[test]
fn one_event_or_a_time_range_goes_to_another_address_that_agreed() {
    let desk = Desk::open("redelivery-address");
    place(&mut desk.dev.agent(), ["one".to_owned(), "two".to_owned()].into_iter());
    desk.home.events(2 * EVENTS_OF_CALL);
    let receiver = Receiver::good();
    let all = json!({"address": receiver.url(), "from": "2020-01-01T00:00:00Z"});
    let id = desk.redeliver(&all);
    desk.wait_for_state(&id, "done");
    assert!(receiver.all()[0].token().is_some(), "the address was asked first");
    assert_eq!(marked(&receiver).len(), 2 * EVENTS_OF_CALL);
    let told = desk.call("GET", "/admin/v1/events/1", None).body;
    assert_eq!(told["deliveries"][0]["attempts"][0]["redeliveryId"], id, "{told}");
    let (session, sequence) = marked(&receiver)[3].event();
    let event = json!({"address": receiver.url(), "eventId": format!("{session}:{sequence}")});
    desk.wait_for_state(&desk.redeliver(&event), "done");
    assert_eq!(marked(&receiver).last().expect("one").event(), (session.clone(), sequence));
    let refusing = Receiver::new(|_| Reply::Status(200));
    for (body, status, said) in [
        (json!({"address": refusing.url(), "eventId": "1"}), 400, "Validation-Token"),
        (json!({"address": "http://10.0.0.1/", "eventId": "1"}), 400, "cannot be reached"),
        (json!({"address": receiver.url()}), 400, "Give one of"),
        (
            json!({"address": receiver.url(), "eventId": "1", "telephonySessionId": session}),
            400,
            "Give one of",
        ),
        (json!({"eventId": "1"}), 400, "whose notifications"),
        (
            json!({"subscriptionId": "6d1a4a1e-0000-4000-8000-000000000000", "eventId": "1"}),
            404,
            "subscriptionId",
        ),
        (json!({"address": receiver.url(), "eventId": "99"}), 404, "eventId"),
        (json!({"address": receiver.url(), "from": "yesterday"}), 400, "must be a time"),
        (
            json!({"address": receiver.url(), "from": "2100-01-01T00:00:00Z", "to": "2100-01-02T00:00:00Z"}),
            409,
            "no such event",
        ),
        (
            json!({"address": receiver.url(), "from": "2020-01-01T00:00:00Z", "accountId": "77"}),
            409,
            "no such event",
        ),
    ] {
        let answer = desk.call("POST", REDELIVERIES, Some(&body));
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.text("message").contains(said), "{body}: {answer:?}");
    }
}

#[test]
fn a_redelivery_that_fails_says_where_can_be_resumed_and_disturbs_no_ordinary_delivery() {
    let desk = Desk::open("redelivery-fails");
    let well = Arc::new(AtomicBool::new(false));
    let state = well.clone();
    let stubborn = Receiver::new(move |posted| match posted.token() {
        Some(_) => Reply::good(posted),
        // The third event is refused for good.
        None if !state.load(Ordering::Relaxed) && posted.event().1 == 4 => Reply::Status(410),
        None => Reply::Status(200),
    });
    let ordinary = Receiver::good();
    desk.dev.subscribe(&ordinary);
    place(&mut desk.dev.agent(), ["one".to_owned()].into_iter());
    wait_for_count(&ordinary, EVENTS_OF_CALL);
    let session = ordinary.notifications()[0].event().0;
    let id = desk.redeliver(&json!({"address": stubborn.url(), "telephonySessionId": session}));
    let failed = desk.wait_for_state(&id, "failed");
    assert_eq!(failed["failedEventId"], format!("{session}:4"));
    assert_eq!(failed["lastError"], "the receiver answered with HTTP status 410");
    assert_eq!((&failed["delivered"], &failed["failed"]), (&json!(2), &json!(1)));
    let at = format!("{REDELIVERIES}/{id}/resume");
    well.store(true, Ordering::Relaxed);
    assert_eq!(desk.call("POST", &at, None).status, 200);
    let done = desk.wait_for_state(&id, "done");
    assert_eq!(done["delivered"], EVENTS_OF_CALL as u64);
    let sequences: Vec<u64> = marked(&stubborn).iter().map(|posted| posted.event().1).collect();
    assert_eq!(sequences, [2, 3, 4, 4, 5, 6, 7, 8, 9]);
    assert_eq!(desk.call("POST", &at, None).status, 409, "it is done");
    // A redelivery into a black hole holds nobody up.
    let hole =
        Receiver::new(|posted| if posted.token().is_some() { Reply::good(posted) } else { Reply::Hang });
    let stuck = desk.redeliver(&json!({"address": hole.url(), "telephonySessionId": session}));
    wait_for_count(&hole, 1);
    place(&mut desk.dev.agent().ahead(1), ["two".to_owned()].into_iter());
    wait_for_count(&ordinary, 2 * EVENTS_OF_CALL);
    assert!(ordinary.notifications().iter().all(|posted| mark(posted).is_none()));
    let ended = desk.call("DELETE", &format!("{REDELIVERIES}/{stuck}"), None);
    assert_eq!((ended.status, &ended.body["state"]), (200, &json!("cancelled")), "{ended:?}");
}

#[test]
fn a_redelivery_goes_on_after_a_crash_behind_what_was_taken() {
    let mut desk = Desk::open("redelivery-crash");
    place(&mut desk.dev.agent(), (0..20).map(|call| format!("call-{call}")));
    let count = 20 * EVENTS_OF_CALL;
    desk.home.events(count);
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    let receiver = Receiver::new(move |posted| {
        if posted.token().is_none() {
            counter.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::good(posted)
    });
    let id = desk.redeliver(&json!({"address": receiver.url(), "from": "2020-01-01T00:00:00Z"}));
    wait_for(|| (taken.load(Ordering::Relaxed) >= 30).then_some(()), || "some to be taken".into());
    desk.dev.server.kill();
    let before = marked(&receiver).len();
    assert!(before < count, "it was killed in the middle");
    desk.dev = Dev::start(&desk.home);
    let done = desk.wait_for_state(&id, "done");
    assert_eq!(done["count"], count as u64);
    let all = marked(&receiver);
    let mut events: Vec<_> = all.iter().map(Posted::event).collect();
    // What was on its way when the server was killed comes again, and nothing else.
    assert!(all.len() - count < 20, "{} for {count}", all.len());
    events.sort();
    events.dedup();
    assert_eq!(events.len(), count, "none is missing");
}
