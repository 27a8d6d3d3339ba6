//! Profile that a client asks for at its start to see what it may show: features, permissions, plans and settings.
//!
//! This server observes calls. What needs a phone system that it controls, or messages, is said not to be there;
//! what only the phone system knows is left out.

use axum::Json;
use axum::extract::{RawQuery, State};
use hookswitch_core::directory::Account;
use hookswitch_model::number::Country;
use hookswitch_model::{AccountId, ExtensionId};
use hookswitch_server::auth::{Principal, Scope};
use hookswitch_server::rights::Action;
use serde::Serialize;
use utoipa::ToSchema;

use super::list::{List, PageQuery};
use super::request::{Base, Segments};
use super::{Api, Problem, openapi};

/// Reason why something is not there, in the word of the API.
const LIMITATION: &str = "AccountLimitation";

/// The services that clients look for, and whether they are there.
const SERVICES: [(&str, bool); 16] = [
    ("Presence", true),
    ("TelephonySessions", true),
    ("CallForwarding", false),
    ("Conferencing", false),
    ("Fax", false),
    ("FaxReceiving", false),
    ("OnDemandCallRecording", false),
    ("Pager", false),
    ("PagerReceiving", false),
    ("RingOut", false),
    ("SMS", false),
    ("SMSReceiving", false),
    ("VideoConferencing", false),
    ("Voicemail", false),
    ("VoipCalling", false),
    ("WebPhone", false),
];

/// The features that clients look for, each with the permission that it takes; none for those that are not there.
const FEATURES: [(&str, Option<Scope>); 18] = [
    ("ReadExtensionInfo", Some(Scope::ReadAccounts)),
    ("ReadExtensions", Some(Scope::ReadAccounts)),
    ("ReadExtensionPhoneNumbers", Some(Scope::ReadAccounts)),
    ("ReadExtensionDevices", Some(Scope::ReadAccounts)),
    ("ReadCompanyInfo", Some(Scope::ReadAccounts)),
    ("ReadPresenceStatus", Some(Scope::ReadPresence)),
    ("ReadExtensionCallLog", Some(Scope::ReadCallLog)),
    ("RingOut", None),
    ("WebPhone", None),
    ("SMSSending", None),
    ("SMSReceiving", None),
    ("PagesSending", None),
    ("PagesReceiving", None),
    ("FaxSending", None),
    ("FaxReceiving", None),
    ("Voicemail", None),
    ("Glip", None),
    ("Meetings", None),
];

/// The permissions of users in the words of the vendor, with those of this server that they follow from.
const PERMISSIONS: [(&str, Scope); 7] = [
    ("ReadCompanyInfo", Scope::ReadAccounts),
    ("ReadExtensions", Scope::ReadAccounts),
    ("ReadUserInfo", Scope::ReadAccounts),
    ("ReadUserDevices", Scope::ReadAccounts),
    ("ReadUserPhoneNumbers", Scope::ReadAccounts),
    ("ReadPresenceStatus", Scope::ReadPresence),
    ("ReadCallLog", Scope::ReadCallLog),
];

/// A service of an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceFeature {
    feature_name: &'static str,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The services of an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceInfo {
    uri: String,
    service_features: Vec<ServiceFeature>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contracted_country: Option<HomeCountry>,
}

/// The features of an extension.
#[derive(Serialize, ToSchema)]
pub(super) struct Features {
    records: Vec<Feature>,
}

/// A feature.
#[derive(Serialize, ToSchema)]
struct Feature {
    id: &'static str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<FeatureReason>,
}

/// Reason why a feature is not available.
#[derive(Serialize, ToSchema)]
struct FeatureReason {
    code: &'static str,
    message: &'static str,
}

/// The permissions of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct AuthzProfile {
    uri: String,
    permissions: Vec<ActivePermission>,
}

/// A permission that a user has, and for whom.
#[derive(Serialize, ToSchema)]
struct ActivePermission {
    permission: PermissionRef,
    /// `Self`, and of administrators `AllExtensions`.
    scopes: Vec<&'static str>,
}

/// The name of a permission.
#[derive(Serialize, ToSchema)]
struct PermissionRef {
    id: &'static str,
}

/// The numbers that an extension shows; phone systems decide on them, so none are known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallerIds {
    uri: String,
    by_device: Vec<openapi::Empty>,
    by_feature: Vec<openapi::Empty>,
}

/// A country by which numbers are dialled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HomeCountry {
    /// Two letters of ISO 3166-1.
    iso_code: &'static str,
    /// The digits behind the `+`.
    calling_code: &'static str,
}

impl HomeCountry {
    pub(super) fn of(country: Country) -> Self {
        Self { iso_code: country.letters(), calling_code: country.code() }
    }
}

/// The services of every account.
pub(super) fn service_features() -> Vec<ServiceFeature> {
    let feature = |(feature_name, enabled): (&'static str, bool)| ServiceFeature {
        feature_name,
        enabled,
        reason: (!enabled).then_some(LIMITATION),
    };
    SERVICES.map(feature).into()
}

impl Api {
    fn country_of(&self, account: AccountId) -> Option<Country> {
        let directory = self.directory();
        directory.accounts().find(|known| known.id() == account).and_then(Account::country)
    }
}

/// The extension that a path names, if the one who asks may do this to what is its own. An extension that is none is
/// not found.
pub(super) async fn own_extension(
    api: &Api,
    principal: &Principal,
    action: Action,
    (account, extension): (&str, &str),
) -> Result<(AccountId, ExtensionId), Problem> {
    let account = api.account(principal, action, account)?;
    let id = principal.extension(extension)?;
    api.check(principal, action, account, Some(id))?;
    api.person(account, id).await?;
    Ok((account, id))
}

/// The account that a path names, if the one who asks may do this to what is all of the account's.
pub(super) fn whole_account(
    api: &Api,
    principal: &Principal,
    action: Action,
    account: &str,
) -> Result<AccountId, Problem> {
    let account = api.account(principal, action, account)?;
    api.check(principal, action, account, None)?;
    Ok(account)
}

/// Tells the services of an account.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/service-info", tag = "Account",
    params(("accountId" = String, Path, description = "`~` or the id")),
    responses((status = 200, body = ServiceInfo), openapi::Refusals)
)]
pub(super) async fn service_info(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account]): Segments<1>,
) -> Result<Json<ServiceInfo>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    Ok(Json(ServiceInfo {
        uri: format!("{base}/restapi/v1.0/account/{account}/service-info"),
        // Reasons are those of extensions.
        service_features: service_features()
            .into_iter()
            .map(|one| ServiceFeature { reason: None, ..one })
            .collect(),
        contracted_country: api.country_of(account).map(HomeCountry::of),
    }))
}

/// Lists the country whose numbers the account dials, if the directory names it.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/dialing-plan", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<HomeCountry>), openapi::Refusals)
)]
pub(super) async fn dialing_plan(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account]): Segments<1>,
) -> Result<Json<List<HomeCountry>>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    let query = PageQuery::read(query.as_deref())?;
    let list = format!("{base}/restapi/v1.0/account/{account}/dialing-plan");
    Ok(Json(query.page_of(&list, api.country_of(account).map(HomeCountry::of).into_iter().collect())))
}

/// Tells which features an extension has; to others than the extension itself, what the one who asks may see of it.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/features", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("featureId" = Option<Vec<String>>, Query, description = "These alone"),
        ("availableOnly" = Option<bool>, Query, description = "Those alone that are there"),
    ),
    responses((status = 200, body = Features), openapi::Refusals)
)]
pub(super) async fn features(
    State(api): State<Api>,
    principal: Principal,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<Features>, Problem> {
    own_extension(&api, &principal, Action::ReadDevices, (&account, &extension)).await?;
    let query = PageQuery::read(query.as_deref())?;
    let may = |scope| principal.scopes.has(scope) && principal.permissions.has(scope);
    let feature = |(id, scope): (&'static str, Option<Scope>)| {
        let available = scope.is_some_and(may);
        let reason = match scope {
            None => {
                FeatureReason { code: LIMITATION, message: "This server observes calls and does not have it" }
            }
            Some(_) => FeatureReason {
                code: "InsufficientPermissions",
                message: "The application or the user lacks the permission for it",
            },
        };
        Feature { id, available, reason: (!available).then_some(reason) }
    };
    let is_wanted = |feature: &Feature| {
        let mut ids = query.values("featureId").peekable();
        (feature.available || !query.flag("availableOnly"))
            && (ids.peek().is_none() || ids.any(|id| id == feature.id))
    };
    let records = FEATURES.into_iter().map(feature).filter(is_wanted).collect();
    Ok(Json(Features { records }))
}

/// Tells what the user may do.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/authz-profile", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id of one's own"),
    ),
    responses((status = 200, body = AuthzProfile), openapi::Refusals)
)]
pub(super) async fn authz_profile(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<AuthzProfile>, Problem> {
    let account = api.account(&principal, Action::ReadExtension, &account)?;
    let id = principal.extension(&extension)?;
    if id != principal.extension {
        return Err(Problem::own_extension_only());
    }
    let scopes = if principal.admin { vec!["Self", "AllExtensions"] } else { vec!["Self"] };
    let held = PERMISSIONS.into_iter().filter(|&(_, scope)| principal.permissions.has(scope));
    let permissions =
        held.map(|(id, _)| ActivePermission { permission: PermissionRef { id }, scopes: scopes.clone() });
    Ok(Json(AuthzProfile {
        uri: format!("{base}/restapi/v1.0/account/{account}/extension/{id}/authz-profile"),
        permissions: permissions.collect(),
    }))
}

/// Tells which numbers an extension shows: none that are known.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/caller-id", tag = "Account",
    params(("accountId" = String, Path, description = "`~` or the id"), ("extensionId" = String, Path, description = "`~` or the id")),
    responses((status = 200, body = CallerIds), openapi::Refusals)
)]
pub(super) async fn caller_id(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<CallerIds>, Problem> {
    let (account, id) = own_extension(&api, &principal, Action::ReadDevices, (&account, &extension)).await?;
    let uri = format!("{base}/restapi/v1.0/account/{account}/extension/{id}/caller-id");
    Ok(Json(CallerIds { uri, by_device: Vec::new(), by_feature: Vec::new() }))
}

/// Lists the numbers to which calls of an extension are forwarded: none that are known.
#[utoipa::path(
    get, path = "/restapi/v1.0/account/{accountId}/extension/{extensionId}/forwarding-number", tag = "Account",
    params(
        ("accountId" = String, Path, description = "`~` or the id"),
        ("extensionId" = String, Path, description = "`~` or the id"),
        ("page" = Option<u32>, Query, minimum = 1, description = "From 1"),
        ("perPage" = Option<String>, Query, description = "From 1 to 1000, or `MAX`; 100 unless asked for"),
    ),
    responses((status = 200, body = List<openapi::Empty>), openapi::Refusals)
)]
pub(super) async fn forwarding_numbers(
    State(api): State<Api>,
    principal: Principal,
    Base(base): Base,
    RawQuery(query): RawQuery,
    Segments([account, extension]): Segments<2>,
) -> Result<Json<List<openapi::Empty>>, Problem> {
    let (account, id) = own_extension(&api, &principal, Action::ReadDevices, (&account, &extension)).await?;
    let query = PageQuery::read(query.as_deref())?;
    let list = format!("{base}/restapi/v1.0/account/{account}/extension/{id}/forwarding-number");
    Ok(Json(query.page_of(&list, Vec::new())))
}
