use super::ContentType;
use super::header_table::{Row, Step, line_end};
use super::text::trim;

/// The parts of a multipart body (RFC 2046 §5.1).
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    boundary: &'a [u8],
    /// Bytes after the last delimiter that was read; `None` behind the closing one.
    rest: Option<&'a [u8]>,
}

/// One part of a multipart body.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    content_type: Option<ContentType<'a>>,
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Starts behind the first delimiter; a body without one has no parts.
    pub fn new(boundary: &'a [u8], body: &'a [u8]) -> Self {
        let rest = Some(body).filter(|_| !boundary.is_empty()).and_then(|body| {
            match next_delimiter(boundary, body) {
                Some(Delimiter { after, closing: false, .. }) => Some(&body[after..]),
                _ => None,
            }
        });
        Self { boundary, rest }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = self.rest?;
        let Some(delimiter) = next_delimiter(self.boundary, rest) else {
            // The closing delimiter was cut off.
            self.rest = None;
            return Some(Part::parse(rest));
        };
        self.rest = (!delimiter.closing).then_some(&rest[delimiter.after..]);
        Some(Part::parse(&rest[..delimiter.start]))
    }
}

impl<'a> Part<'a> {
    /// Reads the headers of a part, if it has any, up to the empty line.
    fn parse(part: &'a [u8]) -> Self {
        let mut at = 0;
        let mut content_type = None;
        loop {
            match Row::next(part, at, line_end(part)) {
                Step::Row(row) => {
                    if row.name.eq_ignore_ascii_case(b"Content-Type") || row.name.eq_ignore_ascii_case(b"c") {
                        content_type = ContentType::parse(trim(&part[row.value]));
                    }
                    at = row.next;
                }
                Step::End { body } => {
                    return Self { content_type, body: &part[body..] };
                }
                Step::Damaged { .. } | Step::Cut => {
                    return Self { content_type, body: &part[at..] };
                }
            }
        }
    }

    /// Gives the type of the part; `None` means plain text (RFC 2046 §5.2).
    pub const fn content_type(&self) -> Option<ContentType<'a>> {
        self.content_type
    }

    /// Gives what stands behind the headers of the part.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Finds the first body or part of a type, also in parts that have parts.
pub(super) fn find<'a>(
    content_type: ContentType<'a>,
    body: &'a [u8],
    kind: &str,
    subtype: &str,
) -> Option<&'a [u8]> {
    find_within(content_type, body, kind, subtype, DEPTH_MAX)
}

/// Number of multiparts that are opened inside one another. Each reads its bytes once more, so that this
/// bounds the time; a body seen in practice has two.
const DEPTH_MAX: usize = 4;

fn find_within<'a>(
    content_type: ContentType<'a>,
    body: &'a [u8],
    kind: &str,
    subtype: &str,
    depth: usize,
) -> Option<&'a [u8]> {
    if content_type.is(kind, subtype) {
        return Some(body);
    }
    if depth == 0 || !content_type.kind().eq_ignore_ascii_case(b"multipart") {
        return None;
    }
    let boundary = content_type.param("boundary")?;
    Parts::new(boundary, body)
        .find_map(|part| find_within(part.content_type()?, part.body(), kind, subtype, depth - 1))
}

struct Delimiter {
    /// Start of the line end before the delimiter, which belongs to it.
    start: usize,
    /// Start of the line after the delimiter.
    after: usize,
    closing: bool,
}

/// Finds the next line that is `--boundary` or `--boundary--`, white space behind it allowed.
fn next_delimiter(boundary: &[u8], bytes: &[u8]) -> Option<Delimiter> {
    let mut line = 0;
    while line < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[line..]).map_or(bytes.len(), |length| line + length + 1);
        if let Some(tail) =
            bytes[line..end].strip_prefix(b"--").and_then(|bytes| bytes.strip_prefix(boundary)).map(trim)
            && (tail.is_empty() || tail == b"--")
        {
            let before = &bytes[..line];
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            let before = before.strip_suffix(b"\r").unwrap_or(before);
            return Some(Delimiter { start: before.len(), after: end, closing: !tail.is_empty() });
        }
        line = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_before_the_line_end_of_their_delimiter() {
        let body = b"preamble\r\n--q7\r\nContent-Type: text/plain\r\n\r\none\r\n--q7 \r\n\r\ntwo\n--q7x\r\n--q7--\r\nepilogue";
        let parts: Vec<_> = Parts::new(b"q7", body).map(|part| part.body()).collect();
        assert_eq!(parts, [&b"one"[..], b"two\n--q7x"]);
        assert_eq!(Parts::new(b"", body).count(), 0);
        assert_eq!(Parts::new(b"other", body).count(), 0);
    }

    #[test]
    fn a_part_inside_a_part_is_found() {
        let outer = ContentType::parse(b"multipart/mixed;boundary=o").unwrap();
        let body =
            b"--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\ntext\r\n--i\r\n\
            c: application/sdp\r\n\r\nv=0\r\n--i--\r\n--o--\r\n";
        assert_eq!(find(outer, body, "application", "sdp"), Some(&b"v=0"[..]));
        assert_eq!(find(outer, body, "message", "sipfrag"), None);
    }
}
