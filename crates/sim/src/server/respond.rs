//! Responses to the requests of a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::body::{Body, Cut};
use super::chunks;
use crate::request::{Delivery, Reply, Request};
use crate::server_state::ServerState;

/// The timeout of a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum size of a request body in bytes; Azure's own limit is 4 MiB.
const BODY_MAX: usize = 4 * 1024 * 1024;

pub(super) async fn respond(
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
