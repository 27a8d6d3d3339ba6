//! The lifetime of a subscription: created, renewed, about to expire, blacklisted (contract
//! subscriptions §2).

use std::time::Duration;

use hookswitch_model::{AccountId, Event, ExtensionId, Logged, SubscriptionId, Timestamp};

use crate::filter::{EventFilter, FilterError, Projection, Projections, REMINDER_SECS_MIN};

/// The most subscriptions that a user may have with one application (contract subscriptions §3, SUB-505).
pub const PER_OWNER_MAX: usize = 30;

/// Owner of a subscription. Nobody else can see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The account of the user.
    pub account: AccountId,
    /// The extension of the user.
    pub extension: ExtensionId,
    /// The application by which the user subscribed.
    pub client_id: Box<str>,
    /// Generation: one of the users that had the extension one after the other.
    pub generation: Box<str>,
}

/// Transport of the notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A POST for each.
    WebHook,
    /// A frame for each, on a connection that the subscriber has opened.
    WebSocket,
}

impl Transport {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebHook => "WebHook",
            Self::WebSocket => "WebSocket",
        }
    }

    /// Returns how long a subscription lives for which so many seconds were asked: what is too long is cut,
    /// and nothing asked gives 7 days (24 hours for a WebSocket, which has no choice).
    pub fn lifetime(self, asked_secs: Option<u64>) -> Duration {
        const WEBHOOK_SECS_MAX: u64 = 315_360_000;
        Duration::from_secs(match self {
            Self::WebHook => asked_secs.unwrap_or(604_800).clamp(1, WEBHOOK_SECS_MAX),
            Self::WebSocket => 86_400,
        })
    }
}

/// Status: notifications are sent or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    /// They are.
    Active,
    /// The address has failed for too long. What is due waits in the log.
    Blacklisted(Blacklisting),
}

/// Since when and why an address is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blacklisting {
    /// Time when it was found to have failed for too long.
    pub since: Timestamp,
    /// Its last failure, in the words of the API.
    pub reason: String,
    /// Set if it said itself that it is gone for good (410); it is not tried again then, unless its
    /// owner renews the subscription.
    pub gone: bool,
}

/// Reason why nothing is sent to an owner who lacks the right to hear of anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The right that is missing, as a sentence.
    pub reason: Box<str>,
}

/// A filter without effect, because its owner lacks the right (contract subscriptions §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisabledFilter {
    /// Its place among the filters of the subscription.
    pub index: usize,
    /// An error code of the API.
    pub code: &'static str,
    /// The right that is missing, as a sentence.
    pub message: Box<str>,
}

/// Rights of the owner of a subscription to hear of events at this moment. The default is the own extension's
/// calls, by every filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Set when nothing may be sent. What is due waits in the log.
    pub suspension: Option<Suspension>,
    /// The filters without effect, in their order.
    pub disabled: Vec<DisabledFilter>,
    /// Set if calls of the whole account may be told, and not those of the own extension alone.
    pub whole_account: bool,
}

/// A subscription: whose, for what, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Owner.
    pub owner: Owner,
    /// Transport of its notifications.
    pub transport: Transport,
    /// Filters; one that lets an event pass is enough for it to be told, once.
    pub filters: Vec<EventFilter>,
    /// Time when it was created.
    pub created: Timestamp,
    /// Time for which it lives from its creation or renewal.
    pub lifetime: Duration,
    /// Time when it ends unless it is renewed.
    pub expires: Timestamp,
    /// Status: notifications are sent or not.
    pub standing: SubscriptionStatus,
    /// Since when an operator has paused it. What is due waits in the log.
    pub paused: Option<Timestamp>,
    /// Rights of its owner to hear of events.
    pub hearing: Hearing,
}

/// The part of an account whose events may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    account: AccountId,
    /// None for the whole account.
    extension: Option<ExtensionId>,
}

impl Reach {
    /// Returns `true` if an event is of this part.
    pub fn covers(self, event: &Event) -> bool {
        let of_extension = self.extension.is_none_or(|own| event.party.extension == Some(own));
        event.session.account == self.account && of_extension
    }
}

impl Subscription {
    /// Starts its lifetime again, of the same length as before.
    pub fn renew(&mut self, now: Timestamp) {
        self.expires = now + self.lifetime;
    }

    /// The notifications that it receives of an event, one at least; none if none of its filters matches, or its
    /// owner may not hear of it.
    pub fn matching(&self, logged: &Logged) -> Option<Projections> {
        if !self.may_hear(&logged.event) {
            return None;
        }
        let all = Projection::all(self.active_filters(), &logged.event, logged.change.as_deref());
        Some(all).filter(|all| !all.is_empty())
    }

    /// Returns `true` if it hears of changes of the calls of extensions.
    pub fn wants_changes(&self) -> bool {
        self.filters.iter().any(|filter| matches!(filter, EventFilter::Calls(_)))
    }

    /// The filters that have effect: none while nothing may be sent.
    pub fn active_filters(&self) -> impl Iterator<Item = &EventFilter> {
        let disabled = |index| self.hearing.disabled.iter().any(|one| one.index == index);
        let sends = !self.is_withheld();
        self.filters.iter().enumerate().filter(move |&(index, _)| sends && !disabled(index)).map(|(_, it)| it)
    }

    /// Returns `true` if the owner has the right to hear of an event, whatever the filters.
    pub fn may_hear(&self, event: &Event) -> bool {
        self.reach().is_some_and(|reach| reach.covers(event))
    }

    /// The part of the account of which the owner has the right to hear; none while nothing may be sent.
    pub fn reach(&self) -> Option<Reach> {
        let extension = (!self.hearing.whole_account).then_some(self.owner.extension);
        (!self.is_withheld()).then_some(Reach { account: self.owner.account, extension })
    }

    /// Returns `true` if an operator, or the lack of a right, withholds all notifications.
    pub const fn is_withheld(&self) -> bool {
        self.paused.is_some() || self.hearing.suspension.is_some()
    }

    /// Returns `true` if nothing is sent at the moment, for whatever reason.
    pub fn is_stopped(&self) -> bool {
        self.is_withheld() || self.is_blacklisted()
    }

    /// Returns `true` if its lifetime is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }

    /// The whole seconds that it has left.
    pub fn expires_in_secs(&self, now: Timestamp) -> u64 {
        self.expires.since(now).as_secs()
    }

    /// Returns `true` if it is blacklisted.
    pub fn is_blacklisted(&self) -> bool {
        matches!(self.standing, SubscriptionStatus::Blacklisted(_))
    }

    /// Returns the time when the first reminder after this time is due; none if none was asked for, or the end comes
    /// first.
    pub fn next_reminder(&self, after: Timestamp) -> Option<Timestamp> {
        let due = |filter: &EventFilter| {
            let &EventFilter::Reminder { threshold_secs, interval_secs } = filter else { return None };
            let left = self.expires.as_micros().saturating_sub(micros(threshold_secs));
            let first = Timestamp::from_micros(left);
            if first > after {
                return Some(first);
            }
            let interval = micros(interval_secs).max(1);
            let passed = after.as_micros().saturating_sub(left) / interval + 1;
            Some(Timestamp::from_micros(left.saturating_add(passed.saturating_mul(interval))))
        };
        self.filters.iter().filter_map(due).min().filter(|&at| at < self.expires)
    }
}

/// Returns whether the reminders among the filters fit a lifetime: they begin in its second half.
///
/// # Errors
/// Names the first that does not.
pub fn check_reminders(filters: &[EventFilter], lifetime: Duration) -> Result<(), FilterError> {
    let unfit = filters.iter().find(|filter| match filter {
        EventFilter::Reminder { threshold_secs, .. } => *threshold_secs > lifetime.as_secs() / 2,
        _ => false,
    });
    unfit.map_or(Ok(()), |filter| {
        Err(FilterError::Reminder { filter: filter.to_string(), min: REMINDER_SECS_MIN })
    })
}

fn micros(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Own;

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    fn subscription(filters: &[&str], lifetime: u64) -> Subscription {
        let own = Own { account: AccountId::new(1), extension: ExtensionId::new(2) };
        let lifetime = Transport::WebHook.lifetime(Some(lifetime));
        Subscription {
            id: SubscriptionId::from_bits(1),
            owner: Owner {
                account: own.account,
                extension: own.extension,
                client_id: "app".into(),
                generation: Box::default(),
            },
            transport: Transport::WebHook,
            filters: filters.iter().map(|text| EventFilter::parse(text, own).unwrap()).collect(),
            created: secs(0),
            lifetime,
            expires: secs(0) + lifetime,
            standing: SubscriptionStatus::Active,
            paused: None,
            hearing: Hearing::default(),
        }
    }

    #[test]
    fn a_lifetime_is_cut_to_ten_years_and_is_seven_days_unless_asked_for() {
        let webhook = |asked| Transport::WebHook.lifetime(asked).as_secs();
        assert_eq!(webhook(None), 604_800);
        assert_eq!(webhook(Some(1)), 1);
        assert_eq!(webhook(Some(0)), 1);
        assert_eq!(webhook(Some(u64::MAX)), 315_360_000);
        assert_eq!(Transport::WebSocket.lifetime(Some(7)).as_secs(), 86_400);
    }

    #[test]
    fn a_subscription_ends_when_its_lifetime_is_over_and_starts_again_when_renewed() {
        let mut one = subscription(&["/restapi/v1.0/account/~/telephony/sessions"], 100);
        assert_eq!(one.expires_in_secs(Timestamp::from_micros(1)), 99);
        assert!(!one.is_expired(secs(99)) && one.is_expired(secs(100)));
        one.renew(secs(99));
        assert_eq!(one.expires_in_secs(secs(99)), 100);
        assert!(!one.is_expired(secs(198)) && one.is_expired(secs(199)));
    }

    #[test]
    fn reminders_come_from_the_threshold_on_in_their_interval_until_the_end() {
        let one = subscription(&["/restapi/v1.0/subscription/~?threshold=45&interval=20"], 100);
        let mut at = secs(0);
        let mut due = Vec::new();
        while let Some(next) = one.next_reminder(at) {
            due.push(next);
            at = next;
        }
        assert_eq!(due, [secs(55), secs(75), secs(95)]);
        assert_eq!(subscription(&["/restapi/v1.0/account/~/telephony/sessions"], 9).next_reminder(at), None);
    }

    #[test]
    fn reminders_that_begin_in_the_first_half_are_refused() {
        let one = subscription(&["/restapi/v1.0/subscription/~?threshold=50&interval=20"], 100);
        assert!(check_reminders(&one.filters, Duration::from_secs(100)).is_ok());
        let error = check_reminders(&one.filters, Duration::from_secs(99)).unwrap_err();
        assert_eq!(error.code(), "SUB-516");
    }
}
