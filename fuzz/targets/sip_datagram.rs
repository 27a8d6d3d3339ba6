#![no_main]

use hookswitch_fuzz::{ask, reference, replay, udp_pcap};
use hookswitch_signal::sip::Message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    reference::compare(data);
    if let Ok(message) = Message::parse(data) {
        ask(&message);
        // What names the message is in it.
        let within = |part: &[u8]| part.is_empty() || data.windows(part.len()).any(|window| window == part);
        assert!(within(message.call_id()) && within(message.start_line()));
    }
    replay(&udp_pcap(data));
});
