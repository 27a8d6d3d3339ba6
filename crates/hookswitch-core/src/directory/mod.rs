//! Directory: which account a call belongs to, and whom in it.

mod account;
mod file;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hookswitch_model::number::{DialPlan, E164, Form};
use hookswitch_model::{AccountId, LegCreated};

pub use account::{Account, Extension, Kind, Resolved};
pub use file::DirectoryError;

/// Maps what signalling shows (domains, addresses of trunks, SIP users, numbers) to accounts and their
/// extensions.
#[derive(Clone, Debug)]
pub struct Directory {
    accounts: HashMap<AccountId, Arc<Account>, RandomState>,
    /// In the order of the file.
    order: Vec<AccountId>,
    by_domain: Arc<Domains>,
    /// Trunks, by address; port 0 stands for all ports.
    trunks: HashMap<SocketAddr, AccountId, RandomState>,
    /// Trunks, by what the switch calls them; none where several accounts use one.
    by_trunk_endpoint: HashMap<String, Option<AccountId>, RandomState>,
    /// Numbers of the accounts.
    by_number: HashMap<E164, AccountId, RandomState>,
    /// The ways of dialling that accounts have, each once.
    dial_plans: Vec<DialPlan>,
}

impl Directory {
    /// The built-in directory of one account, for use without any configuration.
    pub fn built_in(account: AccountId) -> Self {
        let mut directory = Self::empty();
        directory.add(Account::built_in(account));
        directory
    }

    /// Reads a directory file; `docs/directory.md` says what may stand in it.
    ///
    /// # Errors
    /// Says in which line what is wrong, and the fix.
    pub fn parse(text: &str) -> Result<Self, DirectoryError> {
        file::parse(text)
    }

    pub(crate) fn empty() -> Self {
        Self {
            accounts: HashMap::default(),
            order: Vec::new(),
            by_domain: Arc::default(),
            trunks: HashMap::default(),
            by_trunk_endpoint: HashMap::default(),
            by_number: HashMap::default(),
            dial_plans: Vec::new(),
        }
    }

    fn add(&mut self, account: Account) {
        self.order.push(account.id());
        if !self.dial_plans.contains(account.dial_plan()) {
            self.dial_plans.push(account.dial_plan().clone());
        }
        self.accounts.insert(account.id(), Arc::new(account));
    }

    /// The accounts, in the order of the file.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.order.iter().filter_map(|id| self.accounts.get(id).map(Arc::as_ref))
    }

    /// An account of the directory; one that is not in it gets a built-in account.
    pub(crate) fn account(&mut self, id: AccountId) -> Arc<Account> {
        self.accounts.entry(id).or_insert_with(|| Arc::new(Account::built_in(id))).clone()
    }

    /// Returns which account a new call belongs to, when the directory can tell: by the tenant that the switch
    /// names, by the domain that is called, which is where the request is led, by the trunk that it came from, by the
    /// domain that the caller claims, by the trunk that it goes to, or by a number that one account has.
    ///
    /// Whoever sends a request writes what stands in it, so what it claims of itself counts only where no trunk tells.
    pub(crate) fn owner(&self, leg: &LegCreated) -> Option<AccountId> {
        if let Some(account) = leg.endpoint_domain.as_ref().and_then(|domain| self.by_domain.owner(domain)) {
            return Some(account);
        }
        if let Some(account) = leg.callee_host.as_ref().and_then(|host| self.by_domain.owner(host)) {
            return Some(account);
        }
        if let Some(account) = leg.src.and_then(|address| self.trunk(address)) {
            return Some(account);
        }
        let endpoint = leg.endpoint.as_ref().and_then(|endpoint| self.by_trunk_endpoint.get(&**endpoint));
        if let Some(&Some(account)) = endpoint {
            return Some(account);
        }
        if let Some(account) = self.claimed(leg) {
            return Some(account);
        }
        if let Some(account) = leg.dst.and_then(|address| self.trunk(address)) {
            return Some(account);
        }
        if self.by_number.is_empty() {
            return None;
        }
        let numbers = [Some(&leg.callee), leg.caller.number.as_ref()];
        numbers.into_iter().flatten().find_map(|number| self.owner_of_number(number))
    }

    /// The account whose domain the caller claims to call from.
    pub(crate) fn claimed(&self, leg: &LegCreated) -> Option<AccountId> {
        leg.caller.host.as_ref().and_then(|host| self.by_domain.owner(host))
    }

    /// The account that has a number, however it is dialled in any of them; none if two could be meant.
    fn owner_of_number(&self, number: &str) -> Option<AccountId> {
        let has = |plan: &DialPlan| self.by_number.get(&plan.read(number, Form::Caller)?).copied();
        let mut owners = self.dial_plans.iter().filter_map(has);
        let owner = owners.next()?;
        owners.all(|other| other == owner).then_some(owner)
    }

    /// The account that has a trunk at this address.
    fn trunk(&self, address: SocketAddr) -> Option<AccountId> {
        self.trunks.get(&address).or_else(|| self.trunks.get(&any_port(address))).copied()
    }
}

/// The domains of all accounts, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Domains(HashMap<String, AccountId, RandomState>);

impl Domains {
    /// The account that a domain belongs to.
    pub(crate) fn owner(&self, domain: &str) -> Option<AccountId> {
        if let Some(&account) = self.0.get(domain) {
            return Some(account);
        }
        let has_capitals = domain.bytes().any(|byte| byte.is_ascii_uppercase());
        has_capitals.then(|| self.0.get(&domain.to_ascii_lowercase()).copied()).flatten()
    }
}

/// Returns `true` if a host of a SIP URI is the name of a domain, and no address.
pub(crate) fn is_domain(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_err()
}

/// The address that stands for all ports of a host.
pub(crate) fn any_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), 0)
}
