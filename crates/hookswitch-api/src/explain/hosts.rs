//! The hosts between which the messages of a call went, and what they are called.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use hookswitch_core::directory::{Account, Kind};
use hookswitch_signal::sip::{self, NameAddr, StartLine};
use hookswitch_store::{self as store, LoggedInput, Sender};
use serde::Serialize;
use utoipa::ToSchema;

use super::Sources;

/// The most users of one host that are remembered: more than one make it a server.
const USERS_MAX: usize = 2;

/// The longest product that is shown, in characters.
const PRODUCT_CHARS_MAX: usize = 60;

/// A host that sent or was sent SIP of a call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Host {
    /// Its address and port, as `src` and `dst` of the inputs have them.
    pub(crate) address: String,
    /// What people call it; missing where nothing says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Place where the name is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) named_by: Option<NamedBy>,
    /// The product that it says it is (User-Agent, or Server of its responses).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_agent: Option<String>,
    /// The user whose calls alone it has, if it looks like a phone.
    #[serde(skip)]
    user: Option<String>,
}

/// Where the name of a host is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum NamedBy {
    /// It is the phone of an extension of the directory.
    Directory,
    /// The capture agent of this name runs on it.
    Source,
    /// It says which product it is.
    UserAgent,
}

/// What the messages of a call say of its hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts(BTreeMap<SocketAddr, Facts>);

/// What is known of one host.
#[derive(Debug, Default)]
struct Facts {
    product: Option<String>,
    /// The names of capture agents with its address.
    agents: BTreeSet<String>,
    /// The users on its side of requests that begin a call, `USERS_MAX` at most.
    users: BTreeSet<String>,
    /// Set if it asks others who they are.
    challenges: bool,
}

impl Hosts {
    /// Takes what an input says.
    pub(super) fn note(&mut self, logged: &LoggedInput<'_>, sources: &Sources) {
        let Ok(store::Input::Message(message)) = store::Input::read(logged.columns) else { return };
        let agent = sources.sender(logged.columns.source, logged.position);
        for address in [message.src, message.dst] {
            let facts = self.0.entry(address).or_default();
            if let Some(Sender::Hep { name, address: own, .. }) = agent
                && *own == address.ip()
            {
                facts.agents.insert(name.clone());
            }
        }
        let Ok(parsed) = sip::Message::parse(message.payload) else { return };
        let is_request = matches!(parsed.start(), StartLine::Request { .. });
        if let Some(facts) = self.0.get_mut(&message.src) {
            let said = if is_request { parsed.user_agent() } else { parsed.server().or(parsed.user_agent()) };
            if let Some(product) = said.map(product).filter(|product| !product.is_empty()) {
                facts.product.get_or_insert(product);
            }
            facts.challenges |= matches!(parsed.start().status(), Some(401 | 407));
        }
        // In a dialog the sides change with who asks; what begins it says who is where.
        if is_request && parsed.to_tag().is_none() && parsed.cseq().method.as_bytes() == b"INVITE" {
            for (address, side) in [(message.src, parsed.from()), (message.dst, parsed.to())] {
                if let (Some(facts), Some(user)) = (self.0.get_mut(&address), user(side))
                    && facts.users.len() < USERS_MAX
                {
                    facts.users.insert(user);
                }
            }
        }
    }

    /// The hosts in the order of their addresses, named by what the messages say.
    pub(super) fn into_list(self) -> Vec<Host> {
        let mut per_ip: BTreeMap<_, u32> = BTreeMap::new();
        for address in self.0.keys() {
            *per_ip.entry(address.ip()).or_default() += 1;
        }
        let host = |(address, facts): (SocketAddr, Facts)| {
            // Of several behind one address it is not known on which of them the agent runs.
            let is_alone = per_ip.get(&address.ip()) == Some(&1);
            let agent = facts.agents.into_iter().next().filter(|_| is_alone);
            let named = agent
                .map(|name| (name, NamedBy::Source))
                .or_else(|| facts.product.as_deref().map(short).map(|name| (name, NamedBy::UserAgent)));
            let (name, named_by) = named.unzip();
            let only = facts.users.first().filter(|_| facts.users.len() == 1 && !facts.challenges);
            Host {
                address: address.to_string(),
                name,
                named_by,
                user: only.cloned(),
                user_agent: facts.product,
            }
        };
        self.0.into_iter().map(host).collect()
    }
}

impl Host {
    /// Takes the name of the person whose phone it is, if the directory of the account has one.
    pub(super) fn name_by(&mut self, account: &Account) {
        let Some(user) = &self.user else { return };
        let found = account.resolve(&Arc::from(user.as_str()), None);
        if found.extension.is_none() || found.kind != Kind::User {
            return;
        }
        let name = found.name.iter().map(|name| &**name).chain([&*found.number]);
        self.name = Some(name.collect::<Vec<_>>().join(" "));
        self.named_by = Some(NamedBy::Directory);
    }
}

fn user(side: NameAddr<'_>) -> Option<String> {
    side.uri().user_decoded().map(Cow::into_owned).filter(|user| !user.is_empty())
}

/// The product of a header, no longer than a line.
fn product(value: &[u8]) -> String {
    sip::lossy(value).trim().chars().take(PRODUCT_CHARS_MAX).collect()
}

/// A product without its comments and the version behind the slash: `Asterisk PBX 22.1.0` stays as it is, of
/// `baresip v3.1.0 (x86_64/Linux)` the parenthesis goes.
fn short(product: &str) -> String {
    let plain = product.split('(').next().unwrap_or_default().trim();
    let plain = plain.split('/').next().unwrap_or_default().trim();
    if plain.is_empty() { product } else { plain }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_called_by_its_name_without_what_it_was_built_for() {
        for (said, called) in [
            ("baresip v3.1.0 (x86_64/Linux)", "baresip v3.1.0"),
            ("Asterisk PBX 22.1.0", "Asterisk PBX 22.1.0"),
            ("FreeSWITCH-mod_sofia/1.10.12~64bit", "FreeSWITCH-mod_sofia"),
            ("kamailio (5.8.4 (x86_64/linux))", "kamailio"),
            ("(nothing)", "(nothing)"),
        ] {
            assert_eq!(short(said), called);
        }
    }
}
