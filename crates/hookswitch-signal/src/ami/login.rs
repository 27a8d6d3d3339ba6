//! Messages to a manager: actions, and the answer to its challenge.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use crate::switch::{ProtocolError, is_one_line};

/// The id of the action behind the questions of what a switch has.
pub(super) const INVENTORY_ID: &str = "hookswitch-inventory";

/// The id of other actions; none of them is under way beside another whose answer would count.
const ACTION_ID: &str = "hookswitch";

/// An action as it is sent. Its values cannot hold line ends: they would begin other keys.
///
/// # Errors
/// If a value holds one.
pub(super) fn action(name: &str, fields: &[(&str, &str)]) -> Result<String, ProtocolError> {
    action_with_id(name, ACTION_ID, fields)
}

/// The same, with an id by which its answer is known.
///
/// # Errors
/// If a value holds a line end.
pub(super) fn action_with_id(name: &str, id: &str, fields: &[(&str, &str)]) -> Result<String, ProtocolError> {
    let mut text = format!("Action: {name}\r\nActionID: {id}\r\n");
    for (key, value) in fields {
        if !is_one_line(value) {
            let said = format!("the {key} of a manager connection holds a line end; write it on one line");
            return Err(ProtocolError(said));
        }
        text.push_str(key);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    Ok(text)
}

/// The answer to a challenge: the digest of it and the secret, in lower-case hexadecimal digits.
pub(super) fn answer(challenge: &[u8], secret: &str) -> String {
    let digest = Md5::new().chain_update(challenge).chain_update(secret.as_bytes()).finalize();
    digest.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to memory does not fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_digest_of_challenge_and_secret() {
        // RFC 1321, A.5: the digest of "abc".
        assert_eq!(answer(b"a", "bc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn no_value_begins_another_key() {
        assert_eq!(
            action("Login", &[("Username", "me")]).expect("one line"),
            "Action: Login\r\nActionID: hookswitch\r\nUsername: me\r\n\r\n"
        );
        for value in ["a\r\nAction: Command", "a\nb", "a\r"] {
            assert!(action("Login", &[("Secret", value)]).is_err());
        }
    }
}
