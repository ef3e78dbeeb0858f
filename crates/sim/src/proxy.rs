//! The forward proxy on the port of the simulated cloud, so that its names need no DNS resolver. A client
//! sends `CONNECT` (RFC 9110 §9.3.6) or a request in absolute form (RFC 9112 §3.2.2). It reaches every name
//! of this cloud, and nothing else.
//!
//! Programs use it with `HTTPS_PROXY=http://127.0.0.1:{port}`. The names of the cloud's services lead to the
//! simulated cloud itself. The names in its DNS zones lead to the gateway with the address of the record.

mod error;
mod forward;
mod targets;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::connection::{SHUTDOWN_TIMEOUT, ServerContext};
use error::{Body, ProxyError};
use targets::{ProxyTarget, target};

/// Serves a connection of a proxy client.
pub(crate) async fn serve(tcp: TcpStream, context: Arc<ServerContext>) {
    let shared_context = Arc::clone(&context);
    let service = service_fn(move |request| {
        let context = Arc::clone(&shared_context);
        async move {
            let answered = answer(request, &context).await;
            Ok::<_, Infallible>(answered.unwrap_or_else(ProxyError::into_response))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(tcp), service).with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "connection to the proxy ended");
            }
        }
        () = context.stopped() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(SHUTDOWN_TIMEOUT, connection).await;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    context: &Arc<ServerContext>,
) -> Result<Response<Body>, ProxyError> {
    let Some(authority) = request.uri().authority().cloned() else {
        let why = "this port serves TLS, or is the proxy for requests with absolute URLs";
        return Err(ProxyError::new(StatusCode::BAD_REQUEST, why));
    };
    let is_tunnel = request.method() == Method::CONNECT;
    let port = match (authority.port_u16(), is_tunnel) {
        (Some(port), _) => port,
        (None, false) => 80,
        (None, true) => {
            return Err(ProxyError::new(StatusCode::BAD_REQUEST, "CONNECT needs a host and a port"));
        }
    };
    if !is_tunnel && request.uri().scheme() != Some(&Scheme::HTTP) {
        let why = "use CONNECT for HTTPS";
        return Err(ProxyError::new(StatusCode::BAD_REQUEST, why));
    }
    match (target(context, authority.host(), port)?, is_tunnel) {
        (ProxyTarget::Cloud, true) => serve_tunnel(request, Arc::clone(context)),
        (ProxyTarget::Cloud, false) => {
            let why = format!("{authority} speaks TLS only: https://{authority}");
            Err(ProxyError::new(StatusCode::BAD_REQUEST, why))
        }
        (ProxyTarget::Gateway(socket), true) => {
            let gateway = connect(socket, &authority).await?;
            forward_tunnel(request, gateway, context)
        }
        (ProxyTarget::Gateway(socket), false) => {
            let gateway = connect(socket, &authority).await?;
            forward::send(request, gateway, &authority, context).await
        }
    }
}

async fn connect(socket: SocketAddr, authority: &Authority) -> Result<TcpStream, ProxyError> {
    let gateway =
        TcpStream::connect(socket).await.map_err(|error| ProxyError::no_response(authority, &error))?;
    let _ = gateway.set_nodelay(true);
    Ok(gateway)
}

/// Connects a tunnel to the simulated cloud itself: the client's TLS handshake follows on the same
/// connection.
fn serve_tunnel(
    request: Request<Incoming>,
    context: Arc<ServerContext>,
) -> Result<Response<Body>, ProxyError> {
    let through = Arc::clone(&context);
    context.spawn_graceful(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => through.encrypted(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "no tunnel"),
        }
    });
    Ok(established())
}

/// Connects a tunnel to a gateway, byte by byte.
fn forward_tunnel(
    request: Request<Incoming>,
    mut gateway: TcpStream,
    context: &Arc<ServerContext>,
) -> Result<Response<Body>, ProxyError> {
    context.spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => {
                // Either side can close the tunnel at any time; that is not an error.
                let _ = copy_bidirectional(&mut TokioIo::new(upgraded), &mut gateway).await;
            }
            Err(error) => tracing::debug!(%error, "no tunnel"),
        }
    });
    Ok(established())
}

/// Returns the 200 without a body that establishes a tunnel.
fn established() -> Response<Body> {
    Response::new(http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync())
}
