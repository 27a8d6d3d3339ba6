//! Phones, mailboxes, queues and parking lots of an Asterisk, as its manager lists them.

use super::Message;
use crate::switch::Inventory;

/// The most entries of a kind that are taken from a switch.
const ENTRIES_MAX: usize = 100_000;

/// The questions whose answers it is made of, beside that about queues, which is asked anyway.
pub(super) const QUESTIONS: [&str; 4] =
    ["PJSIPShowEndpoints", "ExtensionStateList", "VoicemailUsersList", "Parkinglots"];

/// Takes a message if it is part of an answer.
pub(super) fn take(inventory: &mut Inventory, message: &Message<'_>) {
    let text = |key| message.value(key).map(|value| String::from_utf8_lossy(value).into_owned());
    match message.event() {
        Some(b"EndpointList") if inventory.endpoints.len() < ENTRIES_MAX => {
            inventory.endpoints.extend(text("ObjectName"));
        }
        Some(b"ExtensionStatus") if inventory.hints.len() < ENTRIES_MAX => {
            let hint = text("Hint").unwrap_or_default();
            // The first device of several is whose number it is.
            let device = hint.split('&').next().unwrap_or_default();
            if let (Some(number), Some(endpoint)) = (text("Exten"), device.strip_prefix("PJSIP/")) {
                inventory.hints.insert(number, endpoint.to_owned());
            }
        }
        Some(b"VoicemailUserEntry") if inventory.mailboxes.len() < ENTRIES_MAX => {
            if let Some(number) = text("VoicemailBox") {
                inventory.mailboxes.insert(number, text("Fullname").unwrap_or_default());
            }
        }
        Some(b"QueueParams") if inventory.queues.len() < ENTRIES_MAX => {
            inventory.queues.extend(text("Queue"));
        }
        Some(b"Parkinglot") if inventory.lots.len() < ENTRIES_MAX => {
            inventory.lots.extend(text("StartSpace").zip(text("StopSpace")));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_answers_list_is_taken_and_nothing_else() {
        let mut inventory = Inventory::default();
        for text in [
            "Event: EndpointList\r\nObjectName: 101\r\n",
            "Event: ExtensionStatus\r\nExten: 104\r\nHint: PJSIP/desk-4&Custom:x\r\n",
            "Event: ExtensionStatus\r\nExten: 900\r\nHint: Custom:night\r\n",
            "Event: VoicemailUserEntry\r\nVoicemailBox: 101\r\nFullname: Ann of the switch\r\n",
            "Event: QueueParams\r\nQueue: 620\r\n",
            "Event: Parkinglot\r\nName: default\r\nStartSpace: 701\r\nStopSpace: 709\r\n",
            "Event: Hangup\r\nChannel: PJSIP/999-1\r\n",
            "Event: EndpointList\r\n",
        ] {
            take(&mut inventory, &Message::new(text.as_bytes()));
        }
        let one = |text: &str| [text.to_owned()].into_iter().collect();
        let pair = |one: &str, other: &str| [(one.to_owned(), other.to_owned())];
        assert_eq!(
            inventory,
            Inventory {
                endpoints: one("101"),
                hints: pair("104", "desk-4").into(),
                mailboxes: pair("101", "Ann of the switch").into(),
                queues: one("620"),
                lots: pair("701", "709").into(),
            }
        );
    }
}
