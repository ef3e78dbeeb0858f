//! Forwarding of a plain HTTP request to a gateway, and of its response (RFC 9110 §7.6).

use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::error::{Body, ProxyError};
use crate::server::connection::ServerContext;

/// The hop-by-hop headers, besides those that `Connection` names (RFC 9110 §7.6.1).
const HOP_HEADERS: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Forwards a request on a new connection, and streams the response.
///
/// # Errors
/// 502 if the gateway does not respond with HTTP/1.1.
pub(super) async fn send(
    request: Request<Incoming>,
    gateway: TcpStream,
    authority: &Authority,
    context: &ServerContext,
) -> Result<Response<Body>, ProxyError> {
    let no_response = |error: hyper::Error| ProxyError::no_response(authority, &error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(gateway)).await.map_err(no_response)?;
    context.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a gateway ended");
        }
    });
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    remove_hop_headers(&mut parts.headers);
    // RFC 9112 §3.2.2: the host of the URL overrides the header.
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        parts.headers.insert(header::HOST, host);
    }
    let answer = sender.send_request(Request::from_parts(parts, body)).await.map_err(no_response)?;
    let (mut parts, body) = answer.into_parts();
    remove_hop_headers(&mut parts.headers);
    Ok(Response::from_parts(parts, body.boxed_unsync()))
}

/// Removes the hop-by-hop headers, and adds `Via`.
fn remove_hop_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_HEADERS.iter().chain(&named) {
        headers.remove(name);
    }
    headers.append(header::VIA, HeaderValue::from_static("1.1 landfall"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_headers_are_not_forwarded() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, x-mine"), ("x-mine", "1"), ("te", "trailers"), ("x-theirs", "2")]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_hop_headers(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-theirs", "via"]);
    }
}
