//! Checks of the cluster as Resource Manager shows it, and of its nodes.

use super::{
    Finding,
    rules::{Findings, Flow},
    snapshot::Snapshot,
};
use crate::{
    object_fields::{condition, list, name, text},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::arm::{State, cluster as aks};
use serde_json::Value;

pub(super) fn evaluate(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Flow {
    let (group, cluster) = (&snapshot.environment.resource_group, &snapshot.environment.cluster_name);
    let body = match &snapshot.cluster {
        Ok(Some(body)) => body,
        Ok(None) => {
            let finding = Finding::new(
                "CLUSTER_MISSING",
                format!("the cluster {cluster} does not exist"),
                "landfall up: it creates the cluster and everything in it",
            );
            findings
                .report_missing(finding.evidence(format!("GET {cluster} in resource group {group}: 404")));
            return Flow::Break(());
        }
        // The list of unread items already contains a cluster that could not be read.
        Err(_) => return Flow::Continue(()),
    };
    state(snapshot, body, findings)?;
    if let Some(why) = aks::failed_pool(body) {
        let finding = Finding::new(
            "NODE_POOL_FAILED",
            format!("a node pool of cluster {cluster} has failed"),
            "landfall up: it sends the cluster's request again, which repairs the pool",
        );
        findings.report(finding.evidence(why));
    }
    profile(snapshot, body, findings);
    Flow::Continue(())
}

fn state(snapshot: &Snapshot<'_>, body: &Value, findings: &mut Findings) -> Flow {
    let (group, cluster) = (&snapshot.environment.resource_group, &snapshot.environment.cluster_name);
    if aks::is_stopped(body) {
        let finding = Finding::new(
            "CLUSTER_STOPPED",
            format!("the cluster {cluster} is stopped"),
            format!("az aks start -g {group} -n {cluster}; its contents are kept"),
        );
        findings.report(finding.evidence("properties.powerState.code is Stopped"));
        return Flow::Break(());
    }
    let word = text(body, "/properties/provisioningState");
    match State::of(body) {
        State::Succeeded => Flow::Continue(()),
        State::Deleting => {
            let finding = Finding::new(
                "CLUSTER_DELETING",
                format!("the cluster {cluster} is being deleted"),
                "wait until it is deleted, then landfall up",
            );
            findings.report(finding.evidence(format!("properties.provisioningState is {word}")));
            Flow::Break(())
        }
        State::Failed | State::Canceled => {
            let finding = Finding::new(
                "CLUSTER_FAILED",
                format!("the last operation on cluster {cluster} ended {word}"),
                "landfall up: it sends the cluster's request again, which repairs a failed cluster",
            );
            let error = &body["properties"]["status"]["provisioningError"];
            let finding = finding.evidence(format!("properties.provisioningState is {word}"));
            findings.report(match (text(error, "/code"), text(error, "/message")) {
                ("", "") => finding,
                (code, message) => finding.evidence(format!("provisioningError: {code}: {message}")),
            });
            Flow::Continue(())
        }
        State::Running(_) if word == "Creating" => {
            let finding = Finding::new(
                "CLUSTER_CREATING",
                format!("the cluster {cluster} is still being created"),
                "landfall up: it waits for the cluster and resumes; creation takes about five minutes",
            );
            findings.report_missing(finding.evidence("properties.provisioningState is Creating"));
            Flow::Break(())
        }
        // A cluster continues to serve during an update.
        State::Running(word) => {
            findings.add_symptom(format!("cluster {cluster} is currently {word}"));
            Flow::Continue(())
        }
    }
}

/// Checks the managed Gateway API and its Istio. Without either no controller reconciles gateways.
fn profile(snapshot: &Snapshot<'_>, body: &Value, findings: &mut Findings) {
    let cluster = &snapshot.environment.cluster_name;
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
    findings.report(off.into_iter().fold(finding, Finding::evidence));
}

/// Checks the nodes. Without a ready node no pod runs.
pub(super) fn nodes(
    snapshot: &Snapshot<'_>,
    cluster_objects: &ClusterSnapshot,
    findings: &mut Findings,
) -> Flow {
    let Ok(nodes) = &cluster_objects.nodes else { return Flow::Continue(()) };
    let is_ready = |node: &&landfall_cloud::kubernetes::DynamicObject| {
        condition(&node.data["status"], "Ready", "True").is_some()
    };
    let not_ready: Vec<String> = nodes
        .iter()
        .filter(|node| !is_ready(node))
        .map(|node| {
            let status_condition =
                list(&node.data, "/status/conditions").iter().find(|one| text(one, "/type") == "Ready");
            let (status, reason) = status_condition
                .map_or(("", "no kubelet has reported"), |status_condition| {
                    (text(status_condition, "/status"), text(status_condition, "/reason"))
                });
            format!("node {}: Ready={status} {reason}", name(node))
        })
        .collect();
    let (group, cluster) = (&snapshot.environment.resource_group, &snapshot.environment.cluster_name);
    if not_ready.len() < nodes.len() {
        if let Some(first) = not_ready.first() {
            findings.add_symptom(format!(
                "{} of {} nodes are not ready: {first}",
                not_ready.len(),
                nodes.len()
            ));
        }
        return Flow::Continue(());
    }
    let finding = Finding::new(
        "NODES_NOT_READY",
        format!("no node of cluster {cluster} is ready, so nothing runs in it"),
        format!(
            "check the pool (az aks nodepool list -g {group} --cluster-name {cluster} -o table), and restart \
             its machines or scale it up; its provisioningState says why a pool gets no machines"
        ),
    );
    let description = format!("{} of {} nodes are ready", 0, nodes.len());
    findings.report(not_ready.into_iter().take(3).fold(finding.evidence(description), Finding::evidence));
    Flow::Break(())
}
