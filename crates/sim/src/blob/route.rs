//! Routing of the blob service: from method, path and `comp` to a verb.

use http::Method;

use super::error::BlobError;
use crate::arm::unavailable;
use crate::request::Request;

/// The requested operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    CreateContainer,
    ContainerProperties,
    List,
    Create,
    Append,
    Seal,
    Lease,
    Properties,
    Read,
    SetMetadata,
    Delete,
}

/// A parsed request.
#[derive(Debug)]
pub(super) struct BlobRequest {
    pub(super) verb: Verb,
    container: String,
    blob: String,
}

impl BlobRequest {
    pub(super) fn container(&self) -> &str {
        &self.container
    }

    /// Returns the name of the blob; empty for a request to the container.
    pub(super) fn blob(&self) -> &str {
        &self.blob
    }
}

/// Parses method, path and query.
///
/// # Errors
/// 400 for a path without a container, 405 for an unsupported operation.
pub(super) fn parse(request: &Request) -> Result<BlobRequest, BlobError> {
    let segments = request.segments();
    let Some((container, blob)) = segments.split_first() else {
        let why = unavailable("The service of a storage account");
        return Err(BlobError::new(400, "InvalidUri", why));
    };
    let blob = blob.join("/");
    let (comp, restype) = (request.query("comp"), request.query("restype"));
    let verb = match (&request.method, blob.is_empty(), restype, comp) {
        (&Method::PUT, true, Some("container"), None) => Verb::CreateContainer,
        (&Method::GET | &Method::HEAD, true, Some("container"), None) => Verb::ContainerProperties,
        (&Method::GET, true, Some("container"), Some("list")) => Verb::List,
        (&Method::PUT, false, None, None) => Verb::Create,
        (&Method::PUT, false, None, Some("appendblock")) => Verb::Append,
        (&Method::PUT, false, None, Some("seal")) => Verb::Seal,
        (&Method::PUT, false, None, Some("lease")) => Verb::Lease,
        (&Method::PUT, false, None, Some("metadata")) => Verb::SetMetadata,
        (&Method::HEAD, false, None, None) => Verb::Properties,
        (&Method::GET, false, None, None) => Verb::Read,
        (&Method::DELETE, false, None, None) => Verb::Delete,
        (method, ..) => {
            let what = format!("This {method} of the blob service (comp={})", comp.unwrap_or_default());
            return Err(BlobError::new(405, "UnsupportedHttpVerb", unavailable(&what)));
        }
    };
    Ok(BlobRequest { verb, container: container.clone(), blob })
}
