#![no_main]

use hookswitch_fuzz::replay;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // A section in the little byte order, then whatever comes.
    let mut section = Vec::new();
    for word in [0x0a0d_0d0a_u32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28] {
        section.extend(word.to_le_bytes());
    }
    replay(&[&section[..], data].concat());
    replay(&[&0x0a0d_0d0a_u32.to_le_bytes(), data].concat());
});
