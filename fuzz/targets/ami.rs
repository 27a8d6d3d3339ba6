#![no_main]

use hookswitch_fuzz::{manager_messages, tell_of_switch};
use hookswitch_signal::ami::Follower;
use libfuzzer_sys::fuzz_target;

// However a manager connection is cut into pieces, it holds the same messages, and whatever they are,
// what is told of them holds together and ends. The input is how many cuts there are, the length of each
// piece, and the bytes of the connection.
fuzz_target!(|data: &[u8]| {
    let Some((&count, data)) = data.split_first() else { return };
    let (cuts, stream) = data.split_at(data.len().min(usize::from(count)));
    let mut rest = stream;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    let messages = manager_messages(&[stream]);
    assert_eq!(manager_messages(&pieces), messages);
    tell_of_switch::<Follower>(&messages);
});
