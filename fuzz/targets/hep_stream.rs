#![no_main]

use hookswitch_fuzz::{replay, tcp_pcap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let stream = [b"HEP3", data].concat();
    replay(&stream);
    replay(&tcp_pcap(&stream[..stream.len().min(30_000)].chunks(1000).collect::<Vec<_>>()));
});
