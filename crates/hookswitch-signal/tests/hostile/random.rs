//! Random bytes, valid messages with bytes changed, and valid messages that are written in many ways.

use hookswitch_signal::sip::{CSeq, Message, Method, NameAddr, Uri, Via, lossy, percent_decode};
use proptest::prelude::*;

use crate::messages::{INVITE, NOTIFY, RESPONSE};
use crate::reference::compare;
use crate::touch::{touch, touch_address, touch_uri, touch_via};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(message) = Message::parse(&bytes) {
            touch(&message);
        }
        let _ = lossy(&percent_decode(&bytes)).len();
        let _ = NameAddr::parse(&bytes).map(|address| touch_address(&address));
        let _ = Via::parse(&bytes).map(|via| touch_via(&via));
        let _ = Uri::parse(&bytes).map(touch_uri);
        let _ = CSeq::parse(&bytes);
    }

    #[test]
    fn changed_messages_never_panic_and_are_read_as_line_by_line(
        base in prop::sample::select(vec![INVITE, NOTIFY, RESPONSE]),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let mut bytes = base.as_bytes().to_vec();
        for change in &changes {
            change.apply(&mut bytes);
        }
        compare(&bytes);
        if let Ok(message) = Message::parse(&bytes) {
            touch(&message);
        }
    }

    #[test]
    fn rows_and_descriptions_of_any_lines_are_read_as_line_by_line(
        head in prop::collection::vec("(X-CID|Via|m|odd|)[ \t]?:?[ a-z\t:]{0,70}|[ \t][a-z:]{0,9}", 0..12),
        body in prop::collection::vec(
            "m=(audio|image|x) {1,2}[0-9]{1,6}(/2)? (RTP/AVP|udptl) ?[t38 ]{0,4}|m=[a-z ]{0,9}|c=IN IP4 [0-9./]{0,12}|\
             c=[a-z ]{0,5}|a=(sendonly|sendrecv|recvonly|inactive|bundle-only|x) ?| ?[a-z=]{0,70}",
            0..12,
        ),
        end in prop::sample::select(vec!["\r\n", "\n"]),
    ) {
        let body = body.join(end);
        let head: String = head.iter().map(|line| format!("{line}{end}")).collect();
        compare(
            format!(
                "INVITE sip:b@b SIP/2.0{end}Via: SIP/2.0/UDP a;branch=z9hG4bK1{end}From: <sip:a@a>;tag=1{end}\
                 To: <sip:b@b>{end}Call-ID: 1{end}CSeq: 1 INVITE{end}Content-Type: application/sdp{end}\
                 {head}{end}{body}"
            )
            .as_bytes(),
        );
    }

    #[test]
    fn what_was_written_is_read(
        method in prop::sample::select(vec!["INVITE", "BYE", "NOVEL"]),
        user in "[a-z0-9+*#!~_.-]{1,12}",
        host in prop::sample::select(vec!["a.example", "192.0.2.1", "[2001:db8::1]"]),
        port in prop::option::of(1_u16..),
        name in "[^\\p{C}\"\\\\]{0,20}",
        tag in "[A-Za-z0-9.!%*_+`'~-]{1,20}",
        call_id in "[A-Za-z0-9.!%*_+`'~<>:\\[\\]/@-]{1,30}",
        number in 0_u32..1 << 31,
        branch in "z9hG4bK[A-Za-z0-9]{1,20}",
        compact: bool,
        fold: bool,
        crlf: bool,
        body in "[ -~]{0,50}",
    ) {
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let [via, from, to, id, length] =
            if compact { ["v", "F", "t", "i", "l"] } else { ["VIA", "From", "to", "Call-Id", "Content-length"] };
        let (gap, end) = (if fold { " \r\n\t" } else { "" }, "\r\n");
        let text = format!(
            "{method} sip:{user}@{host}{port_text} SIP/2.0{end}\
             {via} :{gap} SIP/2.0/UDP {host}{port_text}{gap};{gap}branch={branch}{end}\
             {from}:{gap}\"{name}\"{gap}<sip:{user}@{host}{port_text}>{gap};{gap}tag{gap}={gap}{tag}{end}\
             {to}: sip:{user}@{host}{port_text}{end}\
             {id}: {call_id}{end}CSeq: {number}{gap} {method}{end}\
             {length}: {}{end}{end}{body}trailing", body.len());
        let text = if crlf { text } else { text.replace("\r\n", "\n") };
        let message = Message::parse(text.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(message.cseq(), CSeq { number, method: Method::parse(method.as_bytes()).unwrap() });
        prop_assert_eq!(message.call_id(), call_id.as_bytes());
        prop_assert_eq!(message.from_tag(), Some(tag.as_bytes()));
        prop_assert_eq!(message.to_tag(), None);
        prop_assert_eq!(message.top_via().branch(), Some(branch.as_bytes()));
        prop_assert_eq!(message.top_via().port(), port);
        let trimmed = name.trim();
        let shown = message.from().display_name();
        prop_assert_eq!(shown.as_deref(), Some(trimmed).filter(|name| !name.is_empty()));
        for uri in [message.from().uri(), message.to().uri()] {
            prop_assert_eq!(uri.user(), Some(user.as_bytes()));
            prop_assert_eq!(uri.host(), host.as_bytes());
            prop_assert_eq!(uri.port(), port);
        }
        prop_assert_eq!(message.body(), body.as_bytes());
        touch(&message);
    }
}

/// One change to a message.
#[derive(Clone, Debug)]
enum Change {
    Put(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Put(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Self::Remove(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let part = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let byte =
        || prop_oneof![any::<u8>(), prop::sample::select(b" \t\r\n\"\\<>;,:=?@[]%/*-.m9\0\xff".to_vec())];
    prop_oneof![
        4 => (at(), byte()).prop_map(|(at, byte)| Change::Put(at, byte)),
        4 => (at(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => (at(), 1_usize..40).prop_map(|(at, length)| Change::Remove(at, length)),
        2 => (at(), 1_usize..200).prop_map(|(at, length)| Change::Repeat(at, length)),
        1 => at().prop_map(Change::Cut),
    ]
}
