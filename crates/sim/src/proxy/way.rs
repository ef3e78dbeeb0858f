//! Which names lead where. What is not of this cloud leads nowhere: an open proxy on a developer's machine would be a
//! door into whatever that machine can reach.

use std::net::{Ipv4Addr, SocketAddr};

use http::StatusCode;

use super::Refusal;
use crate::server::Front;
use crate::traffic::names;
use crate::world::DOMAIN;

/// Where a name leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the services of the cloud.
    World,
    /// To a gateway's socket.
    Gateway(SocketAddr),
}

/// Finds the way to a host and port.
///
/// # Errors
/// 403 for what is not of this cloud, 502 for an address of it where nobody listens.
pub(super) fn way(front: &Front, host: &str, port: u16) -> Result<Way, Refusal> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if is_service(&host) || (is_here(&host) && port == front.port()) {
        return service(&host, port, front.port());
    }
    let (addresses, named_by) = match host.parse::<Ipv4Addr>() {
        Ok(address) => (vec![address], "it is no gateway's address"),
        Err(_) => {
            (resolved(front, &host), "neither a DNS zone of this cloud nor a route of its gateways names it")
        }
    };
    if let Some(socket) = addresses.iter().find_map(|address| front.door(*address, port)) {
        return Ok(Way::Gateway(socket));
    }
    if addresses.is_empty() || host.parse::<Ipv4Addr>().is_ok() {
        let why = format!("{host}:{port} is not led to: {named_by}, and this proxy leads to the cloud alone");
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let why = format!("{host} is {list}, where no gateway listens on port {port}");
    Err(Refusal::new(StatusCode::BAD_GATEWAY, why))
}

/// The services are on the world's port; 443 is where a client looks that was told a name without one.
fn service(host: &str, port: u16, own: u16) -> Result<Way, Refusal> {
    if port == own || port == 443 {
        return Ok(Way::World);
    }
    let why = format!("{host} answers on the ports {own} and 443, not on {port}");
    Err(Refusal::new(StatusCode::FORBIDDEN, why))
}

fn is_service(host: &str) -> bool {
    host.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host == "127.0.0.1"
}

/// What the zones say of a host counts. Only where none is asked for it, a gateway whose route claims it is meant, as
/// if the record were in everybody's hosts file until somebody enters it.
fn resolved(front: &Front, host: &str) -> Vec<Ipv4Addr> {
    front.read(|world| match world.dns.covers(host) {
        true => world.dns.resolve(host).into_iter().flat_map(|(_, addresses)| addresses).collect(),
        false => names::claimed(world, host),
    })
}
