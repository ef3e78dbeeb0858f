//! The addresses of a gateway, and its condition `Programmed`.

use serde_json::Value;

use super::infrastructure;
use crate::aks::condition::Condition;
use crate::aks::object::{list, namespace, number, text};
use crate::aks::reconcile_context::ReconcileContext;
use crate::aks::workload;

/// The resolved addresses of a gateway, with the condition they imply.
pub(super) struct ResolvedAddresses {
    pub programmed: Condition,
    /// The addresses of the load balancer.
    pub addresses: Vec<String>,
}

/// Resolves the Service of a gateway, its ready pods and its addresses.
pub(super) fn resolve(cx: &ReconcileContext<'_>, gateway: &Value) -> ResolvedAddresses {
    let service_name = infrastructure::name_of(gateway);
    let host = format!("{service_name}.{}.svc.cluster.local", namespace(gateway));
    let failed = |reason: &str, why: String| ResolvedAddresses {
        programmed: Condition::no("Programmed", reason, why),
        addresses: Vec::new(),
    };
    let Some(service) = cx.store.get("services", namespace(gateway), &service_name) else {
        let why = format!("Failed to assign to any requested addresses: hostname \"{host}\" not found");
        return failed("AddressNotUsable", why);
    };
    if !workload::has_ready_pod(cx, service) {
        let why = format!(
            "Failed to assign to any requested addresses: no instances found for hostname \"{host}\""
        );
        return failed("AddressNotAssigned", why);
    }
    let (served, absent) = ports(gateway, service);
    let assigned = join(&served.iter().map(|port| format!("{host}:{port}")).collect::<Vec<_>>());
    let addresses: Vec<String> = list(service, "/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| text(ingress, "/ip").to_owned())
        .filter(|address| !address.is_empty())
        .collect();
    let mut warnings: Vec<String> =
        absent.iter().map(|port| format!("port {port} not found for hostname \"{host}\"")).collect();
    if addresses.is_empty() && text(service, "/spec/type") == "LoadBalancer" {
        warnings.push(format!("address pending for hostname \"{host}\""));
    }
    let programmed = if warnings.is_empty() {
        let message = format!("Resource programmed, assigned to service(s) {assigned}");
        Condition::yes("Programmed", "Programmed", message)
    } else {
        let message = format!(
            "Assigned to service(s) {assigned}, but failed to assign to all requested addresses: {}",
            warnings.join("; ")
        );
        Condition::no("Programmed", "AddressNotAssigned", message)
    };
    ResolvedAddresses { programmed, addresses }
}

/// Returns the listener ports that the Service has, and those it lacks, sorted as text.
fn ports(gateway: &Value, service: &Value) -> (Vec<String>, Vec<String>) {
    let mut wanted: Vec<i64> =
        list(gateway, "/spec/listeners").iter().filter_map(|l| number(l, "/port")).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let has =
        |port: &i64| list(service, "/spec/ports").iter().any(|known| number(known, "/port") == Some(*port));
    let (served, absent): (Vec<i64>, Vec<i64>) = wanted.into_iter().partition(has);
    let sorted = |ports: Vec<i64>| {
        let mut ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        ports.sort_unstable();
        ports
    };
    (sorted(served), sorted(absent))
}

/// Joins names with commas and "and".
fn join(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}
