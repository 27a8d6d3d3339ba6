//! Tests that a log and the counters do not hold numbers and names of people, tokens and secrets. Each is one that
//! occurs nowhere else, so that it is found wherever it has gone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use hookswitch_model::Timestamp;
use hookswitch_signal::capture::{Captured, Transport, hep};
use serde_json::{Value, json};

use super::client::{JWT_BEARER, basic, exchange, form};
use super::logged::Logged;
use super::receiver::{Receiver, Reply};
use super::{Home, wait_for};
use hookswitch_flows::freeswitch::freeswitch;

/// Number of them of each kind.
const OF_EACH: usize = 125;

/// The time of the first message.
const START: i64 = 1_700_000_000_000_000;

/// A number that nobody has: what is looked for are its last seven digits.
fn number(n: usize) -> String {
    format!("+1415{}", 7_310_000 + n * 7)
}

/// A name that nobody has: what is looked for is its second word.
fn name(n: usize) -> String {
    format!("Zyxwan Quibbleton{n:03}")
}

fn token(n: usize) -> String {
    format!("cnryTOKENq{n:03}abcdefghijklmnopqrstuvw")
}

fn secret(n: usize) -> String {
    format!("cnrySECRETz{n:03}abcdefghijklmnop")
}

/// The messages of an answered call.
fn call(n: usize) -> [(bool, String); 6] {
    let (caller, callee) = (number(n), number(OF_EACH - 1 - n));
    let message = |start: &str, cseq: &str, to_tag: &str| {
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{n}-{}\r\n\
             From: \"{}\" <sip:{caller}@pbx>;tag=a\r\nTo: <sip:{callee}@pbx>{to_tag}\r\nCall-ID: call-{n}\r\n\
             CSeq: {cseq}\r\nP-Asserted-Identity: \"{}\" <sip:{caller}@pbx>\r\nContent-Length: 0\r\n\r\n",
            cseq.replace(' ', "-"),
            name(n),
            name(n)
        )
    };
    [
        (true, message(&format!("INVITE sip:{callee}@pbx SIP/2.0"), "1 INVITE", "")),
        (false, message("SIP/2.0 180 Ringing", "1 INVITE", ";tag=b")),
        (false, message("SIP/2.0 200 OK", "1 INVITE", ";tag=b")),
        (true, message(&format!("ACK sip:{callee}@pbx SIP/2.0"), "1 ACK", ";tag=b")),
        (true, message(&format!("BYE sip:{callee}@pbx SIP/2.0"), "2 BYE", ";tag=b")),
        (false, message("SIP/2.0 200 OK", "2 BYE", ";tag=b")),
    ]
}

/// A message of a call as an agent sends it, at its time of the day.
fn frame(at: i64, there: bool, message: &str, key: &str) -> Vec<u8> {
    let ends: [SocketAddr; 2] =
        ["192.0.2.1:5060", "192.0.2.2:5060"].map(|end| end.parse().expect("an address"));
    let captured = Captured {
        time: Timestamp::from_micros(at),
        transport: Transport::Udp,
        src: ends[usize::from(!there)],
        dst: ends[usize::from(there)],
        packet: 0,
        correlation: None,
        payload: message.as_bytes(),
    };
    let mut frame = Vec::new();
    hep::write(&captured, 1, Some(key.as_bytes()), &mut frame).expect("it fits");
    frame
}

/// Refuses a login and repeats what it was told; then lets it in, and tells of calls.
fn tell_calls(socket: &TcpListener) -> TcpStream {
    let greet = || {
        let (mut stream, _) = socket.accept().expect("a connection");
        stream.write_all(b"Content-Type: auth/request\n\n").expect("it is read");
        let lines = BufReader::new(stream.try_clone().expect("the same")).lines();
        (stream, lines)
    };
    let reply = |stream: &mut TcpStream, text: &str| {
        let text = format!("Content-Type: command/reply\nReply-Text: {text}\n\n");
        stream.write_all(text.as_bytes()).expect("it is read");
    };
    let (mut stream, mut lines) = greet();
    while !lines.next().expect("a command").expect("text").is_empty() {}
    reply(&mut stream, &format!("-ERR {} is wrong", secret(3)));
    drop((stream, lines));
    let (mut stream, mut lines) = greet();
    for _ in ["auth", "event"] {
        while !lines.next().expect("a command").expect("text").is_empty() {}
        reply(&mut stream, "+OK");
    }
    for n in 0..OF_EACH {
        // Each question is refused with a canary; further ones were not asked.
        reply(&mut stream, &format!("-ERR no such call {}", number(n)));
        let story = freeswitch(&format!(
            "
            0.000 create a{n} {caller}@external>{callee} Caller-Caller-ID-Name=NAME
            0.004 create b{n} to={callee} of=a{n} number={caller} Caller-Caller-ID-Name=NAME
            0.020 progress b{n}
            1.000 answer b{n}
            1.002 answer a{n}
            1.004 bridge a{n} b{n}
            2.000 ends a{n} NORMAL_CLEARING
            2.001 ends b{n} NORMAL_CLEARING
            ",
            caller = number(n),
            callee = number(OF_EACH - 1 - n),
        ));
        for told in story.plain {
            let body = String::from_utf8(told.message).expect("UTF-8");
            let (_, body) = body.split_once("\n\n").expect("a body");
            let body = body
                .replace("NAME", &name(n).replace(' ', "%20"))
                .replace("Event-Sequence: ", &format!("Event-Sequence: {}0", n + 1));
            let head = format!("Content-Length: {}\nContent-Type: text/event-plain\n\n", body.len());
            stream.write_all((head + &body).as_bytes()).expect("it is read");
        }
    }
    stream
}

/// Experience of the canaries, and what was written meanwhile.
struct Day {
    log: String,
    metrics: String,
    /// Refusals by the server to those who failed.
    refusals: Vec<String>,
}

/// Lets a day of traffic pass, in which each canary is used.
fn day(level: &str) -> Day {
    let home = Home::new(&format!("canaries-{level}"));
    let manager = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    home.configure(&format!(
        "\n[[hep.source]]\nname = \"pbx\"\nkey = \"{}\"\n\
         [[ami.source]]\nname = \"manager\"\naddress = \"{}\"\nuser = \"me\"\nsecret = \"{}\"\nplain_login = true\n\
         [[esl.source]]\nname = \"socket\"\naddress = \"{}\"\npassword = \"{}\"\n",
        secret(0),
        manager.local_addr().expect("an address"),
        secret(1),
        socket.local_addr().expect("an address"),
        secret(3)
    ));
    // An event socket that does the same, and lets it in later.
    let telling = thread::spawn(move || tell_calls(&socket));
    // A manager that refuses the login, and repeats what it was told.
    let refusing = thread::spawn(move || {
        let (mut stream, _) = manager.accept().expect("a connection");
        let refusal = format!("Response: Error\r\nMessage: {} is wrong\r\n\r\n", secret(1));
        stream
            .write_all(b"Asterisk Call Manager/11.0.0\r\n")
            .and_then(|()| stream.write_all(refusal.as_bytes()))
    });
    let server = Logged::start(&home, level, "text");
    refusing.join().expect("no panic").expect("it is read");
    let told_by_socket = telling.join().expect("no panic");
    let (http, frames_to) = (server.address("HTTP"), server.address("HEP over TCP"));
    let mut refusals = Vec::new();
    let mut refused = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let answer = exchange(http, method, path, headers, body.as_bytes());
        assert!(answer.status >= 400, "{method} {path}: {answer:?}");
        refusals.push(format!("{:?} {}", answer.headers, answer.text));
    };

    // An application that subscribes, and whose receiver does not take what it is told.
    let login = form(&[("grant_type", JWT_BEARER), ("assertion", home.made("jwt"))]);
    let own = basic(home.made("client_id"), home.made("client_secret"));
    let form_type = ("Content-Type", "application/x-www-form-urlencoded");
    let access = exchange(
        http,
        "POST",
        "/restapi/oauth/token",
        &[("Authorization", &own), form_type],
        login.as_bytes(),
    );
    let access = format!("Bearer {}", access.text("access_token"));
    let json_type = ("Content-Type", "application/json");
    let receiver = Receiver::new(|posted| match posted.token() {
        Some(_) => Reply::good(posted),
        None => Reply::Status(500),
    });
    let address = format!("{}?token={}", receiver.url(), token(0));
    let subscribe = |address: &str, more: Value| {
        let mut delivery = json!({"transportType": "WebHook", "address": address});
        delivery.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"], "deliveryMode": delivery})
            .to_string()
    };
    let body = subscribe(&address, json!({"verificationToken": secret(2)}));
    let taken = exchange(
        http,
        "POST",
        "/restapi/v1.0/subscription",
        &[("Authorization", &access), json_type],
        body.as_bytes(),
    );
    assert_eq!(taken.status, 200, "{taken:?}");

    for n in 0..OF_EACH {
        let (token, secret, number) = (token(n), secret(n), number(n));
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", &*bearer), json_type];
        refused("GET", "/restapi/v1.0/account/~", &headers, "");
        refused("GET", "/admin/v1/accounts", &headers, "");
        refused("POST", "/ingest/v1/signals", &headers, "{}");
        refused("GET", &format!("/ws?access_token={token}"), &[], "");
        refused("POST", "/restapi/oauth/revoke", &[("Authorization", &own), form_type], "");
        let wrong = basic(home.made("client_id"), &secret);
        let login = form(&[("grant_type", JWT_BEARER), ("assertion", &token)]);
        refused("POST", "/restapi/oauth/token", &[("Authorization", &wrong), form_type], &login);
        refused("POST", "/restapi/oauth/token", &[("Authorization", &own), form_type], &login);
        let login = form(&[("grant_type", "password"), ("username", &number), ("password", &secret)]);
        refused("POST", "/restapi/oauth/token", &[("Authorization", &own), form_type], &login);
        let login = form(&[("grant_type", "refresh_token"), ("refresh_token", &token)]);
        refused("POST", "/restapi/oauth/token", &[("Authorization", &own), form_type], &login);
        if n % 25 == 0 {
            let nowhere = format!("http://127.0.0.1:9/{token}?secret={secret}");
            let body = subscribe(&nowhere, json!({"verificationToken": secret}));
            refused("POST", "/restapi/v1.0/subscription", &[("Authorization", &access), json_type], &body);
        }
        // What is damaged is told of, too.
        let damaged = json!({"signals": [{"id": "1", "leg": "a", "kind": "created", "direction": "outbound",
            "callee": number, "caller": {"number": number, "name": name(n)}, "call_ids": n}]});
        let admin = format!("Bearer {}", home.made("admin_token"));
        refused("POST", "/ingest/v1/signals", &[("Authorization", &admin), json_type], &damaged.to_string());
    }

    // Calls of a whole day; some frames have a wrong key, and some messages are damaged.
    let mut stream = TcpStream::connect(frames_to).expect("a connection");
    let mut sent = 0;
    let mut begin = START;
    for n in 0..OF_EACH {
        begin += 86_400_000_000 / 125;
        for (step, (there, message)) in (0..).zip(call(n)) {
            let at = begin + step * 1_000_000;
            let damaged = message.replace("CSeq: ", "CSeq: x");
            let frames = [frame(at, there, &message, &secret(0)), frame(at, there, &damaged, &secret(0))];
            stream.write_all(&frames.concat()).expect("it is read");
            sent += frames.len();
        }
        let mut other = TcpStream::connect(frames_to).expect("a connection");
        other.write_all(&frame(begin, true, &call(n)[0].1, &secret(n.max(1)))).expect("it is read");
        sent += 1;
    }
    let metrics = || exchange(http, "GET", "/metrics", &[], b"").text;
    let all = format!("hookswitch_hep_frames_received_total{{transport=\"tcp\"}} {sent}\n");
    wait_for(|| metrics().contains(&all).then_some(()), || format!("{all}{}", metrics()));
    let told = || home.store("events").lines().filter(|line| line.contains("Disconnected")).count();
    wait_for(|| (told() >= 4 * OF_EACH).then_some(()), || format!("the ends: {}", told()));
    drop(told_by_socket);
    let failed = "hookswitch_webhook_notifications_total{stage=\"failed\"} ";
    let failing =
        || metrics().lines().any(|line| line.strip_prefix(failed).is_some_and(|count| count != "0"));
    wait_for(|| failing().then_some(()), || "a webhook that fails".to_owned());
    let metrics = metrics();
    let log = String::from_utf8(server.stop()).expect("UTF-8");
    Day { log, metrics, refusals }
}

/// The canaries that are found in a text.
fn found(text: &str) -> Vec<String> {
    let names = (0..OF_EACH).map(|n| name(n).split_once(' ').expect("two words").1.to_owned());
    let numbers = (0..OF_EACH).map(|n| number(n)[5..].to_owned());
    let all = numbers.chain(names).chain((0..OF_EACH).map(token)).chain((0..OF_EACH).map(secret));
    all.filter(|canary| text.contains(canary.as_str())).collect()
}

#[test]
fn at_level_info_nothing_tells_of_numbers_names_tokens_or_secrets() {
    let day = day("info");
    assert_eq!(found(&day.log), Vec::<String>::new(), "{}", day.log);
    assert_eq!(found(&day.metrics), Vec::<String>::new());
    for refusal in &day.refusals {
        assert_eq!(found(refusal), Vec::<String>::new(), "{refusal}");
    }
    // The log does tell of what happened.
    assert!(
        day.log.contains("a new sender")
            && day.log.contains("there is no manager connection")
            && day.log.contains("there is no event socket connection")
            && day.log.contains("logged in to the event socket"),
        "{}",
        day.log
    );
}

#[test]
fn at_level_debug_of_a_number_the_last_four_digits_are_shown() {
    let day = day("debug");
    let hits = found(&day.log);
    let lines = day.log.lines().filter(|line| hits.iter().any(|hit| line.contains(hit)));
    assert_eq!(hits, Vec::<String>::new(), "{:#?}", lines.take(5).collect::<Vec<_>>());
    assert!(day.log.contains("a party has changed"), "{}", day.log);
    assert!(day.log.contains(&format!("…{}", &number(0)[8..])), "{}", day.log);
}

#[test]
fn a_log_of_everything_names_no_receiver_through_a_library() {
    let home = Home::new("canaries-hosts");
    let server = Logged::start(&home, "trace", "text");
    let http = server.address("HTTP");
    let own = basic(home.made("client_id"), home.made("client_secret"));
    let login = form(&[("grant_type", JWT_BEARER), ("assertion", home.made("jwt"))]);
    let form_type = ("Content-Type", "application/x-www-form-urlencoded");
    let headers = [("Authorization", &*own), form_type];
    let access = exchange(http, "POST", "/restapi/oauth/token", &headers, login.as_bytes());
    let access = format!("Bearer {}", access.text("access_token"));
    let receiver = Receiver::good();
    let body = json!({"eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
        "deliveryMode": {"transportType": "WebHook", "address": receiver.url()}});
    let headers = [("Authorization", &*access), ("Content-Type", "application/json")];
    let made = exchange(http, "POST", "/restapi/v1.0/subscription", &headers, body.to_string().as_bytes());
    assert_eq!(made.status, 200, "{made:?}");
    let log = String::from_utf8(server.stop()).expect("UTF-8");
    assert!(log.contains(" INFO hookswitch"), "{log}");
    let url = receiver.url();
    let host = url.trim_start_matches("http://").trim_end_matches("/hook");
    let named = log.lines().filter(|line| line.contains(host) && !line.contains(" hookswitch"));
    assert_eq!(named.collect::<Vec<_>>(), [""; 0]);
}
