//! Notifications as rows for people, one for each.

use std::collections::HashMap;

use hookswitch_server::escape;
use serde_json::Value;

/// The most calls whose numbers are remembered.
const CALLS_MAX: usize = 100_000;

/// Numbers calls in the order in which they are heard of.
#[derive(Default)]
pub(super) struct Rows {
    calls: HashMap<String, usize>,
    count: usize,
}

impl Rows {
    /// The number of the call of a notification.
    fn call(&mut self, notification: &Value) -> usize {
        if self.calls.len() >= CALLS_MAX {
            self.calls.clear();
        }
        let session = text(&notification["body"]["telephonySessionId"]);
        if let Some(&number) = self.calls.get(session) {
            return number;
        }
        self.count += 1;
        self.calls.insert(session.to_owned(), self.count);
        self.count
    }

    /// The row of a notification.
    pub(super) fn row(&mut self, notification: &Value) -> String {
        let call = self.call(notification);
        let body = &notification["body"];
        let party = &body["parties"][0];
        let number = text(&party["id"]).rsplit('-').next().unwrap_or_default();
        let direction = text(&party["direction"]);
        let side = if direction == "Outbound" { &party["from"] } else { &party["to"] };
        let who = format!("{} {}", text(&side["phoneNumber"]), text(&side["name"]));
        let missed = if party["missedCall"] == true { " missed" } else { "" };
        let status = &party["status"];
        let status = format!("{} {}", text(&status["code"]), text(&status["reason"]));
        let time = text(&body["eventTime"]).get(11..23).unwrap_or_default();
        let sequence = body["sequence"].as_u64().unwrap_or_default();
        let row = format!(
            "{time}  call {call:<3} {sequence:>2}  p{number} {direction:<9} {who:<24} {}{missed}",
            status.trim_end()
        );
        // What moves the cursor is not printed.
        escape::plain(&row).into_owned()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
