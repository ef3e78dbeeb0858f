//! Proxies on the way to an API server: the same environment variables as for Resource Manager.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tower::{BoxError, Service};

use crate::resolve::is_localhost;

/// The rules that select a proxy for a server. Servers on this machine have none.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules(Option<Arc<Matcher>>);

impl ProxyRules {
    /// Reads `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case.
    #[must_use]
    pub fn from_environment() -> Self {
        Self(Some(Arc::new(Matcher::from_env())))
    }

    /// Returns the rules of these values of `HTTPS_PROXY` and `NO_PROXY`.
    #[must_use]
    pub fn new(https_proxy: &str, no_proxy: &str) -> Self {
        Self(Some(Arc::new(Matcher::builder().https(https_proxy.to_owned()).no(no_proxy.to_owned()).build())))
    }

    fn proxy_of(&self, server: &Uri) -> Option<Intercept> {
        let host = server.host()?.trim_matches(['[', ']']);
        let is_here = is_localhost(host) || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.0.as_ref().filter(|_| !is_here)?.intercept(server)
    }
}

/// A connector that asks a proxy for a tunnel to the server where the rules name one.
#[derive(Clone)]
pub(super) struct ProxyConnector<C> {
    direct: C,
    rules: ProxyRules,
}

impl<C> ProxyConnector<C> {
    pub(super) fn new(direct: C, rules: ProxyRules) -> Self {
        Self { direct, rules }
    }
}

/// The error of a connection through a proxy; without the credentials of the proxy.
#[derive(Debug, thiserror::Error)]
#[error("no connection through the proxy {proxy}")]
struct ProxyFailed {
    proxy: String,
    source: BoxError,
}

impl<C> Service<Uri> for ProxyConnector<C>
where
    C: Service<Uri> + Clone,
    C::Response: Read + Write + Unpin + Send + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let Some(intercept) = self.rules.proxy_of(&server) else {
            let connecting = self.direct.call(server);
            return Box::pin(async move { connecting.await.map_err(Into::into) });
        };
        let (host, port) = (intercept.uri().host().unwrap_or_default(), intercept.uri().port_u16());
        let proxy = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if intercept.uri().scheme_str() != Some("http") {
            let source = "only proxies with the scheme http are supported for API servers".into();
            return Box::pin(async move { Err(ProxyFailed { proxy, source }.into()) });
        }
        let mut tunnel = Tunnel::new(intercept.uri().clone(), self.direct.clone());
        if let Some(credentials) = intercept.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let connecting = tunnel.call(server);
        Box::pin(async move {
            connecting.await.map_err(|error| ProxyFailed { proxy, source: Box::new(error) }.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_and_this_machine_are_reached_directly() {
        let rules = ProxyRules::new("http://me:secret@proxy.example:3128", "corp.example,10.0.0.0/8");
        let proxy = |server: &str| rules.proxy_of(&server.parse().unwrap());
        let intercept = proxy("https://aks-1.hcp.eastus.azmk8s.io:443").unwrap();
        assert_eq!(intercept.uri().host(), Some("proxy.example"));
        assert!(intercept.basic_auth().is_some() && !intercept.uri().to_string().contains("secret"));
        for direct in
            ["https://api.corp.example", "https://10.1.2.3", "https://127.0.0.1:1", "https://a.localhost"]
        {
            assert!(proxy(direct).is_none(), "{direct}");
        }
        assert!(ProxyRules::default().proxy_of(&"https://aks-1.example".parse().unwrap()).is_none());
    }
}
