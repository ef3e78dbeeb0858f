//! One request and its answer, with retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tower::BoxError;

use super::api_server_http::{self, ApiServer, Body};
use super::client_from_kubeconfig::SignInMethod;
use super::entra_access::ClusterOrigin;
use super::into_api_error::{self, RequestInfo};
use super::retry;
use crate::error::{ApiError, ApiErrorKind, SendStatus};

/// The timeout of one answer, in real time. For a watch it bounds only the beginning.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(60);

/// The size limit of one whole answer, in bytes. A page of a list has 500 objects, mostly of a few kilobytes.
const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A body that was not read to its end.
pub(super) enum UnreadBody {
    /// The connection broke.
    Interrupted(BoxError),
    /// The body exceeded this limit, in bytes; the rest of it was not read.
    TooLarge(usize),
}

impl UnreadBody {
    /// Returns the error of a request with such an answer.
    pub(super) fn into_error(self, request_info: &RequestInfo) -> ApiError {
        match self {
            Self::Interrupted(cause) => into_api_error::no_response(request_info, cause),
            Self::TooLarge(bytes_max) => into_api_error::too_large(request_info, bytes_max),
        }
    }
}

/// Reads a body to its end, within [`RESPONSE_BYTES_MAX`].
async fn read(mut body: Body) -> Result<Vec<u8>, UnreadBody> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(UnreadBody::Interrupted)?.into_data() {
            if read.len() + data.len() > RESPONSE_BYTES_MAX {
                return Err(UnreadBody::TooLarge(RESPONSE_BYTES_MAX));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read)
}

/// Sends requests to one API server.
#[derive(Clone)]
pub(super) struct RequestSender {
    server: ApiServer,
    time_scale: f64,
    seed: u64,
    sequence: Arc<AtomicU64>,
    origin: Option<ClusterOrigin>,
    sign_in: SignInMethod,
}

/// Adds a bearer token.
fn signed(mut request: Request<Vec<u8>>, token: Option<&str>) -> Request<Vec<u8>> {
    // A token is base64url text, so it is a valid header value.
    if let Some(mut value) = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

/// The part of an answer to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ResponseMode {
    /// The whole answer, in memory.
    Whole,
    /// The beginning; the body continues.
    Stream,
}

impl RequestSender {
    /// Wraps a server; `time_scale` scales the pauses, and `seed` seeds their jitter.
    pub(super) fn new(server: ApiServer, time_scale: f64, seed: u64) -> Self {
        let (origin, sign_in) = (None, SignInMethod::Kubeconfig);
        Self { server, time_scale, seed, sequence: Arc::default(), origin, sign_in }
    }

    /// Returns this sender for the cluster of that origin, with that sign-in.
    pub(super) fn with(self, origin: Option<ClusterOrigin>, sign_in: SignInMethod) -> Self {
        Self { origin, sign_in, ..self }
    }

    /// Returns a new random sequence for each caller: steps that fail together must not retry together.
    fn rng(&self) -> Rng {
        Rng::with_seed(self.seed.wrapping_add(self.sequence.fetch_add(1, Ordering::Relaxed)))
    }

    /// Sleeps after the `n`th failure in a row.
    pub(super) async fn back_off(&self, n: u32) {
        tokio::time::sleep(retry::pause(n, self.time_scale, &mut self.rng())).await;
    }

    /// Sends a request whose answer is JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request<Vec<u8>>) -> Result<T, ApiError> {
        self.send_read(request).await.map_err(|(error, _)| error)
    }

    /// Like [`RequestSender::json`]; an error also states whether an earlier attempt may have taken effect.
    pub(super) async fn send_read<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<T, (ApiError, bool)> {
        self.success(request).await.map(|(value, ..)| value)
    }

    /// Like [`RequestSender::json`]; also returns the status and whether an earlier attempt may have taken effect.
    pub(super) async fn send_write<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(T, u16, bool), ApiError> {
        self.success(request).await.map_err(|(error, _)| error)
    }

    /// Sends a request whose answer is text.
    pub(super) async fn text(&self, request: Request<Vec<u8>>) -> Result<String, ApiError> {
        let request_info = RequestInfo::of(&request);
        let sent = self.send(&request_info, request, ResponseMode::Whole).await;
        let (response, _) = sent.map_err(|(error, _)| error)?;
        let body = read(response.into_body()).await.map_err(|unread| unread.into_error(&request_info))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn success<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(T, u16, bool), (ApiError, bool)> {
        let request_info = RequestInfo::of(&request);
        let (response, in_doubt) = self.send(&request_info, request, ResponseMode::Whole).await?;
        let status = response.status().as_u16();
        let body = read(response.into_body()).await;
        let body =
            body.map_err(|unread| (unread.into_error(&request_info).with_response_status(status), true))?;
        let value = serde_json::from_slice(&body).map_err(|cause| {
            (into_api_error::unreadable(&request_info, cause).with_response_status(status), true)
        })?;
        Ok((value, status, in_doubt))
    }

    /// Starts a watch: an answer whose body continues.
    pub(super) async fn stream(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, ApiError> {
        let request_info = RequestInfo::of(&request);
        let sent = self.send(&request_info, request, ResponseMode::Stream).await;
        sent.map(|(response, _)| response).map_err(|(error, _)| error)
    }

    /// Sends until success, a final refusal, or the retry limit. Also returns whether an earlier attempt may
    /// have taken effect.
    async fn send(
        &self,
        request_info: &RequestInfo,
        request: Request<Vec<u8>>,
        mode: ResponseMode,
    ) -> Result<(Response<Body>, bool), (ApiError, bool)> {
        let mut rng = self.rng();
        let mut in_doubt = false;
        // The greatest effect that the earlier attempts may have had.
        let mut earlier = SendStatus::Never;
        let mut has_renewed = false;
        for attempt in 1.. {
            let token = self.token().await.map_err(|error| (error, in_doubt))?;
            let signed = signed(request.clone(), token.as_deref());
            let error = match self.attempt_once(request_info, signed, mode).await {
                Ok(response) => return Ok((response, in_doubt)),
                Err(failed) => failed,
            };
            // A token is refused early if its principal or the cluster changed: a fresh one may be accepted.
            if let (ApiErrorKind::Unauthorized, Some(origin), Some(token), false) =
                (error.kind, &self.origin, &token, has_renewed)
            {
                origin.invalidate(token).await;
                has_renewed = true;
                continue;
            }
            let Some(pause) = retry::retry_delay(attempt, &error, self.time_scale, &mut rng) else {
                let earlier = if earlier >= SendStatus::Unknown { earlier } else { SendStatus::Never };
                return Err((self.explained(error.at_least(earlier)).await, in_doubt));
            };
            earlier = earlier.max(error.sent);
            in_doubt |= error.sent == SendStatus::Unknown || error.kind == ApiErrorKind::Unavailable;
            // The error's text may quote the request body, which may be a Secret.
            let (kind, status) = (error.kind, error.status);
            tracing::debug!(
                ?kind,
                ?status,
                ?pause,
                attempt,
                path = request_info.path,
                "retrying the request to the API server"
            );
            self.server.retried(status);
            tokio::time::sleep(pause).await;
        }
        unreachable!("the policy ends the loop after {} attempts", retry::ATTEMPTS_MAX)
    }

    /// Returns the token of a request; `None` if the kubeconfig contains the credential.
    async fn token(&self) -> Result<Option<String>, ApiError> {
        match (self.sign_in, &self.origin) {
            (SignInMethod::Entra, Some(origin)) => origin.token().await.map(Some),
            _ => Ok(None),
        }
    }

    /// Adds to a final error what the cluster's restrictions say about it.
    async fn explained(&self, error: ApiError) -> ApiError {
        match &self.origin {
            Some(origin) => origin.explain(error, self.sign_in == SignInMethod::Entra).await,
            None => error,
        }
    }

    async fn attempt_once(
        &self,
        request_info: &RequestInfo,
        request: Request<Vec<u8>>,
        mode: ResponseMode,
    ) -> Result<Response<Body>, ApiError> {
        let sent = async {
            let began = std::time::Instant::now();
            let response = self.server.send(request).await.map_err(UnreadBody::Interrupted)?;
            let (status, elapsed_ms) = (response.status().as_u16(), began.elapsed().as_millis());
            tracing::debug!("{} {} {status} in {elapsed_ms} ms", request_info.method, request_info.path);
            if mode == ResponseMode::Stream && response.status().is_success() {
                return Ok(
                    match into_api_error::foreign(request_info, response.status(), response.headers(), &[]) {
                        Some(foreign) => Err(foreign),
                        None => Ok(response),
                    },
                );
            }
            let (parts, body) = response.into_parts();
            let body = match read(body).await {
                Err(unread) if parts.status.is_success() => {
                    return Ok(Err(unread
                        .into_error(request_info)
                        .with_response_status(parts.status.as_u16())));
                }
                // For a refusal the status alone suffices.
                read => read.unwrap_or_default(),
            };
            if let Some(foreign) = into_api_error::foreign(request_info, parts.status, &parts.headers, &body)
            {
                return Ok(Err(foreign));
            }
            Ok(Ok(Response::from_parts(parts, api_server_http::whole(body))))
        };
        let response = match tokio::time::timeout(RESPONSE_TIME_MAX, sent).await {
            Ok(Ok(response)) => response?,
            Ok(Err(unread)) => return Err(UnreadBody::into_error(unread, request_info)),
            Err(_) => return Err(into_api_error::timed_out(request_info, RESPONSE_TIME_MAX)),
        };
        // A foreign answer has returned above: this one is the API server's.
        if let Some(origin) = &self.origin {
            origin.record_answer();
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = read(body).await.unwrap_or_default();
        let refused = into_api_error::refused(request_info, parts.status, &parts.headers, &body);
        Err(refused.with_response_status(parts.status.as_u16()))
    }
}
