//! The phone numbers of an account, and its directory: who can be called, and how.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_core::directory::{Account, Kind};
use hookswitch_model::AccountId;
use hookswitch_server::auth::Principal;
use hookswitch_server::rights::Action;
use serde::Serialize;
use utoipa::ToSchema;

use super::extensions::Person;
use super::list::{List, PageQuery};
use super::profile::{own_extension, whole_account};
use super::request::{Base, Segments};
use super::{Api, Problem, openapi};

/// Use of every number of the directory: one that reaches its extension directly.
const USAGE: &str = "DirectNumber";

/// A phone number that reaches an extension from outside.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct PhoneNumber {
    id: u64,
    /// E.164.
    phone_number: String,
    #[serde(rename = "type")]
    kind: &'static str,
    usage_type: &'static str,
    status: &'static str,
    extension: NumberExtension,
}

/// The extension of a number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NumberExtension {
    id: u64,
    uri: String,
    extension_number: String,
    name: String,
}

/// A phone number in the form of version 2 of the API: ids are texts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PhoneNumberV2 {
    id: String,
    phone_number: String,
    #[serde(rename = "type")]
    kind: &'static str,
    usage_type: &'static str,
    status: &'static str,
    extension: NumberExtensionV2,
}

/// The extension of a number.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NumberExtensionV2 {
    id: String,
    extension_number: String,
}

/// Somebody in the directory of an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DirectoryEntry {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    account: EntryAccount,
    extension_number: String,
    name: String,
    first_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<String>,
    phone_numbers: Vec<EntryNumber>,
}

/// The account of an entry.
#[derive(Serialize, ToSchema)]
struct EntryAccount {
    id: String,
}

/// A number of an entry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EntryNumber {
    phone_number: String,
    #[serde(rename = "type")]
    kind: &'static str,
    usage_type: &'static str,
}

/// A queue.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallQueue {
    id: String,
    uri: String,
    extension_number: String,
    name: String,
    status: &'static str,
}

/// Returns what may be sent to a number of somebody.
const fn number_type(person: &Person) -> &'static str {
    match person.kind {
        Kind::Fax => "FaxOnly",
        _ => "VoiceFax",
    }
}

/// The numbers of some people, each with whose it is.
fn numbers_of(people: &[Person]) -> impl Iterator<Item = (&Person, &Arc<str>)> {
    people.iter().flat_map(|person| person.numbers.iter().map(move |number| (person, number)))
}

impl Api {
    /// The id of a number.
    fn number_id(&self, account: AccountId, number: &str) -> u64 {
        let directory = self.directory();
        let of = directory.accounts().find(|known| known.id() == account);
        of.map_or_else(|| Account::built_in(account).number_id(number), |of| of.number_id(number))
    }

    fn phone_number(&self, base: &str, (person, number): (&Person, &Arc<str>)) -> PhoneNumber {
        PhoneNumber {
            id: self.number_id(person.account, number),
            phone_number: number.to_string(),
            kind: number_type(person),
            usage_type: USAGE,
            status: "Normal",
            extension: NumberExtension {
                id: person.id.as_u64(),
                uri: person.uri(base),
                extension_number: person.number.clone(),
                name: person.name.clone(),
            },
        }
    }
}

/// Lists the phone numbers of an extension.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/phone-number", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<PhoneNumber>), openapi::Refusals)
)]
pub(super) async fn of_extension(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<List<PhoneNumber>>, Problem> {
    let (account, id) = own_extension(&api, &principal, Action::ReadDevices, (&account, &extension)).await?;
    let query = PageQuery::read(query.as_deref())?;
    let people = [api.person(account, id).await?];
    let list = format!("{}/phone-number", people[0].uri(&base));
    let numbers = numbers_of(&people).map(|one| api.phone_number(&base, one)).collect();
    Ok(Json(query.page_of(&list, numbers)))
}

/// Lists the phone numbers of an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/phone-number", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<PhoneNumber>), openapi::Refusals)
)]
pub(super) async fn of_account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<PhoneNumber>>, Problem> {
    let account = whole_account(&api, &principal, Action::ReadDevices, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let people = api.people_of(&principal, account).await?;
    let list = format!("{base}/restapi/v1.0/account/{account}/phone-number");
    let numbers = numbers_of(&people).map(|one| api.phone_number(&base, one)).collect();
    Ok(Json(query.page_of(&list, numbers)))
}

/// Lists the phone numbers of an account, with ids as texts.
#[utoipa::path(
    get, path = "/restapi/v2/accounts/{accountId}/phone-numbers", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<PhoneNumberV2>), openapi::Refusals)
)]
pub(super) async fn of_account_v2(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<PhoneNumberV2>>, Problem> {
    let account = whole_account(&api, &principal, Action::ReadDevices, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let people = api.people_of(&principal, account).await?;
    let number = |(person, number): (&Person, &Arc<str>)| PhoneNumberV2 {
        id: api.number_id(account, number).to_string(),
        phone_number: number.to_string(),
        kind: number_type(person),
        usage_type: USAGE,
        status: "Normal",
        extension: NumberExtensionV2 { id: person.id.to_string(), extension_number: person.number.clone() },
    };
    let list = format!("{base}/restapi/v2/accounts/{account}/phone-numbers");
    Ok(Json(query.page_of(&list, numbers_of(&people).map(number).collect())))
}

/// Lists who can be called in an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/directory/entries", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("type" = Option<Vec<String>>, Query, description = "Those of these types alone"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<DirectoryEntry>), openapi::Refusals)
)]
pub(super) async fn entries(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<DirectoryEntry>>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let people = api.people_of(&principal, account).await?;
    let entry = |person: Person| {
        let (first_name, last_name) = person.names();
        let number = |number: &Arc<str>| EntryNumber {
            phone_number: number.to_string(),
            kind: number_type(&person),
            usage_type: USAGE,
        };
        DirectoryEntry {
            id: person.id.to_string(),
            kind: person.type_name(),
            status: "Enabled",
            account: EntryAccount { id: account.to_string() },
            phone_numbers: person.numbers.iter().map(number).collect(),
            first_name,
            last_name,
            extension_number: person.number,
            name: person.name,
        }
    };
    let is_wanted = |person: &Person| {
        let mut types = query.values("type").peekable();
        types.peek().is_none() || types.any(|wanted| wanted.eq_ignore_ascii_case(person.type_name()))
    };
    let entries = people.into_iter().filter(is_wanted).map(entry).collect();
    let list = format!("{base}/restapi/v1.0/account/{account}/directory/entries");
    Ok(Json(query.page_of(&list, entries)))
}

/// Lists the queues of an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/call-queues", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<CallQueue>), openapi::Refusals)
)]
pub(super) async fn call_queues(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<CallQueue>>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let people = api.people_of(&principal, account).await?;
    let queues = people.into_iter().filter(|person| person.kind == Kind::Queue);
    let queue = |person: Person| CallQueue {
        id: person.id.to_string(),
        uri: format!("{base}/restapi/v1.0/account/{account}/call-queues/{}", person.id),
        extension_number: person.number,
        name: person.name,
        status: "Enabled",
    };
    let list = format!("{base}/restapi/v1.0/account/{account}/call-queues");
    Ok(Json(query.page_of(&list, queues.map(queue).collect())))
}
