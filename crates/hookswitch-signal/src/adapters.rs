//! List of the switches that report their own calls: each [`Adapter`] with its tracker.

use std::ops::{Deref, DerefMut};

use hookswitch_model::AccountId;
use serde::{Deserialize, Serialize};

use crate::switch::{Adapter, SwitchTracker};
use crate::{ami, ari, esl};

/// Declares the adapters: a name, the adapter itself, and its tracker.
macro_rules! adapters {
    ($($(#[$doc:meta])* $name:ident($adapter:expr, $tracker:ty),)+) => {
        /// A kind of switch that reports its own calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Switch {
            $($(#[$doc])* $name,)+
        }

        impl Switch {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns what is known of the kind.
            pub const fn adapter(self) -> &'static dyn Adapter {
                match self {
                    $(Self::$name => &$adapter,)+
                }
            }

            /// A tracker for one such switch, whose legs are numbered in `source`, and whose calls are those of an
            /// account.
            pub fn tracker(self, account: AccountId, source: u16) -> AnyTracker {
                match self {
                    $(Self::$name => AnyTracker::$name(Box::new(<$tracker>::new(account, source))),)+
                }
            }
        }

        /// Tracker of one switch, with its type beside it so that it can be saved and read.
        #[derive(Serialize, Deserialize)]
        pub enum AnyTracker {
            $($(#[$doc])* $name(Box<$tracker>),)+
        }

        impl Deref for AnyTracker {
            type Target = dyn SwitchTracker;

            fn deref(&self) -> &Self::Target {
                match self {
                    $(Self::$name(tracker) => &**tracker,)+
                }
            }
        }

        impl DerefMut for AnyTracker {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self {
                    $(Self::$name(tracker) => &mut **tracker,)+
                }
            }
        }
    };
}

// Saved states name them by their places: a new one comes last.
adapters! {
    /// Asterisk, by its manager (AMI).
    Ami(ami::Ami, ami::AmiTracker),
    /// FreeSWITCH, by its event socket (ESL).
    Esl(esl::Esl, esl::EslTracker),
    /// Asterisk, by its REST interface (ARI).
    Ari(ari::Ari, ari::AriTracker),
}

impl Switch {
    /// The kind with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|switch| switch.adapter().name() == name)
    }

    /// The kind of whose connection a file is a transcript, by its first bytes.
    pub fn of_transcript(start: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|switch| switch.adapter().begins_transcript(start))
    }

    /// Its place in the list, from 0.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_adapter_is_found_by_its_name_and_no_two_have_one() {
        let names: BTreeSet<&str> = Switch::ALL.iter().map(|switch| switch.adapter().name()).collect();
        assert_eq!(names.len(), Switch::ALL.len());
        for &switch in Switch::ALL {
            assert_eq!(Switch::named(switch.adapter().name()), Some(switch));
            assert_eq!(Switch::ALL[switch.index()], switch);
        }
        assert_eq!(Switch::named("hep"), None);
    }

    #[test]
    fn a_transcript_is_known_by_its_first_bytes_as_that_of_one_adapter() {
        let at = hookswitch_model::Timestamp::from_micros(1_700_000_000_500_000);
        for &switch in Switch::ALL {
            let mut entry = Vec::new();
            switch.adapter().write_entry(at, br#"{"type": "Dial"}"#, &mut entry);
            let known: Vec<Switch> = Switch::ALL
                .iter()
                .copied()
                .filter(|other| other.adapter().begins_transcript(&entry))
                .collect();
            assert_eq!(known, [switch]);
        }
        assert_eq!(Switch::of_transcript(b"INVITE sip:102@192.0.2.1 SIP/2.0\r\n"), None);
    }
}
