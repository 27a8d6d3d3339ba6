//! Tests of what capture agents send, and what is made of what they should not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, path, wait_for};

#[test]
fn garbage_costs_nobody_else_anything_and_is_counted() {
    let home = Home::new("garbage");
    let server = Server::start(&home);
    let mut agent = Agent::new(server.hep(), 1);
    let messages = call("good");
    let half = agent.frame(messages[0].0, &messages[0].1);
    for (way, message) in &messages {
        agent.send_raw(b"");
        agent.send_raw(b"garbage");
        agent.send_raw(b"HEP3\xff\xff");
        agent.send_raw(&half[..half.len() / 2]);
        agent.send_raw(&vec![0xff; 60_000]);
        let rtcp = agent.frame(*way, "not SIP at all");
        agent.send_raw(&rtcp);
        let broken = agent.frame(*way, "INVITE sip:x SIP/2.0\r\nnonsense\r\n\r\n");
        agent.send_raw(&broken);
        assert!(agent.send(*way, message));
    }
    home.events(EVENTS_OF_CALL);
    let sent = 8 * messages.len() as u64;
    wait_for(
        || (server.count("hookswitch_hep_frames_received_total{transport=\"udp\"}") == sent).then_some(()),
        || "all frames".to_owned(),
    );
    balance(&server);
    assert_eq!(server.count("hookswitch_hep_frames_total{outcome=\"malformed\"}"), 5 * 6);
    assert_eq!(server.count("hookswitch_hep_frames_total{outcome=\"not_sip\"}"), 6);
    assert_eq!(server.count("hookswitch_sip_messages_total{outcome=\"malformed\"}"), 6);
    assert_eq!(server.count("hookswitch_sip_messages_total{outcome=\"in_call\"}"), 6);
}

#[test]
fn only_those_who_are_listed_and_have_the_key_may_send() {
    let home = Home::new("key");
    home.configure("[[hep.source]]\nname = \"pbx\"\naddresses = [\"127.0.0.1\"]\nkey = \"sesame\"\naccount = 420002027\n");
    let server = Server::start(&home);
    let mut stranger = Agent::new(server.hep(), 1);
    let mut liar = Agent::new(server.hep(), 1).with_key(b"sesami");
    let mut pbx = Agent::new(server.hep(), 1).with_key(b"sesame");
    for (way, message) in call("a-call") {
        stranger.send(way, &message);
        liar.send(way, &message);
        pbx.send(way, &message);
    }
    let events = home.events(EVENTS_OF_CALL);
    assert_eq!(events[0]["body"]["parties"][0]["accountId"], "420002027");
    wait_for(|| (server.sum("hookswitch_hep_frames_total") == 18).then_some(()), || "all frames".to_owned());
    balance(&server);
    assert_eq!(server.count("hookswitch_hep_frames_total{outcome=\"key\"}"), 12);
    let line = server.logged("they have not the key of the source");
    assert_eq!((&line["address"], &line["source"]), (&"127.0.0.1".into(), &"pbx".into()));

    let elsewhere = Home::new("address");
    elsewhere.configure("[[hep.source]]\nname = \"pbx\"\naddresses = [\"192.0.2.0/24\"]\n");
    let server = Server::start(&elsewhere);
    let mut agent = Agent::new(server.hep(), 1);
    for (way, message) in call("a-call") {
        agent.send(way, &message);
    }
    wait_for(
        || (server.count("hookswitch_hep_frames_total{outcome=\"address\"}") == 6).then_some(()),
        || "all frames".to_owned(),
    );
    balance(&server);
    assert_eq!(elsewhere.store("events"), "");
}

#[test]
fn a_sender_beyond_its_rate_takes_nothing_from_another() {
    let home = Home::new("rate");
    home.configure(
        "[[hep.source]]\nname = \"noisy\"\naddresses = [\"127.0.0.2\"]\nmessages_per_second = 10\n\
         [[hep.source]]\nname = \"quiet\"\naddresses = [\"127.0.0.1\"]\n",
    );
    let server = Server::start(&home);
    let noisy = std::net::UdpSocket::bind("127.0.0.2:0").expect("a loopback address");
    let mut quiet = Agent::new(server.hep(), 1);
    let mut maker = Agent::new(server.hep(), 2);
    for number in 0..50 {
        for _ in 0..20 {
            let [(way, invite), ..] = call(&format!("noise-{number}"));
            noisy.send_to(&maker.frame(way, &invite), server.hep()).expect("it leaves");
        }
        for (way, message) in call(&format!("call-{number}")) {
            quiet.send(way, &message);
        }
    }
    let quiet_events = || {
        let text = home.store("events");
        let done = text.lines().filter(|line| line.contains("\"code\":\"Disconnected\"")).count();
        (done == 100).then_some(())
    };
    wait_for(quiet_events, || "all calls of the quiet sender".to_owned());
    wait_for(
        || (server.sum("hookswitch_hep_frames_total") == 50 * 26).then_some(()),
        || "all frames".to_owned(),
    );
    balance(&server);
    let dropped = server.count("hookswitch_hep_frames_total{outcome=\"rate\"}");
    assert!((900..1000).contains(&dropped), "{dropped}");
}

#[test]
fn frames_come_over_tcp_in_any_pieces() {
    let home = Home::new("tcp");
    let server = Server::start(&home);
    let to = server.addresses["HEP over TCP"];
    let mut agent = Agent::new(server.hep(), 7);
    let mut bytes = Vec::new();
    for number in 0..20 {
        for (way, message) in call(&format!("tcp-{number}")) {
            bytes.extend(agent.frame(way, &message));
        }
    }
    let mut stream = TcpStream::connect(to).expect("the server listens");
    stream.set_nodelay(true).expect("a socket option");
    let mut rest = &bytes[..];
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        stream.write_all(piece).expect("the server reads");
        rest = behind;
        size = size % 977 + 13;
    }
    drop(stream);
    home.events(20 * EVENTS_OF_CALL);
    balance(&server);

    // Bytes that are no frame end the connection, and no other.
    let mut good = TcpStream::connect(to).expect("the server listens");
    let mut bad = TcpStream::connect(to).expect("the server listens");
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the server reads");
    assert_eq!(bad.read(&mut [0; 16]).unwrap_or(0), 0, "the connection is closed");
    for (way, message) in call("tcp-after") {
        good.write_all(&agent.frame(way, &message)).expect("the server reads");
    }
    home.events(21 * EVENTS_OF_CALL);
    wait_for(
        || (server.count("hookswitch_hep_connections_refused_total") == 1).then_some(()),
        || "the refused connection".to_owned(),
    );
}

#[test]
fn a_clock_that_is_elsewhere_ends_nobody_elses_calls() {
    let home = Home::new("clocks");
    let server = Server::start(&home);
    let mut punctual = Agent::new(server.hep(), 1);
    let mut others = [Agent::new(server.hep(), 2).ahead(30), Agent::new(server.hep(), 3).ahead(-30)];
    let ringing = call("ringing");
    for (way, message) in &ringing[..2] {
        punctual.send(*way, message);
    }
    home.events(4);
    for (other, name) in [(0, "ahead"), (1, "behind"), (0, "ahead-again")] {
        for (way, message) in call(name) {
            others[other].send(way, &message);
        }
    }
    home.events(4 + 3 * EVENTS_OF_CALL);
    for (way, message) in &ringing[2..] {
        punctual.send(*way, message);
    }
    let events = home.events(4 * EVENTS_OF_CALL);
    let dropped = events.iter().filter(|event| event["body"]["parties"][0]["status"]["reason"].is_string());
    assert_eq!(dropped.count(), 0);
    server.stop();
    home.store("check");
}

#[test]
fn frames_come_over_tls() {
    let home = Home::new("tls");
    let (certificate, key) = (home.directory.join("certificate.pem"), home.directory.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=localhost", "-days", "2", "-keyout", path(&key), "-out", path(&certificate)])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success());
    let server = Server::start_with(
        &home,
        &[
            ("HOOKSWITCH_HEP__TLS_LISTEN", "127.0.0.1:0"),
            ("HOOKSWITCH_HEP__TLS_CERTIFICATE", "certificate.pem"),
            ("HOOKSWITCH_HEP__TLS_KEY", "key.pem"),
        ],
    );
    let to = server.addresses["HEP over TLS"];
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-CAfile", path(&certificate), "-connect"])
        .arg(to.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let mut agent = Agent::new(server.hep(), 1);
    let mut input = client.stdin.take().expect("a pipe");
    for (way, message) in call("secret") {
        input.write_all(&agent.frame(way, &message)).expect("the client reads");
    }
    drop(input);
    home.events(EVENTS_OF_CALL);
    client.kill().ok();
    client.wait().expect("it ends");
    assert_eq!(server.count("hookswitch_hep_frames_received_total{transport=\"tls\"}"), 6);
    balance(&server);
    // What is no handshake ends, and costs nobody else anything.
    let mut bad = TcpStream::connect(to).expect("the server listens");
    bad.write_all(b"HEP3\0\x06 and no handshake").expect("the server reads");
    bad.read_to_end(&mut Vec::new()).ok();
}

/// Asserts that what came in is what became of it, at each stage.
#[track_caller]
pub(super) fn balance(server: &Server) {
    let settled = || {
        let received = server.sum("hookswitch_hep_frames_received_total");
        let accepted = server.count("hookswitch_hep_frames_total{outcome=\"accepted\"}");
        let understood = server.sum("hookswitch_sip_messages_total")
            - server.count("hookswitch_sip_messages_total{outcome=\"malformed\"}")
            - server.count("hookswitch_sip_messages_total{outcome=\"senders_full\"}");
        let stored = server.count("hookswitch_signal_log_rows_total");
        let posted = server.count("hookswitch_ingest_signals_total{outcome=\"accepted\"}");
        let ticks = server.count("hookswitch_ticks_total");
        let own = server.count("hookswitch_notes_total");

        [
            (received, server.sum("hookswitch_hep_frames_total")),
            (accepted, server.sum("hookswitch_sip_messages_total")),
            (understood + posted + ticks + own, stored),
            (
                server.count("hookswitch_events_total"),
                server.count("hookswitch_event_log_rows_total")
                    + server.count("hookswitch_events_repeated_total"),
            ),
            (
                server.count("hookswitch_sessions_total{change=\"opened\"}"),
                server.count("hookswitch_sessions_total{change=\"closed\"}")
                    + server.count("hookswitch_sessions_open"),
            ),
        ]
    };
    let mut last = settled();
    wait_for(
        || {
            last = settled();
            last.iter().all(|(one, other)| one == other).then_some(())
        },
        || "the counters to balance".to_owned(),
    );
}
