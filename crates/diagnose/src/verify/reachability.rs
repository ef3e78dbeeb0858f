//! The check that every gateway has an address and responds on each of its ports.

use super::{
    CheckId,
    context::CheckContext,
    expectations::HostPort,
    outcome::{CheckOutcome, Fault},
};
use crate::http_probe::{Endpoint, RequestError};
use std::collections::{BTreeMap, BTreeSet};

/// The most frequent reason for a gateway without a response.
const PROBE: &str = "the load balancer's probe finds no healthy pod: only 200 counts, and `/` of a gateway \
                     is a redirect or a 404; the annotations port_…_health-probe_* of the Gateway point it \
                     to Envoy's health endpoint; landfall up sets them";

/// Sends one request to every port.
pub(super) async fn check(context: &CheckContext<'_>) -> CheckOutcome {
    let left_out = context.expectations.left_out.get(&CheckId::Gateways);
    let Some(ports) = ports(context) else {
        let others = left_out.map(|why| why.iter().cloned().collect::<Vec<_>>().join("; "));
        return CheckOutcome::NotApplicable(
            others.unwrap_or_else(|| "no Gateway in the manifests has a route".into()),
        );
    };
    let without = context.addresses.iter().filter_map(|address| address.clone().err());
    let mut faults: Vec<Fault> = without.collect();
    let probes = ports.values().map(|host_port| probe_port(context, host_port));
    faults.extend(futures::future::join_all(probes).await.into_iter().flatten());
    if !faults.is_empty() {
        return CheckOutcome::Failed(faults);
    }
    let numbers: BTreeSet<u16> = ports.keys().map(|(_, port)| *port).collect();
    let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
    let gateways: Vec<String> = context.gateways.iter().zip(&context.addresses).map(description).collect();
    CheckOutcome::Passed(format!("{} respond on port {}", gateways.join(" and "), numbers.join(" and ")))
}

fn description(
    (gateway, address): (&crate::route_model::Gateway, &Result<std::net::IpAddr, Fault>),
) -> String {
    let address = address.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} ({address})", gateway.name)
}

/// Returns one host for each port of each gateway.
fn ports<'a>(context: &'a CheckContext<'_>) -> Option<BTreeMap<(usize, u16), &'a HostPort>> {
    let host_ports = context.expectations.host_ports.iter().rev();
    let ports: BTreeMap<(usize, u16), &HostPort> =
        host_ports.map(|host_port| ((host_port.gateway, host_port.port), host_port)).collect();
    (!ports.is_empty()).then_some(ports)
}

/// Returns the fault of a port. Any response is valid, and a certificate error counts as a response.
async fn probe_port(context: &CheckContext<'_>, host_port: &HostPort) -> Option<Fault> {
    let endpoint = context.endpoint(host_port).ok()?;
    let result = match context.client.open(&endpoint).await {
        (Ok(mut connection), _) => connection.send("GET", "/", &[]).await.map(drop),
        (Err(failure), _) => Err(failure),
    };
    match result {
        Ok(()) | Err(RequestError::Untrusted(_)) => None,
        Err(failure) => Some(fault(context, host_port, &endpoint, &failure)),
    }
}

fn fault(
    context: &CheckContext<'_>,
    host_port: &HostPort,
    endpoint: &Endpoint,
    failure: &RequestError,
) -> Fault {
    let gateway = &context.gateways[host_port.gateway].name;
    let fault =
        Fault::new(format!("{gateway} ({}): {}", endpoint.address, failure.description(host_port.port)));
    match failure {
        RequestError::TimedOut(_) => fault.hint(PROBE),
        // Without its Secret a listener is not programmed, and accepts no connection.
        _ if host_port.secure => fault.root(CheckId::TlsSecret),
        _ => fault,
    }
}
