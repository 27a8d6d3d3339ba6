//! Joining the legs of a switch when calls are dense, measured against known truth.
//!
//! `make bench` measures more calls; the floors here leave room for what a smaller run shows by chance.

use hookswitch_core::directory::Directory;
use hookswitch_flows::dense::{Hosts, Shape, measure, measure_with, traffic};

#[test]
fn a_leg_of_a_switch_is_hardly_ever_joined_to_the_call_of_others() {
    for hosts in [Hosts::Apart, Hosts::Together] {
        for (calls_a_second, recall_min) in [(1, 0.95), (10, 0.92), (100, 0.88)] {
            let shape = Shape { calls_a_second, calls: 1_500, hosts, seed: 1 };
            let joining = measure(&traffic(shape));
            let (precision, recall) = (joining.precision(), joining.recall());
            let figures = format!("{precision:.4} {recall:.4} {shape:?} {joining:?}");
            assert!(joining.legs > 1_500, "{figures}");
            assert!(precision >= 0.999, "{figures}");
            assert!(recall >= recall_min, "{figures}");
            assert!(joining.sure_right() >= 0.999, "{figures}");
        }
    }
}

#[test]
fn from_another_address_both_numbers_and_the_moment_join_no_leg_to_the_call_of_others() {
    for calls_a_second in [1, 10, 100] {
        let shape = Shape { calls_a_second, calls: 1_500, hosts: Hosts::SwitchOfTwo, seed: 1 };
        let joining = measure(&traffic(shape));
        assert!(joining.precision() >= 0.999 && joining.recall() >= 0.2, "{shape:?} {joining:?}");
        assert!(joining.by_both_numbers > 400, "{shape:?} {joining:?}");
        assert_eq!(joining.by_both_numbers_right, joining.by_both_numbers, "{shape:?} {joining:?}");
    }
}

#[test]
fn a_switch_of_which_the_directory_says_both_addresses_is_followed_like_one_with_one() {
    let directory = "
        [[account]]
        id = 310001016
        [[account.switch]]
        addresses = [\"10.30.0.1\", \"10.30.0.3\"]
    ";
    let directory = Directory::parse(directory).expect("a directory");
    let shape = Shape { calls_a_second: 10, calls: 1_500, hosts: Hosts::SwitchOfTwo, seed: 1 };
    let joining = measure_with(&directory, &traffic(shape));
    assert!(joining.precision() >= 0.999 && joining.recall() >= 0.92, "{joining:?}");
}

#[test]
fn the_same_seed_makes_the_same_traffic() {
    let shape = Shape { calls_a_second: 10, calls: 50, hosts: Hosts::Apart, seed: 3 };
    let (one, other) = (traffic(shape), traffic(shape));
    assert!(
        one.packets
            .iter()
            .map(|packet| &packet.payload)
            .eq(other.packets.iter().map(|packet| &packet.payload))
    );
    let another = traffic(Shape { seed: 4, ..shape });
    assert!(one.packets[0].payload != another.packets[0].payload);
}
