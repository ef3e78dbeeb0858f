//! An order, its authorizations and its certificate (RFC 8555 §7.4, §7.5).

use super::{error, transport::AcmeTransport};
use crate::{ApiError, ApiErrorKind};
use instant_acme::{AuthorizationStatus, ChallengeStatus, ChallengeType};
use std::time::Duration;
use x509_parser::pem::Pem;

pub use instant_acme::OrderStatus;

/// An order as last read.
pub struct Order {
    inner: instant_acme::Order,
    transport: AcmeTransport,
}

/// The authorization of one name.
#[derive(Debug)]
pub struct Authorization {
    /// The name, `example.com` or `*.example.com`.
    pub name: String,
    /// True if it still needs an answer or a validation.
    pub is_pending: bool,
    /// True if it allows the certificate.
    pub is_valid: bool,
    /// The value of the TXT record; `None` if the server offers no validation by DNS.
    pub txt_value: Option<String>,
    /// True if the challenge waits for the answer that the record is published.
    pub awaits_answer: bool,
    /// The reason of a failed validation.
    pub error: Option<ApiError>,
}

impl Order {
    pub(super) fn new(inner: instant_acme::Order, transport: AcmeTransport) -> Self {
        Self { inner, transport }
    }

    /// Returns its address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.inner.url()
    }

    /// Returns its state as last read.
    pub fn status(&mut self) -> OrderStatus {
        self.inner.state().status
    }

    /// Returns the error of an invalid order.
    pub fn error(&mut self) -> Option<ApiError> {
        let problem = self.inner.state().error.clone()?;
        Some(error::from_problem(&problem, &super::transport::Exchange::default()))
    }

    /// Returns the wait that the server demanded with its last answer, in real time.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.transport.last().retry_after
    }

    /// Reads the order again.
    ///
    /// # Errors
    /// Returns the problem of the server.
    pub async fn refresh(&mut self) -> Result<OrderStatus, ApiError> {
        match self.inner.refresh().await {
            Ok(state) => Ok(state.status),
            Err(error) => Err(self.transport.error(error)),
        }
    }

    /// Reads all authorizations.
    ///
    /// # Errors
    /// Returns the problem of the server.
    pub async fn authorizations(&mut self) -> Result<Vec<Authorization>, ApiError> {
        let mut all = Vec::new();
        let mut each = self.inner.authorizations();
        while let Some(next) = each.next().await {
            let mut handle = next.map_err(|error| self.transport.error(error))?;
            let (status, name) = (handle.status, handle.identifier().to_string());
            let challenges = handle.challenges.iter();
            let error = challenges.filter_map(|one| one.error.as_ref()).next().cloned();
            let is_pending = status == AuthorizationStatus::Pending;
            let challenge = handle.challenge(ChallengeType::Dns01);
            all.push(Authorization {
                name,
                is_pending,
                is_valid: status == AuthorizationStatus::Valid,
                txt_value: challenge.as_ref().map(|one| one.key_authorization().dns_value()),
                awaits_answer: is_pending
                    && challenge.is_some_and(|one| one.status == ChallengeStatus::Pending),
                error: error
                    .map(|problem| error::from_problem(&problem, &super::transport::Exchange::default())),
            });
        }
        Ok(all)
    }

    /// Answers the challenge of one name: the record is published. An answered challenge cannot be answered again.
    ///
    /// # Errors
    /// Returns the problem of the server.
    pub async fn answer(&mut self, name: &str) -> Result<(), ApiError> {
        let mut each = self.inner.authorizations();
        while let Some(next) = each.next().await {
            let mut handle = next.map_err(|error| self.transport.error(error))?;
            if handle.identifier().to_string() != name {
                continue;
            }
            let Some(mut challenge) = handle.challenge(ChallengeType::Dns01) else { continue };
            return challenge.set_ready().await.map_err(|error| self.transport.error(error));
        }
        Err(error::invalid(format!("the order has no validation by DNS for {name}")))
    }

    /// Requests the certificate for a signing request. Only a ready order accepts it, once.
    ///
    /// # Errors
    /// Returns the problem of the server.
    pub async fn finalize(&mut self, csr: &[u8]) -> Result<(), ApiError> {
        self.inner.finalize_csr(csr).await.map_err(|error| self.transport.error(error))
    }

    /// Fetches the chain of a valid order: the leaf first, each certificate in DER.
    ///
    /// # Errors
    /// Returns the problem of the server, or that the answer contains no certificate.
    pub async fn certificate(&mut self) -> Result<Vec<Vec<u8>>, ApiError> {
        let read = self.inner.certificate().await.map_err(|error| self.transport.error(error))?;
        let pem = read.unwrap_or_default();
        let blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
        let chain: Vec<Vec<u8>> =
            blocks.filter(|block| block.label == "CERTIFICATE").map(|block| block.contents).collect();
        match chain.is_empty() {
            true => Err(ApiError::new(ApiErrorKind::Protocol, "the ACME server sent no certificate")),
            false => Ok(chain),
        }
    }
}
