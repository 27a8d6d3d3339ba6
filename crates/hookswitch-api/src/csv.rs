//! Tables as files for spreadsheets (RFC 4180).

/// Appends a row.
pub(crate) fn write_row<'a>(cells: impl IntoIterator<Item = &'a str>, out: &mut String) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_cell(cell, out);
    }
    out.push_str("\r\n");
}

/// Appends a cell. What a spreadsheet would take for a formula begins with an apostrophe, and is shown as it is then.
fn write_cell(text: &str, out: &mut String) {
    let text: String = text.chars().filter(|&character| character != '\0').collect();
    let safe = if is_formula(&text) { format!("'{text}") } else { text };
    let is_quoted = safe.contains(['"', ',', '\r', '\n', '\'', '\t', ';']) || safe.trim() != safe;
    if is_quoted {
        out.push('"');
        out.push_str(&safe.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(&safe);
    }
}

/// Returns `true` if a spreadsheet may take a cell for a formula, also behind what it does not show.
fn is_formula(text: &str) -> bool {
    let is_hidden =
        |character: char| character.is_whitespace() || character.is_control() || character == '\u{feff}';
    let shown = text.trim_start_matches(is_hidden);
    let hidden = &text[..text.len() - shown.len()];
    hidden.contains(['\t', '\r'])
        || shown.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_what_it_was_and_never_a_formula() {
        let row = |cells: &[&str]| {
            let mut out = String::new();
            write_row(cells.iter().copied(), &mut out);
            out
        };
        assert_eq!(row(&["a", "", "b c"]), "a,,b c\r\n");
        assert_eq!(row(&["say \"no\"", "a,b", "a;b", " a"]), "\"say \"\"no\"\"\",\"a,b\",\"a;b\",\" a\"\r\n");
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            " \u{feff}=1",
            "\u{ff1d}1",
            "\ta",
            "a\0=".trim_start_matches('a'),
        ] {
            assert!(row(&[formula]).starts_with("\"'"), "{formula:?}: {}", row(&[formula]));
        }
        assert_eq!(row(&["101", "a=b", "a-b"]), "101,a=b,a-b\r\n");
    }
}
