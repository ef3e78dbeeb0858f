//! One request through a gateway: select the listener by name, the rule, the filters and the weighted
//! backend, then respond.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::sync::watch;

use super::backend::{self, BackendRequest, BackendResponse, Backends, find};
use super::filter::{self, RequestOrigin};
use super::request_target::{is_known_method, normalize_path, query_parameters, split_authority};
use super::spec::RouteFilter;
use super::split;
use super::table::{RequestHead, RouteMatch};
use super::view::{GatewayPort, Listener, View};

/// The maximum size of a request body in bytes.
const BODY_MAX: usize = 1024 * 1024;

pub(super) type Views = watch::Receiver<Arc<View>>;

/// The entry point of a connection.
#[derive(Clone)]
pub(super) struct GatewayConnection {
    pub place: (Ipv4Addr, u16),
    pub views: Views,
    pub server_name: Option<String>,
    pub scheme: &'static str,
}

/// Returns the listener for a name: the most specific match. A client without a name, for example one that
/// connects by address, gets the first one.
pub(super) fn listener<'a>(gateway_port: &'a GatewayPort, name: Option<&str>) -> Option<&'a Arc<Listener>> {
    let Some(name) = name else { return gateway_port.listeners.first() };
    let taking = gateway_port.listeners.iter().filter(|listener| listener.host.matches(name));
    taking.max_by(|one, other| one.host.specificity(&other.host))
}

/// Handles a request with the current state of the gateway.
pub(super) async fn handle(
    request: http::Request<Incoming>,
    context: &GatewayConnection,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let view = context.views.borrow().clone();
    let Some(gateway_port) = view.gateway_ports.get(&context.place) else {
        return empty_response(StatusCode::NOT_FOUND);
    };
    let is_http1 = parts.version < Version::HTTP_2;
    let path = normalize_path(parts.uri.path());
    if is_http1 && (!is_known_method(parts.method.as_str()) || !parts.uri.path().starts_with('/')) {
        return refused_by_parser();
    }
    let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str).or(header);
    let (Some(authority), Some(path)) = (authority, path) else {
        return empty_response(StatusCode::BAD_REQUEST);
    };
    let host = split_authority(authority).0.to_ascii_lowercase();
    let by_name = context.server_name.as_deref().unwrap_or(&host);
    let Some(listener) =
        listener(gateway_port, Some(by_name)).filter(|listener| listener.host.matches(&host))
    else {
        return empty_response(StatusCode::NOT_FOUND);
    };
    let query = query_parameters(parts.uri.query().unwrap_or_default());
    let method = parts.method.as_str();
    let request_head =
        RequestHead { host: &host, path: &path, query: &query, method, headers: &parts.headers };
    let Some(route_match) = listener.table.find(&request_head) else {
        return empty_response(StatusCode::NOT_FOUND);
    };
    let request = RoutedRequest {
        scheme: context.scheme,
        port: listener.port,
        authority,
        method,
        path: &path,
        query: parts.uri.query(),
        headers: &parts.headers,
    };
    let mut filters: Vec<&RouteFilter> = route_match.rule.filters.iter().collect();
    let mut response = respond(&request, body, route_match, &gateway_port.backends, &mut filters).await;
    for config in filters.iter().filter_map(|filter| filter.response_header_modifier.as_ref()) {
        filter::change(response.headers_mut(), config);
    }
    with_server_header(response)
}

/// A request whose rule is known.
struct RoutedRequest<'a> {
    scheme: &'static str,
    /// The port of the listener.
    port: u16,
    authority: &'a str,
    method: &'a str,
    /// The normalized path.
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
}

/// Returns the response of a rule: a redirect, an error of Envoy, or the response of the selected backend.
/// Appends the backend's filters to those of the rule.
async fn respond<'a>(
    request: &RoutedRequest<'_>,
    body: Incoming,
    route_match: &'a RouteMatch,
    backends: &Backends,
    filters: &mut Vec<&'a RouteFilter>,
) -> Response<Full<Bytes>> {
    let &RoutedRequest { scheme, port, authority, method, path, query, .. } = request;
    if let Some(config) = filters.iter().find_map(|filter| filter.request_redirect.as_ref()) {
        let origin = RequestOrigin { scheme, port, authority };
        let (status, to) = filter::redirect(config, origin, path, &route_match.prefix, query);
        return redirected(status, &to);
    }
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return empty_response(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    let mut headers = request.headers.clone();
    set_forwarded_headers(&mut headers, scheme);
    let Some(backend) = split::choose(&route_match.rule.backend_refs, |sum| fastrand::u64(..sum)) else {
        return empty_response(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let Some(workload) = find(backends, route_match, backend) else {
        return empty_response(StatusCode::INTERNAL_SERVER_ERROR);
    };
    filters.extend(&backend.filters);
    for config in filters.iter().filter_map(|filter| filter.request_header_modifier.as_ref()) {
        filter::change(&mut headers, config);
    }
    let (host, path) = filter::rewrite(filters, authority, path, &route_match.prefix);
    let backend_request =
        BackendRequest { scheme, host: &host, method, path: &path, query, headers: &headers, body: &body };
    let backend_response = backend::respond(workload, &backend_request);
    if let Some(bound) = route_match.rule.timeouts.bound().filter(|bound| backend_response.after > *bound) {
        tokio::time::sleep(bound).await;
        return text_response(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout");
    }
    if !backend_response.after.is_zero() {
        tokio::time::sleep(backend_response.after).await;
    }
    response_from(backend_response, method == "HEAD")
}

/// Adds the headers that Envoy adds for its backends.
fn set_forwarded_headers(headers: &mut HeaderMap, scheme: &'static str) {
    headers.remove(header::HOST);
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
    if !headers.contains_key("x-request-id") {
        let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert("x-request-id", id);
        }
    }
}

fn response_from(backend_response: BackendResponse, head: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(if head { Bytes::new() } else { backend_response.body }));
    *response.status_mut() = backend_response.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(backend_response.kind));
    response
}

/// Returns the response to a request that Envoy's HTTP/1 parser refuses; it closes the connection.
fn refused_by_parser() -> Response<Full<Bytes>> {
    let mut response = with_server_header(text_response(StatusCode::BAD_REQUEST, "Bad Request"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns a response of Envoy itself.
fn text_response(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn empty_response(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    with_server_header(response)
}

fn redirected(status: u16, to: &str) -> Response<Full<Bytes>> {
    let mut response = empty_response(StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND));
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Sets the server header. It comes last: no filter of a route removes it.
fn with_server_header(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("istio-envoy"));
    response
}
