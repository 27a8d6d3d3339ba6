//! What is measured when somebody asks for the metrics, and the two forms that they come in.
//!
//! Labels that grow with what users do are bounded: of subscriptions and sources the first so many are named, and
//! the others are one.

#![expect(clippy::cast_precision_loss, reason = "metrics are floats, and exact up to 9 * 10^15")]

use std::fmt::Write as _;

use hookswitch_server::clock;
use hookswitch_server::process::ProcessUsage;

use crate::Api;
use crate::admin::SubscriptionStates;

/// Number of subscriptions, and of sources, that have a label of their own.
const NAMED_MAX: usize = 100;

/// The label of all others.
const OTHERS: &str = "others";

/// The content type of the classic form.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The content type of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a metric is.
#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
}

/// Metrics in the text form of OpenMetrics.
#[derive(Default)]
struct Families(String);

impl Families {
    /// Begins a metric; its samples follow.
    fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}"); // to memory
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' }); // to memory
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.0, "{value}"); // to memory
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.begin(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }
}

/// All metrics in the form that is accepted, with its content type.
pub(crate) async fn text(api: &Api, accept: &str) -> (&'static str, String) {
    let mut families = Families::default();
    subscriptions(api, &mut families).await;
    sources(api, &mut families);
    store(api, &mut families);
    process(api, &mut families);
    let counted = api.metrics.text();
    let counted = counted.trim_end().strip_suffix("# EOF").unwrap_or(&counted);
    let text = format!("{counted}{}# EOF\n", families.0);
    if wants_open_metrics(accept) { (OPEN_METRICS, text) } else { (CLASSIC, classic(&text)) }
}

/// Returns `true` if OpenMetrics is accepted at least as gladly as the classic form. Whoever accepts anything gets what there
/// always was.
fn wants_open_metrics(accept: &str) -> bool {
    let quality = |kind: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?;
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            (name.eq_ignore_ascii_case(kind)).then(|| quality.and_then(|q| q.parse().ok()).unwrap_or(1.0))
        });
        ranges.fold(0.0, f32::max)
    };
    let (open, plain) =
        (quality("application/openmetrics-text"), quality("text/plain").max(quality("text/*")));
    open >= plain
}

/// The same in the classic text form: counters are described under the name that their samples have.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help: Option<&str> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let kind = if kind == "unknown" { "untyped" } else { kind };
            if let Some(help) = help.take() {
                let _ = writeln!(out, "# HELP {name}{suffix} {help}"); // to memory
            }
            let _ = writeln!(out, "# TYPE {name}{suffix} {kind}"); // to memory
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

async fn subscriptions(api: &Api, families: &mut Families) {
    let SubscriptionStates { states, pending, oldest } = SubscriptionStates::read(api).await;
    let name = "hookswitch_subscriptions";
    families.begin(name, Kind::Gauge, "Subscriptions by how they are doing");
    for (state, count) in states {
        families.sample(name, &[("state", state)], count as f64);
    }
    let name = "hookswitch_subscription_pending";
    families.begin(
        name,
        Kind::Gauge,
        "Notifications due to a webhook, of the hundred subscriptions to which most are due",
    );
    let (named, others) = pending.split_at(pending.len().min(NAMED_MAX));
    for (id, count) in named {
        families.sample(name, &[("subscription", id)], *count as f64);
    }
    if !others.is_empty() {
        let sum: usize = others.iter().map(|(_, count)| count).sum();
        families.sample(name, &[("subscription", OTHERS)], sum as f64);
    }
    let age = oldest.map_or(0.0, |at| clock::wall().since(at).as_secs_f64());
    families.gauge(
        "hookswitch_webhook_oldest_undelivered_seconds",
        "Age of the oldest event that is due to a webhook; 0 if none is",
        age,
    );
}

fn sources(api: &Api, families: &mut Families) {
    let all = api.metrics.sources.all();
    let named = || all.iter().take(NAMED_MAX);
    let name = "hookswitch_source_messages";
    families.begin(name, Kind::Counter, "Messages of a source that were taken, of a hundred sources at most");
    for ((kind, source), count) in named() {
        families.sample(
            "hookswitch_source_messages_total",
            &[("kind", kind), ("source", source)],
            count.taken() as f64,
        );
    }
    let name = "hookswitch_source_silence_seconds";
    families.begin(name, Kind::Gauge, "Time since a source has sent something");
    let now = clock::steady();
    for ((kind, source), count) in named() {
        if let Some(at) = count.heard() {
            let silence = now.since(at).as_secs_f64();
            families.sample(name, &[("kind", kind), ("source", source)], silence);
        }
    }
}

fn store(api: &Api, families: &mut Families) {
    let name = "hookswitch_store_bytes";
    families.begin(name, Kind::Gauge, "Size of the files of the store");
    for (part, bytes) in api.store.sizes() {
        families.sample(name, &[("part", part)], bytes as f64);
    }
    let end = api.store.ends().events;
    families.gauge(
        "hookswitch_call_index_behind_events",
        "Events of the log that the index of calls does not have yet",
        end.saturating_sub(api.index.followed()) as f64,
    );
}

/// What every program tells of itself, under the names that all have in common.
fn process(api: &Api, families: &mut Families) {
    let ProcessUsage { resident_bytes, virtual_bytes, descriptors, descriptors_max, cpu } =
        ProcessUsage::read();
    let name = "process_cpu_seconds";
    families.begin(name, Kind::Counter, "Time that the process has spent on processors");
    families.sample("process_cpu_seconds_total", &[], cpu.as_secs_f64());
    families.gauge(
        "process_resident_memory_bytes",
        "Memory of the process that is in RAM",
        resident_bytes as f64,
    );
    families.gauge(
        "process_virtual_memory_bytes",
        "Memory that the process may address",
        virtual_bytes as f64,
    );
    families.gauge("process_open_fds", "Descriptors that the process has open", descriptors as f64);
    families.gauge("process_max_fds", "Descriptors that the process may have open", descriptors_max as f64);
    let started = api.started.as_micros() as f64 / 1e6;
    families.gauge(
        "process_start_time_seconds",
        "When the process was started, in seconds since 1970",
        started,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_accepted_most_gladly() {
        // What Prometheus sends, old and new, and what agents do.
        let newest = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in [newest, "application/openmetrics-text", "", "*/*", "application/json"] {
            assert!(wants_open_metrics(accept), "{accept}");
        }
        for accept in [
            "text/plain",
            "text/plain;version=0.0.4",
            "text/plain; version=0.0.4; q=0.9, application/openmetrics-text; q=0.1",
            "text/*, */*;q=0.1",
        ] {
            assert!(!wants_open_metrics(accept), "{accept}");
        }
    }

    #[test]
    fn in_the_classic_form_help_and_type_stand_under_the_name_of_the_samples() {
        let mut families = Families::default();
        families.begin("a_calls", Kind::Counter, "Calls");
        families.sample("a_calls_total", &[("of", "b\"c")], 3.0);
        families.gauge("a_size", "Its size", 1.5);
        let text = format!("{}# UNIT a_size bytes\n# EOF\n", families.0);
        assert_eq!(
            classic(&text),
            "# HELP a_calls_total Calls.\n# TYPE a_calls_total counter\na_calls_total{of=\"b\\\"c\"} 3\n\
             # HELP a_size Its size.\n# TYPE a_size gauge\na_size 1.5\n"
        );
    }
}
