//! What nobody should send: random bytes, valid messages with bytes changed, and messages that are
//! all commas, folds or quotes. Nothing panics, and the time grows with the length alone.

use std::time::{Duration, Instant};

use hookswitch_signal::sip::{
    CSeq, Message, Method, NameAddr, Privacy, Reason, StartLine, Uri, Via, lossy, percent_decode,
};
use proptest::prelude::*;

const INVITE: &str = "INVITE sip:7031@south.example;user=phone SIP/2.0\r\n\
    Via: SIP/2.0/UDP [2001:db8::5]:5062;rport;branch=z9hG4bKh1, SIP/2.0/TCP b.example;branch=z9hG4bKh2\r\n\
    v: SIP/2.0/TLS c.example;received=192.0.2.7;branch=z9hG4bKh3\r\n\
    From: \"Nora \\\"Q\\\" Quill\" <sip:nora@north.example>;tag=n0r4\r\n\
    To: Otto <sip:+49-30(555)@south.example;user=phone>;tag=0tt0\r\n\
    Call-ID: hostile-1@north.example\r\nCSeq: 41 INVITE\r\nMax-Forwards: 69\r\n\
    m: <sip:nora@192.0.2.7:5062;ob>;expires=60;+sip.instance=\"<urn:uuid:1>\"\r\n\
    P-Asserted-Identity: \"Nora\" <sip:+4930@north.example>, <tel:+4930>\r\n\
    Remote-Party-ID: <sip:7031@x>;party=calling;screen=yes;privacy=off\r\n\
    P-Preferred-Identity: <sip:7031@x>\r\nPrivacy: id;user\r\n\
    Diversion: <sip:7032@x>;reason=no-answer\r\n\
    History-Info: <sip:7034@x?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1,<sip:7035@x;cause=486>;index=1.1\r\n\
    Session-ID: 0123456789abcdef0123456789abcdef;remote=00000000000000000000000000000000\r\n\
    User-to-User: 00c81031;encoding=hex\r\nSession-Expires: 1800;refresher=uac\r\nExpires: 120\r\n\
    Replaces: c9@x;to-tag=a;from-tag=b;early-only\r\nJoin: c8@x;to-tag=a;from-tag=b\r\n\
    Target-Dialog: c7@x;local-tag=a;remote-tag=b\r\nUser-Agent: phone/1\r\nX-CID: abc\r\n\
    Reason: Q.850;cause=16;text=\"bye, \\\"x\\\"\"\r\nDate: Tue, 24 Nov 2026 09:00:00 GMT\r\n\
    Content-Type: multipart/mixed;boundary=\"q7\"\r\n\r\n\
    --q7\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 88 3 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\na=sendonly\r\n\
    m=audio 4000/2 RTP/AVP 0 101\r\na=ptime:20\r\nm=image 4010 udptl t38\r\na=inactive\r\n--q7--\r\n";

const NOTIFY: &str = "NOTIFY sip:7031@south.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7\r\n\
    f: sip:nora@north.example;tag=n\r\nt: sip:otto@south.example;tag=o\r\ni: hostile-2\r\nCSeq: 7 NOTIFY\r\n\
    Event: refer;id=93\r\nSubscription-State: terminated;reason=noresource;expires=3\r\n\
    Refer-To: <sip:7036@x?Replaces=c81%40x%3Bto-tag%3Dtt%3Bfrom-tag%3Dff>\r\nReferred-By: <sip:7037@x>\r\n\
    Content-Type: message/sipfrag\r\nContent-Length: 19\r\n\r\nSIP/2.0 200 Done\r\n\r\n";

const RESPONSE: &str = "SIP/2.0 302 Moved\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKr\r\n\
    From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: hostile-3\r\nCSeq: 2 INVITE\r\n\
    Contact: <sip:c@x>;q=0.5, sip:d@x\r\nServer: s\r\nl: 0\r\n\r\n";

/// Calls every accessor; gives a number that depends on all of them.
fn touch(message: &Message<'_>) -> usize {
    let mut sum = message.start_line().len() + message.call_id().len() + message.body().len();
    sum += message.cseq().method.to_string().len();
    if let StartLine::Request { uri, .. } = message.start() {
        sum += touch_uri(uri);
    }
    sum += usize::from(message.start().status().unwrap_or_default());
    sum += touch_address(&message.from()) + touch_address(&message.to());
    sum += message.from_tag().map_or(0, <[u8]>::len) + message.to_tag().map_or(0, <[u8]>::len);
    sum += message.vias().map(|via| touch_via(&via)).sum::<usize>() + message.via_count();
    sum += touch_via(&message.top_via());
    sum += message.max_forwards().unwrap_or_default() as usize;
    sum += message.contacts().map(|contact| touch_address(&contact)).sum::<usize>();
    sum += usize::from(message.contact_is_star()) + usize::from(message.contact().is_some());
    sum += message.reasons().map(|reason| touch_reason(&reason)).sum::<usize>();
    sum += [message.replaces(), message.join(), message.target_dialog()].iter().flatten().count();
    sum += message.refer_to().map_or(0, |address| touch_address(&address));
    sum += message.refer_to_replaces().map_or(0, |dialog| dialog.dialog().call_id.len());
    sum += message.referred_by().map_or(0, |address| touch_address(&address));
    sum += message.asserted_identities().map(|id| touch_address(&id)).sum::<usize>();
    sum += message.preferred_identity().map_or(0, |id| touch_address(&id));
    for id in message.remote_party_ids() {
        sum += id.party().map_or(0, <[u8]>::len) + id.privacy().map_or(0, <[u8]>::len);
        sum += usize::from(id.is_screened());
    }
    sum += message.remote_party_id().map_or(0, |id| touch_address(&id.address));
    sum += message.privacy().map_or(0, |privacy| usize::from(privacy.hides_identity()));
    sum += message.diversions().filter_map(|diversion| diversion.reason()).map(<[u8]>::len).sum::<usize>();
    for step in message.history_info() {
        sum += touch_address(&step.address) + step.index().map_or(0, <[u8]>::len);
        sum += usize::from(step.cause().unwrap_or_default());
        sum += step
            .reason()
            .and_then(|reason| Reason::parse(&reason).map(|reason| touch_reason(&reason)))
            .unwrap_or_default();
        sum += step.privacy().map_or(0, |privacy| Privacy::new(&privacy).tokens().count());
    }
    sum += message.session_id().map_or(0, |id| id.local.len());
    sum += message.user_to_user().map_or(0, |data| data.data().len() + data.encoding().len());
    sum += message.event().map_or(0, |event| event.package().len() + event.id().map_or(0, <[u8]>::len));
    if let Some(state) = message.subscription_state() {
        sum += state.state().len() + state.reason().map_or(0, <[u8]>::len);
        sum += state.expires().unwrap_or_default() as usize;
    }
    sum += message.session_expires().map_or(0, |session| session.seconds as usize);
    sum += message.expires().unwrap_or_default() as usize;
    sum += message.content_type().map_or(0, |kind| kind.subtype().len());
    sum += message.user_agent().map_or(0, <[u8]>::len) + message.server().map_or(0, <[u8]>::len);
    sum += message.headers("x-cid").count() + message.headers("Via").count();
    sum += message.header("Warning").map_or(0, <[u8]>::len);
    sum += usize::from(message.sipfrag_status().unwrap_or_default());
    if let Some(sdp) = message.sdp() {
        for media in sdp.media() {
            sum += usize::from(media.port()) + media.formats().count() + media.proto().len();
            sum += usize::from(media.is_held_by_offerer()) + usize::from(media.is_t38());
            sum += media.connection().map_or(0, |connection| connection.address.len());
        }
        sum += usize::from(sdp.is_held_by_offerer()) + usize::from(sdp.is_t38());
        sum += sdp.origin().map_or(0, |origin| origin.version.len()) + usize::from(sdp.direction().is_some());
        sum += sdp.attribute("group").map_or(0, <[u8]>::len);
    }
    sum + format!("{message:?}").len()
}

fn touch_uri(uri: Uri<'_>) -> usize {
    uri.user_decoded().map_or(0, |user| user.len())
        + uri.number().map_or(0, |number| number.len())
        + uri.host_unbracketed().len()
        + usize::from(uri.port().unwrap_or_default())
        + uri.params().count()
        + uri.phone_context().map_or(0, <[u8]>::len)
        + uri.header("Reason").map_or(0, |reason| reason.len())
        + uri.to_string().len()
}

fn touch_address(address: &NameAddr<'_>) -> usize {
    touch_uri(address.uri())
        + address.display_name().map_or(0, |name| name.len())
        + address.params().into_iter().count()
        + address.tag().map_or(0, <[u8]>::len)
}

fn touch_via(via: &Via<'_>) -> usize {
    via.sent_by().len()
        + via.host().len()
        + via.transport().len()
        + via.received().map_or(0, <[u8]>::len)
        + usize::from(via.rport().unwrap_or_default())
        + via.unique_branch().map_or(0, <[u8]>::len)
}

fn touch_reason(reason: &Reason<'_>) -> usize {
    usize::from(reason.cause().unwrap_or_default()) + reason.text().map_or(0, |text| text.len())
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
    fn changed_messages_never_panic(
        base in prop::sample::select(vec![INVITE, NOTIFY, RESPONSE]),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let mut bytes = base.as_bytes().to_vec();
        for change in &changes {
            change.apply(&mut bytes);
        }
        if let Ok(message) = Message::parse(&bytes) {
            touch(&message);
        }
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

/// Messages of about `bytes` bytes that make one construct as frequent as it can be.
fn floods(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    const HEAD: &str = "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n\
        To: <sip:b@x>\r\nCall-ID: flood\r\nCSeq: 1 INVITE\r\n";
    let rows = |start: &str, unit: &str, end: &str| {
        format!("{HEAD}{start}{}{end}\r\n\r\n", unit.repeat(bytes / unit.len())).into_bytes()
    };
    let body = |head: &str, unit: &str, end: &str| {
        format!("{HEAD}{head}\r\n\r\n{}{end}", unit.repeat(bytes / unit.len())).into_bytes()
    };
    vec![
        ("folds", rows("X: a", "\r\n ", "a")),
        ("folds in a name", rows("Contact: \"a", "\r\n ", "\" <sip:a@x>")),
        ("empty rows", rows("", "v:\r\n", "X: y")),
        ("rows of vias", rows("", "v: SIP/2.0/UDP h\r\n", "X: y")),
        ("a list of vias", rows("Via: SIP/2.0/UDP h", ",SIP/2.0/UDP h", "")),
        ("commas", rows("P-Asserted-Identity: ", ",", "")),
        ("open quotes", rows("P-Asserted-Identity: ", ",\"", "")),
        ("quotes", rows("Contact: ", "\"\"", "<sip:a@x>")),
        ("backslashes", rows("Contact: \"", "\\\\", "\" <sip:a@x>")),
        ("open brackets", rows("Diversion: ", "<,", "")),
        ("parameters", rows("Contact: <sip:a@x>", ";a", "")),
        ("semicolons", rows("Reason: SIP", ";", "")),
        ("uri parameters", rows("Contact: <sip:a@x", ";a", ">")),
        ("uri headers", rows("History-Info: <sip:a@x?a=b", "&%41", ">")),
        ("at signs", rows("P-Asserted-Identity: <sip:", "@", ">")),
        ("colons", rows("X", ":", "")),
        ("letters without a colon", rows("", "x", "")),
        ("line ends", {
            let mut bytes = "\r\n".repeat(bytes / 2).into_bytes();
            bytes.extend(HEAD.as_bytes());
            bytes.extend(b"\r\n");
            bytes
        }),
        ("media", body("Content-Type: application/sdp", "m=a 1 x\n", "")),
        ("attributes and media", {
            let media = "m=a 1 x\n".repeat(bytes / 16);
            body("Content-Type: application/sdp", "a=b\n", &media)
        }),
        ("parts", body("Content-Type: multipart/mixed;boundary=b", "--b\n", "")),
        (
            "parts in parts",
            body("Content-Type: multipart/mixed;boundary=b", "--b\nc:multipart/mixed;boundary=b\n\n", ""),
        ),
    ]
}

#[test]
fn time_grows_with_the_length_alone() {
    const SHORT: usize = 16 << 10;
    const TIMES: u32 = 8;
    for ((name, short), (_, long)) in floods(SHORT).into_iter().zip(floods(SHORT * TIMES as usize)) {
        // A quadratic step would take 8 times as long again; other work on the machine is let pass
        // by taking the best of several runs.
        let (short, long) = (best_time(&short), best_time(&long));
        let bound = short.max(Duration::from_micros(20)) * TIMES * 5 / 2;
        assert!(long <= bound, "{name}: {short:?} for one length, {long:?} for {TIMES} times as much");
    }
}

#[expect(clippy::disallowed_methods, reason = "the test measures time")]
fn best_time(bytes: &[u8]) -> Duration {
    (0..9)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(
                Message::parse(std::hint::black_box(bytes)).map(|message| touch(&message)).ok(),
            );
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}
