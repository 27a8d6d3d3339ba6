//! The ARI of an Asterisk: the test plays the Asterisk, its web server and its WebSocket.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use hookswitch_flows::recordings::Recording;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

use super::switch::{connects, shown};
use super::{Home, PATIENCE, Server, wait_for};

const PASSWORD: &str = "not-to-be-logged";

/// "me" and the password, in base64.
const AUTHORIZATION: &str = "Basic bWU6bm90LXRvLWJlLWxvZ2dlZA==";

/// An Asterisk whose ARI listens.
struct Asterisk(TcpListener);

/// Its WebSocket.
struct Events(WebSocket<TcpStream>);

impl Asterisk {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn configuration(&self) -> String {
        let address = self.0.local_addr().expect("an address");
        format!(
            "\n[[ari.source]]\nname = \"rest\"\naddress = \"{address}\"\nuser = \"me\"\npassword = \"{PASSWORD}\"\n"
        )
    }

    #[track_caller]
    fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Lets a connection become a WebSocket, and says what goes on.
    #[track_caller]
    fn accept_login(&self, channels: &Value, bridges: &Value) -> Events {
        let socket = accept_hdr(self.accept(), check).expect("a WebSocket is asked for");
        let mut asked: Vec<String> = (0..2).map(|_| self.answer(channels, bridges)).collect();
        asked.sort();
        assert_eq!(asked, ["/ari/bridges", "/ari/channels"]);
        Events(socket)
    }

    /// Answers one request, and gives its path.
    #[track_caller]
    fn answer(&self, channels: &Value, bridges: &Value) -> String {
        let mut stream = self.accept();
        let head = read_head(&mut stream);
        assert!(
            head.to_ascii_lowercase()
                .contains(&format!("authorization: {}", AUTHORIZATION.to_ascii_lowercase()))
        );
        let path = head.split(' ').nth(1).expect("a path").to_owned();
        let body = if path.ends_with("channels") { channels } else { bridges }.to_string();
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nServer: Asterisk/22.10.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .expect("it is read");
        path
    }
}

impl Events {
    #[track_caller]
    fn tell(&mut self, event: &Value) {
        self.0.send(Message::text(event.to_string())).expect("it is read");
    }

    /// Plays what a recorded Asterisk has told, as fast as goes.
    #[track_caller]
    fn play(&mut self, name: &str) {
        let lines = Recording::named("asterisk", name).read("ari.jsonl");
        for line in String::from_utf8(lines).expect("UTF-8").lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            self.tell(&line["event"]);
        }
    }
}

#[expect(clippy::result_large_err, clippy::unnecessary_wraps, reason = "the library calls it so")]
fn check(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(request.uri(), "/ari/events?app=hookswitch&subscribeAll=true");
    assert_eq!(request.headers()["Authorization"], AUTHORIZATION);
    Ok(response)
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.extend(byte);
    }
    String::from_utf8(head).expect("text")
}

fn channel(id: &str, name: &str, number: &str, connected: &str, exten: &str, app: &str) -> Value {
    json!({
        "id": id, "name": name, "state": "Up", "protocol_id": format!("{id}@pbx"),
        "caller": {"name": "", "number": number}, "connected": {"name": "", "number": connected},
        "dialplan": {"context": "internal", "exten": exten, "priority": 1, "app_name": app, "app_data": ""},
    })
}

const CALL: [&str; 8] = [
    "Outbound 101 Setup",
    "Inbound 102 Setup",
    "Inbound 102 Proceeding",
    "Outbound 101 Proceeding",
    "Inbound 102 Answered",
    "Outbound 101 Answered",
    "Outbound 101 Disconnected",
    "Inbound 102 Disconnected",
];

#[test]
fn what_ari_tells_is_in_the_log() {
    let home = Home::new("ari");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    connects(&server, &home, "ari", "rest", Some(false));
    let mut events = pbx.accept_login(&json!([]), &json!([]));
    server.logged("logged in to the ARI");
    connects(&server, &home, "ari", "rest", Some(true));
    events.play("answered-internal");
    assert_eq!(shown(&home.events(8)), CALL);
    let passed_over = || server.count("hookswitch_ari_messages_total{outcome=\"passed_over\"}");
    wait_for(|| (passed_over() > 0).then_some(()), || "devices to be passed over".to_owned());
    server.stop();
    // The log alone gives the same events again.
    home.store("check");
}

#[test]
fn after_an_ari_connection_was_lost_calls_that_ended_are_closed_and_calls_that_began_are_opened() {
    let home = Home::new("ari-lost");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let running = json!([
        channel("9.1", "PJSIP/103-00000009", "103", "104", "104", "Dial"),
        channel("9.2", "PJSIP/104-0000000a", "104", "103", "", "AppDial"),
    ]);
    let events = pbx
        .accept_login(&running, &json!([{"id": "b", "bridge_class": "basic", "channels": ["9.1", "9.2"]}]));
    let found = [
        "Outbound 103 Setup",
        "Outbound 103 Answered",
        "Inbound 104 Setup",
        "Inbound 104 Proceeding",
        "Inbound 104 Answered",
    ];
    assert_eq!(shown(&home.events(5)), found);
    drop(events);
    server.logged("there is no ARI connection");
    let _events = pbx.accept_login(&json!([]), &json!([]));
    assert_eq!(shown(&home.events(7)[5..]), ["Outbound 103 Disconnected", "Inbound 104 Disconnected"]);
    server.stop();
    home.store("check");
}

#[test]
fn an_ari_log_in_that_is_refused_is_said_without_the_password() {
    let home = Home::new("ari-refused");
    let pbx = Asterisk::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let mut stream = pbx.accept();
    read_head(&mut stream);
    stream
        .write_all(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"Asterisk REST Interface\"\r\nContent-Length: 0\r\n\r\n")
        .expect("it is read");
    let text = server.logged("there is no ARI connection").to_string();
    assert!(text.contains("refuses the password") && text.contains("ari.conf"), "{text}");
    assert!(!text.contains(PASSWORD) && !text.contains("bWU6"), "{text}");
    // It tries again.
    pbx.accept_login(&json!([]), &json!([]));
    server.stop();
}
