#![no_main]

use hookswitch_fuzz::{event_socket_messages, tell_connection};
use hookswitch_pipeline::Switch;
use libfuzzer_sys::fuzz_target;

// However an event socket is cut into pieces, it holds the same messages, and whatever they are,
// what is told of them holds together and ends.
fuzz_target!(|data: &[u8]| tell_connection(data, event_socket_messages, Switch::Esl));
