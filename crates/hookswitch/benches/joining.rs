//! Quality of joining: how well the legs that a switch places are joined to the calls that they belong to.
//!
//! `make bench` runs it on made-up traffic with known truth, at several densities.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use hookswitch_flows::dense::{Hosts, Shape, measure, traffic};

/// Number of calls that are made at each density.
const CALLS: usize = 5_000;

fn main() {
    for (hosts, what) in [
        (Hosts::Apart, "an address for each host"),
        (Hosts::Together, "one address for all hosts"),
        (Hosts::SwitchOfTwo, "two addresses of the switch"),
    ] {
        println!("joining the legs of a switch, {CALLS} calls, {what}");
        for calls_a_second in [1, 10, 100] {
            let joining = measure(&traffic(Shape { calls_a_second, calls: CALLS, hosts, seed: 2 }));
            let share = |part: usize, of: usize| part as f64 / of.max(1) as f64 * 100.0;
            println!(
                "{calls_a_second:4} calls a second: {:6} legs, precision {:7.3} %, recall {:6.2} %, alone {:5.2} %, not sure {:5.2} % of the joined, sure and right {:7.3} %, with the twin {:5.2} %",
                joining.legs,
                joining.precision() * 100.0,
                joining.recall() * 100.0,
                100.0 - share(joining.joined, joining.legs),
                share(joining.unsure, joining.joined),
                joining.sure_right() * 100.0,
                share(joining.with_twin, joining.joined),
            );
        }
    }
}
