//! The commands as a user runs them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

/// Runs the program in the repository.
fn hookswitch(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookswitch"))
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// Returns what the program prints when all goes well.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = hookswitch(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

/// The one sentence with which the program refuses, and its exit status.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = hookswitch(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    String::from_utf8(output.stderr).expect("errors are UTF-8")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// A file of this test alone.
fn scratch(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("the folder for temporary files takes a file");
    path
}

fn bundled(name: &str) -> Vec<u8> {
    std::fs::read(root().join("captures").join(name)).expect("the capture is there")
}

#[test]
fn the_bundled_calls_as_tables() {
    let calls = ["answered-call", "busy-call", "cancelled-call", "direct-call"];
    let tables: Vec<String> =
        calls.map(|call| printed(&["replay", &format!("captures/{call}.pcap"), "--format", "text"])).into();
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn the_notifications_of_the_answered_call() {
    insta::assert_snapshot!(printed(&["replay", "captures/answered-call.pcap"]));
}

#[test]
fn an_explained_event_names_its_messages_and_the_rule() {
    insta::assert_snapshot!(printed(&["replay", "captures/busy-call.pcap", "--explain", "--format", "text"]));
    let plain = printed(&["replay", "captures/busy-call.pcap"]);
    let explained = printed(&["replay", "captures/busy-call.pcap", "--explain"]);
    for (mut explained, plain) in lines(&explained).into_iter().zip(lines(&plain)) {
        let explain = explained.as_object_mut().and_then(|event| event.remove("explain")).expect("explain");
        assert_eq!(explain["messages"][0]["file"], "captures/busy-call.pcap");
        assert!(explain["messages"][0]["packet"].is_u64());
        assert_eq!(explained, plain, "nothing else changes");
    }
}

#[test]
fn a_summary_counts_what_went_through() {
    let summary: Value =
        serde_json::from_str(&printed(&["replay", "captures/answered-call.pcap", "--summary"]))
            .expect("JSON");
    assert_eq!(
        summary,
        serde_json::json!({
            "packets": 23, "sip_messages": 23, "malformed": 0, "retransmissions": 0, "sessions": 1,
            "events": 10, "by_status": {"Setup": 2, "Proceeding": 2, "Answered": 3, "Hold": 1, "Disconnected": 2},
            "by_reason": {}, "open_sessions": 0
        })
    );
}

#[test]
fn the_page_of_formats_shows_a_notification_that_is_printed() {
    let page = std::fs::read_to_string(root().join("docs/formats.md")).expect("docs/formats.md");
    let block =
        page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a JSON block");
    let shown: Value = serde_json::from_str(block).expect("the block is JSON");
    assert!(lines(&printed(&["replay", "captures/answered-call.pcap"])).contains(&shown));
}

#[test]
fn a_filter_of_an_extension_passes_its_events_alone() {
    let all = lines(&printed(&["replay", "captures/busy-call.pcap"]));
    let extension = all[1]["body"]["parties"][0]["extensionId"].as_str().expect("an extension");
    let filter = format!("/restapi/v1.0/account/~/extension/{extension}/telephony/sessions");
    let own = lines(&printed(&["replay", "captures/busy-call.pcap", "--filter", &filter]));
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|event| event["body"]["parties"][0]["extensionId"] == extension));
    // Two filters are one subscription: an event that passes both comes once.
    let both = lines(&printed(&[
        "replay",
        "captures/busy-call.pcap",
        "--filter",
        &filter,
        "--filter",
        "/restapi/v1.0/account/~/telephony/sessions",
    ]));
    assert_eq!(both.len(), all.len());
}

#[test]
fn the_account_is_in_every_id() {
    let events = lines(&printed(&["replay", "captures/direct-call.pcap", "--account", "77042"]));
    for event in events {
        assert_eq!(event["ownerId"], "77042");
        assert_eq!(event["body"]["parties"][0]["accountId"], "77042");
        assert!(event["body"]["sessionId"].as_str().is_some_and(|id| id.ends_with("042")));
    }
}

#[test]
fn several_files_are_merged_by_time() {
    let one = printed(&["replay", "captures/answered-call.pcap"]);
    let other = printed(&["replay", "captures/busy-call.pcap"]);
    let merged = printed(&["replay", "captures/busy-call.pcap", "captures/answered-call.pcap"]);
    assert_eq!(merged, format!("{one}{other}"), "the answered call was recorded before the busy one");
    let twice = printed(&["replay", "captures/busy-call.pcap", "captures/busy-call.pcap"]);
    assert_eq!(twice, other, "a message that two files hold counts once");
}

#[test]
fn standard_input_is_a_file_too() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hookswitch"))
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    program.stdin.take().expect("a pipe").write_all(&bundled("direct-call.pcap")).expect("it reads");
    let output = program.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), printed(&["replay", "captures/direct-call.pcap"]));
}

#[test]
fn a_file_cut_short_gives_what_was_readable_and_a_warning() {
    let whole = bundled("direct-call.pcap");
    let path = scratch("cut.pcap", &whole[..whole.len() - 100]);
    let output = hookswitch(&["replay", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = printed(&["replay", "captures/direct-call.pcap"]);
    assert_eq!(told, all, "the last message, which is cut, is only the answer to the BYE");
    let warning = String::from_utf8_lossy(&output.stderr);
    assert!(warning.contains("cut.pcap") && warning.contains("warning"), "{warning}");
    assert!(warning.chars().any(|c| c.is_ascii_digit()), "{warning}");
}

/// The same bytes in each way of compression that is read.
fn compressed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(bytes).expect("memory");
    let zstandard = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    [("gz", gzip.finish().expect("memory")), ("lz4", lz4.finish().expect("memory")), ("zst", zstandard)]
}

#[test]
fn a_compressed_capture_is_read_as_what_it_holds() {
    let plain = printed(&["replay", "captures/answered-call.pcap"]);
    for (kind, bytes) in compressed(&bundled("answered-call.pcap")) {
        // The name says nothing.
        let path = scratch(&format!("compressed-{kind}.pcap"), &bytes);
        assert_eq!(printed(&["replay", path.to_str().expect("UTF-8")]), plain, "{kind}");
        // What was readable counts; of a single block of Zstandard or LZ4 nothing is.
        let cut = scratch(&format!("cut-{kind}.pcap"), &bytes[..bytes.len() - 20]);
        let output = hookswitch(&["replay", cut.to_str().expect("UTF-8")]);
        assert!(plain.as_bytes().starts_with(&output.stdout), "{kind}");
        assert_eq!(output.status.code(), Some(if kind == "gz" { 0 } else { 2 }), "{kind}");
        let warning = String::from_utf8_lossy(&output.stderr);
        assert!(warning.contains("is damaged or ends early"), "{kind}: {warning}");
    }
    let twice = compressed(&compressed(&bundled("answered-call.pcap"))[0].1)[0].1.clone();
    let twice = scratch("twice.pcap", &twice);
    assert!(refused(&["replay", twice.to_str().expect("UTF-8")]).contains("gzip"));
}

/// A pcap of Ethernet frames.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 262_144, 1];
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for frame in frames {
        let length = frame.len() as u32;
        file.extend([1_700_000_000, 0, length, length].iter().flat_map(|word: &u32| word.to_le_bytes()));
        file.extend(frame);
    }
    file
}

/// An Ethernet frame with an IPv4 packet.
fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = [&[2; 12][..], &[8, 0, 0x45, 0]].concat();
    frame.extend((20 + body.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(body);
    frame
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let fields = [5060, port, 8 + payload.len() as u16, 0].map(u16::to_be_bytes).concat();
    ipv4(17, &[&fields, payload].concat())
}

#[test]
fn a_capture_without_calls_says_what_it_holds_instead() {
    let tls =
        [&[0x13, 0xc5, 0x13, 0xc5, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 16, 0, 0, 0, 0, 0, 0][..], &[0x16, 3, 1]];
    let mut frames = vec![
        udp(5060, b"INVITE sip:1@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\r\n"),
        udp(5060, b"SIP/2.0 99 What\r\n\r\n"),
        udp(37008, &[1, 0, 0, 18, 1]),
        ipv4(50, b"secret"),
        ipv4(50, b"secret"),
        ipv4(6, &tls.concat()),
    ];
    frames.extend(vec![udp(5060, b"BYE sip:1@b SIP/2.0\r\n\r\n"); 3]);
    let path = scratch("no-calls.pcap", &pcap(&frames));
    let output = hookswitch(&["replay", path.to_str().expect("UTF-8")]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b""[..]));
    let told = String::from_utf8_lossy(&output.stderr).replace(path.to_str().expect("UTF-8"), "FILE");
    insta::assert_snapshot!(told);
    // A switch that looks after its phones makes no calls.
    let options = "OPTIONS sip:b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
        To: <sip:b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
    let path = scratch("options.pcap", &pcap(&[udp(5060, options.as_bytes())]));
    let output = hookswitch(&["replay", path.to_str().expect("UTF-8")]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("SIP messages: 1 (of no call"), "{told}");
    // Calls that the filter does not let pass are no riddle either.
    let filter = "/restapi/v1.0/account/~/telephony/sessions?statusCode=Voicemail";
    let output = hookswitch(&["replay", "captures/busy-call.pcap", "--filter", filter]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (&output.stdout[..], told.trim_end()),
        (&b""[..], "hookswitch: 1 call was found, but none of its events passes the filter")
    );
    assert_eq!(hookswitch(&["replay", "captures/busy-call.pcap"]).stderr, b"");
}

#[test]
fn decode_prints_each_message_and_what_is_refused() {
    let output = printed(&["decode", "captures/direct-call.pcap"]);
    let messages = lines(&output);
    assert_eq!(messages.len(), 7);
    let keys = [
        "time",
        "transport",
        "src",
        "dst",
        "call_id",
        "from_tag",
        "to_tag",
        "cseq",
        "cseq_method",
        "from",
        "to",
    ];
    for message in &messages {
        assert!(keys.iter().all(|key| message.get(key).is_some()), "{message}");
        assert!(message.get("method").is_some() != message.get("status").is_some(), "{message}");
    }
    assert_eq!(messages[0]["method"], "INVITE");
    assert!(messages[0]["request_uri"].is_string());

    let mut damaged = bundled("direct-call.pcap");
    let at = damaged.windows(6).position(|bytes| bytes == b"CSeq: ").expect("a CSeq");
    damaged[at..at + 4].copy_from_slice(b"Xseq");
    let path = scratch("damaged.pcap", &damaged);
    let messages = lines(&printed(&["decode", path.to_str().expect("UTF-8")]));
    assert_eq!(messages.len(), 7);
    assert_eq!(messages[0].as_object().map(|message| message.contains_key("call_id")), Some(false));
    assert!(messages[0]["error"].as_str().is_some_and(|error| error.contains("CSeq")), "{}", messages[0]);
    let summary = lines(&printed(&["replay", path.to_str().expect("UTF-8"), "--summary"]));
    assert_eq!((&summary[0]["sip_messages"], &summary[0]["malformed"]), (&7.into(), &1.into()));
}

#[test]
fn what_cannot_be_used_is_named_with_the_mend() {
    let no_capture =
        scratch("no-capture.txt", b"Dear reader, this is a letter and no capture of anything at all.\n");
    let no_capture = no_capture.to_str().expect("UTF-8");
    for (arguments, named) in [
        (&["replay", "captures/none.pcap"][..], &["captures/none.pcap"][..]),
        (&["replay", "captures"], &["captures", "folder"]),
        (&["replay", no_capture], &["no-capture.txt"]),
        (&["decode", no_capture], &["no-capture.txt"]),
        (
            &["replay", "captures/busy-call.pcap", "--filter", "/restapi/v1.0/nonsense"],
            &["/restapi/v1.0/nonsense"],
        ),
        (&["replay", "captures/busy-call.pcap", "--account", "zero"], &["zero", "--account"]),
        (&["replay", "captures/busy-call.pcap", "--account", "0"], &["0"]),
        (&["replay", "captures/busy-call.pcap", "--format", "xml"], &["xml", "json", "text"]),
        (&["replay"], &["FILE"]),
        (&["reply", "captures/busy-call.pcap"], &["reply", "replay"]),
        (&[], &["replay", "decode"]),
    ] {
        let sentence = refused(arguments);
        for name in named {
            assert!(sentence.contains(name), "{arguments:?}: {sentence}");
        }
        assert!(!sentence.contains("panicked"), "{sentence}");
    }
}

#[test]
fn the_help_texts() {
    let commands = [
        "demo",
        "replay",
        "decode",
        "init",
        "serve",
        "play",
        "listen",
        "subscribe",
        "trigger",
        "token create",
        "token list",
        "token revoke",
        "user create",
        "user list",
        "user remove",
        "cluster status",
        "cluster move",
        "cluster drain",
        "store events",
        "store check",
        "doctor",
        "completions",
        "man",
    ];
    let mut texts = vec![printed(&["--help"])];
    texts.extend(commands.map(|command| {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        printed(&words)
    }));
    insta::assert_snapshot!(texts.join("\n----\n"));
}

#[test]
fn decode_agrees_with_tshark() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: tshark is not installed; `make setup` installs it");
        return;
    }
    let captures = ["answered-call", "busy-call", "cancelled-call", "direct-call"];
    let output = Command::new("scripts/compare-decode")
        .args(captures.map(|call| format!("captures/{call}.pcap")))
        .env("HOOKSWITCH", env!("CARGO_BIN_EXE_hookswitch"))
        .current_dir(root())
        .output()
        .expect("python3 is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("all: 58 of 58 messages agree"), "{text}");
}

/// The directory that docs/directory.md shows.
fn documented_directory(name: &str) -> PathBuf {
    let text = std::fs::read_to_string(root().join("docs/directory.md")).expect("docs/directory.md");
    let block =
        text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a TOML block");
    scratch(name, block.as_bytes())
}

#[test]
fn a_directory_gives_names_and_extensions() {
    let directory = documented_directory("directory.toml");
    let directory = directory.to_str().expect("UTF-8");
    insta::assert_snapshot!(printed(&[
        "replay",
        "captures/busy-call.pcap",
        "--directory",
        directory,
        "--format",
        "text"
    ]));
    let events = lines(&printed(&["replay", "captures/busy-call.pcap", "--directory", directory]));
    for event in events {
        let party = &event["body"]["parties"][0];
        assert_eq!(party["from"]["name"], "Ann Lee");
        assert_eq!(party["to"]["name"], "Bo Roy");
        assert!(party["from"]["extensionId"].is_string() && party["to"]["extensionId"].is_string());
    }
}

#[test]
fn a_mistake_in_a_directory_is_named_with_its_line() {
    let directory = documented_directory("right.toml");
    let wrong = std::fs::read_to_string(&directory).expect("the directory").replace("+1 415 555-0101", "555");
    let wrong = scratch("wrong.toml", wrong.as_bytes());
    let replay = |file: &Path| {
        let file = file.to_str().expect("UTF-8").to_owned();
        ["replay", "captures/busy-call.pcap", "--directory"]
            .map(str::to_owned)
            .into_iter()
            .chain([file])
            .collect::<Vec<_>>()
    };
    let arguments = replay(&wrong);
    let sentence = refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(sentence.contains("wrong.toml, line 12: number \"555\""), "{sentence}");
    let mut arguments = replay(&directory);
    arguments.extend(["--account".to_owned(), "7".to_owned()]);
    let sentence = refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(sentence.contains("account 7") && sentence.contains("310001016"), "{sentence}");
    let sentence = refused(&["replay", "captures/busy-call.pcap", "--directory", "none.toml"]);
    assert!(sentence.contains("none.toml"), "{sentence}");
}
