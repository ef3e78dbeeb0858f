//! Requests and replies as plain values: what the world's handlers take and give, with no connection behind them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Moment;
use crate::fault::Fault;
use crate::world::World;

/// One request, read to its end.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// The host asked for, in lower case and without its port.
    pub host: String,
    /// The path as it was sent, still percent-encoded, without the query.
    pub path: String,
    /// The query's pairs in order, decoded.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// A number no other request of this world has; ids of the reply come from it.
    pub number: u64,
}

impl Request {
    /// Makes a request without headers or body, as tests want it; `target` is a path with an optional query.
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

    /// Returns the same request with that JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &impl Serialize) -> Self {
        self.body = Bytes::from(serde_json::to_vec(body).expect("a body made of plain values serialises"));
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// Returns the same request with one more header; what is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    /// Returns a header as text, `None` when absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the first value of a query parameter; names are compared without case, as ARM and Key Vault do.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the segments of the path, percent-decoded; empty ones (doubled or trailing slashes) are left out.
    pub fn segments(&self) -> Vec<String> {
        segments(&self.path)
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    /// When the body is no JSON, or of another shape than `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Parses the body as an HTML form, pairs in order.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// Returns the path and query as they would be sent again.
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

/// A reply that goes on after its headers, such as a Kubernetes watch.
///
/// The server polls it under the world's lock whenever the world changed, when the world's next change is due,
/// and at the stream's deadline; between polls nothing of the world is held.
pub trait Streaming: Send {
    /// Returns the chunks that are new since the last poll, each flushed by itself, and whether that was all.
    fn poll(&mut self, world: &World, now: Moment) -> (Vec<Bytes>, bool);

    /// Returns when to poll again at the latest even if nothing changed.
    fn deadline(&self) -> Moment;
}

/// How a reply reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// As it should.
    #[default]
    Whole,
    /// The connection is cut in place of an answer.
    Cut,
    /// The connection is cut in the middle of the body.
    Truncated,
    /// No answer comes; the connection stays open until the client has had enough or the server stops.
    Withheld,
}

impl Delivery {
    /// Whether the client gets a status to read.
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Whole | Self::Truncated)
    }
}

/// One reply.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers; the server adds `Date` and the length.
    pub headers: HeaderMap,
    /// The body, or the first chunk when there is a stream.
    pub body: Bytes,
    /// How long the service takes to answer, in cloud seconds.
    pub latency: f64,
    /// What follows the body.
    pub stream: Option<Box<dyn Streaming>>,
    /// Whether it arrives at all.
    pub delivery: Delivery,
    /// The fault that bit the request, for the ledger.
    pub fault: Option<Fault>,
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
    /// Makes a reply without a body. A status below 100 or above 999 becomes 500.
    pub fn empty(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            latency: 0.0,
            stream: None,
            delivery: Delivery::Whole,
            fault: None,
        }
    }

    /// Makes a reply with a JSON body.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body).expect("a body made of plain values serialises");
        Self::bytes(status, "application/json; charset=utf-8", text)
    }

    /// Makes a reply with a plain text body.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body.into())
    }

    /// Makes a reply with a body of any media type.
    pub fn bytes(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status);
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        reply.body = body.into();
        reply
    }

    /// Makes a streaming reply with status 200 and that media type.
    pub fn stream(media_type: &'static str, stream: Box<dyn Streaming>) -> Self {
        let mut reply = Self::bytes(200, media_type, Bytes::new());
        reply.stream = Some(stream);
        reply
    }

    /// Returns the same reply with a header set; what is no header value is left out.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Returns the same reply, sent that many cloud seconds later.
    #[must_use]
    pub fn with_latency(mut self, cloud_seconds: f64) -> Self {
        self.latency = cloud_seconds;
        self
    }

    /// Returns the same reply, noted as the work of a fault.
    #[must_use]
    pub fn bitten_by(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Returns the body as JSON; null when it is none.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
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
