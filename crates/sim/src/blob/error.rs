//! Error responses of the blob service: an XML body, and the code again in `x-ms-error-code`.
//!
//! Source: "Status and error codes", "Blob service error codes".

use crate::request::Reply;

/// An error of the blob service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(super) message: String,
    pub(super) challenge: Option<String>,
}

impl BlobError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), challenge: None }
    }

    /// Creates the 403 of a caller without the data action.
    pub(crate) fn permission() -> Self {
        Self::new(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )
    }

    /// Creates the 503 of a busy partition.
    pub(crate) fn busy() -> Self {
        Self::new(503, "ServerBusy", "The server is busy.")
    }

    pub(super) fn invalid_header(name: &str) -> Self {
        let why = format!("The value for one of the HTTP headers is not in the correct format: {name}.");
        Self::new(400, "InvalidHeaderValue", why)
    }

    pub(super) fn container_not_found() -> Self {
        Self::new(404, "ContainerNotFound", "The specified container does not exist.")
    }

    pub(super) fn blob_not_found() -> Self {
        Self::new(404, "BlobNotFound", "The specified blob does not exist.")
    }

    /// Returns the response.
    pub(crate) fn reply(&self) -> Reply {
        let body = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{}</Code><Message>{}</Message></Error>",
            self.code,
            escaped(&self.message)
        );
        let reply =
            Reply::bytes(self.status, "application/xml", body).with_header("x-ms-error-code", self.code);
        match &self.challenge {
            Some(challenge) => reply.with_header("www-authenticate", challenge),
            None => reply,
        }
    }
}

/// Escapes a text for XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
