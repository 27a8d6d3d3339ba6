//! Accounts, extensions and devices as the directory has them (contract call-control §5).

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_core::directory::{Account, Directory, Extension, Kind};
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::auth::{self, Principal, User};
use hookswitch_server::rights::Action;
use serde::Serialize;
use utoipa::ToSchema;

use super::list::{List, PageQuery};
use super::profile::{HomeCountry, ServiceFeature, service_features};
use super::request::{Base, Segments};
use super::{Api, Problem, openapi};

/// The status of every extension: the directory has those alone that are in use.
const ENABLED: &str = "Enabled";

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub(super) struct AccountBody {
    id: u64,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    status: &'static str,
}

/// An extension.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Extension)]
pub(super) struct ExtensionBody {
    id: u64,
    uri: String,
    extension_number: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountRef>,
    contact: Contact,
    /// Of the one who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Permissions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_features: Option<Vec<ServiceFeature>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regional_settings: Option<RegionalSettings>,
}

/// The names of somebody, and the number that reaches them from outside.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Contact {
    first_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    company: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    business_phone: Option<String>,
}

/// Permissions of a user beyond the own extension.
#[derive(Serialize, ToSchema)]
struct Permissions {
    admin: Enabled,
}

/// State of a permission.
#[derive(Serialize, ToSchema)]
struct Enabled {
    enabled: bool,
}

/// Regional settings of an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegionalSettings {
    home_country: HomeCountry,
}

/// The account of something.
#[derive(Serialize, ToSchema)]
struct AccountRef {
    id: String,
}

/// A phone.
#[derive(Serialize, ToSchema)]
pub(super) struct Device {
    id: String,
    uri: String,
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    /// Registrations are not followed: a device of the directory is taken to be there.
    status: &'static str,
    extension: DeviceExtension,
}

/// The extension of a device.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeviceExtension {
    id: u64,
    extension_number: String,
}

/// Somebody of the directory; of a directory without a list, a user of this server.
pub(super) struct Person {
    pub(super) account: AccountId,
    pub(super) id: ExtensionId,
    pub(super) number: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) numbers: Vec<Arc<str>>,
    device: String,
}

impl Api {
    /// The directory that holds.
    pub(super) fn directory(&self) -> Arc<Directory> {
        self.people.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An extension of an account.
    pub(super) async fn person(&self, account: AccountId, id: ExtensionId) -> Result<Person, Problem> {
        let unknown = || Problem::unknown("extensionId", &id.to_string());
        let directory = self.directory();
        let of = directory.accounts().find(|known| known.id() == account);
        if let Some(listed) =
            of.and_then(|account| account.extensions().iter().find(|listed| listed.id == id))
        {
            return Ok(Person::listed(account, listed));
        }
        let key = id.to_string();
        let user = self.store.read_async(move |reader| auth::read::<User>(reader, auth::USER, &key)).await;
        let user = user.map_err(|error| {
            tracing::error!(%error, "a user could not be looked up");
            Problem::internal()
        })?;
        let user = user.filter(|user| user.account == account.to_string()).ok_or_else(unknown)?;
        let device = of.map_or_else(|| Account::built_in(account).device(id), |account| account.device(id));
        Ok(Person {
            account,
            id,
            name: format!("Extension {}", user.extension_number),
            number: user.extension_number,
            kind: Kind::User,
            numbers: Vec::new(),
            device: device.to_string(),
        })
    }
}

impl Api {
    /// The extensions that the directory lists; without a list, the one who asks.
    pub(super) async fn people_of(
        &self,
        principal: &Principal,
        account: AccountId,
    ) -> Result<Vec<Person>, Problem> {
        let directory = self.directory();
        let of = directory.accounts().find(|known| known.id() == account);
        let listed = of.map(Account::extensions).unwrap_or_default();
        if listed.is_empty() {
            return Ok(vec![self.person(account, principal.extension).await?]);
        }
        Ok(listed.iter().map(|listed| Person::listed(account, listed)).collect())
    }
}

impl Person {
    pub(super) fn listed(account: AccountId, listed: &Extension) -> Self {
        let number = listed.number.as_deref().unwrap_or_default().to_owned();
        Self {
            account,
            id: listed.id,
            name: listed.name.as_deref().map_or_else(|| format!("Extension {number}"), str::to_owned),
            number,
            kind: listed.kind,
            numbers: listed.numbers.clone(),
            device: listed.device.to_string(),
        }
    }

    pub(super) fn uri(&self, base: &str) -> String {
        format!("{base}/restapi/v1.0/account/{}/extension/{}", self.account, self.id)
    }

    fn body(self, base: &str, company: Option<&str>) -> ExtensionBody {
        let (first_name, last_name) = self.names();
        ExtensionBody {
            id: self.id.as_u64(),
            uri: self.uri(base),
            kind: self.type_name(),
            status: ENABLED,
            account: None,
            contact: Contact {
                first_name,
                last_name,
                company: company.map(str::to_owned),
                business_phone: self.numbers.first().map(|number| (**number).to_owned()),
            },
            extension_number: self.number,
            name: self.name,
            permissions: None,
            service_features: None,
            regional_settings: None,
        }
    }

    /// The first of its names, and the others.
    pub(super) fn names(&self) -> (String, Option<String>) {
        match self.name.split_once(' ') {
            Some((first, last)) => (first.to_owned(), Some(last.to_owned())),
            None => (self.name.clone(), None),
        }
    }

    /// The word of the API for what comes nearest.
    pub(super) const fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::User | Kind::Conference => "User",
            Kind::Menu => "IvrMenu",
            Kind::Queue | Kind::RingGroup => "Department",
            Kind::Voicemail => "Voicemail",
            Kind::Park => "ParkLocation",
            Kind::Fax => "FaxUser",
        }
    }
}

/// Reads an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}", tag = "Account",
    params(("accountId" = String, Path, description = "`~` or the id")),
    responses((status = 200, body = AccountBody), openapi::Refusals)
)]
pub(super) async fn account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account]): Segments<1>,
) -> Result<Json<AccountBody>, Problem> {
    let id = api.account(&principal, Action::ReadAccount, &account)?;
    let directory = api.directory();
    let name = directory.accounts().find(|account| account.id() == id).and_then(Account::name);
    Ok(Json(AccountBody {
        id: id.as_u64(),
        uri: format!("{base}/restapi/v1.0/account/{id}"),
        name: name.map(str::to_owned),
        status: "Confirmed",
    }))
}

/// Reads an extension.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}", tag = "Account",
    params(("accountId" = String, Path, description = "`~` or the id"), ("extensionId" = String, Path, description = "`~` or the id")),
    responses((status = 200, body = ExtensionBody), openapi::Refusals)
)]
pub(super) async fn extension(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<ExtensionBody>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    let id = principal.extension(&extension)?;
    api.check(&principal, Action::ReadExtension, account, Some(id))?;
    let person = api.person(account, id).await?;
    let is_own = person.id == principal.extension;
    let directory = api.directory();
    let of = directory.accounts().find(|known| known.id() == account);
    let mut body = person.body(&base, of.and_then(Account::name));
    body.account = Some(AccountRef { id: account.to_string() });
    body.permissions = is_own.then_some(Permissions { admin: Enabled { enabled: principal.admin } });
    body.service_features = Some(service_features());
    let country = of.and_then(Account::country);
    body.regional_settings =
        country.map(|country| RegionalSettings { home_country: HomeCountry::of(country) });
    Ok(Json(body))
}

/// Lists the extensions of an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("type" = Option<Vec<String>>, Query, description = "Those of these types alone"),
        ("status" = Option<Vec<String>>, Query, description = "Those of these statuses alone; all are `Enabled`"),
        ("extensionNumber" = Option<String>, Query, description = "The one with this number alone"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<ExtensionBody>), openapi::Refusals)
)]
pub(super) async fn extensions(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<ExtensionBody>>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let people = api.people_of(&principal, account).await?;
    let among = |name: &str, value: &str| {
        let mut wanted = query.values(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let is_wanted = |person: &Person| {
        among("type", person.type_name())
            && among("status", ENABLED)
            && among("extensionNumber", &person.number)
    };
    let wanted: Vec<Person> = people.into_iter().filter(is_wanted).collect();
    let total = wanted.len();
    let directory = api.directory();
    let company = directory.accounts().find(|known| known.id() == account).and_then(Account::name);
    let shown = wanted.into_iter().skip(query.skipped()).take(query.per_page());
    let records = shown.map(|person| person.body(&base, company)).collect();
    Ok(Json(query.list(&format!("{base}/restapi/v1.0/account/{account}/extension"), records, total)))
}

/// Reads the devices of an extension.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/device", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<Device>), openapi::Refusals)
)]
pub(super) async fn devices(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<List<Device>>, Problem> {
    let account = api.account(&principal, Action::ReadDevices, &account)?;
    let id = principal.extension(&extension)?;
    api.check(&principal, Action::ReadDevices, account, Some(id))?;
    let query = PageQuery::read(query.as_deref())?;
    let person = api.person(account, id).await?;
    let list = format!("{}/device", person.uri(&base));
    let device = Device {
        uri: format!("{base}/restapi/v1.0/account/{account}/device/{}", person.device),
        kind: "OtherPhone",
        name: format!("Phone of {}", person.name),
        status: "Online",
        extension: DeviceExtension { id: id.as_u64(), extension_number: person.number },
        id: person.device,
    };
    Ok(Json(query.page_of(&list, vec![device])))
}
