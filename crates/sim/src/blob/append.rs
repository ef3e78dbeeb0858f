//! Creation of an append blob, appends to it, and its seal ("Put Blob", "Append Block", "Append Blob Seal").

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::BlobError;
use super::properties::{metadata_of, writable};
use super::route::BlobRequest;
use super::store::AppendBlob;
use super::{BlobCall, new_etag};
use crate::arm::unavailable;
use crate::request::Reply;
use crate::state::CloudState;

/// The largest number of blocks in a blob.
const BLOCKS_MAX: u32 = 50_000;
/// The latency of an append in real time, as within a region (observed 5–20 ms).
const APPEND_LATENCY: Duration = Duration::from_millis(10);
/// The largest block in bytes.
const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Creates an empty blob. Without a precondition it replaces an existing one.
pub(super) fn create(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let request = call.request;
    match request.header("x-ms-blob-type") {
        Some("AppendBlob") => {}
        Some(other) => {
            let why = unavailable(&format!("A blob of the type {other}"));
            return Err(BlobError::new(400, "UnsupportedHeader", why));
        }
        None => return Err(BlobError::invalid_header("x-ms-blob-type")),
    }
    if !request.body.is_empty() {
        return Err(BlobError::invalid_header("Content-Length"));
    }
    let etag = new_etag(state);
    let existing = state.storage.blob_mut(call.account, parsed.container(), parsed.blob());
    let mut lease = super::lease::Lease::default();
    if let Some(existing) = existing {
        if request.header("if-none-match") == Some("*") {
            return Err(BlobError::new(409, "BlobAlreadyExists", "The specified blob already exists."));
        }
        existing.lease.check_write(request.header("x-ms-lease-id"), call.now)?;
        lease = existing.lease.clone();
    } else if request.header("x-ms-lease-id").is_some() {
        return Err(BlobError::new(
            412,
            "LeaseNotPresentWithBlobOperation",
            "There is currently no lease on the blob.",
        ));
    }
    let metadata: BTreeMap<String, String> = metadata_of(request);
    let blob = AppendBlob {
        content: Vec::new(),
        blocks: 0,
        etag: etag.clone(),
        created: call.now,
        modified: call.now,
        metadata,
        sealed: false,
        lease,
    };
    state.storage.insert(call.account, parsed.container(), parsed.blob(), blob);
    Ok(Reply::empty(201)
        .with_header("etag", &format!("\"{etag}\""))
        .with_header("last-modified", &call.now.http_date())
        .with_header("x-ms-request-server-encrypted", "true"))
}

/// Appends a block: all of it or nothing. The lease is checked first, then the position.
pub(super) fn append(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let request = call.request;
    if request.body.is_empty() {
        return Err(BlobError::invalid_header("Content-Length"));
    }
    if request.body.len() > BLOCK_BYTES_MAX {
        return Err(BlobError::new(
            413,
            "RequestBodyTooLarge",
            "The request body is too large and exceeds the maximum permissible limit.",
        ));
    }
    let header = |name: &str| -> Result<Option<u64>, BlobError> {
        let parse = |text: &str| text.parse().map_err(|_| BlobError::invalid_header(name));
        request.header(name).map(parse).transpose()
    };
    let (position, most) = (header("x-ms-blob-condition-appendpos")?, header("x-ms-blob-condition-maxsize")?);
    let etag = new_etag(state);
    let blob = writable(state, call, parsed)?;
    if let Some(wanted) = request.header("if-match")
        && wanted.trim_matches('"') != blob.etag
    {
        let why = "The condition specified using HTTP conditional header(s) is not met.";
        return Err(BlobError::new(412, "ConditionNotMet", why));
    }
    let offset = blob.content.len() as u64;
    if position.is_some_and(|position| position != offset) {
        let why = "The append position condition specified was not met.";
        return Err(BlobError::new(412, "AppendPositionConditionNotMet", why));
    }
    if most.is_some_and(|most| offset + request.body.len() as u64 > most) {
        let why = "The max blob size condition specified was not met.";
        return Err(BlobError::new(412, "MaxBlobSizeConditionNotMet", why));
    }
    if blob.sealed {
        return Err(BlobError::new(409, "BlobIsSealed", "The specified blob is sealed."));
    }
    if blob.blocks >= BLOCKS_MAX {
        let why = "The committed block count cannot exceed the maximum limit of 50,000 blocks.";
        return Err(BlobError::new(409, "BlockCountExceedsLimit", why));
    }
    blob.content.extend_from_slice(&request.body);
    blob.blocks += 1;
    (blob.etag, blob.modified) = (etag, call.now);
    Ok(blob
        .describe(Reply { real_latency: APPEND_LATENCY, ..Reply::empty(201) })
        .with_header("x-ms-blob-append-offset", &offset.to_string())
        .with_header("x-ms-blob-committed-block-count", &blob.blocks.to_string())
        .with_header("x-ms-request-server-encrypted", "true"))
}

/// Makes a blob read-only. A repetition succeeds.
pub(super) fn seal(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let etag = new_etag(state);
    let blob = writable(state, call, parsed)?;
    if !blob.sealed {
        (blob.sealed, blob.etag, blob.modified) = (true, etag, call.now);
    }
    Ok(blob.describe(Reply::empty(200)).with_header("x-ms-blob-sealed", "true"))
}
