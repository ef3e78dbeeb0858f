//! The HTTP client for [`Endpoints`], with every request counted by a [`Meter`]; or the carrier that they
//! name.
//!
//! It replaces the SDK's own client below azure_core's pipeline, because that one hides why a request failed.
//! It also puts the whole URL, signed query included, into its errors.

use crate::{
    ApiError, ApiErrorKind, Carrier, Endpoints, Lost, Meter, Roots, Sent, endpoints::real,
    pipeline::AnswerUnread, resolve::Resolver,
};
use async_trait::async_trait;
use azure_core::{
    Bytes, Error,
    error::ErrorKind,
    http::{
        AsyncRawResponse, Body, HttpClient, Request, Transport,
        headers::{HeaderName, HeaderValue, Headers},
    },
};
use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::timeout_at;

/// The connection timeout, in real time.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(20);

/// The timeout of one request from its first byte to the last byte of its answer, in cloud time. Resource
/// Manager itself times out on a provider after 60 s and then answers 504.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(100);

/// The minimum of the scaled [`REQUEST_TIME_MAX`], however fast the cloud is: networks keep real time.
pub const REQUEST_TIME_MIN: Duration = Duration::from_secs(15);

/// The size limit of one answer, in decoded bytes. The largest lists of Resource Manager have a few megabytes.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The size limit of an answer of the token endpoint, in decoded bytes.
pub const TOKEN_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A counted HTTP client. Clones share connections and meter.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    way: Way,
    meter: Meter,
    answer_bytes_max: usize,
}

#[derive(Clone, Debug)]
enum Way {
    /// HTTPS over the network.
    Https(reqwest::Client),
    /// A carrier, with the timeout of its answers.
    Carried(Arc<dyn Carrier>, Duration),
}

impl Wire {
    /// Creates the client: the configured roots, no redirects, limits on everything.
    ///
    /// Fails with [`ApiErrorKind::Invalid`] if a root is not a PEM certificate.
    pub(crate) fn new(endpoints: &Endpoints, meter: &Meter) -> Result<Self, ApiError> {
        let answer_max = real(REQUEST_TIME_MAX, endpoints.pace).max(REQUEST_TIME_MIN);
        if let Some(carrier) = &endpoints.carrier {
            return Ok(Self::over(Way::Carried(carrier.clone(), answer_max), meter));
        }
        let mut builder = reqwest::Client::builder()
            // A redirect would send the token to any server that it names.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(answer_max)
            .dns_resolver(Arc::new(Resolver));
        if endpoints.is_loopback() {
            builder = builder.no_proxy();
        }
        if let Roots::Only(roots) = &endpoints.roots {
            let mut trusted = Vec::new();
            for pem in roots {
                trusted.extend(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?);
            }
            builder = builder.tls_certs_only(trusted);
        }
        Ok(Self::over(Way::Https(builder.build().map_err(unusable)?), meter))
    }

    fn over(way: Way, meter: &Meter) -> Self {
        Self { way, meter: meter.clone(), answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// Returns this client with another size limit for answers.
    pub(crate) fn with_answer_limit(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    /// Returns this client as the SDK's transport.
    pub(crate) fn transport(&self) -> Transport {
        Transport::new(Arc::new(self.clone()))
    }
}

fn unusable(error: reqwest::Error) -> ApiError {
    ApiError::new(ApiErrorKind::Invalid, "set up the HTTPS client").with_sent(Sent::Never).with_source(error)
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (method, host) = (request.method().as_str(), request.url().host_str().unwrap_or_default());
        self.meter.count();
        let asked = Instant::now();
        let answer = match &self.way {
            Way::Https(client) => over_https(client, request, self.answer_bytes_max).await?,
            Way::Carried(carrier, answer_max) => {
                carried(&**carrier, request, *answer_max, self.answer_bytes_max).await?
            }
        };
        // The query is omitted: it may be signed.
        tracing::debug!(
            "{method} {host}{} {} in {} ms",
            request.url().path(),
            u16::from(answer.status()),
            asked.elapsed().as_millis()
        );
        Ok(answer)
    }
}

async fn over_https(
    client: &reqwest::Client,
    request: &Request,
    bytes_max: usize,
) -> azure_core::Result<AsyncRawResponse> {
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
        .expect("the SDK's methods are all HTTP methods");
    let mut outgoing = client.request(method, request.url().clone());
    for (name, value) in request.headers().iter() {
        outgoing = outgoing.header(name.as_str(), value.as_str());
    }
    let outgoing = match request.body().clone() {
        Body::Bytes(bytes) => outgoing.body(bytes),
        Body::SeekableStream(stream) => outgoing.body(reqwest::Body::wrap_stream(stream)),
    };
    let outgoing = outgoing.build().map_err(malformed)?;
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let answer = client.execute(outgoing).await.map_err(|error| broken(error, &host))?;
    let status = answer.status().as_u16();
    let headers = headers(answer.headers());
    let from = host.clone();
    // reqwest has decoded these bytes already, so the limit applies to the decompressed size.
    let body = answer.bytes_stream().map_err(move |error| broken(error, &host));
    let body = limited(body.boxed(), from, bytes_max).map_err(move |error| AnswerUnread::mark(error, status));
    Ok(AsyncRawResponse::new(status.into(), headers, Box::pin(body)))
}

/// Sends a request through a carrier and waits for the whole answer.
async fn carried(
    carrier: &dyn Carrier,
    request: &Request,
    answer_max: Duration,
    bytes_max: usize,
) -> azure_core::Result<AsyncRawResponse> {
    let host = request.url().host_str().unwrap_or_default();
    let mut outgoing = http::Request::builder().method(request.method().as_str()).uri(request.url().as_str());
    for (name, value) in request.headers().iter() {
        outgoing = outgoing.header(name.as_str(), value.as_str());
    }
    let body = match request.body().clone() {
        Body::Bytes(bytes) => bytes,
        Body::SeekableStream(stream) => {
            let pieces: Vec<Bytes> = stream.try_collect().await.map_err(malformed)?;
            Bytes::from(pieces.concat())
        }
    };
    let outgoing = outgoing.body(body).map_err(malformed)?;
    let too_late = |_| Error::new(ErrorKind::Io, format!("no response from {host} in time"));
    let until = tokio::time::Instant::now() + answer_max;
    let answer = timeout_at(until, carrier.carry(outgoing)).await.map_err(too_late)?.map_err(lost)?;
    let (parts, body) = answer.into_parts();
    let body = limited(body.map_err(lost).boxed(), host.to_owned(), bytes_max);
    let pieces = timeout_at(until, body.try_collect::<Vec<Bytes>>()).await.map_err(too_late);
    let body = pieces.and_then(|read| read).map(|pieces| Bytes::from(pieces.concat()));
    let (status, headers) = (parts.status.as_u16(), headers(&parts.headers));
    // As over the network, an answer may have a status and break off.
    Ok(match body {
        Ok(body) => AsyncRawResponse::from_bytes(status.into(), headers, body),
        Err(error) => {
            let error = AnswerUnread::mark(error, status);
            AsyncRawResponse::new(
                status.into(),
                headers,
                Box::pin(futures::stream::once(async { Err(error) })),
            )
        }
    })
}

/// Ends a body with an error as soon as it exceeds a number of bytes.
fn limited(
    body: BoxStream<'static, azure_core::Result<Bytes>>,
    host: String,
    bytes_max: usize,
) -> BoxStream<'static, azure_core::Result<Bytes>> {
    let mut read = 0_usize;
    let counted = body.and_then(move |piece| {
        read = read.saturating_add(piece.len());
        future::ready(match read > bytes_max {
            false => Ok(piece),
            true => {
                let too_large = AnswerTooLarge { host: host.clone(), bytes_max };
                let message = too_large.to_string();
                Err(Error::with_error(ErrorKind::Other, too_large, message))
            }
        })
    });
    counted.boxed()
}

/// The error for an answer over the size limit; its rest was not read. The request may have been carried out.
#[derive(Debug)]
pub(crate) struct AnswerTooLarge {
    host: String,
    bytes_max: usize,
}

impl fmt::Display for AnswerTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer of {} is larger than {}", self.host, in_mebibytes(self.bytes_max))
    }
}

impl std::error::Error for AnswerTooLarge {}

/// Formats a size limit: `32 MiB`.
pub(crate) fn in_mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_error(ErrorKind::Other, error, "the request is malformed")
}

fn lost(lost: Lost) -> Error {
    let kind = if lost.sent == Sent::Never { ErrorKind::Connection } else { ErrorKind::Io };
    let message = lost.message.clone();
    Error::with_error(kind, lost, message)
}

/// Describes a broken request; the error's kind states whether the server may have received it.
fn broken(error: reqwest::Error, host: &str) -> Error {
    let error = error.without_url();
    if let Some(reason) = refused_certificate(&error) {
        return Error::new(ErrorKind::Connection, UntrustedCertificate { host: host.to_owned(), reason });
    }
    let (kind, message) = if error.is_connect() {
        (ErrorKind::Connection, format!("no connection to {host}"))
    } else if error.is_timeout() {
        (ErrorKind::Io, format!("no response from {host} in time"))
    } else {
        (ErrorKind::Io, format!("the connection to {host} was interrupted"))
    };
    Error::with_error(kind, error, message)
}

/// The error for a server whose certificate no trusted authority signed. A retry does not help.
#[derive(Debug, thiserror::Error)]
#[error("{host} presents an untrusted certificate")]
pub(crate) struct UntrustedCertificate {
    host: String,
    #[source]
    reason: rustls::Error,
}

/// Finds the reason why a server's certificate was refused.
fn refused_certificate(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    if let Some(reason @ rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return Some(reason.clone());
    }
    // An I/O error is transparent: the error that it wraps is not its source.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match wrapped {
        Some(inner) => refused_certificate(inner),
        None => refused_certificate(error.source()?),
    }
}

fn headers(from: &http::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in from {
        if let Ok(value) = value.to_str() {
            headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
        }
    }
    headers
}
