//! Captures on all interfaces of a host that translates addresses: each packet is there once with the address outside
//! and once with the one inside.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_call_from_outside_to_a_switch_behind_a_translation() {
    ladder(
        "
        0.000000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.000100 trunk > inside COPY
        0.050 inside > bob INVITE 102@bob call=2 from=+14155550142
        0.0501 sbc > bob COPY
        0.500 bob > inside 180 call=2 dst=sbc
        0.5001 bob > inside COPY
        0.510 sbc > trunk 180 src=inside
        0.5101 sbc > trunk COPY
        3.000 bob > inside 200 call=2 dst=sbc
        3.0001 bob > inside COPY
        3.010 sbc > trunk 200 src=inside
        3.0101 sbc > trunk COPY
        3.020 trunk > sbc ACK
        3.0201 trunk > inside COPY
        3.030 inside > bob ACK call=2
        9.000 trunk > sbc BYE
        9.0001 trunk > inside COPY
        9.010 inside > bob BYE call=2
        9.0101 sbc > bob COPY
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550142 Proceeding
        3.000 inb 102 Answered
        3.010 out +14155550142 Answered
        9.000 out +14155550142 Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_withheld_call_to_a_switch_behind_a_translation() {
    ladder(
        "
        0.000000 trunk > sbc INVITE +14155550100 from=anonymous
        0.000100 trunk > inside COPY
        0.050 inside > bob INVITE 102@bob call=2 from=anonymous
        0.0501 sbc > bob COPY
        0.500 bob > inside 180 call=2
        0.510 sbc > trunk 180
        3.000 bob > inside 200 call=2
        3.010 sbc > trunk 200
        9.000 trunk > sbc BYE
        9.010 inside > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out Anonymous Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out Anonymous Proceeding
        3.000 inb 102 Answered
        3.010 out Anonymous Answered
        9.000 out Anonymous Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_call_through_a_switch_behind_a_translation_to_the_trunk() {
    ladder(
        "
        0.000000 alice > sbc INVITE 00014155550142
        0.000100 alice > inside COPY
        0.050 inside > trunk INVITE +14155550142 call=2 from=+14155550100
        0.0501 sbc > trunk COPY
        0.500 trunk > inside 180 call=2
        0.510 sbc > alice 180
        3.000 trunk > inside 200 call=2
        3.010 sbc > alice 200
        9.000 alice > sbc BYE
        9.010 inside > trunk BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.050 inb +14155550142 Proceeding
        0.510 out 101 Proceeding
        3.000 inb +14155550142 Answered
        3.010 out 101 Answered
        9.000 out 101 Disconnected
        9.010 inb +14155550142 Disconnected
        ",
    );
}

#[test]
fn a_switch_of_which_the_inner_packets_are_captured_first() {
    ladder(
        "
        0.000000 trunk > inside INVITE +14155550100 from=+14155550142
        0.000100 trunk > sbc COPY
        0.050 sbc > bob INVITE 102@bob call=2 from=+14155550142
        0.0501 inside > bob COPY
        0.500 bob > sbc 180 call=2
        0.510 inside > trunk 180
        3.000 bob > sbc 200 call=2
        3.010 inside > trunk 200
        9.000 trunk > inside BYE
        9.010 sbc > bob BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550142 Proceeding
        3.000 inb 102 Answered
        3.010 out +14155550142 Answered
        9.000 out +14155550142 Disconnected
        9.010 inb 102 Disconnected
        ",
    );
}
