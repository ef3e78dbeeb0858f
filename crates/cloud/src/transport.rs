//! The HTTP transport: HTTPS over the network, unless the caller supplies another one.
//!
//! The layers above (sign-in, tokens, retries, long-running operations) are the same for every transport. A
//! transport to a cloud in the same process removes the randomness of network and scheduler. A run can then
//! be replayed request for request.

use crate::SendStatus;
use async_trait::async_trait;
use azure_core::Bytes;
use futures::stream::BoxStream;
use std::{error::Error, fmt};

/// The body of a response, as a stream.
pub type ResponseBody = BoxStream<'static, Result<Bytes, TransportError>>;

/// Sends requests to their URLs and returns the responses.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request; the URI is absolute. It may wait as long as the server does: the caller sets the
    /// timeout.
    ///
    /// # Errors
    /// [`TransportError`] if no response arrived.
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<ResponseBody>, TransportError>;
}

/// A request without a response, or an incomplete response.
#[derive(Debug)]
pub struct TransportError {
    /// The send status: whether the server may have received the request.
    pub sent: SendStatus,
    /// The failed action; fits after "failed to".
    pub message: String,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

impl TransportError {
    /// Returns the error for a connection that broke after the request was sent: the server may have executed
    /// it.
    pub fn broken(message: impl Into<String>) -> Self {
        Self { sent: SendStatus::Unknown, message: message.into(), source: None }
    }
}
