//! The subscriptions of all users and applications.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Admin, Records};
use crate::api::{Api, Problem, openapi};

/// A subscription, as far as an operator needs to know.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubscriptionBody {
    id: String,
    /// What is kept of it, without its secrets.
    #[schema(value_type = Object)]
    subscription: Value,
}

/// What is not shown.
const SECRET: [&str; 3] = ["token", "signing_secret", "verification_token"];

/// Takes out what is not shown, however deep it is.
fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !SECRET.contains(&&**name));
            members.values_mut().for_each(redact);
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

/// Lists the subscriptions.
#[utoipa::path(get, path = "/admin/v1/subscriptions", tag = "Admin", security(("admin" = [])),
    responses((status = 200, body = Records<SubscriptionBody>), openapi::Refusals))]
pub(crate) async fn list(
    State(api): State<Api>,
    _: Admin,
) -> Result<Json<Records<SubscriptionBody>>, Problem> {
    let documents = api.documents::<Value>("subscription").await?;
    let records = documents.into_iter().map(|(id, mut subscription)| {
        redact(&mut subscription);
        SubscriptionBody { id, subscription }
    });
    Ok(Json(Records { records: records.collect() }))
}
