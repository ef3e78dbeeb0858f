//! The list of the blobs in a container ("List Blobs").

use std::fmt::Write as _;

use super::BlobCall;
use super::error::{BlobError, escaped};
use crate::request::Reply;
use crate::state::CloudState;

/// The largest page, which is also the default.
const PAGE_MAX: usize = 5_000;

/// Returns one page, with the name of the next blob as its marker.
pub(super) fn list(state: &CloudState, call: &BlobCall<'_>, container: &str) -> Result<Reply, BlobError> {
    let request = call.request;
    let prefix = request.query("prefix").unwrap_or_default();
    let marker = request.query("marker").unwrap_or_default();
    let include = request.query("include").unwrap_or_default();
    let with_metadata = include.split(',').any(|one| one == "metadata");
    let most = match request.query("maxresults") {
        Some(text) => text.parse().ok().filter(|most| *most > 0).ok_or_else(|| {
            let why = "Value for one of the query parameters specified in the request URI is invalid.";
            BlobError::new(400, "InvalidQueryParameterValue", why)
        })?,
        None => PAGE_MAX,
    };
    let found =
        state.storage.container(call.account, container).ok_or_else(BlobError::container_not_found)?;
    let mut matching =
        found.blobs.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() >= marker).peekable();
    let mut blobs = String::new();
    for (name, blob) in matching.by_ref().take(most.min(PAGE_MAX)) {
        let lease = blob.lease.state(call.now);
        let _ = write!(
            blobs,
            "<Blob><Name>{}</Name><Properties><Creation-Time>{}</Creation-Time><Last-Modified>{}</Last-Modified>\
             <Etag>{}</Etag><Content-Length>{}</Content-Length><BlobType>AppendBlob</BlobType>\
             <LeaseStatus>{}</LeaseStatus><LeaseState>{}</LeaseState>",
            escaped(name),
            blob.created.http_date(),
            blob.modified.http_date(),
            blob.etag,
            blob.content.len(),
            lease.status(),
            lease.as_str(),
        );
        if let Some(word) = blob.lease.duration_word(call.now) {
            let _ = write!(blobs, "<LeaseDuration>{word}</LeaseDuration>");
        }
        if blob.sealed {
            blobs.push_str("<Sealed>true</Sealed>");
        }
        blobs.push_str("<ServerEncrypted>true</ServerEncrypted></Properties>");
        if with_metadata {
            blobs.push_str("<Metadata>");
            for (name, value) in &blob.metadata {
                let _ = write!(blobs, "<{name}>{}</{name}>", escaped(value));
            }
            blobs.push_str("</Metadata>");
        }
        blobs.push_str("</Blob>");
    }
    let next = matching.peek().map(|(name, _)| escaped(name)).unwrap_or_default();
    let body = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"{}/\" \
         ContainerName=\"{container}\"><Prefix>{}</Prefix><Blobs>{blobs}</Blobs><NextMarker>{next}</NextMarker>\
         </EnumerationResults>",
        state.origin(&format!("{}.blob", call.account)),
        escaped(prefix),
    );
    Ok(Reply::bytes(200, "application/xml", body))
}
