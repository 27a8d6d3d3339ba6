//! Tests that hostile strings do nothing where they are logged, stored, told and printed.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use hookswitch_model::Timestamp;
use hookswitch_signal::capture::{Captured, Transport, hep};
use serde_json::{Value, json};

use super::logged::Logged;
use super::{Home, hookswitch, hostile, path, request, wait_for};
use hookswitch_flows::asterisk::asterisk;
use hookswitch_flows::freeswitch::freeswitch;

/// The time of the first message.
const START: i64 = 1_700_000_000_000_000;

/// Bytes that fit into a datagram beside the rest of a message.
const FITS_BYTES: usize = 56_000;

/// Mark that is replaced by a hostile string.
const MARK: &str = "@@";

/// The fields of SIP that others see.
const SIP_FIELDS: [&str; 8] =
    ["from", "quoted", "to", "call-id", "user-agent", "reason", "subject", "referred-by"];

/// Asserts that nothing in it acts: it is UTF-8, and but for the ends of lines there are no controls and
/// nothing that ends a line or turns it around.
#[track_caller]
fn assert_plain(bytes: &[u8], what: &str) -> String {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: {error}")).to_owned();
    let acts = |c: char| {
        c != '\n' && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    if let Some(at) = text.find(acts) {
        let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let shown: String = text[line..].chars().take(400).flat_map(char::escape_default).collect();
        panic!("{what}: {shown}");
    }
    text
}

/// Asserts that each line of a log is a record of its own.
#[track_caller]
fn assert_records(log: &[u8], format: &str) -> usize {
    let text = assert_plain(log, format);
    for line in text.lines() {
        if format == "json" {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(record["timestamp"].is_string() && record["level"].is_string(), "{line}");
            assert_eq!(record["forged"], Value::Null, "{line}");
        } else {
            let mut words = line.split_whitespace();
            let time = words.next().unwrap_or_default();
            assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 27, "{line}");
            let level = words.next().unwrap_or_default();
            assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{line}");
        }
    }
    text.lines().count()
}

/// Asserts that each line is a JSON object, and gives their number.
#[track_caller]
fn assert_json(text: &[u8]) -> usize {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| {
            let parsed: Result<Value, _> = serde_json::from_slice(line);
            let parsed = parsed.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
            assert!(parsed.is_object());
        })
        .count()
}

/// The messages of a call, in which a field has a hostile string.
fn call(number: usize, field: &str, string: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let string = &string[..string.len().min(FITS_BYTES)];
    let escaped: Vec<u8> = string
        .iter()
        .filter(|&&byte| byte != b'\r' && byte != b'\n')
        .flat_map(|&byte| if matches!(byte, b'"' | b'\\') { vec![b'\\', byte] } else { vec![byte] })
        .collect();
    let string = if field == "quoted" { &escaped } else { string };
    let of = |name: &str, otherwise: &str| if name == field { MARK.to_owned() } else { otherwise.to_owned() };
    let from = if field == "quoted" { MARK.to_owned() } else { of("from", "Ann") };
    let (to, agent, reason) = (of("to", "Bo"), of("user-agent", "phone"), of("reason", "OK"));
    let id = if field == "call-id" { format!("{number}-{MARK}") } else { format!("{number}-{field}") };
    let (subject, by) = (of("subject", "talk"), of("referred-by", "Cy"));
    let message = |start: &str, cseq: &str, to_tag: &str, more: &str| {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-{number}-{field}-{}\r\n\
             From: \"{from}\" <sip:101@pbx>;tag=a\r\nTo: \"{to}\" <sip:102@pbx>{to_tag}\r\nCall-ID: {id}\r\n\
             CSeq: {cseq}\r\nUser-Agent: {agent}\r\nSubject: {subject}\r\n\
             Referred-By: \"{by}\" <sip:103@pbx>\r\n{more}Content-Length: 0\r\n\r\n",
            cseq.replace(' ', "-")
        );
        let mut bytes = Vec::new();
        for (place, part) in text.split(MARK).enumerate() {
            if place > 0 {
                bytes.extend_from_slice(string);
            }
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    };
    let refer = format!("Refer-To: \"{by}\" <sip:103@pbx>\r\n");
    vec![
        (true, message("INVITE sip:102@pbx SIP/2.0", "1 INVITE", "", "")),
        (false, message(&format!("SIP/2.0 180 {reason}"), "1 INVITE", ";tag=b", "")),
        (false, message(&format!("SIP/2.0 200 {reason}"), "1 INVITE", ";tag=b", "")),
        (true, message("ACK sip:102@pbx SIP/2.0", "1 ACK", ";tag=b", "")),
        (true, message("REFER sip:102@pbx SIP/2.0", "2 REFER", ";tag=b", &refer)),
        (false, message(&format!("SIP/2.0 603 {reason}"), "2 REFER", ";tag=b", "")),
        (true, message("BYE sip:102@pbx SIP/2.0", "3 BYE", ";tag=b", "")),
        (false, message(&format!("SIP/2.0 200 {reason}"), "3 BYE", ";tag=b", "")),
    ]
}

/// All of them through every field, as frames of a capture agent.
fn frames() -> Vec<Vec<u8>> {
    let (mut frames, mut at) = (Vec::new(), START);
    for (number, string) in hostile::strings().iter().enumerate() {
        for field in SIP_FIELDS {
            for (there, message) in call(number, field, string) {
                at += 10_000;
                let ends: [SocketAddr; 2] =
                    ["192.0.2.1:5060", "192.0.2.2:5060"].map(|end| end.parse().expect("an address"));
                let captured = Captured {
                    time: Timestamp::from_micros(at),
                    transport: Transport::Udp,
                    src: ends[usize::from(!there)],
                    dst: ends[usize::from(there)],
                    packet: 0,
                    correlation: None,
                    payload: &message,
                };
                let mut frame = Vec::new();
                // Where the string is in the message several times, a long one does not fit.
                if hep::write(&captured, 1, None, &mut frame).is_ok() && frame.len() < 65_000 {
                    frames.push(frame);
                }
            }
        }
    }
    frames
}

#[test]
fn hostile_strings_in_sip_write_no_lines_and_break_no_event() {
    let frames = frames();
    assert!(frames.len() > hostile::COUNT * SIP_FIELDS.len() * 7, "{}", frames.len());
    for format in ["text", "json"] {
        let home = Home::new(&format!("unharmed-sip-{format}"));
        let server = Logged::start(&home, "trace", format);
        let (hep, http) = (server.address("HEP over TCP"), server.address("HTTP"));
        // A stream waits where the server is behind.
        let mut stream = TcpStream::connect(hep).expect("a connection");
        stream.write_all(&frames.concat()).expect("it is read");
        let metrics = || {
            let (_, text) = request(http, "GET", "/metrics", &[], b"").expect("an answer");
            text.as_str().expect("text").to_owned()
        };
        let taken = format!("hookswitch_hep_frames_received_total{{transport=\"tcp\"}} {}\n", frames.len());
        wait_for(|| metrics().contains(&taken).then_some(()), || format!("{taken}: {}", metrics()));
        assert_plain(metrics().as_bytes(), "the metrics");
        let log = server.stop();
        assert!(assert_records(&log, format) > hostile::COUNT * SIP_FIELDS.len(), "it tells of the calls");
        let events = home.store("events");
        assert_eq!(assert_json(events.as_bytes()), events.lines().count());
        assert!(events.lines().count() > hostile::COUNT * SIP_FIELDS.len() * 5, "{}", events.lines().count());
        home.store("check");
    }
}

#[test]
fn hostile_strings_in_captures_do_nothing_on_a_terminal() {
    let home = Home::new("unharmed-capture");
    let capture = home.directory.join("calls.hep");
    std::fs::write(&capture, frames().concat()).expect("a file");
    let run = |arguments: &[&str]| {
        let output = hookswitch(&[arguments, &[path(&capture)]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_plain(&output.stderr, "what is said");
        output.stdout
    };
    let decoded = assert_plain(&run(&["decode"]), "decode").into_bytes();
    assert!(assert_json(&decoded) > hostile::COUNT * SIP_FIELDS.len());
    let text = assert_plain(&run(&["replay", "--format", "text", "--explain"]), "replay");
    assert!(text.lines().count() > hostile::COUNT * SIP_FIELDS.len());
    assert!(assert_json(&run(&["replay", "--explain"])) > hostile::COUNT * SIP_FIELDS.len());
    // On a terminal JSON is as harmless.
    let line =
        format!("{} replay --explain {} 2>/dev/null", env!("CARGO_BIN_EXE_hookswitch"), path(&capture));
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    let shown = String::from_utf8(output.expect("script runs").stdout).expect("UTF-8");
    assert_plain(shown.replace("\r\n", "\n").as_bytes(), "replay on a terminal");
    assert!(shown.lines().count() > hostile::COUNT * SIP_FIELDS.len());
}

#[test]
fn no_line_end_is_ever_written_to_a_manager() {
    let home = Home::new("unharmed-settings");
    let text = std::fs::read_to_string(home.config()).expect("it is there");
    for (number, string) in hostile::strings().iter().enumerate() {
        let end = ["\r", "\n", "\r\n"][number % 3];
        let harm = format!("{}{end}Action: Originate", String::from_utf8_lossy(string));
        // As TOML writes what it cannot show.
        let harm: String = harm.chars().fold(String::new(), |mut text, c| {
            let _ = write!(text, "\\U{:08X}", u32::from(c));
            text
        });
        let of = |key: &str, otherwise: &str| {
            let harmful = ["user", "secret", "events"][number / 3 % 3] == key;
            if harmful { harm.clone() } else { otherwise.to_owned() }
        };
        std::fs::write(
            home.config(),
            format!(
                "{text}\n[[ami.source]]\nname = \"m\"\naddress = \"127.0.0.1:5038\"\nuser = \"{}\"\nsecret = \"{}\"\n\
                 events = \"{}\"\n",
                of("user", "me"),
                of("secret", "it"),
                of("events", "call")
            ),
        )
        .expect("it can be written");
        let output = hookswitch(&["store", "events", "--config", path(&home.config())]);
        let said = assert_plain(&output.stderr, "what is said");
        assert_eq!(output.status.code(), Some(2), "{number}: {said}");
        assert!(said.contains("hold a line end; write each on one line"), "{number}: {said}");
    }
}

#[test]
fn no_line_end_is_ever_written_to_an_event_socket() {
    const KEYS: [&str; 6] = ["user", "password", "address", "format", "name", "hep"];
    let home = Home::new("unharmed-socket-settings");
    let text = std::fs::read_to_string(home.config()).expect("it is there");
    let mut refused = 0;
    for (number, string) in hostile::strings().iter().enumerate() {
        let end = ["\r", "\n", "\r\n"][number % 3];
        let harm = format!("{}{end}{end}api shutdown", String::from_utf8_lossy(string));
        let harm: String = harm.chars().fold(String::new(), |mut text, c| {
            let _ = write!(text, "\\U{:08X}", u32::from(c));
            text
        });
        let harmful = KEYS[number / 3 % KEYS.len()];
        let mut source = "\n[[esl.source]]\n".to_owned();
        for (key, otherwise) in KEYS.iter().zip(["me@pbx", "it", "127.0.0.1:8021", "json", "f", "agents"]) {
            let _ = writeln!(source, "{key} = \"{}\"", if *key == harmful { &*harm } else { otherwise });
        }
        std::fs::write(home.config(), format!("{text}{source}")).expect("it can be written");
        let output = hookswitch(&["store", "events", "--config", path(&home.config())]);
        let said = assert_plain(&output.stderr, "what is said");
        assert_plain(&output.stdout, "what is printed");
        let is_refused = output.status.code() == Some(2);
        refused += usize::from(is_refused);
        // What a source is called here is never sent to it.
        assert!(is_refused || matches!(harmful, "name" | "hep"), "{number} {harmful}: {said}");
        if matches!(harmful, "user" | "password") {
            assert!(said.contains("hold a line end; write each on one line"), "{number}: {said}");
        }
    }
    assert!(refused >= hostile::COUNT / 6 * 4, "{refused}");
}

/// Word that switches write for each value that names somebody or something.
const WORD: &str = "HOSTILE";

/// The messages of an Asterisk's manager in which every such value has a hostile string.
fn manager_tells(number: u64, string: &[u8]) -> Vec<Vec<u8>> {
    let told = asterisk(
        "
        0.000 Newchannel a PJSIP/101 Exten=102 name=HOSTILE
        0.002 Newexten a Dial(HOSTILE) AccountCode=HOSTILE Context=HOSTILE Language=HOSTILE
        0.004 Newchannel b PJSIP/102 of=a name=HOSTILE
        0.006 DialBegin a>b DialString=102 DestConnectedLineName=HOSTILE
        0.020 Newstate b 5
        1.000 Newstate b 6
        1.002 Newstate a 6
        1.003 BridgeEnter b one
        1.004 BridgeEnter a one
        2.000 Hangup a 16 Cause-txt=HOSTILE
        2.001 Hangup b 16 Cause-txt=HOSTILE
        ",
    );
    // Each call has channels of its own.
    let own = format!("19000{number:05}.");
    told.told
        .iter()
        .map(|told| replaced(&replaced(&told.message, b"170000.", own.as_bytes()), WORD.as_bytes(), string))
        .collect()
}

/// The same of a FreeSWITCH's event socket, where values are written as in a URL: each octet comes through.
fn socket_tells(number: u64, string: &[u8]) -> Vec<Vec<u8>> {
    let story = format!(
        "
        0.000 create a{number} 101>102 Caller-Caller-ID-Name=HOSTILE Caller-Callee-ID-Name=HOSTILE sip_user_agent=HOSTILE
        0.010 create b{number} to=102 of=a{number} Caller-Caller-ID-Name=HOSTILE sip_subject=HOSTILE
        0.020 progress b{number}
        1.000 bridge a{number} b{number}
        2.000 ends b{number} NORMAL_CLEARING sip_term_phrase=HOSTILE
        2.001 ends a{number} NORMAL_CLEARING sip_hangup_phrase=HOSTILE
        "
    );
    let encoded: String = string.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    });
    let told = freeswitch(&story).plain;
    told.iter()
        .map(|told| {
            let at = told.message.windows(2).position(|two| two == b"\n\n").expect("a body") + 2;
            let body = replaced(&told.message[at..], WORD.as_bytes(), encoded.as_bytes());
            // The switch numbers its events; no two calls share a number.
            let sequence = format!("Event-Sequence: {}0", number + 1);
            let body = replaced(&body, b"Event-Sequence: ", sequence.as_bytes());
            let head = format!("Content-Length: {}\nContent-Type: text/event-plain\n\n", body.len());
            [head.into_bytes(), body].concat()
        })
        .collect()
}

#[test]
fn hostile_strings_of_switches_do_nothing_on_a_terminal() {
    let home = Home::new("unharmed-transcripts");
    let mut manager = Vec::new();
    let mut socket = Vec::new();
    for (number, string) in (0_u64..).zip(&hostile::strings()) {
        for (step, message) in (0..).zip(manager_tells(number, string)) {
            let at = START.unsigned_abs() / 1_000_000 + number * 10 + step / 2;
            manager.extend(format!(";; 2023-11-14T22:13:20Z {at}.000000\n").into_bytes());
            manager.extend(message);
            manager.extend(b"\r\n");
        }
        for (step, message) in (0..).zip(socket_tells(number, string)) {
            let at = START.unsigned_abs() / 1_000_000 + number * 10 + step / 2;
            let line = format!("=== {at}.000000 2023-11-14T22:13:20Z in {}\n", message.len());
            socket.extend(line.into_bytes());
            socket.extend(message);
            socket.extend(b"\n");
        }
    }
    for (name, bytes) in [("ami.log", manager), ("esl.log", socket)] {
        let file = home.directory.join(name);
        std::fs::write(&file, bytes).expect("a file");
        let run = |arguments: &[&str]| {
            let output = hookswitch(&[&["replay", "--explain"], arguments, &[path(&file)]].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_plain(&output.stderr, "what is said");
            output.stdout
        };
        let text = assert_plain(&run(&["--format", "text"]), name);
        assert!(
            text.lines().filter(|line| line.contains("Disconnected")).count() >= hostile::COUNT,
            "{name}"
        );
        assert!(assert_json(&run(&[])) >= 5 * hostile::COUNT, "{name}");
    }
}

#[test]
fn hostile_strings_of_a_manager_write_no_lines_and_break_no_event() {
    for format in ["text", "json"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let home = Home::new(&format!("unharmed-manager-{format}"));
        home.configure(&format!(
            "\n[[ami.source]]\nname = \"manager\"\naddress = \"{}\"\nuser = \"me\"\nsecret = \"it\"\nplain_login = true\n",
            listener.local_addr().expect("an address")
        ));
        let asterisk = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"Asterisk Call Manager/11.0.0\r\n").expect("it is read");
            let mut lines = BufReader::new(stream.try_clone().expect("the same")).lines();
            // Whatever is asked for is refused, with what could be a line of a log.
            let strings = hostile::strings();
            let mut first = true;
            for string in &strings {
                while !lines.next().expect("an action").expect("text").is_empty() {}
                let answer = if first {
                    &b"Response: Success\r\nMessage: "[..]
                } else {
                    b"Response: Error\r\nMessage: "
                };
                stream.write_all(&[answer, string, b"\r\n\r\n"].concat()).expect("it is read");
                if first {
                    let booted =
                        b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n";
                    stream.write_all(booted).expect("it is read");
                } else {
                    break;
                }
                first = false;
            }
            for (number, string) in (0..).zip(&strings) {
                let refusal = [b"Response: Error\r\nMessage: ", &string[..], b"\r\n\r\n"].concat();
                stream.write_all(&refusal).expect("it is read");
                for message in manager_tells(number, string) {
                    stream.write_all(&[message, b"\r\n".to_vec()].concat()).expect("it is read");
                }
            }
            stream
        });
        let server = Logged::start(&home, "trace", format);
        let stream = asterisk.join().expect("no panic");
        let ended = || home.store("events").lines().filter(|line| line.contains("Disconnected")).count();
        // A line that is broken can end a message early, and then the rest of it says nothing.
        let whole = hostile::strings().iter().filter(|string| !string.contains(&b'\n')).count();
        wait_for(|| (ended() >= 2 * whole).then_some(()), || format!("{whole} calls: {}", ended()));
        drop(stream);
        let log = server.stop();
        assert!(assert_records(&log, format) > hostile::COUNT, "it tells of the calls");
        let events = home.store("events");
        assert!(assert_json(events.as_bytes()) >= 6 * whole);
        home.store("check");
    }
}

/// As [`socket_tells`], as JSON: octets that are no text stay as they are.
fn socket_tells_json(number: u64, string: &[u8]) -> Vec<Vec<u8>> {
    let mut escaped = Vec::new();
    for &byte in string {
        match byte {
            b'"' | b'\\' => escaped.extend([b'\\', byte]),
            0..0x20 => escaped.extend(format!("\\u{byte:04x}").into_bytes()),
            _ => escaped.push(byte),
        }
    }
    let story = format!(
        "
        0.000 create a{number} 101>102 Caller-Caller-ID-Name=HOSTILE Caller-Callee-ID-Name=HOSTILE sip_user_agent=HOSTILE
        0.010 create b{number} to=102 of=a{number} Caller-Caller-ID-Name=HOSTILE sip_call_id=HOSTILE
        0.020 progress b{number}
        0.030 execute a{number} voicemail(HOSTILE)
        1.000 bridge a{number} b{number}
        2.000 ends b{number} NORMAL_CLEARING sip_term_phrase=HOSTILE transfer_history=HOSTILE
        2.001 ends a{number} NORMAL_CLEARING Record-File-Path=HOSTILE
        "
    );
    let told = freeswitch(&story).told;
    told.iter()
        .map(|told| {
            let at = told.message.windows(2).position(|two| two == b"\n\n").expect("a body") + 2;
            let body = replaced(&told.message[at..], WORD.as_bytes(), &escaped);
            let sequence = format!("\"Event-Sequence\":\"{}0", number + 1);
            let body = replaced(&body, b"\"Event-Sequence\":\"", sequence.as_bytes());
            let head = format!("Content-Length: {}\nContent-Type: text/event-json\n\n", body.len());
            [head.into_bytes(), body].concat()
        })
        .collect()
}

#[test]
fn hostile_strings_of_an_event_socket_write_no_lines_and_break_no_event() {
    type Tells = fn(u64, &[u8]) -> Vec<Vec<u8>>;
    for (format, tells) in [("text", socket_tells as Tells), ("json", socket_tells_json)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let home = Home::new(&format!("unharmed-socket-{format}"));
        home.configure(&format!(
            "\n[[esl.source]]\nname = \"socket\"\naddress = \"{}\"\npassword = \"it\"\n",
            listener.local_addr().expect("an address")
        ));
        let pbx = thread::spawn(move || {
            let strings = hostile::strings();
            // The first login is refused, with what could be a line of a log.
            for refuses in [true, false] {
                let (mut stream, _) = listener.accept().expect("a connection");
                stream.write_all(b"Content-Type: auth/request\n\n").expect("it is read");
                let mut lines = BufReader::new(stream.try_clone().expect("the same")).lines();
                let mut asked = || while !lines.next().expect("a command").expect("text").is_empty() {};
                let reply = |stream: &mut TcpStream, said: &[u8], string: &[u8]| {
                    let head = &b"Content-Type: command/reply\nReply-Text: "[..];
                    stream.write_all(&[head, said, string, b"\n\n"].concat()).expect("it is read");
                };
                asked();
                if refuses {
                    reply(&mut stream, b"-ERR ", &strings[1]);
                    continue;
                }
                for string in [&strings[0], &strings[2]] {
                    reply(&mut stream, b"+OK ", string);
                    asked();
                }
                for (number, string) in (0..).zip(&strings) {
                    reply(&mut stream, b"-ERR ", string);
                    for message in tells(number, string) {
                        stream.write_all(&message).expect("it is read");
                    }
                }
                return stream;
            }
            unreachable!("the second login is let in")
        });
        let server = Logged::start(&home, "trace", format);
        let stream = pbx.join().expect("no panic");
        let ended = || home.store("events").lines().filter(|line| line.contains("Disconnected")).count();
        // Every call is told whole: values are encoded, whatever they are.
        wait_for(|| (ended() >= 2 * hostile::COUNT).then_some(()), || format!("{} ends", ended()));
        drop(stream);
        let log = server.stop();
        assert!(assert_records(&log, format) > hostile::COUNT, "it tells of the calls");
        let events = home.store("events");
        assert!(assert_json(events.as_bytes()) >= 5 * hostile::COUNT);
        home.store("check");
    }
}

/// A `hookswitch listen`, ended with the test.
struct Listening(Child);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn hostile_strings_that_are_posted_write_no_lines_and_break_no_event() {
    for format in ["text", "json"] {
        let home = Home::new(&format!("unharmed-posted-{format}"));
        let server = Logged::start(&home, "trace", format);
        let http = server.address("HTTP");
        let authorization = format!("Bearer {}", home.made("admin_token"));
        let headers = [("Authorization", &*authorization), ("Content-Type", "application/json")];
        // Somebody looks on in a terminal: rows where the log is text, else JSON.
        let (login, shown) = (home.directory.join("login.json"), home.directory.join("shown"));
        std::fs::write(&login, home.made.to_string()).expect("a file");
        let listening = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
            .args([
                "listen",
                "--format",
                format,
                "--server",
                &format!("http://{http}"),
                "--login",
                path(&login),
            ])
            .stdout(File::create(&shown).expect("a file"))
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        let listening = Listening(listening);
        let subscribed = || {
            let (_, text) = request(http, "GET", "/metrics", &[], b"").expect("an answer");
            text.as_str().expect("text").contains("hookswitch_websocket_subscriptions 1\n").then_some(())
        };
        wait_for(subscribed, || "the listener".to_owned());
        let mut accepted = 0;
        for (number, string) in hostile::strings().iter().enumerate() {
            let text = String::from_utf8_lossy(string).into_owned();
            let short: String = text.chars().take(40).collect();
            let (a, b) = (format!("{number}-a"), format!("{number}-b"));
            let caller = json!({"number": "101", "name": text, "host": "pbx"});
            let created = |leg: &str, more: Value| {
                let mut signal = json!({
                    "id": format!("{leg}-1"), "leg": leg, "kind": "created", "callee": "102", "caller": caller,
                    "callee_name": text, "agent": text, "endpoint": text,
                    "sip": {"call_id": text, "from_tag": text, "to_tag": text},
                });
                signal
                    .as_object_mut()
                    .expect("an object")
                    .extend(more.as_object().expect("an object").clone());
                signal
            };
            let posts = [
                json!({"signals": [
                    created(&a, json!({"direction": "outbound"})),
                    created(&b, json!({"direction": "inbound", "of": a})),
                    {"id": format!("{b}-2"), "leg": b, "kind": "ringing"},
                    {"id": format!("{b}-3"), "leg": b, "kind": "answered"},
                    {"id": format!("{a}-3"), "leg": a, "kind": "answered"},
                    {"id": format!("{b}-4"), "leg": b, "kind": "parked", "slot": text},
                    {"id": format!("{b}-5"), "leg": b, "kind": "ended", "cause": "hung_up"},
                    {"id": format!("{a}-5"), "leg": a, "kind": "ended", "cause": "hung_up"},
                ]}),
                // As ids and numbers, and in the place of a word.
                json!({"signals": [{"id": short, "leg": short, "kind": "created", "direction": "outbound",
                    "callee": short, "caller": {"number": short, "host": short}}]}),
                json!({"signals": [{"id": "x", "leg": "x", "kind": text}]}),
            ];
            for body in posts {
                let body = body.to_string();
                let (status, answer) = request(http, "POST", "/ingest/v1/signals", &headers, body.as_bytes())
                    .expect("an answer");
                assert!(matches!(status, 200 | 400 | 413), "{status} {answer}");
                accepted += usize::from(status == 200);
            }
            // And where an address stands.
            let target: String =
                string.iter().take(2000).fold("/restapi/v1.0/".to_owned(), |mut target, byte| {
                    let _ = write!(target, "%{byte:02X}");
                    target
                });
            let agent: Vec<u8> =
                string.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            let agent = String::from_utf8_lossy(&agent).into_owned();
            request(http, "GET", &target, &[("User-Agent", &agent), ("Authorization", &agent)], b"").ok();
        }
        assert!(accepted > hostile::COUNT, "{accepted}");
        let told = home.store("events").lines().count();
        let lines = || String::from_utf8_lossy(&std::fs::read(&shown).expect("a file")).lines().count();
        wait_for(|| (lines() >= told).then_some(()), || format!("{told} rows: {}", lines()));
        drop(listening);
        let printed = assert_plain(&std::fs::read(&shown).expect("a file"), "listen");
        assert_eq!(printed.lines().count(), told);
        let log = server.stop();
        assert!(assert_records(&log, format) > hostile::COUNT, "it tells of the calls");
        let events = home.store("events");
        assert!(assert_json(events.as_bytes()) > 6 * hostile::COUNT, "{}", events.lines().count());
        home.store("check");
    }
}

fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + what.len()..];
    }
    out.extend_from_slice(rest);
    out
}
