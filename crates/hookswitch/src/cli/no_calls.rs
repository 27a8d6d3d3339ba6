//! Message of a replay that had no call to tell: what it saw instead, so that nobody is left to guess.

use hookswitch_server::source::replay::Refusals;
use hookswitch_signal::capture::{Counters, Unread};
use hookswitch_signal::tracker;

/// Counts for the message that says why no calls were found.
pub(super) struct NoCalls<'a> {
    /// Counts of each file.
    pub(super) counters: Vec<&'a Counters>,
    /// SIP messages, those that were refused among them.
    pub(super) sip_messages: u64,
    /// Messages of switches, and posted signals.
    pub(super) other_messages: u64,
    /// Messages that were refused.
    pub(super) malformed: u64,
    pub(super) refusals: &'a Refusals,
    /// Counts of the SIP messages that were not.
    pub(super) tracked: tracker::Counters,
    pub(super) unread: Vec<(Unread, u64)>,
    /// The names of the files.
    pub(super) names: Vec<String>,
}

impl NoCalls<'_> {
    /// The lines that say it.
    pub(super) fn lines(&self) -> Vec<String> {
        let sum = |of: fn(&Counters) -> u64| self.counters.iter().map(|counters| of(counters)).sum::<u64>();
        let mut lines = vec!["no calls were found; this is what was".to_owned()];
        let packets = [
            ("UDP", sum(|it| it.udp)),
            ("TCP", sum(|it| it.tcp)),
            ("HEP", sum(|it| it.hep_bare)),
            ("exported PDUs", sum(|it| it.exported)),
            ("other IP", sum(|it| it.other_protocols)),
            ("fragments", sum(|it| it.fragments)),
            ("not IP", sum(|it| it.not_ip)),
            ("damaged", sum(|it| it.damaged)),
        ];
        lines.push(counted("packets", sum(|it| it.packets), &packets));
        let messages = [
            ("malformed", self.malformed),
            ("of no call, as REGISTER and OPTIONS", self.tracked.no_call),
            ("of calls whose beginning is missing", self.tracked.stray),
            ("beyond what is followed", self.tracked.refused),
        ];
        lines.push(counted("SIP messages", self.sip_messages, &messages));
        if self.other_messages > 0 {
            lines.push(counted("messages of switches and posted signals", self.other_messages, &[]));
        }
        for (input, packet, reason) in self.refusals.first() {
            let name = self.names.get(usize::from(input.source)).map_or("", String::as_str);
            lines.push(format!("malformed: {name}, packet {packet}: {reason}"));
        }
        lines.extend(self.unread.iter().map(|(kind, count)| format!("not read: {count} {kind}")));
        let gaps = sum(|it| it.tcp_gaps);
        if gaps > 0 {
            lines.push(format!("places in TCP streams where bytes are missing from the capture: {gaps}"));
        }
        lines
    }
}

/// A count and, in parentheses, what it consists of.
fn counted(title: &str, count: u64, parts: &[(&str, u64)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    if parts.is_empty() {
        format!("{title}: {count}")
    } else {
        format!("{title}: {count} ({})", parts.join(", "))
    }
}
