//! One account and its extensions.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::number::{self, Country, DialPlan, E164, Form};
use hookswitch_model::{AccountId, DeviceId, Direction, ExtensionId, LegCreated, Service};
use serde::{Deserialize, Serialize};

use super::Domains;
use crate::hash::IdHash;

/// Kind of an extension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person.
    #[default]
    User,
    /// A menu (IVR).
    Menu,
    /// A queue.
    Queue,
    /// Several phones that ring together.
    RingGroup,
    /// A mailbox, or the number to listen to mailboxes.
    Voicemail,
    /// Places where calls are parked.
    Park,
    /// A conference room.
    Conference,
    /// A fax machine.
    Fax,
}

impl From<Service> for Kind {
    fn from(service: Service) -> Self {
        match service {
            Service::Menu => Self::Menu,
            Service::Queue => Self::Queue,
            Service::Voicemail => Self::Voicemail,
            Service::Fax => Self::Fax,
        }
    }
}

/// Whom a number or user belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The number as the API shows it: E.164 where the account can tell, else as it was sent.
    pub number: Arc<str>,
    /// The extension, when it is one of the account.
    pub extension: Option<ExtensionId>,
    /// The name that the directory gives the extension.
    pub name: Option<Arc<str>>,
    /// Kind of the extension.
    pub kind: Kind,
    /// The number is one of the account, whether anybody has it or not.
    pub internal: bool,
    /// It is a code for the switch, which nobody has.
    pub is_code: bool,
}

/// An account: one customer of the phone system.
#[derive(Clone, Debug)]
pub struct Account {
    id: AccountId,
    name: Option<Arc<str>>,
    plan: DialPlan,
    /// The country whose numbers are dialled, if the file names it.
    pub(super) country: Option<Country>,
    /// Set if the file lists the extensions; else they come into being as they are seen.
    listed: bool,
    extensions: Vec<Extension>,
    /// The place of an extension by its number, its SIP users (in lower case) and its E.164 numbers.
    by_name: HashMap<Arc<str>, usize, RandomState>,
    codes: Vec<Box<str>>,
    /// The domains of all accounts, and whether any of them is its own.
    pub(super) domains: Arc<Domains>,
    pub(super) has_domains: bool,
    /// Addresses of its trunks; port 0 stands for all ports.
    pub(super) trunks: Vec<SocketAddr>,
    /// Names that the switch has for them.
    pub(super) trunk_endpoints: HashSet<String, RandomState>,
    /// The addresses of switches that have several, each with the first of its switch; port 0 stands for all
    /// ports.
    pub(super) switches: Vec<(SocketAddr, SocketAddr)>,
}

/// An extension that the file lists.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its id.
    pub id: ExtensionId,
    /// Its device.
    pub device: DeviceId,
    /// The number that is dialled within the account.
    pub number: Option<Arc<str>>,
    /// The SIP user of its phone; none: its number.
    pub phone: Option<Arc<str>>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Kind of the extension.
    pub kind: Kind,
    /// The numbers that reach it from outside, in E.164.
    pub numbers: Vec<Arc<str>>,
    pub(super) mailbox: bool,
    /// Calls that are sent to its number are parked in one of several slots.
    pub(super) has_slots: bool,
}

impl Account {
    /// An account without configuration: short numbers and alphanumeric users are extensions, which
    /// come into being as they are seen; the rest is outside. Ids are derived from account and number,
    /// so they are the same in every run.
    pub fn built_in(id: AccountId) -> Self {
        Self {
            id,
            name: None,
            plan: DialPlan::default(),
            country: None,
            listed: false,
            extensions: Vec::new(),
            by_name: HashMap::default(),
            codes: Vec::new(),
            domains: Arc::default(),
            has_domains: false,
            trunks: Vec::new(),
            trunk_endpoints: HashSet::default(),
            switches: Vec::new(),
        }
    }

    /// Stands for an account until the directory gives it.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self::built_in(AccountId::new(0)))
    }

    pub(super) fn listed(
        id: AccountId,
        name: Option<Arc<str>>,
        plan: DialPlan,
        codes: Vec<Box<str>>,
    ) -> Self {
        Self { name, plan, listed: true, codes, ..Self::built_in(id) }
    }

    /// Adds an extension; gives the first of its names that another extension has already.
    pub(super) fn add(&mut self, extension: Extension, names: &[Arc<str>]) -> Option<Arc<str>> {
        let place = self.extensions.len();
        let taken = names.iter().find(|name| self.by_name.get(*name).is_some_and(|&other| other != place));
        if let Some(taken) = taken {
            return Some(taken.clone());
        }
        self.by_name.extend(names.iter().map(|name| (name.clone(), place)));
        self.extensions.push(extension);
        None
    }

    /// The id.
    pub fn id(&self) -> AccountId {
        self.id
    }

    /// The name, if the file gives one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The country whose numbers are dialled, if the file names it.
    pub fn country(&self) -> Option<Country> {
        self.country
    }

    /// The id of a number of the account, the same in every run.
    pub fn number_id(&self, number: &str) -> u64 {
        self.decimal(IdHash::new("number"), number.as_bytes())
    }

    /// Returns `true` if a file lists the extensions: others are none then.
    pub const fn is_listed(&self) -> bool {
        self.listed
    }

    /// The extensions that the file lists, in its order.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Returns the number of extensions that the file lists.
    pub fn extension_count(&self) -> usize {
        self.extensions.len()
    }

    /// Returns how numbers are dialled.
    pub(super) fn dial_plan(&self) -> &DialPlan {
        &self.plan
    }

    /// The number in E.164, as it stands in a message of this account; none for short numbers and names.
    pub fn e164(&self, number: &str, form: Form) -> Option<E164> {
        self.plan.read(number, form)
    }

    /// Whom a number or SIP user belongs to that is dialled on the inside. `host` is the host of its URI;
    /// somebody of another domain is outside, whatever the user part.
    pub fn resolve(&self, user: &Arc<str>, host: Option<&str>) -> Resolved {
        self.resolve_as(user, host, Form::Dialled)
    }

    fn resolve_as(&self, user: &Arc<str>, host: Option<&str>, form: Form) -> Resolved {
        if self.is_elsewhere(host) {
            return Resolved { internal: false, ..self.outside(user, form) };
        }
        if !self.listed {
            let inside = is_extension(user);
            return Resolved {
                extension: inside.then(|| self.derived_extension(user)),
                internal: inside,
                ..self.outside(user, form)
            };
        }
        let by_name = self.place(user);
        // The number of an extension is no subscriber's, though there may be one with these digits.
        let e164 = if by_name.is_some() && number::is_short(user) { None } else { self.e164(user, form) };
        let place = by_name.or_else(|| self.place(e164?.as_str()));
        let Some(extension) = place.map(|place| &self.extensions[place]) else {
            return self.outside(user, form);
        };
        // Who is known by another name is shown with their number; a slot of a parking lot is one itself.
        let own = extension.number.as_ref().filter(|_| extension.kind != Kind::Park);
        Resolved {
            number: if e164.is_some() { shown(user, e164) } else { own.unwrap_or(user).clone() },
            extension: Some(extension.id),
            name: extension.name.clone(),
            kind: extension.kind,
            internal: true,
            is_code: false,
        }
    }

    /// Somebody who is no extension of the account.
    fn outside(&self, user: &Arc<str>, form: Form) -> Resolved {
        let e164 = self.e164(user, form);
        let is_service = e164.is_none() && user.starts_with(['*', '#']);
        Resolved {
            number: shown(user, e164),
            extension: None,
            name: None,
            kind: Kind::User,
            internal: e164.is_none() && is_extension(user),
            is_code: is_service || self.codes.iter().any(|code| user.starts_with(&**code)),
        }
    }

    /// Returns who is called. What goes to a trunk or to another tenant is outside: short numbers are emergency
    /// calls there, or somebody else's.
    pub(crate) fn callee(&self, leg: &LegCreated) -> Resolved {
        // What the switch calls the other end of a leg is the callee only where it places the leg.
        let leads_there = leg.direction == Direction::Inbound || leg.ring_out_role.is_some();
        if self.is_trunk(leg.dst) || (leads_there && (self.is_trunk_endpoint(leg) || self.is_foreign(leg))) {
            return self.outside(&leg.callee, Form::Network);
        }
        let own = self.listed_endpoint(leg).filter(|_| leg.direction == Direction::Inbound);
        let form = if self.comes_from_trunk(leg) { Form::Network } else { Form::Dialled };
        own.unwrap_or_else(|| self.resolve_as(&leg.callee, leg.callee_host.as_deref(), form))
    }

    /// Returns who calls. What comes from a trunk or from another tenant is outside, whatever number it says.
    pub(crate) fn caller(&self, leg: &LegCreated) -> Option<Resolved> {
        let comes_from_there = comes_from_the_far_end(leg);
        let is_outside = self.comes_from_trunk(leg) || (comes_from_there && self.is_foreign(leg));
        let own = self.own_endpoint(leg).filter(|_| comes_from_there && !is_outside);
        if own.is_some() {
            return own;
        }
        let number = leg.caller.number.as_ref()?;
        Some(if is_outside {
            self.outside(number, Form::Network)
        } else {
            self.resolve_as(number, leg.caller.host.as_deref(), Form::Caller)
        })
    }

    /// Returns `true` if a leg comes from a trunk of the account.
    fn comes_from_trunk(&self, leg: &LegCreated) -> bool {
        self.is_trunk(leg.src) || (comes_from_the_far_end(leg) && self.is_trunk_endpoint(leg))
    }

    /// Returns `true` if the switch has the phone at the other end of a leg in a domain of another account.
    pub(crate) fn is_foreign(&self, leg: &LegCreated) -> bool {
        let owner = leg.endpoint_domain.as_ref().and_then(|domain| self.domains.owner(domain));
        owner.is_some_and(|owner| owner != self.id)
    }

    /// The extension of the phone at the other end of a leg, as the switch names it: the one that the file lists,
    /// and without a file the one whose number is the name. The number that a phone shows may be the company's.
    fn own_endpoint(&self, leg: &LegCreated) -> Option<Resolved> {
        if self.listed {
            return self.listed_endpoint(leg);
        }
        let endpoint = leg.endpoint.as_ref()?;
        let is_number = endpoint.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && is_extension(endpoint)).then(|| self.resolve(endpoint, None))
    }

    /// The extension that the file lists for the phone at the other end of a leg, as the switch names it.
    fn listed_endpoint(&self, leg: &LegCreated) -> Option<Resolved> {
        let endpoint = leg.endpoint.as_ref().filter(|_| self.listed)?;
        Some(self.resolve(endpoint, None)).filter(|person| person.extension.is_some())
    }

    /// Returns `true` if the switch names a trunk of the account at the other end of a leg.
    fn is_trunk_endpoint(&self, leg: &LegCreated) -> bool {
        leg.endpoint.as_ref().is_some_and(|endpoint| self.trunk_endpoints.contains(&**endpoint))
    }

    /// Returns `true` if the caller is an extension of the account.
    pub(crate) fn is_inside(&self, leg: &LegCreated) -> bool {
        self.caller(leg).is_some_and(|caller| caller.extension.is_some())
    }

    /// Returns `true` if calls that an extension does not take go to a mailbox.
    pub(crate) fn has_mailbox(&self, extension: ExtensionId) -> bool {
        self.extensions.iter().any(|listed| listed.id == extension && listed.mailbox)
    }

    /// The slot in which a call is parked that is sent to a park number: the number itself, unless the
    /// number stands for several slots, of which the switch takes one.
    pub(crate) fn park_slot(&self, number: &str) -> Option<Arc<str>> {
        let lot = self.place(number).map(|place| &self.extensions[place]);
        let lot = lot.filter(|extension| extension.kind == Kind::Park)?;
        (!lot.has_slots || lot.number.as_deref() != Some(number)).then(|| Arc::from(number))
    }

    /// Returns `true` if a number is one of the slots of a park number, and not that number itself.
    pub(crate) fn is_slot(&self, number: &str) -> bool {
        let lot = self.place(number).map(|place| &self.extensions[place]);
        lot.is_some_and(|lot| {
            lot.kind == Kind::Park && lot.has_slots && lot.number.as_deref() != Some(number)
        })
    }

    /// Returns `true` if a trunk of the account is at this address.
    pub(crate) fn is_trunk(&self, address: Option<SocketAddr>) -> bool {
        let is_here =
            |address| self.trunks.contains(&address) || self.trunks.contains(&super::any_port(address));
        address.is_some_and(is_here)
    }

    /// The address of a switch that stands for all that it has; any other as it is.
    pub(crate) fn switch_address(&self, address: Option<SocketAddr>) -> Option<SocketAddr> {
        let address = address?;
        let is_here = |own: SocketAddr| own == address || own == super::any_port(address);
        let first = self.switches.iter().find(|(own, _)| is_here(*own)).map(|&(_, first)| first);
        Some(first.map_or(address, |first| match first.port() {
            0 => SocketAddr::new(first.ip(), address.port()),
            _ => first,
        }))
    }

    /// The device of an extension: the first that the file lists, or one that is derived.
    pub fn device(&self, extension: ExtensionId) -> DeviceId {
        let listed = self.extensions.iter().find(|listed| listed.id == extension);
        listed.map_or_else(|| self.derived_device(extension), |listed| listed.device)
    }

    pub(super) fn derived_device(&self, extension: ExtensionId) -> DeviceId {
        DeviceId::new(self.decimal(IdHash::new("device"), &extension.as_u64().to_be_bytes()))
    }

    pub(crate) fn derived_extension(&self, user: &str) -> ExtensionId {
        ExtensionId::new(self.decimal(IdHash::new("extension"), user.to_lowercase().as_bytes()))
    }

    fn place(&self, name: &str) -> Option<usize> {
        if let Some(&place) = self.by_name.get(name) {
            return Some(place);
        }
        let has_capitals = name.bytes().any(|byte| byte.is_ascii_uppercase());
        has_capitals.then(|| self.by_name.get(&*name.to_lowercase()).copied()).flatten()
    }

    fn is_elsewhere(&self, host: Option<&str>) -> bool {
        host.is_some_and(|host| {
            self.has_domains && super::is_domain(host) && self.domains.owner(host) != Some(self.id)
        })
    }

    /// Twelve to thirteen digits that end with the suffix of the account.
    fn decimal(&self, purpose: IdHash, bytes: &[u8]) -> u64 {
        let hash = purpose.number(self.id.as_u64()).part(bytes).u64();
        (100_000_000 + hash % 9_900_000_000) * 1000 + self.id.suffix()
    }
}

/// Returns `true` if who calls is at the other end of a leg: what the switch calls that end is not who calls where
/// the switch calls there itself.
fn comes_from_the_far_end(leg: &LegCreated) -> bool {
    leg.direction == Direction::Outbound && leg.ring_out_role.is_none()
}

/// A number as the API shows it.
fn shown(user: &Arc<str>, e164: Option<E164>) -> Arc<str> {
    match e164 {
        Some(number) if number.as_str() != &**user => Arc::from(number.as_str()),
        _ => user.clone(),
    }
}

/// Returns `true` if a user part is a short number or a name, and no subscriber number or code.
fn is_extension(user: &str) -> bool {
    if user.is_empty() || user.eq_ignore_ascii_case("anonymous") || user.eq_ignore_ascii_case("unknown") {
        return false;
    }
    let dialled = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | '+' | '-' | '.' | '(' | ')' | ' ');
    if user.chars().all(dialled) {
        return number::is_short(user);
    }
    !number::is_dialled(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_and_alphanumeric_users_are_extensions_and_the_rest_is_outside() {
        for inside in ["101", "7", "123456", "alice", "bob.smith", "line-7", "Ann", "0"] {
            assert!(is_extension(inside), "{inside}");
        }
        for outside in [
            "+14155550123",
            "14155550123",
            "4155550",
            "anonymous",
            "Anonymous",
            "",
            "*72",
            "#31#101",
            "(415) 555",
        ] {
            assert!(!is_extension(outside), "{outside}");
        }
    }

    #[test]
    fn ids_are_stable_and_end_with_the_suffix_of_the_account() {
        let account = Account::built_in(AccountId::new(310_001_016));
        let resolve = |account: &Account| account.resolve(&Arc::from("101"), None).extension;
        let ann = resolve(&account).expect("a short number");
        assert_eq!(ann.as_u64() % 1000, 16);
        assert_eq!(resolve(&account), Some(ann));
        assert_ne!(resolve(&Account::built_in(AccountId::new(1))), Some(ann));
    }
}
