//! Content, properties and metadata of a blob ("Get Blob", "Get Blob Properties", "Set Blob Metadata", "Delete Blob").

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};

use super::error::BlobError;
use super::route::BlobRequest;
use super::store::AppendBlob;
use super::{BlobCall, new_etag};
use crate::clock::SimTime;
use crate::request::{Reply, Request};
use crate::state::CloudState;

/// The prefix of the headers with metadata.
const METADATA: &str = "x-ms-meta-";

/// Returns the metadata of a request.
pub(super) fn metadata_of(request: &Request) -> BTreeMap<String, String> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = name.as_str().strip_prefix(METADATA)?;
        Some((name.to_owned(), value.to_str().ok()?.to_owned()))
    };
    request.headers.iter().filter_map(pair).collect()
}

/// Answers a GET or a HEAD. A range that begins at or after the end is not satisfiable.
pub(super) fn read(
    state: &CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let blob = state.storage.blob(call.account, parsed.container(), parsed.blob());
    let blob = blob.ok_or_else(BlobError::blob_not_found)?;
    let length = blob.content.len();
    let range = call.request.header("x-ms-range").or_else(|| call.request.header("range"));
    let reply = match range.filter(|_| call.request.method == Method::GET) {
        Some(range) => {
            let (from, to) = parsed_range(range, length).ok_or_else(|| {
                BlobError::new(
                    416,
                    "InvalidRange",
                    "The range specified is invalid for the current size of the resource.",
                )
            })?;
            let part = Bytes::copy_from_slice(&blob.content[from..to]);
            Reply::bytes(206, "application/octet-stream", part)
                .with_header("content-range", &format!("bytes {from}-{}/{length}", to - 1))
        }
        None => Reply::bytes(200, "application/octet-stream", blob.content.clone()),
    };
    let reply = match call.request.method {
        // The body is dropped before it is sent, and with it the length.
        Method::HEAD => reply.with_header("content-length", &length.to_string()),
        _ => reply,
    };
    Ok(with_properties(blob, call.now, reply))
}

/// Parses `bytes=from-` or `bytes=from-to`; returns the half-open range.
fn parsed_range(text: &str, length: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = match to {
        "" => length,
        to => to.parse::<usize>().ok()?.saturating_add(1).min(length),
    };
    (from < to).then_some((from, to))
}

fn with_properties(blob: &AppendBlob, now: SimTime, mut reply: Reply) -> Reply {
    let lease = blob.lease.state(now);
    reply = blob
        .describe(reply)
        .with_header("x-ms-blob-type", "AppendBlob")
        .with_header("x-ms-blob-committed-block-count", &blob.blocks.to_string())
        .with_header("x-ms-lease-state", lease.as_str())
        .with_header("x-ms-lease-status", lease.status())
        .with_header("x-ms-creation-time", &blob.created.http_date())
        .with_header("x-ms-server-encrypted", "true")
        .with_header("accept-ranges", "bytes");
    if let Some(word) = blob.lease.duration_word(now) {
        reply = reply.with_header("x-ms-lease-duration", word);
    }
    if blob.sealed {
        reply = reply.with_header("x-ms-blob-sealed", "true");
    }
    for (name, value) in &blob.metadata {
        let name = HeaderName::from_bytes(format!("{METADATA}{name}").as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            reply.headers.insert(name, value);
        }
    }
    reply
}

/// Returns a blob that the request may change, as far as its lease is concerned.
pub(super) fn writable<'a>(
    state: &'a mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<&'a mut AppendBlob, BlobError> {
    let blob = state.storage.blob_mut(call.account, parsed.container(), parsed.blob());
    let blob = blob.ok_or_else(BlobError::blob_not_found)?;
    blob.lease.check_write(call.request.header("x-ms-lease-id"), call.now)?;
    Ok(blob)
}

/// Replaces all metadata. The ETag changes, and the position for appends does not.
pub(super) fn set_metadata(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let etag = new_etag(state);
    let blob = writable(state, call, parsed)?;
    blob.metadata = metadata_of(call.request);
    (blob.etag, blob.modified) = (etag, call.now);
    Ok(blob.describe(Reply::empty(200)))
}

/// Deletes a blob.
pub(super) fn delete(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    writable(state, call, parsed)?;
    state.storage.remove_blob(call.account, parsed.container(), parsed.blob());
    Ok(Reply::empty(202).with_header("x-ms-delete-type-permanent", "true"))
}
