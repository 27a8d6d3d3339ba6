//! Reads the body of a request, within limits of length and pace.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use hookswitch_server::clock;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::Problem;

/// Time for which a client may stop in the middle of a body.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Bytes that have to come in a second, after a first [`PAUSE_MAX`].
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// Time that a body may take in all.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// The most that bodies which are being read may have in all, in KiB.
const READING_KIB_MAX: usize = 128 * 1024;

/// Places for the bodies that are being read, a KiB each.
static READING: Semaphore = Semaphore::const_new(READING_KIB_MAX);

/// Reads a body of at most so many bytes.
///
/// # Errors
/// If it is longer, or does not come fast enough.
pub(super) async fn read(headers: &HeaderMap, mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > bytes_max as u64) {
        return Err(Problem::too_large(bytes_max));
    }
    let started = clock::now();
    let mut bytes = Vec::new();
    let mut places: Option<SemaphorePermit<'_>> = None;
    loop {
        let frame = timeout(PAUSE_MAX, body.frame()).await.map_err(|_| Problem::cut_off())?;
        let Some(frame) = frame else { return Ok(bytes.into()) };
        let frame = frame.map_err(|_| Problem::cut_off())?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
        bytes.extend_from_slice(&data);
        let held = places.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = bytes.len().div_ceil(1024).saturating_sub(held);
        if let Some(missing) = u32::try_from(missing).ok().filter(|&missing| missing > 0) {
            let more = READING.try_acquire_many(missing);
            let more =
                more.map_err(|_| Problem::unavailable("The server reads as much as it can; send it again"))?;
            match &mut places {
                Some(places) => places.merge(more),
                None => places = Some(more),
            }
        }
        let paced = started.elapsed().saturating_sub(PAUSE_MAX).as_secs() * BYTES_PER_SECOND_MIN;
        if (bytes.len() as u64) < paced || started.elapsed() > BODY_WITHIN {
            return Err(Problem::cut_off());
        }
    }
}
