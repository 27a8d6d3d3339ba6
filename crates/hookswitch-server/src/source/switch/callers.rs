//! Switches that connect by themselves, once for each call.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use hookswitch_signal::adapters::Switch;
use hookswitch_signal::switch::{ConnectionEnd, SwitchConnection};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Carrier, InputBuffer, follow, refused};
use crate::clock;
use crate::config::{SwitchSource, Switches};
use crate::control::Placement;
use crate::telemetry::{Connections, Metrics};

/// Time to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A source that may connect.
pub(crate) struct Allowed {
    pub(crate) source: SwitchSource,
    pub(crate) input: InputBuffer,
}

/// The listener that switches of a kind connect to.
pub(crate) struct Callers {
    switch: Switch,
    allowed: RwLock<Vec<Allowed>>,
    counters: Arc<Connections>,
    open: AtomicUsize,
    connections_max: usize,
}

impl Callers {
    /// Listeners of all kinds of switches that may connect, on which nobody may connect yet.
    pub(crate) fn of(switches: &Switches, metrics: &Metrics) -> BTreeMap<Switch, Arc<Self>> {
        let sections = switches.sections().filter(|(switch, _)| switch.adapter().may_connect());
        let callers = sections.map(|(switch, section)| {
            (switch, Self::new(switch, metrics.switch(switch).clone(), section.connections_max))
        });
        callers.collect()
    }

    /// A listener on which nobody may connect yet, with so many connections at most.
    fn new(switch: Switch, counters: Arc<Connections>, connections_max: usize) -> Arc<Self> {
        let (allowed, open) = (RwLock::default(), AtomicUsize::new(0));
        Arc::new(Self { switch, allowed, counters, open, connections_max })
    }

    /// Lets these connect from here on, and nobody else. Connections that are open stay so.
    pub(crate) fn allow(&self, allowed: Vec<Allowed>) {
        if let Ok(mut current) = self.allowed.write() {
            *current = allowed;
        }
    }

    /// Accepts connections until told to stop.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let product = self.switch.adapter().words().product;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of {product}");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let from = peer.ip().to_canonical();
            let Some((source, input)) = self.admit(from) else {
                self.counters.lost.inc();
                tracing::warn!(
                    %from,
                    "{product} may not connect, or there are too many connections; see connects_from"
                );
                continue;
            };
            let (shared, mut stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = shared.follow(stream, &source, input) => {}
                    _ = stop.wait_for(|&stop| stop) => {}
                }
            });
        }
    }

    fn admit(&self, from: IpAddr) -> Option<(SwitchSource, InputBuffer)> {
        if self.open.load(Ordering::Relaxed) >= self.connections_max {
            return None;
        }
        let allowed = self.allowed.read().ok()?;
        let may = |allowed: &&Allowed| allowed.source.connects_from.iter().any(|block| block.contains(from));
        let allowed = allowed.iter().find(may)?;
        Some((allowed.source.clone(), allowed.input.another()))
    }

    async fn follow(&self, stream: TcpStream, source: &SwitchSource, mut input: InputBuffer) {
        let _open = Open::count(self);
        stream.set_nodelay(true).ok(); // it only makes the beginning slower
        let (name, words) = (&*source.name, self.switch.adapter().words());
        let mut connection = match self.switch.adapter().accept(&source.settings()) {
            Ok(protocol) => SwitchConnection::new(protocol),
            Err(error) => {
                tracing::error!(source = name, "the settings of the source cannot be used: {error}");
                return;
            }
        };
        let mut carrier = Carrier::Bytes(Box::new(stream));
        let mut orders = Placement::default();
        let inputs = (&mut input, &mut orders);
        let ended = follow(&mut carrier, None, &mut connection, inputs, |event, _| {
            refused(name, words.accepted, event);
        });
        let error = ended.await.err().map_or_else(String::new, |error| format!("{error:#}"));
        let length = input.bytes().len();
        let end = connection.handle_end(input.bytes());
        if input.bytes().len() > length {
            input.message(clock::wall());
        }
        if end == ConnectionEnd::Lost {
            tracing::warn!(source = name, error, "the {} was lost before its end", words.accepted);
            self.counters.lost.inc();
        }
        input.flush().await;
    }
}

/// Counts a connection as long as it is open.
struct Open<'a>(&'a Callers);

impl<'a> Open<'a> {
    fn count(callers: &'a Callers) -> Self {
        callers.open.fetch_add(1, Ordering::Relaxed);
        callers.counters.up.inc();
        Self(callers)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.counters.up.dec();
    }
}
