//! The identifiers of the API and their text forms (contract events §3).
//!
//! Nothing here makes an id: where randomness or a hash is needed, it is an argument.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! decimal_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u64);

        impl $name {
            /// Takes the number whose decimal digits are the text form.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number whose decimal digits are the text form.
            pub const fn as_u64(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

decimal_id! {
    /// An account: one customer of the phone system. Part of every key.
    AccountId
}
decimal_id! {
    /// An extension of an account: a user, a menu, a queue.
    ExtensionId
}
decimal_id! {
    /// A device (a phone) of an extension.
    DeviceId
}
decimal_id! {
    /// A recording that was started on a party.
    RecordingId
}
decimal_id! {
    /// The `sessionId` of the API: the decimal companion of a [`TelephonySessionId`].
    ///
    /// Two sessions of one account never differ by 1000, 2000, 3000 or 4000, because widely used
    /// client code takes such a pair for the two legs of a RingOut (contract events §3).
    SessionId
}
decimal_id! {
    /// The `uuid` of a notification: a positive number of 63 bits, unique for each event and
    /// subscription (contract events §1).
    NotificationId
}

impl AccountId {
    /// The last three digits, which every `sessionId` of the account ends with.
    pub const fn suffix(self) -> u64 {
        self.0 % 1000
    }
}

/// The `telephonySessionId` of the API: `s-` and 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TelephonySessionId(u128);

/// Distance between the ids of a session and of the one in which its call goes on: any odd number will do, and
/// 2^128 divided by the golden ratio spreads them best.
const RESUMPTION: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

impl TelephonySessionId {
    /// Reads the text form, `s-` and 32 hexadecimal digits in lower case; none if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("s-")?;
        let plain = digits.len() == 32
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        plain.then(|| u128::from_str_radix(digits, 16).ok()).flatten().map(Self::new)
    }

    /// Takes the 128 bits that the digits spell.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits that the digits spell.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The 32 digits.
    pub fn digits(self) -> HexDigits {
        HexDigits::new(self.0)
    }

    /// The id of the session in which a call goes on whose session was ended for silence.
    #[must_use]
    pub const fn resumed(self) -> Self {
        Self(self.0.wrapping_add(RESUMPTION))
    }

    /// The id of the session that this one goes on from, if it is one that goes on.
    #[must_use]
    pub const fn resumed_from(self) -> Self {
        Self(self.0.wrapping_sub(RESUMPTION))
    }

    /// The id of the party with this number; the caller is number 1.
    pub const fn party(self, number: u32) -> PartyId {
        PartyId { session: self, number }
    }
}

impl fmt::Display for TelephonySessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s-{}", self.digits().as_str())
    }
}

impl fmt::Debug for TelephonySessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// 128 bits in 32 lower-case hexadecimal digits, on the stack.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct HexDigits([u8; 32]);

impl HexDigits {
    /// Writes the digits.
    pub fn new(bits: u128) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        Self(text)
    }

    /// The digits as bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digits.
    #[expect(clippy::missing_panics_doc, reason = "only ASCII is written")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is written")
    }
}

/// The id of a party: `p-`, the digits of its session, `-` and its number in the session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartyId {
    /// The session in which the party was created.
    pub session: TelephonySessionId,
    /// Counts from 1 in the order in which the parties of the session were created.
    pub number: u32,
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p-{}-{}", self.session.digits().as_str(), self.number)
    }
}

impl fmt::Debug for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a subscription: a lower-case UUID of version 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubscriptionId(u128);

impl SubscriptionId {
    /// Takes 128 bits, of which the six that name version and variant are overwritten
    /// (RFC 9562 §5.4).
    pub const fn from_bits(bits: u128) -> Self {
        let version = (bits & !(0xf << 76)) | (4 << 76);
        Self((version & !(0x3 << 62)) | (0x2 << 62))
    }

    /// The 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

/// Writes 128 bits as a UUID (RFC 9562 §4).
fn write_uuid(bits: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        (bits >> 80) & 0xffff,
        (bits >> 64) & 0xffff,
        (bits >> 48) & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

/// The id of an action on a call: a lower-case UUID of version 4, which also names the channel that it places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ActionId(u128);

impl ActionId {
    /// Takes 128 bits, of which the six that name version and variant are overwritten.
    pub const fn from_bits(bits: u128) -> Self {
        Self(SubscriptionId::from_bits(bits).as_u128())
    }

    /// Reads the text form; none if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|&letter| letter != '-').collect();
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| plain && digits.len() == 32)?;
        let read = Self::from_bits(bits);
        (read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(self.0, f)
    }
}

impl From<ActionId> for String {
    fn from(id: ActionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ActionId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("it is no id of an action")
    }
}

/// A leg as its source counts it: one connection between the phone system and one end of a call.
///
/// Sources number their legs in the order in which they see them, so the same input gives the same
/// numbers. What other sources may call the same leg is told by [`crate::Alias`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LegId(u64);

impl LegId {
    /// Takes the number of the source (0 to 65,535) and the number of the leg in that source
    /// (below 2^48; higher bits are cut).
    pub const fn new(source: u16, number: u64) -> Self {
        Self(((source as u64) << 48) | (number & 0xffff_ffff_ffff))
    }

    /// The number of the source.
    pub const fn source(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The number of the leg in its source.
    pub const fn number(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }
}

/// The input that caused a signal: a packet of a capture, a datagram, a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InputRef {
    /// Input, counted from 0 in the order in which the inputs were named.
    pub source: u16,
    /// Message of that input, counted from 1 in the order in which they were read.
    pub number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_forms_of_the_contract() {
        let session = TelephonySessionId::new(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(session.to_string(), "s-00112233445566778899aabbccddeeff");
        assert_eq!(session.party(2).to_string(), "p-00112233445566778899aabbccddeeff-2");
        assert_eq!(SubscriptionId::from_bits(u128::MAX).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(SubscriptionId::from_bits(0).to_string(), "00000000-0000-4000-8000-000000000000");
        let action = ActionId::from_bits(0x1122_3344_5566_4788_99aa_bbcc_ddee_ff00);
        assert_eq!(action.to_string(), "11223344-5566-4788-99aa-bbccddeeff00");
        assert_eq!(ActionId::parse(&action.to_string()), Some(action));
        for wrong in ["", "112233445566478899aabbccddeeff00", "11223344-5566-4788-99AA-bbccddeeff00"] {
            assert_eq!(ActionId::parse(wrong), None, "{wrong}");
        }
        assert_eq!("310001016".parse::<AccountId>().unwrap().suffix(), 16);
    }
}
