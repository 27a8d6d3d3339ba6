//! The JSON object of an event, read where its values count.
//!
//! FreeSWITCH writes one object of strings, and of arrays of strings, without spaces, of which one in ten
//! counts; what looks otherwise is left to a parser of all JSON.

use crate::marks::Marks;

/// Steps over the members of an object.
pub(super) struct Members<'a> {
    bytes: &'a [u8],
    /// Quotes, and what may stand before one.
    quotes: Marks<'a, b'"', b'\\'>,
    at: usize,
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A string that says what stands in it.
    Plain(&'a [u8]),
    /// A string with escapes, or an array: JSON still.
    Json(&'a [u8]),
}

impl<'a> Members<'a> {
    /// The members of an object; none if it is none.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        bytes.starts_with(b"{").then(|| Self { bytes, quotes: Marks::new(bytes, 0), at: 0 })
    }

    /// The next member; none at the end.
    ///
    /// # Errors
    /// If what follows is not written as FreeSWITCH does.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(&'a [u8], Value<'a>)>, Unusual> {
        // A brace or a comma, or the end of an empty object.
        match self.bytes.get(self.at..) {
            Some([b'{', b'}', ..] | [b'}', ..]) => return Ok(None),
            Some([b'{' | b',', b'"', ..]) => self.at += 2,
            _ => return Err(Unusual),
        }
        let Value::Plain(name) = self.string()? else { return Err(Unusual) };
        let from = self.at + 1;
        let value = match self.bytes.get(self.at..) {
            Some([b':', b'"', ..]) => {
                self.at += 2;
                self.string()?
            }
            Some([b':', b'[', ..]) => {
                self.at += 2;
                self.array()?;
                Value::Json(&self.bytes[from..self.at])
            }
            _ => return Err(Unusual),
        };
        Ok(Some((name, value)))
    }

    /// The string whose quote was passed.
    #[expect(clippy::inline_always, reason = "each name and value passes here")]
    #[inline(always)]
    fn string(&mut self) -> Result<Value<'a>, Unusual> {
        let from = self.at;
        let end = self.quotes.find(from);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Value::Plain(&self.bytes[from..end]));
        }
        self.escaped(from, end)
    }

    /// The string that begins at `from` and has its first backslash at `at`.
    fn escaped(&mut self, from: usize, mut at: usize) -> Result<Value<'a>, Unusual> {
        loop {
            match *self.bytes.get(at).ok_or(Unusual)? {
                b'"' => break,
                _ => at = self.quotes.find(at + 2),
            }
        }
        self.at = at + 1;
        Ok(Value::Json(&self.bytes[from - 1..self.at]))
    }

    /// Passes the array of strings whose bracket was passed.
    fn array(&mut self) -> Result<(), Unusual> {
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Unusual)?;
            self.at += 1;
            match byte {
                b'"' => {
                    self.string()?;
                }
                b']' => return Ok(()),
                b',' => {}
                _ => return Err(Unusual),
            }
        }
    }
}

/// Not written as FreeSWITCH does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusual;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Result<Vec<(&str, Value<'_>)>, Unusual> {
        let (mut members, mut all) = (Members::of(text.as_bytes()).ok_or(Unusual)?, Vec::new());
        while let Some((name, value)) = members.next()? {
            all.push((std::str::from_utf8(name).expect("a part of a text"), value));
        }
        Ok(all)
    }

    #[test]
    fn strings_and_arrays_of_strings_are_members_and_the_rest_is_unusual() {
        assert_eq!(all("{}"), Ok(vec![]));
        assert_eq!(
            all(r#"{"a":"","b":"x\"y","c":["1","]\\"],"d":"é"} "#),
            Ok(vec![
                ("a", Value::Plain(b"")),
                ("b", Value::Json(br#""x\"y""#)),
                ("c", Value::Json(br#"["1","]\\"]"#)),
                ("d", Value::Plain("é".as_bytes())),
            ])
        );
        for text in [
            "",
            "[]",
            "{",
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":"b"#,
            r#"{"a":"b\"#,
            r#"{"a":"b\\"#,
            r#"{"a":1}"#,
            r#"{"a": "b"}"#,
            r#"{"a":["b",1]}"#,
            r#"{"a":["b"#,
            r#"{"\u0061":"b"}"#,
            r#"{"a":"b"]"#,
            r#"{"a":"b",}"#,
        ] {
            assert_eq!(all(text), Err(Unusual), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_a_parser_of_all_json_reads(
            members in proptest::collection::vec(("[a-z-]{0,9}", any::<String>(), any::<bool>()), 0..9),
        ) {
            let value = |text: &String, in_array: &bool| match in_array {
                true => serde_json::json!([text, text]),
                false => serde_json::json!(text),
            };
            let written: Vec<String> = members
                .iter()
                .map(|(name, text, in_array)| format!("\"{name}\":{}", value(text, in_array)))
                .collect();
            let text = format!("{{{}}}", written.join(","));
            let read = all(&text).expect("it is usual");
            prop_assert_eq!(read.len(), members.len());
            for ((name, text, in_array), (read_name, read)) in members.iter().zip(read) {
                prop_assert_eq!(name, read_name);
                let read = match read {
                    Value::Plain(text) => serde_json::json!(std::str::from_utf8(text).expect("a part of a text")),
                    Value::Json(json) => serde_json::from_slice(json).expect("JSON"),
                };
                prop_assert_eq!(value(text, in_array), read);
            }
        }

        #[test]
        fn any_text_is_read_to_its_end(text in any::<String>(), cut in "[\\[\\]{}\",:\\\\a]{0,40}") {
            all(&text).ok();
            all(&format!("{{{cut}")).ok();
        }
    }
}
