//! Accounts and their extensions, as the directory file has them.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hookswitch_core::directory::Account;
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::auth::{USER, User};
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Table};
use utoipa::ToSchema;

use super::file::{entry, list, tables, write};
use super::users::remove_user;
use super::{Admin, Records, json};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// An account without its extensions; the keys of the directory file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DirectoryAccount)]
pub(crate) struct AccountEntry {
    #[schema(minimum = 1)]
    id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Two letters of ISO 3166-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    international_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    national_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    national_digits: Option<NationalDigits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outside_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    domains: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    codes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trunk: Vec<TrunkEntry>,
}

/// Lengths of national numbers, in digits.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum NationalDigits {
    One(u8),
    Several(Vec<u8>),
}

/// Trunk: the way to and from the outside.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Trunk)]
struct TrunkEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    endpoints: Vec<String>,
}

/// An extension; the keys of the directory file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DirectoryExtension)]
pub(crate) struct ExtensionEntry {
    number: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `user` unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<KindEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    numbers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mailbox: bool,
    // One text, such as `701-709`, or a list.
    #[serde(default, deserialize_with = "one_or_several", skip_serializing_if = "Vec::is_empty")]
    slots: Vec<String>,
}

/// A list of texts, where one alone may stand for itself.
fn one_or_several<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Texts::deserialize(deserializer)? {
        Texts::One(text) => vec![text],
        Texts::Several(texts) => texts,
    })
}

/// Kind of an extension.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DirectoryKind)]
enum KindEntry {
    User,
    Menu,
    Queue,
    RingGroup,
    Voicemail,
    Park,
    Conference,
    Fax,
}

/// The lists of an account that are resources of their own.
const OWN: [&str; 1] = ["extension"];

fn id_of(table: &Table) -> Option<i64> {
    table.get("id")?.as_integer()
}

fn number_of(table: &Table) -> Option<&str> {
    table.get("number")?.as_str()
}

fn place(document: &DocumentMut, id: &str) -> Result<usize, Problem> {
    let wanted: Option<i64> = id.parse().ok();
    let place =
        tables(document.as_table(), "account").position(|table| wanted.is_some() && id_of(table) == wanted);
    place.ok_or_else(|| Problem::unknown("accountId", id))
}

/// The table of an account, to be changed.
fn table<'a>(document: &'a mut DocumentMut, id: &str) -> Result<&'a mut Table, Problem> {
    let place = place(document, id)?;
    list(document.as_table_mut(), "account")?.get_mut(place).ok_or_else(|| Problem::unknown("accountId", id))
}

fn extension_place(account: &Table, number: &str) -> Result<usize, Problem> {
    tables(account, "extension")
        .position(|table| number_of(table) == Some(number))
        .ok_or_else(|| Problem::unknown("extensionNumber", number))
}

/// Lists the accounts.
#[utoipa::path(get, path = "/admin/v1/accounts", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Records<AccountEntry>), openapi::Refusals))]
pub(crate) async fn accounts(
    State(api): State<Api>,
    _: Admin,
) -> Result<Json<Records<AccountEntry>>, Problem> {
    let document = api.files.read_directory()?;
    let accounts = tables(document.as_table(), "account").map(|table| entry(table, &OWN));
    Ok(Json(Records { records: accounts.collect::<Result<_, _>>()? }))
}

/// Adds an account.
#[utoipa::path(post, path = "/admin/v1/accounts", tag = "Admin", security(("admin" = [])),
    request_body = AccountEntry, responses((status = 201, body = AccountEntry), openapi::Refusals))]
pub(crate) async fn add_account(
    State(api): State<Api>,
    _: Admin,
    content: Content,
) -> Result<(StatusCode, Json<AccountEntry>), Problem> {
    let account: AccountEntry = json(&content)?;
    let change = |document: &mut DocumentMut| {
        let mut table = Table::new();
        write(&mut table, &account, &[])?;
        list(document.as_table_mut(), "account")?.push(table);
        Ok(())
    };
    api.files.change_directory(change).await?;
    Ok((StatusCode::CREATED, Json(account)))
}

/// Reads an account.
#[utoipa::path(get, path = "/admin/v1/accounts/{accountId}", tag = "Admin", security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id")),
    responses((status = 200, body = AccountEntry), openapi::Refusals))]
pub(crate) async fn account(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<Json<AccountEntry>, Problem> {
    let document = api.files.read_directory()?;
    let place = place(&document, &id)?;
    let table = tables(document.as_table(), "account").nth(place);
    entry(table.ok_or_else(|| Problem::unknown("accountId", &id))?, &OWN).map(Json)
}

/// Changes an account; its extensions stay.
#[utoipa::path(put, path = "/admin/v1/accounts/{accountId}", tag = "Admin", security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id")),
    request_body = AccountEntry, responses((status = 200, body = AccountEntry), openapi::Refusals))]
pub(crate) async fn replace_account(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
    content: Content,
) -> Result<Json<AccountEntry>, Problem> {
    let account: AccountEntry = json(&content)?;
    let change = |document: &mut DocumentMut| write(table(document, &id)?, &account, &OWN);
    let before = extensions_of(&api);
    api.files.change_directory(change).await?;
    remove_users_of_gone(&api, before).await?;
    Ok(Json(account))
}

/// Takes an account away, with its extensions.
#[utoipa::path(delete, path = "/admin/v1/accounts/{accountId}", tag = "Admin", security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove_account(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<StatusCode, Problem> {
    let change = |document: &mut DocumentMut| {
        let place = place(document, &id)?;
        list(document.as_table_mut(), "account")?.remove(place);
        Ok(())
    };
    let before = extensions_of(&api);
    api.files.change_directory(change).await?;
    remove_users_of_gone(&api, before).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The extensions of all accounts.
fn extensions_of(api: &Api) -> BTreeSet<(AccountId, ExtensionId)> {
    let directory = api.directory();
    let of = |account: &Account| {
        let id = account.id();
        account.extensions().iter().map(|listed| (id, listed.id)).collect::<Vec<_>>()
    };
    directory.accounts().flat_map(of).collect()
}

/// Takes the users of extensions away that are there no longer: who is given such an extension later is somebody else.
async fn remove_users_of_gone(api: &Api, before: BTreeSet<(AccountId, ExtensionId)>) -> Result<(), Problem> {
    let now = extensions_of(api);
    for (account, extension) in before.into_iter().filter(|known| !now.contains(known)) {
        let id = extension.to_string();
        let user = api.document::<User>(USER, &id).await?.map(|(_, user)| user);
        if user.is_some_and(|user| user.account == account.to_string()) {
            remove_user(api, &id).await?;
        }
    }
    Ok(())
}

/// Reads an extension, with the ids that the server has derived where the file names none.
fn shown(api: &Api, account: &str, table: &Table) -> Result<ExtensionEntry, Problem> {
    let mut extension: ExtensionEntry = entry(table, &[])?;
    let directory = api.directory();
    let of = directory.accounts().find(|known| known.id().to_string() == account);
    let listed = of.map(hookswitch_core::directory::Account::extensions).unwrap_or_default();
    if let Some(listed) = listed.iter().find(|listed| listed.number.as_deref() == Some(&extension.number)) {
        extension.id.get_or_insert(listed.id.as_u64());
        extension.device.get_or_insert(listed.device.as_u64());
    }
    Ok(extension)
}

/// Lists the extensions of an account.
#[utoipa::path(get, path = "/admin/v1/accounts/{accountId}/extensions", tag = "Admin", security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id")),
    responses((status = 200, body = Records<ExtensionEntry>), openapi::Refusals))]
pub(crate) async fn extensions(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
) -> Result<Json<Records<ExtensionEntry>>, Problem> {
    let mut document = api.files.read_directory()?;
    let account = table(&mut document, &id)?;
    let extensions = tables(account, "extension").map(|table| shown(&api, &id, table));
    Ok(Json(Records { records: extensions.collect::<Result<_, _>>()? }))
}

/// Adds an extension.
#[utoipa::path(post, path = "/admin/v1/accounts/{accountId}/extensions", tag = "Admin", security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id")),
    request_body = ExtensionEntry, responses((status = 201, body = ExtensionEntry), openapi::Refusals))]
pub(crate) async fn add_extension(
    State(api): State<Api>,
    _: Admin,
    Segments([id]): Segments<1>,
    content: Content,
) -> Result<(StatusCode, Json<ExtensionEntry>), Problem> {
    let extension: ExtensionEntry = json(&content)?;
    let change = |document: &mut DocumentMut| {
        let mut new = Table::new();
        write(&mut new, &extension, &[])?;
        list(table(document, &id)?, "extension")?.push(new);
        Ok(())
    };
    api.files.change_directory(change).await?;
    Ok((StatusCode::CREATED, Json(extension)))
}

/// Reads an extension.
#[utoipa::path(get, path = "/admin/v1/accounts/{accountId}/extensions/{extensionNumber}", tag = "Admin",
    security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id"), ("extensionNumber" = String, Path, description = "Its number")),
    responses((status = 200, body = ExtensionEntry), openapi::Refusals))]
pub(crate) async fn extension(
    State(api): State<Api>,
    _: Admin,
    Segments([id, number]): Segments<2>,
) -> Result<Json<ExtensionEntry>, Problem> {
    let mut document = api.files.read_directory()?;
    let account = table(&mut document, &id)?;
    let found = tables(account, "extension").find(|table| number_of(table) == Some(&number));
    shown(&api, &id, found.ok_or_else(|| Problem::unknown("extensionNumber", &number))?).map(Json)
}

/// Changes an extension.
#[utoipa::path(put, path = "/admin/v1/accounts/{accountId}/extensions/{extensionNumber}", tag = "Admin",
    security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id"), ("extensionNumber" = String, Path, description = "Its number")),
    request_body = ExtensionEntry, responses((status = 200, body = ExtensionEntry), openapi::Refusals))]
pub(crate) async fn replace_extension(
    State(api): State<Api>,
    _: Admin,
    Segments([id, number]): Segments<2>,
    content: Content,
) -> Result<Json<ExtensionEntry>, Problem> {
    let extension: ExtensionEntry = json(&content)?;
    let change = |document: &mut DocumentMut| {
        let account = table(document, &id)?;
        let place = extension_place(account, &number)?;
        let old = list(account, "extension")?.get_mut(place);
        write(old.ok_or_else(|| Problem::unknown("extensionNumber", &number))?, &extension, &[])
    };
    let before = extensions_of(&api);
    api.files.change_directory(change).await?;
    remove_users_of_gone(&api, before).await?;
    Ok(Json(extension))
}

/// Takes an extension away.
#[utoipa::path(delete, path = "/admin/v1/accounts/{accountId}/extensions/{extensionNumber}", tag = "Admin",
    security(("admin" = [])),
    params(("accountId" = String, Path, description = "The id"), ("extensionNumber" = String, Path, description = "Its number")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove_extension(
    State(api): State<Api>,
    _: Admin,
    Segments([id, number]): Segments<2>,
) -> Result<StatusCode, Problem> {
    let change = |document: &mut DocumentMut| {
        let account = table(document, &id)?;
        let place = extension_place(account, &number)?;
        list(account, "extension")?.remove(place);
        Ok(())
    };
    let before = extensions_of(&api);
    api.files.change_directory(change).await?;
    remove_users_of_gone(&api, before).await?;
    Ok(StatusCode::NO_CONTENT)
}
