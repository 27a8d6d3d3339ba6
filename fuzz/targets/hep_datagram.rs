#![no_main]

use hookswitch_fuzz::{replay, udp_pcap};
use hookswitch_signal::capture::hep;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let framed = [b"HEP3", &(data.len().min(65_000) as u16 + 6).to_be_bytes()[..], data].concat();
    for bytes in [data, &framed] {
        let _ = hep::parse(bytes);
        replay(&udp_pcap(bytes));
    }
});
