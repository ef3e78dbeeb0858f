//! The workloads behind the gateways: httpbin, which returns the request, and http-echo, which returns a
//! fixed text.
//!
//! Source: the answers of mccutchen/go-httpbin 2.x and hashicorp/http-echo 1.x.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use super::spec::Backend;
use super::table::RouteMatch;

/// The maximum duration of `/delay`, the limit of go-httpbin.
const DELAY_MAX: f64 = 10.0;

/// The workload behind a Service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BackendKind {
    /// go-httpbin.
    Httpbin,
    /// http-echo with its fixed text.
    Echo(String),
    /// Another workload, which responds with its name.
    Named(String),
    /// No pod is ready.
    Unavailable,
}

/// The workloads of a cluster, by namespace, name and port of their Service.
pub(crate) type Backends = BTreeMap<(String, String, u16), BackendKind>;

/// Returns the backend that a route references; `None` if the reference is invalid.
pub(super) fn find<'a>(
    backends: &'a Backends,
    route_match: &RouteMatch,
    backend: &Backend,
) -> Option<&'a BackendKind> {
    if backend.kind != "Service" || !backend.group.is_empty() {
        return None;
    }
    let place = backend.namespace.clone().unwrap_or_else(|| route_match.route.0.clone());
    backends.get(&(place, backend.name.clone(), backend.port?))
}

/// A request, as a workload receives it.
pub(crate) struct BackendRequest<'a> {
    pub scheme: &'a str,
    pub host: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// The response of a workload.
pub(crate) struct BackendResponse {
    pub status: StatusCode,
    pub kind: &'static str,
    pub body: Bytes,
    /// The delay before the response.
    pub after: Duration,
}

impl BackendResponse {
    fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: text.into().into(), after: Duration::ZERO }
    }

    fn json(body: &Value) -> Self {
        let body = serde_json::to_vec_pretty(body).unwrap_or_default().into();
        Self { status: StatusCode::OK, kind: "application/json; charset=utf-8", body, after: Duration::ZERO }
    }
}

/// Returns the response of a workload.
pub(crate) fn respond(workload: &BackendKind, backend_request: &BackendRequest<'_>) -> BackendResponse {
    match workload {
        BackendKind::Httpbin => httpbin(backend_request),
        BackendKind::Echo(echo_text) => BackendResponse::text(StatusCode::OK, format!("{echo_text}\n")),
        BackendKind::Named(name) => BackendResponse::text(StatusCode::OK, format!("{name}\n")),
        BackendKind::Unavailable => {
            BackendResponse::text(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream")
        }
    }
}

fn httpbin(backend_request: &BackendRequest<'_>) -> BackendResponse {
    let first = backend_request.path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let rest = backend_request.path.trim_start_matches('/').strip_prefix(first).unwrap_or_default();
    let rest = rest.trim_start_matches('/');
    match first {
        // Browsers get a page; other clients get the request, as on the other paths.
        "" if !wants_page(backend_request) => BackendResponse::json(&seen(backend_request)),
        "" => BackendResponse {
            kind: "text/html; charset=utf-8",
            ..BackendResponse::text(
                StatusCode::OK,
                "<!DOCTYPE html>\n<title>go-httpbin</title>\n<h1>go-httpbin</h1>\n",
            )
        },
        "get" if matches!(backend_request.method, "GET" | "HEAD") => {
            BackendResponse::json(&seen(backend_request))
        }
        "get" => BackendResponse::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"),
        "headers" => BackendResponse::json(&json!({ "headers": headers(backend_request) })),
        "anything" => BackendResponse::json(&seen(backend_request)),
        "status" => match rest.parse::<u16>().ok().and_then(|code| StatusCode::from_u16(code).ok()) {
            Some(status) => BackendResponse::text(status, ""),
            None => BackendResponse::text(StatusCode::BAD_REQUEST, "invalid status\n"),
        },
        "delay" => {
            let seconds: f64 = rest.trim_end_matches('s').parse().unwrap_or(0.0);
            BackendResponse {
                after: Duration::from_secs_f64(seconds.clamp(0.0, DELAY_MAX)),
                ..BackendResponse::json(&seen(backend_request))
            }
        }
        _ => BackendResponse::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

fn wants_page(backend_request: &BackendRequest<'_>) -> bool {
    let accepted =
        backend_request.headers.get(http::header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

fn headers(backend_request: &BackendRequest<'_>) -> Value {
    let mut seen = Map::new();
    for name in backend_request.headers.keys() {
        let values = backend_request.headers.get_all(name).iter();
        let values: Vec<String> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        seen.insert(canonical(name.as_str()), json!(values));
    }
    seen.insert("Host".to_owned(), json!([backend_request.host]));
    Value::Object(seen)
}

/// Returns a header name in Go's canonical form: `X-Request-Id` for `x-request-id`.
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

fn seen(backend_request: &BackendRequest<'_>) -> Value {
    let mut args = Map::new();
    for (name, value) in url::form_urlencoded::parse(backend_request.query.unwrap_or_default().as_bytes()) {
        match args.entry(name).or_insert_with(|| json!([])) {
            Value::Array(values) => values.push(json!(value)),
            _ => unreachable!("only lists are entered"),
        }
    }
    let query = backend_request.query.map(|query| format!("?{query}")).unwrap_or_default();
    json!({
        "args": args,
        "headers": headers(backend_request),
        "method": backend_request.method,
        "origin": "127.0.0.1",
        "url": format!("{}://{}{}{query}", backend_request.scheme, backend_request.host, backend_request.path),
        "data": String::from_utf8_lossy(backend_request.body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond_to(workload: &BackendKind, method: &str, path: &str) -> (u16, String) {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "7".parse().unwrap());
        let query = Some("a=1&a=%202");
        let (scheme, host, body) = ("https", "httpbin.demo.test", &b""[..]);
        let backend_request = BackendRequest { scheme, host, method, path, query, headers: &headers, body };
        let respond = respond(workload, &backend_request);
        (respond.status.as_u16(), String::from_utf8(respond.body.to_vec()).unwrap())
    }

    #[test]
    fn httpbin_returns_the_request() {
        let (status, body) = respond_to(&BackendKind::Httpbin, "GET", "/anything/at/all");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["method"]), (200, &json!("GET")));
        assert_eq!(body["url"], "https://httpbin.demo.test/anything/at/all?a=1&a=%202");
        assert_eq!(body["args"]["a"], json!(["1", " 2"]));
        assert_eq!(body["headers"]["X-Request-Id"], json!(["7"]));
        assert_eq!(respond_to(&BackendKind::Httpbin, "GET", "/status/418").0, 418);
        assert_eq!(respond_to(&BackendKind::Httpbin, "POST", "/get").0, 405);
        assert_eq!(respond_to(&BackendKind::Httpbin, "GET", "/nowhere").0, 404);
        assert_eq!(respond_to(&BackendKind::Httpbin, "GET", "/").0, 200);
    }

    #[test]
    fn echo_returns_its_text_and_no_pod_is_unavailable() {
        assert_eq!(respond_to(&BackendKind::Echo("Echo v1".into()), "GET", "/x"), (200, "Echo v1\n".into()));
        assert_eq!(respond_to(&BackendKind::Unavailable, "GET", "/").0, 503);
    }
}
