//! The cloud's load balancer: public addresses for Services of type LoadBalancer.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agenda::{Named, Task};
use super::object::{is_ending, list, named, text, uid};
use super::turn::{Happening, Turn};
use crate::durations;
use crate::fault::lag;

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
    given: u32,
}

impl Balancer {
    /// Returns the number of public addresses in use.
    pub(super) fn public_addresses(&self) -> usize {
        self.held.values().filter(|address| address.starts_with("127.")).count()
    }
}

/// Starts the assignment for new Services, and releases the addresses of deleted ones.
pub(super) fn look(turn: &mut Turn<'_>) {
    let services = turn.all("services");
    let is_balanced = |service: &Value| text(service, "/spec/type") == "LoadBalancer";
    let held = |service: &Value| is_balanced(service) && (!is_ending(service) || is_cleaned(service));
    turn.memory
        .balancer
        .held
        .retain(|holder, _| services.iter().any(|service| uid(service) == holder && held(service)));
    for service in services.iter().filter(|service| is_ending(service) && is_cleaned(service)) {
        turn.later_once(durations::LOAD_BALANCER_RELEASE, Task::Release { service: named(service) });
    }
    for service in services.iter().filter(|service| is_balanced(service) && !is_ending(service)) {
        hold(turn, service);
        if !list(service, "/status/loadBalancer/ingress").is_empty() {
            continue;
        }
        let waiting = turn
            .memory
            .agenda
            .holds(|task| matches!(task, Task::Balance { service: of, .. } if of.uid == uid(service)));
        if !waiting {
            turn.event(service, &Happening::normal(SOURCE, "EnsuringLoadBalancer", "Ensuring load balancer"));
            turn.later(
                durations::LOAD_BALANCER_ADDRESS,
                Task::Balance { service: named(service), attempt: 0 },
            );
        }
    }
    for service in services.iter().filter(|service| text(service, "/spec/type") != "LoadBalancer") {
        if !list(service, "/status/loadBalancer/ingress").is_empty() {
            turn.status("services", service, json!({"loadBalancer": {}}), MANAGER);
        }
    }
}

fn is_cleaned(service: &Value) -> bool {
    list(service, "/metadata/finalizers").iter().any(|finalizer| finalizer == CLEANUP)
}

/// Adds the finalizer that keeps a Service until its load balancer is deleted.
fn hold(turn: &mut Turn<'_>, service: &Value) {
    if is_cleaned(service) {
        return;
    }
    let mut finalizers = list(service, "/metadata/finalizers").to_vec();
    finalizers.push(json!(CLEANUP));
    let mut service = service.clone();
    service["metadata"]["finalizers"] = Value::Array(finalizers);
    turn.put("services", service, MANAGER);
}

/// Deletes the load balancer of a Service and removes the finalizer.
pub(super) fn release(turn: &mut Turn<'_>, tag: &Named) {
    let Some(mut service) = turn.find("services", tag) else { return };
    turn.event(&service, &Happening::normal(SOURCE, "DeletedLoadBalancer", "Deleted load balancer"));
    if let Some(finalizers) = service["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != CLEANUP);
    }
    turn.put("services", service, MANAGER);
}

/// Assigns an address to a Service. On failure writes an event and schedules the next attempt.
pub(super) fn assign(turn: &mut Turn<'_>, tag: &Named, attempt: u32) {
    let Some(service) = turn.find("services", tag) else { return };
    if text(&service, "/spec/type") != "LoadBalancer" || is_ending(&service) {
        return;
    }
    if turn.memory.addresses_late > 0 {
        turn.memory.addresses_late -= 1;
        let due = lag::late(turn.timing, turn.at, lag::ADDRESS);
        turn.memory.agenda.enter(due, Task::Balance { service: tag.clone(), attempt });
        return;
    }
    let internal = text(&service, INTERNAL) == "true";
    if let Some(message) = refusal(turn, tag, internal) {
        turn.event(&service, &Happening::warning(SOURCE, "SyncLoadBalancerFailed", message));
        let wait = (RETRY.0 * 2f64.powi(attempt.min(30) as i32)).min(RETRY.1);
        let due = turn.again_after(wait);
        turn.memory.agenda.enter(due, Task::Balance { service: tag.clone(), attempt: attempt + 1 });
        return;
    }
    let address = next_address(turn, internal);
    turn.memory.balancer.held.insert(tag.uid.clone(), address.clone());
    let status = json!({"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}});
    turn.status("services", &service, status, MANAGER);
    turn.event(&service, &Happening::normal(SOURCE, "EnsuredLoadBalancer", "Ensured load balancer"));
}

/// Returns the cloud provider's error message if the cloud cannot create a load balancer.
fn refusal(turn: &Turn<'_>, tag: &Named, internal: bool) -> Option<String> {
    let (subscription, group) = (&turn.facts.subscription, &turn.facts.node_resource_group);
    let refused = |place: &str, code: &str, why: &str| {
        format!(
            "Error syncing load balancer: failed to ensure load balancer: PUT https://management.azure.com/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/{place}: RESPONSE 400: 400 Bad Request ERROR CODE: {code} {{\"error\":{{\"code\":\"{code}\",\"message\":\"{why}\",\"details\":[]}}}}"
        )
    };
    if turn.memory.balancers_fail {
        let why = "Subnet snet-aks does not have enough capacity for 1 IP addresses.";
        return Some(refused("loadBalancers/kubernetes", "SubnetIsFull", why));
    }
    let quota = turn.facts.public_ip_quota.filter(|_| !internal)?;
    (turn.memory.balancer.public_addresses() >= quota as usize).then(|| {
        let place = format!("publicIPAddresses/kubernetes-a{}", tag.uid.replace('-', ""));
        let why = format!(
            "Cannot create more than {quota} public IP addresses for this subscription in this region."
        );
        refused(&place, "PublicIPCountLimitReached", &why)
    })
}

fn next_address(turn: &mut Turn<'_>, internal: bool) -> String {
    let balancer = &mut turn.memory.balancer;
    balancer.given += 1;
    if internal {
        let network = turn
            .facts
            .subnet
            .parse::<ipnet::Ipv4Net>()
            .map_or(u32::from(Ipv4Addr::new(10, 224, 0, 0)), |net| u32::from(net.network()));
        return Ipv4Addr::from(network.saturating_add(INTERNAL_FIRST + balancer.given)).to_string();
    }
    let place = FIRST + (balancer.given - 1) % (LAST - FIRST);
    Ipv4Addr::from(place).to_string()
}
