#![no_main]

use hookswitch_fuzz::{manager_messages, tell_connection};
use hookswitch_pipeline::Switch;
use libfuzzer_sys::fuzz_target;

// However a manager connection is cut into pieces, it holds the same messages, and whatever they are,
// what is told of them holds together and ends.
fuzz_target!(|data: &[u8]| tell_connection(data, manager_messages, Switch::Ami));
