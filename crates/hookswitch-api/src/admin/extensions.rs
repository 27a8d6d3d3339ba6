//! The extensions as the console shows them: who they are, without what only those who set them up need.

use axum::Json;
use axum::extract::State;
use hookswitch_core::directory::Kind;
use serde::Serialize;
use utoipa::ToSchema;

use super::Records;
use super::access::Reader;
use crate::{Api, Problem, openapi};

/// The most extensions that are listed.
const EXTENSIONS_MAX: usize = 20_000;

/// An extension in short.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedExtension {
    account_id: String,
    extension_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `user`, `queue`, `ring_group`, `menu`, `voicemail`, `park`, `conference` or `fax`.
    #[schema(value_type = String)]
    kind: Kind,
}

/// Lists the extensions of the directory, 20,000 at most, by account and number.
#[utoipa::path(get, path = "/admin/v1/extensions", tag = "Console", security(("admin" = [])),
    responses((status = 200, body = Records<ListedExtension>), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(access): Reader,
) -> Result<Json<Records<ListedExtension>>, Problem> {
    let directory = api.directory();
    let mut records = Vec::new();
    for account in directory.accounts().filter(|account| access.sees(account.id())) {
        for listed in account.extensions() {
            if records.len() == EXTENSIONS_MAX {
                break;
            }
            records.push(ListedExtension {
                account_id: account.id().to_string(),
                extension_id: listed.id.to_string(),
                number: listed.number.as_deref().map(str::to_owned),
                name: listed.name.as_deref().map(str::to_owned),
                kind: listed.kind,
            });
        }
    }
    Ok(Json(Records { records }))
}
