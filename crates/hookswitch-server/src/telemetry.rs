//! Log lines and counters for operators.
//!
//! Every stage counts what came in and what became of it, and the counts balance, so that a loss
//! shows as a number: `docs/server.md` has the sums.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hookswitch_signal::adapters::Switch;
use hookswitch_signal::switch::without_quotations;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as lines, registry};

use crate::config::{Log, LogFormat};
use crate::escape::LogLines;
use crate::source_counts::SourceCounts;

/// Starts the log on stderr: each record is a line, whatever is in it. Panics are told there, too.
///
/// # Errors
/// If the level cannot be understood.
pub(crate) fn start_log(log: &Log) -> anyhow::Result<()> {
    let filter = filter_of(&log.level).map_err(|error| {
        anyhow::anyhow!("log.level {:?} cannot be understood ({error}); write \"info\"", log.level)
    })?;
    let json = log.format == LogFormat::Json;
    let layer = lines::layer().with_writer(move || LogLines { out: std::io::stderr(), json });
    let layer = match log.format {
        LogFormat::Text => layer.with_ansi(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    std::panic::set_hook(Box::new(tell_panic));
    registry().with(layer.with_filter(filter)).init();
    Ok(())
}

/// The prefix of the targets of all records that are ours.
const OWN_TARGETS: &str = "hookswitch";

/// Returns what is logged at a level. A level for everything beyond `info` is for our own records: those of libraries name
/// hosts, addresses and headers of whom they talk to, and are logged when their target is named.
fn filter_of(level: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    let asked: Targets = level.parse()?;
    match asked.default_level() {
        Some(default) if default > LevelFilter::INFO => {
            let ours = Targets::new().with_default(LevelFilter::INFO).with_target(OWN_TARGETS, default);
            Ok(ours.with_targets(asked.iter().map(|(target, level)| (target.to_owned(), level))))
        }
        _ => Ok(asked),
    }
}

/// Tells of a panic, without what its message may quote.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let text = panic.payload().downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str));
    let message = text.map(without_quotations).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    tracing::error!(at, thread, "panicked: {message}; please report this");
}

/// A number or a name of somebody, of which a log line shows the last four characters alone.
pub(crate) struct Redacted<'a>(pub &'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.char_indices().rev().nth(3).map_or("", |(at, _)| &self.0[at..]);
        let hidden = self.0.len() - shown.len();
        f.write_str(if hidden > 0 || self.0.is_empty() { "…" } else { "" })?;
        // Control characters would let a caller write lines of the log.
        write!(f, "{}", if hidden > 0 { shown.escape_debug().to_string() } else { "…".to_owned() })
    }
}

/// Labels of one counter among several of a name.
type Labels = [(&'static str, &'static str); 1];

/// Counters of one name.
pub trait Counts {
    /// All, each with its label.
    fn all(&self) -> Vec<(&'static str, u64)>;
}

/// A counter for each of the given values of a label.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident by $label:ident { $($(#[$field_doc:meta])* $field:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: Counter),+ }

        impl Counts for $name {
            fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field.get())),+]
            }
        }

        impl $name {
            fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
                let family = Family::<Labels, Counter>::default();
                registry.register(name, help, family.clone());
                Self {
                    $($field: family.get_or_create_owned(&[(stringify!($label), stringify!($field))])),+
                }
            }
        }
    };
}

counters! {
    /// WebSockets by what happened to them.
    Sockets by event {
        /// Opened with a new session.
        opened,
        /// Opened, and went on with a session.
        recovered,
        /// Opened with a new session, since the one that was asked for is gone.
        not_recovered,
        /// Told why they are not served.
        refused,
        /// Closed because they did not read.
        slow,
    }
}

counters! {
    /// Notifications of WebSockets by what became of them. A client that is away has those that it missed
    /// recovered or overflowed when it comes back.
    SocketNotifications by stage {
        /// Events that a session hears of.
        matched,
        /// Written to a socket.
        sent,
        /// Read from the log for a client that came back.
        recovered,
        /// More than a client that came back gets.
        overflowed,
    }
}

counters! {
    /// HEP frames by what carried them.
    FramesReceived by transport {
        /// Over UDP.
        udp,
        /// Over TCP.
        tcp,
        /// Over TLS.
        tls,
    }
}

counters! {
    /// HEP frames by what became of them; the sum is that of those received.
    Frames by outcome {
        /// Handed to the machine.
        accepted,
        /// From an address that no source lists.
        address,
        /// Without the key of its source, or with another.
        key,
        /// Beyond what its sender may send.
        rate,
        /// No HEP frame, or a damaged one.
        malformed,
        /// Without a SIP message: RTCP reports, log lines.
        not_sip,
        /// Without the addresses of the message.
        without_address,
        /// While the machine had no room for more.
        busy,
    }
}

counters! {
    /// SIP messages by what became of them; the sum is that of the accepted frames.
    Messages by outcome {
        /// Not understood.
        malformed,
        /// From one sender too many.
        senders_full,
        /// Seen before.
        retransmission,
        /// Part of a call.
        in_call,
        /// About no call.
        no_call,
        /// In a call whose beginning was not seen, or that does not fit it.
        stray,
        /// Of calls that found a table full.
        refused,
    }
}

counters! {
    /// What switches have told, by what became of it.
    SwitchMessages by outcome {
        /// Say something about a call, and were handed to the machine.
        applied,
        /// Say nothing about calls.
        passed_over,
    }
}

counters! {
    /// Posted signals by what became of them.
    Posted by outcome {
        /// New, and on disk.
        accepted,
        /// Known by their id.
        repeated,
        /// In a request that was refused.
        refused,
    }
}

counters! {
    /// Signals by what the machine did with them.
    Signals by outcome {
        /// Reached a session.
        applied,
        /// About a leg of which nothing is known.
        without_leg,
        /// Found a table full.
        refused,
    }
}

counters! {
    /// Notifications by what became of them: those matched are the sum of those acknowledged, expired,
    /// dropped and pending.
    Notifications by stage {
        /// Events that a subscription hears of.
        matched,
        /// Requests that were sent.
        attempted,
        /// Taken by their receiver.
        acknowledged,
        /// Requests that failed.
        failed,
        /// Too old to be sent.
        expired,
        /// Due to a subscription that has ended.
        dropped,
    }
}

counters! {
    /// Sessions by what happened to them.
    Sessions by change {
        /// Begun.
        opened,
        /// Over.
        closed,
    }
}

/// Connections to switches of a kind.
pub struct Connections {
    /// Messages that they have sent.
    pub messages: SwitchMessages,
    /// Those that are up.
    pub up: Gauge,
    /// Those that were lost, or could not be made.
    pub lost: Counter,
}

impl Connections {
    fn register(registry: &mut Registry, name: &str, what: &str) -> Arc<Self> {
        let help = format!("Messages of {what} by what became of them");
        let messages = SwitchMessages::register(registry, &format!("{name}_messages"), &help);
        let (up, lost) = (Gauge::default(), Counter::default());
        registry.register(format!("{name}_connections"), format!("Open {what}"), up.clone());
        let help = format!("Of {what}, those that were lost or could not be made");
        registry.register(format!("{name}_connections_lost"), help, lost.clone());
        Arc::new(Self { messages, up, lost })
    }
}

/// All counters.
pub struct Metrics {
    registry: Registry,
    /// Counts of each source.
    pub sources: SourceCounts,
    /// HEP frames by what carried them.
    pub frames_received: FramesReceived,
    /// HEP frames by what became of them.
    pub frames: Frames,
    /// Datagrams that the kernel had no room for; they were never received.
    pub(crate) kernel_drops: Counter,
    /// Open connections of capture agents.
    pub connections: Gauge,
    pub(crate) connections_refused: Counter,
    /// SIP messages by what became of them.
    pub messages: Messages,
    /// Connections to switches, in the order of the list of adapters.
    switches: Vec<Arc<Connections>>,
    /// Posted signals by what became of them.
    pub posted: Posted,
    /// Signals by what the machine did with them.
    pub signals: Signals,
    /// Sessions by what happened to them.
    pub sessions: Sessions,
    pub(crate) sessions_open: Gauge,
    /// Time for which the loop of the engine had work.
    pub(crate) engine_busy: Counter<f64, AtomicU64>,
    pub(crate) ticks: Counter,
    /// Inputs that are neither messages, signals nor ticks: new senders, settings.
    pub notes: Counter,
    /// Events that the machine has told.
    pub events: Counter,
    /// Those of them that the log had already.
    pub events_repeated: Counter,
    /// HTTP connections that were refused.
    pub http_refused: Counter,
    /// Messages and signals whose stamps were ahead of the clock.
    pub stamps_ahead: Counter,
    /// Notifications by what became of them.
    pub notifications: Notifications,
    /// Notifications that are due and not done with.
    pub notifications_pending: Gauge,
    pub(crate) requests_in_flight: Gauge,
    /// WebSockets by what happened to them.
    pub sockets: Sockets,
    pub(crate) sockets_open: Gauge,
    pub(crate) gateway_sessions: Gauge,
    pub(crate) gateway_subscriptions: Gauge,
    /// Notifications of WebSockets by what became of them.
    pub socket_notifications: SocketNotifications,
    /// Subscriptions that are told by webhook.
    pub subscriptions: Gauge,
    /// Those of the store.
    pub store: hookswitch_store::Metrics,
    /// How large the saved state is, and how long the machine stood still for it.
    pub(crate) snapshot_bytes: Gauge,
    /// Messages and signals that were handed over to the node that owns their partition.
    pub(crate) forwarded: Counter,
    /// Those that were lost because no machine took them and no more could wait on disk.
    pub(crate) spool_dropped: Counter,
    pub(crate) snapshot_seconds: Histogram,
    /// Of a cluster: the partitions that this node owns, those that it has ever taken, and renewals of their
    /// leases that NATS did not take in time.
    pub(crate) partitions_owned: Gauge,
    pub(crate) takeovers: Counter,
    pub(crate) lease_renewals_failed: Counter,
}

impl Metrics {
    /// Connections to switches of a kind.
    pub(crate) fn switch(&self, switch: Switch) -> &Arc<Connections> {
        &self.switches[switch.index()]
    }

    /// All counters at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("hookswitch");
        let r = &mut registry;
        let metrics = Self {
            sources: SourceCounts::default(),
            frames_received: FramesReceived::register(r, "hep_frames_received", "HEP frames that came in"),
            frames: Frames::register(r, "hep_frames", "HEP frames by what became of them"),
            kernel_drops: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            messages: Messages::register(r, "sip_messages", "SIP messages by what became of them"),
            switches: Switch::ALL
                .iter()
                .map(|switch| switch.adapter())
                .map(|adapter| Connections::register(r, adapter.name(), adapter.words().connections))
                .collect(),
            posted: Posted::register(r, "ingest_signals", "Posted signals by what became of them"),
            signals: Signals::register(r, "signals", "Signals by what the machine did with them"),
            sessions: Sessions::register(r, "sessions", "Sessions by what happened to them"),
            sessions_open: Gauge::default(),
            engine_busy: Counter::default(),
            ticks: Counter::default(),
            notes: Counter::default(),
            events: Counter::default(),
            events_repeated: Counter::default(),
            stamps_ahead: Counter::default(),
            http_refused: Counter::default(),
            notifications: Notifications::register(
                r,
                "webhook_notifications",
                "Notifications by how far they came",
            ),
            notifications_pending: Gauge::default(),
            requests_in_flight: Gauge::default(),
            sockets: Sockets::register(r, "websocket_connections", "WebSockets by what happened to them"),
            sockets_open: Gauge::default(),
            gateway_sessions: Gauge::default(),
            gateway_subscriptions: Gauge::default(),
            socket_notifications: SocketNotifications::register(
                r,
                "websocket_notifications",
                "Notifications of WebSockets by what became of them",
            ),
            subscriptions: Gauge::default(),
            store: hookswitch_store::Metrics::default(),
            // From a tenth of a millisecond to 1.6 seconds.
            snapshot_bytes: Gauge::default(),
            forwarded: Counter::default(),
            spool_dropped: Counter::default(),
            snapshot_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 15)),
            partitions_owned: Gauge::default(),
            takeovers: Counter::default(),
            lease_renewals_failed: Counter::default(),
            registry: Registry::default(),
        };
        r.register(
            "hep_kernel_drops",
            "Datagrams that the kernel had no room for",
            metrics.kernel_drops.clone(),
        );
        r.register("hep_connections", "Open HEP connections", metrics.connections.clone());
        r.register(
            "hep_connections_refused",
            "HEP connections refused: too many, an unknown address, or bytes that are no frame",
            metrics.connections_refused.clone(),
        );
        r.register("sessions_open", "Open sessions", metrics.sessions_open.clone());
        r.register(
            "engine_busy_seconds",
            "Time for which the loop of the engine had work; it is saturated at one second a second",
            metrics.engine_busy.clone(),
        );
        r.register("ticks", "Times at which a timer was due without a signal", metrics.ticks.clone());
        r.register("notes", "New senders and settings, which are inputs too", metrics.notes.clone());
        r.register("events", "Events that came out of the machine", metrics.events.clone());
        r.register(
            "events_repeated",
            "Events that the log had already, because what came in had come in before",
            metrics.events_repeated.clone(),
        );
        r.register(
            "stamps_ahead",
            "Messages and signals whose time stamps were more than a minute ahead of the clock, and were taken as now",
            metrics.stamps_ahead.clone(),
        );
        r.register(
            "http_connections_refused",
            "HTTP connections refused: too many in all, or of one host",
            metrics.http_refused.clone(),
        );
        r.register(
            "webhook_notifications_pending",
            "Notifications that are neither delivered nor given up",
            metrics.notifications_pending.clone(),
        );
        r.register(
            "webhook_requests_in_flight",
            "Requests to receivers that are under way",
            metrics.requests_in_flight.clone(),
        );
        r.register("websocket_connections_open", "Open WebSockets", metrics.sockets_open.clone());
        r.register(
            "websocket_sessions",
            "Gateway sessions, connected or such as can be gone on with",
            metrics.gateway_sessions.clone(),
        );
        r.register(
            "websocket_subscriptions",
            "Subscriptions told over WebSockets",
            metrics.gateway_subscriptions.clone(),
        );
        r.register("webhook_subscriptions", "Subscriptions told by webhook", metrics.subscriptions.clone());
        r.register("signal_log_rows", "Inputs that are on disk", metrics.store.signals_stored.clone());
        r.register("event_log_rows", "Events that are on disk", metrics.store.events_stored.clone());
        r.register("store_failing", "1 while the store cannot be written", metrics.store.failing.clone());
        r.register(
            "store_failures",
            "Attempts to write an input that the disk refused; what waits is tried again",
            metrics.store.failures.clone(),
        );
        r.register("store_commit_seconds", "How long a commit took", metrics.store.commit_seconds.clone());
        r.register(
            "cluster_forwarded",
            "Messages and signals handed over to the node that owns their partition",
            metrics.forwarded.clone(),
        );
        r.register(
            "cluster_spool_dropped",
            "Messages lost because no machine took them and no more could wait on disk",
            metrics.spool_dropped.clone(),
        );
        r.register("snapshot_bytes", "Size of the state that was saved last", metrics.snapshot_bytes.clone());
        r.register("snapshot_seconds", "How long saving the state took", metrics.snapshot_seconds.clone());
        r.register(
            "cluster_partitions_owned",
            "Partitions of the cluster that this node owns",
            metrics.partitions_owned.clone(),
        );
        r.register(
            "cluster_takeovers",
            "Times at which this node has taken a partition",
            metrics.takeovers.clone(),
        );
        r.register(
            "cluster_lease_renewals_failed",
            "Renewals of leases that NATS did not take in time",
            metrics.lease_renewals_failed.clone(),
        );
        Arc::new(Self { registry, ..metrics })
    }

    /// The counters in the text format of OpenMetrics.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to memory does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_number_the_last_four_digits_are_shown() {
        assert_eq!(Redacted("+14155550123").to_string(), "…0123");
        assert_eq!(Redacted("0123").to_string(), "…");
        assert_eq!(Redacted("").to_string(), "……");
        assert_eq!(Redacted("12345\n78").to_string(), "…5\\n78");
    }

    #[test]
    fn a_level_for_everything_beyond_info_is_for_our_own_records() {
        let logged = |level: &str| {
            let filter = filter_of(level).expect(level);
            ["hookswitch_server::webhook", "hookswitch", "hyper_util::client", "rustls"].map(|target| {
                let levels = [tracing::Level::INFO, tracing::Level::DEBUG, tracing::Level::TRACE];
                levels.into_iter().filter(|level| filter.would_enable(target, level)).count()
            })
        };
        assert_eq!(logged("info"), [1, 1, 1, 1]);
        assert_eq!(logged("debug"), [2, 2, 1, 1]);
        assert_eq!(logged("trace"), [3, 3, 1, 1]);
        assert_eq!(logged("warn"), [0, 0, 0, 0]);
        assert_eq!(logged("debug,hyper_util=trace"), [2, 2, 3, 1], "who names a library hears it");
        assert_eq!(logged("info,hookswitch_server=debug"), [2, 1, 1, 1]);
        assert_eq!(logged("debug,hookswitch_server=warn"), [0, 2, 1, 1]);
        assert!(filter_of("hookswitch=loud").is_err());
    }

    #[test]
    fn counters_are_written_in_the_format_of_openmetrics() {
        let metrics = Metrics::new();
        metrics.frames.accepted.inc_by(3);
        let text = metrics.text();
        assert!(text.contains("hookswitch_hep_frames_total{outcome=\"accepted\"} 3\n"), "{text}");
        assert!(text.contains("hookswitch_hep_frames_total{outcome=\"key\"} 0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
