//! The cloud state at the start of a round: the vault's newest certificate and the gateways' addresses, live.

use super::{
    CheckId, ReadError,
    finding::Fault,
    promise::{DoorWay, Promises},
    workload::Workloads,
};
use crate::route_model::Gate;
use crate::{
    http_probe::{Client, Door, Lost},
    peer_certificate::Trust,
};
use landfall_cloud::{
    Opened,
    kubernetes::{DynamicObject, Kind, readiness, readiness::Readiness},
    vault::Stored,
};
use std::{net::IpAddr, sync::Arc};

/// The input of one round.
pub(super) struct Scene<'a> {
    pub(super) client: Client,
    pub(super) trust: Arc<Trust>,
    pub(super) opened: &'a Opened,
    pub(super) gates: &'a [Gate],
    pub(super) promises: &'a Promises,
    pub(super) workloads: &'a Workloads,
    pub(super) stored: &'a Stored,
    /// The gateways' addresses, in the set's order, or the reason for a missing one.
    pub(super) addresses: Vec<Result<IpAddr, Fault>>,
}

impl Scene<'_> {
    /// Returns the current endpoint of a gateway port.
    pub(super) fn door(&self, way: &DoorWay) -> Result<Door, Fault> {
        let address = self.addresses[way.gate].clone().map_err(|fault| fault.root(CheckId::Gateways))?;
        let (port, secure, pinned) = (way.port, way.secure, way.pinned);
        Ok(Door { address, port, secure, pinned, host: way.host.clone() })
    }

    /// Returns the fault for a failed request, and the check that reports its cause.
    pub(super) fn lost(&self, way: &DoorWay, lost: &Lost) -> Fault {
        let root = match lost {
            Lost::Untrusted(_) => CheckId::Certificate,
            Lost::Silent(_) | Lost::Broken(_) | Lost::NotHttp(_) => CheckId::Gateways,
        };
        Fault::new(format!("{}: {}", way.host, lost.told(way.port))).root(root)
    }
}

/// Reads the addresses of the gateways.
pub(super) async fn addresses(
    opened: &Opened,
    gates: &[Gate],
) -> Result<Vec<Result<IpAddr, Fault>>, ReadError> {
    let looks = gates.iter().map(|gate| async move {
        let what = format!("read Gateway {}", gate.name);
        let live = opened.api.get(&Kind::GATEWAY, Some(&gate.namespace), &gate.name).await;
        let live = live.map_err(|error| ReadError::api(what, error))?;
        Ok(address(gate, live.as_ref()))
    });
    futures::future::try_join_all(looks).await
}

fn address(gate: &Gate, live: Option<&DynamicObject>) -> Result<IpAddr, Fault> {
    let Some(live) = live else {
        return Err(
            Fault::new(format!("Gateway {} does not exist", gate.name)).hint("landfall up creates it")
        );
    };
    let given = live.data["status"]["addresses"].as_array();
    let values = given.into_iter().flatten().filter_map(|one| one["value"].as_str());
    if let Some(address) = values.clone().find_map(|value| value.parse().ok()) {
        return Ok(address);
    }
    let why = match (values.into_iter().next(), readiness::gateway(live)) {
        (Some(other), _) => format!("its address {other} is not an IP address"),
        (None, Readiness::Waiting(why) | Readiness::Broken(why)) => why,
        (None, Readiness::Ready(_)) => "it has no address".to_owned(),
    };
    Err(Fault::new(format!("Gateway {}: {why}", gate.name))
        .hint(format!("check the Service of {}: kubectl describe service", gate.name)))
}
