use super::HeaderName;

/// Reason why the bytes of a capture are not a SIP message that can be used.
///
/// Offsets count bytes from the start of the datagram, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SipError {
    /// Nothing but line ends or zero bytes: a keep-alive (RFC 5626 §3.5.1), not damage.
    #[error("datagram holds no message")]
    Empty,
    /// The message is longer than 4 GiB, which no transport carries.
    #[error("message has {actual} bytes")]
    TooLong {
        /// The length, in bytes.
        actual: usize,
    },
    /// The first line is neither `method SP uri SP version` nor `version SP status SP reason`
    /// (RFC 3261 §7.1, §7.2).
    #[error("start line is malformed at byte {offset}")]
    BadStartLine {
        /// Offset at which reading stopped.
        offset: usize,
    },
    /// The first line names a protocol version other than SIP/2.0.
    #[error("start line is not SIP/2.0 at byte {offset}")]
    BadVersion {
        /// Start of the version.
        offset: usize,
    },
    /// The status is not three digits between 100 and 699 (RFC 3261 §7.2).
    #[error("status is not between 100 and 699 at byte {offset}")]
    BadStatus {
        /// Start of the status.
        offset: usize,
    },
    /// The Request-URI is not one (RFC 3261 §19.1.1), or carries headers, which it must not (§8.1.1.1).
    #[error("request uri is malformed at byte {offset}")]
    BadRequestUri {
        /// Offset at which reading stopped.
        offset: usize,
    },
    /// No empty line ends the header block: the message was cut. A request is not used then, since what is
    /// missing may say whose call it is; nor is a response of which too little is there.
    #[error("header block has no end")]
    UnterminatedHeaders,
    /// A header without which a message belongs to no transaction or dialog (RFC 3261 §8.1.1).
    #[error("header {name} is missing")]
    MissingHeader {
        /// Name of the header.
        name: HeaderName,
    },
    /// A header that is there but cannot be understood.
    #[error("header {name} is malformed at byte {offset}")]
    MalformedHeader {
        /// Name of the header.
        name: HeaderName,
        /// Offset at which reading stopped.
        offset: usize,
    },
    /// A header of which a message has one appears again, so that its meaning is open.
    #[error("header {name} appears more than once")]
    RepeatedHeader {
        /// Name of the header.
        name: HeaderName,
    },
    /// The CSeq of a request names another method than its start line (RFC 3261 §8.1.1.5).
    #[error("header CSeq names another method than the start line")]
    MethodMismatch,
}

/// Position where a single value stopped making sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value is malformed at byte {at}")]
pub struct Malformed {
    /// Bytes from the start of the value, from 0.
    pub at: usize,
}

impl Malformed {
    /// Counts from the start of what the value was cut out of.
    pub(super) const fn after(self, start: usize) -> Self {
        Self { at: start + self.at }
    }
}
