//! One request through a gateway: select the listener by name, the rule, the filters and the weighted
//! backend, then respond.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::sync::Arc;

use super::backend::{self, Answer, Arrived};
use super::filter::{self, Door as Way};
use super::serve::Entrance;
use super::spec::{Backend, Filter};
use super::split;
use super::table::{Asked, Met};
use super::view::{Answering, Backends, Door, Listener};

/// The maximum size of a request body in bytes.
const BODY_MAX: usize = 1024 * 1024;

/// Returns the listener for a name: the most specific match. A client without a name, for example one that
/// connects by address, gets the first one.
pub(super) fn listener<'a>(door: &'a Door, name: Option<&str>) -> Option<&'a Arc<Listener>> {
    let Some(name) = name else { return door.listeners.first() };
    let taking = door.listeners.iter().filter(|listener| listener.host.takes(name));
    taking.max_by(|one, other| one.host.specificity(&other.host))
}

/// Handles a request with the current state of the gateway.
pub(super) async fn pass(request: http::Request<Incoming>, entrance: &Entrance) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let view = entrance.views.borrow().clone();
    let Some(door) = view.doors.get(&entrance.place) else { return bare(StatusCode::NOT_FOUND) };
    let header = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_ascii_lowercase();
    let by_name = entrance.server_name.as_deref().unwrap_or(&host);
    let Some(listener) = listener(door, Some(by_name)).filter(|listener| listener.host.takes(&host)) else {
        return bare(StatusCode::NOT_FOUND);
    };
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let (path, method) = (parts.uri.path(), parts.method.as_str());
    let asked = Asked { host: &host, path, query: &query, method, headers: &parts.headers };
    let Some(met) = listener.table.meet(&asked) else { return bare(StatusCode::NOT_FOUND) };
    let filters = &met.rule.filters;
    if let Some(wish) = filters.iter().find_map(|filter| filter.request_redirect.as_ref()) {
        let way = Way { scheme: entrance.scheme, port: listener.port, host: &host };
        let (status, to) = filter::redirect(wish, way, path, &met.prefix, parts.uri.query());
        return redirected(status, &to);
    }
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return bare(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let body = body.to_bytes();
    let mut headers = parts.headers.clone();
    announce(&mut headers, entrance.scheme);
    let Some(backend) = split::choose(&met.rule.backend_refs, |sum| fastrand::u64(..sum)) else {
        return bare(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let Some(workload) = find(&door.backends, met, backend) else {
        return bare(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let all: Vec<&Filter> = filters.iter().chain(&backend.filters).collect();
    let (mut host, mut path) = (host.clone(), path.to_owned());
    for one in &all {
        if let Some(wish) = &one.request_header_modifier {
            filter::change(&mut headers, wish);
        }
        if let Some(wish) = &one.url_rewrite {
            host = wish.hostname.clone().unwrap_or(host);
            path = wish.path.as_ref().map_or(path.clone(), |wish| filter::replaced(wish, &path, &met.prefix));
        }
    }
    let arrived = Arrived {
        scheme: entrance.scheme,
        host: &host,
        method,
        path: &path,
        query: &query,
        headers: &headers,
        body: &body,
    };
    let answer = backend::answer(workload, &arrived);
    if let Some(bound) = met.rule.timeouts.bound().filter(|bound| answer.after > *bound) {
        tokio::time::sleep(bound).await;
        return bare(StatusCode::GATEWAY_TIMEOUT);
    }
    if !answer.after.is_zero() {
        tokio::time::sleep(answer.after).await;
    }
    let mut response = answered(answer, method == "HEAD");
    for wish in all.iter().filter_map(|filter| filter.response_header_modifier.as_ref()) {
        filter::change(response.headers_mut(), wish);
    }
    response
}

/// Returns the backend that a route references; `None` if the reference is invalid.
fn find<'a>(backends: &'a Backends, met: &Met, backend: &Backend) -> Option<&'a Answering> {
    if backend.kind != "Service" || !backend.group.is_empty() {
        return None;
    }
    let place = backend.namespace.clone().unwrap_or_else(|| met.route.0.clone());
    backends.get(&(place, backend.name.clone(), backend.port?))
}

/// Adds the headers that Envoy adds for its backends.
fn announce(headers: &mut HeaderMap, scheme: &'static str) {
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

fn answered(answer: Answer, head: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(if head { Bytes::new() } else { answer.body }));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    signed(response)
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    signed(response)
}

fn redirected(status: u16, to: &str) -> Response<Full<Bytes>> {
    let mut response = bare(StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND));
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn signed(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("istio-envoy"));
    response
}
