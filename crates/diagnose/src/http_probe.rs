//! HTTP requests to gateways by address, with the host name in TLS and in `Host`: no DNS, no proxy, no
//! redirects.
//!
//! Every phase has the timeout of [`Client`], in real time, whatever the time scale. If a load balancer has
//! no healthy backend, its gateway accepts a connection and never answers. That must become an error message
//! instead of a hang. The probe records every presented certificate, accepted or not.

use crate::peer_certificate::{Acceptance, PeerCertificate, RecordingVerifier, Trust};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use landfall_cloud::AddressMap;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::{io, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Semaphore, SemaphorePermit},
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The maximum size of an answer, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// A client of the gateways.
pub(crate) struct Client {
    address_map: AddressMap,
    /// The trust in certificates; without one the probe accepts every certificate.
    trust: Option<Arc<Trust>>,
    limits: Limits,
    slots: Semaphore,
}

/// The limits of a client, and its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The timeout of each phase of a request, in real time.
    pub(crate) timeout: Duration,
    /// The maximum number of open connections.
    pub(crate) connections: usize,
    /// The value of `User-Agent`.
    pub(crate) user_agent: &'static str,
}

/// A port of a gateway, and the requested host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// True for HTTPS.
    pub(crate) secure: bool,
    /// True if it must present the vault's certificate; without a trust it has no effect.
    pub(crate) pinned: bool,
    pub(crate) host: String,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The reason for a missing answer.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// No answer within the timeout.
    TimedOut(Duration),
    /// No listener, or a broken connection; with the reason.
    ConnectionFailed(String),
    /// A response that is not HTTP, or none before the connection closed; with the reason.
    NotHttp(String),
    /// The certificate was rejected; with the reason.
    Untrusted(String),
}

impl Client {
    /// Returns a client that accepts a certificate only if `trust` does; `None` accepts every one.
    pub(crate) fn new(address_map: AddressMap, trust: Option<Arc<Trust>>, limits: Limits) -> Self {
        Self { address_map, trust, limits, slots: Semaphore::new(limits.connections) }
    }

    /// Opens a connection and returns the presented certificate, accepted or not.
    pub(crate) async fn open(
        &self,
        endpoint: &Endpoint,
    ) -> (Result<GatewayConnection<'_>, RequestError>, Option<PeerCertificate>) {
        let slots = self.slots.acquire().await.expect("it is never closed");
        let socket = self.address_map.socket(endpoint.address, endpoint.port);
        let tcp = match within(self.limits.timeout, TcpStream::connect(socket)).await {
            Ok(tcp) => tcp,
            Err(failure) => return (Err(failure), None),
        };
        // The check of a split sends hundreds of small requests that must not wait for each other.
        let _ = tcp.set_nodelay(true);
        if !endpoint.secure {
            return (self.start_http(tcp, endpoint, slots).await, None);
        }
        let (connector, name, verifier) = match self.prepare_tls(endpoint) {
            Ok(prepared) => prepared,
            Err(failure) => return (Err(failure), None),
        };
        match within(self.limits.timeout, connector.connect(name, tcp)).await {
            Ok(tls) => (self.start_http(tls, endpoint, slots).await, verifier.peer_certificate()),
            Err(failure) => (Err(failure), verifier.peer_certificate()),
        }
    }

    fn prepare_tls(
        &self,
        endpoint: &Endpoint,
    ) -> Result<(TlsConnector, ServerName<'static>, Arc<RecordingVerifier>), RequestError> {
        let acceptance = match &self.trust {
            Some(trust) => Acceptance::Trusted { trust: trust.clone(), pinned: endpoint.pinned },
            None => Acceptance::Any,
        };
        let prepared = RecordingVerifier::connection(acceptance);
        let (config, verifier) =
            prepared.map_err(|error| RequestError::ConnectionFailed(error.to_string()))?;
        let name = ServerName::try_from(endpoint.host.clone());
        let name =
            name.map_err(|error| RequestError::ConnectionFailed(format!("{}: {error}", endpoint.host)))?;
        Ok((TlsConnector::from(Arc::new(config)), name, verifier))
    }

    async fn start_http<'a, S>(
        &self,
        stream: S,
        endpoint: &Endpoint,
        slots: SemaphorePermit<'a>,
    ) -> Result<GatewayConnection<'a>, RequestError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, connection) = within(self.limits.timeout, http1::handshake(TokioIo::new(stream))).await?;
        let driver = tokio::spawn(async move {
            // The missing answer reports a broken connection to the caller.
            let _ = connection.await;
        });
        Ok(GatewayConnection {
            send,
            host: endpoint.host.clone(),
            limits: self.limits,
            driver: driver.abort_handle(),
            _slot: slots,
        })
    }
}

/// A connection that is reused for further requests.
pub(crate) struct GatewayConnection<'a> {
    send: SendRequest<Empty<Bytes>>,
    host: String,
    limits: Limits,
    driver: AbortHandle,
    _slot: SemaphorePermit<'a>,
}

impl Drop for GatewayConnection<'_> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl GatewayConnection<'_> {
    /// Returns whether the other side has closed it, as it may between two requests.
    pub(crate) fn is_closed(&self) -> bool {
        self.send.is_closed()
    }

    /// Sends a request, and reads the answer to its end.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<HttpResponse, RequestError> {
        let (parts, body) = self.send_request(method, target, headers).await?.into_parts();
        let read = async { Limited::new(body, BODY_MAX).collect().await.map_err(body_error) };
        let body = within(self.limits.timeout, read).await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(HttpResponse { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Sends `GET /`, and reads only the status of the answer.
    pub(crate) async fn status(&mut self) -> Result<u16, RequestError> {
        Ok(self.send_request("GET", "/", &[]).await?.status().as_u16())
    }

    async fn send_request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<Response<Incoming>, RequestError> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| RequestError::ConnectionFailed(error.to_string()))?;
        let mut request = http::Request::builder().method(method).uri(target);
        request = request.header(header::HOST, &self.host).header(header::USER_AGENT, self.limits.user_agent);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request =
            request.body(Empty::new()).map_err(|error| RequestError::ConnectionFailed(error.to_string()))?;
        within(self.limits.timeout, self.send.ready()).await?;
        within(self.limits.timeout, self.send.send_request(request)).await
    }
}

impl HttpResponse {
    /// Returns the body if it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl RequestError {
    /// Describes the error, with its port.
    pub(crate) fn description(&self, port: u16) -> String {
        match self {
            Self::TimedOut(phase_timeout) => {
                format!("no response within {} s on port {port}", phase_timeout.as_secs_f64())
            }
            Self::ConnectionFailed(why) | Self::NotHttp(why) => format!("port {port}: {why}"),
            Self::Untrusted(why) => format!("port {port}: the certificate is not trusted: {why}"),
        }
    }
}

/// Returns an error for an answer over the limit, or keeps the error that ended it.
fn body_error(error: Box<dyn std::error::Error + Send + Sync>) -> io::Error {
    match error.is::<http_body_util::LengthLimitError>() {
        true => io::Error::other(format!("the answer is larger than {} KiB", BODY_MAX / 1024)),
        false => io::Error::other(error),
    }
}

/// Waits until the timeout.
async fn within<T, E: std::error::Error + 'static>(
    phase_timeout: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, RequestError> {
    match timeout(phase_timeout, future).await {
        Ok(ended) => ended.map_err(|error| classify(&error)),
        Err(_) => Err(RequestError::TimedOut(phase_timeout)),
    }
}

/// Classifies an error by its innermost cause, which is the most specific; a refusal by the verifier concerns
/// the certificate.
fn classify(error: &(dyn std::error::Error + 'static)) -> RequestError {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let refused = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match refused {
        Some(rustls::Error::InvalidCertificate(why)) => return RequestError::Untrusted(why.to_string()),
        Some(rustls::Error::General(why)) => return RequestError::Untrusted(why.clone()),
        _ => {}
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let is_malformed = |error: &hyper::Error| error.is_parse() || error.is_incomplete_message();
    match error.downcast_ref::<hyper::Error>().is_some_and(is_malformed) {
        true => RequestError::NotHttp(innermost.to_string()),
        false => RequestError::ConnectionFailed(innermost.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Returns the result of a request to a server that sends `response` and closes the connection.
    async fn status(response: &'static [u8]) -> Result<u16, RequestError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            // Closing with unread data would reset the connection before the response arrives.
            let mut request = [0; 1024];
            assert!(tcp.read(&mut request).await.unwrap() > 0);
            tcp.write_all(response).await.unwrap();
        });
        let limits = Limits { timeout: Duration::from_secs(5), connections: 1, user_agent: "test" };
        let client = Client::new(AddressMap::default(), None, limits);
        let endpoint = Endpoint {
            address: socket.ip(),
            port: socket.port(),
            secure: false,
            pinned: false,
            host: "example.com".to_owned(),
        };
        client.open(&endpoint).await.0?.status().await
    }

    #[tokio::test]
    async fn a_response_that_is_not_http_differs_from_a_broken_connection() {
        assert!(matches!(status(b"SSH-2.0-OpenSSH\r\n").await, Err(RequestError::NotHttp(_))));
        assert_eq!(status(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.ok(), Some(404));
    }
}
