//! Switches that take a call at one address and place their own from another: session border controllers, WAN and
//! LAN, IPv4 and IPv6.

use hookswitch_flows::ladder::ladder;

#[test]
fn a_border_controller_has_one_address_outside_and_one_inside() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102
        0.005 sbc > trunk 100
        0.050 inside > pbx INVITE +14155559102 call=2 from=+14155550100
        0.060 pbx > inside 100 call=2
        0.500 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        5.000 pbx > inside 200 call=2
        5.010 inside > pbx ACK call=2
        5.020 sbc > trunk 200
        5.030 trunk > sbc ACK
        20.000 trunk > sbc BYE
        20.010 sbc > trunk 200
        20.020 inside > pbx BYE call=2
        20.030 pbx > inside 200 call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb +14155559102 Proceeding
        0.510 out +14155550100 Proceeding
        5.000 inb +14155559102 Answered
        5.020 out +14155550100 Answered
        20.000 out +14155550100 Disconnected
        20.020 inb +14155559102 Disconnected
        ",
    );
}

#[test]
fn a_phone_calls_out_through_a_border_controller_that_asks_for_credentials() {
    ladder(
        "
        0.000 alice > inside INVITE +14155559102
        0.010 inside > alice 407
        0.020 alice > inside ACK
        0.030 alice > inside INVITE +14155559102
        0.040 inside > alice 100
        0.090 sbc > trunk INVITE 14155559102 call=2 from=101
        0.900 trunk > sbc 183 call=2
        0.910 inside > alice 183
        6.000 trunk > sbc 486 call=2
        6.010 sbc > trunk ACK call=2
        6.020 inside > alice 486
        6.030 alice > inside ACK
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.090 inb 14155559102 Proceeding
        0.910 out 101 Proceeding
        6.000 inb 14155559102 Disconnected/TargetBusy
        6.020 out 101 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn further_targets_are_called_from_the_other_address_as_well() {
    // The second target has another number: it is known by the caller, and by where the first was called from.
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102
        0.005 sbc > trunk 100
        0.050 inside > pbx INVITE +14155559102 call=2 from=+14155550100
        0.500 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        5.000 pbx > inside 486 call=2
        5.010 inside > pbx ACK call=2
        5.020 inside > bob INVITE 102 call=3 from=+14155550100
        5.500 bob > inside 180 call=3
        8.000 bob > inside 200 call=3
        8.010 inside > bob ACK call=3
        8.020 sbc > trunk 200
        8.030 trunk > sbc ACK
        20.000 bob > inside BYE call=3
        20.020 sbc > trunk BYE
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb +14155559102 Proceeding
        0.510 out +14155550100 Proceeding
        5.000 inb +14155559102 Disconnected/TargetBusy
        5.020 inb 102 Setup
        5.500 inb 102 Proceeding
        8.000 inb 102 Answered
        8.020 out +14155550100 Answered
        20.000 inb 102 Disconnected
        20.020 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn two_calls_with_the_same_numbers_at_one_moment_are_not_joined_from_another_address() {
    // Nothing tells which leg belongs to which call, and a wrong join is worse than none.
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102
        0.010 trunk > sbc INVITE +14155559102 call=2
        0.050 inside > pbx INVITE +14155559102 call=3 from=+14155550100
        0.500 pbx > inside 180 call=3
        0.510 sbc > trunk 180
        2.000 trunk > sbc CANCEL call=2
        2.010 sbc > trunk 487 call=2 for=INVITE
        3.000 trunk > sbc CANCEL
        3.010 sbc > trunk 487 for=INVITE
        3.020 inside > pbx CANCEL call=3
        3.030 pbx > inside 487 call=3 for=INVITE
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559102 Proceeding
        #2 0.010 out +14155550100 Setup
        #3 0.050 out +14155550100 Setup
        #3 0.050 inb +14155559102 Proceeding
        #3 0.500 out +14155550100 Proceeding
        0.510 out +14155550100 Proceeding
        #2 2.010 out +14155550100 Disconnected
        3.010 inb +14155559102 Disconnected/Cancelled
        3.010 out +14155550100 Disconnected
        #3 3.030 inb +14155559102 Disconnected/Cancelled
        #3 3.030 out +14155550100 Disconnected
        ",
    );
}

#[test]
fn a_second_try_of_the_caller_is_no_leg_of_the_first() {
    // The numbers are the same, and it comes from the caller.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.300 alice > gateway INVITE 102 call=2
        0.800 gateway > alice 180 call=2
        1.000 pbx > alice 503
        1.010 alice > pbx ACK
        5.000 gateway > alice 200 call=2
        5.010 alice > gateway ACK call=2
        9.000 alice > gateway BYE call=2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        1.000 out 101 Disconnected/InternalError
        #2 0.300 out 101 Setup
        #2 0.300 inb 102 Setup
        #2 0.800 inb 102 Proceeding
        #2 0.800 out 101 Proceeding
        #2 5.000 inb 102 Answered
        #2 5.000 out 101 Answered
        #2 9.000 out 101 Disconnected
        #2 9.000 inb 102 Disconnected
        ",
    );
}

#[test]
fn both_legs_are_charged_as_one_call() {
    // RFC 7315 §4.6: the icid-value; the border controller shows another caller.
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102 | P-Charging-Vector: icid-value=\"pcv-77-1a\";orig-ioi=carrier.test
        0.050 inside > pbx INVITE +14155559102 call=2 from=+14155551111 | P-Charging-Vector: orig-ioi=carrier.test;icid-value=pcv-77-1a
        0.500 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        5.000 pbx > inside 200 call=2
        5.020 sbc > trunk 200
        20.000 trunk > sbc BYE
        20.020 inside > pbx BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb +14155559102 Proceeding
        0.510 out +14155550100 Proceeding
        5.000 inb +14155559102 Answered
        5.020 out +14155550100 Answered
        20.000 out +14155550100 Disconnected
        20.020 inb +14155559102 Disconnected
        ",
    );
}

#[test]
fn a_gateway_that_charges_all_calls_alike_joins_none_of_them() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102 | P-Charging-Vector: icid-value=0
        0.500 sbc > trunk 180
        1.000 trunk > sbc INVITE +14155559103 call=2 from=+14155552222 | P-Charging-Vector: icid-value=0
        1.500 sbc > trunk 180 call=2
        2.000 sbc > trunk 200
        3.000 trunk > sbc INVITE +14155559104 call=3 | P-Charging-Vector: icid-value=0
        4.000 sbc > trunk 404 call=3
        5.000 sbc > trunk 486 call=2
        9.000 trunk > sbc BYE
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.000 inb +14155559102 Proceeding
        0.500 out +14155550100 Proceeding
        2.000 inb +14155559102 Answered
        2.000 out +14155550100 Answered
        9.000 out +14155550100 Disconnected
        9.000 inb +14155559102 Disconnected
        #2 1.000 out +14155552222 Setup
        #2 1.000 inb +14155559103 Proceeding
        #2 1.500 out +14155552222 Proceeding
        #2 5.000 inb +14155559103 Disconnected/TargetBusy
        #2 5.000 out +14155552222 Disconnected/TargetBusy
        #3 3.000 out +14155550100 Setup
        #3 4.000 out +14155550100 Disconnected/InvalidNumber
        ",
    );
}

#[test]
fn a_switch_changes_both_numbers_and_continues_the_call_id() {
    // As Sippy's B2BUA does between a PBX and a carrier; the two trunks are tried one after the other.
    ladder(
        "
        0.000 alice > pbx INVITE 102
        0.005 pbx > alice 100
        0.010 pbx > trunk INVITE 4155550102 call=1/-b2b_1 from=14155550100
        0.020 trunk > pbx 503 call=1/-b2b_1
        0.030 pbx > gateway INVITE 4155550102 call=1/-b2b_2 from=14155550100
        0.500 gateway > pbx 180 call=1/-b2b_2
        0.510 pbx > alice 180
        3.000 gateway > pbx 200 call=1/-b2b_2
        3.010 pbx > gateway ACK call=1/-b2b_2
        3.020 pbx > alice 200
        3.030 alice > pbx ACK
        9.000 alice > pbx BYE
        9.020 pbx > gateway BYE call=1/-b2b_2
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        0.010 inb 4155550102 Proceeding
        0.510 out 101 Proceeding
        3.000 inb 4155550102 Answered
        3.020 out 101 Answered
        9.000 out 101 Disconnected
        9.020 inb 4155550102 Disconnected
        ",
    );
}

#[test]
fn an_agent_correlates_a_leg_with_the_call_id_of_the_other() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102
        0.050 inside > pbx INVITE 102 call=2 from=100 hep={id=1@trunk}
        0.500 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        5.000 pbx > inside 200 call=2
        5.020 sbc > trunk 200
        20.000 trunk > sbc BYE
        20.020 inside > pbx BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        5.000 inb 102 Answered
        5.020 out +14155550100 Answered
        20.000 out +14155550100 Disconnected
        20.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn the_directory_says_which_addresses_are_one_switch() {
    // The called number is another one inside, so that only the caller agrees; two calls come in at once.
    ladder(
        "
        0.000 trunk > sbc INVITE +14155559102
        0.020 trunk > sbc INVITE +14155559103 call=2 from=+14155552222
        0.050 inside > bob INVITE 102 call=3 from=+14155550100
        0.060 inside > carol INVITE 103 call=4 from=+14155552222
        0.500 bob > inside 180 call=3
        0.510 sbc > trunk 180
        0.600 carol > inside 180 call=4
        0.610 sbc > trunk 180 call=2
        5.000 bob > inside 200 call=3
        5.020 sbc > trunk 200
        6.000 trunk > sbc CANCEL call=2
        6.010 sbc > trunk 487 call=2 for=INVITE
        6.020 inside > carol CANCEL call=4
        6.030 carol > inside 487 call=4 for=INVITE
        20.000 trunk > sbc BYE
        20.020 inside > bob BYE call=3
        ",
    )
    .with_directory(ONE_SWITCH)
    .tells(
        "
        0.000 out +14155550100 Setup
        0.050 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550100 Proceeding
        5.000 inb 102 Answered
        5.020 out +14155550100 Answered
        20.000 out +14155550100 Disconnected
        20.020 inb 102 Disconnected
        #2 0.020 out +14155552222 Setup
        #2 0.060 inb 103 Setup
        #2 0.600 inb 103 Proceeding
        #2 0.610 out +14155552222 Proceeding
        #2 6.010 inb 103 Disconnected/Cancelled missed
        #2 6.010 out +14155552222 Disconnected
        ",
    );
}

/// The last two are where the same hosts are in a laboratory.
const ONE_SWITCH: &str = r#"
[[account]]
id = 310001016

[[account.extension]]
number = "102"

[[account.extension]]
number = "103"

[[account.switch]]
name = "border controller"
addresses = ["10.0.200.50", "10.0.200.51", "127.0.0.1:10060", "127.0.0.1:10160"]
"#;

#[test]
fn a_carrier_that_was_called_and_calls_somebody_else_for_the_same_company_begins_a_call() {
    // The caller's own leg is not in view; the phone system is known for one, as it asked Alice for credentials.
    ladder(
        "
        0.000 alice > pbx INVITE 104 call=3
        0.010 pbx > alice 407 call=3
        0.020 alice > pbx ACK call=3
        1.000 sbc > trunk INVITE +14155559103 from=+14155550100 name=Acme
        1.500 trunk > sbc 180
        3.000 trunk > sbc 200
        3.010 sbc > trunk ACK
        5.000 trunk > pbx INVITE +14155559102 call=2 from=+14155550100 name=Acme
        5.500 pbx > trunk 180 call=2
        8.000 pbx > trunk 200 call=2
        8.010 trunk > pbx ACK call=2
        20.000 trunk > pbx BYE call=2
        30.000 sbc > trunk BYE
        ",
    )
    .tells(
        "
        0.000 out 101 Setup
        #2 1.000 out +14155550100 Setup
        #2 1.000 inb +14155559103 Proceeding
        #2 1.500 out +14155550100 Proceeding
        #2 3.000 inb +14155559103 Answered
        #2 3.000 out +14155550100 Answered
        #3 5.000 out +14155550100 Setup
        #3 5.500 out +14155550100 Proceeding
        #3 8.000 out +14155550100 Answered
        #3 20.000 out +14155550100 Disconnected
        #2 30.000 out +14155550100 Disconnected
        #2 30.000 inb +14155559103 Disconnected
        ",
    );
}

#[test]
fn a_border_controller_before_a_switch_that_changes_the_number() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 inside > pbx INVITE 4155550100 call=2 from=4155550142
        0.100 pbx > bob INVITE 102@bob call=3 from=4155550142
        0.500 bob > pbx 180 call=3
        0.505 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        3.000 bob > pbx 200 call=3
        3.005 pbx > inside 200 call=2
        3.010 sbc > trunk 200
        3.020 trunk > sbc ACK
        3.021 inside > pbx ACK call=2
        3.022 pbx > bob ACK call=3
        9.000 trunk > sbc BYE
        9.010 inside > pbx BYE call=2
        9.020 pbx > bob BYE call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.100 inb 102 Setup
        0.500 inb 102 Proceeding
        0.510 out +14155550142 Proceeding
        3.000 inb 102 Answered
        3.010 out +14155550142 Answered
        9.000 out +14155550142 Disconnected
        9.020 inb 102 Disconnected
        ",
    );
}

#[test]
fn a_withheld_caller_whom_the_network_asserts_to_a_border_controller() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=anonymous | P-Asserted-Identity: <sip:+14155550142@example.com> | Privacy: id
        0.030 inside > pbx INVITE +14155550100 call=2 from=anonymous | P-Asserted-Identity: <sip:+14155550142@example.com> | Privacy: id
        0.500 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        3.000 pbx > inside 200 call=2
        3.010 sbc > trunk 200
        9.000 trunk > sbc BYE
        9.010 inside > pbx BYE call=2
        ",
    )
    .tells(
        "
        0.000 out Anonymous Setup
        0.030 inb +14155550100 Proceeding
        0.510 out Anonymous Proceeding
        3.000 inb +14155550100 Answered
        3.010 out Anonymous Answered
        9.000 out Anonymous Disconnected
        9.010 inb +14155550100 Disconnected
        ",
    );
}

#[test]
fn a_caller_calls_again_through_a_border_controller_while_the_first_call_rings() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 inside > pbx INVITE +14155550100 call=2 from=+14155550142
        0.500 pbx > inside 180 call=2
        0.510 sbc > trunk 180
        1.000 trunk > sbc INVITE +14155550100 from=+14155550142 call=5
        1.030 inside > pbx INVITE +14155550100 call=6 from=+14155550142
        1.500 pbx > inside 180 call=6
        1.510 sbc > trunk 180 call=5
        3.000 pbx > inside 200 call=2
        3.010 sbc > trunk 200
        4.000 pbx > inside 486 call=6
        4.010 sbc > trunk 486 call=5
        9.000 trunk > sbc BYE
        9.010 inside > pbx BYE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.030 inb +14155550100 Proceeding
        0.510 out +14155550142 Proceeding
        #2 1.000 out +14155550142 Setup
        #2 1.030 inb +14155550100 Proceeding
        #2 1.510 out +14155550142 Proceeding
        3.000 inb +14155550100 Answered
        3.010 out +14155550142 Answered
        #2 4.000 inb +14155550100 Disconnected/TargetBusy
        #2 4.010 out +14155550142 Disconnected/TargetBusy
        9.000 out +14155550142 Disconnected
        9.010 inb +14155550100 Disconnected
        ",
    );
}

#[test]
fn a_call_that_is_passed_on_and_refused_at_once() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 inside > pbx INVITE +14155550100 call=2 from=+14155550142
        0.200 pbx > inside 486 call=2
        0.201 inside > pbx ACK call=2
        0.210 sbc > trunk 486
        0.220 trunk > sbc ACK
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.030 inb +14155550100 Proceeding
        0.200 inb +14155550100 Disconnected/TargetBusy
        0.210 out +14155550142 Disconnected/TargetBusy
        ",
    );
}

#[test]
fn a_call_that_is_passed_on_and_given_up() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 inside > pbx INVITE +14155550100 call=2 from=+14155550142
        0.100 pbx > inside 100 call=2
        5.000 trunk > sbc CANCEL
        5.005 sbc > trunk 487 for=INVITE
        5.010 inside > pbx CANCEL call=2
        5.020 pbx > inside 487 for=INVITE call=2
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.030 inb +14155550100 Proceeding
        5.005 inb +14155550100 Disconnected/Cancelled
        5.005 out +14155550142 Disconnected
        ",
    );
}

#[test]
fn a_border_controller_that_turns_to_another_switch() {
    ladder(
        "
        0.000 trunk > sbc INVITE +14155550100 from=+14155550142
        0.030 inside > pbx INVITE +14155550100 call=2 from=+14155550142
        0.040 pbx > inside 503 call=2
        0.041 inside > pbx ACK call=2
        0.050 inside > proxy INVITE +14155550100 call=3 from=+14155550142
        0.500 proxy > inside 180 call=3
        0.510 sbc > trunk 180
        3.000 proxy > inside 200 call=3
        3.010 sbc > trunk 200
        9.000 trunk > sbc BYE
        9.010 inside > proxy BYE call=3
        ",
    )
    .tells(
        "
        0.000 out +14155550142 Setup
        0.050 inb +14155550100 Proceeding
        0.510 out +14155550142 Proceeding
        3.000 inb +14155550100 Answered
        3.010 out +14155550142 Answered
        9.000 out +14155550142 Disconnected
        9.010 inb +14155550100 Disconnected
        ",
    );
}
