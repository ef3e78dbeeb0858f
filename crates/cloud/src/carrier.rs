//! The HTTP transport: HTTPS over the network, unless the caller supplies another one.
//!
//! The layers above (sign-in, tokens, retries, long-running operations) are the same for every transport. A
//! transport to a cloud in the same process removes the randomness of network and scheduler. A run can then
//! be replayed request for request.

use crate::Sent;
use async_trait::async_trait;
use azure_core::Bytes;
use futures::stream::BoxStream;
use std::{error::Error, fmt};

/// The body of a response, as a stream.
pub type AnswerBody = BoxStream<'static, Result<Bytes, Lost>>;

/// Sends requests to their URLs and returns the responses.
#[async_trait]
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Sends one request; the URI is absolute. It may wait as long as the server does: the caller sets the
    /// timeout.
    ///
    /// # Errors
    /// [`Lost`] if no response arrived.
    async fn carry(&self, request: http::Request<Bytes>) -> Result<http::Response<AnswerBody>, Lost>;
}

/// A request without a response, or an incomplete response.
#[derive(Debug)]
pub struct Lost {
    /// The send status: whether the server may have received the request.
    pub sent: Sent,
    /// The failed action; fits after "failed to".
    pub message: String,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Lost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

impl Lost {
    /// Returns the error for a connection that broke after the request was sent: the server may have executed
    /// it.
    pub fn broken(message: impl Into<String>) -> Self {
        Self { sent: Sent::Unknown, message: message.into(), source: None }
    }
}
