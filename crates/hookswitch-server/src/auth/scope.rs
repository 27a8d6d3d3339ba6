//! Scopes of applications and permissions of users; both have the same words (contract auth §7).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One permission, of an application or of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Telephony sessions: to read them, to be told of them, to act on them.
    CallControl,
    /// Accounts, extensions and devices.
    ReadAccounts,
    /// The call log.
    ReadCallLog,
    /// Presence.
    ReadPresence,
    /// Subscriptions that are told by webhook.
    SubscriptionWebhook,
    /// Subscriptions that are told over a WebSocket.
    WebSocketsSubscription,
}

/// A word that is no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no permission; there are {all}", all = Scopes::ALL)]
pub struct UnknownScope(String);

impl Scope {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 6] = [
        Self::CallControl,
        Self::ReadAccounts,
        Self::ReadCallLog,
        Self::ReadPresence,
        Self::SubscriptionWebhook,
        Self::WebSocketsSubscription,
    ];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallControl => "CallControl",
            Self::ReadAccounts => "ReadAccounts",
            Self::ReadCallLog => "ReadCallLog",
            Self::ReadPresence => "ReadPresence",
            Self::SubscriptionWebhook => "SubscriptionWebhook",
            Self::WebSocketsSubscription => "WebSocketsSubscription",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    /// Reads a name in any of its published spellings.
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        match text {
            "TelephonySessions" => Ok(Self::CallControl),
            "WebSocket" | "WebSocketsSubscriptions" => Ok(Self::WebSocketsSubscription),
            _ => Self::ALL
                .into_iter()
                .find(|scope| scope.name() == text)
                .ok_or_else(|| UnknownScope(text.into())),
        }
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All there are.
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Returns `true` if it has this one.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// Its members, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |&scope| self.has(scope))
    }

    /// Reads the words of a request; those that are unknown are none.
    pub(crate) fn asked_for(text: &str) -> Self {
        text.split([' ', ',']).filter_map(|word| word.parse().ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        scopes.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Display for Scopes {
    /// The names with spaces between them, as a token answer has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { " " }, scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::name))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        words
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, UnknownScope>>()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_in_all_their_spellings_and_written_in_one() {
        let scopes = Scopes::asked_for("WebSocket TelephonySessions,ReadPresence Faxes");
        assert_eq!(scopes.to_string(), "CallControl ReadPresence WebSocketsSubscription");
        assert_eq!(Scopes::ALL.iter().count(), 6);
        let error = serde_json::from_str::<Scopes>(r#"["Faxes"]"#).unwrap_err().to_string();
        assert!(error.contains("\"Faxes\" is no permission; there are CallControl ReadAccounts"), "{error}");
    }
}
