//! A number without what people and phones write around its digits.

/// The digits of the longest text that is looked at: a number, an outside line, a carrier and the prefix
/// for another country.
const DIGITS_MAX: usize = 32;

/// Codes that withhold the caller's number for one call, or show it (ETSI ETS 300 738).
const SERVICE_CODES: [&str; 2] = ["*31#", "#31#"];

/// A number as it stands in a message: its digits, and whether a `+` stands before them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cleaned {
    digits: [u8; DIGITS_MAX],
    length: usize,
    pub(super) has_plus: bool,
}

impl Cleaned {
    /// Takes the digits out of a text; none if it is a name, a feature code or too long.
    ///
    /// Left out are visual separators (RFC 3966 §5.1.1, and what people write besides), what is sent after
    /// the call is set up (a pause, `p` or `w`, and all behind it), a `#` that ends the dialling,
    /// parameters behind a `;`, and what withholds or shows the caller's number for one call.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = SERVICE_CODES.iter().find_map(|code| text.strip_prefix(code)).unwrap_or(text);
        let mut cleaned = Self { digits: [0; DIGITS_MAX], length: 0, has_plus: false };
        let mut at = 0;
        while let Some(&byte) = text.as_bytes().get(at) {
            if byte.is_ascii_digit() {
                *cleaned.digits.get_mut(cleaned.length)? = byte;
                cleaned.length += 1;
                at += 1;
                continue;
            }
            let c = text[at..].chars().next()?;
            match c {
                '+' if cleaned.length == 0 && !cleaned.has_plus => cleaned.has_plus = true,
                _ if is_separator(c) => {}
                ';' if cleaned.length > 0 => break,
                '#' if cleaned.length > 0 && at + 1 == text.len() => break,
                'p' | 'w' | 'P' | 'W' | ',' if cleaned.length > 0 && is_sent_later(&text[at..]) => break,
                _ => return None,
            }
            at += c.len_utf8();
        }
        (cleaned.length > 0).then_some(cleaned)
    }

    /// The digits.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

/// Tests for what only makes a number easier to read: also the blanks and dashes of word processors.
fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{2010}'..='\u{2015}' | '\u{202f}')
}

/// Tests whether a text is a pause, and tones that are sent after it.
fn is_sent_later(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"pwPW,*#".contains(&byte))
}
