#![no_main]

use hookswitch_fuzz::replay;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    replay(data);
    replay(&[&0xa1b2_c3d4_u32.to_le_bytes(), data].concat());
});
