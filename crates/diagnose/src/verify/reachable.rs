//! The check that every gateway has an address and responds on each of its ports.

use super::{
    CheckId,
    finding::{Fault, Finding},
    promise::DoorWay,
    scene::Scene,
};
use crate::http_probe::{Door, Lost};
use std::collections::{BTreeMap, BTreeSet};

/// The most frequent reason for a gateway without a response.
const PROBE: &str = "the load balancer's probe finds no healthy pod: only 200 counts, and `/` of a gateway \
                     is a redirect or a 404; the annotations port_…_health-probe_* of the Gateway point it \
                     to Envoy's health endpoint; landfall up sets them";

/// Sends one request to every port.
pub(super) async fn check(scene: &Scene<'_>) -> Finding {
    let left_out = scene.promises.left_out.get(&CheckId::Gateways);
    let Some(ports) = ports(scene) else {
        let others = left_out.map(|why| why.iter().cloned().collect::<Vec<_>>().join("; "));
        return Finding::Inapplicable(
            others.unwrap_or_else(|| "no Gateway in the manifests has a route".into()),
        );
    };
    let without = scene.addresses.iter().filter_map(|address| address.clone().err());
    let mut faults: Vec<Fault> = without.collect();
    let knocks = ports.values().map(|way| knock(scene, way));
    faults.extend(futures::future::join_all(knocks).await.into_iter().flatten());
    if !faults.is_empty() {
        return Finding::Broken(faults);
    }
    let numbers: BTreeSet<u16> = ports.keys().map(|(_, port)| *port).collect();
    let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
    let gates: Vec<String> = scene.gates.iter().zip(&scene.addresses).map(told).collect();
    Finding::Holds(format!("{} respond on port {}", gates.join(" and "), numbers.join(" and ")))
}

fn told((gate, address): (&crate::route_model::Gate, &Result<std::net::IpAddr, Fault>)) -> String {
    let address = address.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} ({address})", gate.name)
}

/// Returns one host for each port of each gateway.
fn ports<'a>(scene: &'a Scene<'_>) -> Option<BTreeMap<(usize, u16), &'a DoorWay>> {
    let doors = scene.promises.doors.iter().rev();
    let ports: BTreeMap<(usize, u16), &DoorWay> = doors.map(|way| ((way.gate, way.port), way)).collect();
    (!ports.is_empty()).then_some(ports)
}

/// Returns the fault of a port. Any response is valid, and a certificate error counts as a response.
async fn knock(scene: &Scene<'_>, way: &DoorWay) -> Option<Fault> {
    let door = scene.door(way).ok()?;
    let answered = match scene.client.open(&door).await {
        (Ok(mut line), _) => line.ask("GET", "/", &[]).await.map(drop),
        (Err(lost), _) => Err(lost),
    };
    match answered {
        Ok(()) | Err(Lost::Untrusted(_)) => None,
        Err(lost) => Some(fault(scene, way, &door, &lost)),
    }
}

fn fault(scene: &Scene<'_>, way: &DoorWay, door: &Door, lost: &Lost) -> Fault {
    let gate = &scene.gates[way.gate].name;
    let fault = Fault::new(format!("{gate} ({}): {}", door.address, lost.told(way.port)));
    match lost {
        Lost::Silent(_) => fault.hint(PROBE),
        // Without its Secret a listener is not programmed, and accepts no connection.
        _ if way.secure => fault.root(CheckId::TlsSecret),
        _ => fault,
    }
}
