//! The WebSocket gateway from end to end.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::receiver::now;
use super::socket::{Socket, check_complete, event};
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, hookswitch, path, wait_for};

const SUBSCRIPTION: &str = "/restapi/v1.0/subscription";

/// A server and a token of its first user.
struct Running {
    server: Server,
    access: String,
}

impl Running {
    #[track_caller]
    fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    #[track_caller]
    fn start_with(home: &Home, variables: &[(&str, &str)]) -> Self {
        let server = Server::start_with(home, variables);
        let access = server.log_in(home).text("access_token");
        Self { server, access }
    }

    #[track_caller]
    fn token(&self) -> String {
        self.server.socket_token(&self.access)
    }

    /// A connection, with its first frame read.
    #[track_caller]
    fn connect(&self) -> Socket {
        let mut socket = Socket::open(self.server.http(), &self.token(), None);
        let details = socket.expect("ConnectionDetails");
        assert!(details[1].get("recoveryState").is_none(), "{details}");
        socket
    }

    #[track_caller]
    fn count(&self, name: &str) -> u64 {
        self.server.count(&format!("hookswitch_websocket_{name}"))
    }
}

fn place(agent: &mut Agent, id: &str) {
    for (way, message) in call(id) {
        agent.send(way, &message);
    }
}

#[test]
fn a_socket_hears_what_replay_prints() {
    const CAPTURE: &str = "captures/answered-call.pcap";
    let home = Home::new("socket-replay");
    let running = Running::start(&home);
    let mut socket = running.connect();
    let subscription = socket.subscribe();
    let directory = home.directory.join("directory.toml");
    let replayed = hookswitch(&["replay", CAPTURE, "--directory", path(&directory)]);
    let printed = String::from_utf8(replayed.stdout).expect("UTF-8");
    running.server.play(CAPTURE);
    let heard = socket.take(printed.lines().count());
    for (frame, line) in heard.iter().zip(printed.lines()) {
        let mut wanted: Value = serde_json::from_str(line).expect("JSON");
        let [meta, body] = &frame.as_array().expect("an array")[..] else { panic!("two elements: {frame}") };
        assert_eq!(meta["messageId"], body["uuid"]);
        assert_eq!(meta["status"], 200);
        assert_eq!(body["subscriptionId"], subscription.as_str());
        // What differs is whose it is, when it was sent, and to whom.
        for key in ["uuid", "subscriptionId", "ownerId", "timestamp"] {
            wanted[key] = body[key].clone();
        }
        assert_eq!(*body, wanted);
    }
    socket.settle();
    assert_eq!(socket.notifications.len(), 0);
    assert_eq!(running.count("notifications_total{stage=\"sent\"}"), printed.lines().count() as u64);
}

#[test]
fn subscriptions_are_those_of_the_socket() {
    let home = Home::new("socket-subscription");
    let running = Running::start(&home);
    let mut socket = running.connect();
    let id = socket.subscribe();
    let shown = socket.request("GET", &format!("{SUBSCRIPTION}/{id}/"), None);
    assert_eq!(shown[1]["uri"], format!("{SUBSCRIPTION}/{id}"), "relative");
    assert_eq!(shown[1]["deliveryMode"], json!({"transportType": "WebSocket", "encryption": false}));
    assert_eq!(shown[1]["expiresIn"], 86_399);
    assert_eq!(shown[0]["headers"]["Content-Type"], "application/json");
    assert!(shown[0]["headers"]["RCRequestId"].is_string(), "{shown}");

    // Over HTTP it is seen and deleted, and to change it there is answered so that a client subscribes anew.
    let over_http = |method: &str, end: &str| {
        running.server.call(&running.access, method, &format!("{SUBSCRIPTION}/{id}{end}"), Some(&json!({})))
    };
    assert_eq!(over_http("GET", "").status, 200);
    for (method, end) in [("PUT", ""), ("POST", "/renew")] {
        assert_eq!(over_http(method, end).error(), (404, "", "CMN-102"), "{method} {end}");
    }
    let body = json!({"eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"], "deliveryMode": {"transportType": "WebSocket"}});
    assert_eq!(running.server.call(&running.access, "POST", SUBSCRIPTION, Some(&body)).status, 400);

    // A second one takes the place of the first.
    let mut agent = Agent::new(running.server.hep(), 1);
    let second = socket.subscribe();
    assert_ne!(second, id);
    assert_eq!(socket.request("GET", &format!("{SUBSCRIPTION}/{id}"), None)[0]["status"], 404);
    place(&mut agent, "second");
    let heard = socket.take(EVENTS_OF_CALL);
    assert!(heard.iter().all(|frame| frame[1]["subscriptionId"] == second.as_str()));

    // Other filters hold from the answer on.
    let filters = json!({"eventFilters": ["/restapi/v1.0/account/~/telephony/sessions?statusCode=Answered"]});
    let changed = socket.request("PUT", &format!("{SUBSCRIPTION}/{second}"), Some(filters));
    assert_eq!(changed[0]["status"], 200, "{changed}");
    place(&mut agent, "filtered");
    let heard = socket.take(2);
    assert!(heard.iter().all(|frame| frame[1]["body"]["parties"][0]["status"]["code"] == "Answered"));

    // No body is an empty text, or none.
    socket.send(&json!([
        {"type": "ClientRequest", "messageId": "x", "method": "DELETE", "path": format!("{SUBSCRIPTION}/{second}")},
        ""
    ]));
    let gone = socket.expect("ClientRequest");
    assert_eq!(gone.as_array().map(Vec::len), Some(1), "no body: {gone}");
    assert_eq!(gone[0]["status"], 204);
    place(&mut agent, "after");
    home.events(3 * EVENTS_OF_CALL);
    socket.settle();
    assert!(socket.notifications.is_empty());
    assert_eq!(socket.request("GET", SUBSCRIPTION, None)[1]["records"], json!([]));
}

#[test]
fn any_other_request_can_be_made_over_a_socket() {
    let home = Home::new("socket-requests");
    let running = Running::start(&home);
    // Asked before the first frame was read.
    let mut socket = Socket::open(running.server.http(), &running.token(), None);
    let early = json!([{"type": "ClientRequest", "messageId": "early", "method": "get", "path": "/restapi/v1.0/account/~/extension/~", "query": {"a": ["x y", 1], "b": true}}]);
    socket.send(&early);
    assert_eq!(socket.next().expect("a frame")[0]["type"], "ConnectionDetails");
    let answer = socket.expect("ClientRequest");
    assert_eq!((&answer[0]["messageId"], &answer[0]["status"]), (&"early".into(), &200.into()));
    assert_eq!(answer[1]["id"].to_string(), home.made("extension_id"));
    for (method, path, status) in [
        ("GET", "/restapi/v1.0/nothing", 404),
        ("GET", "/restapi/v1.0/account/1", 404),
        ("POST", "/restapi/v1.0/account/~/telephony/call-out", 403),
        ("POST", "/restapi/oauth/wstoken", 400),
        ("GET", "/admin/v1/users", 400),
        ("GET", "/restapi/ v1", 400),
        ("not a method", "/restapi/v1.0", 400),
        ("POST", SUBSCRIPTION, 400),
    ] {
        let answer = socket.request(method, path, None);
        assert_eq!(answer[0]["status"], status, "{method} {path}: {answer}");
        assert!(answer[1]["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
    // More at once than are allowed: every one is answered.
    for number in 0..30 {
        socket.send(&json!([{"type": "ClientRequest", "messageId": number.to_string(), "method": "GET", "path": "/restapi/v1.0/account/~/telephony/sessions"}]));
    }
    let answers: Vec<Value> = (0..30).map(|_| socket.expect("ClientRequest")).collect();
    assert!(
        answers
            .iter()
            .all(|answer| [200, 404, 429].contains(&answer[0]["status"].as_u64().expect("a status")))
    );
    assert!(answers.iter().any(|answer| answer[0]["status"] != 429));
}

#[test]
fn what_is_wrong_with_a_connection_is_said_in_its_first_frame() {
    let home = Home::new("socket-refused");
    let running = Running::start_with(&home, &[("HOOKSWITCH_WEBSOCKET__TOKEN_LIFE", "1s")]);
    let token = running.token();
    let expired = || {
        let mut socket = Socket::open(running.server.http(), &token, None);
        (socket.next()?[0]["type"] == "Error").then_some(())
    };
    wait_for(expired, || "the token to expire".into());
    let mut forged = token.clone().into_bytes();
    forged[20] ^= 1;
    let forged = String::from_utf8_lossy(&forged).into_owned();
    let queries = [
        (String::new(), 4400),
        ("?access_token=".to_owned(), 4400),
        (format!("?access_token={token}"), 4401),
        (format!("?access_token={forged}"), 4401),
        (format!("?access_token={}", running.access), 4401),
        (format!("?access_token={}", "x".repeat(5000)), 4401),
        (format!("?access_token={token}&wsc=nonsense"), 4401),
    ];
    for (query, code) in queries {
        let mut socket = Socket::open_at(running.server.http(), &query, WebSocketConfig::default());
        let error = socket.next().expect("a frame");
        assert_eq!(
            (&error[0]["type"], &error[1]["errorCode"]),
            (&"Error".into(), &"WSG-401".into()),
            "{error}"
        );
        assert!(error[1]["message"].as_str().is_some_and(|message| !message.is_empty()));
        let Ok(Message::Close(Some(close))) = socket.inner.read() else { panic!("no close") };
        assert_eq!(u16::from(close.code), code, "{query}");
    }
}

#[test]
fn a_handle_that_cannot_be_gone_on_with_is_answered_with_failed() {
    let home = Home::new("socket-failed");
    let running = Running::start(&home);
    let mut socket = running.connect();
    socket.settle();
    let empty = socket.cut().expect("a handle").0;
    let mut socket = running.connect();
    socket.subscribe();
    let (good, _) = socket.cut().expect("a handle");
    // Another login of the same user.
    let other = running.server.log_in(&home).text("access_token");
    let other = running.server.socket_token(&other);
    let own = running.token();
    for (token, wsc, code) in [
        (&own, "nonsense", "WSG-1005"),
        (&own, "", "WSG-1005"),
        (&own, &*empty, "WSG-1005"),
        (&other, &*good, "WSG-1003"),
    ] {
        let mut socket = Socket::open(running.server.http(), token, Some(wsc));
        let details = socket.expect("ConnectionDetails");
        assert_eq!(details[1]["recoveryState"], "Failed", "{wsc}: {details}");
        assert_eq!(details[1]["recoveryErrorCode"], code, "{wsc}");
        socket.subscribe();
    }
    // The handle that was given out first is good no longer once the client has the next.
    let mut socket = Socket::open(running.server.http(), &own, Some(&good));
    assert_eq!(socket.expect("ConnectionDetails")[1]["recoveryState"], "Successful");
    socket.settle(); // the ping has come and its pong has left
    socket.settle(); // the pong was read before this
    socket.cut();
    let mut socket = Socket::open(running.server.http(), &own, Some(&good));
    assert_eq!(socket.expect("ConnectionDetails")[1]["recoveryState"], "Failed");
}

#[test]
fn nothing_is_lost_or_doubled_however_often_connections_and_the_server_are_cut() {
    const CYCLES: usize = 300;
    const KILLS_EVERY: usize = 30;
    let home = Home::new("socket-cycles");
    let mut running = Running::start(&home);
    let mut agent = Agent::new(running.server.hep(), 1);
    let mut token = running.token();
    let mut socket = running.connect();
    socket.subscribe();
    let mut heard = Vec::new();
    for cycle in 0..CYCLES {
        // Some is read before the cut, and some is not.
        place(&mut agent, &format!("cycle-{cycle}"));
        heard.extend(socket.take(cycle % (EVENTS_OF_CALL + 1)));
        heard.append(&mut socket.notifications);
        let (wsc, _) = socket.cut().expect("a handle");
        if cycle % KILLS_EVERY == KILLS_EVERY - 1 {
            home.events_at_least((cycle + 1) * EVENTS_OF_CALL);
            running.server.kill();
            running = Running { server: Server::start(&home), ..running };
            agent.send_to(running.server.hep());
            token = running.token();
        }
        socket = Socket::open(running.server.http(), &token, Some(&wsc));
        let details = socket.expect("ConnectionDetails");
        assert_eq!(details[1]["recoveryState"], "Successful", "cycle {cycle}: {details}");
        heard.extend(socket.take((cycle + 1) * EVENTS_OF_CALL - heard.len()));
    }
    socket.settle();
    assert!(socket.notifications.is_empty());
    assert_eq!(check_complete(&heard), CYCLES);
    assert_eq!(heard.len(), CYCLES * EVENTS_OF_CALL);
}

#[test]
fn of_more_than_a_recovery_gives_the_newest_come() {
    let home = Home::new("socket-overflow");
    let running = Running::start_with(&home, &[("HOOKSWITCH_WEBSOCKET__RECOVERY_TIME", "2s")]);
    let mut agent = Agent::new(running.server.hep(), 1);
    let mut socket = running.connect();
    socket.subscribe();
    let (wsc, _) = socket.cut().expect("a handle");
    for number in 0..20 {
        place(&mut agent, &format!("overflow-{number}"));
    }
    let logged = home.events(20 * EVENTS_OF_CALL);
    let token = running.token();
    let mut socket = Socket::open(running.server.http(), &token, Some(&wsc));
    assert_eq!(socket.expect("ConnectionDetails")[1]["recoveryBufferSize"], 100);
    let heard = socket.take(100);
    for (frame, logged) in heard.iter().zip(&logged[60..]) {
        assert_eq!(frame[1]["body"]["telephonySessionId"], logged["body"]["telephonySessionId"]);
        assert_eq!(frame[1]["body"]["sequence"], logged["body"]["sequence"]);
    }
    socket.settle();
    assert!(socket.notifications.is_empty());
    assert_eq!(running.count("notifications_total{stage=\"overflowed\"}"), 60);
    assert_eq!(running.count("notifications_total{stage=\"recovered\"}"), 100);
    // After the time to come back the session and its subscription are gone.
    let (wsc, _) = socket.cut().expect("a handle");
    wait_for(|| (running.count("sessions") == 0).then_some(()), || "the session to go".into());
    let listed = running.server.call(&running.access, "GET", SUBSCRIPTION, None);
    assert_eq!(listed.body["records"], json!([]));
    let mut socket = Socket::open(running.server.http(), &running.token(), Some(&wsc));
    assert_eq!(socket.expect("ConnectionDetails")[1]["recoveryState"], "Failed");
}

#[test]
fn the_newest_connection_of_a_token_closes_the_one_before() {
    let home = Home::new("socket-replaced");
    let running = Running::start(&home);
    let token = running.token();
    let mut first = Socket::open(running.server.http(), &token, None);
    first.expect("ConnectionDetails");
    let mut second = Socket::open(running.server.http(), &token, None);
    second.expect("ConnectionDetails");
    assert_eq!(first.next(), None);
    second.settle();
}

#[test]
fn a_login_that_ends_closes_its_sockets() {
    let home = Home::new("socket-revoked");
    let running = Running::start(&home);
    let mut socket = running.connect();
    socket.subscribe();
    let form = [("token", &*running.access)];
    let authorization = super::client::basic(home.made("client_id"), home.made("client_secret"));
    let revoked = running.server.post_form("/restapi/oauth/revoke", Some(&authorization), &form);
    assert_eq!(revoked.status, 200);
    assert_eq!(socket.expect("Error")[1]["errorCode"], "WSG-401");
    assert_eq!(socket.next(), None);
    wait_for(|| (running.count("sessions") == 0).then_some(()), || "the session to go".into());
}

#[test]
fn hostile_frames_end_their_connection_alone() {
    let home = Home::new("socket-hostile");
    let running = Running::start(&home);
    let mut good = running.connect();
    good.subscribe();
    let upgraded = || {
        let socket = running.connect();
        socket.inner.get_ref().try_clone().expect("a descriptor")
    };
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | 0x7e];
        frame.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    };
    let closes = |mut stream: TcpStream, bytes: &[u8], code: u16| {
        use std::io::Read as _;
        stream.write_all(bytes).ok();
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("it can be set");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        // A close frame: 0x88, its length, and the code.
        let position =
            answer.windows(4).rposition(|bytes| bytes[0] == 0x88 && bytes[2..] == code.to_be_bytes());
        assert!(position.is_some(), "{code}: {answer:?}");
    };
    let mut long = vec![0x81, 0x80 | 0x7f];
    long.extend(70_000_u64.to_be_bytes());
    long.extend([0; 4]);
    long.extend(vec![b' '; 70_000]);
    closes(upgraded(), &long, 1009);
    // Fragments without an end.
    let mut fragments = masked(0x01, &[b' '; 1000]);
    for _ in 0..70 {
        fragments.extend(masked(0x00, &[b' '; 1000]));
    }
    closes(upgraded(), &fragments, 1009);
    closes(upgraded(), &masked(0x81, b"\xff\xfe"), 1007);
    closes(upgraded(), &[0x81, 2, b'[', b']'], 1002); // not masked
    closes(upgraded(), &masked(0xc1, b"[]"), 1002); // a reserved bit
    closes(upgraded(), &masked(0x83, b"[]"), 1002); // an opcode that is none
    closes(upgraded(), &masked(0x82, b"[]"), 1003);
    // One byte more than a message may have, as one frame and as two; what follows is not read any more.
    let mut one_more = vec![0x81, 0x80 | 0x7f];
    one_more.extend((64 * 1024 + 1_u64).to_be_bytes());
    one_more.extend([0; 4]);
    one_more.extend(vec![b' '; 1024 * 1024]);
    closes(upgraded(), &one_more, 1009);
    let mut two = masked(0x01, &vec![b' '; 32 * 1024]);
    two.extend(masked(0x80, &vec![b' '; 32 * 1024 + 1]));
    two.extend(vec![b' '; 1024 * 1024]);
    closes(upgraded(), &two, 1009);
    // Fragments without content, with and without pings among them.
    let mut empty = vec![0x01, 0x80, 0, 0, 0, 0];
    for _ in 0..50_000 {
        empty.extend([0x00, 0x80, 0, 0, 0, 0]);
    }
    closes(upgraded(), &empty, 1008);
    let mut among = vec![0x01, 0x80, 0, 0, 0, 0];
    for _ in 0..400 {
        among.extend([0x00, 0x80, 0, 0, 0, 0].repeat(125));
        among.extend([0x89, 0x80, 0, 0, 0, 0]);
    }
    closes(upgraded(), &among, 1008);
    let mut pings = Vec::new();
    for _ in 0..3000 {
        pings.extend([0x89, 0x80, 0, 0, 0, 0]);
    }
    closes(upgraded(), &pings, 1008);
    place(&mut Agent::new(running.server.hep(), 1), "unharmed");
    assert_eq!(check_complete(&good.take(EVENTS_OF_CALL)), 1);
}

#[test]
fn pages_of_foreign_origins_get_no_socket() {
    let home = Home::new("socket-origin");
    let variables = [
        ("HOOKSWITCH_WEBSOCKET__ORIGINS", "[\"https://crm.example\"]"),
        ("HOOKSWITCH_SERVER__PUBLIC_URL", "https://pbx.example:8443/"),
    ];
    let running = Running::start_with(&home, &variables);
    let token = running.token();
    let upgrade = |origin: &str| {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", origin),
        ];
        let mut stream = TcpStream::connect(running.server.http()).expect("it listens");
        let mut head = format!("GET /ws?access_token={token} HTTP/1.1\r\nHost: pbx.example\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut status = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut status).expect("an answer");
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    for origin in ["https://crm.example", "https://pbx.example:8443"] {
        assert_eq!(upgrade(origin), "101", "{origin}");
    }
    for origin in [
        "null",
        "",
        "http://crm.example",
        "https://crm.example:443",
        "https://crm.example:8443",
        "https://crm.example/",
        "https://crm.example.",
        "https://crm.example.evil.example",
        "https://evil-crm.example",
        "https://sub.crm.example",
        "https://CRM.example",
        "HTTPS://crm.example",
        "https://crm.example@evil.example",
        "https://crm.example, https://evil.example",
        "https://evil.example https://crm.example",
        " https://crm.example.evil",
        "https://pbx.example",
        "http://pbx.example:8443",
        "file://",
        "*",
    ] {
        assert_eq!(upgrade(origin), "403", "{origin:?}");
    }
}

#[test]
fn a_client_that_reads_is_not_cut_however_long_it_is_behind() {
    const CALLS: usize = 1500;
    let home = Home::new("socket-behind");
    let running = Running::start_with(&home, &[("HOOKSWITCH_WEBSOCKET__SLOW_AFTER", "3s")]);
    let mut behind = running.connect();
    behind.hold_little();
    behind.subscribe();
    behind.settle();
    let mut good = running.connect();
    good.subscribe();
    let mut agent = Agent::new(running.server.hep(), 1);
    let all = AtomicUsize::new(usize::MAX);
    let mut told = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A third as fast as calls are placed, so that its queue and what the kernel holds for it are full for
            // seconds.
            while told.len() < all.load(Ordering::Acquire) {
                told.extend(behind.take(4));
                let pause = if all.load(Ordering::Acquire) == usize::MAX { 20 } else { 0 };
                std::thread::sleep(Duration::from_millis(pause));
            }
        });
        let mut heard = 0;
        for number in 0..CALLS {
            place(&mut agent, &format!("behind-{number}"));
            heard += good.take(EVENTS_OF_CALL).len();
        }
        all.store(heard, Ordering::Release);
    });
    assert_eq!(check_complete(&told), CALLS);
    assert_eq!(running.count("connections_total{event=\"slow\"}"), 0);
}

#[test]
fn a_client_that_does_not_read_is_cut_and_can_go_on() {
    const CALLS: usize = 600;
    let home = Home::new("socket-slow");
    let variables =
        [("HOOKSWITCH_WEBSOCKET__SLOW_AFTER", "1s"), ("HOOKSWITCH_WEBSOCKET__RECOVERY_MESSAGES", "100000")];
    let running = Running::start_with(&home, &variables);
    let mut slow = running.connect();
    slow.subscribe();
    slow.settle();
    let mut good = running.connect();
    good.subscribe();
    let mut agent = Agent::new(running.server.hep(), 1);
    let mut heard = Vec::new();
    let mut worst = Duration::ZERO;
    for number in 0..CALLS {
        let started = now();
        place(&mut agent, &format!("slow-{number}"));
        heard.extend(good.take(EVENTS_OF_CALL));
        worst = worst.max(started.elapsed());
    }
    assert_eq!(check_complete(&heard), CALLS);
    println!("the longest a call took to be told beside a client that does not read: {worst:?}");
    // What the kernel holds for a client is some MiB, and is filled first.
    let more = |number: &mut usize| {
        place(&mut agent, &format!("more-{number}"));
        *number += 1;
        heard.extend(good.take(EVENTS_OF_CALL));
        (running.count("connections_total{event=\"slow\"}") == 1).then_some(())
    };
    let mut number = 0;
    let started = now();
    let mut more = more;
    while more(&mut number).is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "it is cut");
    }
    // It reads what had reached it, and goes on with what had not.
    let mut told = Vec::new();
    while let Some(frame) = slow.next() {
        told.push(frame);
    }
    let (wsc, _) = slow.wsc.take().expect("a handle");
    let mut slow = Socket::open(running.server.http(), &running.token(), Some(&wsc));
    assert_eq!(slow.expect("ConnectionDetails")[1]["recoveryState"], "Successful");
    told.extend(slow.take(heard.len() - told.len()));
    slow.settle();
    assert!(slow.notifications.is_empty());
    assert_eq!(check_complete(&told), CALLS + number);
}

#[test]
fn pings_of_any_content_are_answered() {
    let home = Home::new("socket-ping");
    let running = Running::start(&home);
    let mut socket = running.connect();
    socket.inner.send(Message::Ping(Bytes::from_static(b"content"))).expect("it is sent");
    let Ok(Message::Pong(content)) = socket.inner.read() else { panic!("no pong") };
    assert_eq!(&content[..], b"content");
    // A pong that nobody asked for is no harm.
    socket.inner.send(Message::Pong(Bytes::from_static(b"12345678"))).expect("it is sent");
    socket.settle();
}

#[test]
fn a_server_that_stops_says_so_to_its_clients() {
    let home = Home::new("socket-stop");
    let running = Running::start(&home);
    let mut socket = running.connect();
    running.server.signal("TERM");
    let Ok(Message::Close(Some(close))) = socket.inner.read() else { panic!("no close") };
    assert_eq!(u16::from(close.code), 1001);
    drop(socket);
    running.server.stop();
}

#[test]
fn a_page_that_is_loaded_again_and_again_can_subscribe() {
    const SUBSCRIPTIONS_MAX: usize = 30;
    let home = Home::new("socket-reloaded");
    let running = Running::start(&home);
    let load = || {
        let mut socket = running.connect();
        socket.subscribe();
        socket
    };
    let mut handles = Vec::new();
    for _ in 0..50 {
        let loaded = load();
        handles.push(loaded.cut().expect("a handle").0);
    }
    // As many as one may have can still come back, the latest.
    wait_for(
        || (running.count("connections_open") == 0).then_some(()),
        || "the connections to be known as lost".into(),
    );
    let back = |handle: &str| {
        let mut socket = Socket::open(running.server.http(), &running.token(), Some(handle));
        let details = socket.expect("ConnectionDetails");
        (socket, details[1]["recoveryState"] == "Successful")
    };
    assert!(!back(&handles[0]).1, "of the first nothing is left");
    let (last, went_on) = back(&handles[49]);
    assert!(went_on, "the last goes on");
    // Those that are there count.
    let _open: Vec<_> = (1..SUBSCRIPTIONS_MAX).map(|_| load()).collect();
    let mut one_more = running.connect();
    let body = json!({"eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
        "deliveryMode": {"transportType": "WebSocket"}});
    let refused = one_more.request("POST", SUBSCRIPTION, Some(body));
    assert_eq!(refused[1]["errorCode"], "SUB-505", "{refused}");
    drop(last);
}

/// A stream of server-sent events, and whether it was let in.
#[track_caller]
fn events(running: &Running, query: &str) -> (TcpStream, String) {
    use std::io::{BufRead as _, BufReader};
    let stream = TcpStream::connect(running.server.http()).expect("it listens");
    // Little, so that a reader that reads nothing is noticed soon.
    socket2::SockRef::from(&stream).set_recv_buffer_size(16 * 1024).expect("it can be set");
    stream.set_read_timeout(Some(super::PATIENCE)).expect("it can be set");
    let token = &running.access;
    let head = format!("GET /events{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    (&stream).write_all(head.as_bytes()).expect("it is sent");
    let mut line = String::new();
    // One byte at a time, so that the rest stays where it is.
    BufReader::with_capacity(1, &stream).read_line(&mut line).expect("a status line");
    (stream, line.split(' ').nth(1).unwrap_or_default().to_owned())
}

#[test]
fn streams_of_events_count_among_the_connections_of_their_login() {
    let home = Home::new("events-bounded");
    let running = Running::start_with(&home, &[("HOOKSWITCH_WEBSOCKET__CONNECTIONS_PER_LOGIN_MAX", "3")]);
    let mut socket = running.connect();
    let streams: Vec<_> = (0..2).map(|_| events(&running, "")).collect();
    assert!(streams.iter().all(|(_, status)| status == "200"));
    for _ in 0..20 {
        assert_eq!(events(&running, "").1, "429");
    }
    let mut refused = Socket::open(running.server.http(), &running.token(), None);
    assert_eq!(refused.expect("Error")[1]["errorCode"], "CMN-301");
    // Who is there is not disturbed, and another login has connections of its own.
    socket.subscribe();
    let other = Running { access: running.server.log_in(&home).text("access_token"), server: running.server };
    assert_eq!(events(&other, "").1, "200");
    drop(streams);
    let running = Running { access: running.access, server: other.server };
    wait_for(
        || (events(&running, "").1 == "200").then_some(()),
        || "the place of a stream that was closed is free".into(),
    );
}

#[test]
fn a_reader_of_events_that_reads_nothing_is_given_up() {
    const CALLS: usize = 400;
    let home = Home::new("events-slow");
    let variables = [
        ("HOOKSWITCH_WEBSOCKET__SLOW_AFTER", "1s"),
        ("HOOKSWITCH_WEBSOCKET__CONNECTIONS_PER_LOGIN_MAX", "1"),
    ];
    let running = Running::start_with(&home, &variables);
    let mut agent = Agent::new(running.server.hep(), 1);
    (0..CALLS).for_each(|number| place(&mut agent, &format!("unread-{number}")));
    home.events(CALLS * EVENTS_OF_CALL);
    let (silent, status) = events(&running, "?lastEventId=0");
    assert_eq!(status, "200");
    assert_eq!(events(&running, "").1, "429");
    wait_for(
        || (events(&running, "").1 == "200").then_some(()),
        || "who reads nothing holds no place".into(),
    );
    drop(silent);
}

#[test]
fn server_sent_events_go_on_behind_the_last_that_was_read() {
    use std::io::{BufRead as _, BufReader};
    let home = Home::new("events");
    let running = Running::start(&home);
    let stream = |query: &str, headers: &str| {
        let mut stream = TcpStream::connect(running.server.http()).expect("it listens");
        stream.set_read_timeout(Some(super::PATIENCE)).expect("it can be set");
        let head = format!("GET /events{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).expect("it is sent");
        BufReader::new(stream).lines().map(|line| line.expect("a line"))
    };
    let bearer = format!("Authorization: Bearer {}\r\n", running.access);
    let mut lines = stream("", &bearer);
    assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 200 OK"));
    lines.find(|line| line.starts_with(": subscription")).expect("a first comment");
    let mut agent = Agent::new(running.server.hep(), 1);
    place(&mut agent, "first");
    let read = |lines: &mut dyn Iterator<Item = String>, count: usize| -> Vec<(u64, Value)> {
        let mut found = Vec::new();
        let mut id = 0;
        while found.len() < count {
            let line = lines.next().expect("the stream goes on");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.parse().expect("a number");
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).expect("JSON");
                found.push((id, json!([{}, data])));
            }
        }
        found
    };
    let first = read(&mut lines, EVENTS_OF_CALL);
    drop(lines);
    place(&mut agent, "second");
    home.events(2 * EVENTS_OF_CALL);
    let header = format!("{bearer}Last-Event-ID: {}\r\n", first[2].0);
    let again = read(&mut stream("", &header), 2 * EVENTS_OF_CALL - 3);
    assert_eq!(again[0].1[1]["uuid"], first[3].1[1]["uuid"], "the same, by which doubles are known");
    check_complete(first[..3].iter().chain(&again).map(|(_, frame)| frame));
    // Browsers have no headers, and send a token of WebSockets.
    let query = format!(
        "?access_token={}&lastEventId=0&eventFilters=/restapi/v1.0/account/~/telephony/sessions?statusCode%3DAnswered",
        running.token()
    );
    let answered = read(&mut stream(&query, ""), 4);
    assert!(answered.iter().all(|(_, frame)| frame[1]["body"]["parties"][0]["status"]["code"] == "Answered"));
    // The same as a subscription that is there.
    let mut socket = running.connect();
    let id = socket.subscribe();
    let query = format!("?subscriptionId={id}&lastEventId=0");
    let same = read(&mut stream(&query, &bearer), 1);
    assert_eq!(same[0].1[1]["subscriptionId"], id.as_str());
    for (query, headers, status) in [
        ("", "", 401),
        ("?access_token=nonsense", "", 401),
        ("?lastEventId=nonsense", &*bearer, 400),
        ("?lastEventId=999999", &bearer, 400),
        ("?eventFilters=nonsense", &bearer, 400),
        ("?subscriptionId=00000000-0000-4000-8000-000000000000", &bearer, 404),
    ] {
        let line = stream(query, headers).next().expect("a status line");
        assert!(line.contains(&status.to_string()), "{query}: {line}");
    }
    let (_, sequence) = event(&same[0].1);
    assert_eq!(sequence, 2);
}
