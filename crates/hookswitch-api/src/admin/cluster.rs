//! The nodes that share the work: who has which partition, and orders that move them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hookswitch_model::Timestamp;
use hookswitch_server::cluster::{Membership, Node, Placement, View};
use hookswitch_store::{Change, Partition};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Admin, Reader, json, kept};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// Name of a server that is alone.
const ALONE: &str = "server";

/// The nodes, and which of them has which partition.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cluster {
    /// `nats`, or `sqlite` of a server that is alone: one node, and one partition.
    engine: &'static str,
    /// The node that answers.
    node: String,
    /// The nodes that live.
    nodes: Vec<ClusterNode>,
    partitions: Vec<ClusterPartition>,
}

/// A node that lives.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterNode {
    name: String,
    /// Address of its API. Not shown to users of an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    version: String,
    /// Set if it gives its partitions to others.
    is_draining: bool,
    /// Number of partitions that it has.
    partitions: usize,
}

/// A partition: a share of the work.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterPartition {
    /// Its number, from 0.
    partition: usize,
    /// The node that has it; missing while it moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// The node that should have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
    /// The node to which it was moved by hand. If that is gone or drains, another has it meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_to: Option<String>,
    /// Set if the node that should have it has it.
    is_settled: bool,
}

/// Placement of a partition.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartitionOrder {
    /// The name of a node that lives; null to leave it to the cluster again.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    node: Option<String>,
}

/// Instruction for a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeOrder {
    /// Set if it gives its partitions to others, and gets none.
    draining: bool,
}

impl ClusterPartition {
    fn of(view: &View, partition: Partition) -> Self {
        let (owner, wanted) = (view.owner(partition), view.wanted(partition));
        Self {
            partition: partition.index(),
            owner: owner.map(Into::into),
            since: view.owners.get(&partition).map(|owner| owner.since().to_string()),
            wanted: wanted.map(Into::into),
            pinned_to: view.orders.pins.get(&partition).cloned(),
            is_settled: owner.is_some() && owner == wanted,
        }
    }

    fn alone(since: Timestamp) -> Self {
        Self {
            partition: 0,
            owner: Some(ALONE.into()),
            since: Some(since.to_string()),
            wanted: Some(ALONE.into()),
            pinned_to: None,
            is_settled: true,
        }
    }
}

impl ClusterNode {
    fn of(view: &View, name: &str, node: &Node, shows_url: bool) -> Self {
        Self {
            name: name.into(),
            url: shows_url.then(|| node.url.clone()),
            version: node.version.clone(),
            is_draining: node.draining,
            partitions: view.share(name),
        }
    }

    fn alone(api: &Api, shows_url: bool) -> Self {
        Self {
            name: ALONE.into(),
            url: shows_url.then(|| api.public_url.to_string()),
            version: env!("CARGO_PKG_VERSION").into(),
            is_draining: false,
            partitions: 1,
        }
    }
}

/// Shows the nodes, and which of them has which partition.
#[utoipa::path(get, path = "/admin/v1/cluster", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Cluster), openapi::Refusals))]
pub(crate) async fn read(State(api): State<Api>, Reader(access): Reader) -> Json<Cluster> {
    let shows_url = access.account.is_none();
    let Some(membership) = &api.cluster else {
        return Json(Cluster {
            engine: "sqlite",
            node: ALONE.into(),
            nodes: vec![ClusterNode::alone(&api, shows_url)],
            partitions: vec![ClusterPartition::alone(api.started)],
        });
    };
    let view = membership.view();
    let node = |(name, node): (&String, &Node)| ClusterNode::of(&view, name, node, shows_url);
    Json(Cluster {
        engine: "nats",
        node: membership.name().into(),
        nodes: view.nodes.iter().map(node).collect(),
        partitions: view.partitions().map(|partition| ClusterPartition::of(&view, partition)).collect(),
    })
}

/// Moves a partition to a node, where it stays for as long as that lives and does not drain; or leaves it
/// to the cluster again. Answers before it has moved.
#[utoipa::path(post, path = "/admin/v1/cluster/partitions/{partition}", tag = "Admin", security(("admin" = [])),
    params(("partition" = String, Path, description = "Its number, from 0")), request_body = PartitionOrder,
    responses((status = 204, description = "It will move"), openapi::Refusals))]
pub(crate) async fn move_partition(
    State(api): State<Api>,
    _: Admin,
    Segments([partition]): Segments<1>,
    content: Content,
) -> Result<StatusCode, Problem> {
    let asked: PartitionOrder = json(&content)?;
    let view = cluster(&api)?.view();
    let number = partition.parse::<usize>().ok();
    let moved = view.partitions().find(|known| Some(known.index()) == number);
    let moved = moved.ok_or_else(|| Problem::unknown("partition", &partition))?;
    if let Some(name) = &asked.node {
        let node = view.nodes.get(name).ok_or_else(|| {
            Problem::field("node", "node names no node that lives; GET /admin/v1/cluster lists them")
        })?;
        if node.draining {
            let message = format!("The node {name} gives its partitions away; let it have some again first");
            return Err(Problem::conflict(message));
        }
    }
    order(&api, Placement::pin(moved, asked.node.as_deref())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a node give its partitions to others, or have some again. Answers before they have moved.
#[utoipa::path(post, path = "/admin/v1/cluster/nodes/{node}", tag = "Admin", security(("admin" = [])),
    params(("node" = String, Path, description = "Its name")), request_body = NodeOrder,
    responses((status = 204, description = "They will move"), openapi::Refusals))]
pub(crate) async fn drain_node(
    State(api): State<Api>,
    _: Admin,
    Segments([name]): Segments<1>,
    content: Content,
) -> Result<StatusCode, Problem> {
    let asked: NodeOrder = json(&content)?;
    let view = cluster(&api)?.view();
    // A node that is gone may come back, and is to be let in then.
    let is_undone = !asked.draining && view.orders.drained.contains(&name);
    if !is_undone && !view.nodes.contains_key(&name) {
        return Err(Problem::unknown("node", &name));
    }
    let others = view.nodes.iter().filter(|(other, node)| **other != name && !node.draining);
    if asked.draining && others.count() == 0 {
        let message = "There is no other node that could take its partitions; start one first";
        return Err(Problem::conflict(message));
    }
    order(&api, Placement::drain(&name, asked.draining)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn cluster(api: &Api) -> Result<&Membership, Problem> {
    let message = "This server is alone and has all the work; with store.engine = \"nats\" several share it";
    api.cluster.as_deref().ok_or_else(|| Problem::conflict(message))
}

async fn order(api: &Api, order: Change) -> Result<(), Problem> {
    api.store.change(vec![order]).await.map(drop).map_err(kept)
}
