//! Filter trials: what filters would have let pass of the events of late, tried before somebody subscribes.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use foldhash::fast::RandomState;
use hookswitch_core::filter::{EventFilter, Own, Projection};
use hookswitch_core::notification::{SERVER_ID, Subscriber};
use hookswitch_model::{AccountId, ExtensionId, Logged, SubscriptionId, TelephonySessionId, Timestamp};
use hookswitch_server::clock;
use hookswitch_store::Log;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Reader, json, kept};
use crate::request::Content;
use crate::subscription::parse_filters;
use crate::{Api, Problem, openapi};

/// The longest time that is looked back, in hours, and the time unless it is asked otherwise.
const HOURS_MAX: u32 = 168;
const HOURS: u32 = 24;

/// The most notifications that are shown, and how many unless it is asked otherwise.
const SAMPLE_MAX: usize = 100;
const SAMPLE: usize = 10;

/// Number of events that are read at once.
const EVENTS_AT_ONCE: usize = 1000;

/// The most events that are looked at: a second or two of work.
const SCANNED_MAX: u64 = 1_000_000;

/// Filters and events of a trial.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FilterTrial {
    event_filters: Vec<String>,
    /// How far back; 24 without it.
    #[schema(minimum = 1, maximum = 168)]
    hours: Option<u32>,
    /// The account for which `~` stands: the first of the directory without it.
    account_id: Option<String>,
    /// The extension for which `~` stands.
    extension_id: Option<String>,
    /// Number of notifications that are shown, the newest; 10 without it.
    #[schema(minimum = 0, maximum = 100)]
    sample: Option<usize>,
}

/// Events that the filters of a trial would have let pass.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FilterTrialOutcome {
    /// Number of events of the account that were looked at.
    scanned: u64,
    /// Of how many of them a subscription with all the filters would have been told.
    matched: u64,
    /// In how many sessions.
    sessions: usize,
    from: String,
    to: String,
    /// Set if there are older events in that time that were not looked at.
    is_cut: bool,
    /// The newest, as they would have been sent.
    #[schema(value_type = Vec<Object>)]
    sample: Vec<Box<RawValue>>,
    by_filter: Vec<FilterCount>,
}

/// Number of events that one of the filters lets pass.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FilterCount {
    filter: String,
    matched: u64,
}

/// Counts, event by event.
struct Trial {
    own: Own,
    filters: Vec<EventFilter>,
    sample: usize,
    scanned: u64,
    matched: u64,
    by_filter: Vec<u64>,
    sessions: HashSet<TelephonySessionId, RandomState>,
    newest: VecDeque<Logged>,
}

impl Trial {
    fn take(&mut self, logged: &Logged) {
        if logged.event.session.account != self.own.account {
            return;
        }
        self.scanned += 1;
        let mut matched = false;
        for (filter, count) in self.filters.iter().zip(&mut self.by_filter) {
            if filter.projection_of(&logged.event, logged.change.as_deref()).is_some() {
                *count += 1;
                matched = true;
            }
        }
        if !matched {
            return;
        }
        self.matched += 1;
        self.sessions.insert(logged.event.session.id);
        self.newest.push_back(logged.clone());
        if self.newest.len() > self.sample {
            self.newest.pop_front();
        }
    }

    fn notifications(&self) -> Vec<Box<RawValue>> {
        let id = SubscriptionId::from_bits(0);
        let subscriber = Subscriber::new(id, self.own.extension, SERVER_ID);
        let newest = self.newest.iter().rev();
        newest
            .flat_map(|logged| {
                let about = (&*logged.event, logged.change.as_deref());
                let projections = Projection::all(&self.filters, about.0, about.1);
                let written = projections.iter().rev().map(|&projection| {
                    let mut json = Vec::new();
                    subscriber.write_any(about, projection, logged.event.at, &mut json);
                    json
                });
                written.collect::<Vec<_>>()
            })
            .filter_map(|json| RawValue::from_string(String::from_utf8(json).ok()?).ok())
            .take(self.sample)
            .collect()
    }
}

/// Whom `~` stands for.
fn own(api: &Api, access: Option<AccountId>, asked: &FilterTrial) -> Result<Own, Problem> {
    let directory = api.directory();
    let first = directory.accounts().next().map(hookswitch_core::directory::Account::id);
    let account = match &asked.account_id {
        None => access.or(first).ok_or_else(Problem::internal)?,
        Some(text) => {
            let unknown = || Problem::unknown("accountId", text);
            let account: AccountId = text.parse().map_err(|_| unknown())?;
            let known = directory.accounts().any(|known| known.id() == account);
            if !known || access.is_some_and(|own| own != account) {
                return Err(unknown());
            }
            account
        }
    };
    let extension = match &asked.extension_id {
        None => ExtensionId::new(account.as_u64()),
        Some(text) => text.parse().map_err(|_| Problem::unknown("extensionId", text))?,
    };
    Ok(Own { account, extension })
}

/// Counts what filters would have let pass of the events of the last hours, and shows some of it.
#[utoipa::path(post, path = "/admin/v1/filter-trials", tag = "Admin", security(("admin" = [])),
    request_body = FilterTrial, responses((status = 200, body = FilterTrialOutcome), openapi::Refusals))]
pub(crate) async fn run(
    State(api): State<Api>,
    Reader(access): Reader,
    content: Content,
) -> Result<Json<FilterTrialOutcome>, Problem> {
    let asked: FilterTrial = json(&content)?;
    let hours = asked.hours.unwrap_or(HOURS);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Problem::field("hours", format!("hours must be 1 to {HOURS_MAX}")));
    }
    let sample = asked.sample.unwrap_or(SAMPLE);
    if sample > SAMPLE_MAX {
        return Err(Problem::field("sample", format!("sample must be 0 to {SAMPLE_MAX}")));
    }
    let own = own(&api, access.account, &asked)?;
    let filters = parse_filters(&api, own, &asked.event_filters, SubscriptionId::from_bits(0))?;
    let to = clock::wall();
    let back = Duration::from_secs(u64::from(hours) * 3600);
    let from = Timestamp::from_micros(to.as_micros() - back.as_micros() as i64);
    let end = api.store.ends().events;
    let mut trial = Trial {
        own,
        by_filter: vec![0; filters.len()],
        filters,
        sample,
        scanned: 0,
        matched: 0,
        sessions: HashSet::default(),
        newest: VecDeque::new(),
    };
    let first = api.store.read_async(move |reader| reader.position_since(Log::Events, from));
    let first = first.await.map_err(kept)?;
    let cut = first.max((end + 1).saturating_sub(SCANNED_MAX));
    let wants_changes = trial.filters.iter().any(|filter| matches!(filter, EventFilter::Calls(_)));
    let mut after = cut.saturating_sub(1);
    while after < end {
        let _turn = api.scans.turn().await;
        let read = api.store.read_async(move |reader| reader.events_after(after, EVENTS_AT_ONCE));
        let mut events = read.await.map_err(kept)?;
        let Some(last) = events.last() else { break };
        after = last.position;
        if wants_changes {
            api.changes.attach(&mut events).await.map_err(kept)?;
        }
        // There may be many filters: this takes long, and on a thread where nobody waits for it.
        let counted = tokio::task::spawn_blocking(move || {
            events.iter().filter(|logged| logged.position <= end).for_each(|logged| trial.take(logged));
            trial
        });
        trial = counted.await.map_err(|_| Problem::internal())?;
    }
    let is_cut = cut > first;
    let counts = trial.filters.iter().zip(&trial.by_filter);
    Ok(Json(FilterTrialOutcome {
        scanned: trial.scanned,
        matched: trial.matched,
        sessions: trial.sessions.len(),
        from: from.to_string(),
        to: to.to_string(),
        is_cut,
        sample: trial.notifications(),
        by_filter: counts
            .map(|(filter, &matched)| FilterCount { filter: filter.to_string(), matched })
            .collect(),
    }))
}
