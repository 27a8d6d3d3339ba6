//! The table of rights: what a user, and the application that acts for them, may do to whom.
//!
//! REST, subscriptions of every transport, streams, presence, the console and redeliveries ask this table and no
//! other: [`Rights::may`] for one action, [`Rights::hearing`] for all that a subscription hears of.

use hookswitch_core::filter::EventFilter;
use hookswitch_core::subscription::{DisabledFilter, Hearing, Subscription, Suspension, Transport};
use hookswitch_model::{AccountId, ExtensionId};

use crate::auth::{ConsoleRole, Identity, Problem, Scope};
use crate::config;

/// An action on what belongs to an extension, or to the account as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reads the account itself.
    ReadAccount,
    /// Reads an extension.
    ReadExtension,
    /// Reads the devices of an extension.
    ReadDevices,
    /// Reads telephony sessions.
    ReadCalls,
    /// Hears of telephony sessions as they change.
    HearCalls,
    /// Acts on telephony sessions.
    ControlCalls,
    /// Reads the call log.
    ReadCallLog,
    /// Reads presence.
    ReadPresence,
    /// Hears of presence as it changes.
    HearPresence,
    /// Is told by webhook.
    UseWebHook,
    /// Is told over a WebSocket.
    UseWebSocket,
    /// Sees all of the account in the console: calls, why events came about, and who was told.
    SeeConsole,
    /// Acts on what the console shows: tests, renews, pauses, deletes, redelivers.
    OperateConsole,
}

/// Reach of an action beyond the own extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Those of all in the account.
    Account,
    /// Those of all in the account with the role of an administrator; of calls, a setting opens them to everyone.
    Role {
        /// Set if the setting opens it.
        calls: bool,
    },
    /// The whole account, with this role in the console or a higher one; the application is the console.
    Console(ConsoleRole),
}

impl Action {
    /// Returns what a subscription with this transport takes.
    pub const fn of(transport: Transport) -> Self {
        match transport {
            Transport::WebHook => Self::UseWebHook,
            Transport::WebSocket => Self::UseWebSocket,
        }
    }

    /// All actions, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::ReadAccount,
        Self::ReadExtension,
        Self::ReadDevices,
        Self::ReadCalls,
        Self::HearCalls,
        Self::ControlCalls,
        Self::ReadCallLog,
        Self::ReadPresence,
        Self::HearPresence,
        Self::UseWebHook,
        Self::UseWebSocket,
        Self::SeeConsole,
        Self::OperateConsole,
    ];

    /// The row of the table: the permission that application and user need, and whose things it reaches.
    const fn row(self) -> (Scope, Reach) {
        const CALLS: Reach = Reach::Role { calls: true };
        match self {
            Self::ReadAccount | Self::ReadExtension => (Scope::ReadAccounts, Reach::Account),
            Self::ReadDevices => (Scope::ReadAccounts, Reach::Role { calls: false }),
            Self::ReadCalls | Self::HearCalls => (Scope::CallControl, CALLS),
            Self::ControlCalls => (Scope::CallControl, Reach::Role { calls: false }),
            Self::ReadCallLog => (Scope::ReadCallLog, CALLS),
            Self::ReadPresence | Self::HearPresence => (Scope::ReadPresence, CALLS),
            Self::UseWebHook => (Scope::SubscriptionWebhook, Reach::Account),
            Self::UseWebSocket => (Scope::WebSocketsSubscription, Reach::Account),
            Self::SeeConsole => (Scope::CallControl, Reach::Console(ConsoleRole::ReadOnly)),
            Self::OperateConsole => (Scope::CallControl, Reach::Console(ConsoleRole::Full)),
        }
    }
}

/// The reason why an action is denied; the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is about another account.
    OtherAccount,
    /// The application lacks a permission.
    Application(Scope),
    /// The user lacks a permission.
    User(Scope),
    /// It is about another extension, and the user has no role for that.
    OtherExtension,
    /// It is about the whole account, and the user has no role for that.
    WholeAccount,
    /// The console is closed to the user.
    NoConsole,
    /// The user may see, and not act.
    ReadOnly,
}

impl Denied {
    /// The error code of a filter that is denied (contract subscriptions §3).
    pub const fn filter_code(self) -> &'static str {
        match self {
            Self::OtherAccount => "SUB-406",
            Self::Application(_) => "CMN-401",
            Self::User(_) => "CMN-408",
            Self::OtherExtension | Self::WholeAccount | Self::NoConsole | Self::ReadOnly => "SUB-412",
        }
    }

    /// Returns `true` if a role is all that is missing.
    pub const fn is_reach(self) -> bool {
        matches!(self, Self::OtherExtension | Self::WholeAccount)
    }

    /// The reason, as a sentence.
    pub fn sentence(self) -> String {
        match self {
            Self::OtherAccount => "This belongs to another account".to_owned(),
            Self::Application(scope) => {
                format!("This action needs the [{}] application permission", scope.name())
            }
            Self::User(scope) => format!("This action needs the [{}] user permission", scope.name()),
            Self::OtherExtension => {
                "This belongs to another extension, and only an administrator of the account may see it"
                    .to_owned()
            }
            Self::WholeAccount => "Only an administrator of the account may see this".to_owned(),
            Self::NoConsole => "The console is closed to this user".to_owned(),
            Self::ReadOnly => "The role is read-only".to_owned(),
        }
    }
}

impl From<Denied> for Problem {
    /// The answer of a resource (contract auth §6).
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::OtherAccount => Self::not_found(),
            Denied::Application(scope) => Self::scope_missing(scope.name()),
            Denied::User(scope) => Self::permission_missing(scope.name()),
            Denied::OtherExtension => Self::other_extension(),
            Denied::WholeAccount => Self::admin_only(),
            Denied::NoConsole => Self::no_console(),
            Denied::ReadOnly => Self::read_only(),
        }
    }
}

/// The table, with what the configuration opens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rights {
    /// Set if calls of the whole account are open to all of its users.
    calls_for_everyone: bool,
    /// Set if subscriptions from before the rule of roles end with it.
    close_earlier: bool,
}

impl Rights {
    /// The table as the configuration has it.
    pub fn of(config: &config::Rights) -> Self {
        Self {
            calls_for_everyone: config.account_calls == config::AccountCalls::Everyone,
            close_earlier: config.earlier_subscriptions == config::EarlierSubscriptions::Close,
        }
    }

    /// Decides whether an action may be done to what belongs to an extension; to the whole account, if none is given.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn may(
        self,
        who: &Identity,
        action: Action,
        account: AccountId,
        extension: Option<ExtensionId>,
    ) -> Result<(), Denied> {
        let (scope, reach) = action.row();
        // The console is part of the server, and no application that is granted anything.
        if !matches!(reach, Reach::Console(_)) && !who.scopes.has(scope) {
            return Err(Denied::Application(scope));
        }
        if !who.permissions.has(scope) {
            return Err(Denied::User(scope));
        }
        if account != who.account {
            return Err(Denied::OtherAccount);
        }
        let open = match reach {
            Reach::Account => true,
            Reach::Role { calls } => who.admin || calls && self.calls_for_everyone,
            Reach::Console(wanted) => match (who.console, wanted) {
                (ConsoleRole::None, _) => return Err(Denied::NoConsole),
                (ConsoleRole::ReadOnly, ConsoleRole::Full) => return Err(Denied::ReadOnly),
                (ConsoleRole::ReadOnly | ConsoleRole::Full, _) => true,
            },
        };
        if open || extension == Some(who.extension) {
            return Ok(());
        }
        Err(if extension.is_some() { Denied::OtherExtension } else { Denied::WholeAccount })
    }

    /// The same table, open to everyone in what a role opens.
    const fn without_roles(self) -> Self {
        Self { calls_for_everyone: true, ..self }
    }

    /// Decides about a filter; what asks for nothing of anybody may always be.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn may_filter(self, who: &Identity, filter: &EventFilter) -> Result<(), Denied> {
        match asked_for(filter) {
            Some((action, account, extension)) => self.may(who, action, account, extension),
            None => Ok(()),
        }
    }

    /// Returns what a subscription hears of at this moment. Without an identity its owner or its application is gone, or
    /// disabled, for the reason that is given. One from before the rule of roles keeps what that takes, unless the
    /// configuration closes it; the second value tells whether it has kept anything so.
    pub fn hearing(
        self,
        who: Result<&Identity, &str>,
        subscription: &Subscription,
        is_earlier: bool,
    ) -> (Hearing, bool) {
        let who = match who {
            Ok(who) => who,
            Err(reason) => return (suspended(reason), false),
        };
        let action = Action::of(subscription.transport);
        if let Err(denied) = self.may(who, action, subscription.owner.account, Some(who.extension)) {
            return (suspended(&denied.sentence()), false);
        }
        self.filtered(who, &subscription.filters, is_earlier)
    }

    /// The same of some filters, whatever carries what they let pass.
    pub fn filtered(self, who: &Identity, filters: &[EventFilter], is_earlier: bool) -> (Hearing, bool) {
        let lenient = if is_earlier && !self.close_earlier { self.without_roles() } else { self };
        let (mut disabled, mut keeps, mut others) = (Vec::new(), false, false);
        for (index, filter) in filters.iter().enumerate() {
            let denied = lenient.may_filter(who, filter).err();
            keeps |= denied.is_none() && self.may_filter(who, filter).is_err();
            match denied {
                Some(denied) => disabled.push(DisabledFilter {
                    index,
                    code: denied.filter_code(),
                    message: denied.sentence().into(),
                }),
                None => others |= !matches!(filter, EventFilter::Reminder { .. }),
            }
        }
        if let Some(first) = disabled.first().filter(|_| !others) {
            return (suspended(&first.message), false);
        }
        let hears_all = |action| lenient.may(who, action, who.account, None).is_ok();
        let whole_account = hears_all(Action::HearCalls) || hears_all(Action::HearPresence);
        (Hearing { suspension: None, disabled, whole_account }, keeps)
    }
}

/// Nothing is heard, for a reason.
fn suspended(reason: &str) -> Hearing {
    Hearing { suspension: Some(Suspension { reason: reason.into() }), ..Hearing::default() }
}

/// Returns what a filter asks for: the action, and of whom; none for reminders and for events that never come.
pub fn asked_for(filter: &EventFilter) -> Option<(Action, AccountId, Option<ExtensionId>)> {
    match filter {
        EventFilter::TelephonySessions(filter) => {
            Some((Action::HearCalls, filter.account(), filter.extension()))
        }
        EventFilter::Calls(filter) => Some((Action::HearPresence, filter.account(), filter.extension())),
        EventFilter::Reminder { .. } | EventFilter::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookswitch_core::filter::Own;
    use hookswitch_core::subscription::{Owner, SubscriptionStatus};
    use hookswitch_model::{SubscriptionId, Timestamp};

    use super::*;
    use crate::auth::Scopes;

    const OWN: AccountId = AccountId::new(1);
    const OTHER: AccountId = AccountId::new(2);
    const ANN: ExtensionId = ExtensionId::new(101);
    const BO: ExtensionId = ExtensionId::new(102);

    fn user(admin: bool) -> Identity {
        let console = if admin { ConsoleRole::Full } else { ConsoleRole::None };
        Identity {
            account: OWN,
            extension: ANN,
            scopes: Scopes::ALL,
            permissions: Scopes::ALL,
            admin,
            console,
        }
    }

    fn without(scope: Scope) -> Scopes {
        Scopes::ALL.iter().filter(|&other| other != scope).collect()
    }

    fn subscription(texts: &[&str], transport: Transport) -> Subscription {
        let own = Own { account: OWN, extension: ANN };
        Subscription {
            id: SubscriptionId::from_bits(1),
            owner: Owner {
                account: OWN,
                extension: ANN,
                client_id: "app".into(),
                generation: Box::default(),
            },
            transport,
            filters: texts.iter().map(|text| EventFilter::parse(text, own).expect("a filter")).collect(),
            created: Timestamp::from_micros(0),
            lifetime: Duration::from_secs(60),
            expires: Timestamp::from_micros(60_000_000),
            standing: SubscriptionStatus::Active,
            paused: None,
            hearing: Hearing::default(),
        }
    }

    const ACCOUNT: &str = "/restapi/v1.0/account/~/telephony/sessions";
    const MINE: &str = "/restapi/v1.0/account/~/extension/~/telephony/sessions";
    const BOS: &str = "/restapi/v1.0/account/~/extension/102/telephony/sessions";
    const REMINDER: &str = "/restapi/v1.0/subscription/~?threshold=20&interval=10";

    #[test]
    fn a_user_reaches_the_own_extension_and_an_administrator_the_account() {
        let rights = Rights::default();
        let role = [Action::ReadDevices, Action::ReadCalls, Action::HearCalls, Action::ControlCalls]
            .into_iter()
            .chain([Action::ReadCallLog, Action::ReadPresence, Action::HearPresence]);
        for action in role {
            assert_eq!(rights.may(&user(false), action, OWN, Some(ANN)), Ok(()), "{action:?}");
            assert_eq!(
                rights.may(&user(false), action, OWN, Some(BO)),
                Err(Denied::OtherExtension),
                "{action:?}"
            );
            assert_eq!(rights.may(&user(false), action, OWN, None), Err(Denied::WholeAccount), "{action:?}");
            for extension in [Some(ANN), Some(BO), None] {
                assert_eq!(rights.may(&user(true), action, OWN, extension), Ok(()), "{action:?}");
            }
        }
    }

    #[test]
    fn no_action_reaches_another_account_or_does_without_a_permission() {
        let open = Rights { calls_for_everyone: true, close_earlier: false };
        for action in Action::ALL {
            let (scope, _) = action.row();
            for rights in [Rights::default(), open] {
                for extension in [None, Some(ANN), Some(BO)] {
                    let may = |who: &Identity, account| rights.may(who, action, account, extension);
                    assert_eq!(may(&user(true), OTHER), Err(Denied::OtherAccount), "{action:?}");
                    let who = Identity { scopes: without(scope), ..user(true) };
                    let is_console = matches!(action, Action::SeeConsole | Action::OperateConsole);
                    let denied = if is_console { Ok(()) } else { Err(Denied::Application(scope)) };
                    assert_eq!(may(&who, OWN), denied, "{action:?}");
                    let who = Identity { permissions: without(scope), ..user(true) };
                    assert_eq!(may(&who, OWN), Err(Denied::User(scope)), "{action:?}");
                }
            }
        }
    }

    #[test]
    fn the_console_takes_a_role_of_its_own() {
        let rights = Rights::default();
        let reader = Identity { console: ConsoleRole::ReadOnly, ..user(false) };
        let full = Identity { console: ConsoleRole::Full, ..user(false) };
        let may = |who: &Identity, action| rights.may(who, action, OWN, None);
        assert_eq!(may(&user(false), Action::SeeConsole), Err(Denied::NoConsole));
        assert_eq!(may(&reader, Action::SeeConsole), Ok(()));
        assert_eq!(may(&reader, Action::OperateConsole), Err(Denied::ReadOnly));
        assert_eq!(may(&full, Action::OperateConsole), Ok(()));
        assert_eq!(may(&full, Action::HearCalls), Err(Denied::WholeAccount), "a role of the console alone");
    }

    #[test]
    fn the_setting_opens_calls_and_nothing_else() {
        let open = Rights { calls_for_everyone: true, close_earlier: false };
        let opened: Vec<Action> = Action::ALL
            .into_iter()
            .filter(|&action| open.may(&user(false), action, OWN, None).is_ok())
            .collect();
        let closed: Vec<Action> = Action::ALL
            .into_iter()
            .filter(|&action| Rights::default().may(&user(false), action, OWN, None).is_ok())
            .collect();
        assert_eq!(
            opened.iter().filter(|action| !closed.contains(action)).copied().collect::<Vec<_>>(),
            [
                Action::ReadCalls,
                Action::HearCalls,
                Action::ReadCallLog,
                Action::ReadPresence,
                Action::HearPresence
            ]
        );
    }

    #[test]
    fn a_filter_that_is_denied_is_disabled_while_others_remain() {
        let rights = Rights::default();
        let mixed = subscription(&[ACCOUNT, MINE, REMINDER, BOS], Transport::WebHook);
        let (hearing, _) = rights.hearing(Ok(&user(false)), &mixed, false);
        let disabled: Vec<_> = hearing.disabled.iter().map(|one| (one.index, one.code)).collect();
        assert_eq!((hearing.suspension, disabled), (None, vec![(0, "SUB-412"), (3, "SUB-412")]));
        let (hearing, _) = rights.hearing(Ok(&user(true)), &mixed, false);
        assert_eq!(hearing, Hearing { whole_account: true, ..Hearing::default() });
    }

    #[test]
    fn a_subscription_that_has_lost_every_filter_is_suspended_with_the_reason() {
        let rights = Rights::default();
        let account = subscription(&[ACCOUNT, REMINDER], Transport::WebHook);
        let lost = |who: Result<&Identity, &str>, one: &Subscription| {
            let (hearing, _) = rights.hearing(who, one, false);
            hearing.suspension.map(|suspension| suspension.reason.into_string()).unwrap_or_default()
        };
        assert!(lost(Ok(&user(false)), &account).contains("administrator"));
        assert_eq!(lost(Ok(&user(true)), &account), "");
        assert_eq!(lost(Err("The user is disabled"), &account), "The user is disabled");
        for (transport, scope) in [
            (Transport::WebHook, Scope::SubscriptionWebhook),
            (Transport::WebHook, Scope::CallControl),
            (Transport::WebSocket, Scope::WebSocketsSubscription),
            (Transport::WebSocket, Scope::CallControl),
        ] {
            let one = subscription(&[MINE], transport);
            let who = Identity { permissions: without(scope), ..user(true) };
            assert!(lost(Ok(&who), &one).contains(&format!("[{}] user", scope.name())), "{scope:?}");
            let who = Identity { scopes: without(scope), ..user(true) };
            assert!(lost(Ok(&who), &one).contains(&format!("[{}] application", scope.name())), "{scope:?}");
        }
    }

    #[test]
    fn a_subscription_from_before_the_rule_is_kept_and_marked_until_the_operator_closes_it() {
        let account = subscription(&[ACCOUNT], Transport::WebHook);
        let (hearing, keeps) = Rights::default().hearing(Ok(&user(false)), &account, true);
        assert_eq!((hearing.suspension, hearing.whole_account, keeps), (None, true, true));
        let (_, keeps) = Rights::default().hearing(Ok(&user(true)), &account, true);
        assert!(!keeps, "an administrator has the right anyway");
        let closing = Rights { calls_for_everyone: false, close_earlier: true };
        let (hearing, keeps) = closing.hearing(Ok(&user(false)), &account, true);
        assert!(hearing.suspension.is_some() && !keeps);
        // A permission that was taken away is no question of the rule.
        let who = Identity { permissions: without(Scope::CallControl), ..user(false) };
        let (hearing, _) = Rights::default().hearing(Ok(&who), &account, true);
        assert!(hearing.suspension.is_some());
    }
}
