use super::text::{decimal, trim};
use crate::byte_set::ByteSet;

/// A session description: which media its sender offers or accepts (RFC 8866).
///
/// Reads its media when asked; what is not understood is passed over.
#[derive(Clone, Copy, Debug)]
pub struct Sdp<'a> {
    /// What stands before the first `m=`.
    session: Section<'a>,
    /// The rest.
    media: &'a [u8],
}

/// Lines up to the next `m=`, and what they say of direction and connection.
#[derive(Clone, Copy, Debug, Default)]
struct Section<'a> {
    lines: &'a [u8],
    direction: Option<MediaDirection>,
    connection: Option<Connection<'a>>,
}

impl<'a> Section<'a> {
    /// Walks the lines once up to the next `m=` behind the first line, and gives the rest.
    fn read(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let (mut direction, mut connection) = (None, None);
        let mut at = 0;
        while at < bytes.len() {
            let end = LINE_END.find(bytes, at);
            match trim(&bytes[at..end]) {
                // A repeated direction replaces what came before, and of connections the first counts.
                [b'a', b'=', name @ ..] => direction = MediaDirection::named(name).or(direction),
                [b'c', b'=', value @ ..] => connection = connection.or(Some(value)),
                _ => {}
            }
            at = end + 1;
            if bytes.get(at..at + 2) == Some(b"m=") {
                break;
            }
        }
        let (lines, rest) = bytes.split_at(at.min(bytes.len()));
        (Self { lines, direction, connection: connection.and_then(Connection::parse) }, rest)
    }
}

/// Direction of media, as the sender of the description sees it (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MediaDirection {
    /// It only receives.
    RecvOnly,
    /// Both ways; what is meant when nothing is said.
    #[default]
    SendRecv,
    /// It only sends: the peer is on hold.
    SendOnly,
    /// Neither.
    Inactive,
}

/// Kind of media (RFC 8866 §5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind<'a> {
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Text, as typed.
    Text,
    /// Application data.
    Application,
    /// Message sessions (RFC 4975).
    Message,
    /// Facsimile (RFC 3362).
    Image,
    /// Any other, as spelled.
    Other(&'a [u8]),
}

/// Address that media are to be sent to (RFC 8866 §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connection<'a> {
    /// `IP4` or `IP6`, as spelled.
    pub address_type: &'a [u8],
    /// The address without TTL and count.
    pub address: &'a [u8],
}

/// Maker and version of the description (RFC 8866 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin<'a> {
    /// The user name, or `-`.
    pub username: &'a [u8],
    /// The id of the session; with name and address unique.
    pub session_id: &'a [u8],
    /// Rises with each change of the description (RFC 3264 §8).
    pub version: &'a [u8],
    /// The address of the maker.
    pub address: &'a [u8],
}

impl<'a> Sdp<'a> {
    /// Divides a description into session and media.
    pub fn new(body: &'a [u8]) -> Self {
        let (session, media) =
            if body.starts_with(b"m=") { (Section::default(), body) } else { Section::read(body) };
        Self { session, media }
    }

    /// Gives the media, in order.
    pub fn media(&self) -> impl Iterator<Item = Media<'a>> + use<'a> {
        let (session, mut rest) = (self.session, self.media);
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (section, tail) = Section::read(rest);
                rest = tail;
                if let Some(media) = Media::parse(section, &session) {
                    return Some(media);
                }
            }
            None
        })
    }

    /// Gives the first audio that is not refused (port 0).
    pub fn audio(&self) -> Option<Media<'a>> {
        self.media().find(|media| media.kind == MediaKind::Audio && media.is_active())
    }

    /// Gives the direction of the first audio that is not refused.
    pub fn direction(&self) -> Option<MediaDirection> {
        self.audio().map(|audio| audio.direction())
    }

    /// Tells whether the sender puts its peer on hold: the first audio is `sendonly` or `inactive`
    /// (RFC 3264 §8.4), or is to be sent nowhere (0.0.0.0 or ::), as RFC 2543 did it.
    pub fn is_held_by_offerer(&self) -> bool {
        self.audio().is_some_and(|audio| audio.is_held_by_offerer())
    }

    /// Tells whether a facsimile is offered or accepted: T.38 that is not refused.
    pub fn is_t38(&self) -> bool {
        self.media().any(|media| media.is_t38() && media.is_active())
    }

    /// Gives the `o=` line.
    pub fn origin(&self) -> Option<Origin<'a>> {
        let mut fields = fields(line(self.session.lines, b'o')?);
        let (username, session_id, version) = (fields.next()?, fields.next()?, fields.next()?);
        let address = fields.nth(2)?;
        Some(Origin { username, session_id, version, address })
    }

    /// Gives the connection of the session, which holds for all media that have none of their own.
    pub const fn connection(&self) -> Option<Connection<'a>> {
        self.session.connection
    }

    /// Finds an attribute of the session: `a=name` or `a=name:value`.
    pub fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        attribute(self.session.lines, name)
    }
}

/// One media of a description: an `m=` line and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Media<'a> {
    lines: &'a [u8],
    direction: MediaDirection,
    connection: Option<Connection<'a>>,
    kind: MediaKind<'a>,
    port: u16,
    proto: &'a [u8],
    formats: &'a [u8],
}

impl<'a> Media<'a> {
    /// Reads a section that begins with `m=`; what it does not say holds for the session.
    fn parse(section: Section<'a>, session: &Section<'a>) -> Option<Self> {
        let lines = section.lines;
        let value = line(lines, b'm')?;
        let (kind, rest) = first_field(value)?;
        let (port, rest) = first_field(rest)?;
        let (proto, formats) = first_field(rest)?;
        let kind = MediaKind::from_bytes(kind);
        let digits = port.split(|&byte| byte == b'/').next().unwrap_or_default();
        let port = decimal(digits).and_then(|port| u16::try_from(port).ok())?;
        let direction = section.direction.or(session.direction).unwrap_or_default();
        let connection = section.connection.or(session.connection);
        Some(Self { lines, direction, connection, kind, port, proto, formats })
    }

    /// Gives what is carried.
    pub const fn kind(&self) -> MediaKind<'a> {
        self.kind
    }

    /// Gives the port; 0 means refused or switched off (RFC 3264 §6, §8.2).
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Tells whether the media is not refused.
    ///
    /// A bundled media has port 0 as well, but is marked `a=bundle-only` (RFC 9143 §6).
    pub fn is_active(&self) -> bool {
        self.port != 0 || self.attribute("bundle-only").is_some()
    }

    /// Gives the transport, such as `RTP/AVP`, as spelled.
    pub const fn proto(&self) -> &'a [u8] {
        self.proto
    }

    /// Gives the formats, such as RTP payload types.
    pub fn formats(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        fields(self.formats)
    }

    /// Gives the direction: that of the media, else that of the session, else both ways.
    pub const fn direction(&self) -> MediaDirection {
        self.direction
    }

    /// Gives the connection: that of the media, else that of the session.
    pub const fn connection(&self) -> Option<Connection<'a>> {
        self.connection
    }

    /// Tells whether the sender puts its peer on hold with this media; see [`Sdp::is_held_by_offerer`].
    pub fn is_held_by_offerer(&self) -> bool {
        matches!(self.direction(), MediaDirection::SendOnly | MediaDirection::Inactive)
            || self.connection().is_some_and(|connection| connection.is_unspecified())
    }

    /// Tells whether this is a facsimile over T.38 (RFC 3362).
    pub fn is_t38(&self) -> bool {
        self.kind == MediaKind::Image && self.formats().any(|format| format.eq_ignore_ascii_case(b"t38"))
    }

    /// Finds an attribute of the media: `a=name` or `a=name:value`.
    pub fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        attribute(self.lines, name)
    }
}

impl MediaDirection {
    const fn named(attribute: &[u8]) -> Option<Self> {
        match attribute {
            b"sendrecv" => Some(Self::SendRecv),
            b"sendonly" => Some(Self::SendOnly),
            b"recvonly" => Some(Self::RecvOnly),
            b"inactive" => Some(Self::Inactive),
            _ => None,
        }
    }
}

impl<'a> MediaKind<'a> {
    const fn from_bytes(kind: &'a [u8]) -> Self {
        match kind {
            b"audio" => Self::Audio,
            b"video" => Self::Video,
            b"text" => Self::Text,
            b"application" => Self::Application,
            b"message" => Self::Message,
            b"image" => Self::Image,
            other => Self::Other(other),
        }
    }
}

impl<'a> Connection<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let mut fields = fields(value);
        let address_type = fields.nth(1)?;
        let address = fields.next()?.split(|&byte| byte == b'/').next()?;
        Some(Self { address_type, address })
    }

    /// Tells whether nothing can be sent there: 0.0.0.0 or ::.
    pub fn is_unspecified(&self) -> bool {
        let is_digit_or_dot = |byte: &u8| matches!(byte, b'0' | b'.' | b':');
        !self.address.is_empty() && self.address.iter().all(is_digit_or_dot)
    }
}

/// Gives the lines without their line ends.
fn lines(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = section;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let line;
        (line, rest) = rest.split_at(LINE_END.find(rest, 0));
        rest = rest.get(1..).unwrap_or_default();
        Some(trim(line))
    })
}

/// Finds the value of the first line of a type.
fn line(section: &[u8], kind: u8) -> Option<&[u8]> {
    lines(section).find_map(|line| match line {
        [first, b'=', value @ ..] if *first == kind => Some(value),
        _ => None,
    })
}

fn attribute<'a>(section: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(section).find_map(|line| {
        let rest = line.strip_prefix(b"a=")?.strip_prefix(name.as_bytes())?;
        match rest {
            [] => Some(rest),
            [b':', value @ ..] => Some(value),
            _ => None,
        }
    })
}

fn fields(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b' ').filter(|field| !field.is_empty())
}

/// Splits off the first field; `None` when there is none.
fn first_field(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = value.iter().position(|&byte| byte != b' ')?;
    let value = &value[start..];
    Some(value.split_at(BLANK.find(value, 0)))
}

const LINE_END: ByteSet<1> = ByteSet::of(b"\n");

const BLANK: ByteSet<1> = ByteSet::of(b" ");

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(lines: &str) -> Sdp<'_> {
        Sdp::new(lines.as_bytes())
    }

    #[test]
    fn hold_is_said_by_direction_or_by_an_address_that_is_none() {
        for (description, held) in [
            ("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n", false),
            ("v=0\r\na=sendonly\r\nm=audio 4000 RTP/AVP 0\r\n", true),
            ("v=0\r\na=sendonly\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n", false),
            ("v=0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\n", true),
            ("v=0\r\nm=audio 4000 RTP/AVP 0\r\na=recvonly\r\n", false),
            ("v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n", true),
            ("v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1/127\r\n", false),
            ("v=0\nc=IN IP6 ::\nm=audio 4000 RTP/AVP 0\n", true),
            // The audio is refused: nothing is said about hold.
            ("v=0\r\nm=audio 0 RTP/AVP 0\r\na=inactive\r\n", false),
            // What video does is not what the call does.
            ("v=0\r\nm=video 9 RTP/AVP 31\r\na=inactive\r\nm=audio 4000 RTP/AVP 0\r\n", false),
        ] {
            assert_eq!(audio(description).is_held_by_offerer(), held, "{description}");
        }
    }

    #[test]
    fn media_and_origin_are_read_by_their_fields() {
        let sdp = audio(
            "v=0\r\no=- 8811 3 IN IP4 192.0.2.9\r\nm=audio 4000/2 RTP/SAVP 0 101\r\na=ptime:20\r\n\
             m=image 4010 udptl t38\r\nm=broken\r\nm=video 0 RTP/AVP 31\r\n",
        );
        let origin = sdp.origin().unwrap();
        assert_eq!((origin.session_id, origin.version), (&b"8811"[..], &b"3"[..]));
        assert_eq!(origin.address, b"192.0.2.9");
        let kinds: Vec<_> = sdp.media().map(|media| (media.kind(), media.port())).collect();
        assert_eq!(kinds, [(MediaKind::Audio, 4000), (MediaKind::Image, 4010), (MediaKind::Video, 0)]);
        let first = sdp.audio().unwrap();
        assert_eq!(first.proto(), b"RTP/SAVP");
        assert_eq!(first.formats().collect::<Vec<_>>(), [&b"0"[..], b"101"]);
        assert_eq!(first.attribute("ptime"), Some(&b"20"[..]));
        assert!(sdp.is_t38());
        assert_eq!(first.connection(), None);
    }
}
