//! Tests of what one connection may cost: at each limit, and above it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::receiver::now;
use super::{Home, Server};

/// Sends what is given, and gives all that is answered.
fn raw(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(bytes).ok(); // what is refused may not be read to its end
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn lengths_are_taken_up_to_their_limit_and_not_beyond() {
    let home = Home::new("limit-lengths");
    let server = Server::start(&home);
    let to = server.http();
    let get = |target: &str, headers: &str| {
        raw(to, format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").as_bytes())
    };
    // The address.
    let target = |bytes: usize| format!("/healthz?{}", "x".repeat(bytes - "/healthz?".len()));
    assert_eq!(status(&get(&target(8 * 1024), "")), "200");
    assert_eq!(status(&get(&target(8 * 1024 + 1), "")), "414");
    // The head as a whole, and the number of its headers; two are there already.
    let head = get("/healthz", "").len();
    assert!(head > 0);
    let filled = |bytes: usize| {
        let rest = bytes - "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: \r\n\r\n".len();
        get("/healthz", &format!("X: {}\r\n", "x".repeat(rest)))
    };
    assert_eq!(status(&filled(16 * 1024 - 64)), "200");
    assert_eq!(status(&filled(16 * 1024 + 64)), "431");
    assert_eq!(status(&get("/healthz", &"X: 1\r\n".repeat(98))), "200");
    assert_eq!(status(&get("/healthz", &"X: 1\r\n".repeat(99))), "431");
    // Bodies, by what they are for: a subscription takes 256 KiB, signals 4 MiB.
    let token = server.log_in(&home).text("access_token");
    let admin = home.made("admin_token");
    for (path, token, limit) in
        [("/restapi/v1.0/subscription", &*token, 256 * 1024), ("/ingest/v1/signals", admin, 4 * 1024 * 1024)]
    {
        let send = |bytes: usize| {
            let mut request = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
            )
            .into_bytes();
            request.resize(request.len() + bytes, b' ');
            raw(to, &request)
        };
        assert_eq!(status(&send(limit)), "400", "{path}: it is read, and is no JSON");
        assert_eq!(status(&send(limit + 1)), "413", "{path}");
    }
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn slow_clients_are_cut_off_and_cost_the_others_nothing() {
    let home = Home::new("limit-slow");
    let server = Server::start(&home);
    let to = server.http();
    let token = server.log_in(&home).text("access_token");
    let slow: Vec<_> = (0..60)
        .map(|number| {
            let token = token.clone();
            thread::spawn(move || {
                let mut stream = TcpStream::connect(to).expect("the server listens");
                let body = number % 2 == 1;
                let head = if body {
                    format!(
                        "POST /restapi/v1.0/subscription HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\
                         Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
                    )
                } else {
                    "GET /healthz HTTP/1.1\r\nHost: a\r\n".to_owned()
                };
                stream.write_all(head.as_bytes()).expect("it is read");
                stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout can be set");
                let started = now();
                // A few octets twice a second, which is less than a body must have.
                let mut answer = Vec::new();
                let mut buffer = [0; 1024];
                while started.elapsed() < Duration::from_secs(30) {
                    if stream.write_all(if body { b"    " } else { b"X: 1\r\n" }).is_err() {
                        break;
                    }
                    match stream.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(read) => answer.extend(&buffer[..read]),
                        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                        Err(_) => break,
                    }
                }
                (body, started.elapsed(), String::from_utf8_lossy(&answer).into_owned())
            })
        })
        .collect();
    // Others are served meanwhile.
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let started = now();
        assert_eq!(server.get("/healthz").0, 200);
        slowest = slowest.max(started.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for client in slow {
        let (body, took, answer) = client.join().expect("no panic");
        assert!(took < Duration::from_secs(15), "{took:?}: {answer}");
        if body {
            assert_eq!(status(&answer), "408", "{answer}");
            assert!(answer.contains("CMN-101"), "{answer}");
        } else {
            assert!(matches!(status(&answer), "" | "408"), "{answer}");
        }
    }
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Reads the frames that come, until one of a type; gives its payload.
fn read_until(stream: &mut TcpStream, wanted: u8) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap_or_else(|error| panic!("no frame of type {wanted}: {error}"));
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).expect("a whole frame");
        if head[3] == wanted {
            return payload;
        }
    }
}

#[test]
fn an_http2_connection_has_a_hundred_streams_and_ends_when_it_resets_too_many() {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let home = Home::new("limit-http2");
    let server = Server::start(&home);
    let mut stream = TcpStream::connect(server.http()).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("it is read");
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).expect("it is read");
    let settings = read_until(&mut stream, SETTINGS);
    let streams = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("a number of streams");
    assert_eq!(streams[2..], 100_u32.to_be_bytes());
    // Requests that are taken back at once (CVE-2023-44487): GET / of "a".
    let head = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    for number in 0..2000 {
        let id = 2 * number + 1;
        let mut request = frame(1, 5, id, &head);
        request.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
        if stream.write_all(&request).is_err() {
            break; // it has ended already
        }
    }
    let goaway = read_until(&mut stream, GOAWAY);
    assert_eq!(goaway[4..8], 11_u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
    assert_eq!(server.get("/healthz").0, 200);
}
