//! A signal that was posted, with other names.

use serde_json::Value;

use super::Anonymiser;

/// Writes a signal anew.
///
/// # Errors
/// If it is no JSON.
pub(super) fn signal(all: &mut Anonymiser, json: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut signal: Value = serde_json::from_slice(json)?;
    rewrite(all, "", "", &mut signal);
    Ok(signal.to_string().into_bytes())
}

/// `key` is where a value stands, `above` where its object does.
fn rewrite(all: &mut Anonymiser, above: &str, key: &str, value: &mut Value) {
    match value {
        // Elsewhere a leg has this name.
        Value::String(text) if key == "of" && above == "mailbox" => *text = all.user(text),
        Value::String(text) => {
            *text = match key {
                "id" | "leg" | "other" | "with" | "consulted" | "call_ids" | "session_ids"
                | "correlation_ids" | "of" | "call_id" | "from_tag" | "to_tag" => all.word(text),
                "number" | "callee" | "diverted_by" | "endpoint" | "to" | "target" | "room" | "slot" => {
                    all.user(text)
                }
                "name" | "callee_name" => all.name(text),
                "host" | "callee_host" => all.host(text),
                "src" | "dst" | "sent_by" => all.host_port(text),
                "agent" => text.chars().take_while(char::is_ascii_alphabetic).take(20).collect(),
                "kind" | "direction" | "cause" | "reason" | "how" | "service" | "far_end"
                | "ring_out_role" | "at" | "account" | "origin" => return,
                _ => all.free(text),
            };
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite(all, above, key, value)),
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, value)| rewrite(all, key, name, value));
        }
        _ => {}
    }
}
