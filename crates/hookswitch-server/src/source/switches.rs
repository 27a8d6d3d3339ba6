//! The switches that tell of their calls themselves, as the configuration lists them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use hookswitch_model::AccountId;
use hookswitch_store::{Partition, Sender};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::ami::{self, Found};
use super::esl::{self, Allowed, Callers};
use super::switch::{Feed, Place};
use crate::config::{AmiSource, Config, EslSource};
use crate::intake::Intake;
use crate::telemetry::Metrics;

/// A source, and whose its calls are when nothing else tells.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    Asterisk(AmiSource, AccountId),
    FreeSwitch(EslSource, AccountId),
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Self::Asterisk(source, _) => &source.name,
            Self::FreeSwitch(source, _) => &source.name,
        }
    }

    /// Who it is in the signal log.
    fn sender(&self) -> Sender {
        let name = self.name().to_owned();
        match self {
            Self::Asterisk(source, account) => {
                Sender::Ami { name, account: account.as_u64(), hep: source.hep.clone() }
            }
            Self::FreeSwitch(source, account) => {
                Sender::Esl { name, account: account.as_u64(), hep: source.hep.clone() }
            }
        }
    }

    fn place(&self) -> anyhow::Result<Place> {
        let (address, ca): (&str, Option<&Path>) = match self {
            Self::Asterisk(source, _) => (&source.address, source.tls_ca.as_deref()),
            Self::FreeSwitch(source, _) => (&source.address, source.tls_ca.as_deref()),
        };
        Place::new(self.name(), address, ca)
    }

    /// Whose its calls are when nothing else tells.
    fn account(&self) -> AccountId {
        match self {
            Self::Asterisk(_, account) | Self::FreeSwitch(_, account) => *account,
        }
    }

    /// Whether it connects by itself.
    fn connects(&self) -> bool {
        matches!(self, Self::FreeSwitch(source, _) if source.address.is_empty())
    }
}

/// A connection that is kept, and what ends it: dropped, its source is gone; true, the server stops.
struct Kept {
    source: Source,
    stop: watch::Sender<bool>,
}

/// All connections to switches.
pub(crate) struct Switches {
    runtime: Handle,
    intake: SyncSender<Intake>,
    metrics: Arc<Metrics>,
    callers: Arc<Callers>,
    kept: Mutex<BTreeMap<String, Kept>>,
    /// The partitions whose switches are connected to, and how many there are; none: all.
    working: Mutex<Option<(Vec<Partition>, u8)>>,
}

impl Switches {
    /// No connections yet; those that will be made run on `runtime`.
    pub(crate) fn new(
        runtime: Handle,
        intake: SyncSender<Intake>,
        metrics: Arc<Metrics>,
        callers: Arc<Callers>,
    ) -> Self {
        Self { runtime, intake, metrics, callers, kept: Mutex::default(), working: Mutex::default() }
    }

    /// Makes the connections that a configuration lists, and ends those that it does not; what has not changed
    /// goes on. `account` is whose calls they are when a source says nothing, and `found` is told what an
    /// Asterisk says of itself.
    ///
    /// # Errors
    /// If the certificate of an authority cannot be used; then nothing has changed.
    pub(crate) fn update(&self, config: &Config, account: AccountId, found: &Found) -> anyhow::Result<()> {
        let of = |own: Option<crate::config::Account>| own.map_or(account, |own| own.0);
        let asterisks = config.ami.source.iter().map(|it| Source::Asterisk(it.clone(), of(it.account)));
        let freeswitches = config.esl.source.iter().map(|it| Source::FreeSwitch(it.clone(), of(it.account)));
        let (connect, mut keep): (Vec<_>, Vec<_>) = asterisks.chain(freeswitches).partition(Source::connects);
        let moved: Vec<Source> = {
            let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
            let here = |source: &Source| {
                working
                    .as_ref()
                    .is_none_or(|(all, count)| all.contains(&Partition::of(source.account(), *count)))
            };
            let moved = keep.iter().filter(|source| !here(source)).cloned().collect();
            keep.retain(here);
            moved
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = |source: &Source| kept.get(source.name()).is_some_and(|kept| kept.source == *source);
        let new: Vec<(Source, Place)> = keep
            .iter()
            .filter(|source| !is_kept(source))
            .map(|source| Ok((source.clone(), source.place()?)))
            .collect::<anyhow::Result<_>>()?;
        for kept in kept.values().filter(|kept| moved.contains(&kept.source)) {
            // Another node connects to it: nobody is told that the connection is lost.
            kept.stop.send_replace(true);
        }
        kept.retain(|_, kept| keep.contains(&kept.source));
        for (source, place) in new {
            let (stop, stopped) = watch::channel(false);
            self.start(source.clone(), place, found.clone(), stopped);
            kept.insert(source.name().to_owned(), Kept { source, stop });
        }
        let allow = |source: &Source| match source {
            Source::FreeSwitch(rule, _) => Some(Allowed {
                name: rule.name.clone(),
                connects_from: rule.connects_from.clone(),
                format: rule.format,
                feed: self.feed(source),
            }),
            Source::Asterisk(..) => None,
        };
        self.callers.allow(connect.iter().filter_map(allow).collect());
        Ok(())
    }

    /// Of `count` partitions this node works for these; it is to be updated then.
    pub(crate) fn work_for(&self, partitions: Vec<Partition>, count: u8) {
        *self.working.lock().unwrap_or_else(PoisonError::into_inner) = Some((partitions, count));
    }

    fn feed(&self, source: &Source) -> Feed {
        let (kind, counters, account) = match source {
            Source::Asterisk(_, account) => ("ami", &self.metrics.ami, *account),
            Source::FreeSwitch(_, account) => ("esl", &self.metrics.esl, *account),
        };
        let count = self.metrics.sources.of(kind, source.name(), account);
        Feed::new(&Arc::new(source.sender()), self.intake.clone(), counters.clone(), count)
    }

    fn start(&self, source: Source, place: Place, found: Found, stop: watch::Receiver<bool>) {
        let feed = self.feed(&source);
        match source {
            Source::Asterisk(source, account) => {
                self.runtime.spawn(ami::run(source, account, place, feed, found, stop));
            }
            Source::FreeSwitch(source, _) => {
                self.runtime.spawn(esl::run(source, place, feed, stop));
            }
        }
    }

    /// Ends all connections: the server stops.
    pub(crate) fn stop(&self) {
        for kept in self.kept.lock().unwrap_or_else(PoisonError::into_inner).values() {
            kept.stop.send_replace(true);
        }
    }
}
