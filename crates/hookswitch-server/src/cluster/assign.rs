//! Assignment of partitions to nodes: the same answer on every node that sees the same nodes.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use hookswitch_store::{Node, Partition};
use siphasher::sip::SipHasher13;

/// The node that should own a partition: the one to which it is pinned if that lives and does not drain,
/// else the one with the highest hash. A node that comes or goes so moves its own share and no more. If all
/// drain, none does: somebody must do the work.
pub(super) fn wanted<'a>(
    partition: Partition,
    nodes: &'a BTreeMap<String, Node>,
    pins: &BTreeMap<Partition, String>,
) -> Option<&'a str> {
    let all_drain = nodes.values().all(|node| node.draining);
    let mut able = nodes.iter().filter(|(_, node)| all_drain || !node.draining).map(|(name, _)| &**name);
    let pinned = pins.get(&partition);
    match able.clone().find(|name| pinned.is_some_and(|pinned| pinned == name)) {
        Some(pinned) => Some(pinned),
        // Names are in order, so that equal hashes do not make two nodes disagree.
        None => able.by_ref().max_by_key(|name| score(partition, name)),
    }
}

fn score(partition: Partition, node: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(node.as_bytes());
    hasher.write_usize(partition.index());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> BTreeMap<String, Node> {
        let node = || Node { url: String::new(), version: String::new(), draining: false, start: 0 };
        names.iter().map(|&name| (name.to_owned(), node())).collect()
    }

    fn assignment(nodes: &BTreeMap<String, Node>, pins: &BTreeMap<Partition, String>) -> Vec<String> {
        let wanted = |partition| wanted(partition, nodes, pins).expect("a node lives").to_owned();
        Partition::all(32).map(wanted).collect()
    }

    #[test]
    fn a_node_that_goes_moves_its_own_partitions_alone() {
        let none = BTreeMap::new();
        let three = assignment(&nodes(&["a", "b", "c"]), &none);
        let two = assignment(&nodes(&["a", "c"]), &none);
        for (before, after) in three.iter().zip(&two) {
            assert!(before == after || before == "b", "{before} has become {after}");
        }
        for name in ["a", "b", "c"] {
            let share = three.iter().filter(|owner| *owner == name).count();
            assert!((5..=17).contains(&share), "{name} has {share} of 32");
        }
    }

    #[test]
    fn a_pin_counts_while_its_node_lives_and_a_node_that_drains_gets_nothing() {
        let partition = Partition::try_from(5).expect("there is one");
        let mut all = nodes(&["a", "b"]);
        for name in ["a", "b"] {
            let pins = BTreeMap::from([(partition, name.to_owned())]);
            assert_eq!(wanted(partition, &all, &pins), Some(name));
        }
        let pins = BTreeMap::from([(partition, "gone".to_owned())]);
        assert!(wanted(partition, &all, &pins).is_some());
        if let Some(node) = all.get_mut("a") {
            node.draining = true;
        }
        let pins = BTreeMap::from([(partition, "a".to_owned())]);
        assert_eq!(wanted(partition, &all, &pins), Some("b"));
        if let Some(node) = all.get_mut("b") {
            node.draining = true;
        }
        assert_eq!(wanted(partition, &all, &pins), Some("a"), "all drain, so none does");
        assert_eq!(wanted(partition, &BTreeMap::new(), &pins), None);
    }
}
