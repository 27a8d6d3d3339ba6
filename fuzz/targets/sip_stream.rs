#![no_main]

use hookswitch_fuzz::{is_damaged, replay, tcp_pcap};
use libfuzzer_sys::fuzz_target;

// However a stream is cut into segments, it holds the same messages; behind damage it may not, as a
// message is looked for where a segment begins. The input is how many cuts there are, the length of
// each segment, and the stream.
fuzz_target!(|data: &[u8]| {
    let Some((&count, data)) = data.split_first() else { return };
    let (cuts, stream) = data.split_at(data.len().min(usize::from(count)));
    let stream = &stream[..stream.len().min(30_000)];
    let mut rest = stream;
    let mut segments = Vec::new();
    for cut in cuts {
        let (segment, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
        segments.push(segment);
        rest = behind;
    }
    segments.push(rest);
    segments.retain(|segment| !segment.is_empty());
    let whole = tcp_pcap(&[stream]);
    let messages = replay(&tcp_pcap(&segments));
    if !is_damaged(&whole) {
        assert_eq!(messages, replay(&whole));
    }
});
