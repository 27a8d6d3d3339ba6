//! The JSON object of an event, read where its values count.
//!
//! FreeSWITCH writes one object of strings, and of arrays of strings, without spaces, of which one in ten
//! counts; what looks otherwise is left to a parser of all JSON.

/// Steps over the members of an object.
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A string that says what stands in it.
    Plain(&'a str),
    /// A string with escapes, or an array: JSON still.
    Json(&'a str),
}

impl<'a> Members<'a> {
    /// The members of an object; none if it is none.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        text.starts_with('{').then_some(Self { text, at: 0 })
    }

    /// The next member; none at the end.
    ///
    /// # Errors
    /// If what follows is not written as FreeSWITCH does.
    pub(super) fn next(&mut self) -> Result<Option<(&'a str, Value<'a>)>, Unusual> {
        // A brace or a comma, or the end of an empty object.
        match (self.byte()?, self.text.as_bytes().get(self.at)) {
            (b'{', Some(b'}')) | (b'}', _) => return Ok(None),
            (b'{' | b',', Some(b'"')) => self.at += 1,
            _ => return Err(Unusual),
        }
        let Value::Plain(name) = self.string()? else { return Err(Unusual) };
        if self.byte()? != b':' {
            return Err(Unusual);
        }
        let from = self.at;
        let value = match self.byte()? {
            b'"' => self.string()?,
            b'[' => {
                self.array()?;
                Value::Json(&self.text[from..self.at])
            }
            _ => return Err(Unusual),
        };
        Ok(Some((name, value)))
    }

    fn byte(&mut self) -> Result<u8, Unusual> {
        let byte = *self.text.as_bytes().get(self.at).ok_or(Unusual)?;
        self.at += 1;
        Ok(byte)
    }

    /// The string whose quote was passed.
    fn string(&mut self) -> Result<Value<'a>, Unusual> {
        let (bytes, from) = (self.text.as_bytes(), self.at);
        let mut has_escapes = false;
        loop {
            let rest = bytes.get(self.at..).ok_or(Unusual)?;
            let found = memchr::memchr2(b'"', b'\\', rest).ok_or(Unusual)?;
            if rest[found] == b'"' {
                self.at += found + 1;
                break;
            }
            has_escapes = true;
            self.at += found + 2;
        }
        Ok(if has_escapes {
            Value::Json(&self.text[from - 1..self.at])
        } else {
            Value::Plain(&self.text[from..self.at - 1])
        })
    }

    /// Passes the array of strings whose bracket was passed.
    fn array(&mut self) -> Result<(), Unusual> {
        loop {
            match self.byte()? {
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
        let (mut members, mut all) = (Members::of(text).ok_or(Unusual)?, Vec::new());
        while let Some(member) = members.next()? {
            all.push(member);
        }
        Ok(all)
    }

    #[test]
    fn strings_and_arrays_of_strings_are_members_and_the_rest_is_unusual() {
        assert_eq!(all("{}"), Ok(vec![]));
        assert_eq!(
            all(r#"{"a":"","b":"x\"y","c":["1","]\\"],"d":"é"} "#),
            Ok(vec![
                ("a", Value::Plain("")),
                ("b", Value::Json(r#""x\"y""#)),
                ("c", Value::Json(r#"["1","]\\"]"#)),
                ("d", Value::Plain("é")),
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
                    Value::Plain(text) => serde_json::json!(text),
                    Value::Json(json) => serde_json::from_str(json).expect("JSON"),
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
