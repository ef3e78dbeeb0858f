//! Checks of the gateway controller: istiod, and the GatewayClass that it has accepted.

use super::{Finding, rules::Findings, snapshot::Snapshot};
use crate::rotation_diagnosis::not_ready_reason;
use crate::{
    object_fields::{condition, name, selected, text},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::{
    istio::{CLASS, CONTROL_PLANE, NAMESPACE},
    readiness::{self, Readiness},
};

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    if let Some(finding) = class(snapshot, cluster_objects, findings) {
        for gateway in snapshot.gateways() {
            findings.mark_explained(name(gateway));
        }
        findings.report(finding);
    }
}

fn class(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, _: &Findings) -> Option<Finding> {
    let cluster = &snapshot.environment.cluster_name;
    if let Some(down) = control_plane(cluster_objects) {
        return Some(down);
    }
    let classes = cluster_objects.classes.as_ref().ok()?;
    let Some(class) = classes.iter().find(|class| name(class) == CLASS) else {
        let finding = Finding::new(
            "GATEWAY_CLASS_MISSING",
            format!("cluster {cluster} has no GatewayClass {CLASS}"),
            "landfall up: it waits until AKS has created the class, some time after the cluster",
        );
        let there: Vec<&str> = classes.iter().map(name).collect();
        return Some(finding.evidence(format!("existing GatewayClasses: {there:?}")));
    };
    let refused = condition(&class.data["status"], "Accepted", "False");
    let is_pending = condition(&class.data["status"], "Accepted", "True").is_none();
    if refused.is_none() && !is_pending {
        return None;
    }
    let finding = Finding::new(
        "GATEWAY_CLASS_NOT_ACCEPTED",
        format!("no controller has accepted GatewayClass {CLASS}"),
        format!(
            "read the cause: kubectl -n {NAMESPACE} logs deployment/{CONTROL_PLANE}; then: landfall up, which waits until the \
             class is accepted"
        ),
    );
    let description = refused.map_or_else(
        || "the class has no condition Accepted".to_owned(),
        |status_condition| status_condition.description(),
    );
    let controller = text(&class.data, "/spec/controllerName");
    Some(finding.evidence(description).evidence(format!("controllerName is {controller}")))
}

fn control_plane(cluster_objects: &ClusterSnapshot) -> Option<Finding> {
    let finding = |cause: &str| {
        let remedy = format!(
            "run kubectl -n {NAMESPACE} get pods and describe; AKS redeploys istiod when the Gateway API is \
             disabled and enabled again (landfall up); leftover istio.io CRDs prevent its start"
        );
        Finding::new("CONTROL_PLANE_DOWN", cause.to_owned(), remedy)
    };
    let Some(istiod) = cluster_objects.istiod.as_ref().ok()? else {
        let down = finding("istiod, the control plane of all gateways, does not exist");
        return Some(down.evidence(format!("namespace {NAMESPACE} has no Deployment {CONTROL_PLANE}")));
    };
    let status = &istiod.data["status"];
    if status["availableReplicas"].as_i64().unwrap_or(0) > 0 {
        return None;
    }
    let waits = match readiness::deployment(istiod) {
        Readiness::Ready(()) => "it is scaled to zero".to_owned(),
        Readiness::Waiting(not_ready_reason) | Readiness::Broken(not_ready_reason) => not_ready_reason,
    };
    let down = finding("istiod, the control plane of all gateways, is not running");
    let pods = cluster_objects.istio_pods.as_ref().map(Vec::as_slice).unwrap_or_default();
    let pods = selected(pods, NAMESPACE, &istiod.data["spec"]["selector"]["matchLabels"]);
    let description =
        pods.iter().filter_map(|pod| Some(format!("pod {}: {}", name(pod), not_ready_reason(pod)?)));
    Some(
        description
            .take(2)
            .fold(down.evidence(format!("Deployment {CONTROL_PLANE}: {waits}")), Finding::evidence),
    )
}
