//! What was asked of switches, written down before it is sent.

use std::time::Duration;

use hookswitch_model::{AccountId, ActionId, ExtensionId, PartyId, TelephonySessionId, Timestamp};
use hookswitch_signal::switch::Action;
use hookswitch_store::{Change, Document, Expected, Reader, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{ANSWER_WITHIN, Effect, Operation};
use crate::secret::Digest;

/// Kind of the documents of actions, and of those that name one by the key of who asked.
const ACTION: &str = "action";
const ACTION_KEY: &str = "action_key";

/// Time for which they are kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Who asks for an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The account.
    pub account: AccountId,
    /// The extension of the user.
    pub extension: ExtensionId,
    /// The application.
    pub client: String,
}

/// What is known of the fate of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is on its way, or was when the server ended.
    Sent,
    /// The switch has taken it.
    Taken,
    /// The switch has refused it, or had nothing to do it to.
    Refused,
    /// It was not sent.
    NotSent,
    /// It was sent, and nothing shows whether it was carried out.
    Unknown,
}

/// An action as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionRecord {
    /// Its id.
    pub id: ActionId,
    /// Who asked.
    pub by: Asker,
    /// When.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// The session.
    pub session: Option<TelephonySessionId>,
    /// The party.
    pub party: Option<PartyId>,
    /// What was asked for; none: to place a call.
    pub operation: Option<Operation>,
    /// The source.
    pub source: String,
    /// What its switch was asked.
    pub action: Action,
    /// By what it shows that it was done.
    pub effect: Effect,
    /// What became of it.
    pub fate: Fate,
    /// What the switch has said against it.
    pub said: Option<String>,
}

/// The id of an action that was asked for under a key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Known {
    action: ActionId,
    #[serde(with = "micros")]
    at: Timestamp,
}

/// What an action is about.
pub(super) struct About {
    pub(super) session: Option<TelephonySessionId>,
    pub(super) party: Option<PartyId>,
    pub(super) operation: Option<Operation>,
}

mod micros {
    use hookswitch_model::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }
}

impl ActionRecord {
    /// Returns `true` if it was the same that is asked for again.
    pub(super) fn is_for(&self, session: TelephonySessionId, operation: &Operation) -> bool {
        self.session == Some(session) && self.operation.as_ref() == Some(operation)
    }

    /// Returns `true` if it may have brought about what happened to a party at a moment, by the clock of the server.
    pub fn may_have_caused(&self, party: PartyId, at: Timestamp) -> bool {
        let is_in_time = self.at <= at && at.since(self.at) <= ANSWER_WITHIN;
        let is_of = match (&self.operation, self.party) {
            (Some(Operation::Bridge(with)), Some(own)) => party == own || party == *with,
            (_, Some(own)) => party == own,
            (_, None) => true,
        };
        is_in_time && is_of && !matches!(self.fate, Fate::Refused | Fate::NotSent)
    }

    fn change(&self, expected: Expected) -> Change {
        let content = serde_json::to_string(self).unwrap_or_default(); // it is made of texts and numbers
        Change { kind: ACTION.into(), id: self.id.to_string(), expected, content: Some(content) }
    }
}

/// The id of what names an action by a key: no user finds the actions of another.
fn key_id(who: &Asker, key: &str) -> String {
    let whose = format!("{}\0{}\0{}\0{key}", who.account, who.extension, who.client);
    let bits = u128::from_be_bytes(Digest::of(whose.as_bytes()).prefix());
    format!("{bits:032x}")
}

/// Writes down an action that is about to be sent; a conflict says that its key was used.
pub(super) async fn write(store: &Store, record: &ActionRecord, key: Option<&str>) -> Result<(), StoreError> {
    let mut changes = vec![record.change(Expected::Absent)];
    if let Some(key) = key {
        let known = Known { action: record.id, at: record.at };
        let content = serde_json::to_string(&known).ok();
        let id = key_id(&record.by, key);
        changes.push(Change { kind: ACTION_KEY.into(), id, expected: Expected::Absent, content });
    }
    store.change(changes).await.map(drop)
}

/// Writes down what became of it.
pub(super) async fn update(store: &Store, record: &ActionRecord) -> Result<(), StoreError> {
    store.change(vec![record.change(Expected::Any)]).await.map(drop)
}

/// The action that was asked for under a key.
pub(super) async fn find(store: &Store, who: &Asker, key: &str) -> Result<Option<ActionRecord>, StoreError> {
    let id = key_id(who, key);
    let find = move |reader: &Reader| -> Result<Option<ActionRecord>, StoreError> {
        let Some(known) = reader.document(ACTION_KEY, &id)? else { return Ok(None) };
        let Ok(known) = serde_json::from_str::<Known>(&known.content) else { return Ok(None) };
        Ok(reader.document(ACTION, &known.action.to_string())?.and_then(|document| read(&document)))
    };
    store.find(find).await
}

fn read(document: &Document) -> Option<ActionRecord> {
    serde_json::from_str(&document.content).ok()
}

async fn all(store: &Store) -> Result<Vec<ActionRecord>, StoreError> {
    store.read_async(|reader| Ok(reader.documents(ACTION)?.iter().filter_map(read).collect())).await
}

/// The actions on a session, the earliest first.
///
/// # Errors
/// If the store cannot be read.
pub fn actions_of(reader: &Reader, session: TelephonySessionId) -> Result<Vec<ActionRecord>, StoreError> {
    let mut records: Vec<ActionRecord> = reader.documents(ACTION)?.iter().filter_map(read).collect();
    let names = |record: &ActionRecord| matches!(&record.operation, Some(Operation::Bridge(with)) if with.session == session);
    records.retain(|record| record.session == Some(session) || names(record));
    records.sort_by_key(|record| record.at);
    Ok(records)
}

/// Those whose fate was not written down.
pub(super) async fn unfinished(store: &Store) -> Result<Vec<ActionRecord>, StoreError> {
    let mut records = all(store).await?;
    records.retain(|record| record.fate == Fate::Sent);
    Ok(records)
}

/// Forgets those that are older than they are kept.
pub(super) async fn forget_old(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let old = move |at: Timestamp| now.since(at) > KEPT;
    let ids = store
        .read_async(move |reader| {
            let mut ids = Vec::new();
            for document in reader.documents(ACTION)? {
                if read(&document).is_none_or(|record| old(record.at)) {
                    ids.push((ACTION, document.id));
                }
            }
            for document in reader.documents(ACTION_KEY)? {
                let known = serde_json::from_str::<Known>(&document.content);
                if known.map_or(true, |known| old(known.at)) {
                    ids.push((ACTION_KEY, document.id));
                }
            }
            Ok(ids)
        })
        .await?;
    if ids.is_empty() {
        return Ok(());
    }
    let delete = |(kind, id): (&'static str, String)| Change {
        kind: kind.into(),
        id,
        expected: Expected::Any,
        content: None,
    };
    store.change(ids.into_iter().map(delete).collect()).await.map(drop)
}
