//! Numbering plans of all countries, and how numbers are dialled there.

use std::fmt;
use std::sync::LazyLock;

/// The longest prefix by which a block of numbers is told.
const PREFIX_MAX: usize = 8;

static PLANS: LazyLock<Plans> = LazyLock::new(|| Plans::read(include_str!("plans.tsv")));

/// A country (or region with a plan of its own), by its two letters in ISO 3166-1.
#[derive(Clone, Copy)]
pub struct Country(&'static Dialling);

impl Country {
    /// Finds a country by its two letters, in any case; `UK` stands for `GB`.
    pub fn find(letters: &str) -> Option<Self> {
        let letters = letters.to_ascii_uppercase();
        let letters = if letters == "UK" { "GB" } else { letters.as_str() };
        let countries = &PLANS.countries;
        let at = countries.binary_search_by(|country| country.letters.cmp(letters)).ok()?;
        Some(Self(&countries[at]))
    }

    /// Gives the two letters.
    pub fn letters(self) -> &'static str {
        self.0.letters
    }

    /// Gives the country code, the digits behind the `+`.
    pub fn code(self) -> &'static str {
        self.0.code
    }

    pub(super) fn dialling(self) -> &'static Dialling {
        self.0
    }
}

impl PartialEq for Country {
    fn eq(&self, other: &Self) -> bool {
        self.letters() == other.letters()
    }
}

impl Eq for Country {}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letters())
    }
}

/// Dialling habits of a country.
#[derive(Debug)]
pub(super) struct Dialling {
    letters: &'static str,
    pub(super) code: &'static str,
    /// Digits dialled for another country.
    pub(super) international: Vec<Shape>,
    /// Digits dialled before a number of the country.
    pub(super) national: Vec<Rewriting>,
    /// From how many digits on a number without any prefix is one of the country, and no local one.
    pub(super) whole_from: usize,
    /// People dial fixed or mobile numbers without any prefix.
    pub(super) dials_whole: bool,
}

/// The numbers behind one country code.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) code: &'static str,
    /// The letters of the country that the code is mostly used for.
    main: &'static str,
    /// Numbers that could be given out.
    possible: Blocks,
    /// Numbers of the kinds that are given out.
    assigned: Blocks,
}

impl Numbers {
    /// Finds the country code that digits begin with, and what follows it.
    pub(super) fn behind(digits: &[u8]) -> Option<(&'static Self, &[u8])> {
        // No code begins with another one (ITU-T E.164 §6.1).
        (1..=3.min(digits.len())).find_map(|length| Some((Self::of(&digits[..length])?, &digits[length..])))
    }

    /// Finds the numbers of a country code.
    pub(super) fn of(code: &[u8]) -> Option<&'static Self> {
        let numbers = &PLANS.numbers;
        let at = numbers.binary_search_by(|numbers| numbers.code.as_bytes().cmp(code)).ok()?;
        Some(&numbers[at])
    }

    /// The country that the code is mostly used for; none for the codes of no country, such as 800.
    pub(super) fn main_country(&self) -> Option<Country> {
        Country::find(self.main)
    }

    /// Tests whether a national number is of a kind that is given out.
    pub(super) fn is_assigned(&self, number: &[u8]) -> bool {
        self.assigned.have(number)
    }

    /// Tests whether a national number could be given out.
    pub(super) fn is_possible(&self, number: &[u8]) -> bool {
        self.possible.have(number)
    }
}

/// Classes of digits, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape(Box<[Class]>);

/// A set of digits: bit n is set if digit n is in it.
type Class = u16;

impl Shape {
    /// Reads `[0-35]` as a class, `.` as any digit, and a digit as itself.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut classes = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            classes.push(match byte {
                b'.' => 0x3ff,
                b'[' => Self::read_class(&mut bytes)?,
                _ => bit(byte)?,
            });
        }
        Some(Self(classes.into()))
    }

    /// Reads a class behind its bracket.
    fn read_class(bytes: &mut impl Iterator<Item = u8>) -> Option<Class> {
        let (mut class, mut last) = (0, b'0');
        loop {
            match bytes.next()? {
                b']' => return Some(class),
                b'-' => {
                    let end = bytes.next()?;
                    class |= (last..=end).filter_map(bit).fold(0, |all, bit| all | bit);
                }
                byte => {
                    class |= bit(byte)?;
                    last = byte;
                }
            }
        }
    }

    /// Gives what follows the shape at the beginning of digits, if they begin so.
    pub(super) fn strip<'a>(&self, digits: &'a [u8]) -> Option<&'a [u8]> {
        let (begin, rest) = digits.split_at_checked(self.0.len())?;
        begins(&self.0, begin).then_some(rest)
    }

    /// Tests whether it takes no digit.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn bit(digit: u8) -> Option<Class> {
    digit.is_ascii_digit().then(|| 1 << (digit - b'0'))
}

fn begins(classes: &[Class], digits: &[u8]) -> bool {
    classes.iter().zip(digits).all(|(class, digit)| class >> (digit - b'0') & 1 == 1)
}

/// One way in which a national number is dialled, and how it is told from that: `strip(keep)drop>insert`
/// becomes `insert`, what stands in place of `keep`, and the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewriting {
    pub(super) strip: Shape,
    pub(super) keep: Shape,
    pub(super) drop: Shape,
    pub(super) insert: Box<str>,
}

impl Rewriting {
    fn read(text: &str) -> Option<Self> {
        let (text, insert) = text.split_once('>').unwrap_or((text, ""));
        let (strip, rest) = text.split_once('(').unwrap_or((text, ")"));
        let (keep, drop) = rest.split_once(')')?;
        Some(Self {
            strip: Shape::read(strip)?,
            keep: Shape::read(keep)?,
            drop: Shape::read(drop)?,
            insert: insert.into(),
        })
    }

    /// Takes a prefix off.
    pub(super) fn strip(prefix: &str) -> Option<Self> {
        Some(Self { strip: Shape::read(prefix)?, ..Self::default() })
    }

    /// Gives the three parts of the national number, if digits are dialled in this way.
    pub(super) fn apply<'a>(&'a self, digits: &'a [u8]) -> Option<[&'a [u8]; 3]> {
        let digits = self.strip.strip(digits)?;
        let rest = self.keep.strip(digits)?;
        let kept = &digits[..digits.len() - rest.len()];
        Some([self.insert.as_bytes(), kept, self.drop.strip(rest)?])
    }

    /// Tests whether it only takes a prefix off.
    pub(super) fn is_prefix(&self) -> bool {
        self.keep.is_empty() && self.drop.is_empty() && self.insert.is_empty()
    }
}

/// Blocks of numbers, ordered by their first digit.
#[derive(Debug, Default)]
struct Blocks {
    blocks: Vec<Block>,
    /// Place where the blocks of each first digit end.
    ends: [u16; 10],
}

/// Numbers that begin alike.
#[derive(Debug)]
struct Block {
    prefix: [Class; PREFIX_MAX],
    prefix_length: u8,
    /// Bit n is set if numbers of n digits are in it.
    lengths: u32,
}

impl Blocks {
    /// Reads blocks such as `6[0-35]:7,9-10`: a prefix, and how many digits its numbers have.
    fn read(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for block in text.split(' ').filter(|block| !block.is_empty()) {
            let (prefix, lengths) = block.split_once(':')?;
            let shape = Shape::read(prefix)?;
            let mut prefix = [0; PREFIX_MAX];
            prefix.get_mut(..shape.0.len())?.copy_from_slice(&shape.0);
            let lengths = lengths.split(',').try_fold(0, |all, span| {
                let (first, last) = span.split_once('-').unwrap_or((span, span));
                let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
                Some((first..=last).fold(all, |all, length| all | 1 << length))
            })?;
            all.blocks.push(Block { prefix, prefix_length: shape.0.len() as u8, lengths });
            let first = shape.0.first()?.trailing_zeros() as usize;
            for end in all.ends.get_mut(first..)? {
                *end = all.blocks.len() as u16;
            }
        }
        Some(all)
    }

    fn have(&self, number: &[u8]) -> bool {
        let Some(first) = number.first().map(|digit| usize::from(digit - b'0')) else { return false };
        let start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        let length = 1u32.checked_shl(number.len() as u32).unwrap_or_default();
        self.blocks[usize::from(start)..usize::from(self.ends[first])].iter().any(|block| {
            block.lengths & length != 0 && begins(&block.prefix[..usize::from(block.prefix_length)], number)
        })
    }
}

/// All of it, read from the table.
#[derive(Debug)]
struct Plans {
    /// By country code.
    numbers: Vec<Numbers>,
    /// By letters.
    countries: Vec<Dialling>,
}

impl Plans {
    fn read(table: &'static str) -> Self {
        let mut plans = Self { numbers: Vec::new(), countries: Vec::new() };
        for row in table.lines() {
            let cells: Vec<&'static str> = row.split('\t').collect();
            if row.starts_with('+') {
                plans.numbers.extend(Self::numbers(&cells));
            } else {
                plans.countries.extend(Self::dialling(&cells));
            }
        }
        plans.numbers.sort_unstable_by_key(|numbers| numbers.code);
        plans
    }

    fn numbers(cells: &[&'static str]) -> Option<Numbers> {
        let &[code, main, possible, assigned] = cells else { return None };
        let code = code.strip_prefix('+')?;
        Some(Numbers { code, main, possible: Blocks::read(possible)?, assigned: Blocks::read(assigned)? })
    }

    fn dialling(cells: &[&'static str]) -> Option<Dialling> {
        let &[letters, code, international, national, whole_from, dials_whole] = cells else { return None };
        let words = |cell: &'static str| cell.split(' ').filter(|word| !word.is_empty());
        Some(Dialling {
            letters,
            code,
            international: words(international).map(Shape::read).collect::<Option<_>>()?,
            national: words(national).map(Rewriting::read).collect::<Option<_>>()?,
            whole_from: whole_from.parse().ok()?,
            dials_whole: dials_whole == "whole",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        let table = include_str!("plans.tsv");
        let rows = |first: fn(&u8) -> bool| {
            table.lines().filter(|row| row.bytes().next().is_some_and(|byte| first(&byte))).count()
        };
        assert_eq!(PLANS.numbers.len(), rows(|&byte| byte == b'+'));
        assert_eq!(PLANS.countries.len(), rows(u8::is_ascii_uppercase));
        assert_eq!(PLANS.countries.len() + PLANS.numbers.len() + 1, table.lines().count());
        assert!(PLANS.countries.is_sorted_by_key(|country| country.letters));
        assert!(PLANS.countries.iter().all(|country| Numbers::of(country.code.as_bytes()).is_some()));
        assert!(
            PLANS.numbers.iter().all(|numbers| numbers.main == "001" || numbers.main_country().is_some())
        );
    }

    #[test]
    fn a_shape_takes_what_it_says() {
        let shape = Shape::read("0[1-35].").expect("a shape");
        assert_eq!(shape.strip(b"0549"), Some(&b"9"[..]));
        assert_eq!(shape.strip(b"0449"), None);
        assert_eq!(shape.strip(b"05"), None);
        for wrong in ["x", "[12", "0*"] {
            assert_eq!(Shape::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_number_is_assigned_by_its_block_and_its_length() {
        let spain = Numbers::of(b"34").expect("Spain");
        assert!(spain.is_assigned(b"912345678") && spain.is_assigned(b"612345678"));
        assert!(
            !spain.is_assigned(b"91234567") && !spain.is_assigned(b"212345678") && !spain.is_assigned(b"")
        );
        assert!(spain.is_possible(b"992345678") && !spain.is_assigned(b"992345678"));
    }
}
