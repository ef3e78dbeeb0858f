//! The shared context of all connections, and the connections that begin with a TLS handshake.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::respond::respond;
use crate::server_state::ServerState;
use crate::state::CloudState;
use crate::traffic::addresses::Listeners;

/// The timeout of a client's TLS handshake.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The timeout of the headers of a request, which is also the longest pause between two requests of a connection.
const HEADERS_MAX: Duration = Duration::from_secs(120);

/// The interval of the pings that detect a vanished HTTP/2 client.
const PING: Duration = Duration::from_secs(60);

/// The timeout for open connections when the server stops.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// The shared context of all connections.
pub(crate) struct ServerContext {
    acceptor: TlsAcceptor,
    server_state: Arc<ServerState>,
    /// The sockets of the gateways.
    listeners: watch::Receiver<Listeners>,
    /// The port of the server.
    port: u16,
    pub(super) stop: CancellationToken,
    /// All tasks that the shutdown waits for.
    pub(super) connections: TaskTracker,
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
