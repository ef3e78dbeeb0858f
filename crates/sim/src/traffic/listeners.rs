//! The sockets of the gateways: TCP listeners on their addresses, opened and closed when the state changes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::addresses::Listeners;
use super::proxy::{self, GatewayConnection, Views};
use super::view::{GatewayPort, View};
use crate::server::accept::{CONNECTIONS_MAX, Slots};
use crate::server_state::ServerState;

/// The timeout of a client's TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The time after which Linux gives up to connect: six repeated SYNs (`net.ipv4.tcp_syn_retries`).
const CONNECT_MAX: Duration = Duration::from_secs(127);
/// The timeout for open connections after the listeners close.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// The debounce of state changes; they come in bursts.
const DEBOUNCE: Duration = Duration::from_millis(5);
/// The fallback port range on a machine that does not allow ports 80 and 443.
const FALLBACK_PORTS: std::ops::Range<u16> = 30_000..32_000;

/// Serves the gateways until `stop` is cancelled.
pub(crate) async fn serve(
    server_state: Arc<ServerState>,
    listeners: watch::Sender<Listeners>,
    stop: CancellationToken,
) {
    let mut changes = server_state.changes();
    let (view_sender, view) = watch::channel(Arc::new(server_state.read(View::of)));
    let slots = Slots::new(CONNECTIONS_MAX);
    let mut open: BTreeMap<(Ipv4Addr, u16), CancellationToken> = BTreeMap::new();
    loop {
        let wanted: Vec<(Ipv4Addr, u16)> = view.borrow().gateway_ports.keys().copied().collect();
        open.retain(|place, close| {
            let keep = wanted.contains(place);
            if !keep {
                close.cancel();
                listeners.send_modify(|listeners| {
                    listeners.remove(place);
                });
            }
            keep
        });
        for place in wanted {
            if open.contains_key(&place) {
                continue;
            }
            match bind(place).await {
                Ok(listener) => {
                    let close = stop.child_token();
                    if let Ok(address) = listener.local_addr() {
                        listeners.send_modify(|listeners| {
                            listeners.insert(place, address);
                        });
                    }
                    tokio::spawn(accept_connections(
                        listener,
                        place,
                        view.clone(),
                        slots.clone(),
                        close.clone(),
                    ));
                    open.insert(place, close);
                }
                Err(error) => {
                    tracing::warn!(address = %place.0, port = place.1, %error, "a gateway cannot be served")
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(DEBOUNCE).await;
        changes.borrow_and_update();
        view_sender.send_replace(Arc::new(server_state.read(View::of)));
    }
}

/// The number of fallback ports to try. A process that serves many clouds uses up the range.
const FALLBACK_TRIES: u16 = 16;

/// Binds the gateway's own port, or a high port if the machine does not allow that.
async fn bind((address, port): (Ipv4Addr, u16)) -> io::Result<TcpListener> {
    if let Ok(listener) = TcpListener::bind((address, port)).await {
        return Ok(listener);
    }
    // The same address and port map to the same high port while it is free.
    let count = FALLBACK_PORTS.end - FALLBACK_PORTS.start;
    let first = (u16::from(address.octets()[3]) * 31).wrapping_add(port) % count;
    for step in 0..FALLBACK_TRIES {
        let fallback = FALLBACK_PORTS.start + (first + step) % count;
        if let Ok(listener) = TcpListener::bind((address, fallback)).await {
            return Ok(listener);
        }
    }
    TcpListener::bind((address, 0)).await
}

async fn accept_connections(
    listener: TcpListener,
    place: (Ipv4Addr, u16),
    views: Views,
    slots: Slots,
    close: CancellationToken,
) {
    let certificates = Certificates { place, views: views.clone() };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let Ok(builder) = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    else {
        return;
    };
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (tcp, slot) = tokio::select! {
            accepted = slots.accept(&listener) => accepted,
            () = close.cancelled() => return,
        };
        let served = connection(tcp, place, views.clone(), acceptor.clone(), close.clone());
        tokio::spawn(async move {
            served.await;
            drop(slot);
        });
    }
}

async fn connection(
    tcp: TcpStream,
    place: (Ipv4Addr, u16),
    mut views: Views,
    acceptor: TlsAcceptor,
    close: CancellationToken,
) {
    let _ = tcp.set_nodelay(true);
    let gateway_port =
        |view: &View, is: fn(&GatewayPort) -> bool| view.gateway_ports.get(&place).is_some_and(is);
    // A load balancer without a healthy backend accepts no connection: the client's SYN gets no response. A
    // loopback socket has already accepted, so the closest behaviour is silence until the gateway is healthy.
    if !gateway_port(&views.borrow().clone(), |gateway_port| gateway_port.is_healthy) {
        tokio::select! {
            () = close.cancelled() => return,
            () = tokio::time::sleep(CONNECT_MAX) => return,
            healthy = views.wait_for(|view| gateway_port(view, |gateway_port| gateway_port.is_healthy)) => if healthy.is_err() { return },
        }
    }
    let encrypted = gateway_port(&views.borrow().clone(), |gateway_port| {
        gateway_port.listeners.iter().any(|l| l.certificate.is_some())
    });
    if !encrypted {
        return serve_http(tcp, GatewayConnection { place, views, server_name: None, scheme: "http" }, close)
            .await;
    }
    let tls = match timeout(HANDSHAKE_MAX, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
        Err(_) => return,
    };
    let server_name = tls.get_ref().1.server_name().map(str::to_ascii_lowercase);
    serve_http(tls, GatewayConnection { place, views, server_name, scheme: "https" }, close).await;
}

pub(super) async fn serve_http<S>(stream: S, context: GatewayConnection, close: CancellationToken)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Incoming>| {
        let context = context.clone();
        async move { Ok::<_, Infallible>(proxy::handle(request, &context).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        }
        () = close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(SHUTDOWN_TIMEOUT, connection).await;
        }
    }
}

/// Selects the certificate of the listener for a name, at each handshake. New connections get a new
/// certificate; open ones continue.
struct Certificates {
    place: (Ipv4Addr, u16),
    views: Views,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("place", &self.place).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let view = self.views.borrow().clone();
        let gateway_port = view.gateway_ports.get(&self.place)?;
        let name = hello.server_name().map(str::to_ascii_lowercase);
        proxy::listener(gateway_port, name.as_deref())?.certificate.clone()
    }
}
