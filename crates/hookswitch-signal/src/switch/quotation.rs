//! Quotation of what others say, without what it quotes.

/// A message, such as that of a panic, without what it may quote of numbers and names: quotations are left out,
/// and so are longer numbers.
pub fn without_quotations(message: &str) -> String {
    const DIGITS_SHOWN: usize = 4;
    let (mut out, mut rest) = (String::new(), message);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if matches!(c, '"' | '`') {
            out.extend([c, '…', c]);
            // A quotation mark within the quotation may end it early, so the last one counts.
            rest = after.rfind(c).map_or("", |end| &after[end + c.len_utf8()..]);
        } else if c.is_ascii_digit() {
            let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            out.push_str(if length > DIGITS_SHOWN { "…" } else { &rest[..length] });
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_quotations_nor_long_numbers_are_repeated() {
        for (said, shown) in [
            ("Authentication failed", "Authentication failed"),
            ("-ERR \"4155550123\" is not there", "-ERR \"…\" is not there"),
            ("no channel 4155550123 (404)", "no channel … (404)"),
        ] {
            assert_eq!(without_quotations(said), shown);
        }
    }

    #[test]
    fn a_panic_does_not_quote() {
        let message = std::panic::catch_unwind(|| {
            let name = String::from("Ünal +14155550123");
            name[1..].len()
        });
        let message = message.expect_err("this is no boundary");
        let message = message.downcast_ref::<String>().expect("a text").clone();
        assert!(message.contains("14155550123"), "{message}");
        let told = without_quotations(&message);
        assert!(told.contains("char boundary") && !told.contains("nal") && !told.contains("0123"), "{told}");
        assert_eq!(
            without_quotations("it is there: Os { code: 2, name: \"Ann \\\" Lee\", of: 4155550123 }"),
            "it is there: Os { code: 2, name: \"…\", of: … }"
        );
        assert_eq!(
            without_quotations("the len is 3 but the index is 12"),
            "the len is 3 but the index is 12"
        );
    }
}
