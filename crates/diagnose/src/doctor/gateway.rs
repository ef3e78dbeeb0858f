//! Checks of the gateways: their conditions, the objects behind them, and their addresses.

use super::{Finding, rules::Findings, snapshot::Snapshot};
use crate::rotation_diagnosis::not_ready_reason;
use crate::{
    object_fields::{
        StatusCondition, condition, is_ready, kubectl_name, latest, list, name, selected, space, text,
    },
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// The label on every object that the controller creates for a gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Event reasons with which the cloud provider reports that it failed to create a load balancer.
const FAILED: [&str; 2] = ["SyncLoadBalancerFailed", "CreatingLoadBalancerFailed"];

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    if cluster_objects.gateways.is_err() {
        return;
    }
    for wanted in snapshot.gateways() {
        let (own, namespace) = (name(wanted), space(wanted));
        let Some(live) = ClusterSnapshot::find(&cluster_objects.gateways, namespace, own) else {
            let finding = Finding::new(
                "GATEWAY_MISSING",
                format!("the gateway {own} does not exist"),
                "landfall up: it creates the gateway",
            );
            // Without its CRD a gateway cannot exist, and a finding about the CRD already explains that.
            if !findings.is_explained(own) {
                findings
                    .report_missing(finding.evidence(format!("namespace {namespace} has no Gateway {own}")));
            }
            findings.mark_explained(own);
            continue;
        };
        let is_explained = findings.is_explained(own);
        conditions(live, wanted, is_explained, findings);
        listeners(live, is_explained, findings);
        address(snapshot, cluster_objects, live, findings);
    }
}

fn conditions(live: &DynamicObject, wanted: &DynamicObject, is_explained: bool, findings: &mut Findings) {
    let own = name(live);
    for kind in ["Accepted", "Programmed"] {
        if let Some(status_condition) = condition(&live.data["status"], kind, "False") {
            findings.add_symptom(format!("gateway {own}: {}", status_condition.short()));
        }
    }
    if is_explained {
        return;
    }
    let class = |gateway: &DynamicObject| text(&gateway.data, "/spec/gatewayClassName").to_owned();
    if class(live) != class(wanted) {
        let finding = Finding::new(
            "GATEWAY_CLASS_OTHER",
            format!("the gateway {own} has another class than {}", class(wanted)),
            "landfall up: it resets gatewayClassName",
        );
        findings.report(finding.evidence(format!("spec.gatewayClassName is {}", class(live))));
        findings.mark_explained(own);
    } else if let Some(status_condition) = condition(&live.data["status"], "Accepted", "False") {
        let finding = Finding::new(
            "GATEWAY_NOT_ACCEPTED",
            format!("the controller refuses the gateway {own}"),
            format!("kubectl describe gateway {}; landfall up restores it", kubectl_name(live)),
        );
        findings.report(finding.evidence(status_condition.description()));
        findings.mark_explained(own);
    }
}

fn listeners(live: &DynamicObject, is_explained: bool, findings: &mut Findings) {
    let own = name(live);
    for status in list(&live.data, "/status/listeners") {
        let listener = text(status, "/name");
        let wrong = condition(status, "Conflicted", "True")
            .or_else(|| condition(status, "Accepted", "False"))
            .or_else(|| condition(status, "ResolvedRefs", "False"))
            .or_else(|| condition(status, "Programmed", "False"));
        let Some(status_condition) = wrong else { continue };
        findings.add_symptom(format!("listener {listener} of gateway {own}: {}", status_condition.short()));
        let of_secret = status_condition.reason == "InvalidCertificateRef"
            && findings.is_explained(&format!("{own}:443"));
        if is_explained || of_secret || findings.is_explained(own) {
            continue;
        }
        findings.report(refused(live, listener, &status_condition));
        findings.mark_explained(format!("{own}:{}", port(live, listener)));
    }
}

fn refused(live: &DynamicObject, listener: &str, status_condition: &StatusCondition<'_>) -> Finding {
    let own = name(live);
    let finding = match (status_condition.kind, status_condition.reason) {
        ("Conflicted", _) => Finding::new(
            "LISTENER_CONFLICT",
            format!("listener {listener} of gateway {own} conflicts with another listener"),
            "use one protocol for each port and a unique hostname for each listener; landfall up restores \
             the gateway",
        ),
        (_, "RefNotPermitted") => Finding::new(
            "REFERENCE_GRANT_MISSING",
            format!("listener {listener} of gateway {own} may not use a Secret of another namespace"),
            "create a ReferenceGrant in the Secret's namespace, or name a Secret in the gateway's namespace",
        ),
        (_, "InvalidCertificateRef") => Finding::new(
            "LISTENER_CERTIFICATE_REF",
            format!("listener {listener} of gateway {own} names an unusable certificate"),
            "the message below names the error in the reference or in the Secret; landfall up restores a gateway of \
             landfall",
        ),
        _ => Finding::new(
            "LISTENER_NOT_PROGRAMMED",
            format!("listener {listener} of gateway {own} is not served"),
            format!("kubectl describe gateway {}; landfall up restores it", kubectl_name(live)),
        ),
    };
    finding.evidence(format!("listener {listener}: {}", status_condition.description()))
}

fn port(live: &DynamicObject, listener: &str) -> u64 {
    let mut all = list(&live.data, "/spec/listeners").iter();
    all.find(|one| text(one, "/name") == listener).and_then(|one| one["port"].as_u64()).unwrap_or_default()
}

/// Returns the Service in front of a gateway.
pub(super) fn service<'a>(
    cluster_objects: &'a ClusterSnapshot,
    gateway: &DynamicObject,
) -> Option<&'a DynamicObject> {
    let is = |service: &&DynamicObject| {
        let labels = service.metadata.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(GATEWAY_NAME)).map(String::as_str);
        space(service) == space(gateway) && label == Some(name(gateway))
    };
    cluster_objects.services.as_ref().ok()?.iter().find(is)
}

/// Checks Gateway → Service → pods and load balancer → address.
fn address(
    snapshot: &Snapshot<'_>,
    cluster_objects: &ClusterSnapshot,
    live: &DynamicObject,
    findings: &mut Findings,
) {
    if cluster_objects.services.is_err() || cluster_objects.pods.is_err() {
        return;
    }
    let own = name(live);
    let Some(service) = service(cluster_objects, live) else {
        if !findings.is_explained(own) {
            let finding = Finding::new(
                "GATEWAY_SERVICE_MISSING",
                format!("the controller has created no Service for the gateway {own}"),
                format!(
                    "kubectl -n aks-istio-system logs deployment/istiod; kubectl describe gateway {}",
                    kubectl_name(live)
                ),
            );
            findings.report(finding.evidence(format!("no Service has the label {GATEWAY_NAME}={own}")));
        }
        findings.mark_explained(own);
        return;
    };
    let pods = selected(cluster_objects.pods(), space(live), &service.data["spec"]["selector"]);
    if !pods.iter().any(|pod| is_ready(pod)) {
        let finding = Finding::new(
            "GATEWAY_PODS_NOT_READY",
            format!("no pod of the gateway {own} is ready, so it serves no requests"),
            format!(
                "kubectl get pods -l {GATEWAY_NAME}={}; kubectl rollout restart deployment {}",
                kubectl_name(live),
                kubectl_name(service)
            ),
        );
        let description = pods
            .iter()
            .filter_map(|pod| Some(format!("pod {}: {}", name(pod), not_ready_reason(pod)?)))
            .take(2);
        let count = format!("{} pods, none of them ready", pods.len());
        findings.report(description.fold(finding.evidence(count), Finding::evidence));
        findings.mark_explained(own);
    }
    if list(&service.data, "/status/loadBalancer/ingress").is_empty() {
        findings.add_symptom(format!("gateway {own} has no address"));
        findings.report(pending_address(snapshot, cluster_objects, own, service));
        findings.mark_explained(own);
    }
}

fn pending_address(
    snapshot: &Snapshot<'_>,
    cluster_objects: &ClusterSnapshot,
    own: &str,
    service: &DynamicObject,
) -> Finding {
    let Some(event) = latest(cluster_objects.events(), name(service), &FAILED) else {
        return Finding::new(
            "ADDRESS_PENDING",
            format!("the load balancer has assigned no address to the gateway {own} yet"),
            "wait, typically a minute; landfall up waits for it",
        )
        .evidence(format!("Service {} has no ingress, and no event gives a reason", name(service)));
    };
    let message = text(event, "/message");
    let finding = if ["PublicIPCountLimitReached", "PublicIPQuota", "LimitReached"]
        .iter()
        .any(|code| message.contains(code))
    {
        let used = used(snapshot);
        let finding = Finding::new(
            "PUBLIC_IP_QUOTA",
            format!("the quota for public IP addresses in {} is used up", snapshot.environment.location),
            "delete unused addresses (az network public-ip list -o table), or request a quota increase: \
             https://aka.ms/quota; the address is then assigned within five minutes",
        );
        used.into_iter().fold(finding, Finding::evidence)
    } else {
        Finding::new(
            "LOAD_BALANCER_FAILED",
            format!("Azure failed to create the load balancer of the gateway {own}"),
            "the event says why; when that is fixed, Azure retries within five minutes",
        )
    };
    let times = event["count"].as_i64().unwrap_or(1);
    finding.evidence(format!(
        "event {} of Service {}, {times} times: {}",
        text(event, "/reason"),
        name(service),
        message_summary(message)
    ))
}

fn used(snapshot: &Snapshot<'_>) -> Vec<String> {
    let rows = snapshot.addresses.as_deref().unwrap_or_default().iter();
    let full = rows.filter(|row| row.name.to_ascii_lowercase().contains("publicip") && row.remaining() == 0);
    full.map(|row| {
        format!("{} in {}: {} of {} in use", row.label, snapshot.environment.location, row.used, row.limit)
    })
    .collect()
}

/// Returns the code and the message that the cloud provider quotes, else the first line.
fn message_summary(message: &str) -> String {
    let body = message.find('{').and_then(|at| serde_json::from_str::<Value>(message.get(at..)?).ok());
    let quoted =
        body.map(|body| format!("{}: {}", text(&body, "/error/code"), text(&body, "/error/message")));
    let plain = || message.lines().next().unwrap_or_default().chars().take(240).collect();
    quoted.filter(|quoted| quoted.len() > 2).unwrap_or_else(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_a_load_balancer_failure_quotes_the_cloud_error() {
        let message = "Error syncing load balancer: PUT https://x: RESPONSE 400 {\"error\":{\"code\":\"LimitReached\",\"message\":\"No more.\"}}";
        assert_eq!(message_summary(message), "LimitReached: No more.");
        assert_eq!(
            message_summary("Error syncing load balancer: subnet is full\nmore"),
            "Error syncing load balancer: subnet is full"
        );
    }
}
