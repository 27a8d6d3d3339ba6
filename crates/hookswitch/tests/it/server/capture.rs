//! A call of a running server as files that `replay` reads, with and without the names that are in it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::asterisk::{ANSWERED, Asterisk, HUNG_UP};
use super::freeswitch::{self, FreeSwitch};
use super::{Home, Server, hookswitch, path, wait_for};
use hookswitch_flows::freeswitch::{Story, freeswitch as story};
use hookswitch_flows::recordings::{self, Recording};

/// The ids of all sessions, the newest first.
#[track_caller]
fn sessions(server: &Server, home: &Home) -> Vec<String> {
    let listed = server.call(home.made("admin_token"), "GET", "/admin/v1/sessions?limit=200", None);
    let records = listed.body["records"].as_array().expect("a list").clone();
    records.iter().map(|it| it["telephonySessionId"].as_str().expect("an id").to_owned()).collect()
}

/// Captures a session into a directory of the test.
#[track_caller]
fn capture(home: &Home, session: &str, anonymise: bool) -> PathBuf {
    let directory = home.directory.join(format!("{session}-{anonymise}"));
    if directory.exists() {
        std::fs::remove_dir_all(&directory).expect("an old capture goes away");
    }
    let config = home.config();
    let mut arguments = vec!["capture", session, path(&directory), "--config", path(&config)];
    arguments.extend(anonymise.then_some("--anonymise"));
    let output = hookswitch(&arguments);
    assert!(
        output.status.success(),
        "{session} anonymise: {anonymise}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    directory
}

/// Replays a capture as its README says, and checks that what comes out is what is expected; gives it.
#[track_caller]
fn replay(directory: &Path) -> Vec<Value> {
    let readme = std::fs::read_to_string(directory.join("README")).expect("a README");
    let words = readme.lines().next().expect("a command").split(' ').skip(1);
    let is_file = |word: &str| directory.join(word).exists();
    let arguments: Vec<String> = words
        .map(|word| if is_file(word) { path(&directory.join(word)).to_owned() } else { word.to_owned() })
        .collect();
    let output = hookswitch(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let expected = std::fs::read_to_string(directory.join("expected.jsonl")).expect("what is expected");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(printed, expected, "{readme}");
    expected.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Undoes percent-encoding, of ASCII alone.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if byte.is_ascii() => {
                made.push(char::from(byte));
                made.push_str(&part[2..]);
            }
            _ => made.extend(["%", part]),
        }
    }
    made
}

/// All that a directory gives away, with the messages that are in base64.
fn texts(directory: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("UTF-8");
        for line in text.lines() {
            let frame = serde_json::from_str::<Value>(line).ok();
            let frame = frame.and_then(|line| STANDARD.decode(line["b64"].as_str()?).ok());
            match frame {
                Some(frame) => all.push_str(&String::from_utf8_lossy(&frame)),
                // Plain events are encoded as in a URL.
                None => all.push_str(&decoded(line)),
            }
            all.push('\n');
        }
    }
    all
}

/// Returns what names somebody or something in a call: numbers, names, hosts, addresses, Call-IDs and tags.
fn identities(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let hep = directory.join("hep.jsonl");
    if hep.exists() {
        let decoded = hookswitch(&["decode", path(&hep)]);
        for line in String::from_utf8_lossy(&decoded.stdout).lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            for key in ["src", "dst"] {
                let address = line[key].as_str().expect("an address");
                found.extend(address.rsplit_once(':').map(|(ip, _)| ip.to_owned()));
            }
            for key in ["call_id", "from_tag", "to_tag"] {
                found.extend(line[key].as_str().map(str::to_owned));
            }
            for key in ["from", "to", "request_uri"] {
                let Some(uri) = line[key].as_str().and_then(|uri| uri.strip_prefix("sip:")) else { continue };
                let (user, place) = uri.split_once('@').unwrap_or(("", uri));
                let host = place.split([':', ';', '?']).next().unwrap_or_default();
                found.extend([user.split(';').next().unwrap_or_default().to_owned(), host.to_owned()]);
            }
        }
    }
    for notification in replay(directory) {
        let party = &notification["body"]["parties"][0];
        for side in ["from", "to"] {
            for key in ["phoneNumber", "name"] {
                found.extend(party[side][key].as_str().map(str::to_owned));
            }
        }
    }
    // A service of the switch is nobody, of one digit there are too few, and what the machine calls a conference
    // or a caller without a number is no name.
    let is_nobody = |text: &str| {
        ["anonymous", "conference", "0000000000"].iter().any(|word| text.eq_ignore_ascii_case(word))
    };
    found.retain(|text| text.len() > 1 && !text.starts_with(['*', '#']) && !is_nobody(text));
    found
}

/// Returns `true` if a text stands somewhere by itself, but for where numbers count or say how a call goes.
fn stands(text: &str, wanted: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric();
    let counts = [
        "CSeq:",
        "Content-Length:",
        "SIP/2.0 ",
        "m=",
        "Max-Forwards:",
        "Expires:",
        "Session-Expires:",
        "Min-SE:",
        "Event-Sequence:",
        "=== ",
    ];
    text.lines().filter(|line| !counts.iter().any(|count| line.contains(count) && wanted.len() <= 4)).any(
        |line| {
            line.match_indices(wanted).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + wanted.len()..].chars().next();
                let is_octet = wanted.len() <= 3
                    && wanted.bytes().all(|byte| byte.is_ascii_digit())
                    && (before == Some('.') || after == Some('.'));
                let port = before == Some(':') && wanted.bytes().all(|byte| byte.is_ascii_digit());
                !before.is_some_and(is_part) && !after.is_some_and(is_part) && !port && !is_octet
            })
        },
    )
}

/// Returns what a notification tells, without what is replaced.
fn shape(notification: &Value) -> String {
    let body = &notification["body"];
    let party = &body["parties"][0];
    let length = |side: &Value| side["phoneNumber"].as_str().map(str::len);
    format!(
        "{} {} {} {} {:?} {:?} {}",
        body["eventTime"],
        body["sequence"],
        party["direction"],
        party["status"]["code"],
        length(&party["from"]),
        length(&party["to"]),
        party["missedCall"]
    )
}

/// Captures every session both ways, and checks both.
#[track_caller]
fn check_all(server: &Server, home: &Home) -> usize {
    let all = sessions(server, home);
    for session in &all {
        let plain = capture(home, session, false);
        let events = replay(&plain);
        assert!(events.iter().any(|event| event["body"]["telephonySessionId"] == *session), "{session}");
        let anonymous = capture(home, session, true);
        let others = replay(&anonymous);
        let shapes = |events: &[Value]| events.iter().map(shape).collect::<BTreeSet<_>>();
        assert_eq!(shapes(&events), shapes(&others), "{session}");
        let given = texts(&anonymous);
        for identity in identities(&plain) {
            assert!(!stands(&given, &identity), "{identity:?} of {session} is still there:\n{given}");
        }
    }
    all.len()
}

#[test]
fn each_recorded_call_is_a_capture_that_gives_its_events_and_one_that_names_nobody() {
    let captures = ["answered-call", "busy-call", "cancelled-call", "direct-call"];
    for name in captures {
        let home = Home::new(&format!("capture-{name}"));
        let server = Server::start(&home);
        let file = format!("captures/{name}.pcap");
        let printed = hookswitch(&["replay", &file]).stdout;
        let printed = String::from_utf8(printed).expect("UTF-8");
        server.play(&file);
        home.events(printed.lines().count());
        assert_eq!(check_all(&server, &home), 1, "{name}");
        // Nothing but the subscription, which is none, differs from what the whole capture prints.
        let session = &sessions(&server, &home)[0];
        let given = replay(&home.directory.join(format!("{session}-false")));
        let body = |line: &Value| line["body"].to_string();
        let whole: Vec<Value> =
            printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let mut directory = whole.iter().map(body).collect::<Vec<_>>();
        directory.truncate(given.len());
        assert_eq!(given.len(), whole.len(), "{name}");
    }
}

#[test]
fn what_a_manager_and_a_client_have_told_is_captured_too() {
    let home = Home::new("capture-manager");
    let asterisk = Asterisk::new();
    home.configure(&asterisk.configuration());
    let server = Server::start(&home);
    let mut manager = asterisk.accept_login("");
    manager.tell(&format!("{ANSWERED}{HUNG_UP}"));
    home.events_at_least(8);
    assert_eq!(check_all(&server, &home), 1);
    let session = sessions(&server, &home).remove(0);
    assert!(home.directory.join(format!("{session}-true/ami.log")).exists());
    // Signals that were posted.
    let signals = json!({"signals": [
        {"id": "1", "leg": "lee-leg", "kind": "created", "direction": "outbound", "callee": "4155550123",
            "caller": {"number": "101", "name": "Ann Lee", "host": "acme.example"}},
        {"id": "2", "leg": "roy-leg", "kind": "created", "direction": "inbound", "of": "lee-leg", "callee": "4155550123",
            "caller": {"number": "101"}},
        {"id": "3", "leg": "roy-leg", "kind": "ringing"}, {"id": "4", "leg": "roy-leg", "kind": "answered"},
        {"id": "5", "leg": "lee-leg", "kind": "answered"},
        {"id": "6", "leg": "roy-leg", "kind": "ended"}, {"id": "7", "leg": "lee-leg", "kind": "ended"},
    ]});
    let posted = server.call(home.made("admin_token"), "POST", "/ingest/v1/signals", Some(&signals));
    assert_eq!(posted.status, 200, "{posted:?}");
    let before = home.store("events").lines().count();
    assert!(before >= 8 + 6);
    assert_eq!(check_all(&server, &home), 2);
    let session = sessions(&server, &home).remove(0);
    let given = texts(&home.directory.join(format!("{session}-true")));
    for gone in ["lee-leg", "roy-leg", "Ann Lee", "acme", "5550123"] {
        assert!(!given.contains(gone), "{gone}: {given}");
    }
}

fn open_calls(server: &Server, home: &Home) -> Option<u64> {
    let status = server.call(home.made("admin_token"), "GET", "/admin/v1/status", None);
    status.body["openCalls"].as_u64()
}

/// 103 calls 104, who is asked before 103 hands the call over to 105.
const TRANSFERRED: &str = "
    6.000 create c 103>104 Caller-Caller-ID-Name=Zyxwan sip_call_id=cannot-be-left@192.0.2.77
    6.002 execute c bridge(user/104@pbx.example.com)
    6.004 create d to=104 of=c number=103 Channel-Call-UUID=@c
    6.020 progress d
    7.000 answer d
    7.002 answer c
    7.004 bridge c d
    8.000 create e 103>105 Caller-Caller-ID-Name=Zyxwan
    8.004 create f to=105 of=e number=103
    9.000 answer f
    9.002 answer e
    9.004 bridge e f
    10.000 ends c NORMAL_CLEARING transfer_to=att:@f endpoint_disposition=ATTENDED_TRANSFER
    10.001 bridge d f
    10.002 ends e NORMAL_CLEARING
    12.000 ends d NORMAL_CLEARING
    12.001 ends f NORMAL_CLEARING
";

#[test]
fn what_an_event_socket_has_told_is_captured_and_nothing_of_other_calls() {
    for format in ["json", "plain"] {
        let home = Home::new(&format!("capture-event-socket-{format}"));
        let pbx = FreeSwitch::new();
        home.configure(&format!("{}format = \"{format}\"\n", pbx.configuration()));
        let server = Server::start(&home);
        let mut socket = pbx.accept_login(&[]);
        let told = |text: &str| {
            let Story { told, plain } = story(text);
            if format == "json" { told } else { plain }
        };
        let whole = told(&[freeswitch::ANSWERED, freeswitch::HUNG_UP, TRANSFERRED].concat());
        socket.0.tell(&whole, "");
        home.events_at_least(8 + 12);
        let open = || open_calls(&server, &home);
        wait_for(
            || (open() == Some(0)).then_some(()),
            || format!("{:?} calls: {}", open(), home.store("events")),
        );
        let count = check_all(&server, &home);
        assert!(count >= 2, "{count}");
        let mut exact = 0;
        for session in sessions(&server, &home) {
            let plain = home.directory.join(format!("{session}-false"));
            let log = std::fs::read_to_string(plain.join("esl.log")).expect("a transcript");
            // Each message stands there as it came, or belongs to the other call.
            let is_transfer = log.contains("c0000000-");
            assert_ne!(is_transfer, log.contains("a0000000-"), "{log}");
            for message in &whole {
                let text = String::from_utf8_lossy(&message.message);
                let of = |letter: char| text.contains(&format!("{letter}0000000-"));
                let is_of_transfer = ['c', 'd', 'e', 'f'].into_iter().any(of);
                assert_eq!(log.contains(&*text), is_of_transfer == is_transfer, "{text} in\n{log}");
                exact += usize::from(log.contains(&*text));
            }
            let given = texts(&home.directory.join(format!("{session}-true")));
            for gone in ["Zyxwan", "cannot-be-left", "192.0.2.7", "pbx.example.com", "@192", "carrier"] {
                assert!(!given.contains(gone), "{gone}: {given}");
            }
            // Ids of channels are random, and stay.
            assert!(given.contains("0000000-0000-4000-8000-"), "{given}");
        }
        assert!(exact >= whole.len(), "{exact}");
        server.stop();
    }
}

#[test]
fn answers_of_an_event_socket_and_what_is_no_text_are_captured_too() {
    let home = Home::new("capture-event-socket-answers");
    let pbx = FreeSwitch::new();
    home.configure(&pbx.configuration());
    let server = Server::start(&home);
    let listed = |id: &str, user: &str, dest: &str| {
        freeswitch::listed(id, "inbound", user, dest, "ACTIVE", id)
            .replace("\"cid_name\":\"\"", "\"cid_name\":\"Zyxwan\"")
    };
    // Calls that go on: one is parked, one talks in a room, one waits in a queue.
    let mut socket = pbx.accept_login(&[
        (
            "show channels as json",
            &freeswitch::rows(&[
                listed("c-3", "103", "5900"),
                listed("c-4", "104", "7000"),
                listed("c-6", "105", "3000"),
            ]),
        ),
        ("valet_info", "<lots>\n<lot name=\"5900\">\n<extension uuid=\"c-3\">5901</extension>\n</lot>\n</lots>\n"),
        (
            "conference json_list",
            "[{\"conference_name\":\"3000\",\"members\":[{\"type\":\"caller\",\"uuid\":\"c-6\",\
             \"caller_id_name\":\"Zyxwan\",\"flags\":{\"can_speak\":false,\"is_moderator\":true}}]}]",
        ),
        (
            "fifo list",
            "<fifo_report>\n<fifo name=\"sales\" caller_count=\"1\">\n<callers>\n\
             <caller caller_id_name=\"Zyxwan\" uuid=\"c-4\" status=\"WAITING\">\n</caller>\n</callers>\n</fifo>\n\
             </fifo_report>\n",
        ),
    ]);
    home.events_at_least(8);
    // A name that is no UTF-8.
    let told =
        story("6.000 create a 106>107 Caller-Caller-ID-Name=NAME\n8.000 ends a NORMAL_CLEARING\n").told;
    for message in told {
        let at = message.message.windows(2).position(|two| two == b"\n\n").expect("a body") + 2;
        let body = String::from_utf8_lossy(&message.message[at..]).into_owned();
        let body = match body.split_once("NAME") {
            Some((before, after)) => [before.as_bytes(), b"Zyxwan M\xfcller", after.as_bytes()].concat(),
            None => body.into_bytes(),
        };
        socket.0.send(format!("Content-Length: {}\nContent-Type: text/event-json\n\n", body.len()));
        socket.0.send(&body);
    }
    home.events_at_least(10);
    let count = check_all(&server, &home);
    assert!(count >= 4, "{count}");
    for session in sessions(&server, &home) {
        let given = texts(&home.directory.join(format!("{session}-true")));
        for gone in ["Zyxwan", "sales", "pbx.example.com", "M\u{fffd}ller"] {
            assert!(!given.contains(gone), "{gone}: {given}");
        }
    }
    server.stop();
}

#[test]
fn a_server_gives_the_same_capture_as_its_store_and_refuses_what_is_none() {
    let home = Home::new("capture-server");
    let server = Server::start(&home);
    server.play("captures/answered-call.pcap");
    home.events(10);
    let session = sessions(&server, &home).remove(0);
    let read = capture(&home, &session, false);
    let url = format!("http://{}", server.addresses["HTTP"]);
    let asked = home.directory.join("asked");
    let output = hookswitch(&[
        "capture",
        &session,
        path(&asked),
        "--server",
        &url,
        "--token",
        home.made("admin_token"),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(texts(&asked), texts(&read));
    let again = hookswitch(&["capture", &session, path(&asked), "--config", path(&home.config())]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));
    let none = "s-00000000000000000000000000000000";
    let unknown =
        hookswitch(&["capture", none, path(&home.directory.join("none")), "--config", path(&home.config())]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no events"));
    let answer =
        server.call(home.made("admin_token"), "GET", &format!("/admin/v1/sessions/{none}/capture"), None);
    assert_eq!(answer.status, 404);
}

#[test]
fn calls_through_real_pbxs_are_captures_that_give_their_events_and_name_nobody() {
    for recording in recordings::all("asterisk").into_iter().chain(recordings::all("freeswitch")) {
        let (switch, name) = (&recording.switch, &recording.name);
        let file = recording.unpack("hep.jsonl", &Path::new(env!("CARGO_TARGET_TMPDIR")).join("recordings"));
        let directory = recordings::directory(switch);
        let home = Home::new(&format!("capture-{switch}-{name}"));
        std::fs::copy(&directory, home.directory.join("directory.toml")).expect("the directory is there");
        let server = Server::start(&home);
        let printed = hookswitch(&["replay", path(&file), "--directory", path(&directory)]).stdout;
        server.play(path(&file));
        home.events_at_least(String::from_utf8_lossy(&printed).lines().count());
        let count = check_all(&server, &home);
        println!("{switch} {name}: {count} sessions");
    }
}

/// What a real FreeSWITCH has told on its event socket, faster than it was.
#[test]
fn what_a_real_event_socket_has_told_is_captured_and_names_nobody() {
    let recordings = recordings::all("freeswitch");
    thread::scope(|scope| {
        for some in recordings.chunks(recordings.len().div_ceil(4)) {
            scope.spawn(|| some.iter().for_each(check_recording));
        }
    });
}

fn check_recording(recording: &Recording) {
    let name = &recording.name;
    let home = Home::new(&format!("capture-event-socket-{name}"));
    let pbx = FreeSwitch::new();
    home.configure(&pbx.configuration());
    std::fs::copy(recordings::directory("freeswitch"), home.directory.join("directory.toml"))
        .expect("the directory is there");
    let server = Server::start(&home);
    let mut socket = pbx.accept_login(&[]);
    let bytes = recording.read("esl.log");
    let mut before = None;
    for (seconds, block) in freeswitch::blocks(&bytes) {
        if block.starts_with(b"Content-Length") {
            let gap: f64 = (seconds - before.replace(seconds).unwrap_or(seconds)).clamp(0.0, 0.1);
            thread::sleep(Duration::from_secs_f64(gap));
            socket.0.send(block);
        }
    }
    home.events_at_least(4);
    let open = || open_calls(&server, &home);
    wait_for(|| (open() == Some(0)).then_some(()), || format!("{name}: {:?} calls", open()));
    let count = check_all(&server, &home);
    for session in sessions(&server, &home) {
        let given = texts(&home.directory.join(format!("{session}-true")));
        for gone in
            ["pbx.example.com", "127.0.0.1", "Ortiz", "Klein", "Public", "pbx1", "ClueCon", "16465550"]
        {
            assert!(!given.contains(gone), "{gone} in {name}: {given}");
        }
    }
    println!("freeswitch {name}: {count} sessions");
    server.stop();
}

#[test]
fn the_sip_of_a_call_is_a_pcap_that_is_read_again_and_its_hosts_have_names() {
    let home = Home::new("capture-pcap");
    let server = Server::start(&home);
    server.play("captures/answered-call.pcap");
    home.events(10);
    let session = sessions(&server, &home).remove(0);
    let ask = |token: &str, query: &str| {
        server.call(token, "GET", &format!("/admin/v1/sessions/{session}{query}"), None)
    };
    let admin = home.made("admin_token");
    let story = ask(admin, "?all=true").body;
    let hosts: Vec<_> = story["hosts"].as_array().expect("a list").iter().collect();
    let named = |host: &Value| {
        ["address", "name", "namedBy"].map(|key| host[key].as_str().unwrap_or_default().to_owned())
    };
    // The switch asks for credentials and has the calls of two; the phones are whose the directory says.
    let expected = [
        ["127.0.0.10:5060", "switchboard", "userAgent"],
        ["127.0.0.11:5060", "101", "directory"],
        ["127.0.0.12:5060", "102", "directory"],
    ];
    assert_eq!(
        hosts.into_iter().map(named).collect::<Vec<_>>(),
        expected.map(|host| host.map(str::to_owned))
    );
    let (head, bytes) =
        download(&server, admin, &format!("/admin/v1/sessions/{session}/capture?format=pcap"));
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/vnd.tcpdump.pcap"), "{head}");
    let file = home.directory.join("call.pcap");
    std::fs::write(&file, bytes).expect("it can be written");
    let decoded = hookswitch(&["decode", path(&file)]);
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    // All its messages, in their order and at their times to the microsecond.
    let original = hookswitch(&["decode", "captures/answered-call.pcap"]);
    let text = |output: &[u8]| String::from_utf8_lossy(output).into_owned();
    assert_eq!(text(&decoded.stdout), text(&original.stdout));
    // Anonymised nobody is in it; who sees one account gets no other, and another format is refused.
    let (head, bytes) =
        download(&server, admin, &format!("/admin/v1/sessions/{session}/capture?format=pcap&anonymise=true"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!bytes.windows(7).any(|part| part == b"Ann Lee"), "a name is left");
    assert_eq!(ask(admin, "/capture?format=docx").status, 400);
    let none = "/admin/v1/sessions/s-00000000000000000000000000000000/capture?format=pcap";
    assert_eq!(server.call(admin, "GET", none, None).status, 404);
    let account = home.made("account_id").parse().expect("a number");
    let extension = home.made("extension_id").parse().expect("a number");
    server.user(&home, account, extension, json!({"admin": true}));
    let user = server.sign_in("101").text("access_token");
    let open = ask(&user, "/capture?format=pcap").status;
    let anonymised = ask(&user, "/capture?format=pcap&anonymise=true").status;
    assert_eq!((open, anonymised), (403, 200));
}

/// Reads what is no text: the head of the answer, and its bytes.
fn download(server: &Server, token: &str, path: &str) -> (String, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(server.addresses["HTTP"]).expect("the server listens");
    let request = format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    let bytes = answer.split_off(end + 4);
    (String::from_utf8_lossy(&answer).replace("HTTP/1.0", "HTTP/1.1"), bytes)
}
