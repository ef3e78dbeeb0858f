//! The cloud state at the start of a round: the vault's newest certificate and the gateways' addresses, live.

use super::{
    CheckId, ReadError,
    backend_signature::Workloads,
    expectations::{Expectations, HostPort},
    outcome::Fault,
};
use crate::route_model::Gateway;
use crate::{
    http_probe::{Client, Endpoint, RequestError},
    peer_certificate::Trust,
};
use landfall_cloud::{
    ClusterSession,
    kubernetes::{DynamicObject, Kind, readiness, readiness::Readiness},
    vault::StoredCertificate,
};
use std::{net::IpAddr, sync::Arc};

/// The input of one round.
pub(super) struct CheckContext<'a> {
    pub(super) client: Client,
    pub(super) trust: Arc<Trust>,
    pub(super) session: &'a ClusterSession,
    pub(super) gateways: &'a [Gateway],
    pub(super) expectations: &'a Expectations,
    pub(super) workloads: &'a Workloads,
    pub(super) stored: &'a StoredCertificate,
    /// The gateways' addresses, in the set's order, or the reason for a missing one.
    pub(super) addresses: Vec<Result<IpAddr, Fault>>,
}

impl CheckContext<'_> {
    /// Returns the current endpoint of a gateway port.
    pub(super) fn endpoint(&self, host_port: &HostPort) -> Result<Endpoint, Fault> {
        let address =
            self.addresses[host_port.gateway].clone().map_err(|fault| fault.root(CheckId::Gateways))?;
        let (port, secure, pinned) = (host_port.port, host_port.secure, host_port.pinned);
        Ok(Endpoint { address, port, secure, pinned, host: host_port.host.clone() })
    }

    /// Returns the fault for a failed request, and the check that reports its cause.
    pub(super) fn failure(&self, host_port: &HostPort, failure: &RequestError) -> Fault {
        let root = match failure {
            RequestError::Untrusted(_) => CheckId::Certificate,
            RequestError::TimedOut(_) | RequestError::ConnectionFailed(_) | RequestError::NotHttp(_) => {
                CheckId::Gateways
            }
        };
        Fault::new(format!("{}: {}", host_port.host, failure.description(host_port.port))).root(root)
    }
}

/// Reads the addresses of the gateways.
pub(super) async fn addresses(
    session: &ClusterSession,
    gateways: &[Gateway],
) -> Result<Vec<Result<IpAddr, Fault>>, ReadError> {
    let reads = gateways.iter().map(|gateway| async move {
        let what = format!("read Gateway {}", gateway.name);
        let live = session.api.get(&Kind::GATEWAY, Some(&gateway.namespace), &gateway.name).await;
        let live = live.map_err(|error| ReadError::api(what, error))?;
        Ok(address(gateway, live.as_ref()))
    });
    futures::future::try_join_all(reads).await
}

fn address(gateway: &Gateway, live: Option<&DynamicObject>) -> Result<IpAddr, Fault> {
    let Some(live) = live else {
        return Err(
            Fault::new(format!("Gateway {} does not exist", gateway.name)).hint("landfall up creates it")
        );
    };
    let addresses = live.data["status"]["addresses"].as_array();
    let values = addresses.into_iter().flatten().filter_map(|one| one["value"].as_str());
    if let Some(address) = values.clone().find_map(|value| value.parse().ok()) {
        return Ok(address);
    }
    let why = match (values.into_iter().next(), readiness::gateway(live)) {
        (Some(other), _) => format!("its address {other} is not an IP address"),
        (None, Readiness::Waiting(why) | Readiness::Broken(why)) => why,
        (None, Readiness::Ready(_)) => "it has no address".to_owned(),
    };
    Err(Fault::new(format!("Gateway {}: {why}", gateway.name)).hint(format!(
        "describe the Services of Gateway {}: kubectl describe service -A -l \
                       gateway.networking.k8s.io/gateway-name={}",
        gateway.name, gateway.name
    )))
}
