//! Refused requests of the proxy.

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

/// The body of a response: from the proxy or from a gateway.
pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// The reason why the proxy refuses a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProxyError {
    status: StatusCode,
    why: String,
}

impl ProxyError {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    /// Returns the 502 of a gateway that does not respond with HTTP.
    pub(super) fn no_response(authority: &Authority, error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, format!("{authority} does not respond: {error}"))
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let text = format!("{}\n", self.why);
        let mut response =
            Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
