//! Orders of operators: which partition is to be on which node, and which nodes are to give theirs
//! away. Orders are documents, so that any node takes them and all follow.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use hookswitch_store::{Change, Document, Expected, Partition, Reader, StoreError};
use serde::{Deserialize, Serialize};

/// The kind of document of a pin; its id is the number of the partition.
const PIN: &str = "cluster_pin";

/// The kind of document of a drain; its id is the name of the node.
const DRAIN: &str = "cluster_drain";

/// Placement of a partition.
#[derive(Debug, Serialize, Deserialize)]
struct Pin {
    node: String,
}

/// All orders that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Partitions that are to be on certain nodes, whatever their hashes say.
    pub pins: BTreeMap<Partition, String>,
    /// The nodes that are to give their partitions to others.
    pub drained: BTreeSet<String>,
}

impl Placement {
    /// Reads the orders that are kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn read(reader: &Reader) -> Result<Self, StoreError> {
        let pin = |document: Document| {
            let partition = document.id.parse::<usize>().ok().and_then(|index| index.try_into().ok());
            let pin: Option<Pin> = serde_json::from_str(&document.content).ok();
            partition.zip(pin).map(|(partition, pin)| (partition, pin.node))
        };
        Ok(Self {
            pins: reader.documents(PIN)?.into_iter().filter_map(pin).collect(),
            drained: reader.documents(DRAIN)?.into_iter().map(|document| document.id).collect(),
        })
    }

    /// Returns `true` if a document of this kind is an order.
    pub(super) fn is_order(kind: &str) -> bool {
        [PIN, DRAIN].contains(&kind)
    }

    /// The change that pins a partition to a node, or that leaves it to the hashes.
    pub fn pin(partition: Partition, node: Option<&str>) -> Change {
        let content = node.map(|node| serde_json::json!(Pin { node: node.to_owned() }).to_string());
        change(PIN, partition.to_string(), content)
    }

    /// The change that lets a node give its partitions away, or have some again.
    pub fn drain(node: &str, drains: bool) -> Change {
        change(DRAIN, node.to_owned(), drains.then(|| "{}".to_owned()))
    }
}

fn change(kind: &'static str, id: String, content: Option<String>) -> Change {
    Change { kind: Cow::Borrowed(kind), id, expected: Expected::Any, content }
}
