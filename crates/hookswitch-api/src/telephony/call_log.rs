//! The call log: calls that are over, read from the event log.
//!
//! A record is made from the events of its session when it is asked for, the newest first, so a page costs what it
//! shows and what stands before it. Calls that go on are in `active-calls`.

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_core::call_log::{CallLeg, CallRecord};
use hookswitch_model::{AccountId, ExtensionId, Iso, Logged, TelephonySessionId, Timestamp};
use hookswitch_server::auth::Principal;
use hookswitch_server::clock;
use hookswitch_server::rights::Action;
use hookswitch_store::{Reader, StoreError};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::active::{CallExtension, Side, check_choice};
use crate::list::{List, PageQuery};
use crate::profile::{own_extension, whole_account};
use crate::request::{Base, Segments};
use crate::{Api, Problem, openapi};

/// Time that is looked back when nobody says: a day.
const LOOKED_BACK_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// The most sessions that are looked at for one page: a second or two of work.
const SESSIONS_MAX: usize = 50_000;

/// Number of sessions or events that are read at once.
const AT_ONCE: usize = 500;

/// The most records of a sync, and the most events that one looks at.
const SYNC_RECORDS_MAX: usize = 250;
const SYNC_EVENTS_MAX: usize = 20_000;

/// A call of the call log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallLogRecord {
    uri: String,
    id: String,
    session_id: String,
    telephony_session_id: String,
    party_id: String,
    start_time: String,
    /// Whole seconds from beginning to end.
    duration: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    direction: String,
    action: &'static str,
    result: &'static str,
    from: Side,
    to: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<CallExtension>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<RecordingRef>,
    last_modified_time: String,
    /// With `view=Detailed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    legs: Option<Vec<CallLogLeg>>,
}

/// One party of a call.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CallLogLeg {
    party_id: String,
    telephony_session_id: String,
    start_time: String,
    duration: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    direction: String,
    action: &'static str,
    result: &'static str,
    from: Side,
    to: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<CallExtension>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<RecordingRef>,
    /// Set if the call is listed by it.
    master: bool,
}

/// A recording, of which nobody here has the sound.
#[derive(Serialize, ToSchema)]
struct RecordingRef {
    id: String,
}

/// Records that are new in the call log since a client asked last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallLogSync {
    uri: String,
    records: Vec<CallLogRecord>,
    sync_info: SyncInfo,
}

/// Token for the next synchronisation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
struct SyncInfo {
    sync_type: &'static str,
    sync_token: String,
    sync_time: String,
}

const fn kind(leg: &CallLeg) -> &'static str {
    if leg.is_fax { "Fax" } else { "Voice" }
}

fn time(at: Timestamp) -> String {
    Iso::new(at).as_str().to_owned()
}

fn recording(leg: &CallLeg) -> Option<RecordingRef> {
    leg.party.recordings.first().map(|one| RecordingRef { id: one.id.to_string() })
}

impl CallLogRecord {
    fn of(base: &str, record: &CallRecord, extension: Option<ExtensionId>, detailed: bool) -> Self {
        let (session, leg) = (&record.session, &record.leg);
        let of = extension.map_or_else(String::new, |extension| format!("/extension/{extension}"));
        // The digits of the session and the number of the party name both.
        let id = leg.party.id.to_string().trim_start_matches("p-").to_owned();
        let legs = record.legs.iter().map(|one| CallLogLeg {
            party_id: one.party.id.to_string(),
            telephony_session_id: session.id.to_string(),
            start_time: time(one.started),
            duration: one.duration_secs(),
            kind: kind(one),
            direction: one.party.direction.to_string(),
            action: one.action(),
            result: one.result.as_str(),
            from: Side::of(&one.party.from),
            to: Side::of(&one.party.to),
            extension: CallExtension::of(base, &one.party),
            recording: recording(one),
            master: one.party.id == leg.party.id,
        });
        Self {
            uri: format!("{base}/restapi/v1.0/account/{}{of}/call-log/{id}", session.account),
            session_id: session.session_id.to_string(),
            telephony_session_id: session.id.to_string(),
            party_id: leg.party.id.to_string(),
            start_time: time(leg.started),
            duration: leg.duration_secs(),
            kind: kind(leg),
            direction: leg.party.direction.to_string(),
            action: leg.action(),
            result: record.result.as_str(),
            from: Side::of(&leg.party.from),
            to: Side::of(&leg.party.to),
            extension: CallExtension::of(base, &leg.party),
            recording: record.legs.iter().find_map(recording),
            last_modified_time: time(record.modified),
            legs: detailed.then(|| legs.collect()),
            id,
        }
    }
}

/// The calls that a query asks for.
struct Wanted {
    account: AccountId,
    extension: Option<ExtensionId>,
    from: Timestamp,
    to: Timestamp,
    directions: Vec<String>,
    kinds: Vec<String>,
    session: Option<String>,
    telephony_session: Option<TelephonySessionId>,
    number: Option<String>,
    extension_number: Option<String>,
    recorded: bool,
}

impl Wanted {
    fn read(account: AccountId, extension: Option<ExtensionId>, query: &PageQuery) -> Result<Self, Problem> {
        check_choice(query)?;
        query.check_values("view", ["Simple", "Detailed"])?;
        let to = read_time(query, "dateTo")?.unwrap_or(Timestamp::from_micros(i64::MAX));
        let session = query.value("sessionId").map(str::to_owned);
        let telephony_session = match query.value("telephonySessionId") {
            None => None,
            Some(id) => Some(TelephonySessionId::parse(id).ok_or_else(|| {
                let message = "telephonySessionId must be s- and 32 hexadecimal digits";
                Problem::field("telephonySessionId", message).about("telephonySessionId", id)
            })?),
        };
        // Whoever names a call need not know when it was.
        let back =
            if session.is_some() || telephony_session.is_some() { i64::MAX } else { LOOKED_BACK_MICROS };
        let default = clock::wall().as_micros().min(to.as_micros()).saturating_sub(back);
        let from = read_time(query, "dateFrom")?.unwrap_or(Timestamp::from_micros(default));
        let list = |name| query.values(name).map(str::to_owned).collect();
        Ok(Self {
            account,
            extension,
            from,
            to,
            directions: list("direction"),
            kinds: list("type"),
            session,
            telephony_session,
            number: query.value("phoneNumber").map(|number| number.trim_start_matches(['+', ' ']).to_owned()),
            extension_number: query.value("extensionNumber").map(str::to_owned),
            recorded: query.flag("withRecording") || query.value("recordingType").is_some(),
        })
    }

    /// The record of a session, if it is wanted.
    fn record(&self, events: &[Logged]) -> Option<CallRecord> {
        if events.first()?.event.session.account != self.account {
            return None;
        }
        let record = CallRecord::of(events.iter().map(|logged| &*logged.event), self.extension)?;
        self.admits(&record).then_some(record)
    }

    fn admits(&self, record: &CallRecord) -> bool {
        let among = |wanted: &[String], value: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(value))
        };
        let party = &record.leg.party;
        let has = |wanted: &str| {
            let sides = [&party.from, &party.to].into_iter();
            sides
                .flat_map(|side| [side.phone_number.as_deref(), side.sent_number.as_deref()])
                .flatten()
                .any(|number| number.trim_start_matches('+') == wanted)
        };
        record.leg.started >= self.from
            && record.leg.started <= self.to
            && among(&self.directions, party.direction.as_str())
            && among(&self.kinds, kind(&record.leg))
            && self.session.as_ref().is_none_or(|id| *id == record.session.session_id.to_string())
            && self.number.as_deref().is_none_or(has)
            && self.extension_number.as_deref().is_none_or(has)
            && (!self.recorded || record.is_recorded())
    }

    /// The records as they are by the events up to a position, behind the first `skipped`, so many at most and one
    /// more if there are more, the newest first.
    fn find(
        &self,
        reader: &Reader,
        until: u64,
        (skipped, count): (usize, usize),
    ) -> Result<Vec<CallRecord>, StoreError> {
        let read = |id| {
            let mut events = reader.events_of(id)?;
            events.retain(|logged| logged.position <= until);
            Ok::<_, StoreError>(events)
        };
        if let Some(id) = self.telephony_session {
            return Ok(self.record(&read(id)?).into_iter().skip(skipped).collect());
        }
        let (mut found, mut passed, mut looked_at) = (Vec::new(), 0, 0);
        let mut before = None;
        loop {
            let sessions = reader.sessions_before(before, AT_ONCE)?;
            let Some(&(last, _)) = sessions.last() else { return Ok(found) };
            before = Some(last);
            for (_, id) in sessions {
                looked_at += 1;
                let events = read(id)?;
                // Sessions stand in the order in which they came; their own clocks may differ by a little.
                let is_too_old = events.first().is_some_and(|logged| logged.arrival < self.from);
                if looked_at > SESSIONS_MAX || is_too_old && events.iter().all(|one| one.event.at < self.from)
                {
                    return Ok(found);
                }
                let Some(record) = self.record(&events) else { continue };
                if passed < skipped {
                    passed += 1;
                    continue;
                }
                found.push(record);
                if found.len() > count {
                    return Ok(found);
                }
            }
        }
    }
}

fn read_time(query: &PageQuery, field: &'static str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = query.value(field) else { return Ok(None) };
    let read = text.parse::<jiff::Timestamp>().map(|at| Timestamp::from_micros(at.as_microsecond()));
    let wrong = |_| {
        let message = format!(
            "{field} must be a time in ISO 8601 with its offset from UTC, such as 2026-01-31T12:00:00.000Z"
        );
        Problem::field(field, message).about(field, text)
    };
    read.map(Some).map_err(wrong)
}

fn unreadable(error: &StoreError) -> Problem {
    tracing::error!(%error, "the call log cannot be read");
    Problem::internal()
}

async fn list(
    api: &Api,
    base: &str,
    query: Option<&str>,
    (account, extension): (AccountId, Option<ExtensionId>),
) -> Result<Json<List<CallLogRecord>>, Problem> {
    let query = PageQuery::read(query)?;
    let wanted = Wanted::read(account, extension, &query)?;
    let (skipped, count) = (query.skipped(), query.per_page());
    let end = api.store.ends().events;
    let found = api.store.read_async(move |reader| wanted.find(reader, end, (skipped, count))).await;
    let mut found = found.map_err(|error| unreadable(&error))?;
    let has_more = found.len() > count;
    found.truncate(count);
    let detailed = is_detailed(&query);
    let records = found.iter().map(|one| CallLogRecord::of(base, one, extension, detailed)).collect();
    let of = extension.map_or_else(String::new, |extension| format!("/extension/{extension}"));
    let list = format!("{base}/restapi/v1.0/account/{account}{of}/call-log");
    Ok(Json(query.list_so_far(&list, records, has_more)))
}

fn is_detailed(query: &PageQuery) -> bool {
    query.value("view").is_some_and(|view| view.eq_ignore_ascii_case("Detailed"))
}

async fn one(
    api: &Api,
    base: &str,
    (account, extension): (AccountId, Option<ExtensionId>),
    id: &str,
) -> Result<Json<CallLogRecord>, Problem> {
    let unknown = || Problem::unknown("callRecordId", id);
    let session =
        id.split_once('-').and_then(|(session, _)| TelephonySessionId::parse(&format!("s-{session}")));
    let session = session.ok_or_else(unknown)?;
    let events = api.store.read_async(move |reader| reader.events_of(session)).await;
    let events = events.map_err(|error| unreadable(&error))?;
    let is_own = events.first().is_some_and(|logged| logged.event.session.account == account);
    let record = CallRecord::of(events.iter().map(|logged| &*logged.event), extension);
    let record = record.filter(|_| is_own).ok_or_else(unknown)?;
    let shown = CallLogRecord::of(base, &record, extension, true);
    if shown.id == id { Ok(Json(shown)) } else { Err(unknown()) }
}

/// What a list is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is described here, and read by `Wanted::read`")]
struct CallLogQuery {
    /// ISO 8601; a day before `dateTo` without it.
    date_from: Option<String>,
    /// ISO 8601; now without it.
    date_to: Option<String>,
    /// `Detailed` adds the legs.
    view: Option<String>,
    /// `Inbound` or `Outbound`; both without it.
    direction: Option<Vec<String>>,
    /// `Voice` or `Fax`; both without it.
    r#type: Option<Vec<String>>,
    /// A number on either side.
    phone_number: Option<String>,
    /// The call of this session.
    session_id: Option<String>,
    /// Likewise.
    telephony_session_id: Option<String>,
    /// Those alone that were recorded.
    recording_type: Option<String>,
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// From 1 to 1000, or `MAX`; 100 unless asked for.
    per_page: Option<String>,
}

/// What a sync is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "it is described here, and read by `sync`")]
struct CallLogSyncQuery {
    /// `FSync`, all anew; or `ISync`, what has come since `syncToken`.
    sync_type: Option<String>,
    /// From the answer before.
    sync_token: Option<String>,
    /// Of an FSync: ISO 8601; a day back without it.
    date_from: Option<String>,
    /// The most records of an FSync, up to 250.
    record_count: Option<String>,
    /// `Detailed` adds the legs.
    view: Option<String>,
}

/// Lists the calls of an account that are over, the newest first.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/call-log", tag = "Call log",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        CallLogQuery,
    ),
    responses((status = 200, body = List<CallLogRecord>), openapi::Refusals)
)]
pub(crate) async fn of_account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<CallLogRecord>>, Problem> {
    let account = whole_account(&api, &principal, Action::ReadCallLog, &account)?;
    list(&api, &base, query.as_deref(), (account, None)).await
}

/// Lists the calls of an extension that are over, the newest first.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/call-log", tag = "Call log",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        CallLogQuery,
    ),
    responses((status = 200, body = List<CallLogRecord>), openapi::Refusals)
)]
pub(crate) async fn of_extension(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<List<CallLogRecord>>, Problem> {
    let (account, id) = own_extension(&api, &principal, Action::ReadCallLog, (&account, &extension)).await?;
    list(&api, &base, query.as_deref(), (account, Some(id))).await
}

/// Reads a call of an account, with its legs.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/call-log/{callRecordId}", tag = "Call log",
    params(("accountId" = String, Path, description = "`~` or the id"), ("callRecordId" = String, Path, description = "Its id")),
    responses((status = 200, body = CallLogRecord), openapi::Refusals)
)]
pub(crate) async fn one_of_account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account, id]): Segments<2>,
) -> Result<Json<CallLogRecord>, Problem> {
    let account = whole_account(&api, &principal, Action::ReadCallLog, &account)?;
    one(&api, &base, (account, None), &id).await
}

/// Reads a call of an extension, with its legs.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/call-log/{callRecordId}", tag = "Call log",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("callRecordId" = String, Path, description = "Its id"),
    ),
    responses((status = 200, body = CallLogRecord), openapi::Refusals)
)]
pub(crate) async fn one_of_extension(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account, extension, id]): Segments<3>,
) -> Result<Json<CallLogRecord>, Problem> {
    let (account, own) = own_extension(&api, &principal, Action::ReadCallLog, (&account, &extension)).await?;
    one(&api, &base, (account, Some(own)), &id).await
}

/// Gives the calls of an account that have ended since the last sync.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/call-log-sync", tag = "Call log",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        CallLogSyncQuery,
    ),
    responses((status = 200, body = CallLogSync), openapi::Refusals)
)]
pub(crate) async fn sync_of_account(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<CallLogSync>, Problem> {
    let account = whole_account(&api, &principal, Action::ReadCallLog, &account)?;
    sync(&api, &base, query.as_deref(), (account, None)).await
}

/// Gives the calls of an extension that have ended since the last sync.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/call-log-sync", tag = "Call log",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        CallLogSyncQuery,
    ),
    responses((status = 200, body = CallLogSync), openapi::Refusals)
)]
pub(crate) async fn sync_of_extension(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<CallLogSync>, Problem> {
    let (account, id) = own_extension(&api, &principal, Action::ReadCallLog, (&account, &extension)).await?;
    sync(&api, &base, query.as_deref(), (account, Some(id))).await
}

async fn sync(
    api: &Api,
    base: &str,
    query: Option<&str>,
    (account, extension): (AccountId, Option<ExtensionId>),
) -> Result<Json<CallLogSync>, Problem> {
    let query = PageQuery::read(query)?;
    let sync_type = match query.value("syncType") {
        None => "FSync",
        Some(text) if text.eq_ignore_ascii_case("FSync") => "FSync",
        Some(text) if text.eq_ignore_ascii_case("ISync") => "ISync",
        Some(text) => {
            let message = "syncType must be FSync or ISync";
            return Err(Problem::field("syncType", message).about("syncType", text));
        }
    };
    let end = api.store.ends().events;
    let (found, token) = if sync_type == "ISync" {
        let text = query.value("syncToken").unwrap_or_default();
        let bad = || {
            let message = "syncToken is none of this log, or older than it reaches; begin anew with FSync";
            Problem::field("syncToken", message).about("syncToken", text)
        };
        let after = text.parse::<u64>().ok().filter(|&after| after <= end).ok_or_else(bad)?;
        let read = api.store.read_async(move |reader| {
            if reader.swept("events")? > after {
                return Ok(None);
            }
            ended_between(reader, (account, extension), after, end).map(Some)
        });
        let (found, until) = read.await.map_err(|error| unreadable(&error))?.ok_or_else(bad)?;
        (found, until)
    } else {
        let count = match query.value("recordCount") {
            None => SYNC_RECORDS_MAX,
            Some(text) => {
                let count = text.parse().ok().filter(|count| (1..=SYNC_RECORDS_MAX).contains(count));
                count.ok_or_else(|| {
                    let message = format!("recordCount must be a number from 1 to {SYNC_RECORDS_MAX}");
                    Problem::field("recordCount", message).about("recordCount", text)
                })?
            }
        };
        let wanted = Wanted::read(account, extension, &query)?;
        let found = api.store.read_async(move |reader| {
            // What ends while this is read belongs to the next sync.
            let mut found = wanted.find(reader, end, (0, count))?;
            found.truncate(count);
            Ok(found)
        });
        (found.await.map_err(|error| unreadable(&error))?, end)
    };
    let detailed = is_detailed(&query);
    let of = extension.map_or_else(String::new, |extension| format!("/extension/{extension}"));
    Ok(Json(CallLogSync {
        uri: format!("{base}/restapi/v1.0/account/{account}{of}/call-log-sync"),
        records: found.iter().map(|one| CallLogRecord::of(base, one, extension, detailed)).collect(),
        sync_info: SyncInfo { sync_type, sync_token: token.to_string(), sync_time: time(clock::wall()) },
    }))
}

/// The calls that ended by an event behind `after`, up to `end`, and how far the log was read: as many events as one
/// sync looks at.
fn ended_between(
    reader: &Reader,
    (account, extension): (AccountId, Option<ExtensionId>),
    after: u64,
    end: u64,
) -> Result<(Vec<CallRecord>, u64), StoreError> {
    let (mut position, mut looked_at) = (after, 0);
    let mut found: Vec<CallRecord> = Vec::new();
    while position < end && looked_at < SYNC_EVENTS_MAX && found.len() < SYNC_RECORDS_MAX {
        let events = reader.events_after(position, AT_ONCE)?;
        let Some(last) = events.last() else {
            position = end;
            break;
        };
        let last = last.position.min(end);
        for logged in events.iter().filter(|logged| logged.position <= last) {
            looked_at += 1;
            let event = &logged.event;
            if event.session.account != account || !event.party.status.code.is_terminal() {
                continue;
            }
            let mut own = reader.events_of(event.session.id)?;
            own.retain(|one| one.position <= logged.position);
            found.extend(CallRecord::of(own.iter().map(|one| &*one.event), extension));
        }
        position = last;
    }
    Ok((found, position))
}
