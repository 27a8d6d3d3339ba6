//! Subscriptions as the store has them: the forms of their documents, and of how far they have come.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use hookswitch_core::delivery::Progress;
use hookswitch_core::filter::{EventFilter, Own};
use hookswitch_core::subscription::{
    Blacklisting, Hearing, Owner, Subscription, SubscriptionStatus, Transport,
};
use hookswitch_model::{AccountId, ExtensionId, SubscriptionId, Timestamp};
use hookswitch_store::{Change, Document, PROGRESS, Partition, ProgressRecord, Reader, StoreError, feed_id};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delivery, StoredSubscription};
use crate::secret::Key;
use crate::webhook::masked;

/// The kinds of documents.
pub(super) const SUBSCRIPTION: &str = "subscription";
pub(super) const ENDED: &str = "subscription_ended";

/// A subscription as the store has it, for who looks at what became of events: without secrets.
pub struct Stored {
    /// The subscription.
    pub kept: StoredSubscription,
    /// Point up to which it has come; none for WebSockets, and when it has ended.
    pub progress: Option<Progress>,
    /// Time when it was deleted.
    pub ended: Option<Timestamp>,
}

/// All subscriptions of a store, and those that were deleted of late.
///
/// # Errors
/// If the store cannot be read. A subscription that cannot be read is left out.
pub fn stored(reader: &Reader) -> Result<Vec<Stored>, StoreError> {
    let kept_progress = KeptProgress::read(reader)?;
    let mut found = Vec::new();
    for kind in [SUBSCRIPTION, ENDED] {
        for document in reader.documents(kind)? {
            let Some(record) = Record::parse_shown(&document.content) else { continue };
            let ended = record.ended.map(Timestamp::from_micros);
            let Ok(kept) = record.read(&document.id) else { continue };
            let partition = Partition::of(kept.subscription.owner.account, reader.partitions());
            let progress = kept_progress.of(&document.id, partition);
            found.push(Stored { kept, progress, ended });
        }
    }
    Ok(found)
}

/// Progress of subscriptions, as it is stored.
pub(super) struct KeptProgress(HashMap<String, ProgressRecord>);

impl KeptProgress {
    pub(super) fn read(reader: &Reader) -> Result<Self, StoreError> {
        let read = |document: Document| Some((document.id, serde_json::from_str(&document.content).ok()?));
        Ok(Self(reader.documents(PROGRESS)?.into_iter().filter_map(read).collect()))
    }

    /// Returns how far one of a partition has come, if that is known.
    pub(super) fn of(&self, id: &str, partition: Partition) -> Option<Progress> {
        let mut progress = progress_in(self.0.get(id)?);
        if progress.live {
            // It had looked at all that was handed out.
            progress.read = progress.read.max(self.0.get(&feed_id(partition)).map_or(0, |feed| feed.read));
        }
        Some(progress)
    }
}

/// The change that keeps how far a subscription has come.
pub(crate) fn progress_change(id: SubscriptionId, progress: &Progress) -> Change {
    let record = ProgressRecord { read: progress.read, live: progress.live, open: progress.open.clone() };
    record.change(id.to_string())
}

/// Returns how far a record says that one has come.
fn progress_in(record: &ProgressRecord) -> Progress {
    Progress { read: record.read, live: record.live, open: record.open.clone() }
}

/// Returns how far one has come that has heard of nothing behind its start.
pub(super) fn progress_from(start: u64) -> Progress {
    Progress { read: start, live: true, open: Vec::new() }
}

/// Returns how far one has come; it may not have looked at all that it lets read.
pub(super) fn progress_of(reader: &Reader, id: &str) -> Result<Option<Progress>, StoreError> {
    let document = reader.document(PROGRESS, id)?;
    let record = document.and_then(|found| serde_json::from_str::<ProgressRecord>(&found.content).ok());
    Ok(record.map(|record| progress_in(&record)))
}

/// Reads a subscription; none, which is said, if it cannot be.
pub(super) fn read_kept(document: &Document, key: &Key) -> Option<StoredSubscription> {
    match Record::parse(&document.content, key).and_then(|record| record.read(&document.id)) {
        Ok(one) => Some(one),
        Err(error) => {
            tracing::error!(subscription.id = document.id, error, "a subscription cannot be read");
            None
        }
    }
}

/// Progress of a subscription, as it is stored.
/// A subscription as it is stored. Times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    account: u64,
    extension: u64,
    client_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    generation: String,
    transport: String,
    filters: Vec<String>,
    created: i64,
    lifetime_secs: u64,
    expires: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blacklisted: Option<BlacklistedRecord>,
    delivery: Delivery,
    #[serde(default)]
    expired: bool,
    #[serde(default)]
    start: u64,
    #[serde(default)]
    filters_from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<i64>,
    /// By which rules its filters were checked: 0 before calls of the account took a role, then 1.
    #[serde(default)]
    rules: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct BlacklistedRecord {
    since: i64,
    reason: String,
    gone: bool,
}

/// Puts another text in the place of each secret of a delivery.
fn change_secrets<E>(value: &mut Value, change: &impl Fn(&str) -> Result<String, E>) -> Result<(), E> {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let secret = match &**name {
                    "signing_secret" | "address" => Some(value),
                    // The name of the header, and the token.
                    "token" => value.get_mut(1),
                    _ => {
                        change_secrets(value, change)?;
                        None
                    }
                };
                if let Some(Value::String(text)) = secret {
                    *text = change(text)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

impl Record {
    /// As it is stored: what is secret is encrypted.
    pub(super) fn text(&self, key: &Key) -> anyhow::Result<String> {
        let mut value = serde_json::to_value(self)?;
        change_secrets(&mut value["delivery"], &|secret| key.encrypt(secret))?;
        value["shown_address"] = self.masked_address().into();
        Ok(value.to_string())
    }

    /// Reads what was stored.
    fn parse(text: &str, key: &Key) -> Result<Self, String> {
        let mut value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let decrypt = |text: &str| {
            if text.contains("://") {
                return Ok(text.to_owned()); // the address as earlier versions have stored it
            }
            key.decrypt(text).ok_or("its secrets were encrypted by another secret.key; restore that of then")
        };
        change_secrets(&mut value["delivery"], &decrypt)?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// As it is stored for who looks at it alone: what is secret is left out.
    pub(super) fn text_shown(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let Ok(()) = change_secrets(&mut value["delivery"], &|_| Ok::<_, Infallible>(String::new()));
        value["shown_address"] = self.masked_address().into();
        value.to_string()
    }

    /// Reads what was stored, without what is secret.
    pub(super) fn parse_shown(text: &str) -> Option<Self> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        let plain = |text: &str| if text.contains("://") { masked(text) } else { String::new() };
        let Ok(()) = change_secrets(&mut value["delivery"], &|text| Ok::<_, Infallible>(plain(text)));
        let shown = value["shown_address"].as_str().map(str::to_owned);
        let mut record: Self = serde_json::from_value(value).ok()?;
        if let (Delivery::WebHook(webhook), Some(shown)) = (&mut record.delivery, shown) {
            webhook.address = shown;
        }
        Some(record)
    }

    /// The address as others than its owner are shown it.
    fn masked_address(&self) -> Option<String> {
        match &self.delivery {
            Delivery::WebHook(webhook) => Some(masked(&webhook.address)),
            Delivery::WebSocket(_) => None,
        }
    }

    pub(super) fn of(one: &StoredSubscription) -> Self {
        let Subscription { owner, transport, filters, created, lifetime, expires, standing, .. } =
            &one.subscription;
        Self {
            account: owner.account.as_u64(),
            extension: owner.extension.as_u64(),
            client_id: owner.client_id.to_string(),
            generation: owner.generation.to_string(),
            transport: transport.as_str().to_owned(),
            filters: filters.iter().map(EventFilter::to_string).collect(),
            created: created.as_micros(),
            lifetime_secs: lifetime.as_secs(),
            expires: expires.as_micros(),
            blacklisted: match standing {
                SubscriptionStatus::Active => None,
                SubscriptionStatus::Blacklisted(Blacklisting { since, reason, gone }) => {
                    Some(BlacklistedRecord { since: since.as_micros(), reason: reason.clone(), gone: *gone })
                }
            },
            delivery: one.delivery.clone(),
            expired: one.expired,
            start: one.start,
            filters_from: one.filters_from,
            paused: one.subscription.paused.map(Timestamp::as_micros),
            rules: u8::from(!one.is_earlier),
            ended: None,
        }
    }

    /// The same of one that was deleted then.
    pub(super) fn of_ended(one: &StoredSubscription, at: Timestamp) -> Self {
        Self { ended: Some(at.as_micros()), ..Self::of(one) }
    }

    fn read(self, id: &str) -> Result<StoredSubscription, String> {
        let id = parse_id(id).ok_or("its id is no UUID")?;
        let owner = Owner {
            account: AccountId::new(self.account),
            extension: ExtensionId::new(self.extension),
            client_id: self.client_id.into(),
            generation: self.generation.into(),
        };
        let own = Own { account: owner.account, extension: owner.extension };
        let filters = self.filters.iter().map(|text| EventFilter::parse(text, own));
        let transports = [Transport::WebHook, Transport::WebSocket];
        let transport = transports.into_iter().find(|transport| transport.as_str() == self.transport);
        let subscription = Subscription {
            id,
            owner,
            transport: transport.ok_or_else(|| format!("its transport is {:?}", self.transport))?,
            filters: filters.collect::<Result<_, _>>().map_err(|error| error.to_string())?,
            created: Timestamp::from_micros(self.created),
            lifetime: Duration::from_secs(self.lifetime_secs),
            expires: Timestamp::from_micros(self.expires),
            standing: match self.blacklisted {
                None => SubscriptionStatus::Active,
                Some(BlacklistedRecord { since, reason, gone }) => {
                    SubscriptionStatus::Blacklisted(Blacklisting {
                        since: Timestamp::from_micros(since),
                        reason,
                        gone,
                    })
                }
            },
            paused: self.paused.map(Timestamp::from_micros),
            hearing: Hearing::default(),
        };
        Ok(StoredSubscription {
            subscription,
            delivery: self.delivery,
            expired: self.expired,
            start: self.start,
            filters_from: self.filters_from,
            is_earlier: self.rules == 0,
            keeps_earlier: false,
        })
    }
}

/// Reads the text form of an id.
pub fn parse_id(text: &str) -> Option<SubscriptionId> {
    let digits = text.replace('-', "");
    let id = SubscriptionId::from_bits(u128::from_str_radix(&digits, 16).ok()?);
    (id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::WebHook;
    use super::*;

    #[test]
    fn a_subscription_is_read_as_it_was_stored() {
        let own = Own { account: AccountId::new(310_001_016), extension: ExtensionId::new(101_016) };
        let texts = [
            "/restapi/v1.0/account/~/telephony/sessions?phoneNumber=%2B1",
            "/restapi/v1.0/account/~/presence",
        ];
        let one = StoredSubscription {
            subscription: Subscription {
                id: SubscriptionId::from_bits(7),
                owner: Owner {
                    account: own.account,
                    extension: own.extension,
                    client_id: "app".into(),
                    generation: "g".into(),
                },
                transport: Transport::WebHook,
                filters: texts.iter().map(|text| EventFilter::parse(text, own).unwrap()).collect(),
                created: Timestamp::from_micros(1),
                lifetime: Duration::from_secs(60),
                expires: Timestamp::from_micros(60_000_001),
                standing: SubscriptionStatus::Blacklisted(Blacklisting {
                    since: Timestamp::from_micros(9),
                    reason: "because".into(),
                    gone: true,
                }),
                paused: Some(Timestamp::from_micros(8)),
                hearing: Hearing::default(),
            },
            delivery: Delivery::WebHook(WebHook {
                address: "https://hook.example/in/k3y-0f-mine?code=hunter2".into(),
                token: Some(("verification-token".into(), "secret".into())),
                signing_secret: Some("whsec_hush".into()),
            }),
            expired: true,
            start: 3,
            filters_from: 4,
            is_earlier: false,
            keeps_earlier: false,
        };
        let key = Key::new(&[7; 32]);
        let stored = Record::of(&one).text(&key).unwrap();
        let hides = |text: &str| {
            ["secret\"]", "hush", "k3y-0f-mine", "hunter2"].iter().all(|one| !text.contains(one))
        };
        assert!(hides(&stored) && stored.contains("https://hook.example/in/…?…"), "{stored}");
        assert!(Record::parse(&stored, &Key::new(&[8; 32])).is_err());
        let read = Record::parse(&stored, &key).unwrap().read(&one.subscription.id.to_string()).unwrap();
        assert_eq!(read.subscription, one.subscription);
        assert_eq!((read.delivery, read.expired), (one.delivery.clone(), true));
        assert_eq!((read.start, read.filters_from, read.is_earlier), (3, 4, false));
        // What an earlier version has stored does not say by which rules.
        let earlier = stored.replace(",\"rules\":1", "");
        let earlier = Record::parse(&earlier, &key).unwrap().read(&one.subscription.id.to_string()).unwrap();
        assert!(earlier.is_earlier);
        let shown = Record { ended: Some(5), ..Record::of(&one) }.text_shown();
        assert!(hides(&shown), "{shown}");
        assert_eq!(Record::parse_shown(&shown).and_then(|record| record.ended), Some(5));
        let shown = Record::parse_shown(&stored).unwrap().read(&one.subscription.id.to_string()).unwrap();
        assert_eq!(shown.subscription, one.subscription);
        let Delivery::WebHook(webhook) = &shown.delivery else { panic!("a webhook") };
        assert!(webhook.address.starts_with("https://hook.example/in/…?… ("), "{}", webhook.address);
        // What an earlier version has stored as it was is read, and shown masked.
        let mut earlier: Value = serde_json::from_str(&stored).unwrap();
        earlier["delivery"]["WebHook"]["address"] = "https://hook.example/in/k3y-0f-mine".into();
        earlier.as_object_mut().unwrap().remove("shown_address");
        let earlier = earlier.to_string();
        assert!(Record::parse(&earlier, &key).is_ok());
        let Some(Delivery::WebHook(webhook)) = Record::parse_shown(&earlier).map(|record| record.delivery)
        else {
            panic!("a webhook")
        };
        assert!(webhook.address.starts_with("https://hook.example/in/… ("), "{}", webhook.address);
    }

    #[test]
    fn only_the_text_form_of_an_id_is_one() {
        let id = SubscriptionId::from_bits(0x1234);
        assert_eq!(parse_id(&id.to_string()), Some(id));
        for text in ["", "1", "~", "00000000-0000-4000-8000-00000000123", "00000000000040008000000000001234"]
        {
            assert_eq!(parse_id(text), None, "{text}");
        }
        assert_eq!(parse_id("00000000-0000-1000-8000-000000001234"), None, "no version 4");
    }
}
