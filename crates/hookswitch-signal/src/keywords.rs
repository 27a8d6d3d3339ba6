//! The words of a switch that are known, found by their lengths.

/// Declares an enum of words, each spelled as its name or as `= "text"` says, with `ALL` and `read`.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident $(= $text:literal)?),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($word),+ }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$word),+];
            const TEXTS: [&'static str; Self::ALL.len()] = [$($crate::keywords::text!($word $(= $text)?)),+];

            /// The word with these bytes.
            fn read(bytes: &[u8]) -> Option<Self> {
                const N: usize = $name::ALL.len();
                const { assert!(N < 256) };
                static TEXTS: [&str; N] = $name::TEXTS;
                static BY_LENGTH: $crate::keywords::ByLength<N> = $crate::keywords::ByLength::new(&TEXTS);
                BY_LENGTH.find(&TEXTS, bytes).map(|place| Self::ALL[place])
            }
        }
    };
}

macro_rules! text {
    ($word:ident) => {
        stringify!($word)
    };
    ($word:ident = $text:literal) => {
        $text
    };
}

pub(crate) use {text, words};

/// No word is as long.
const LENGTH_MAX: usize = 64;

/// The places of words in a list, in the order of their lengths. Most of what a switch says are words that
/// nobody asks for, so they are told apart by as little as that.
pub(crate) struct ByLength<const N: usize> {
    places: [u8; N],
    /// Beginning of the words of each length.
    starts: [u8; LENGTH_MAX + 1],
}

impl<const N: usize> ByLength<N> {
    pub(crate) const fn new(texts: &[&str; N]) -> Self {
        let (mut places, mut starts) = ([0; N], [0; LENGTH_MAX + 1]);
        let (mut count, mut length) = (0, 0);
        while length < LENGTH_MAX {
            starts[length] = count as u8;
            let mut place = 0;
            while place < N {
                assert!(texts[place].len() < LENGTH_MAX);
                if texts[place].len() == length {
                    places[count] = place as u8;
                    count += 1;
                }
                place += 1;
            }
            length += 1;
        }
        starts[LENGTH_MAX] = count as u8;
        Self { places, starts }
    }

    /// The place of a word in the list.
    pub(crate) fn find(&self, texts: &[&str; N], bytes: &[u8]) -> Option<usize> {
        let (from, to) = (self.starts.get(bytes.len())?, self.starts.get(bytes.len() + 1)?);
        let places = self.places[usize::from(*from)..usize::from(*to)].iter();
        let last = bytes.last();
        // Words of one length often begin alike, and seldom end so.
        let is_it = |word: &[u8]| word.last() == last && word == bytes;
        places.map(|place| usize::from(*place)).find(|place| is_it(texts[*place].as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = ["bb", "a", "ccc", "dd", "e"];
    const BY_LENGTH: ByLength<5> = ByLength::new(&TEXTS);

    #[test]
    fn each_word_is_found_and_nothing_else() {
        for (place, text) in TEXTS.iter().enumerate() {
            assert_eq!(BY_LENGTH.find(&TEXTS, text.as_bytes()), Some(place));
        }
        for other in ["", "b", "bd", "cc", "cccc", &"x".repeat(63), &"x".repeat(64), &"x".repeat(65)] {
            assert_eq!(BY_LENGTH.find(&TEXTS, other.as_bytes()), None);
        }
    }
}
