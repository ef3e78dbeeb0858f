//! Requests and responses as plain values, independent of connections.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{SimTime, Timing};

/// A complete request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The requested host, in lower case and without its port.
    pub host: String,
    /// The path in its original form, percent-encoded, without the query.
    pub path: String,
    /// The query parameters in order, decoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// A unique number in this simulated cloud, from which the response ids derive.
    pub number: u64,
}

impl Request {
    /// Creates a request without headers or body, for tests; `target` is a path with an optional query.
    pub fn new(method: Method, host: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method,
            host: host.to_ascii_lowercase(),
            path: path.to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            number: 0,
        }
    }

    /// Returns the request with that JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &impl Serialize) -> Self {
        self.body = Bytes::from(serde_json::to_vec(body).expect("a body made of plain values serialises"));
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Returns the request with one more header; an invalid header value is dropped.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    /// Returns a header as text; `None` if it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the first value of a query parameter; names are case-insensitive, as in ARM and Key Vault.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the segments of the path, percent-decoded; empty ones (doubled or trailing slashes) are
    /// skipped.
    pub fn segments(&self) -> Vec<String> {
        segments(&self.path)
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    /// The body is not JSON, or does not match `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Parses the body as an HTML form, pairs in order.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// Returns the path and query, encoded.
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        format!("{}?{query}", self.path)
    }
}

/// Splits a path into its percent-decoded, non-empty segments.
pub fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(percent_decoded).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| (byte as char).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A stream after the headers of a reply, such as a Kubernetes watch.
///
/// The server polls it under the lock of the state: whenever the state changed, when the next change is due,
/// and at the stream's deadline. Between polls it holds no lock.
pub trait Streaming: Send {
    /// Returns the new chunks since the last poll of the `CloudState`, each flushed separately, and whether the stream has ended.
    fn poll(&mut self, state: &dyn Any, now: SimTime) -> (Vec<Bytes>, bool);

    /// Returns the latest time of the next poll, even without a change.
    fn deadline(&self) -> SimTime;
}

/// The delivery of a reply to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Delivered completely.
    #[default]
    Whole,
    /// The connection is cut instead of a response.
    Cut,
    /// The connection is cut in the middle of the body.
    Truncated,
    /// No response is sent; the connection stays open until the client or the server closes it.
    Withheld,
}

impl Delivery {
    /// Returns whether the client gets a status.
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Whole | Self::Truncated)
    }
}

/// A response.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers; the server adds `Date` and the length.
    pub headers: HeaderMap,
    /// The body, or the first chunk when there is a stream.
    pub body: Bytes,
    /// The latency of the service in seconds of cloud time.
    pub latency: f64,
    /// Additional latency in real time, of a service whose answers do not depend on the speed.
    pub real_latency: Duration,
    /// The stream after the body.
    pub stream: Option<Box<dyn Streaming>>,
    /// The delivery.
    pub delivery: Delivery,
    /// The name of the injected fault, for the request log.
    pub fault: Option<&'static str>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", &String::from_utf8_lossy(&self.body))
            .field("stream", &self.stream.is_some())
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// Creates a reply without a body. A status below 100 or above 999 becomes 500.
    pub fn empty(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            latency: 0.0,
            real_latency: Duration::ZERO,
            stream: None,
            delivery: Delivery::Whole,
            fault: None,
        }
    }

    /// Creates a reply with a JSON body.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body).expect("a body made of plain values serialises");
        Self::bytes(status, "application/json; charset=utf-8", text)
    }

    /// Creates a reply with a plain text body.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body.into())
    }

    /// Creates a reply with a body of any media type.
    pub fn bytes(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status);
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        reply.body = body.into();
        reply
    }

    /// Creates a streaming reply with status 200 and that media type.
    pub fn stream(media_type: &'static str, stream: Box<dyn Streaming>) -> Self {
        let mut reply = Self::bytes(200, media_type, Bytes::new());
        reply.stream = Some(stream);
        reply
    }

    /// Returns the reply with a header set; an invalid header value is dropped.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Returns the reply with a latency in seconds of cloud time.
    #[must_use]
    pub fn with_latency(mut self, cloud_seconds: f64) -> Self {
        self.latency = cloud_seconds;
        self
    }

    /// Returns the reply, marked with an injected fault.
    #[must_use]
    pub fn with_fault(mut self, fault: &'static str) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Returns the body as JSON; null if it is not JSON.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Adds both forms of `Retry-After` for that many seconds of cloud time; adds none if `None`.
pub fn with_retry_after(reply: Reply, timing: &Timing, cloud_seconds: Option<f64>) -> Reply {
    let Some(cloud_seconds) = cloud_seconds else { return reply };
    let (seconds, ms) = timing.retry_after(cloud_seconds);
    reply.with_header("retry-after", &seconds.to_string()).with_header("retry-after-ms", &ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_and_a_trailing_slash_adds_none() {
        let request =
            Request::new(Method::GET, "Management.Test", "/a%20b//c/?API-version=1&%24filter=atScope()");
        assert_eq!(request.segments(), ["a b", "c"]);
        assert_eq!(request.query("api-version"), Some("1"));
        assert_eq!(request.query("$filter"), Some("atScope()"));
        assert_eq!(request.host, "management.test");
    }
}
