//! Tests of what a capture gives away when it was anonymised.

use super::*;

fn sip(text: &str) -> Message {
    let address = "192.0.2.1:5060".parse().expect("an address");
    let kind = Kind::Sip {
        agent: 1,
        transport: hookswitch_signal::capture::Transport::Udp,
        src: address,
        dst: "198.51.100.7:5060".parse().expect("an address"),
        correlation: None,
    };
    Message {
        at: hookswitch_model::Timestamp::default(),
        body: text.replace('\n', "\r\n").into_bytes(),
        kind,
    }
}

const INVITE: &str = "INVITE sip:+14155550123@pbx.acme.example:5070;transport=tcp SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-secretbranch;received=203.0.113.9
From: \"Ann \\\"the boss\\\" Lee\" <sip:101:hunter2@pbx.acme.example>;tag=secrettag
To: sip:ann.lee@acme.example;user=phone
Contact: <sip:101@192.0.2.1>;+sip.instance=\"<urn:uuid:0123>\"
Call-ID: secretcall@192.0.2.1
CSeq: 102 INVITE
Authorization: Digest username=\"101\", realm=\"acme.example\", response=\"0123456789abcdef\"
X-Customer: Ann Lee, 4155550123
Remote-Party-ID: \"Ann Lee\" <tel:4155550123>;party=calling
Subject: for Ann Lee
P-Charging-Vector: icid-value=acme
Content-Type: application/sdp
Content-Length: 3

v=0
o=ann 123 456 IN IP4 192.0.2.1
s=Ann's phone
c=IN IP4 192.0.2.1
m=audio 4000 RTP/AVP 0
a=sendonly
a=candidate:1 1 UDP 1 192.0.2.77 4000 typ host
";

fn anonymise(messages: Vec<Message>, directory: Option<&str>) -> (Anonymiser, Vec<String>, Option<String>) {
    let chosen = Chosen(messages);
    let all = Anonymiser::with_key((7, 8), &chosen, directory).expect("it can be read");
    let (made, directory) = all.apply(&chosen, directory).expect("it can be read");
    let texts = made.0.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect();
    (all, texts, directory)
}

#[test]
fn nothing_that_names_anybody_is_left_of_a_message() {
    let (all, texts, _) = anonymise(vec![sip(INVITE)], None);
    let text = &texts[0];
    for gone in [
        "acme",
        "192.0.2",
        "203.0.113",
        "198.51.100",
        "5550123",
        "Ann",
        "boss",
        "Lee",
        "hunter2",
        "secret",
        "Digest",
        "0123456789abcdef",
        "icid",
        "candidate",
        "urn:uuid",
        "boss",
    ] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    // Numbers keep their plan, and each is the same everywhere.
    let number = all.shown_number("+14155550123");
    assert!(number.starts_with("+1415") && number.len() == 12, "{number}");
    assert!(text.starts_with(&format!("INVITE sip:{number}@")), "{text}");
    assert!(text.contains(&format!("<tel:{}>;party=calling", &number[2..])), "{text}");
    let extension = all.shown_number("101");
    assert_eq!(text.matches(&format!("sip:{extension}@")).count(), 2, "{text}");
    assert!(extension.len() == 3 && extension.starts_with('1') && extension != "101", "{extension}");
    assert!(text.contains("CSeq: 102 INVITE") && text.contains(":5070;transport=tcp SIP/2.0"), "{text}");
    assert!(text.contains("a=sendonly") && text.contains("m=audio 4000 RTP/AVP 0"), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}");
    assert!(hookswitch_signal::sip::Message::parse(text.as_bytes()).is_ok(), "{text}");
}

#[test]
fn the_same_is_replaced_by_the_same_in_every_kind_of_input_and_the_directory() {
    let directory = "[[account]]\nid = 1\nname = \"Acme\"\ncountry_code = \"1\"\ndomains = [\"acme.example\"]\ncodes = [\"**\"]\n\
        [[account.extension]]\nnumber = \"101\"\nname = \"Ann Lee\"\nnumbers = [\"+1 415 555-0123\"]\nusers = [\"ann.lee\"]\n\
        [[account.extension]]\nnumber = \"199\"\nname = \"Not There\"\n\
        [[account.trunk]]\nname = \"carrier\"\naddresses = [\"192.0.2.0/24\", \"198.51.100.7:5060\"]\n";
    let manager = Message {
        kind: Kind::Switch(hookswitch_signal::adapters::Switch::Ami, 2),
        body: b"Event: Newchannel\r\nChannel: PJSIP/101-00000001\r\nCallerIDNum: 101\r\nCallerIDName: Ann Lee\r\n\
            Uniqueid: acme-1700000000.1\r\nAccountCode: acme\r\nAppData: PJSIP/101,20,tT(**101)\r\nExten: **101\r\n\r\n"
            .to_vec(),
        ..sip("")
    };
    let posted = Message {
        kind: Kind::Posted,
        body: br#"{"id":"1","leg":"secretleg","kind":"created","direction":"outbound","callee":"4155550123","caller":{"number":"101","name":"Ann Lee","host":"acme.example"}}"#
            .to_vec(),
        ..sip("")
    };
    let (all, texts, directory) = anonymise(vec![sip(INVITE), manager, posted], Some(directory));
    let directory = directory.expect("a directory");
    let (extension, name) = (all.shown_number("101"), all.shown_name("Ann Lee"));
    let number = all.shown_number("4155550123");
    for text in [&texts[1], &texts[2], &directory] {
        assert!(text.contains(&extension) && text.contains(&name), "{extension} {name}: {text}");
        for gone in ["acme", "Acme", "Ann Lee", "5550123", "secretleg", "Not There", "199", "carrier"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
    }
    assert!(texts[1].contains(&format!("Channel: PJSIP/{extension}-00000001")), "{}", texts[1]);
    assert!(texts[1].contains(&format!("Exten: **{extension}\r\n")), "{}", texts[1]);
    assert!(texts[1].contains(&format!("AppData: PJSIP/{extension},20,tT(**{extension})")), "{}", texts[1]);
    assert!(texts[2].contains(&format!("\"callee\":\"{number}\"")), "{}", texts[2]);
    assert!(directory.contains(&format!("+1{number}")), "{directory}");
    // Addresses of one network are in one network again, which the directory names.
    let inside: std::net::IpAddr = "192.0.2.1".parse().expect("an address");
    let mut again = Anonymiser::with_key((7, 8), &Chosen(vec![sip(INVITE)]), None).expect("it can be read");
    let made = again.ip(inside).to_string();
    let network = made.rsplit_once('.').expect("four parts").0;
    assert!(directory.contains(&format!("{network}.")), "{network}: {directory}");
    assert!(all.originals().any(|original| original == "acme.example"));
}

/// Returns what a FreeSWITCH has said, from a transcript beside SIP, as the signal log has it.
fn recorded(files: Vec<(String, Vec<u8>)>) -> Chosen {
    use hookswitch_signal::capture::Transport;
    let mut files =
        hookswitch_server::source::captures::CaptureFiles::in_memory(files).expect("they can be read");
    let mut messages = Vec::new();
    while let Some((captured, _)) = files.next().expect("it can be read") {
        let kind = match captured.transport {
            Transport::Switch(switch) => Kind::Switch(switch, 2),
            transport => Kind::Sip {
                agent: 1,
                transport,
                src: captured.src,
                dst: captured.dst,
                correlation: captured.correlation.map(<[u8]>::to_vec),
            },
        };
        messages.push(Message { at: captured.time, body: captured.payload.to_vec(), kind });
    }
    Chosen(messages)
}

fn replayed(chosen: &Chosen, directory: &str) -> Vec<hookswitch_model::Event> {
    use hookswitch_core::directory::Directory;
    let files = crate::capture::files::write(chosen).expect("they can be written");
    let files =
        hookswitch_server::source::captures::CaptureFiles::in_memory(files).expect("they can be read");
    let directory = Directory::parse(directory).expect("a directory");
    let account = hookswitch_model::AccountId::new(1);
    hookswitch_server::source::replay::events(files, directory, account, None).expect("they can be replayed")
}

#[test]
fn what_a_real_event_socket_tells_gives_the_same_events_of_others() {
    use hookswitch_flows::recordings;

    use crate::capture::compare::{difference, shapes};
    let directory =
        std::fs::read_to_string(recordings::directory("freeswitch")).expect("the directory is there");
    let directory = directory.as_str();
    for recording in recordings::all("freeswitch") {
        for names in [&["esl.log"][..], &["esl.log", "hep.jsonl"]] {
            let what = format!("{} {names:?}", recording.name);
            let files = names.iter().map(|&name| (name.to_owned(), recording.read(name)));
            let chosen = recorded(files.collect());
            let all = Anonymiser::with_key((7, 8), &chosen, Some(directory)).expect("it can be read");
            let (made, others) = all.apply(&chosen, Some(directory)).expect("it can be read");
            let given = replayed(&made, &others.expect("a directory"));
            let events = replayed(&chosen, directory);
            assert!(events.len() > 3, "{what}");
            let wanted = shapes(events.iter(), Some(&all));
            assert_eq!(difference(&wanted, &shapes(given.iter(), None), wanted.len()), None, "{what}");
            // Of names, hosts and addresses, and of numbers from outside, none is left.
            let text: Vec<u8> = made.0.iter().flat_map(|message| message.body.clone()).collect();
            let text = String::from_utf8(text).expect("UTF-8");
            for gone in [
                "pbx.example.com",
                "127.0.0.1",
                "Ines",
                "Ortiz",
                "Jonas",
                "Klein",
                "Peter",
                "Public",
                "carrier",
                "pbx1",
                "ClueCon",
                "7946",
                "16465550",
            ] {
                assert!(!text.contains(gone), "{gone} in {what}");
            }
        }
    }
}

#[test]
fn slots_of_a_directory_are_replaced_whether_they_are_one_text_or_a_list() {
    let file = |slots: &str| {
        format!(
            "[[account]]\nid = 1\n[[account.extension]]\nnumber = \"700\"\nkind = \"park\"\nslots = {slots}\n"
        )
    };
    let told = "INVITE sip:702@10.1.2.3 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.2.4;branch=z9hG4bK1\r\nFrom: <sip:103@10.1.2.3>;tag=a\r\n\
                To: <sip:702@10.1.2.3>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let slots_of = |slots: &str| {
        let (_, _, directory) = anonymise(vec![sip(told)], Some(&file(slots)));
        let table: toml::Table = toml::from_str(&directory.expect("a directory")).expect("TOML");
        table["account"][0]["extension"][0]["slots"].clone()
    };
    let (one, list) = (slots_of("\"701-703\""), slots_of("[\"701-703\"]"));
    assert_eq!(one, list);
    assert_eq!(one.as_array().map(Vec::len), Some(3), "{one}");
    assert!(!one.to_string().contains("702"), "{one}");
}
