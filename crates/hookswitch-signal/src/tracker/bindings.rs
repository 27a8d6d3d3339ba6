//! Bindings of contacts to phones, as registrars tell (RFC 3261 §10).

use std::collections::HashMap;
use std::sync::Arc;

use hookswitch_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LEARNT_MAX, identity};
use crate::sip::{Message, Uri};

/// The most contacts that are remembered; beyond it none is added until one is replaced.
pub(super) const BINDINGS_MAX: usize = 100_000;

/// The contacts whose user part is not that of their address of record: whose they are, and when a
/// registrar last told so.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Bindings(HashMap<Box<[u8]>, (Arc<str>, Timestamp)>);

impl Bindings {
    /// Learns from a successful response to a REGISTER; nobody else's word is taken.
    pub(super) fn learn(&mut self, response: &Message<'_>, now: Timestamp) {
        let Some(owner) = identity::number(&response.to().uri()) else { return };
        for contact in response.contacts() {
            let uri = contact.uri();
            if identity::number(&uri).is_none_or(|user| user == owner) {
                continue;
            }
            let key = key(&uri);
            if self.0.len() < BINDINGS_MAX || self.0.contains_key(&key) {
                self.0.insert(key, (owner.clone(), now));
            }
        }
    }

    /// Forgets what no registrar told for too long.
    pub(super) fn forget(&mut self, now: Timestamp) {
        #[expect(clippy::disallowed_methods, reason = "each is judged by itself")]
        self.0.retain(|_, (_, told)| *told + LEARNT_MAX > now);
    }

    /// Returns whose phone a Request-URI reaches, if a registrar told.
    pub(super) fn owner(&self, uri: &Uri<'_>) -> Option<Arc<str>> {
        if self.0.is_empty() { None } else { self.0.get(&key(uri)).map(|(owner, _)| owner.clone()) }
    }
}

fn key(uri: &Uri<'_>) -> Box<[u8]> {
    let mut key = uri.user().unwrap_or_default().to_vec();
    key.push(b'@');
    key.extend(uri.host_unbracketed().to_ascii_lowercase());
    key.extend(uri.port().unwrap_or(5060).to_be_bytes());
    key.into()
}
