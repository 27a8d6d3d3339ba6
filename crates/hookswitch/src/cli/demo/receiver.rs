//! The webhook that the demo subscribes with: it takes notifications, and now and then it fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::sync::mpsc::UnboundedSender;

/// Of so many requests one fails, and one of so many is slow; on an average.
const FAILS_ONE_IN: u32 = 25;
const SLOW_ONE_IN: u32 = 40;

/// Delay of the slow receiver: an answer within what the server waits for.
const SLOW: Duration = Duration::from_millis(1200);

/// Arrival at the receiver.
pub(super) enum Arrival {
    /// A notification, which was taken.
    Notification(Bytes),
    /// One that was answered with this status, and will come again.
    Refused(StatusCode),
}

#[derive(Clone)]
struct Receiver {
    arrivals: UnboundedSender<Arrival>,
    random: Arc<Mutex<fastrand::Rng>>,
}

/// A receiver that fails by chance, as the seed has it, and tells what arrives.
pub(super) fn router(arrivals: UnboundedSender<Arrival>, seed: u64) -> Router {
    let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
    Router::new().route("/", post(receive)).with_state(Receiver { arrivals, random })
}

/// Takes a notification, or answers whether any are wanted.
async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(token) = headers.get("validation-token") {
        return ([("validation-token", token.clone())], ()).into_response();
    }
    let (fails, slow) = {
        let mut random = receiver.random.lock().unwrap_or_else(PoisonError::into_inner);
        (random.u32(..FAILS_ONE_IN) == 0, random.u32(..SLOW_ONE_IN) == 0)
    };
    let (status, arrival) = if fails {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        (status, Arrival::Refused(status))
    } else {
        if slow {
            tokio::time::sleep(SLOW).await;
        }
        (StatusCode::OK, Arrival::Notification(body))
    };
    receiver.arrivals.send(arrival).ok(); // the demo is over
    status.into_response()
}
