//! The server: TLS, HTTP/1.1 and HTTP/2 with its own accept loop, for a controlled shutdown.
//!
//! A connection that does not begin with a TLS handshake is HTTP/1.1 to the forward proxy, see
//! [`crate::proxy`].

pub(crate) mod accept;
mod chunks;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::accept::{CONNECTIONS_MAX, Slots};
use crate::proxy;
use crate::request::{Delivery, Reply, Request};
use crate::server_state::ServerState;
use crate::state::CloudState;
use crate::traffic::addresses::Listeners;

/// The timeout of a client's TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The timeout of the headers of a request, which is also the longest pause between two requests of a connection.
const HEADERS_MAX: Duration = Duration::from_secs(120);
/// The timeout of a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval of the pings that detect a vanished HTTP/2 client.
const PING: Duration = Duration::from_secs(60);
/// The timeout for open connections when the server stops.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// The first byte of every TLS handshake (RFC 8446 §5.1, content type `handshake`); no HTTP method begins
/// with it.
const HANDSHAKE: u8 = 0x16;
/// The maximum size of a request body in bytes; Azure's own limit is 4 MiB.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// The body of a response.
pub type Body = UnsyncBoxBody<Bytes, Cut>;

/// The error that cuts a connection instead of a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
pub struct Cut;

/// The shared context of all connections.
pub(crate) struct ServerContext {
    acceptor: TlsAcceptor,
    server_state: Arc<ServerState>,
    /// The sockets of the gateways.
    listeners: watch::Receiver<Listeners>,
    /// The port of the server.
    port: u16,
    stop: CancellationToken,
    /// All tasks that the shutdown waits for.
    connections: TaskTracker,
}

impl ServerContext {
    /// Creates the context for that port; `doors` contains the sockets of the gateways.
    pub(crate) fn new(
        config: Arc<ServerConfig>,
        port: u16,
        server_state: Arc<ServerState>,
        listeners: watch::Receiver<Listeners>,
        stop: CancellationToken,
    ) -> Self {
        let (acceptor, connections) = (TlsAcceptor::from(config), TaskTracker::new());
        Self { acceptor, server_state, listeners, port, stop, connections }
    }

    /// Calls a function with the state.
    pub(crate) fn read<T>(&self, reader: impl FnOnce(&CloudState) -> T) -> T {
        self.server_state.read(reader)
    }

    /// Returns the socket behind a port of a gateway's address.
    pub(crate) fn listener(&self, address: Ipv4Addr, port: u16) -> Option<SocketAddr> {
        self.listeners.borrow().get(&(address, port)).copied()
    }

    /// Returns the port of the server.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Spawns a task that handles the shutdown itself.
    pub(crate) fn spawn_graceful(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.connections.spawn(task);
    }

    /// Spawns a task that is cancelled at the shutdown.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.connections.spawn(async move { stop.run_until_cancelled(task).await });
    }

    /// Waits for the shutdown.
    pub(crate) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    async fn dispatch(self: Arc<Self>, tcp: TcpStream) {
        let _ = tcp.set_nodelay(true);
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = timeout(HANDSHAKE_MAX, tcp.peek(&mut first)) => peeked,
            () = self.stop.cancelled() => return,
        };
        match peeked {
            Ok(Ok(1)) if first[0] == HANDSHAKE => self.encrypted(tcp).await,
            Ok(Ok(1)) => proxy::serve(tcp, self).await,
            _ => {}
        }
    }

    /// Serves the cloud on a stream that begins with a TLS handshake.
    pub(crate) async fn encrypted<S>(self: Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let accepted = tokio::select! {
            accepted = timeout(HANDSHAKE_MAX, self.acceptor.accept(stream)) => accepted,
            () = self.stop.cancelled() => return,
        };
        let tls = match accepted {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
            Err(_) => return,
        };
        let (server_state, stop) = (Arc::clone(&self.server_state), self.stop.clone());
        let service = service_fn(move |request| respond(request, Arc::clone(&server_state), stop.clone()));
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_MAX);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
        let connection = builder.serve_connection(TokioIo::new(tls), service);
        tokio::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
            }
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(SHUTDOWN_TIMEOUT, connection).await;
            }
        }
    }
}

/// Serves connections until the shutdown, then waits for them to end.
pub(crate) async fn serve(listener: TcpListener, context: ServerContext) {
    let context = Arc::new(context);
    let slots = Slots::new(CONNECTIONS_MAX);
    loop {
        let (tcp, slot) = tokio::select! {
            accepted = slots.accept(&listener) => accepted,
            () = context.stop.cancelled() => break,
        };
        let dispatched = Arc::clone(&context).dispatch(tcp);
        context.connections.spawn(async move {
            dispatched.await;
            drop(slot);
        });
    }
    context.connections.close();
    context.connections.wait().await;
}

async fn respond(
    request: http::Request<Incoming>,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
) -> Result<Response<Body>, Cut> {
    let request = match timeout(BODY_TIMEOUT, read(request)).await {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => return Ok(plain(StatusCode::REQUEST_TIMEOUT)),
    };
    answer(request, server_state, stop).await
}

/// Responds to a request with the latency of the service, or cuts the connection.
pub async fn answer(
    request: Request,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
) -> Result<Response<Body>, Cut> {
    let head = request.method == http::Method::HEAD;
    let reply = match server_state.complete_acme_work().await.and_then(|()| server_state.answer(request)) {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(%error, "the state cannot be saved");
            return Err(Cut);
        }
    };
    let latency = server_state.timing().real(reply.latency) + reply.real_latency;
    if !latency.is_zero() {
        // At a shutdown, a completed response is sent without its latency.
        tokio::select! {
            biased;
            () = tokio::time::sleep(latency) => {}
            () = stop.cancelled() => {}
        }
    }
    match reply.delivery {
        Delivery::Whole => Ok(response(reply, head, server_state, stop)),
        Delivery::Cut => Err(Cut),
        Delivery::Truncated => Ok(truncated(reply)),
        Delivery::Withheld => {
            stop.cancelled().await;
            Err(Cut)
        }
    }
}

/// Returns a response that breaks off in the middle: it is shorter than its content length.
fn truncated(mut reply: Reply) -> Response<Body> {
    let half = reply.body.split_to(reply.body.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(Cut)];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync());
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

/// Reads a request; returns `None` if it is too long or breaks off.
async fn read(request: http::Request<Incoming>) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await.ok()?.to_bytes();
    Some(request_of(parts, body))
}

/// Converts the parts and the body of a request.
pub fn request_of(parts: http::request::Parts, body: Bytes) -> Request {
    // HTTP/2 has the host in the URI, HTTP/1.1 in a header.
    let header = parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let query = parts.uri.query().unwrap_or_default();
    Request {
        method: parts.method,
        host: host.to_ascii_lowercase(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
        number: 0,
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

fn response(
    reply: Reply,
    head: bool,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
) -> Response<Body> {
    let body = match reply.stream {
        _ if head => whole(Bytes::new()),
        None => whole(reply.body),
        Some(stream) => {
            let frames = chunks::of(reply.body, stream, server_state, stop);
            StreamBody::new(frames).boxed_unsync()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
