//! What carries requests: HTTPS over the network, unless whoever builds the clients brings another carrier.
//!
//! Everything above it (sign-in, tokens, repeats, long operations) is the same whatever carries it. A carrier that
//! hands requests to a cloud in the same process takes the network's and the scheduler's chance out of a run, so that
//! the run can be replayed request for request.

use crate::Sent;
use async_trait::async_trait;
use azure_core::Bytes;
use futures::stream::BoxStream;
use std::{error::Error, fmt};

/// The body of an answer, as it comes.
pub type AnswerBody = BoxStream<'static, Result<Bytes, Lost>>;

/// Takes requests to where they are addressed and brings the answers.
#[async_trait]
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Carries one request; the URI is absolute. It may wait as long as the server does: the caller bounds it.
    ///
    /// # Errors
    /// [`Lost`] when no answer came.
    async fn carry(&self, request: http::Request<Bytes>) -> Result<http::Response<AnswerBody>, Lost>;
}

/// A request without an answer, or an answer that broke off.
#[derive(Debug)]
pub struct Lost {
    /// Whether the server can have seen the request.
    pub sent: Sent,
    /// What happened, as it fits after "failed to".
    pub message: String,
    /// Why.
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
    /// The connection broke after the request had left: it may have been carried out.
    pub fn broken(message: impl Into<String>) -> Self {
        Self { sent: Sent::Unknown, message: message.into(), source: None }
    }
}
