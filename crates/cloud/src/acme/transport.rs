//! The transport below `instant-acme`: our HTTP client, and a record of the last answer.
//!
//! `instant-acme` drops the headers of an error and requires a JSON body. The record keeps what the caller needs.

use super::error;
use crate::{ApiError, Clock, error::from_sdk, http_client::HttpClient, retry};
use azure_core::{
    Bytes,
    http::{
        HttpClient as _, Method, Request,
        headers::{HeaderName, Headers},
    },
};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error};
use jiff::Timestamp;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use url::Url;

/// The name under which landfall's requests appear in the logs of a server.
const USER_AGENT: &str = concat!("landfall/", env!("CARGO_PKG_VERSION"));

/// The last request and its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<Duration>,
    /// The time of the answer.
    pub(super) answered_at: Timestamp,
}

/// The transport of one server. Clones share the record.
#[derive(Clone)]
pub(super) struct AcmeTransport {
    client: HttpClient,
    clock: Clock,
    last: Arc<Mutex<Exchange>>,
}

impl AcmeTransport {
    pub(super) fn new(client: HttpClient, clock: &Clock) -> Self {
        Self { client, clock: clock.clone(), last: Arc::default() }
    }

    /// Returns the last request and its answer.
    pub(super) fn last(&self) -> Exchange {
        self.last.lock().expect("nothing panics while it is held").clone()
    }

    fn record(&self, exchange: Exchange) {
        *self.last.lock().expect("nothing panics while it is held") = exchange;
    }

    /// Converts an error of `instant-acme` with the record of the last answer.
    pub(super) fn error(&self, error: Error) -> ApiError {
        error::from_acme(error, &self.last())
    }

    /// Sends an unsigned GET.
    pub(super) async fn get(&self, url: &Url) -> Result<(u16, Bytes), ApiError> {
        let request = Request::new(url.clone(), Method::Get);
        let sent = self.send(request).await.map_err(|error| from_sdk(error, "GET", url.path()))?;
        Ok((sent.0, sent.2))
    }

    /// Sends a request and records the answer.
    pub(super) async fn send(&self, mut request: Request) -> azure_core::Result<(u16, Headers, Bytes)> {
        request.insert_header(HeaderName::from_static("user-agent"), USER_AGENT);
        let method = if request.method() == Method::Post { "POST" } else { "GET" };
        let mut exchange = Exchange { method, path: request.url().path().to_owned(), ..Exchange::default() };
        self.record(exchange.clone());
        let response = self.client.execute_request(&request).await?;
        let (status, headers, body) = response.deconstruct();
        let status = u16::from(status);
        exchange.status = Some(status);
        let now = self.clock.now();
        exchange.retry_after = retry::unbounded_retry_after(&headers, now.into());
        exchange.answered_at = now;
        self.record(exchange);
        Ok((status, headers, body.collect().await?))
    }
}

impl instant_acme::HttpClient for AcmeTransport {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let other = |error: Box<dyn std::error::Error + Send + Sync>| Error::Other(error);
            let url = Url::parse(&parts.uri.to_string()).map_err(|error| other(error.into()))?;
            let method = match parts.method {
                http::Method::POST => Method::Post,
                http::Method::HEAD => Method::Head,
                _ => Method::Get,
            };
            let mut outgoing = Request::new(url, method);
            for (name, value) in &parts.headers {
                if let Ok(value) = value.to_str() {
                    outgoing.insert_header(HeaderName::from(name.as_str().to_owned()), value.to_owned());
                }
            }
            let body = body.collect().await.map_or_else(|never| match never {}, |body| body.to_bytes());
            outgoing.set_body(body);
            let (status, headers, body) =
                this.send(outgoing).await.map_err(|error| other(Box::new(error)))?;
            let body = if status >= 400 { error::problem_body(status, body) } else { body };
            let mut response = http::Response::builder().status(status);
            for (name, value) in headers.iter() {
                response = response.header(name.as_str(), value.as_str());
            }
            let (parts, ()) = response.body(())?.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}
