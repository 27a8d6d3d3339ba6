//! Accounts, extensions and devices as the directory has them (contract call-control §5).

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_core::directory::{Account, Directory, Extension, Kind};
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::auth::{self, Principal, Scope, User};
use serde::Serialize;
use utoipa::ToSchema;

use super::list::{List, PageQuery};
use super::request::{Base, Segments};
use super::{Api, Problem, openapi};

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
    account: AccountRef,
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
    name: String,
    kind: Kind,
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
            device: device.to_string(),
        })
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
            device: listed.device.to_string(),
        }
    }

    pub(super) fn uri(&self, base: &str) -> String {
        format!("{base}/restapi/v1.0/account/{}/extension/{}", self.account, self.id)
    }

    fn body(self, base: &str) -> ExtensionBody {
        ExtensionBody {
            id: self.id.as_u64(),
            uri: self.uri(base),
            extension_number: self.number,
            name: self.name,
            // The words of RingCentral's API for what comes nearest.
            kind: match self.kind {
                Kind::User | Kind::Conference => "User",
                Kind::Menu => "IvrMenu",
                Kind::Queue | Kind::RingGroup => "Department",
                Kind::Voicemail => "Voicemail",
                Kind::Park => "ParkLocation",
                Kind::Fax => "FaxUser",
            },
            status: "Enabled",
            account: AccountRef { id: self.account.to_string() },
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
    principal.require(Scope::ReadAccounts)?;
    let id = principal.account(&account)?;
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
    principal.require(Scope::ReadAccounts)?;
    let account = principal.account(&account)?;
    let person = api.person(account, principal.extension(&extension)?).await?;
    Ok(Json(person.body(&base)))
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
    principal.require(Scope::ReadAccounts)?;
    let account = principal.account(&account)?;
    let id = principal.extension(&extension)?;
    if id != principal.extension && !principal.is_admin() {
        return Err(Problem::other_extension());
    }
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
