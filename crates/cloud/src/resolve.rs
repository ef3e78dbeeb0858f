//! Name resolution: every name under `.localhost` is this machine (RFC 6761 §6.3), the system resolves the
//! rest.
//!
//! Not every system resolver follows the RFC for names *below* `localhost`, so this module enforces the rule.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

/// The resolver that every client of this crate uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let addresses = addresses(&host).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The error for a name without a known address; a new vault's name has none for a minute.
#[derive(Debug)]
pub struct NameNotResolved {
    /// The name.
    pub host: String,
    source: std::io::Error,
}

impl NameNotResolved {
    pub(crate) fn new(host: &str, source: std::io::Error) -> Self {
        Self { host: host.to_owned(), source }
    }
}

impl fmt::Display for NameNotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address is known for {}", self.host)
    }
}

impl Error for NameNotResolved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Returns whether a host name is `localhost` or below it, with or without the root's dot.
pub fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Returns whether a URL leads to this machine: `127.0.0.0/8`, `::1`, or a name that [`is_localhost`].
pub fn is_loopback_host(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => is_localhost(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Resolves a name; the port is 0, and the connector fills it in.
pub async fn addresses(host: &str) -> Result<Vec<SocketAddr>, NameNotResolved> {
    if is_localhost(host) {
        return Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)]);
    }
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => Ok(found.collect()),
        Err(source) => Err(NameNotResolved::new(host, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_name_below_localhost_is_this_machine() {
        for host in ["localhost", "a.localhost", "kv.vault.landfall.localhost", "A.LocalHost."] {
            let found = addresses(host).await.expect("localhost always resolves");
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 0))], "{host}");
        }
    }

    #[test]
    fn names_similar_to_localhost_use_the_system_resolver() {
        for host in ["notlocalhost", "localhost.example.com", "localhosts"] {
            assert!(!is_localhost(host), "{host}");
        }
    }
}
