//! Sources of signalling, as the configuration has them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, Table};
use utoipa::ToSchema;

use super::file::{entry, list, tables, write};
use super::{Admin, Records, json};
use crate::request::{Content, Segments};
use crate::{Api, Problem, openapi};

/// A source; the keys of `[[hep.source]]` and `[[ingest.key]]`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<SourceKind>,
    name: String,
    /// Of a capture agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    /// Of a capture agent. Never shown; a source that is changed without one keeps the one it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Of a client that posts signals: the SHA-256 digest of its key, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Account of the calls when nothing else tells; of a client that posts signals, the only account that it may
    /// post into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    account: Option<u64>,
    /// Of a capture agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages_per_second: Option<u32>,
}

/// Kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SourceKind {
    /// A capture agent.
    Hep,
    /// The holder of an ingest key.
    Ingest,
}

/// The lists in which sources are: section and key.
const LISTS: [(&str, &str); 2] = [("hep", "source"), ("ingest", "key")];

impl Source {
    /// Reads what a client has sent.
    fn parse(content: &Content) -> Result<Self, Problem> {
        let source: Self = json(content)?;
        if source.kind.is_none() {
            return Err(Problem::field("kind", "kind is missing; it is \"hep\" or \"ingest\""));
        }
        Ok(source)
    }

    /// Returns which of the lists it is in.
    fn list(&self) -> (&'static str, &'static str) {
        LISTS[usize::from(self.kind == Some(SourceKind::Ingest))]
    }

    fn read(section: &str, table: &Table) -> Result<Self, Problem> {
        let kind = Some(if section == "hep" { SourceKind::Hep } else { SourceKind::Ingest });
        Ok(Self { kind, ..entry(table, &["key"])? })
    }

    fn write(&self, table: &mut Table) -> Result<(), Problem> {
        let kept: &[&str] = if self.kind == Some(SourceKind::Hep) { &["key"] } else { &[] };
        write(table, &Self { kind: None, ..self.clone() }, kept)
    }

    /// The same without what is secret.
    fn shown(self) -> Self {
        Self { key: None, ..self }
    }
}

fn all(document: &DocumentMut) -> impl Iterator<Item = (&'static str, &Table)> {
    LISTS.into_iter().flat_map(move |(section, key)| {
        let section_table = document.get(section).and_then(Item::as_table);
        section_table.into_iter().flat_map(move |table| tables(table, key)).map(move |table| (section, table))
    })
}

fn has_name(table: &Table, name: &str) -> bool {
    table.get("name").and_then(Item::as_str) == Some(name)
}

/// The list of a section, to be changed.
fn list_of<'a>(
    document: &'a mut DocumentMut,
    (section, key): (&str, &str),
) -> Result<&'a mut toml_edit::ArrayOfTables, Problem> {
    let section = document.entry(section).or_insert_with(|| Item::Table(Table::new()));
    let table = section.as_table_mut().ok_or_else(|| Problem::conflict("The file has it in another form"))?;
    list(table, key)
}

/// Takes a source out of the list in which it is; gives its table.
fn take(document: &mut DocumentMut, name: &str) -> Result<Table, Problem> {
    for of in LISTS {
        let list = list_of(document, of)?;
        let place = list.iter().position(|table| has_name(table, name));
        if let Some(place) = place {
            let table = list.get(place).cloned().unwrap_or_default();
            list.remove(place);
            return Ok(table);
        }
    }
    Err(Problem::unknown("name", name))
}

/// Lists the sources.
#[utoipa::path(get, path = "/admin/v1/sources", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Records<Source>), openapi::Refusals))]
pub(crate) async fn list_sources(State(api): State<Api>, _: Admin) -> Result<Json<Records<Source>>, Problem> {
    let document = api.files.read_configuration()?;
    let sources = all(&document).map(|(section, table)| Source::read(section, table));
    Ok(Json(Records { records: sources.collect::<Result<_, _>>()? }))
}

/// Adds a source.
#[utoipa::path(post, path = "/admin/v1/sources", tag = "Admin", security(("admin" = [])),
    request_body = Source, responses((status = 201, body = Source), openapi::Refusals))]
pub(crate) async fn add(
    State(api): State<Api>,
    _: Admin,
    content: Content,
) -> Result<(StatusCode, Json<Source>), Problem> {
    let source = Source::parse(&content)?;
    let change = |document: &mut DocumentMut| {
        let mut table = Table::new();
        source.write(&mut table)?;
        list_of(document, source.list())?.push(table);
        Ok(())
    };
    api.files.change_configuration(change).await?;
    Ok((StatusCode::CREATED, Json(source.shown())))
}

/// Reads a source.
#[utoipa::path(get, path = "/admin/v1/sources/{name}", tag = "Admin", security(("admin" = [])),
    params(("name" = String, Path, description = "Its name")), responses((status = 200, body = Source), openapi::Refusals))]
pub(crate) async fn read(
    State(api): State<Api>,
    _: Admin,
    Segments([name]): Segments<1>,
) -> Result<Json<Source>, Problem> {
    let document = api.files.read_configuration()?;
    let found = all(&document).find(|(_, table)| has_name(table, &name));
    let (section, table) = found.ok_or_else(|| Problem::unknown("name", &name))?;
    Source::read(section, table).map(Json)
}

/// Changes a source.
#[utoipa::path(put, path = "/admin/v1/sources/{name}", tag = "Admin", security(("admin" = [])),
    params(("name" = String, Path, description = "Its name")),
    request_body = Source, responses((status = 200, body = Source), openapi::Refusals))]
pub(crate) async fn replace(
    State(api): State<Api>,
    _: Admin,
    Segments([name]): Segments<1>,
    content: Content,
) -> Result<Json<Source>, Problem> {
    let source = Source::parse(&content)?;
    let change = |document: &mut DocumentMut| {
        let mut table = take(document, &name)?;
        source.write(&mut table)?;
        list_of(document, source.list())?.push(table);
        Ok(())
    };
    api.files.change_configuration(change).await?;
    Ok(Json(source.shown()))
}

/// Takes a source away.
#[utoipa::path(delete, path = "/admin/v1/sources/{name}", tag = "Admin", security(("admin" = [])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "Gone"), openapi::Refusals))]
pub(crate) async fn remove(
    State(api): State<Api>,
    _: Admin,
    Segments([name]): Segments<1>,
) -> Result<StatusCode, Problem> {
    api.files.change_configuration(|document| take(document, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
