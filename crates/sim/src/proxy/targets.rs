//! The allowed targets of the proxy. It refuses all names outside the simulated cloud: an open proxy on a
//! developer's machine would expose everything that machine can reach.

use std::net::{Ipv4Addr, SocketAddr};

use http::StatusCode;

use super::error::ProxyError;
use crate::server::connection::ServerContext;
use crate::state::DOMAIN;
use crate::traffic::claimed_hosts;

/// The target of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProxyTarget {
    /// The services of the cloud.
    Cloud,
    /// The socket of a gateway.
    Gateway(SocketAddr),
}

/// Resolves the target of a host and port.
///
/// # Errors
/// 403 for a target outside the cloud, 502 for an address of it without a listener.
pub(super) fn target(context: &ServerContext, host: &str, port: u16) -> Result<ProxyTarget, ProxyError> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if is_service(&host) || (is_loopback(&host) && port == context.port()) {
        return service(&host, port, context.port());
    }
    let (addresses, named_by) = match host.parse::<Ipv4Addr>() {
        Ok(address) => (vec![address], "it is no gateway's address"),
        Err(_) => (
            resolved(context, &host),
            "neither a DNS zone of this cloud nor a route of its gateways names it",
        ),
    };
    if let Some(socket) = addresses.iter().find_map(|address| context.listener(*address, port)) {
        return Ok(ProxyTarget::Gateway(socket));
    }
    if addresses.is_empty() || host.parse::<Ipv4Addr>().is_ok() {
        let why = format!("{host}:{port} is not led to: {named_by}, and this proxy leads to the cloud alone");
        return Err(ProxyError::new(StatusCode::FORBIDDEN, why));
    }
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let why = format!("{host} is {list}, where no gateway listens on port {port}");
    Err(ProxyError::new(StatusCode::BAD_GATEWAY, why))
}

/// The services use the simulated cloud's port; 443 is the default port of a client whose URL has none.
fn service(host: &str, port: u16, own_port: u16) -> Result<ProxyTarget, ProxyError> {
    if port == own_port || port == 443 {
        return Ok(ProxyTarget::Cloud);
    }
    let why = format!("{host} listens on the ports {own_port} and 443, not on {port}");
    Err(ProxyError::new(StatusCode::FORBIDDEN, why))
}

fn is_service(host: &str) -> bool {
    host.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "127.0.0.1"
}

/// Resolves a host through the DNS zones. If no zone covers the host, it resolves to the gateways whose
/// routes claim it, so that a host works before its record exists.
fn resolved(context: &ServerContext, host: &str) -> Vec<Ipv4Addr> {
    context.read(|state| match state.dns.covers(host) {
        true => state.dns.resolve(host).into_iter().flat_map(|(_, addresses)| addresses).collect(),
        false => claimed_hosts::gateway_addresses(state, host),
    })
}
