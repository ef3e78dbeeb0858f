//! landfall's policies in azure_core's pipeline: allowed origins, request headers and retries.
//!
//! The order, from the caller to the wire: [`OriginPolicy`], [`CorrelationPolicy`], [`RetryPolicy`], the SDK's bearer token policy,
//! [`TokenInvalidation`], [`HttpClient`]. The SDK's own retries are off.

use crate::{
    ApiErrorKind, Credential, RequestCounter, SendStatus,
    error::{find, from_response, is_write},
    foreign_answer::ForeignAnswer,
    header_text::HeaderText,
    http_client::{HttpClient, UntrustedCertificate},
    retry::{self, Failure},
    token_recipients::is_same_authority,
};
use async_trait::async_trait;
use azure_core::{
    Bytes, Error,
    error::ErrorKind,
    http::{
        AsyncRawResponse, ClientOptions, Context, Request, RetryOptions, StatusCode,
        headers::{AUTHORIZATION, HeaderName, WWW_AUTHENTICATE},
        policies::{Policy, PolicyResult},
    },
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use url::{Origin, Url};

/// Builds the SDK's client options: the policies and the HTTP client of this crate, no SDK retries.
pub(crate) fn options(
    http_client: &HttpClient,
    per_call: Vec<Arc<dyn Policy>>,
    per_try: Vec<Arc<dyn Policy>>,
) -> ClientOptions {
    ClientOptions {
        per_call_policies: per_call,
        per_try_policies: per_try,
        retry: RetryOptions::none(),
        transport: Some(http_client.transport()),
        ..ClientOptions::default()
    }
}

/// Refuses every request to another origin before a token is attached to it.
///
/// Addresses come from answers (`Azure-AsyncOperation`, `nextLink`) and from files; this policy checks all of
/// them.
#[derive(Debug)]
pub(crate) struct OriginPolicy(Origin);

impl OriginPolicy {
    pub(crate) fn new(url: &Url) -> Arc<Self> {
        Arc::new(Self(url.origin()))
    }
}

/// The error for a request to another server than the configured one.
#[derive(Debug, thiserror::Error)]
#[error("{found} is not {configured}")]
pub(crate) struct ForeignOrigin {
    found: String,
    configured: String,
}

impl ForeignOrigin {
    pub(crate) fn check(url: &Url, origin: &Origin) -> Result<(), Self> {
        if url.origin() == *origin {
            return Ok(());
        }
        Err(Self { found: url.origin().ascii_serialization(), configured: origin.ascii_serialization() })
    }
}

#[async_trait]
impl Policy for OriginPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if let Err(foreign) = ForeignOrigin::check(request.url(), &self.0) {
            return Err(Error::with_error(ErrorKind::Other, foreign, "the URL points to a foreign server"));
        }
        next[0].send(ctx, request, &next[1..]).await
    }
}

/// Marks requests to Resource Manager with the run's correlation id and requests landfall's request id back.
///
/// The SDK gives every logical request its own `x-ms-client-request-id`; the attempts of one request share
/// it.
#[derive(Debug)]
pub(crate) struct CorrelationPolicy {
    correlation_id: String,
}

impl CorrelationPolicy {
    pub(crate) fn new(correlation_id: &str) -> Arc<Self> {
        Arc::new(Self { correlation_id: correlation_id.to_owned() })
    }
}

#[async_trait]
impl Policy for CorrelationPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header(
            HeaderName::from_static("x-ms-correlation-request-id"),
            self.correlation_id.clone(),
        );
        request.insert_header(HeaderName::from_static("x-ms-return-client-request-id"), "true");
        next[0].send(ctx, request, &next[1..]).await
    }
}

/// Retries a request as [`retry::wait`] decides, and once without delay if its token was refused.
#[derive(Debug)]
pub(crate) struct RetryPolicy {
    /// The time scale of the cloud.
    time_scale: f64,
    /// Seed of the next request's waits.
    seed: AtomicU64,
    /// True if POSTs are safe to repeat, as token requests are.
    retry_posts: bool,
    /// True if a 401 leads to a retry with a fresh token.
    replace_token: bool,
    /// Counts the retries.
    request_counter: RequestCounter,
}

impl RetryPolicy {
    /// Retries requests of this client whose method is idempotent.
    pub(crate) fn new(http_client: &HttpClient, time_scale: f64, seed: u64) -> Self {
        let request_counter = http_client.request_counter().clone();
        let seed = AtomicU64::new(seed);
        Self { time_scale, seed, retry_posts: false, replace_token: false, request_counter }
    }

    /// Retries POST too.
    pub(crate) fn retry_posts(mut self) -> Self {
        self.retry_posts = true;
        self
    }

    /// Retries a request once if its token was refused: the service has not processed it.
    pub(crate) fn with_token_replacement(mut self) -> Self {
        self.replace_token = true;
        self
    }
}

#[async_trait]
impl Policy for RetryPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let idempotent = self.retry_posts || retry::is_idempotent(request.method());
        let (mut tries, mut refused) = (0, false);
        // The effect that the earlier attempts may have had, as far as their answers leave it open.
        let mut earlier = None;
        loop {
            // The vault client removes the body from a request that it sends without a token.
            let mut this = request.clone();
            tries += 1;
            let server = request.url().host_str().unwrap_or_default();
            let outcome = next[0].send(ctx, &mut this, &next[1..]).await;
            let (failure, outcome) = classify(outcome, server, earlier).await;
            let Some(failure) = failure else { return outcome };
            if failure.status == Some(401) && self.replace_token && !refused {
                (refused, tries) = (true, tries - 1);
                continue;
            }
            let effect = Some(possible_effect(request, &failure)).filter(|sent| *sent >= SendStatus::Unknown);
            let Some(wait) = retry::wait(&failure, idempotent, tries, seed, self.time_scale) else {
                return outcome.map_err(|error| match earlier.max(effect) {
                    Some(sent) => EarlierAttemptLost::mark(error, sent),
                    None => error,
                });
            };
            earlier = earlier.max(effect);
            self.request_counter.retried(failure.status);
            tracing::debug!(method = %request.method(), path = request.url().path(), kind = ?failure.kind, ?wait, "retrying");
            tokio::time::sleep(wait).await;
        }
    }
}

/// Marks a refusal whose request an earlier attempt may have carried out. It never leaves this process.
pub(crate) const EARLIER_ATTEMPT_LOST: HeaderName = HeaderName::from_static("x-landfall-earlier-try-lost");

/// The value of that header if the service certainly accepted an earlier attempt.
pub(crate) const EARLIER_ACCEPTED: &str = "accepted";

/// Returns the effect that a failed attempt may have had. A 5xx leaves the effect of a write unknown: a
/// gateway may have timed out while the service continued. A read has no effect, whatever happens to its
/// answer.
fn possible_effect(request: &Request, failure: &Failure) -> SendStatus {
    if !is_write(request.method().as_str()) {
        return failure.sent.min(SendStatus::Unknown);
    }
    failure.status.map_or(failure.sent, |status| failure.sent.max(SendStatus::of_status(status)))
}

/// Classifies the result of an attempt. The answer is passed on whole, with the header if `earlier` attempts
/// may have taken effect. An answer that is not of `server` becomes an error.
async fn classify(
    outcome: PolicyResult,
    server: &str,
    earlier: Option<SendStatus>,
) -> (Option<Failure>, PolicyResult) {
    let response = match outcome {
        Ok(response) => {
            let status = u16::from(response.status());
            response.try_into_raw_response().await.map_err(|error| UnreadResponse::mark(error, status))
        }
        Err(error) => Err(error),
    };
    match response {
        Ok(raw) => {
            let (status, mut headers, body) = raw.deconstruct();
            if let Some(foreign) = ForeignAnswer::of_headers(server, status.into(), &headers, &body) {
                let failure = Failure {
                    kind: ApiErrorKind::Protocol,
                    status: Some(status.into()),
                    sent: SendStatus::Answered,
                    retry_after: None,
                };
                return (Some(failure), Err(UnreadResponse::mark(foreign.into_sdk_error(), status.into())));
            }
            if u16::from(status) < 400 {
                return (None, Ok(AsyncRawResponse::from_bytes(status, headers, Bytes::from(body))));
            }
            if let Some(earlier) = earlier {
                headers.insert(
                    EARLIER_ATTEMPT_LOST,
                    if earlier == SendStatus::Accepted { EARLIER_ACCEPTED } else { "unknown" },
                );
            }
            let error = from_response(u16::from(status), &headers, &body);
            let failure = Failure {
                kind: error.kind,
                status: error.status,
                sent: SendStatus::Answered,
                retry_after: error.retry_after,
            };
            (Some(failure), Ok(AsyncRawResponse::from_bytes(status, headers, Bytes::from(body))))
        }
        Err(error) => {
            let failure = match error.kind() {
                ErrorKind::Connection if find::<UntrustedCertificate>(&error).is_some() => None,
                ErrorKind::Connection => Some(SendStatus::Never),
                ErrorKind::Io => {
                    Some(find::<UnreadResponse>(&error).map_or(SendStatus::Unknown, UnreadResponse::sent))
                }
                // The credential has already retried a missing token; the other errors are final.
                _ => None,
            };
            let failure = failure.map(|sent| Failure {
                kind: ApiErrorKind::Transport,
                status: None,
                sent,
                retry_after: None,
            });
            (failure, Err(error))
        }
    }
}

/// An earlier attempt broke off after it left, so the request may have been carried out, whatever the last
/// attempt returned.
#[derive(Debug)]
pub(crate) struct EarlierAttemptLost {
    /// The effect that the earlier attempts may have had.
    pub(crate) sent: SendStatus,
    error: Error,
}

impl EarlierAttemptLost {
    fn mark(error: Error, sent: SendStatus) -> Error {
        let message = error.to_string();
        Error::with_error(error.kind().clone(), Self { sent, error }, message)
    }
}

impl fmt::Display for EarlierAttemptLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for EarlierAttemptLost {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// An answer whose status was read and whose body was not.
#[derive(Debug)]
pub(crate) struct UnreadResponse {
    /// The status.
    pub(crate) status: u16,
    error: Error,
}

impl UnreadResponse {
    /// Adds the status to an error about the body, unless it has one already.
    pub(crate) fn mark(error: Error, status: u16) -> Error {
        if find::<Self>(&error).is_some() {
            return error;
        }
        let message = error.to_string();
        Error::with_error(error.kind().clone(), Self { status, error }, message)
    }

    fn sent(&self) -> SendStatus {
        SendStatus::of_status(self.status).max(SendStatus::Unknown)
    }
}

impl fmt::Display for UnreadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for UnreadResponse {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Refuses a challenge that names the sign-in authority of another cloud, before a token is sent.
///
/// The SDK compares the resource of a challenge with the vault's host, and [`Credential`] with the configured
/// audience. Neither of them checks the authority.
#[derive(Debug)]
pub(crate) struct AuthorityPolicy(Url);

impl AuthorityPolicy {
    pub(crate) fn new(login: &Url) -> Arc<Self> {
        Arc::new(Self(login.clone()))
    }
}

/// A challenge that named the authority of another cloud.
#[derive(Debug, thiserror::Error)]
#[error("it names {0}")]
pub(crate) struct ForeignAuthority(String);

#[async_trait]
impl Policy for AuthorityPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let response = next[0].send(ctx, request, &next[1..]).await?;
        if response.status() == StatusCode::Unauthorized
            && let Some(challenge) = response.headers().text(&WWW_AUTHENTICATE)
            && let Some(authority) = authority_of(challenge)
            && !Url::parse(authority).is_ok_and(|authority| is_same_authority(&self.0, &authority))
        {
            let message = "the challenge names a foreign sign-in authority";
            return Err(Error::with_error(ErrorKind::Other, ForeignAuthority(authority.to_owned()), message));
        }
        Ok(response)
    }
}

/// Returns the authority of a challenge: `Bearer authorization="https://login.microsoftonline.com/tenant", …`.
fn authority_of(challenge: &str) -> Option<&str> {
    let authority = ["authorization=\"", "authorization_uri=\""]
        .iter()
        .find_map(|key| challenge.find(key).map(|at| &challenge[at + key.len()..]))?;
    authority.split('"').next()
}

/// Reports a refused token to the credential, so that the next one is new.
///
/// After a 401 the SDK's policy drops its own copy, but the credential would return the same token again.
#[derive(Debug)]
pub(crate) struct TokenInvalidation(pub(crate) Credential);

#[async_trait]
impl Policy for TokenInvalidation {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let response = next[0].send(ctx, request, &next[1..]).await?;
        if response.status() == StatusCode::Unauthorized
            && let Some(token) = request.headers().text(&AUTHORIZATION)
            && let Some(token) = token.strip_prefix("Bearer ")
        {
            self.0.invalidate(token).await;
        }
        Ok(response)
    }
}
