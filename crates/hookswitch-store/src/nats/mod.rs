//! The log of a cluster: streams of NATS JetStream, and how each node's copy follows them.
//!
//! A [`Publisher`](publisher) writes the batches of one partition that the node owns, where it expects its
//! subject to stand; a [`follower`] applies what counts of the streams to the copy, in their order, which a
//! [`fence`] decides; [`documents`] changes documents against the copy, and again if another node was first.

mod consumer;
mod copying;
mod documents;
mod durability;
mod examine;
mod fence;
mod following;
mod intake;
mod leases;
mod publisher;
mod race;
mod reading;
mod saved;
mod setup;
mod standing;
mod states;
mod streams;
mod wire;

pub(crate) use self::consumer::StreamConsumer;
pub(crate) use self::copying::CopyInto;
#[cfg(test)]
pub(crate) use self::documents::change_late;
pub(crate) use self::documents::{bring, change, record};
pub use self::durability::Weakness;
pub use self::examine::Examined;
pub(crate) use self::fence::Fence;
pub(crate) use self::following::Awaited;
pub use self::intake::{Brought, IntakeReader};
pub use self::leases::{LeaseTable, Node, Owner, Refused};
pub(crate) use self::publisher::{Publish, Publisher, take_over};
#[cfg(test)]
pub(crate) use self::publisher::{begin_term, write_late};
#[cfg(test)]
pub(crate) use self::race::LostRace;
pub(crate) use self::saved::SavedDocuments;
pub(crate) use self::saved::keep as keep_documents;
#[cfg(test)]
pub(crate) use self::saved::save as save_documents;
pub use self::setup::Wanted;
pub(crate) use self::standing::CopyStanding;
pub use self::streams::Nats;
pub(crate) use self::streams::{STREAM_DOCUMENTS, STREAM_LOG};
pub(crate) use self::wire::Entry;
