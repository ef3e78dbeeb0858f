//! The error of a read without which no check can run.

use landfall_cloud::{ApiError, certificate::CertificateError};

/// A failed read.
#[derive(Debug)]
pub struct ReadError {
    /// The failed operation, as a fragment that fits after "failed to".
    pub what: String,
    /// The cause.
    pub why: ReadFailure,
}

/// The cause of a failed read.
#[derive(Debug)]
pub enum ReadFailure {
    /// The service refused the request or did not answer.
    Api(Box<ApiError>),
    /// The vault no longer contains the certificate.
    CertificateMissing,
    /// The vault's certificate cannot be parsed.
    Unreadable(CertificateError),
}

impl ReadError {
    pub(super) fn api(what: String, error: ApiError) -> Self {
        Self { what, why: ReadFailure::Api(Box::new(error)) }
    }
}
