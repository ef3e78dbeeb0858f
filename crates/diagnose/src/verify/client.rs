//! HTTP requests to gateways by address, with the host name in TLS and in `Host`: no DNS, no proxy, no
//! redirects.
//!
//! Every phase has the timeout of [`Client`], in real time, whatever the time scale. If a load balancer has
//! no healthy backend, its gateway accepts a connection and never answers. That must become an error message
//! instead of a hang.

use super::trust::{Shown, Trust, Witness};
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use landfall_cloud::Ways;
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

/// The maximum number of open connections.
const CONNECTIONS_MAX: usize = 16;
/// The maximum size of an answer, in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// A client of the gateways.
pub(super) struct Client {
    ways: Ways,
    trust: Arc<Trust>,
    bound: Duration,
    room: Semaphore,
}

/// A port of a gateway, and the requested host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Door {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// True for HTTPS.
    pub(super) secure: bool,
    /// True if it must present the vault's certificate.
    pub(super) pinned: bool,
    pub(super) host: String,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// The reason for a missing answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// No answer within the timeout.
    Silent(Duration),
    /// No listener, or a broken connection; with the reason.
    Broken(String),
    /// The certificate was rejected; with the reason.
    Untrusted(String),
}

impl Client {
    /// Returns a client; `bound` is the timeout of each phase of a request.
    pub(super) fn new(ways: Ways, trust: Arc<Trust>, bound: Duration) -> Self {
        Self { ways, trust, bound, room: Semaphore::new(CONNECTIONS_MAX) }
    }

    /// Returns the trust in the vault's certificate.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Opens a connection and returns the presented certificate, accepted or not.
    pub(super) async fn open(&self, door: &Door) -> (Result<Line<'_>, Lost>, Option<Shown>) {
        let room = self.room.acquire().await.expect("it is never closed");
        let socket = self.ways.socket(door.address, door.port);
        let tcp = match within(self.bound, TcpStream::connect(socket)).await {
            Ok(tcp) => tcp,
            Err(lost) => return (Err(lost), None),
        };
        // The check of a split sends hundreds of small requests that must not wait for each other.
        let _ = tcp.set_nodelay(true);
        if !door.secure {
            return (self.speak(tcp, door, room).await, None);
        }
        let (connector, name, witness) = match self.encrypted(door) {
            Ok(prepared) => prepared,
            Err(lost) => return (Err(lost), None),
        };
        match within(self.bound, connector.connect(name, tcp)).await {
            Ok(tls) => (self.speak(tls, door, room).await, witness.shown()),
            Err(lost) => (Err(lost), witness.shown()),
        }
    }

    fn encrypted(&self, door: &Door) -> Result<(TlsConnector, ServerName<'static>, Arc<Witness>), Lost> {
        let (config, witness) =
            self.trust.connection(door.pinned).map_err(|error| Lost::Broken(error.to_string()))?;
        let name = ServerName::try_from(door.host.clone());
        let name = name.map_err(|error| Lost::Broken(format!("{}: {error}", door.host)))?;
        Ok((TlsConnector::from(Arc::new(config)), name, witness))
    }

    async fn speak<'a, S>(&self, stream: S, door: &Door, room: SemaphorePermit<'a>) -> Result<Line<'a>, Lost>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, connection) = within(self.bound, http1::handshake(TokioIo::new(stream))).await?;
        let driver = tokio::spawn(async move {
            // The missing answer reports a broken connection to the caller.
            let _ = connection.await;
        });
        Ok(Line {
            send,
            host: door.host.clone(),
            bound: self.bound,
            driver: driver.abort_handle(),
            _room: room,
        })
    }
}

/// A connection that is reused for further requests.
pub(super) struct Line<'a> {
    send: SendRequest<Empty<Bytes>>,
    host: String,
    bound: Duration,
    driver: AbortHandle,
    _room: SemaphorePermit<'a>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Line<'_> {
    /// Returns whether the other side has closed it, as it may between two requests.
    pub(super) fn is_over(&self) -> bool {
        self.send.is_closed()
    }

    /// Sends a request, and reads the answer to its end.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<Answer, Lost> {
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|error| Lost::Broken(error.to_string()))?;
        let mut request = http::Request::builder().method(method).uri(target);
        request = request.header(header::HOST, &self.host).header(header::USER_AGENT, "landfall-verify");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).map_err(|error| Lost::Broken(error.to_string()))?;
        within(self.bound, self.send.ready()).await?;
        let answer = within(self.bound, self.send.send_request(request)).await?;
        let (parts, body) = answer.into_parts();
        let read = async { Limited::new(body, BODY_MAX).collect().await.map_err(unread) };
        let body = within(self.bound, read).await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Answer {
    /// Returns the body if it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Returns a header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Lost {
    /// Describes the error, with its port.
    pub(super) fn told(&self, port: u16) -> String {
        match self {
            Self::Silent(bound) => {
                format!("no response within {} s on port {port}", bound.as_secs_f64())
            }
            Self::Broken(why) => format!("port {port}: {why}"),
            Self::Untrusted(why) => format!("port {port}: the certificate is not trusted: {why}"),
        }
    }
}

/// Returns an error for an answer over the limit, or keeps the error that ended it.
fn unread(error: Box<dyn std::error::Error + Send + Sync>) -> io::Error {
    match error.is::<http_body_util::LengthLimitError>() {
        true => io::Error::other(format!("the answer is larger than {} KiB", BODY_MAX / 1024)),
        false => io::Error::other(error),
    }
}

/// Waits until the timeout.
async fn within<T, E: std::error::Error + 'static>(
    bound: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, Lost> {
    match timeout(bound, future).await {
        Ok(ended) => ended.map_err(|error| broken(&error)),
        Err(_) => Err(Lost::Silent(bound)),
    }
}

/// Classifies an error by its innermost cause, which is the most specific; a refusal by the verifier concerns
/// the certificate.
fn broken(error: &(dyn std::error::Error + 'static)) -> Lost {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let refused = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match refused {
        Some(rustls::Error::InvalidCertificate(why)) => return Lost::Untrusted(why.to_string()),
        Some(rustls::Error::General(why)) => return Lost::Untrusted(why.clone()),
        _ => {}
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Lost::Broken(innermost.to_string())
}
