//! Joining the legs of a switch when calls are dense, measured against known truth.
//!
//! `make bench` measures more calls; the floors here leave room for what a smaller run shows by chance.

use hookswitch_flows::dense::{Shape, measure, traffic};

#[test]
fn a_leg_of_a_switch_is_hardly_ever_joined_to_the_call_of_others() {
    for laboratory in [false, true] {
        for (calls_a_second, recall_min) in [(1, 0.95), (10, 0.92), (100, 0.88)] {
            let shape = Shape { calls_a_second, calls: 1_500, laboratory, seed: 1 };
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
fn the_same_seed_makes_the_same_traffic() {
    let shape = Shape { calls_a_second: 10, calls: 50, laboratory: false, seed: 3 };
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
