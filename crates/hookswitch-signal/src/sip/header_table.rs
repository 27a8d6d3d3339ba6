use std::ops::Range;

use super::text::{is_space, skip_space, trim};
use super::{HeaderName, Layout};
use crate::byte_set::ByteSet;

/// The headers of one message: where the first row of each known one stands, and the block itself
/// for everything that is rare.
#[derive(Clone, Debug)]
pub(super) struct HeaderTable<'a> {
    /// The message up to the empty line that ends its headers; offsets count from its start.
    block: &'a [u8],
    layout: Known<'a>,
}

/// The layout of a message: of its reader, or of the message itself.
#[derive(Clone, Debug)]
enum Known<'a> {
    Lent(&'a Layout),
    Own(Box<Layout>),
}

impl std::ops::Deref for Known<'_> {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        match self {
            Self::Lent(layout) => layout,
            Self::Own(layout) => layout,
        }
    }
}

impl<'a> HeaderTable<'a> {
    /// The headers of a message with this layout.
    pub(super) fn new(message: &'a [u8], layout: &'a Layout) -> Self {
        Self { block: message.get(..layout.body()).unwrap_or_default(), layout: Known::Lent(layout) }
    }

    /// The same with a layout that nobody else keeps.
    pub(super) fn with_own(message: &'a [u8], layout: Layout) -> Self {
        let block = message.get(..layout.body()).unwrap_or_default();
        Self { block, layout: Known::Own(Box::new(layout)) }
    }

    /// Gives the layout.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Gives the first row of a header, without white space around it.
    pub(super) fn first(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.layout.first(name).map(|row| trim(self.block.get(row).unwrap_or_default()))
    }

    /// Tells where the first row of a header starts, in bytes from the start of the message.
    pub(super) fn offset(&self, name: HeaderName) -> usize {
        self.layout.first(name).map_or(0, |row| skip_space(self.block, row.start).min(row.end))
    }

    pub(super) fn is_repeated(&self, name: HeaderName) -> bool {
        self.layout.is_repeated(name)
    }

    /// Gives all rows of a header, in order.
    pub(super) fn rows(&self, name: HeaderName) -> Rows<'a> {
        let (block, at) = match self.layout.first(name) {
            Some(row) if self.is_repeated(name) => {
                (self.block, row_end(self.block, row.end, line_end(self.block)).unwrap_or(self.block.len()))
            }
            _ => (&[][..], 0),
        };
        Rows { first: self.first(name), name, block, at }
    }

    /// Gives all rows of a header by its name, known or not.
    pub(super) fn named<'n>(&self, name: &'n str) -> NamedRows<'a, 'n> {
        NamedRows(match HeaderName::recognise(name.as_bytes()) {
            Some(known) => Named::Known(self.rows(known)),
            None => Named::Other { name, block: self.block, at: self.layout.headers() },
        })
    }
}

/// The rows of one known header.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    first: Option<&'a [u8]>,
    name: HeaderName,
    block: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Rows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        scan(self.block, &mut self.at, |name| HeaderName::recognise(name) == Some(self.name))
    }
}

/// The rows of a header that was asked for by name, in order.
#[derive(Clone, Debug)]
pub struct NamedRows<'a, 'n>(Named<'a, 'n>);

#[derive(Clone, Debug)]
enum Named<'a, 'n> {
    Known(Rows<'a>),
    Other { name: &'n str, block: &'a [u8], at: usize },
}

impl<'a> Iterator for NamedRows<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            Named::Known(rows) => rows.next(),
            Named::Other { name, block, at } => {
                scan(block, at, |other| other.eq_ignore_ascii_case(name.as_bytes()))
            }
        }
    }
}

/// Finds the next row with a name that is wanted, and moves behind it.
fn scan<'a>(block: &'a [u8], at: &mut usize, wanted: impl Fn(&[u8]) -> bool) -> Option<&'a [u8]> {
    loop {
        match Row::next(block, *at, line_end(block)) {
            Step::Row(row) => {
                *at = row.next;
                if wanted(row.name) {
                    return Some(trim(&block[row.value]));
                }
            }
            Step::Damaged { next } => *at = next,
            Step::End { .. } | Step::Cut => return None,
        }
    }
}

/// One header row: a line and the lines folded into it (RFC 3261 §7.3.1).
pub(super) struct Row<'a> {
    pub(super) name: &'a [u8],
    /// Place where the value stands, with the white space around it.
    pub(super) value: Range<usize>,
    /// Start of the line after the row.
    pub(super) next: usize,
}

pub(super) enum Step<'a> {
    Row(Row<'a>),
    /// The empty line.
    End {
        body: usize,
    },
    /// A line without a name or a colon, which says nothing.
    Damaged {
        next: usize,
    },
    /// The bytes end before the line does.
    Cut,
}

impl<'a> Row<'a> {
    /// Reads the row that starts at `at`; `line_end` finds where the line ends that reaches a place.
    #[expect(clippy::inline_always, reason = "each row passes here, in one place")]
    #[inline(always)]
    pub(super) fn next(bytes: &'a [u8], at: usize, mut line_end: impl FnMut(usize) -> usize) -> Step<'a> {
        match bytes.get(at..) {
            None | Some([]) => return Step::Cut,
            Some([b'\r', b'\n', ..]) => return Step::End { body: at + 2 },
            Some([b'\n', ..]) => return Step::End { body: at + 1 },
            Some(_) => {}
        }
        let colon = NAME_END.find(bytes, at);
        match bytes.get(colon) {
            None => return Step::Cut,
            Some(b'\n') => return Step::Damaged { next: colon + 1 },
            Some(_) => {}
        }
        // A blank before the colon is allowed; one before the name is a fold of nothing.
        let mut name = &bytes[at..colon];
        while let [rest @ .., b' ' | b'\t'] = name {
            name = rest;
        }
        if name.first().is_none_or(|&first| is_space(first)) {
            return match line_end(colon) {
                end if end < bytes.len() => Step::Damaged { next: end + 1 },
                _ => Step::Cut,
            };
        }
        let Some(next) = row_end(bytes, colon + 1, line_end) else {
            return Step::Cut;
        };
        Step::Row(Row { name, value: colon + 1..next - 1, next })
    }
}

/// Finds where the row that reaches `at` ends: behind the first line end that no blank follows.
#[inline]
fn row_end(bytes: &[u8], mut at: usize, mut line_end: impl FnMut(usize) -> usize) -> Option<usize> {
    loop {
        at = line_end(at) + 1;
        match bytes.get(at) {
            Some(b' ' | b'\t') => {}
            None if at > bytes.len() => return None,
            _ => return Some(at),
        }
    }
}

/// Finds line ends one by one.
pub(super) fn line_end(bytes: &[u8]) -> impl Fn(usize) -> usize {
    |at| LINE_END.find(bytes, at)
}

/// End of a header's name, or of the line that has none.
const NAME_END: ByteSet<2> = ByteSet::of(b":\n");

const LINE_END: ByteSet<1> = ByteSet::of(b"\n");
