//! Lease operations ("Lease Blob").

use super::error::BlobError;
use super::lease::{SECONDS_MAX, SECONDS_MIN};
use super::route::BlobRequest;
use super::{BlobCall, new_etag};
use crate::request::{Reply, Request};
use crate::state::CloudState;

/// Answers a lease operation.
pub(super) fn serve(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let (request, now) = (call.request, call.now);
    let action = request.header("x-ms-lease-action").unwrap_or_default().to_ascii_lowercase();
    let spare = new_etag(state);
    let blob = state.storage.blob_mut(call.account, parsed.container(), parsed.blob());
    let blob = blob.ok_or_else(BlobError::blob_not_found)?;
    let lease = &mut blob.lease;
    let reply = match action.as_str() {
        "acquire" => {
            let seconds = number(request, "x-ms-lease-duration")?
                .filter(|seconds| *seconds == -1 || (SECONDS_MIN..=SECONDS_MAX).contains(seconds))
                .ok_or_else(|| BlobError::invalid_header("x-ms-lease-duration"))?;
            let proposed = match request.header("x-ms-proposed-lease-id") {
                Some(id) => guid(id, "x-ms-proposed-lease-id")?,
                // The service draws one.
                None => spare_guid(&spare),
            };
            lease.acquire(&proposed, seconds, now)?;
            Reply::empty(201).with_header("x-ms-lease-id", &proposed)
        }
        "renew" => {
            let id = lease_id(request)?;
            lease.renew(&id, now)?;
            Reply::empty(200).with_header("x-ms-lease-id", &id)
        }
        "change" => {
            let id = lease_id(request)?;
            let proposed = request.header("x-ms-proposed-lease-id").unwrap_or_default();
            let proposed = guid(proposed, "x-ms-proposed-lease-id")?;
            lease.change(&id, &proposed, now)?;
            Reply::empty(200).with_header("x-ms-lease-id", &proposed)
        }
        "release" => {
            lease.release(&lease_id(request)?)?;
            Reply::empty(200)
        }
        "break" => {
            let period = number(request, "x-ms-lease-break-period")?;
            if period.is_some_and(|period| !(0..=SECONDS_MAX).contains(&period)) {
                return Err(BlobError::invalid_header("x-ms-lease-break-period"));
            }
            let seconds = lease.break_after(period, now)?;
            Reply::empty(202).with_header("x-ms-lease-time", &seconds.to_string())
        }
        _ => return Err(BlobError::invalid_header("x-ms-lease-action")),
    };
    Ok(blob.describe(reply))
}

fn lease_id(request: &Request) -> Result<String, BlobError> {
    guid(request.header("x-ms-lease-id").unwrap_or_default(), "x-ms-lease-id")
}

fn guid(text: &str, header: &str) -> Result<String, BlobError> {
    let parsed = uuid::Uuid::parse_str(text).map_err(|_| BlobError::invalid_header(header))?;
    Ok(parsed.to_string())
}

/// Turns drawn hexadecimal digits into a GUID.
fn spare_guid(etag: &str) -> String {
    let digits: String = etag.trim_start_matches("0x").chars().cycle().take(32).collect();
    uuid::Uuid::parse_str(&digits).map(|id| id.to_string()).unwrap_or_default()
}

fn number(request: &Request, header: &str) -> Result<Option<i64>, BlobError> {
    match request.header(header) {
        Some(text) => text.parse().map(Some).map_err(|_| BlobError::invalid_header(header)),
        None => Ok(None),
    }
}
