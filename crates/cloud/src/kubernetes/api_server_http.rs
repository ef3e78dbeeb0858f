//! One API server: sends a request to it and returns the answer.
//!
//! This module assembles the HTTP client itself, for four reasons. First, names under `.localhost` must reach
//! the loopback interface, whatever the system's resolver answers (RFC 6761 §6.3). Second, each request is
//! counted below every layer that might retry it. Third, this crate has one retry policy, and clients have
//! their own. Fourth, proxies follow the same rules as those of Resource Manager.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use azure_core::Bytes;
use futures::TryStreamExt as _;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tower::BoxError;

use super::current_context::ServerAccess;
use super::http_proxy::{ProxyConnector, ProxyRules};
use crate::request_counter::{RequestCounter, RequestStart};
use crate::resolve::addresses;
use crate::transport::Transport;
use crate::write_gate;

/// The timeout of a new TCP connection, in real time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Returns a body that is already in memory.
pub(super) fn whole(body: Vec<u8>) -> Body {
    Full::from(body).map_err(|never| match never {}).boxed_unsync()
}

/// An API server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub(super) struct ApiServer(Arc<Inner>);

struct Inner {
    server: Uri,
    headers: HeaderMap,
    channel: Channel,
    request_counter: RequestCounter,
}

/// The way to the server.
enum Channel {
    Https(Box<HttpClient<HttpsConnector<ProxyConnector<Resolving>>, Full<Bytes>>>),
    Transport(Arc<dyn Transport>),
}

/// A connector that resolves names with [`addresses`].
type Resolving = HttpConnector<Resolver>;

#[derive(Clone)]
pub(super) struct Resolver;

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = futures::future::BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found = addresses(name.as_str()).await.map_err(io::Error::other)?;
            Ok(found.into_iter())
        })
    }
}

impl ApiServer {
    /// Returns the server behind HTTPS over the network, through a proxy where the rules name one.
    pub(super) fn over_network(access: ServerAccess, proxies: ProxyRules, counter: &RequestCounter) -> Self {
        let mut connector = HttpConnector::new_with_resolver(Resolver);
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let builder = HttpsConnectorBuilder::new().with_tls_config(access.tls).https_only();
        let builder = match access.server_name {
            Some(name) => builder.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => builder,
        };
        let connector = builder.enable_http1().wrap_connector(ProxyConnector::new(connector, proxies));
        let client = HttpClient::builder(TokioExecutor::new()).build(connector);
        Self::new(access.server, access.headers, Channel::Https(Box::new(client)), counter)
    }

    /// Returns the server behind a transport, which needs neither name resolution nor trust.
    pub(super) fn over_transport(
        access: ServerAccess,
        transport: Arc<dyn Transport>,
        counter: &RequestCounter,
    ) -> Self {
        Self::new(access.server, access.headers, Channel::Transport(transport), counter)
    }

    fn new(server: Uri, headers: HeaderMap, channel: Channel, counter: &RequestCounter) -> Self {
        Self(Arc::new(Inner { server, headers, channel, request_counter: counter.clone() }))
    }

    /// Reports that a request will be sent again, after this status or after no response.
    pub(super) fn retried(&self, status: Option<u16>) {
        self.0.request_counter.retried(status);
    }

    /// Sends one request, whose URI is a path; returns the answer when its headers have arrived.
    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, BoxError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = absolute(&self.0.server, parts.uri.path_and_query())?;
        for (name, value) in &self.0.headers {
            parts.headers.entry(name).or_insert_with(|| value.clone());
        }
        write_gate::pass(self.0.request_counter.write_gate(), parts.method.as_str()).await?;
        let uri = parts.uri.clone();
        let mut active = self.0.request_counter.begin(&RequestStart {
            method: parts.method.as_str(),
            scheme: uri.scheme_str().unwrap_or("https"),
            host: uri.host().unwrap_or_default(),
            port: uri.port_u16().unwrap_or(443),
            path: uri.path(),
            client_request_id: None,
        });
        let mut answered = |status: StatusCode| {
            if let Some(active) = &mut active {
                active.end(status.as_u16(), None);
            }
        };
        match &self.0.channel {
            Channel::Https(client) => {
                let answer = client.request(Request::from_parts(parts, Full::from(body))).await?;
                answered(answer.status());
                Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()))
            }
            Channel::Transport(transport) => {
                let answer = transport.send(Request::from_parts(parts, Bytes::from(body))).await?;
                answered(answer.status());
                Ok(answer.map(|body| {
                    StreamBody::new(body.map_ok(Frame::data).map_err(BoxError::from)).boxed_unsync()
                }))
            }
        }
    }
}

/// Returns the URI of a path on a server, below the path of the server's own URI.
fn absolute(server: &Uri, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
    let prefix = server.path().trim_end_matches('/');
    let path = path.map_or("/", PathAndQuery::as_str);
    let mut builder = Uri::builder().path_and_query(format!("{prefix}{path}"));
    if let Some(scheme) = server.scheme() {
        builder = builder.scheme(scheme.clone());
    }
    if let Some(authority) = server.authority() {
        builder = builder.authority(authority.clone());
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_path_of_the_server() {
        for (server, path, wanted) in [
            ("https://a:6443", "/api/v1?limit=1", "https://a:6443/api/v1?limit=1"),
            ("https://a/", "/api", "https://a/api"),
            ("https://a/clusters/c-1/", "/api/v1", "https://a/clusters/c-1/api/v1"),
        ] {
            let path = path.parse().unwrap();
            assert_eq!(absolute(&server.parse().unwrap(), Some(&path)).unwrap().to_string(), wanted);
        }
    }
}
