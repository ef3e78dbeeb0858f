//! One request and its answer, with retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;

use super::failure::{self, Asked};
use super::patience;
use crate::error::{ApiError, ApiErrorKind, Sent};

/// The timeout of one answer, in real time. For a watch it bounds only the beginning.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The size limit of one whole answer, in bytes. A page of a list has 500 objects, mostly of a few kilobytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A body that was not read to its end.
pub(super) enum Unread {
    /// The connection broke.
    Lost(kube::Error),
    /// The body exceeded this limit, in bytes; the rest of it was not read.
    TooLarge(usize),
}

impl Unread {
    /// Returns the error of a request with such an answer.
    pub(super) fn into_error(self, asked: &Asked) -> ApiError {
        match self {
            Self::Lost(cause) => failure::unanswered(asked, cause),
            Self::TooLarge(bytes_max) => failure::too_large(asked, bytes_max),
        }
    }
}

/// Reads a body to its end, within [`ANSWER_BYTES_MAX`].
async fn read(mut body: Body) -> Result<Vec<u8>, Unread> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Unread::Lost)?.into_data() {
            if read.len() + data.len() > ANSWER_BYTES_MAX {
                return Err(Unread::TooLarge(ANSWER_BYTES_MAX));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read)
}

/// Sends requests to one API server.
#[derive(Clone)]
pub(super) struct Exchange {
    client: Client,
    pace: f64,
    seed: u64,
    turns: Arc<AtomicU64>,
}

/// The part of an answer to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The whole answer, in memory.
    Whole,
    /// The beginning; the body continues.
    Stream,
}

impl Exchange {
    /// Wraps a client; `pace` scales the pauses, and `seed` seeds their jitter.
    pub(super) fn new(client: Client, pace: f64, seed: u64) -> Self {
        Self { client, pace, seed, turns: Arc::default() }
    }

    /// Returns a new random sequence for each caller: steps that fail together must not retry together.
    fn rng(&self) -> Rng {
        Rng::with_seed(self.seed.wrapping_add(self.turns.fetch_add(1, Ordering::Relaxed)))
    }

    /// Sleeps after the `n`th failure in a row.
    pub(super) async fn rest(&self, n: u32) {
        tokio::time::sleep(patience::pause(n, self.pace, &mut self.rng())).await;
    }

    /// Sends a request whose answer is JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request<Vec<u8>>) -> Result<T, ApiError> {
        self.answer(request).await.map_err(|(error, _)| error)
    }

    /// Like [`Exchange::json`]; an error also states whether an earlier attempt may have taken effect.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<T, (ApiError, bool)> {
        self.success(request).await.map(|(value, ..)| value)
    }

    /// Like [`Exchange::json`]; also returns the status and whether an earlier attempt may have taken effect.
    pub(super) async fn written<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(T, u16, bool), ApiError> {
        self.success(request).await.map_err(|(error, _)| error)
    }

    async fn success<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<(T, u16, bool), (ApiError, bool)> {
        let asked = Asked::of(&request);
        let (response, in_doubt) = self.send(&asked, request, Extent::Whole).await?;
        let status = response.status().as_u16();
        let body = read(response.into_body()).await;
        let body = body.map_err(|unread| (unread.into_error(&asked).answered_with(status), true))?;
        let value = serde_json::from_slice(&body)
            .map_err(|cause| (failure::unreadable(&asked, cause).answered_with(status), true))?;
        Ok((value, status, in_doubt))
    }

    /// Starts a watch: an answer whose body continues.
    pub(super) async fn stream(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, ApiError> {
        let asked = Asked::of(&request);
        let sent = self.send(&asked, request, Extent::Stream).await;
        sent.map(|(response, _)| response).map_err(|(error, _)| error)
    }

    /// Sends until success, a final refusal, or the retry limit. Also returns whether an earlier attempt may
    /// have taken effect.
    async fn send(
        &self,
        asked: &Asked,
        request: Request<Vec<u8>>,
        extent: Extent,
    ) -> Result<(Response<Body>, bool), (ApiError, bool)> {
        let mut rng = self.rng();
        let mut in_doubt = false;
        // The greatest effect that the earlier attempts may have had.
        let mut earlier = Sent::Never;
        for attempt in 1.. {
            let error = match self.once(asked, request.clone(), extent).await {
                Ok(response) => return Ok((response, in_doubt)),
                Err(failed) => failed,
            };
            let Some(pause) = patience::again_after(attempt, &error, self.pace, &mut rng) else {
                let earlier = if earlier >= Sent::Unknown { earlier } else { Sent::Never };
                return Err((error.at_least(earlier), in_doubt));
            };
            earlier = earlier.max(error.sent);
            in_doubt |= error.sent == Sent::Unknown || error.kind == ApiErrorKind::Unavailable;
            // The error's text may quote the request body, which may be a Secret.
            let (kind, status) = (error.kind, error.status);
            tracing::debug!(
                ?kind,
                ?status,
                ?pause,
                attempt,
                path = asked.path,
                "retrying the request to the API server"
            );
            tokio::time::sleep(pause).await;
        }
        unreachable!("the policy ends the loop after {} attempts", patience::ATTEMPTS_MAX)
    }

    async fn once(
        &self,
        asked: &Asked,
        request: Request<Vec<u8>>,
        extent: Extent,
    ) -> Result<Response<Body>, ApiError> {
        let sent = async {
            let began = std::time::Instant::now();
            let response = self.client.send(request.map(Body::from)).await.map_err(Unread::Lost)?;
            let (status, took) = (response.status().as_u16(), began.elapsed().as_millis());
            tracing::debug!("{} {} {status} in {took} ms", asked.method, asked.path);
            if extent == Extent::Stream && response.status().is_success() {
                return Ok(Ok(response));
            }
            let (parts, body) = response.into_parts();
            let body = match read(body).await {
                Err(unread) if parts.status.is_success() => {
                    return Ok(Err(unread.into_error(asked).answered_with(parts.status.as_u16())));
                }
                // For a refusal the status alone suffices.
                read => read.unwrap_or_default(),
            };
            Ok(Ok(Response::from_parts(parts, Body::from(body))))
        };
        let response = match tokio::time::timeout(ANSWER_MAX, sent).await {
            Ok(Ok(response)) => response?,
            Ok(Err(unread)) => return Err(Unread::into_error(unread, asked)),
            Err(_) => return Err(failure::too_late(asked, ANSWER_MAX)),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = read(body).await.unwrap_or_default();
        let refused = failure::refused(asked, parts.status, &parts.headers, &body);
        Err(refused.answered_with(parts.status.as_u16()))
    }
}
