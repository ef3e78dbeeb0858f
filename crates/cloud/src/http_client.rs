//! The HTTP client for [`Endpoints`], with every request counted by a [`RequestCounter`]; or the transport that they
//! name.
//!
//! It replaces the SDK's own client below azure_core's pipeline, because that one hides why a request failed.
//! It also puts the whole URL, signed query included, into its errors.

use crate::{
    ApiError, ApiErrorKind, Endpoints, RequestCounter, RequestStart, Roots, SendStatus, Transport,
    TransportError, endpoints::real, header_text::HeaderText, pipeline::UnreadResponse, resolve::Resolver,
    write_gate,
};
use async_trait::async_trait;
use azure_core::{
    Bytes, Error,
    error::ErrorKind,
    http::{
        AsyncRawResponse, Body, HttpClient as SdkHttpClient, Request, Transport as SdkTransport,
        headers::{HeaderName, HeaderValue, Headers},
    },
};
use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
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
pub const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The size limit of an answer of the token endpoint, in decoded bytes.
pub const TOKEN_RESPONSE_BYTES_MAX: usize = 1024 * 1024;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// The header of W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// The open connections of clients with the same endpoints. Clones share them.
#[derive(Clone, Default)]
pub struct ConnectionPool(Arc<Mutex<HashMap<PoolKey, reqwest::Client>>>);

/// The key of a connection pool: the use of a proxy, and the authorities to trust.
type PoolKey = (bool, Option<Vec<String>>);

impl ConnectionPool {
    /// Returns the client of this kind, and builds it at the first use.
    fn client(
        &self,
        key: PoolKey,
        build: impl FnOnce() -> Result<reqwest::Client, ApiError>,
    ) -> Result<reqwest::Client, ApiError> {
        let mut clients = self.0.lock().expect("nothing panics while it is held");
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = build()?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionPool")
    }
}

/// A counted HTTP client. Clones share connections and counter.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    connector: Connector,
    request_counter: RequestCounter,
    response_bytes_max: usize,
    /// True if its writes pass the write gate.
    is_gated: bool,
}

#[derive(Clone, Debug)]
enum Connector {
    /// HTTPS over the network.
    Https(reqwest::Client),
    /// A transport, with the timeout of its answers.
    Transport(Arc<dyn Transport>, Duration),
}

impl HttpClient {
    /// Creates the client: the configured roots, no redirects, limits on everything.
    ///
    /// Fails with [`ApiErrorKind::Invalid`] if a root is not a PEM certificate.
    pub(crate) fn new(endpoints: &Endpoints, request_counter: &RequestCounter) -> Result<Self, ApiError> {
        Self::for_server(endpoints, endpoints.is_loopback(), request_counter)
    }

    /// Like [`HttpClient::new`], for a server that is none of the cloud's; `is_local` if it is on this machine, where no
    /// proxy can reach it.
    pub(crate) fn for_server(
        endpoints: &Endpoints,
        is_local: bool,
        request_counter: &RequestCounter,
    ) -> Result<Self, ApiError> {
        let response_time_max = real(REQUEST_TIME_MAX, endpoints.time_scale).max(REQUEST_TIME_MIN);
        if let Some(transport) = &endpoints.transport {
            return Ok(Self::over(
                Connector::Transport(transport.clone(), response_time_max),
                request_counter,
            ));
        }
        let roots = match &endpoints.roots {
            Roots::System => None,
            Roots::Only(roots) => Some(roots.clone()),
        };
        let build = || https(endpoints, is_local, response_time_max);
        let client = endpoints.connections.client((is_local, roots), build)?;
        Ok(Self::over(Connector::Https(client), request_counter))
    }

    fn over(connector: Connector, request_counter: &RequestCounter) -> Self {
        let request_counter = request_counter.clone();
        Self { connector, request_counter, response_bytes_max: RESPONSE_BYTES_MAX, is_gated: true }
    }

    /// Returns this client with requests that do not pass the write gate.
    pub(crate) fn ungated(self) -> Self {
        Self { is_gated: false, ..self }
    }

    /// Returns this client with another size limit for answers.
    pub(crate) fn with_response_limit(self, response_bytes_max: usize) -> Self {
        Self { response_bytes_max, ..self }
    }

    /// Returns the counter of its requests.
    pub(crate) fn request_counter(&self) -> &RequestCounter {
        &self.request_counter
    }

    /// Returns this client as the SDK's transport.
    pub(crate) fn transport(&self) -> SdkTransport {
        SdkTransport::new(Arc::new(self.clone()))
    }
}

/// Builds the client of the network.
fn https(
    endpoints: &Endpoints,
    is_local: bool,
    response_time_max: Duration,
) -> Result<reqwest::Client, ApiError> {
    let mut builder = reqwest::Client::builder()
        // A redirect would send the token to any server that it names.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIME_MAX)
        .timeout(response_time_max)
        .dns_resolver(Arc::new(Resolver));
    if is_local {
        builder = builder.no_proxy();
    }
    if let Roots::Only(roots) = &endpoints.roots {
        let mut trusted = Vec::new();
        for pem in roots {
            trusted.extend(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?);
        }
        builder = builder.tls_certs_only(trusted);
    }
    builder.build().map_err(unusable)
}

fn unusable(error: reqwest::Error) -> ApiError {
    ApiError::new(ApiErrorKind::Invalid, "set up the HTTPS client")
        .with_sent(SendStatus::Never)
        .with_source(error)
}

#[async_trait]
impl SdkHttpClient for HttpClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (method, host) = (request.method().as_str(), request.url().host_str().unwrap_or_default());
        let gate = self.request_counter.write_gate().filter(|_| self.is_gated);
        write_gate::pass(gate, method).await.map_err(|stopped| {
            let message = stopped.to_string();
            Error::with_error(ErrorKind::Other, stopped, message)
        })?;
        let mut active = self.request_counter.begin(&RequestStart {
            method,
            scheme: request.url().scheme(),
            host,
            port: request.url().port_or_known_default().unwrap_or_default(),
            path: request.url().path(),
            client_request_id: request.headers().text(&CLIENT_REQUEST_ID),
        });
        // Azure keeps the trace beside the correlation id; other servers have no use for it.
        let is_correlated = request.headers().text(&CORRELATION_ID).is_some();
        let trace = active.as_ref().and_then(|active| active.traceparent()).filter(|_| is_correlated);
        let started = Instant::now();
        let response = match &self.connector {
            Connector::Https(client) => over_https(client, request, trace, self.response_bytes_max).await?,
            Connector::Transport(transport, response_time_max) => {
                over_transport(&**transport, request, trace, *response_time_max, self.response_bytes_max)
                    .await?
            }
        };
        if let Some(active) = &mut active {
            active.end(response.status().into(), response.headers().text(&REQUEST_ID));
        }
        // The query is omitted: it may be signed.
        tracing::debug!(
            "{method} {host}{} {} in {} ms",
            request.url().path(),
            u16::from(response.status()),
            started.elapsed().as_millis()
        );
        Ok(response)
    }
}

async fn over_https(
    client: &reqwest::Client,
    request: &Request,
    trace: Option<&str>,
    bytes_max: usize,
) -> azure_core::Result<AsyncRawResponse> {
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
        .expect("the SDK's methods are all HTTP methods");
    let mut outgoing = client.request(method, request.url().clone());
    for (name, value) in request.headers().iter() {
        outgoing = outgoing.header(name.as_str(), value.as_str());
    }
    if let Some(trace) = trace {
        outgoing = outgoing.header(TRACEPARENT, trace);
    }
    let outgoing = match request.body().clone() {
        Body::Bytes(bytes) => outgoing.body(bytes),
        Body::SeekableStream(stream) => outgoing.body(reqwest::Body::wrap_stream(stream)),
    };
    let outgoing = outgoing.build().map_err(malformed)?;
    let host = request.url().host_str().unwrap_or_default().to_owned();
    let response = client.execute(outgoing).await.map_err(|error| connection_error(error, &host))?;
    let status = response.status().as_u16();
    let headers = headers(response.headers());
    let from = host.clone();
    // reqwest has decoded these bytes already, so the limit applies to the decompressed size.
    let body = response.bytes_stream().map_err(move |error| connection_error(error, &host));
    let body =
        limited(body.boxed(), from, bytes_max).map_err(move |error| UnreadResponse::mark(error, status));
    Ok(AsyncRawResponse::new(status.into(), headers, Box::pin(body)))
}

/// Sends a request through a transport and waits for the whole answer.
async fn over_transport(
    transport: &dyn Transport,
    request: &Request,
    trace: Option<&str>,
    response_time_max: Duration,
    bytes_max: usize,
) -> azure_core::Result<AsyncRawResponse> {
    let host = request.url().host_str().unwrap_or_default();
    let mut outgoing = http::Request::builder().method(request.method().as_str()).uri(request.url().as_str());
    for (name, value) in request.headers().iter() {
        outgoing = outgoing.header(name.as_str(), value.as_str());
    }
    if let Some(trace) = trace {
        outgoing = outgoing.header(TRACEPARENT, trace);
    }
    let body = match request.body().clone() {
        Body::Bytes(bytes) => bytes,
        Body::SeekableStream(stream) => {
            let pieces: Vec<Bytes> = stream.try_collect().await.map_err(malformed)?;
            Bytes::from(pieces.concat())
        }
    };
    let outgoing = outgoing.body(body).map_err(malformed)?;
    let timed_out = |_| Error::new(ErrorKind::Io, format!("no response from {host} in time"));
    let until = tokio::time::Instant::now() + response_time_max;
    let response =
        timeout_at(until, transport.send(outgoing)).await.map_err(timed_out)?.map_err(transport_error)?;
    let (parts, body) = response.into_parts();
    let body = limited(body.map_err(transport_error).boxed(), host.to_owned(), bytes_max);
    let pieces = timeout_at(until, body.try_collect::<Vec<Bytes>>()).await.map_err(timed_out);
    let body = pieces.and_then(|read| read).map(|pieces| Bytes::from(pieces.concat()));
    let (status, headers) = (parts.status.as_u16(), headers(&parts.headers));
    // As over the network, an answer may have a status and break off.
    Ok(match body {
        Ok(body) => AsyncRawResponse::from_bytes(status.into(), headers, body),
        Err(error) => {
            let error = UnreadResponse::mark(error, status);
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
                let too_large = ResponseTooLarge { host: host.clone(), bytes_max };
                let message = too_large.to_string();
                Err(Error::with_error(ErrorKind::Other, too_large, message))
            }
        })
    });
    counted.boxed()
}

/// The error for an answer over the size limit; its rest was not read. The request may have been carried out.
#[derive(Debug)]
pub(crate) struct ResponseTooLarge {
    host: String,
    bytes_max: usize,
}

impl fmt::Display for ResponseTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer of {} is larger than {}", self.host, in_mebibytes(self.bytes_max))
    }
}

impl std::error::Error for ResponseTooLarge {}

/// Formats a size limit: `32 MiB`.
pub(crate) fn in_mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::with_error(ErrorKind::Other, error, "the request is malformed")
}

fn transport_error(transport_error: TransportError) -> Error {
    let kind = if transport_error.sent == SendStatus::Never { ErrorKind::Connection } else { ErrorKind::Io };
    let message = transport_error.message.clone();
    Error::with_error(kind, transport_error, message)
}

/// Describes a broken request; the error's kind states whether the server may have received it.
fn connection_error(error: reqwest::Error, host: &str) -> Error {
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

impl UntrustedCertificate {
    /// Returns whether the certificate has expired or is not valid yet, by this machine's clock.
    pub(crate) fn is_about_dates(&self) -> bool {
        use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
        matches!(
            self.reason,
            rustls::Error::InvalidCertificate(
                Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
            )
        )
    }
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
