//! Tests in virtual time.

use serde_json::Value;

use super::*;

const SUBSCRIBE: &str =
    r#"[{"type":"ClientRequest","messageId":"s/1","method":"POST","path":"/restapi/v1.0/subscription"},{}]"#;

fn secs(secs: u64) -> Timestamp {
    Timestamp::from_micros(0) + Duration::from_secs(secs)
}

fn millis(millis: u64) -> Timestamp {
    Timestamp::from_micros(0) + Duration::from_millis(millis)
}

fn wsc() -> Wsc {
    Wsc { token: "t".into(), sequence: 1 }
}

fn open(recovery: Option<Recovery>) -> Connection {
    Connection::open(Limits::default(), "m", &wsc(), recovery, secs(0), secs(0))
}

fn outputs(connection: &mut Connection) -> Vec<Output> {
    std::iter::from_fn(|| connection.poll_output()).collect()
}

#[track_caller]
fn text(output: &Output) -> Value {
    let Output::Text(text) = output else { panic!("no text: {output:?}") };
    serde_json::from_str(text).expect("JSON")
}

/// Answers the request that comes next.
#[track_caller]
fn answer(connection: &mut Connection, status: u16, now: Timestamp) {
    let Some(Output::Request(request)) = connection.poll_output() else { panic!("no request") };
    let wsc = wsc();
    let response = Response { status, headers: &[], body: Some("{}"), wsc: Some(&wsc) };
    connection.handle_response(request.ticket, &response, now);
}

#[test]
fn the_first_frame_says_what_the_client_can_count_on() {
    let mut connection = open(None);
    let [details] = &outputs(&mut connection)[..] else { panic!("one frame") };
    let Output::Text(raw) = details else { panic!("text") };
    assert_eq!(
        raw,
        r#"[{"type":"ConnectionDetails","messageId":"m","status":200,"wsc":{"token":"t","sequence":1},"headers":{"RCRequestId":"m"}},{"creationTime":"1970-01-01T00:00:00.000Z","maxConnectionsPerSession":50,"recoveryBufferSize":100,"recoveryTimeout":180,"idleTimeout":1800,"absoluteTimeout":86400,"maxActiveRequests":10}]"#
    );
    assert!(connection.may_notify());
}

#[test]
fn a_notification_is_a_frame_like_others() {
    let write = |envelope: &'static [u8]| {
        let id = NotificationId::new(7);
        Connection::notification(id, &wsc(), |out| out.extend_from_slice(envelope))
    };
    assert_eq!(
        write(br#"{"uuid":"7"}"#).as_deref(),
        Some(
            r#"[{"type":"ServerNotification","messageId":"7","status":200,"wsc":{"token":"t","sequence":1},"headers":{"RCRequestId":"7"}},{"uuid":"7"}]"#
        )
    );
    let escaped = write(br#"{"name":"a,--Boundary"}"#).expect("text");
    assert!(!escaped.contains(",--Boundary"));
    assert_eq!(text(&Output::Text(escaped))[1]["name"], "a,--Boundary");
    assert_eq!(write(b"\xff"), None);
}

#[test]
fn what_became_of_a_session_is_said_when_it_was_asked_for() {
    let mut recovered = open(Some(Recovery::Successful));
    let [details, ping] = &outputs(&mut recovered)[..] else { panic!("two") };
    assert_eq!(text(details)[1]["recoveryState"], "Successful");
    assert_eq!(*ping, Output::Ping(1));
    assert!(!recovered.may_notify(), "before the pong nothing is sent again");
    recovered.handle_pong(1);
    assert!(recovered.may_notify());
    let mut failed = open(Some(Recovery::Failed("WSG-1005")));
    let [details] = &outputs(&mut failed)[..] else { panic!("one") };
    assert_eq!(text(details)[1]["recoveryState"], "Failed");
    assert_eq!(text(details)[1]["recoveryErrorCode"], "WSG-1005");
}

#[test]
fn notifications_wait_for_the_answer_and_its_pong() {
    let mut connection = open(None);
    outputs(&mut connection);
    connection.handle_text(SUBSCRIBE, millis(10));
    assert!(!connection.may_notify(), "while the request is under way");
    answer(&mut connection, 200, millis(20));
    let [response, ping] = &outputs(&mut connection)[..] else { panic!("two") };
    assert_eq!(text(response)[0]["messageId"], "s/1");
    assert_eq!(*ping, Output::Ping(1));
    assert!(!connection.may_notify());
    connection.handle_pong(2);
    assert!(!connection.may_notify(), "no such ping was sent");
    connection.handle_pong(1);
    assert!(connection.may_notify());
}

#[test]
fn a_subscription_that_was_refused_raises_no_barrier() {
    let mut connection = open(None);
    outputs(&mut connection);
    connection.handle_text(SUBSCRIBE, secs(1));
    answer(&mut connection, 400, secs(1));
    assert!(connection.may_notify());
}

#[test]
fn a_pong_that_does_not_come_lets_notifications_go_after_five_seconds() {
    let mut connection = open(Some(Recovery::Successful));
    outputs(&mut connection);
    connection.handle_time(millis(4999));
    assert!(!connection.may_notify());
    assert_eq!(connection.poll_timeout(), secs(5));
    connection.handle_time(secs(5));
    assert!(connection.may_notify());
}

#[test]
fn a_peer_that_answers_no_ping_is_found_within_forty_seconds() {
    let mut connection = open(None);
    outputs(&mut connection);
    connection.handle_time(secs(29));
    assert!(outputs(&mut connection).is_empty());
    connection.handle_time(secs(30));
    assert_eq!(outputs(&mut connection), [Output::Ping(1)]);
    assert_eq!(connection.poll_timeout(), secs(40));
    connection.handle_time(secs(40));
    assert_eq!(outputs(&mut connection), [Output::Close(1008, "no pong")]);
}

#[test]
fn pongs_are_no_traffic_and_pings_and_frames_are() {
    let mut connection = open(None);
    outputs(&mut connection);
    let mut now = 0;
    let mut run = |connection: &mut Connection, until: u64| {
        while now < until {
            now += 1;
            connection.handle_time(secs(now));
            for output in outputs(connection) {
                match output {
                    Output::Ping(number) => connection.handle_pong(number),
                    other => return Some((now, other)),
                }
            }
        }
        None
    };
    assert_eq!(run(&mut connection, 1000), None);
    connection.handle_ping(secs(1000));
    assert_eq!(run(&mut connection, 2000), None);
    connection.handle_text(r#"[{"type":"Heartbeat","messageId":"a/b"}]"#, secs(2000));
    assert_eq!(text(&outputs(&mut connection)[0])[0]["messageId"], "a/b");
    let (at, error) = run(&mut connection, 10_000).expect("it ends");
    assert_eq!(at, 3800);
    assert_eq!(text(&error)[1]["errorCode"], "WSG-902");
}

#[test]
fn a_connection_ends_after_a_day_however_busy_it_is() {
    let mut connection = open(None);
    outputs(&mut connection);
    for now in (0..86_400).step_by(10) {
        connection.handle_ping(secs(now));
        connection.handle_time(secs(now));
        for output in outputs(&mut connection) {
            let Output::Ping(number) = output else { panic!("{now}: {output:?}") };
            connection.handle_pong(number);
        }
    }
    connection.handle_time(secs(86_400));
    let [error, close] = &outputs(&mut connection)[..] else { panic!("two") };
    assert_eq!(text(error)[1]["errorCode"], "WSG-903");
    assert_eq!(*close, Output::Close(1000, "absolute timeout"));
}

#[test]
fn more_requests_at_once_than_are_allowed_are_answered_at_once() {
    let mut connection = open(None);
    outputs(&mut connection);
    for _ in 0..11 {
        connection.handle_text(
            r#"[{"type":"ClientRequest","messageId":"g","method":"GET","path":"/restapi/v1.0"}]"#,
            secs(1),
        );
    }
    let outputs = outputs(&mut connection);
    assert_eq!(outputs.iter().filter(|output| matches!(output, Output::Request(_))).count(), 10);
    let refused = text(&outputs[10]);
    assert_eq!(refused[0]["status"], 429);
    assert!(refused[0]["headers"].is_object());
    assert!(refused[1]["message"].as_str().is_some_and(|message| !message.is_empty()));
}

#[test]
fn a_frame_that_cannot_be_understood_is_answered_and_harms_nothing() {
    let mut connection = open(None);
    outputs(&mut connection);
    for frame in ["", "nonsense", r#"[{"type":"Nonsense","messageId":"x"}]"#] {
        connection.handle_text(frame, secs(1));
        let [error] = &outputs(&mut connection)[..] else { panic!("one") };
        assert_eq!(text(error)[0]["type"], "Error");
        assert!(text(error)[1]["message"].is_string());
    }
    assert!(connection.may_notify());
}

mod any_client {
    use proptest::prelude::*;

    use super::*;

    /// Step of a client, or of time.
    #[derive(Clone, Debug)]
    enum Step {
        Text(String),
        Ping,
        Pong(u64),
        Answer(u16),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let text = prop_oneof![
            ".{0,40}",
            "\\[\\{\"type\":\"(ClientRequest|Heartbeat)\",\"messageId\":\"[a-z]{0,3}\",\"method\":\"(GET|POST|PUT)\",\"path\":\"/restapi/v1.0(/subscription)?\"\\}(,\\{\\}|,\"\")?\\]",
        ];
        let step = prop_oneof![
            text.prop_map(Step::Text),
            Just(Step::Ping),
            (0..6_u64).prop_map(Step::Pong),
            prop_oneof![Just(200), Just(204), Just(404), Just(503)].prop_map(Step::Answer),
            (0..20_000_u64).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// Whatever a client does: frames are compact arrays, nothing follows the close, every request is
        /// answered once, and no notification may pass while an answer that it must follow is due.
        #[test]
        fn is_served_by_the_rules(steps in steps()) {
            let mut connection = open(Some(Recovery::Successful));
            let (mut now, mut closed) = (0, false);
            let mut requests: Vec<Request> = Vec::new();
            for step in steps {
                match step {
                    Step::Text(text) => connection.handle_text(&text, millis(now)),
                    Step::Ping => connection.handle_ping(millis(now)),
                    Step::Pong(number) => connection.handle_pong(number),
                    Step::Wait(time) => {
                        now += time;
                        connection.handle_time(millis(now));
                    }
                    Step::Answer(status) => {
                        if let Some(request) = requests.pop() {
                            let wsc = wsc();
                            let response = Response { status, headers: &[], body: None, wsc: Some(&wsc) };
                            connection.handle_response(request.ticket, &response, millis(now));
                        }
                    }
                }
                for output in outputs(&mut connection) {
                    match output {
                        Output::Text(text) => {
                            let frame: Value = serde_json::from_str(&text).expect("JSON");
                            prop_assert_eq!(frame.to_string().len(), text.len());
                            prop_assert!(frame[0]["type"].is_string());
                        }
                        Output::Request(request) => {
                            requests.push(request);
                            prop_assert!(requests.len() <= 10);
                        }
                        Output::Close(..) => {
                            prop_assert!(!closed);
                            closed = true;
                        }
                        Output::Ping(_) => {}
                    }
                }
                let holds = requests.iter().any(|request| request.ticket.holds);
                prop_assert!(!(holds || closed) || !connection.may_notify());
                prop_assert!(closed || connection.poll_timeout() > millis(0));
            }
        }
    }
}
