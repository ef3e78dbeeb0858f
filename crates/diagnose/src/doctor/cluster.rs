//! Checks of the cluster as Resource Manager shows it, and of its nodes.

use super::{
    Finding,
    picture::Picture,
    walk::{Walk, Way},
};
use crate::{
    object_fields::{condition, list, name, text},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::arm::{State, cluster as aks};
use serde_json::Value;

pub(super) fn judge(p: &Picture<'_>, walk: &mut Walk) -> Way {
    let (group, cluster) = (&p.environment.resource_group, &p.environment.cluster_name);
    let body = match &p.cluster {
        Ok(Some(body)) => body,
        Ok(None) => {
            let finding = Finding::new(
                "CLUSTER_MISSING",
                format!("the cluster {cluster} does not exist"),
                "landfall up: it creates the cluster and everything in it",
            );
            walk.lacks(finding.evidence(format!("GET {cluster} in resource group {group}: 404")));
            return Way::Break(());
        }
        // The list of unread items already contains a cluster that could not be read.
        Err(_) => return Way::Continue(()),
    };
    state(p, body, walk)?;
    if let Some(why) = aks::failed_pool(body) {
        let finding = Finding::new(
            "NODE_POOL_FAILED",
            format!("a node pool of cluster {cluster} has failed"),
            "landfall up: it sends the cluster's request again, which repairs the pool",
        );
        walk.name(finding.evidence(why));
    }
    profile(p, body, walk);
    Way::Continue(())
}

fn state(p: &Picture<'_>, body: &Value, walk: &mut Walk) -> Way {
    let (group, cluster) = (&p.environment.resource_group, &p.environment.cluster_name);
    if aks::is_stopped(body) {
        let finding = Finding::new(
            "CLUSTER_STOPPED",
            format!("the cluster {cluster} is stopped"),
            format!("az aks start -g {group} -n {cluster}; its contents are kept"),
        );
        walk.name(finding.evidence("properties.powerState.code is Stopped"));
        return Way::Break(());
    }
    let word = text(body, "/properties/provisioningState");
    match State::of(body) {
        State::Succeeded => Way::Continue(()),
        State::Deleting => {
            let finding = Finding::new(
                "CLUSTER_DELETING",
                format!("the cluster {cluster} is being deleted"),
                "wait until it is deleted, then landfall up",
            );
            walk.name(finding.evidence(format!("properties.provisioningState is {word}")));
            Way::Break(())
        }
        State::Failed | State::Canceled => {
            let finding = Finding::new(
                "CLUSTER_FAILED",
                format!("the last operation on cluster {cluster} ended {word}"),
                "landfall up: it sends the cluster's request again, which repairs a failed cluster",
            );
            let error = &body["properties"]["status"]["provisioningError"];
            let finding = finding.evidence(format!("properties.provisioningState is {word}"));
            walk.name(match (text(error, "/code"), text(error, "/message")) {
                ("", "") => finding,
                (code, message) => finding.evidence(format!("provisioningError: {code}: {message}")),
            });
            Way::Continue(())
        }
        State::Running(_) if word == "Creating" => {
            let finding = Finding::new(
                "CLUSTER_CREATING",
                format!("the cluster {cluster} is still being created"),
                "landfall up: it waits for the cluster and resumes; creation takes about five minutes",
            );
            walk.lacks(finding.evidence("properties.provisioningState is Creating"));
            Way::Break(())
        }
        // A cluster continues to serve during an update.
        State::Running(word) => {
            walk.symptom(format!("cluster {cluster} is currently {word}"));
            Way::Continue(())
        }
    }
}

/// Checks the managed Gateway API and its Istio. Without either no controller reconciles gateways.
fn profile(p: &Picture<'_>, body: &Value, walk: &mut Walk) {
    let cluster = &p.environment.cluster_name;
    let wanted = [
        ("/properties/ingressProfile/gatewayAPI/installation", "Standard"),
        (
            "/properties/ingressProfile/webAppRouting/gatewayAPIImplementations/appRoutingIstio/mode",
            "Enabled",
        ),
    ];
    let off: Vec<String> = wanted
        .iter()
        .filter(|(field, on)| !text(body, field).eq_ignore_ascii_case(on))
        .map(|(field, on)| {
            let is = body.pointer(field).unwrap_or(&Value::Null);
            format!(
                "{} is {is}, but {on} is required",
                field.trim_start_matches("/properties/").replace('/', ".")
            )
        })
        .collect();
    if off.is_empty() {
        return;
    }
    let finding = Finding::new(
        "GATEWAY_API_OFF",
        format!("the managed Gateway API of cluster {cluster} is disabled"),
        "landfall up: it enables the Gateway API and app routing with Istio",
    );
    walk.name(off.into_iter().fold(finding, Finding::evidence));
}

/// Checks the nodes. Without a ready node no pod runs.
pub(super) fn nodes(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) -> Way {
    let Ok(nodes) = &inside.nodes else { return Way::Continue(()) };
    let is_ready = |node: &&landfall_cloud::kubernetes::DynamicObject| {
        condition(&node.data["status"], "Ready", "True").is_some()
    };
    let lame: Vec<String> = nodes
        .iter()
        .filter(|node| !is_ready(node))
        .map(|node| {
            let said =
                list(&node.data, "/status/conditions").iter().find(|one| text(one, "/type") == "Ready");
            let (status, reason) = said.map_or(("", "no kubelet has reported"), |said| {
                (text(said, "/status"), text(said, "/reason"))
            });
            format!("node {}: Ready={status} {reason}", name(node))
        })
        .collect();
    let (group, cluster) = (&p.environment.resource_group, &p.environment.cluster_name);
    if lame.len() < nodes.len() {
        if let Some(first) = lame.first() {
            walk.symptom(format!("{} of {} nodes are not ready: {first}", lame.len(), nodes.len()));
        }
        return Way::Continue(());
    }
    let finding = Finding::new(
        "NODES_NOT_READY",
        format!("no node of cluster {cluster} is ready, so nothing runs in it"),
        format!(
            "check the pool (az aks nodepool list -g {group} --cluster-name {cluster} -o table), and restart \
             its machines or scale it up; its provisioningState says why a pool gets no machines"
        ),
    );
    let told = format!("{} of {} nodes are ready", 0, nodes.len());
    walk.name(lame.into_iter().take(3).fold(finding.evidence(told), Finding::evidence));
    Way::Break(())
}
