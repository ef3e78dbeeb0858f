//! Nodes: as many as the facts require, with addresses from their subnet.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::object::{self, name};
use super::reconcile_context::ReconcileContext;
use super::timers::Task;
use super::workload;
use crate::clock::SimTime;
use crate::kubernetes::Store;

const MANAGER: &str = "cloud-controller-manager";
const LEASES: &str = "leases.coordination.k8s.io";
const LEASE_NAMESPACE: &str = "kube-node-lease";
const NODE_CONTROLLER: &str = "kube-controller-manager";
/// The time after which a drained node takes pods again, in seconds of cloud time (assumed).
const DRAINED: f64 = 60.0;
/// The first host address of a node. Azure reserves the first four addresses of every subnet.
const FIRST_HOST: u32 = 4;

/// Adds or removes nodes until their number matches the facts.
pub(super) fn match_count(cx: &mut ReconcileContext<'_>) {
    let wanted: Vec<String> = (0..cx.cluster_info.nodes).map(|index| node_name(cx, index)).collect();
    for known in cx.all("nodes") {
        if !wanted.iter().any(|wanted| wanted == name(&known)) {
            cx.remove("nodes", &known);
            cx.store.remove(LEASES, LEASE_NAMESPACE, name(&known), cx.at);
        }
    }
    for (index, node_name) in (0..cx.cluster_info.nodes).zip(&wanted) {
        if cx.store.get("nodes", "", node_name).is_none() {
            let node = node(cx, index, node_name);
            cx.put("nodes", node, MANAGER);
        }
        if cx.store.get(LEASES, LEASE_NAMESPACE, node_name).is_none() {
            lease(cx, node_name);
        }
    }
}

/// Writes the lease of a node, its heartbeat. It is not renewed, because no periodic work runs here.
fn lease(cx: &mut ReconcileContext<'_>, node_name: &str) {
    let Some(node) = cx.get("nodes", "", node_name) else { return };
    // The renewal time has microseconds, and clients require all six digits.
    let renewed = cx.at.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": node_name, "namespace": LEASE_NAMESPACE, "ownerReferences": [object::owned_by(&node)]},
        "spec": {"holderIdentity": node_name, "leaseDurationSeconds": 40, "renewTime": renewed},
    });
    cx.put(LEASES, lease, "kubelet");
}

/// Simulates the loss of all node VMs: their kubelets stop, and the node controller reports that. Returns
/// whether there was a node.
pub(crate) fn mark_unready(store: &mut Store, at: SimTime) -> bool {
    let nodes: Vec<Value> = store.list("nodes", None).into_iter().cloned().collect();
    for node in &nodes {
        let mut status = node["status"].clone();
        for line in status["conditions"].as_array_mut().into_iter().flatten() {
            line["status"] = json!("Unknown");
            line["reason"] = json!("NodeStatusUnknown");
            line["message"] = json!("Kubelet stopped posting node status.");
            line["lastTransitionTime"] = json!(at.rfc3339());
        }
        store.put_status("nodes", "", name(node), status, NODE_CONTROLLER, at);
    }
    !nodes.is_empty()
}

/// Drains a node as an upgrade does: it takes no new pods, all pods but those of DaemonSets are evicted, and after a while
/// it is back.
pub(super) fn drain(cx: &mut ReconcileContext<'_>, node_name: &str) {
    set_schedulable(cx, node_name, false);
    for pod in cx.list_where("pods", |pod| object::text(pod, "/spec/nodeName") == node_name) {
        let owners = object::list(&pod, "/metadata/ownerReferences").iter();
        let is_of_daemon_set = owners.into_iter().any(|owner| owner["kind"] == "DaemonSet");
        if !is_of_daemon_set && !object::is_ending(&pod) && !workload::is_over(&pod) {
            workload::evict(cx, &pod);
        }
    }
    cx.schedule_once(DRAINED, Task::UncordonNode { node: node_name.to_owned() });
}

/// Lets a drained node take pods again.
pub(super) fn uncordon(cx: &mut ReconcileContext<'_>, node_name: &str) {
    set_schedulable(cx, node_name, true);
}

fn set_schedulable(cx: &mut ReconcileContext<'_>, node_name: &str, is_schedulable: bool) {
    let Some(mut node) = cx.copy("nodes", "", node_name) else { return };
    if let Some(spec) = node["spec"].as_object_mut() {
        spec.shift_remove("unschedulable");
        spec.shift_remove("taints");
        if !is_schedulable {
            let taint = json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": cx.at.rfc3339()});
            spec.insert("unschedulable".into(), json!(true));
            spec.insert("taints".into(), json!([taint]));
        }
    }
    cx.put("nodes", node, NODE_CONTROLLER);
}

/// Returns the node with the fewest pods among those that take new ones, as the scheduler selects it; `None` if there is
/// none.
pub(super) fn least_loaded(cx: &ReconcileContext<'_>) -> Option<Arc<Value>> {
    let pods = cx.store.list("pods", None);
    let load =
        |node: &Value| pods.iter().filter(|pod| object::text(pod, "/spec/nodeName") == name(node)).count();
    let nodes = cx.store.shared("nodes", None).filter(|node| node["spec"]["unschedulable"] != json!(true));
    nodes.min_by_key(|node| load(node)).cloned()
}

/// Returns the address of a node.
pub(super) fn address(node: &Value) -> &str {
    object::list(node, "/status/addresses").first().map_or("", |address| object::text(address, "/address"))
}

fn node_name(cx: &ReconcileContext<'_>, index: u32) -> String {
    let pool = &cx.cluster_info.node_pool;
    let number = object::hash(&format!("{}/{pool}", cx.cluster_info.node_resource_group)) % 100_000_000;
    format!("aks-{pool}-{number:08}-vmss{index:06}")
}

fn subnet_address(subnet: &str, index: u32) -> String {
    let network: Ipv4Net =
        subnet.parse().unwrap_or_else(|_| Ipv4Net::new_assert(Ipv4Addr::new(10, 224, 0, 0), 16));
    Ipv4Addr::from(u32::from(network.network()).saturating_add(FIRST_HOST + index)).to_string()
}

fn node(cx: &ReconcileContext<'_>, index: u32, node_name: &str) -> Value {
    let cluster_info = cx.cluster_info;
    let scale_set = node_name.rsplit_once("vmss").map_or(node_name, |(set, _)| set);
    let machine = format!(
        "azure:///subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/virtualMachineScaleSets/{scale_set}vmss/virtualMachines/{index}",
        cluster_info.subscription,
        cluster_info.node_resource_group.to_lowercase(),
    );
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": node_name,
            "labels": {
                "agentpool": cluster_info.node_pool,
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.azure.com/agentpool": cluster_info.node_pool,
                "kubernetes.azure.com/cluster": cluster_info.node_resource_group,
                "kubernetes.azure.com/mode": "system",
                "kubernetes.azure.com/role": "agent",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": node_name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": cluster_info.vm_size,
                "topology.kubernetes.io/region": cluster_info.location,
                "topology.kubernetes.io/zone": "0",
            },
        },
        "spec": {"providerID": machine, "podCIDR": format!("10.244.{index}.0/24"),
            "podCIDRs": [format!("10.244.{index}.0/24")]},
        "status": status(cx.at, node_name, &subnet_address(&cluster_info.subnet, index), &cluster_info.kubernetes_version),
    })
}

fn status(at: SimTime, node_name: &str, address: &str, version: &str) -> Value {
    let now = at.rfc3339();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    json!({
        "addresses": [
            {"type": "InternalIP", "address": address},
            {"type": "Hostname", "address": node_name},
        ],
        "capacity": {"cpu": "2", "memory": "8145372Ki", "pods": "250", "ephemeral-storage": "129886128Ki"},
        "allocatable": {"cpu": "1900m", "memory": "6000556Ki", "pods": "250", "ephemeral-storage": "119703055367"},
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "operatingSystem": "linux",
            "osImage": "Ubuntu 24.04.3 LTS",
            "kernelVersion": "6.8.0-1041-azure",
            "containerRuntimeVersion": "containerd://2.1.4-1",
            "kubeletVersion": format!("v{version}"),
            "kubeProxyVersion": format!("v{version}"),
            "bootID": "", "machineID": "", "systemUUID": "",
        },
    })
}
