//! The cloud's load balancer: public addresses for Services of type LoadBalancer.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::object::{is_ending, list, object_ref, text, uid};
use super::reconcile_context::{EventSpec, ReconcileContext};
use super::timers::{ObjectRef, Task};
use crate::durations;

const MANAGER: &str = "cloud-controller-manager";
const SOURCE: &str = "service-controller";
/// The first public address. Loopback addresses stand in for the public range; the ones before this belong to
/// the machine.
const FIRST: u32 = u32::from_be_bytes([127, 0, 0, 11]);
const LAST: u32 = u32::from_be_bytes([127, 0, 255, 254]);
/// The offset of the first internal load balancer address in the nodes' subnet.
const INTERNAL_FIRST: u32 = 200;
/// The first and the longest retry delay, in seconds of cloud time (cloud provider source).
const RETRY: (f64, f64) = (5.0, 300.0);
/// The finalizer that keeps a Service until its load balancer is deleted (cloud provider source).
const CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";
const INTERNAL: &str = "/metadata/annotations/service.beta.kubernetes.io~1azure-load-balancer-internal";

/// The addresses of the Services.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Balancer {
    /// The addresses by the Service's uid.
    held: BTreeMap<String, String>,
    /// The number of addresses assigned so far: a released address is not reused at once.
    #[serde(rename = "given")]
    assigned: u32,
}

impl Balancer {
    /// Returns the addresses, each with the Service's UID.
    pub(super) fn held(&self) -> impl Iterator<Item = (&str, &str)> {
        self.held.iter().map(|(uid, address)| (uid.as_str(), address.as_str()))
    }

    /// Returns the numbers of assigned and of held addresses. Together they change with each assignment and release.
    pub(super) fn revision(&self) -> (u32, usize) {
        (self.assigned, self.held.len())
    }

    /// Returns the number of public addresses in use.
    pub(super) fn public_addresses(&self) -> usize {
        self.held.values().filter(|address| address.starts_with("127.")).count()
    }
}

/// Starts the assignment for new Services, and releases the addresses of deleted ones.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    let services = cx.all("services");
    let is_balanced = |service: &Value| text(service, "/spec/type") == "LoadBalancer";
    let held = |service: &Value| is_balanced(service) && (!is_ending(service) || has_finalizer(service));
    cx.state
        .balancer
        .held
        .retain(|holder, _| services.iter().any(|service| uid(service) == holder && held(service)));
    for service in services.iter().filter(|service| is_ending(service) && has_finalizer(service)) {
        cx.schedule_once(durations::LOAD_BALANCER_RELEASE, Task::Release { service: object_ref(service) });
    }
    for service in services.iter().filter(|service| is_balanced(service) && !is_ending(service)) {
        add_finalizer(cx, service);
        if !list(service, "/status/loadBalancer/ingress").is_empty() {
            continue;
        }
        let waiting = cx
            .state
            .timers
            .holds(|task| matches!(task, Task::Balance { service: of, .. } if of.uid == uid(service)));
        if !waiting {
            cx.event(service, &EventSpec::normal(SOURCE, "EnsuringLoadBalancer", "Ensuring load balancer"));
            cx.schedule(
                durations::LOAD_BALANCER_ADDRESS,
                Task::Balance { service: object_ref(service), attempt: 0 },
            );
        }
    }
    for service in services.iter().filter(|service| text(service, "/spec/type") != "LoadBalancer") {
        if !list(service, "/status/loadBalancer/ingress").is_empty() {
            cx.status("services", service, json!({"loadBalancer": {}}), MANAGER);
        }
    }
}

fn has_finalizer(service: &Value) -> bool {
    list(service, "/metadata/finalizers").iter().any(|finalizer| finalizer == CLEANUP)
}

/// Adds the finalizer that keeps a Service until its load balancer is deleted.
fn add_finalizer(cx: &mut ReconcileContext<'_>, service: &Value) {
    if has_finalizer(service) {
        return;
    }
    let mut finalizers = list(service, "/metadata/finalizers").to_vec();
    finalizers.push(json!(CLEANUP));
    let mut service = service.clone();
    service["metadata"]["finalizers"] = Value::Array(finalizers);
    cx.put("services", service, MANAGER);
}

/// Deletes the load balancer of a Service and removes the finalizer.
pub(super) fn release(cx: &mut ReconcileContext<'_>, target: &ObjectRef) {
    let Some(mut service) = cx.find("services", target).map(Arc::unwrap_or_clone) else { return };
    cx.event(&service, &EventSpec::normal(SOURCE, "DeletedLoadBalancer", "Deleted load balancer"));
    if let Some(finalizers) = service["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != CLEANUP);
    }
    cx.put("services", service, MANAGER);
}

/// Assigns an address to a Service. On failure writes an event and schedules the next attempt.
pub(super) fn assign(cx: &mut ReconcileContext<'_>, target: &ObjectRef, attempt: u32) {
    let Some(service) = cx.find("services", target) else { return };
    if text(&service, "/spec/type") != "LoadBalancer" || is_ending(&service) {
        return;
    }
    if cx.state.addresses_late > 0 {
        cx.state.addresses_late -= 1;
        let due = cx.timing.delayed_until(cx.at, durations::LATE_ADDRESS);
        cx.state.timers.insert(due, Task::Balance { service: target.clone(), attempt });
        return;
    }
    let internal = text(&service, INTERNAL) == "true";
    if let Some(message) = creation_error(cx, target, internal) {
        cx.event(&service, &EventSpec::warning(SOURCE, "SyncLoadBalancerFailed", message));
        let wait = (RETRY.0 * 2f64.powi(attempt.min(30) as i32)).min(RETRY.1);
        let due = cx.retry_after(wait);
        cx.state.timers.insert(due, Task::Balance { service: target.clone(), attempt: attempt + 1 });
        return;
    }
    let address = next_address(cx, internal);
    cx.state.balancer.held.insert(target.uid.clone(), address.clone());
    let status = json!({"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}});
    cx.status("services", &service, status, MANAGER);
    cx.event(&service, &EventSpec::normal(SOURCE, "EnsuredLoadBalancer", "Ensured load balancer"));
}

/// Returns the cloud provider's error message if the cloud cannot create a load balancer.
fn creation_error(cx: &ReconcileContext<'_>, target: &ObjectRef, internal: bool) -> Option<String> {
    let (subscription, group) = (&cx.cluster_info.subscription, &cx.cluster_info.node_resource_group);
    let refused = |place: &str, code: &str, why: &str| {
        format!(
            "Error syncing load balancer: failed to ensure load balancer: PUT https://management.azure.com/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/{place}: RESPONSE 400: 400 Bad Request ERROR CODE: {code} {{\"error\":{{\"code\":\"{code}\",\"message\":\"{why}\",\"details\":[]}}}}"
        )
    };
    if cx.state.balancers_fail {
        let why = "Subnet snet-aks does not have enough capacity for 1 IP addresses.";
        return Some(refused("loadBalancers/kubernetes", "SubnetIsFull", why));
    }
    let quota = cx.cluster_info.public_ip_quota.filter(|_| !internal)?;
    (cx.state.balancer.public_addresses() >= quota as usize).then(|| {
        let place = format!("publicIPAddresses/kubernetes-a{}", target.uid.replace('-', ""));
        let why = format!(
            "Cannot create more than {quota} public IP addresses for this subscription in this region."
        );
        refused(&place, "PublicIPCountLimitReached", &why)
    })
}

fn next_address(cx: &mut ReconcileContext<'_>, internal: bool) -> String {
    let balancer = &mut cx.state.balancer;
    balancer.assigned += 1;
    if internal {
        let network = cx
            .cluster_info
            .subnet
            .parse::<ipnet::Ipv4Net>()
            .map_or(u32::from(Ipv4Addr::new(10, 224, 0, 0)), |net| u32::from(net.network()));
        return Ipv4Addr::from(network.saturating_add(INTERNAL_FIRST + balancer.assigned)).to_string();
    }
    let place = FIRST + (balancer.assigned - 1) % (LAST - FIRST);
    Ipv4Addr::from(place).to_string()
}
