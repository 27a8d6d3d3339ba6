//! The log of a cluster: streams of NATS JetStream, and how each node's copy follows them.
//!
//! A [`Publisher`](publisher) writes the batches of one partition that the node owns, where it expects its
//! subject to stand; a [`follower`] applies what counts of the streams to the copy, in their order, which a
//! [`fence`] decides; [`documents`] changes documents against the copy, and again if another node was first.

mod copying;
mod documents;
mod durability;
mod examine;
mod fence;
mod follower;
mod following;
mod intake;
mod publisher;
mod race;
mod reading;
mod saved;
mod setup;
mod standing;
mod states;
mod streams;
mod wire;

pub(in crate::store) use self::copying::CopyInto;
#[cfg(test)]
pub(in crate::store) use self::documents::change_late;
pub(in crate::store) use self::documents::{bring, change, record};
pub(crate) use self::durability::Weakness;
pub(crate) use self::examine::Examined;
pub(in crate::store) use self::fence::Fence;
pub(in crate::store) use self::follower::Follower;
pub(in crate::store) use self::following::Awaited;
pub(crate) use self::intake::{Brought, IntakeReader};
pub(in crate::store) use self::publisher::{Publish, Publisher, take_over};
#[cfg(test)]
pub(in crate::store) use self::publisher::{begin_term, write_late};
pub(crate) use self::race::LostRace;
pub(in crate::store) use self::saved::SavedDocuments;
pub(in crate::store) use self::saved::keep as keep_documents;
#[cfg(test)]
pub(in crate::store) use self::saved::save as save_documents;
pub(crate) use self::setup::Wanted;
pub(in crate::store) use self::standing::Standing;
pub(crate) use self::streams::Nats;
pub(in crate::store) use self::streams::{STREAM_DOCUMENTS, STREAM_LOG};
pub(in crate::store) use self::wire::Entry;
