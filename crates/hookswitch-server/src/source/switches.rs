//! The switches that tell of their calls themselves, as the configuration lists them.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use hookswitch_model::AccountId;
use hookswitch_signal::adapters::Switch;
use hookswitch_store::{Partition, Sender};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::switch::{Allowed, Callers, Found, InputBuffer, KeptSource, SwitchEndpoint, run_with_reconnect};
use crate::config::{Config, SwitchSource};
use crate::control::{Control, ControlledSource};
use crate::intake::Intake;
use crate::telemetry::Metrics;

/// A source, and whose its calls are when nothing else tells.
#[derive(Clone, PartialEq, Eq)]
struct Source {
    switch: Switch,
    settings: SwitchSource,
    account: AccountId,
}

impl Source {
    fn name(&self) -> &str {
        &self.settings.name
    }

    /// Returns who it is in the signal log.
    fn sender(&self) -> Sender {
        Sender::Switch {
            adapter: self.switch.adapter().name().to_owned(),
            name: self.name().to_owned(),
            account: self.account.as_u64(),
            hep: self.settings.hep.clone(),
        }
    }

    fn endpoint(&self) -> anyhow::Result<SwitchEndpoint> {
        SwitchEndpoint::new(self.name(), &self.settings.address, self.settings.tls_ca.as_deref())
    }
}

/// A connection that is kept, and what ends it: dropped, its source is gone; true, the server stops.
struct RunningSource {
    source: Source,
    control: Option<Arc<ControlledSource>>,
    stop: watch::Sender<bool>,
}

/// All connections to switches.
pub(crate) struct Switches {
    runtime: Handle,
    intake: SyncSender<Intake>,
    metrics: Arc<Metrics>,
    callers: BTreeMap<Switch, Arc<Callers>>,
    kept: Mutex<BTreeMap<String, RunningSource>>,
    /// The partitions whose switches are connected to, and how many there are; none: all.
    working: Mutex<Option<(Vec<Partition>, u8)>>,
    control: Arc<Control>,
}

impl Switches {
    /// No connections yet; those that will be made run on `runtime`.
    pub(crate) fn new(
        runtime: Handle,
        intake: SyncSender<Intake>,
        metrics: Arc<Metrics>,
        callers: BTreeMap<Switch, Arc<Callers>>,
        control: Arc<Control>,
    ) -> Self {
        let (kept, working) = (Mutex::default(), Mutex::default());
        Self { runtime, intake, metrics, callers, kept, working, control }
    }

    /// Makes the connections that a configuration lists, and ends those that it does not; what has not changed
    /// goes on. `account` is whose calls they are when a source says nothing, and `found` is told what a
    /// switch says it has.
    ///
    /// # Errors
    /// If the certificate of an authority cannot be used; then nothing has changed.
    pub(crate) fn update(&self, config: &Config, account: AccountId, found: &Found) -> anyhow::Result<()> {
        let of = |own: Option<crate::config::Account>| own.map_or(account, |own| own.0);
        let sources = config.switches.sources().map(|(switch, settings)| Source {
            switch,
            settings: settings.clone(),
            account: of(settings.account),
        });
        let (connect, mut keep): (Vec<_>, Vec<_>) = sources.partition(|source| source.settings.connects());
        let moved: Vec<Source> = {
            let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
            let here = |source: &Source| {
                working
                    .as_ref()
                    .is_none_or(|(all, count)| all.contains(&Partition::of(source.account, *count)))
            };
            let moved = keep.iter().filter(|source| !here(source)).cloned().collect();
            keep.retain(here);
            moved
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = |source: &Source| kept.get(source.name()).is_some_and(|kept| kept.source == *source);
        let new: Vec<(Source, SwitchEndpoint)> = keep
            .iter()
            .filter(|source| !is_kept(source))
            .map(|source| Ok((source.clone(), source.endpoint()?)))
            .collect::<anyhow::Result<_>>()?;
        for kept in kept.values().filter(|kept| moved.contains(&kept.source)) {
            // Another node connects to it: nobody is told that the connection is lost.
            kept.stop.send_replace(true);
        }
        kept.retain(|_, kept| keep.contains(&kept.source));
        for (source, endpoint) in new {
            let (stop, stopped) = watch::channel(false);
            let input = self.input(&source);
            let Source { switch, settings, account } = source.clone();
            let controlled = || Arc::new(ControlledSource::new(switch, settings.clone(), account));
            let control = settings.control.then(controlled);
            let line = control.as_ref().map(|controlled| controlled.line().clone());
            let kept_source =
                KeptSource { switch, settings, account, endpoint: Arc::new(endpoint), control: line };
            self.runtime.spawn(run_with_reconnect(kept_source, input, found.clone(), stopped));
            kept.insert(source.name().to_owned(), RunningSource { source, control, stop });
        }
        let controlled = kept.iter().filter_map(|(name, kept)| Some((name.clone(), kept.control.clone()?)));
        self.control.set_sources(controlled.collect());
        for (switch, callers) in &self.callers {
            let of_kind = connect.iter().filter(|source| source.switch == *switch);
            let allow =
                |source: &Source| Allowed { source: source.settings.clone(), input: self.input(source) };
            callers.allow(of_kind.map(allow).collect());
        }
        Ok(())
    }

    /// Of `count` partitions this node works for these; it is to be updated then.
    pub(crate) fn work_for(&self, partitions: Vec<Partition>, count: u8) {
        *self.working.lock().unwrap_or_else(PoisonError::into_inner) = Some((partitions, count));
    }

    fn input(&self, source: &Source) -> InputBuffer {
        let counters = self.metrics.switch(source.switch);
        let kind = source.switch.adapter().name();
        let count = self.metrics.sources.of(kind, source.name(), source.account);
        let lost_after = source.settings.lost_after.0;
        InputBuffer::new(&Arc::new(source.sender()), self.intake.clone(), counters.clone(), count, lost_after)
    }

    /// Ends all connections: the server stops.
    pub(crate) fn stop(&self) {
        for kept in self.kept.lock().unwrap_or_else(PoisonError::into_inner).values() {
            kept.stop.send_replace(true);
        }
    }
}
