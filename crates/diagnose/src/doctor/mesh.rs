//! Checks of the gateway controller: istiod, and the GatewayClass that it has accepted.

use super::{Finding, picture::Picture, walk::Walk};
use crate::rotation_links::why;
use crate::{
    object_fields::{condition, name, selected, text},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::{
    istio::{CLASS, CONTROL_PLANE, NAMESPACE},
    readiness::{self, Readiness},
};

pub(super) fn judge(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) {
    if let Some(finding) = class(p, inside, walk) {
        for gateway in p.gateways() {
            walk.explain(name(gateway));
        }
        walk.name(finding);
    }
}

fn class(p: &Picture<'_>, inside: &ClusterSnapshot, _: &Walk) -> Option<Finding> {
    let cluster = &p.environment.cluster_name;
    if let Some(down) = control_plane(inside) {
        return Some(down);
    }
    let classes = inside.classes.as_ref().ok()?;
    let Some(class) = classes.iter().find(|class| name(class) == CLASS) else {
        let finding = Finding::new(
            "GATEWAY_CLASS_MISSING",
            format!("cluster {cluster} has no GatewayClass {CLASS}"),
            "landfall up: it waits for the class, which AKS creates some time after the cluster",
        );
        let there: Vec<&str> = classes.iter().map(name).collect();
        return Some(finding.evidence(format!("existing GatewayClasses: {there:?}")));
    };
    let refused = condition(&class.data["status"], "Accepted", "False");
    let silent = condition(&class.data["status"], "Accepted", "True").is_none();
    if refused.is_none() && !silent {
        return None;
    }
    let finding = Finding::new(
        "GATEWAY_CLASS_NOT_ACCEPTED",
        format!("no controller has accepted GatewayClass {CLASS}"),
        format!("kubectl -n {NAMESPACE} logs deployment/{CONTROL_PLANE}; landfall up waits for the class"),
    );
    let told = refused.map_or_else(|| "the class has no condition Accepted".to_owned(), |said| said.told());
    let controller = text(&class.data, "/spec/controllerName");
    Some(finding.evidence(told).evidence(format!("controllerName is {controller}")))
}

fn control_plane(inside: &ClusterSnapshot) -> Option<Finding> {
    let finding = |cause: &str| {
        let mend = format!(
            "run kubectl -n {NAMESPACE} get pods and describe; AKS redeploys istiod when the Gateway API is \
             disabled and enabled again (landfall up); leftover istio.io CRDs prevent its start"
        );
        Finding::new("CONTROL_PLANE_DOWN", cause.to_owned(), mend)
    };
    let Some(istiod) = inside.istiod.as_ref().ok()? else {
        let down = finding("istiod, the control plane of all gateways, does not exist");
        return Some(down.evidence(format!("namespace {NAMESPACE} has no Deployment {CONTROL_PLANE}")));
    };
    let status = &istiod.data["status"];
    if status["availableReplicas"].as_i64().unwrap_or(0) > 0 {
        return None;
    }
    let waits = match readiness::deployment(istiod) {
        Readiness::Ready(()) => "it is scaled to zero".to_owned(),
        Readiness::Waiting(why) | Readiness::Broken(why) => why,
    };
    let down = finding("istiod, the control plane of all gateways, is not running");
    let pods = inside.mesh_pods.as_ref().map(Vec::as_slice).unwrap_or_default();
    let pods = selected(pods, NAMESPACE, &istiod.data["spec"]["selector"]["matchLabels"]);
    let told = pods.iter().filter_map(|pod| Some(format!("pod {}: {}", name(pod), why(pod)?)));
    Some(told.take(2).fold(down.evidence(format!("Deployment {CONTROL_PLANE}: {waits}")), Finding::evidence))
}
