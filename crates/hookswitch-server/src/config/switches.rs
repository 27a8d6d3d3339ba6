//! The switches that report their own calls: a section for each adapter, all of one form.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use hookswitch_signal::adapters::Switch;
use hookswitch_signal::switch::{Options, SourceSettings};
use serde::Deserialize;
use toml::{Table, Value};

use super::{Account, AddressBlock, Listen, Span};

/// All sections, in the order of the list of adapters.
#[derive(Clone, Debug, Default)]
pub struct Switches(Vec<SwitchSection>);

/// The section of an adapter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchSection {
    /// Address for switches that connect by themselves.
    #[serde(default)]
    pub listen: Listen,
    /// The most connections at once that switches have made.
    #[serde(default)]
    pub connections_max: usize,
    /// Each of them.
    pub source: Vec<SwitchSource>,
}

/// A switch to which a connection is kept, or which connects for each call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SwitchSource {
    /// The name, unique among all sources.
    pub name: String,
    /// Address that it listens at, as `HOST:PORT`; empty if it connects by itself alone.
    #[serde(default)]
    pub address: String,
    /// The certificate of the authority that has signed its own, in PEM; none for a plain connection.
    pub tls_ca: Option<PathBuf>,
    /// The addresses from which it connects by itself.
    #[serde(default)]
    pub connects_from: Vec<AddressBlock>,
    /// The name of the agents that see its SIP.
    pub hep: Option<String>,
    /// The account of its calls.
    pub account: Option<Account>,
    /// Time for which its calls go on when the connection is lost and none is made; then they end as lost.
    #[serde(default = "lost_after")]
    pub lost_after: Span,
    /// Set if users may act on its calls.
    #[serde(default)]
    pub control: bool,
    /// The most actions that its switch is asked for at once.
    #[serde(default = "control_in_flight")]
    pub control_in_flight: usize,
    /// Options of its adapter beside these.
    #[serde(flatten, deserialize_with = "options")]
    options: Options,
}

/// The default of [`SwitchSource::lost_after`] (contract events §11).
const fn lost_after() -> Span {
    Span(Duration::from_secs(15 * 60))
}

/// The default of [`SwitchSource::control_in_flight`].
const fn control_in_flight() -> usize {
    16
}

fn options<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Options, D::Error> {
    serde_json::Map::deserialize(deserializer).map(Options::new)
}

impl SwitchSource {
    /// The settings as an adapter reads them.
    pub fn settings(&self) -> SourceSettings<'_> {
        SourceSettings {
            name: &self.name,
            address: &self.address,
            over_tls: self.tls_ca.is_some(),
            may_connect: !self.connects_from.is_empty(),
            options: &self.options,
        }
    }

    /// Returns `true` if it connects by itself.
    pub const fn connects(&self) -> bool {
        self.address.is_empty()
    }
}

/// The keys that a source of an adapter may have.
pub(super) fn keys(switch: Switch) -> Vec<&'static str> {
    use hookswitch_signal::switch::COMMON_KEYS;
    let connects = switch.adapter().may_connect().then_some("connects_from");
    let own = switch.adapter().keys().iter().copied();
    COMMON_KEYS.into_iter().chain(own).chain(connects).collect()
}

impl Switches {
    /// Takes the sections of all adapters out of the settings.
    ///
    /// # Errors
    /// If a value is of another kind, or one is missing.
    pub(super) fn take(merged: &mut Table) -> Result<Self, toml::de::Error> {
        let section = |switch: &Switch| {
            let section = merged.remove(switch.adapter().name()).unwrap_or(Value::Table(Table::new()));
            section.try_into()
        };
        Switch::ALL.iter().map(section).collect::<Result<_, _>>().map(Self)
    }

    /// The sections with their adapters.
    pub fn sections(&self) -> impl Iterator<Item = (Switch, &SwitchSection)> {
        Switch::ALL.iter().copied().zip(&self.0)
    }

    /// All sources with their adapters.
    pub fn sources(&self) -> impl Iterator<Item = (Switch, &SwitchSource)> {
        self.sections()
            .flat_map(|(switch, section)| section.source.iter().map(move |source| (switch, source)))
    }

    pub(super) fn sources_mut(&mut self) -> impl Iterator<Item = &mut SwitchSource> {
        self.0.iter_mut().flat_map(|section| &mut section.source)
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (switch, source) in self.sources() {
            switch.adapter().check(&source.settings())?;
            let protocol = switch.adapter().words().protocol;
            let acts = switch.adapter().acts() && !source.address.is_empty();
            ensure!(
                acts || !source.control,
                "the {protocol} source {:?} has control = true, and calls are acted on by a connection that is made to \
                 an Asterisk's manager or a FreeSWITCH's event socket alone; leave it out",
                source.name
            );
            ensure!(
                source.control_in_flight > 0,
                "control_in_flight of the {protocol} source {:?} is 0; allow one at least",
                source.name
            );
        }
        for (switch, section) in self.sections() {
            let (name, protocol) = (switch.adapter().name(), switch.adapter().words().protocol);
            ensure!(
                section.listen.0.is_some() || section.source.iter().all(|it| it.connects_from.is_empty()),
                "an {protocol} source has connects_from, and {name}.listen is not set; set it to \"0.0.0.0:8084\" or \
                 the like"
            );
        }
        Ok(())
    }
}
