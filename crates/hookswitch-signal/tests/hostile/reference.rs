//! A second reader of header rows and session descriptions, line by line and byte by byte, to compare the one with
//! that looks at many bytes at once. The fuzz targets use it too.

use hookswitch_signal::sip::{HeaderName, MediaDirection, MediaKind, Message};

/// Compares what both readers make of some bytes, if they are a message.
///
/// # Panics
/// If they differ.
pub fn compare(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    let Some(rows) = rows(bytes) else { return };
    for (name, _) in &rows {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let same = |other: &[u8]| match HeaderName::recognise(name.as_bytes()) {
            Some(known) => HeaderName::recognise(other) == Some(known),
            None => other.eq_ignore_ascii_case(name.as_bytes()),
        };
        let expected: Vec<&[u8]> =
            rows.iter().filter(|(other, _)| same(other)).map(|&(_, value)| value).collect();
        assert_eq!(message.headers(name).collect::<Vec<_>>(), expected, "{name}");
    }
    compare_description(&message);
}

/// The rows of the header block; none if it has no end.
fn rows(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let start = bytes.iter().position(|byte| !b"\r\n\0".contains(byte))?;
    let mut lines = bytes[start..].split_inclusive(|&byte| byte == b'\n').skip(1).peekable();
    let mut at = start + bytes[start..].iter().position(|&byte| byte == b'\n')? + 1;
    let mut rows = Vec::new();
    loop {
        let line = lines.next()?;
        let from = at;
        at += line.len();
        if matches!(line, b"\n" | b"\r\n") {
            return Some(rows);
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = &line[..colon];
        let blanks = name.iter().rev().take_while(|byte| b" \t".contains(byte)).count();
        let name = &name[..colon - blanks];
        if name.first().is_none_or(|first| b" \t\r\n".contains(first)) {
            continue;
        }
        while let Some(folded) = lines.next_if(|line| line.starts_with(b" ") || line.starts_with(b"\t")) {
            at += folded.len();
        }
        rows.push((name, trimmed(&bytes[from + colon + 1..at])));
    }
}

fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && b" \t\r\n".contains(first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && b" \t\r\n".contains(last)
    {
        bytes = rest;
    }
    bytes
}

/// What is compared of a media: its kind, port, direction, and where it is to be sent.
type Seen<'a> = (&'a [u8], u16, MediaDirection, Option<&'a [u8]>);

fn compare_description(message: &Message<'_>) {
    let is_one = message.content_type().is_some_and(|content| content.is("application", "sdp"));
    let Some(description) = message.sdp().filter(|_| is_one) else { return };
    let kind = |kind: MediaKind<'_>| match kind {
        MediaKind::Audio => b"audio".to_vec(),
        MediaKind::Video => b"video".to_vec(),
        MediaKind::Text => b"text".to_vec(),
        MediaKind::Application => b"application".to_vec(),
        MediaKind::Message => b"message".to_vec(),
        MediaKind::Image => b"image".to_vec(),
        MediaKind::Other(kind) => kind.to_vec(),
    };
    let read: Vec<_> = description
        .media()
        .map(|media| {
            let address = media.connection().map(|connection| connection.address);
            (kind(media.kind()), media.port(), media.direction(), address)
        })
        .collect();
    let expected: Vec<_> = media(message.body())
        .into_iter()
        .map(|(kind, port, way, to)| (kind.to_vec(), port, way, to))
        .collect();
    assert_eq!(read, expected);
}

fn media(body: &[u8]) -> Vec<Seen<'_>> {
    let mut sections: Vec<Vec<&[u8]>> = vec![Vec::new()];
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"m=") {
            sections.push(Vec::new());
        }
        sections.last_mut().expect("there is one").push(trimmed(line));
    }
    let session = sections.remove(0);
    let way = |lines: &[&[u8]]| {
        lines.iter().rev().find_map(|line| match *line {
            b"a=sendrecv" => Some(MediaDirection::SendRecv),
            b"a=sendonly" => Some(MediaDirection::SendOnly),
            b"a=recvonly" => Some(MediaDirection::RecvOnly),
            b"a=inactive" => Some(MediaDirection::Inactive),
            _ => None,
        })
    };
    sections
        .iter()
        .filter_map(|lines| {
            let mut fields = words(&lines[0][2..]);
            let (kind, port, _) = (fields.next()?, fields.next()?, fields.next()?);
            let digits = port.split(|&byte| byte == b'/').next()?;
            let digits =
                std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
            let direction = way(lines).or_else(|| way(&session)).unwrap_or_default();
            Some((kind, digits.parse().ok()?, direction, address(lines).or_else(|| address(&session))))
        })
        .collect()
}

/// Returns where the first `c=` line says that media are to be sent.
fn address<'a>(lines: &[&'a [u8]]) -> Option<&'a [u8]> {
    let value = lines.iter().find_map(|line| line.strip_prefix(b"c="))?;
    let address = words(value).nth(2)?;
    address.split(|&byte| byte == b'/').next()
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b' ').filter(|word| !word.is_empty())
}
