#![no_main]

use hookswitch_fuzz::{ask, reference};
use hookswitch_signal::sip::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for kind in ["application/sdp", "multipart/mixed;boundary=b"] {
        let head = format!(
            "INVITE sip:b@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@a>;tag=1\r\n\
             To: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            data.len()
        );
        let bytes = [head.as_bytes(), data].concat();
        let message = Message::parse(&bytes).expect("only the body is odd");
        assert_eq!(message.body(), data);
        ask(&message);
        reference::compare(&bytes);
    }
});
