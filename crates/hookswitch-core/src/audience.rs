//! The audience of events: who hears of each, and with which data, found without asking every subscription.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use hookswitch_model::{Logged, SubscriptionId};

use crate::filter::{FilterIndex, Match, Projections};
use crate::subscription::{Reach, Subscription};

/// Subscriptions by what they hear of. Every channel finds in it what [`Subscription::matching`] says of each.
#[derive(Debug)]
pub struct Audience {
    index: FilterIndex<SubscriptionId>,
    reaches: HashMap<SubscriptionId, Reach, RandomState>,
    matches: Vec<Match<SubscriptionId>>,
}

/// A subscription that hears of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Subscription.
    pub subscription: SubscriptionId,
    /// The notifications that it receives of the event: one at least.
    pub projections: Projections,
}

impl Default for Audience {
    fn default() -> Self {
        Self { index: FilterIndex::new(), reaches: HashMap::default(), matches: Vec::new() }
    }
}

impl Audience {
    /// Adds a subscription, or takes over other filters and rights of it.
    pub fn insert(&mut self, subscription: &Subscription) {
        let id = subscription.id;
        match subscription.reach() {
            Some(reach) => {
                self.reaches.insert(id, reach);
                self.index.insert(id, subscription.active_filters());
            }
            None => self.remove(id),
        }
    }

    /// Removes a subscription, if it is there.
    pub fn remove(&mut self, id: SubscriptionId) {
        self.index.remove(id);
        self.reaches.remove(&id);
    }

    /// Returns `true` if events are to come with the changes of the calls of extensions: somebody hears of them.
    pub fn wants_changes(&self) -> bool {
        self.index.wants_changes()
    }

    /// Replaces `listeners` by those of an event, in the order of their ids.
    pub fn find(&mut self, logged: &Logged, listeners: &mut Vec<Listener>) {
        listeners.clear();
        self.index.matches(&logged.event, logged.change.as_deref(), &mut self.matches);
        for found in self.matches.chunk_by(|one, next| one.subscription == next.subscription) {
            let subscription = found[0].subscription;
            if self.reaches.get(&subscription).is_some_and(|reach| reach.covers(&logged.event)) {
                let projections = found.iter().map(|found| found.projection).collect();
                listeners.push(Listener { subscription, projections });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hookswitch_model::{AccountId, Event, ExtensionId, SessionFacts, StatusCode, Timestamp};

    use super::*;
    use crate::filter::tests::{OWN, event};
    use crate::filter::{EventFilter, Own};
    use crate::presence::ActiveCalls;
    use crate::subscription::{
        DisabledFilter, Hearing, Owner, Subscription, SubscriptionStatus, Suspension, Transport,
    };

    fn subscription(id: u128, own: Own, filters: &[&str], hearing: Hearing) -> Subscription {
        let at = Timestamp::from_micros(0);
        Subscription {
            id: SubscriptionId::from_bits(id),
            owner: Owner {
                account: own.account,
                extension: own.extension,
                client_id: "app".into(),
                generation: Box::default(),
            },
            transport: Transport::WebHook,
            filters: filters
                .iter()
                .map(|text| EventFilter::parse(&format!("/restapi/v1.0/account/~/{text}"), own).expect(text))
                .collect(),
            created: at,
            lifetime: std::time::Duration::from_secs(60),
            expires: at,
            standing: SubscriptionStatus::Active,
            paused: None,
            hearing,
        }
    }

    /// Events of two accounts, with and without extensions, and with the changes of calls that they made.
    fn events() -> Vec<Logged> {
        let mut calls = ActiveCalls::default();
        let mut events = Vec::new();
        for account in [OWN.account, AccountId::new(7)] {
            for extension in [Some(OWN.extension), Some(ExtensionId::new(8)), None] {
                for code in [StatusCode::Proceeding, StatusCode::Answered, StatusCode::Disconnected] {
                    let mut one: Event = event();
                    one.session = Arc::new(SessionFacts { account, ..(*one.session).clone() });
                    one.party.extension = extension;
                    one.party.status.code = code;
                    let (event, position) = (Arc::new(one), events.len() as u64 + 1);
                    let change = calls.apply(&event, position).map(Arc::new);
                    events.push(Logged { position, arrival: event.at, event, change });
                }
            }
        }
        events
    }

    #[test]
    fn the_audience_of_an_event_is_all_whose_filters_match_it_and_who_may_hear_of_it() {
        let sessions = "telephony/sessions";
        let all = Hearing { whole_account: true, ..Hearing::default() };
        let suspension = Some(Suspension { reason: "a right is missing".into() });
        let disabled = vec![DisabledFilter { index: 0, code: "SUB-412", message: "no".into() }];
        let other = Own { account: AccountId::new(7), extension: ExtensionId::new(8) };
        let own_presence = "extension/~/presence?sipData=true";
        let mut all_of_them = vec![
            subscription(1, OWN, &[sessions], all.clone()),
            subscription(2, OWN, &[sessions], Hearing::default()),
            subscription(3, OWN, &[sessions, "extension/~/start-ring", own_presence], all.clone()),
            subscription(4, OWN, &[sessions], Hearing { suspension, ..all.clone() }),
            subscription(5, OWN, &[sessions, own_presence], Hearing { disabled, ..Hearing::default() }),
            subscription(6, OWN, &["presence", "telephony/sessions?statusCode=Answered"], all.clone()),
            subscription(7, other, &[sessions, "telephony/sessions?sipData=true"], Hearing::default()),
            subscription(8, other, &["presence"], all.clone()),
        ];
        all_of_them[5].paused = Some(Timestamp::from_micros(1));
        let mut audience = Audience::default();
        for one in &all_of_them {
            audience.insert(one);
        }
        let check = |audience: &mut Audience, all_of_them: &[Subscription]| {
            let (mut found, mut heard) = (Vec::new(), 0);
            for logged in events() {
                audience.find(&logged, &mut found);
                let matching = all_of_them.iter().filter_map(|one| {
                    Some(Listener { subscription: one.id, projections: one.matching(&logged)? })
                });
                assert_eq!(found, matching.collect::<Vec<_>>(), "{logged:?}");
                heard += found.len();
            }
            heard
        };
        let before = check(&mut audience, &all_of_them);
        // Filters and rights that change are taken over.
        all_of_them[5].paused = None;
        all_of_them[1].hearing = all;
        for one in &all_of_them {
            audience.insert(one);
        }
        assert!(check(&mut audience, &all_of_them) > before);
        assert!(audience.wants_changes());
        for one in all_of_them.drain(..) {
            audience.remove(one.id);
        }
        assert_eq!(check(&mut audience, &[]), 0);
        assert!(!audience.wants_changes());
    }
}
