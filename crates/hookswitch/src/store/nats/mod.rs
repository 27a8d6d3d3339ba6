//! The log of a cluster: streams of NATS JetStream, and how each node's copy follows them.
//!
//! A [`Publisher`](publisher) writes the batches of one partition that the node owns, fenced by the
//! sequence of its subject; a [`follower`] applies what the streams say to the copy, in their order;
//! [`documents`] changes documents against the copy, and again if another node was first.

mod copying;
mod documents;
mod durability;
mod follower;
mod intake;
mod publisher;
mod saved;
mod states;
mod streams;
mod wire;

pub(in crate::store) use self::copying::CopyInto;
pub(in crate::store) use self::documents::{bring, change, record};
pub(in crate::store) use self::follower::Follower;
pub(crate) use self::intake::{Brought, IntakeReader};
pub(in crate::store) use self::publisher::{Publish, Publisher, take_over};
pub(in crate::store) use self::saved::SavedDocuments;
pub(in crate::store) use self::saved::keep as keep_documents;
#[cfg(test)]
pub(in crate::store) use self::saved::save as save_documents;
pub(crate) use self::streams::{Nats, Wanted};
pub(in crate::store) use self::streams::{STREAM_DOCUMENTS, STREAM_LOG};
pub(in crate::store) use self::wire::Entry;
