//! Tests of what needs no credential: connections that say nothing, bodies that are too long, guesses, floods.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::client::{JWT_BEARER, basic, exchange, post_form};
use super::receiver::now;
use super::traffic::{Agent, EVENTS_OF_CALL, call};
use super::{Home, Server, wait_for};

/// Connects from an address of this machine.
fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).expect("a socket");
    bind(fd(&socket), &SockaddrIn::new(from[0], from[1], from[2], from[3], 0)).expect("it is bound");
    let SocketAddr::V4(to) = to else { panic!("IPv4") };
    connect(fd(&socket), &SockaddrIn::from(to)).expect("it connects");
    TcpStream::from(socket)
}

fn fd(socket: &OwnedFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(socket)
}

/// Returns `true` if the server closes a connection within a time.
fn is_closed_within(stream: &mut TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).expect("it can be set");
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn connections_that_say_nothing_are_closed_and_shut_nobody_out() {
    let home = Home::new("doors-silent");
    // As many descriptors as a shell gives.
    let mut command = Command::new("prlimit");
    command.args(["--nofile=1024:1024", env!("CARGO_BIN_EXE_hookswitch"), "serve", "--config"]);
    command.arg(home.config());
    let server = Server::spawn(&mut command, &[]);
    let (http, hep) = (server.http(), server.addresses["HEP over TCP"]);
    let mut begun: Vec<TcpStream> = Vec::new();
    for beginning in
        [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM", b"GET / HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = connect_from([127, 0, 0, 3], http);
        stream.write_all(beginning).expect("it is taken");
        begun.push(stream);
    }
    let flood: Vec<TcpStream> = (0..1100).map(|_| connect_from([127, 0, 0, 2], http)).collect();
    // Others are answered meanwhile, and HEP by TCP is taken.
    let mut other = connect_from([127, 0, 0, 4], http);
    other.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it is taken");
    let mut answer = String::new();
    other.read_to_string(&mut answer).expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.get("/healthz").0, 200, "the operator");
    let silent: Vec<TcpStream> = (0..1100).map(|_| connect_from([127, 0, 0, 5], hep)).collect();
    let mut agent = Agent::new(hep, 1);
    let mut stream = connect_from([127, 0, 0, 6], hep);
    for (way, message) in call("beside") {
        stream.write_all(&agent.frame(way, &message)).expect("it is taken");
    }
    home.events(EVENTS_OF_CALL);
    for (index, stream) in begun.iter_mut().enumerate() {
        assert!(is_closed_within(stream, Duration::from_secs(35)), "beginning {index}");
    }
    drop((flood, silent));
    server.stop();
}

#[test]
fn a_body_that_is_too_long_is_answered_before_the_connection_is_closed() {
    let home = Home::new("doors-long");
    let server = Server::start(&home);
    let length = 12 * 1024 * 1024;
    for (path, limit) in [("/ingest/v1/signals", "413"), ("/restapi/oauth/token", "413")] {
        for _ in 0..5 {
            let mut stream = TcpStream::connect(server.http()).expect("the server listens");
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n",
                home.made("admin_token")
            );
            stream.write_all(head.as_bytes()).expect("it is taken");
            // All of it is sent before anything is read.
            let block = vec![b' '; 64 * 1024];
            for _ in 0..length / block.len() {
                stream.write_all(&block).expect("the server reads on");
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("the answer is there");
            assert!(answer.starts_with(&format!("HTTP/1.1 {limit}")), "{path}: {answer}");
        }
    }
}

#[test]
fn a_flood_of_agents_of_one_host_takes_no_place_from_others() {
    let home = Home::new("doors-agents");
    let server = Server::start(&home);
    let socket = std::net::UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a free port");
    for id in 0..9000 {
        let mut liar = Agent::new(server.hep(), id);
        let (way, message) = &call("flood")[0];
        let message = message.replace("flood", &format!("flood{id}"));
        socket.send_to(&liar.frame(*way, &message), server.hep()).expect("it leaves");
        if id % 50 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let before = home.store("events").lines().count();
    let mut agent = Agent::new(server.hep(), 7);
    for (way, message) in call("honest") {
        agent.send(way, &message);
    }
    home.events_at_least(before.max(1) + EVENTS_OF_CALL);
    // What is posted is taken too.
    let signals = json!({"signals": [{"id": "1", "leg": "a", "kind": "created", "direction": "outbound", "callee": "102",
        "caller": {"number": "101"}}]});
    let posted = server.call(home.made("admin_token"), "POST", "/ingest/v1/signals", Some(&signals));
    assert_eq!(posted.status, 200, "{posted:?}");
}

#[test]
fn a_stamp_that_is_ahead_is_of_now_and_ends_no_call() {
    let home = Home::new("doors-ahead");
    let server = Server::start(&home);
    // An agent whose clock is right, and one message of it that is far ahead.
    let clock =
        i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros()).expect("it fits");
    let mut agent = Agent::new(server.hep(), 1).at(clock);
    let messages = call("goes-on");
    for (way, message) in &messages[..4] {
        agent.send(*way, message);
    }
    wait_for(
        || (home.store("events").contains("Answered")).then_some(()),
        || "the call is answered".to_owned(),
    );
    let events = home.store("events").lines().count();
    for hours in [1, 26] {
        let mut ahead = Agent::new(server.hep(), 1).at(clock).ahead(hours);
        let (way, message) = &call(&format!("ahead-{hours}"))[0];
        ahead.send_as(&agent, *way, message);
    }
    wait_for(
        || (server.count("hookswitch_stamps_ahead_total") == 2).then_some(()),
        || "both are counted".to_owned(),
    );
    std::thread::sleep(Duration::from_secs(1));
    let text = home.store("events");
    let of_call = text.lines().filter(|line| line.contains("Disconnected")).count();
    assert_eq!(of_call, 0, "the call goes on: {text}");
    for (way, message) in &messages[4..] {
        agent.send(*way, message);
    }
    home.events_at_least(events + 2);
    assert!(home.store("events").contains("Disconnected"), "its end is told");
}

#[test]
fn who_guesses_shuts_out_nobody_at_another_address() {
    let home = Home::new("doors-guesses");
    let server = Server::start(&home);
    let (id, secret) = (home.made("client_id"), home.made("client_secret"));
    let guess = |from: [u8; 4], secret: &str| {
        let mut stream = connect_from(from, server.http());
        let body = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            home.made("jwt")
        );
        let head = format!(
            "POST /restapi/oauth/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            basic(id, secret),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is answered");
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    for _ in 0..10 {
        assert_eq!(guess([127, 0, 0, 2], "wrong"), "401");
    }
    assert_eq!(guess([127, 0, 0, 2], "wrong"), "429");
    assert_eq!(guess([127, 0, 0, 2], secret), "429", "who guesses waits");
    assert_eq!(guess([127, 0, 0, 3], secret), "200", "the right secret from elsewhere is answered");
    // Made-up refresh tokens of a client shut out no user of it.
    let authorization = basic(id, secret);
    for number in 0..12 {
        let token = format!("made-up-{number}");
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
        post_form(server.http(), "/restapi/oauth/token", Some(&authorization), &parameters);
    }
    assert_eq!(guess([127, 0, 0, 4], secret), "200");
    let parameters = [("grant_type", JWT_BEARER), ("assertion", home.made("jwt"))];
    assert_eq!(
        post_form(server.http(), "/restapi/oauth/token", Some(&authorization), &parameters).status,
        429,
        "where they came from it waits"
    );
    // The log-in page is counted by address, too.
    let began = now();
    assert_eq!(exchange(server.http(), "GET", "/healthz", &[], b"").status, 200);
    assert!(began.elapsed() < Duration::from_secs(1));
}
