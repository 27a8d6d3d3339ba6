//! Messages with the defects of RFC 4475 and RFC 5118, and of calls seen in the wild.
//!
//! Each test is named for the defect it has in common with a message of those documents; the
//! messages are our own.

use hookswitch_signal::sip::{Connection, HeaderName, Message, Method, Scheme, SipError, StartLine, Uri};

/// A message with one line a header; `extra` lines replace those of the same name.
fn message(start: &str, extra: &[&str], body: &str) -> Vec<u8> {
    let method = start.split(' ').next().unwrap_or_default();
    let method = if method.eq_ignore_ascii_case("SIP/2.0") { "INVITE" } else { method };
    let defaults = [
        "Via: SIP/2.0/UDP phone.north.example:5071;branch=z9hG4bKnorth4".to_owned(),
        "From: \"Nora\" <sip:nora@north.example>;tag=n0r4".to_owned(),
        "To: <sip:otto@south.example>".to_owned(),
        "Call-ID: torture-77@phone.north.example".to_owned(),
        format!("CSeq: 41 {method}"),
    ];
    let name = |line: &str| line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut text = format!("{start}\r\n");
    for line in defaults {
        if !extra.iter().any(|other| name(other) == name(&line)) {
            text += &line;
            text += "\r\n";
        }
    }
    for line in extra {
        // A line such as `Via` without a colon takes the default out.
        if line.contains(':') {
            text += line;
            text += "\r\n";
        }
    }
    text += "\r\n";
    text += body;
    text.into_bytes()
}

fn invite(extra: &[&str]) -> Vec<u8> {
    message("INVITE sip:otto@south.example SIP/2.0", extra, "")
}

#[track_caller]
fn refused(bytes: &[u8]) -> SipError {
    Message::parse(bytes).expect_err("the message should be refused")
}

#[track_caller]
fn read(bytes: &[u8]) -> Message<'_> {
    match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => panic!("the message should be read: {error}"),
    }
}

#[track_caller]
fn malformed(bytes: &[u8], expected: HeaderName) {
    match refused(bytes) {
        SipError::MalformedHeader { name, .. } => assert_eq!(name, expected),
        other => panic!("{expected} should be malformed, got: {other}"),
    }
}

/// The message is read, and its damaged Contact is none.
#[track_caller]
fn without_contact(bytes: &[u8]) {
    let message = read(bytes);
    assert!(message.contact().is_none() && message.contacts().next().is_none());
}

fn request_uri<'a>(message: &Message<'a>) -> Uri<'a> {
    match message.start() {
        StartLine::Request { uri, .. } => uri,
        StartLine::Response { .. } => panic!("a response has no URI"),
    }
}

mod valid_messages {
    use super::*;

    #[test]
    fn wsinv_blanks_folds_and_compact_names_everywhere() {
        let bytes = b"INVITE sip:otto@south.example;novel SIP/2.0\r\n\
            T :\r\n sip:otto@south.example ;   tag    = 0tt0\r\n\
            f\t: \"N Quill \\\\\\\"\"       <sip:nora@north.example>\r\n  ;\r\n  tag = n0r4\r\n\
            mAx-fOrWaRdS: 0052\r\n\
            CALL-id: wide.77@192.0.2.44\r\n\
            Content-Length   : 3\r\n\
            cseq: 0041\r\n  INVITE\r\n\
            v:  SIP  / 2.0  / TCP     hub.north.example   ;\r\n  branch  =   z9hG4bKhub9  ,\r\n\
            \x20SIP  /    2.0   / UDP  192.0.2.44 : 5062  ; branch=\r\n z9hG4bKn55\r\n\
            s :\r\n\
            Novel-Header:   first half\r\n\x20second half\r\n\
            Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.45;branch=oldstyle\r\n\
            m:\"A \\\"quoted\\\"\r\n one\" <sip:nora@192.0.2.44> ; novel =\r\n      x ;\r\n  q = 0.21\r\n\
            \r\nv=0";
        let message = read(bytes);
        assert_eq!(message.to_tag(), Some(&b"0tt0"[..]));
        assert_eq!(message.from_tag(), Some(&b"n0r4"[..]));
        assert_eq!(message.from().display_name().as_deref(), Some("N Quill \\\""));
        assert_eq!((message.cseq().number, message.cseq().method), (41, Method::Invite));
        assert_eq!(message.call_id(), b"wide.77@192.0.2.44");
        assert_eq!(message.max_forwards(), Some(52));
        assert_eq!(message.via_count(), 3);
        assert_eq!(message.top_via().branch(), Some(&b"z9hG4bKhub9"[..]));
        let branches: Vec<_> = message.vias().filter_map(|via| via.branch()).collect();
        assert_eq!(branches, [&b"z9hG4bKhub9"[..], b"z9hG4bKn55", b"oldstyle"]);
        assert_eq!(message.vias().nth(1).unwrap().port(), Some(5062));
        let contact = message.contact().unwrap();
        assert_eq!(contact.display_name().as_deref(), Some("A \"quoted\" one"));
        assert_eq!(contact.param("q"), Some(&b"0.21"[..]));
        assert_eq!(message.header("subject"), Some(&b""[..]));
        assert_eq!(message.header("novel-header"), Some(&b"first half\r\n second half"[..]));
        assert_eq!(message.body(), b"v=0");
    }

    #[test]
    fn intmeth_every_byte_a_token_and_a_user_may_have() {
        let bytes = "odd.Verb-0_9!*+`~%'x sip:q_9.odd!~*'()&=+$,;?/:pa$s,&=+word@south.example SIP/2.0\r\n\
            Via: SIP/2.0/TCP phone.north.example;branch=z9hG4bK-.!%*_+`'~\r\n\
            To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_odd!~*'()&=+$,;?/@south.example>\r\n\
            From: token~' to'+_ ken*%!.- <sip:plain@north.example>;novel''~+*_!.-%=\"\u{442}\u{43e}\u{43d}\";tag=_t~'+`*%!-.\r\n\
            Call-ID: odd.(w)-<r>:\\\"d\"/[i]?{d}~`!%*_+'@x\r\n\
            CSeq: 7 odd.Verb-0_9!*+`~%'x\r\n\
            x-!.%*+_`'~: \u{5927}\u{96fb}\r\n\
            l:0\r\n\r\n";
        let message = read(bytes.as_bytes());
        let StartLine::Request { method, uri } = message.start() else { panic!("a request") };
        assert_eq!(method.as_bytes(), b"odd.Verb-0_9!*+`~%'x");
        assert_eq!(uri.user(), Some(&b"q_9.odd!~*'()&=+$,;?/"[..]));
        assert_eq!(uri.host(), b"south.example");
        assert_eq!(message.from_tag(), Some(&b"_t~'+`*%!-."[..]));
        assert_eq!(message.to().display_name().as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
        assert_eq!(message.header("X-!.%*+_`'~"), Some("\u{5927}\u{96fb}".as_bytes()));
    }

    #[test]
    fn esc01_an_escaped_at_sign_is_part_of_the_user() {
        let bytes = message(
            "INVITE sip:sip%3Aotto%40inner.example@south.example SIP/2.0",
            &[
                "From: <sip:two%20words@north.example>;tag=938",
                "Contact: <sip:nora@phone.example;odd=%6eovel>",
            ],
            "",
        );
        let message = read(&bytes);
        let uri = request_uri(&message);
        assert_eq!(uri.user(), Some(&b"sip%3Aotto%40inner.example"[..]));
        assert_eq!(uri.user_decoded().as_deref(), Some("sip:otto@inner.example"));
        assert_eq!(uri.host(), b"south.example");
        assert_eq!(message.from().uri().user_decoded().as_deref(), Some("two words"));
    }

    #[test]
    fn escnull_an_escaped_zero_is_a_byte_like_any_other() {
        let bytes = message(
            "REGISTER sip:south.example SIP/2.0",
            &[
                "To: <sip:a-%00-b@south.example>",
                "Contact: <sip:%00@one.example>",
                "Contact: <sip:%00%00@two.example>",
            ],
            "",
        );
        let message = read(&bytes);
        assert_eq!(message.to().uri().user_decoded().as_deref(), Some("a-\0-b"));
        let users: Vec<_> = message.contacts().filter_map(|contact| contact.uri().user()).collect();
        assert_eq!(users, [&b"%00"[..], b"%00%00"]);
    }

    #[test]
    fn esc02_a_percent_sign_outside_a_uri_escapes_nothing() {
        let bytes = message(
            "IN%56ITE sip:otto@south.example SIP/2.0",
            &["From: \"%Q%41\" <sip:nora@north.example>;tag=1"],
            "",
        );
        let message = read(&bytes);
        let StartLine::Request { method, .. } = message.start() else { panic!("a request") };
        assert_eq!(method, Method::Other(b"IN%56ITE"));
        assert_eq!(message.from().display_name().as_deref(), Some("%Q%41"));
    }

    #[test]
    fn lwsdisp_no_blank_between_name_and_bracket() {
        let bytes =
            invite(&["From: nora<sip:nora@north.example>;tag=8", "To: \"otto\"<sip:otto@south.example>"]);
        let message = read(&bytes);
        assert_eq!(message.from().display_name().as_deref(), Some("nora"));
        assert_eq!(message.to().display_name().as_deref(), Some("otto"));
    }

    #[test]
    fn longreq_names_and_values_may_be_long() {
        let long = "long".repeat(600);
        let bytes = invite(&[
            &format!("From: \"{long}\" <sip:{long}@north.example>;tag={long}"),
            &format!("Call-ID: {long}@north.example"),
            &format!("X-{long}: {long}"),
            &format!("Via: SIP/2.0/TCP {long}.example;branch=z9hG4bK{long}"),
        ]);
        let message = read(&bytes);
        assert_eq!(message.from_tag(), Some(long.as_bytes()));
        assert_eq!(message.from().display_name().as_deref(), Some(&*long));
        assert_eq!(message.call_id().len(), 2400 + 14);
        assert_eq!(message.header(&format!("x-{long}")), Some(long.as_bytes()));
    }

    #[test]
    fn dblreq_what_follows_the_body_is_another_message() {
        let mut bytes = message("REGISTER sip:south.example SIP/2.0", &["Content-Length: 0"], "");
        bytes.extend(invite(&["Call-ID: second"]));
        let message = read(&bytes);
        assert_eq!(message.cseq().method, Method::Register);
        assert_eq!(message.call_id(), b"torture-77@phone.north.example");
        assert_eq!(message.body(), b"");
    }

    #[test]
    fn semiuri_a_semicolon_in_the_user_starts_no_parameter() {
        let bytes = message("OPTIONS sip:otto;x=y%40in.example@south.example SIP/2.0", &[], "");
        let message = read(&bytes);
        let uri = request_uri(&message);
        assert_eq!(uri.user(), Some(&b"otto;x=y%40in.example"[..]));
        assert_eq!(uri.param("x"), None);
        assert_eq!(uri.host(), b"south.example");
    }

    #[test]
    fn transports_any_token_may_stand_in_a_via() {
        let names = ["UDP", "SCTP", "TLS", "NOVEL", "TCP"];
        let rows = names.map(|name| format!("Via: SIP/2.0/{name} hop.example;branch=z9hG4bK{name}"));
        let bytes = invite(&rows.each_ref().map(String::as_str));
        let message = read(&bytes);
        let transports: Vec<_> = message.vias().map(|via| via.transport()).collect();
        assert_eq!(transports, names.map(str::as_bytes));
    }

    #[test]
    fn mpart01_binary_bytes_stand_beside_the_description() {
        let mut body =
            b"--edge-9\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff--edge\r\n\x1b\r\n".to_vec();
        body.extend(b"--edge-9\r\nContent-Type: application/sdp\r\nContent-ID: <9@x>\r\n\r\nv=0\r\nm=audio 4000 RTP/AVP 0\r\n--edge-9--\r\n");
        let mut bytes = invite(&[
            "Content-Type: multipart/mixed; boundary=\"edge-9\"",
            &format!("Content-Length: {}", body.len()),
        ]);
        bytes.extend(&body);
        let message = read(&bytes);
        assert_eq!(message.body(), body);
        let sdp = message.sdp().unwrap();
        assert_eq!(sdp.audio().unwrap().port(), 4000);
        assert_eq!(message.body_of_type("application", "octet-stream"), Some(&b"\x00\xff--edge\r\n\x1b"[..]));
    }

    #[test]
    fn unreason_a_reason_phrase_may_be_in_any_script() {
        let phrase = "= 2**3 * 5**2 \u{43d}\u{43e} \u{441}\u{442}\u{43e}";
        let bytes = message(&format!("SIP/2.0 200 {phrase}"), &[], "");
        let message = read(&bytes);
        assert_eq!(message.start(), StartLine::Response { status: 200, reason: phrase.as_bytes() });
    }

    #[test]
    fn noreason_a_reason_phrase_may_be_empty() {
        for start in ["SIP/2.0 183 ", "SIP/2.0 183"] {
            let bytes = message(start, &[], "");
            assert_eq!(read(&bytes).start(), StartLine::Response { status: 183, reason: b"" });
        }
    }
}

mod invalid_messages {
    use super::*;

    #[test]
    fn badinv01_separators_without_anything_between() {
        without_contact(&invite(&["Contact: \"Nora\" <sip:nora@north.example>;;;;"]));
        without_contact(&invite(&["Contact: <sip:nora@north.example>,,"]));
        malformed(&invite(&["Via: SIP/2.0/UDP 192.0.2.44;;,;,,"]), HeaderName::Via);
        // Earlier hops do not matter.
        let bytes = invite(&["Via: SIP/2.0/UDP 192.0.2.44;branch=z9hG4bKn,;,"]);
        assert_eq!(read(&bytes).top_via().branch(), Some(&b"z9hG4bKn"[..]));
        malformed(&invite(&["To: <sip:otto@south.example>;;tag=1"]), HeaderName::To);
    }

    #[test]
    fn clerr_content_length_is_larger_than_the_body() {
        // Who looks on cannot tell a message that was captured in part from one that was sent so.
        for length in ["Content-Length: 9999", "Content-Length: 99999999999999999999999999"] {
            let headers = ["Content-Type: application/sdp", length];
            let bytes = message("INVITE sip:otto@south.example SIP/2.0", &headers, "v=0\r\na=inactive\r\n");
            let message = read(&bytes);
            assert!(message.is_cut() && message.sdp().is_none() && message.body().is_empty());
        }
    }

    #[test]
    fn ncl_content_length_is_negative() {
        for length in ["Content-Length: -7", "Content-Length:", "Content-Length: 7 7"] {
            let headers = ["Content-Type: application/sdp", length];
            let bytes = message("INVITE sip:otto@south.example SIP/2.0", &headers, "v=0\r\n");
            assert!(read(&bytes).is_cut() && read(&bytes).sdp().is_none(), "{length}");
        }
    }

    #[test]
    fn scalar02_numbers_of_a_request_are_too_large() {
        malformed(&invite(&["CSeq: 36893488147419103233 INVITE"]), HeaderName::CSeq);
        malformed(&invite(&["CSeq: 2147483648 INVITE"]), HeaderName::CSeq);
        // These alone do not spoil the message: they are as absent (RFC 4475 §3.1.2.4).
        let bytes = invite(&["Max-Forwards: 300", "Expires: 10000000000000000000000000"]);
        assert_eq!(read(&bytes).max_forwards(), None);
        assert_eq!(read(&bytes).expires(), None);
    }

    #[test]
    fn scalarlg_numbers_of_a_response_are_too_large() {
        let bytes = message(
            "SIP/2.0 503 Service Unavailable",
            &["CSeq: 9292394834772304023312 OPTIONS", "Retry-After: 9"],
            "",
        );
        malformed(&bytes, HeaderName::CSeq);
    }

    #[test]
    fn quotbal_a_quote_is_never_closed() {
        malformed(&invite(&["To: \"Mr. O. Ther <sip:otto@south.example>"]), HeaderName::To);
        malformed(&invite(&["From: <sip:nora@north.example>;tag=1;x=\"open"]), HeaderName::From);
        without_contact(&invite(&["Contact: \"Nora <sip:nora@north.example>"]));
    }

    #[test]
    fn ltgtruri_the_request_uri_has_brackets() {
        let bytes = message("INVITE <sip:otto@south.example> SIP/2.0", &[], "");
        assert_eq!(refused(&bytes), SipError::BadRequestUri { offset: 7 });
    }

    #[test]
    fn lwsruri_the_request_uri_has_a_blank() {
        let bytes = message("INVITE sip:otto@south.example; lr SIP/2.0", &[], "");
        assert_eq!(refused(&bytes), SipError::BadRequestUri { offset: 30 });
    }

    #[test]
    fn lwsstart_the_start_line_has_two_blanks() {
        let bytes = message("INVITE  sip:otto@south.example  SIP/2.0", &[], "");
        assert_eq!(refused(&bytes), SipError::BadStartLine { offset: 7 });
        let bytes = message("INVITE sip:otto@south.example  SIP/2.0", &[], "");
        assert_eq!(refused(&bytes), SipError::BadStartLine { offset: 30 });
    }

    #[test]
    fn trws_the_start_line_ends_in_blanks() {
        let bytes = message("OPTIONS sip:otto@south.example SIP/2.0  ", &[], "");
        assert!(matches!(refused(&bytes), SipError::BadStartLine { .. }));
        let bytes = message("OPTIONS sip:otto@south.example SIP/2.0 ", &[], "");
        assert!(matches!(refused(&bytes), SipError::BadStartLine { .. }));
    }

    #[test]
    fn escruri_the_request_uri_has_headers() {
        let bytes = message("INVITE sip:otto@south.example?Route=%3Csip:hop.example%3E SIP/2.0", &[], "");
        assert!(matches!(refused(&bytes), SipError::BadRequestUri { .. }));
    }

    #[test]
    fn baddate_the_date_is_not_in_gmt() {
        // Nothing depends on it.
        for date in ["Tue, 24 Nov 2026 09:00:00 CET", "Tue, 24 Nov 2026 09:00:00 GMT", "yesterday", ""] {
            read(&invite(&[&format!("Date: {date}")]));
        }
    }

    #[test]
    fn regbadct_a_contact_with_headers_has_no_brackets() {
        let contact = "Contact: sip:nora@north.example?Route=%3Csip:hop.example%3E";
        without_contact(&message("REGISTER sip:south.example SIP/2.0", &[contact], ""));
    }

    #[test]
    fn badaspec_blanks_stand_inside_the_brackets() {
        malformed(&invite(&["To: \"Ther, Otto\" < sip:otto@south.example >"]), HeaderName::To);
        malformed(&invite(&["To: <sip:otto@ south.example>"]), HeaderName::To);
    }

    #[test]
    fn baddn_a_name_without_quotes_has_a_comma() {
        malformed(&invite(&["From: Quill, Nora <sip:nora@north.example>;tag=43"]), HeaderName::From);
        without_contact(&invite(&["Contact: Quill, Nora <sip:nora@north.example>"]));
    }

    #[test]
    fn badvers_the_version_is_not_two() {
        let bytes = message("OPTIONS sip:otto@south.example SIP/8.1", &[], "");
        assert_eq!(refused(&bytes), SipError::BadVersion { offset: 31 });
        let bytes = message("SIP/8.1 200 OK", &["CSeq: 1 INVITE"], "");
        assert_eq!(refused(&bytes), SipError::BadVersion { offset: 0 });
    }

    #[test]
    fn mismatch01_start_line_and_cseq_name_two_methods() {
        let bytes = message("OPTIONS sip:otto@south.example SIP/2.0", &["CSeq: 8 INVITE"], "");
        assert_eq!(refused(&bytes), SipError::MethodMismatch);
    }

    #[test]
    fn mismatch02_unknown_methods_differ_as_well() {
        let bytes = message("NOVELVERB sip:otto@south.example SIP/2.0", &["CSeq: 8 INVITE"], "");
        assert_eq!(refused(&bytes), SipError::MethodMismatch);
        let bytes = message("NOVELVERB sip:otto@south.example SIP/2.0", &["CSeq: 8 NovelVerb"], "");
        assert_eq!(refused(&bytes), SipError::MethodMismatch);
    }

    #[test]
    fn bigcode_the_status_has_too_many_digits() {
        let bytes = message("SIP/2.0 4294967496 too large", &[], "");
        assert_eq!(refused(&bytes), SipError::BadStatus { offset: 8 });
    }
}

mod transaction_and_application_layer {
    use super::*;

    #[test]
    fn badbranch_the_branch_is_only_the_cookie() {
        let bytes = invite(&["Via: SIP/2.0/UDP 192.0.2.44;branch=z9hG4bK"]);
        let via = read(&bytes).top_via();
        assert_eq!(via.branch(), Some(&b"z9hG4bK"[..]));
        assert_eq!(via.unique_branch(), None);
    }

    #[test]
    fn insuf_a_mandatory_header_is_missing() {
        for (line, name) in [
            ("Via", HeaderName::Via),
            ("From", HeaderName::From),
            ("To", HeaderName::To),
            ("Call-ID", HeaderName::CallId),
            ("CSeq", HeaderName::CSeq),
        ] {
            assert_eq!(refused(&invite(&[line])), SipError::MissingHeader { name });
        }
    }

    #[test]
    fn unkscm_a_scheme_nobody_knows() {
        let bytes = message("OPTIONS unheardOfScheme:opaque-text SIP/2.0", &[], "");
        let message = read(&bytes);
        let uri = request_uri(&message);
        assert_eq!(uri.scheme(), Scheme::Other(b"unheardOfScheme"));
        assert_eq!(uri.as_bytes(), b"unheardOfScheme:opaque-text");
        assert_eq!(uri.user(), None);
    }

    #[test]
    fn novelsc_a_registered_scheme_that_is_not_ours() {
        let bytes = message("OPTIONS xmlrpc.beep://192.0.2.44:3002 SIP/2.0", &[], "");
        assert_eq!(request_uri(&read(&bytes)).scheme(), Scheme::Other(b"xmlrpc.beep"));
    }

    #[test]
    fn unksm2_from_and_to_have_other_schemes() {
        let bytes = invite(&[
            "To: <urn:isbn:2983792873>",
            "From: <http://www.north.example>;tag=3234",
            "Contact: <name:nora_quill>",
        ]);
        let message = read(&bytes);
        assert_eq!(message.to().uri().scheme(), Scheme::Other(b"urn"));
        assert_eq!(message.from_tag(), Some(&b"3234"[..]));
    }

    #[test]
    fn bext01_options_nobody_supports_are_required() {
        let bytes = message(
            "OPTIONS sip:otto@south.example SIP/2.0",
            &["Require: noneOfUs, norUs", "Proxy-Require: nope"],
            "",
        );
        assert_eq!(read(&bytes).header("require"), Some(&b"noneOfUs, norUs"[..]));
    }

    #[test]
    fn invut_the_body_is_of_an_unknown_type() {
        let bytes =
            message("INVITE sip:otto@south.example SIP/2.0", &["Content-Type: application/novel"], "<x/>");
        let message = read(&bytes);
        assert_eq!(message.body(), b"<x/>");
        assert!(message.sdp().is_none());
    }

    #[test]
    fn regaut01_the_authorization_is_of_an_unknown_scheme() {
        let bytes =
            message("REGISTER sip:south.example SIP/2.0", &["Authorization: NovelAuth a=b, c=\"d"], "");
        read(&bytes);
    }

    #[test]
    fn multi01_headers_of_one_value_have_several() {
        for (name, first, second) in [
            (HeaderName::CSeq, "CSeq: 5 INVITE", "CSeq: 59 INVITE"),
            (HeaderName::CallId, "Call-ID: one@x", "i: two@x"),
            (HeaderName::From, "From: <sip:a@x>;tag=1", "f: <sip:b@x>;tag=2"),
            (HeaderName::To, "To: <sip:a@x>", "t: <sip:b@x>"),
        ] {
            assert_eq!(refused(&invite(&[first, second])), SipError::RepeatedHeader { name });
        }
        let headers =
            ["Max-Forwards: 70", "Max-Forwards: 5", "Content-Type: application/sdp", "c: text/plain"];
        let bytes = message("INVITE sip:otto@south.example SIP/2.0", &headers, "v=0\r\n");
        assert!(read(&bytes).content_type().is_none() && read(&bytes).sdp().is_none());
        malformed(&invite(&["To: <sip:a@x>, <sip:b@x>"]), HeaderName::To);
        malformed(&invite(&["From: sip:a@x, sip:b@x;tag=2"]), HeaderName::From);
    }

    #[test]
    fn mcl01_two_content_lengths_contradict_each_other() {
        let two = |second| {
            message("OPTIONS sip:otto@south.example SIP/2.0", &["Content-Length: 3", second], "abcdef")
        };
        assert!(read(&two("l: 5")).is_cut() && read(&two("l: 5")).body().is_empty());
        assert_eq!(read(&two("l: 3")).body(), b"abc");
        assert!(!read(&two("l: 3")).is_cut());
    }

    #[test]
    fn bcast_a_response_came_by_way_of_a_broadcast_address() {
        let vias = "Via: SIP/2.0/UDP 192.0.2.98;branch=z9hG4bK1f, SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK2;received=192.0.2.255";
        let bytes = message("SIP/2.0 200 OK", &[vias], "");
        assert_eq!(read(&bytes).vias().nth(1).unwrap().received(), Some(&b"192.0.2.255"[..]));
    }

    #[test]
    fn zeromf_no_hops_are_left() {
        assert_eq!(read(&invite(&["Max-Forwards: 0"])).max_forwards(), Some(0));
    }

    #[test]
    fn cparam01_a_contact_has_an_unknown_parameter() {
        let bytes = message(
            "REGISTER sip:south.example SIP/2.0",
            &["Contact: sip:+19725550177@gw.example;novel"],
            "",
        );
        let message = read(&bytes);
        let contact = message.contact().unwrap();
        assert_eq!(contact.param("novel"), Some(&b""[..]));
        assert_eq!(contact.uri().param("novel"), None);
    }

    #[test]
    fn cparam02_the_uri_of_a_contact_has_an_unknown_parameter() {
        let bytes = message(
            "REGISTER sip:south.example SIP/2.0",
            &["Contact: <sip:+19725550177@gw.example;novel>"],
            "",
        );
        let message = read(&bytes);
        let contact = message.contact().unwrap();
        assert_eq!(contact.param("novel"), None);
        assert_eq!(contact.uri().param("novel"), Some(&b""[..]));
    }

    #[test]
    fn regescrt_the_uri_of_a_contact_has_a_header() {
        let contact = "Contact: <sip:nora@north.example?Route=%3Csip:hop.example%3E>";
        let bytes = message("REGISTER sip:south.example SIP/2.0", &[contact], "");
        let uri = read(&bytes).contact().unwrap().uri();
        assert_eq!(uri.host(), b"north.example");
        assert_eq!(uri.header("route").as_deref(), Some(&b"<sip:hop.example>"[..]));
    }

    #[test]
    fn sdp01_the_sender_accepts_no_description_in_return() {
        let bytes = message(
            "INVITE sip:otto@south.example SIP/2.0",
            &["Accept: text/novel", "Content-Type: application/sdp"],
            "v=0\r\nm=audio 4000 RTP/AVP 0\r\n",
        );
        assert!(read(&bytes).sdp().is_some());
    }

    #[test]
    fn inv2543_neither_branch_nor_tag_nor_content_length() {
        let bytes = message(
            "INVITE sip:OttoB@south.example SIP/2.0",
            &[
                "Via: SIP/2.0/UDP gate.north.example",
                "From: <sip:+13035550144@gate.north.example;user=phone>",
                "To: sip:+16505550155@south.example;user=phone",
                "Content-Type: application/sdp",
            ],
            "v=0\r\nm=audio 4000 RTP/AVP 0\r\n",
        );
        let message = read(&bytes);
        assert_eq!(message.top_via().branch(), None);
        assert_eq!((message.from_tag(), message.to_tag()), (None, None));
        assert_eq!(message.to().uri().user(), Some(&b"+16505550155"[..]));
        assert_eq!(message.sdp().unwrap().audio().unwrap().port(), 4000);
    }
}

mod ipv6 {
    use super::*;

    #[test]
    fn ipv6_good_an_address_in_brackets() {
        let bytes = message(
            "REGISTER sip:[2001:db8::4:10] SIP/2.0",
            &[
                "Via: SIP/2.0/UDP [2001:db8::4:99]:5060;branch=z9hG4bKn6",
                "Contact: <sip:nora@[2001:db8::4:99]>",
            ],
            "",
        );
        let message = read(&bytes);
        assert_eq!(request_uri(&message).host(), b"[2001:db8::4:10]");
        assert_eq!(request_uri(&message).host_unbracketed(), b"2001:db8::4:10");
        assert_eq!(message.contact().unwrap().uri().host_unbracketed(), b"2001:db8::4:99");
        assert_eq!(message.top_via().port(), Some(5060));
    }

    #[test]
    fn ipv6_bad_an_address_without_brackets() {
        let bytes = message("REGISTER sip:2001:db8::4:10 SIP/2.0", &[], "");
        assert!(matches!(refused(&bytes), SipError::BadRequestUri { .. }));
    }

    #[test]
    fn port_ambiguous_what_stands_in_the_brackets_is_the_address() {
        let bytes = message("REGISTER sip:[2001:db8::4:10:5070] SIP/2.0", &[], "");
        let message = read(&bytes);
        assert_eq!(request_uri(&message).host_unbracketed(), b"2001:db8::4:10:5070");
        assert_eq!(request_uri(&message).port(), None);
    }

    #[test]
    fn port_unambiguous_what_follows_the_brackets_is_the_port() {
        let bytes = message("REGISTER sip:[2001:db8::4:10]:5070 SIP/2.0", &[], "");
        let message = read(&bytes);
        assert_eq!(request_uri(&message).host_unbracketed(), b"2001:db8::4:10");
        assert_eq!(request_uri(&message).port(), Some(5070));
    }

    #[test]
    fn via_received_param_with_or_without_brackets() {
        for received in ["[2001:db8::4:255]", "2001:db8::4:255"] {
            let via = format!("Via: SIP/2.0/UDP [2001:db8::4:1];received={received};branch=z9hG4bKas3");
            let bytes = message("OPTIONS sip:otto@south.example SIP/2.0", &[&via], "");
            assert_eq!(read(&bytes).top_via().received(), Some(&b"2001:db8::4:255"[..]));
        }
    }

    #[test]
    fn ipv6_in_sdp_the_connection_has_no_brackets() {
        let bytes = message(
            "INVITE sip:otto@[2001:db8::4:20] SIP/2.0",
            &["Content-Type: application/sdp"],
            "v=0\r\no=nora 1 1 IN IP6 2001:db8::4:20\r\nc=IN IP6 2001:db8::4:20\r\nm=audio 6000 RTP/AVP 0\r\n",
        );
        let connection = Connection { address_type: b"IP6", address: b"2001:db8::4:20" };
        assert_eq!(read(&bytes).sdp().unwrap().audio().unwrap().connection(), Some(connection));
    }

    #[test]
    fn mult_ip_in_sip_vias_have_addresses_of_both_kinds() {
        let bytes = message(
            "BYE sip:otto@host.example.net SIP/2.0",
            &[
                "Via: SIP/2.0/UDP [2001:db8::4:9:1]:6050;branch=z9hG4bKa-1",
                "Via: SIP/2.0/UDP 192.0.2.44;branch=z9hG4bKa-2",
                "Via: SIP/2.0/TCP [2001:db8::4:9:255];branch=z9hG4bKa-3",
            ],
            "",
        );
        let message = read(&bytes);
        let hosts: Vec<_> = message.vias().map(|via| via.host()).collect();
        assert_eq!(hosts, [&b"2001:db8::4:9:1"[..], b"192.0.2.44", b"2001:db8::4:9:255"]);
    }

    #[test]
    fn mult_ip_in_sdp_each_media_has_its_own_connection() {
        let bytes = message(
            "INVITE sip:otto@south.example SIP/2.0",
            &["Content-Type: application/sdp"],
            "v=0\r\nc=IN IP4 192.0.2.44\r\nm=audio 6000 RTP/AVP 0\r\nm=video 6002 RTP/AVP 31\r\nc=IN IP6 2001:db8::4\r\n",
        );
        let sdp = read(&bytes).sdp().unwrap();
        let addresses: Vec<_> =
            sdp.media().filter_map(|media| media.connection()).map(|c| c.address).collect();
        assert_eq!(addresses, [&b"192.0.2.44"[..], b"2001:db8::4"]);
    }

    #[test]
    fn ipv4_mapped_an_address_of_one_kind_in_the_other() {
        let bytes = message(
            "INVITE sip:otto@south.example SIP/2.0",
            &["Contact: <sip:nora@[::ffff:192.0.2.44]:5080>", "Content-Type: application/sdp"],
            "v=0\r\nc=IN IP6 ::ffff:192.0.2.44\r\nm=audio 6000 RTP/AVP 0\r\n",
        );
        let message = read(&bytes);
        assert_eq!(message.contact().unwrap().uri().host_unbracketed(), b"::ffff:192.0.2.44");
        let audio = message.sdp().unwrap().audio().unwrap();
        assert_eq!(audio.connection().unwrap().address, b"::ffff:192.0.2.44");
        assert!(!audio.is_held_by_offerer());
    }

    #[test]
    fn ipv6_bug_abnf_3_colons_are_read_as_they_are() {
        let bytes = message("OPTIONS sip:otto@[2001:db8:::192.0.2.44] SIP/2.0", &[], "");
        assert_eq!(request_uri(&read(&bytes)).host_unbracketed(), b"2001:db8:::192.0.2.44");
    }
}

mod in_the_wild {
    use super::*;

    #[test]
    fn keep_alives_are_no_messages() {
        for bytes in [&b""[..], b"\r\n\r\n", b"\0\0\0\0", b"\r\n"] {
            assert_eq!(refused(bytes), SipError::Empty);
        }
    }

    #[test]
    fn line_ends_before_the_start_line_are_skipped() {
        let mut bytes = b"\r\n\r\n".to_vec();
        bytes.extend(invite(&[]));
        let message = read(&bytes);
        assert_eq!(message.start_line(), b"INVITE sip:otto@south.example SIP/2.0");
        assert_eq!(message.from_tag(), Some(&b"n0r4"[..]));
    }

    #[test]
    fn lines_may_end_in_line_feeds_alone() {
        let bytes = String::from_utf8(message("BYE sip:otto@south.example SIP/2.0", &[], "x"))
            .unwrap()
            .replace("\r\n", "\n");
        let message = read(bytes.as_bytes());
        assert_eq!(message.start_line(), b"BYE sip:otto@south.example SIP/2.0");
        assert_eq!(message.body(), b"x");
    }

    #[test]
    fn a_request_that_was_cut_inside_its_headers_is_refused() {
        // What is missing may say that it replaces another call, or who really calls.
        let bytes = invite(&["Content-Length: 0"]);
        for length in 1..bytes.len() {
            assert!(Message::parse(&bytes[..length]).is_err(), "cut to {length}");
        }
        assert_eq!(refused(&bytes[..bytes.len() - 1]), SipError::UnterminatedHeaders);
    }

    #[test]
    fn a_response_that_was_cut_inside_its_headers_is_used_if_it_names_its_transaction() {
        let whole = message("SIP/2.0 200 OK", &["CSeq: 7 INVITE", "X-Last: 1", "Session-Expires: 1800"], "");
        assert!(!read(&whole).is_cut());
        for length in whole.len() - 24..whole.len() - 1 {
            let cut = read(&whole[..length]);
            assert!(cut.is_cut() && cut.session_expires().is_none(), "cut to {length}");
            assert_eq!((cut.cseq().number, cut.call_id()), (7, read(&whole).call_id()));
        }
        for length in 1..40 {
            assert!(Message::parse(&whole[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_body_that_was_cut_is_no_body_but_the_status_of_a_transfer_is_read() {
        let headers = ["CSeq: 7 NOTIFY", "Content-Type: message/sipfrag", "Content-Length: 99"];
        let notify = |body| message("NOTIFY sip:otto@south.example SIP/2.0", &headers, body);
        assert_eq!(read(&notify("SIP/2.0 200 OK\r\nVia: SI")).sipfrag_status(), Some(200));
        assert_eq!(read(&notify("SIP/2.0 200")).sipfrag_status(), None);
    }

    #[test]
    fn a_header_line_without_a_colon_is_passed_over() {
        let text = String::from_utf8(invite(&["X-Seen: 1"])).unwrap();
        for stray in ["stray text", "stray text\r\n and more", "\u{ff}"] {
            let text = text.replacen("Via", &format!("{stray}\r\nVia"), 1);
            let message = read(text.as_bytes());
            assert_eq!(message.header("X-Seen"), Some(&b"1"[..]));
            assert!(!message.is_cut());
        }
    }

    #[test]
    fn names_hold_whatever_was_typed() {
        for (line, name) in [
            ("From: Zo\u{eb} (B\u{fc}ro) O'Neil <sip:z@x>;tag=1", "Zo\u{eb} (B\u{fc}ro) O'Neil"),
            ("From: Line 1: front desk <sip:z@x>;tag=1", "Line 1: front desk"),
            ("From: a@b.example <sip:z@x>;tag=1", "a@b.example"),
            ("From: \"a <b> c; d, e\" <sip:z@x>;tag=1", "a <b> c; d, e"),
        ] {
            let bytes = invite(&[line]);
            assert_eq!(read(&bytes).from().display_name().as_deref(), Some(name));
            assert_eq!(read(&bytes).from_tag(), Some(&b"1"[..]));
        }
    }

    #[test]
    fn one_semicolon_too_many_at_the_end_is_let_pass() {
        let bytes = invite(&["From: <sip:z@x>;tag=1;", "Contact: <sip:z@x>; "]);
        assert_eq!(read(&bytes).from_tag(), Some(&b"1"[..]));
    }

    #[test]
    fn an_identity_is_read_in_all_its_forms() {
        let bytes = invite(&[
            "P-Asserted-Identity: \"Nora\" <sip:+4930555017@north.example>, <tel:+49-30-555-017;phone-context=x>",
            "P-Asserted-Identity: broken",
            "Privacy: id;critical",
            "Remote-Party-ID: <sip:7031@x>;party=called;privacy=full;screen=yes",
            "Diversion: <sip:7032@x>;reason=user-busy, <sip:7033@x>;reason=\"no-answer\"",
            "History-Info: <sip:7034@x?Reason=SIP%3Bcause%3D302>;index=1,<sip:7035@x;cause=302>;index=1.1",
        ]);
        let message = read(&bytes);
        let numbers: Vec<_> = message.asserted_identities().filter_map(|id| id.uri().number()).collect();
        assert_eq!(numbers, ["+4930555017", "+4930555017"]);
        assert!(message.privacy().unwrap().hides_identity());
        assert!(message.remote_party_id().unwrap().is_screened());
        let reasons: Vec<_> = message.diversions().filter_map(|diversion| diversion.reason()).collect();
        assert_eq!(reasons, [&b"user-busy"[..], b"no-answer"]);
        let indices: Vec<_> = message.history_info().filter_map(|step| step.index()).collect();
        assert_eq!(indices, [&b"1"[..], b"1.1"]);
        assert_eq!(message.history_info().nth(1).unwrap().cause(), Some(302));
    }

    #[test]
    fn a_transfer_names_the_dialog_it_replaces() {
        let bytes = message(
            "REFER sip:otto@south.example SIP/2.0",
            &[
                "Refer-To: <sip:7036@x?Replaces=c81%40x%3Bto-tag%3Dtt%3Bfrom-tag%3Dff&Require=replaces>",
                "b: <sip:7037@x>",
                "Target-Dialog: c82;local-tag=l;remote-tag=r",
            ],
            "",
        );
        let message = read(&bytes);
        let replaces = message.refer_to_replaces().unwrap();
        assert_eq!(replaces.dialog().call_id, b"c81@x");
        assert_eq!(replaces.dialog().to_tag, Some(&b"tt"[..]));
        assert_eq!(replaces.dialog().from_tag, Some(&b"ff"[..]));
        assert_eq!(message.referred_by().unwrap().uri().user(), Some(&b"7037"[..]));
        assert_eq!(message.target_dialog().unwrap().to_tag, Some(&b"l"[..]));
    }

    #[test]
    fn a_notify_tells_how_the_transfer_goes() {
        let bytes = message(
            "NOTIFY sip:otto@south.example SIP/2.0",
            &[
                "Event: refer;id=2",
                "Subscription-State: active;expires=60",
                "Content-Type: message/sipfrag;version=2.0",
            ],
            "SIP/2.0 180 Ringing\r\nTo: <sip:x@y>;tag=1\r\n",
        );
        let message = read(&bytes);
        assert_eq!(message.sipfrag_status(), Some(180));
        assert_eq!(message.event().unwrap().id(), Some(&b"2"[..]));
        assert!(!message.subscription_state().unwrap().is_terminated());
    }

    #[test]
    fn several_reasons_stand_in_one_or_more_rows() {
        let bytes = message(
            "BYE sip:otto@south.example SIP/2.0",
            &[
                "Reason: SIP;cause=200;text=\"Call completed, elsewhere\", Q.850;cause=26",
                "Reason: X-own;cause=7",
            ],
            "",
        );
        let causes: Vec<_> =
            read(&bytes).reasons().map(|reason| (reason.protocol(), reason.cause())).collect();
        assert_eq!(causes, [(&b"SIP"[..], Some(200)), (b"Q.850", Some(26)), (b"X-own", Some(7))]);
    }
}
