//! Checks of the operator of application routing and of ExternalDNS. Neither writes a status: only their objects and
//! events show a fault.

use super::{Finding, rules::Findings, snapshot::Snapshot};
use crate::{
    object_fields::{list, name, space, text},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::{kubernetes::DynamicObject, sync_diagnosis::message_summary};
use serde_json::Value;

/// The option of a listener with the URI of its certificate.
const CERTIFICATE: &str = "/tls/options/kubernetes.azure.com~1tls-cert-keyvault-uri";
/// The setting of the cluster that runs the operator.
const ENABLED: &str = "/properties/ingressProfile/webAppRouting/enabled";
/// The reasons of the operator's events about a Gateway.
const REFUSED: [&str; 3] = ["InvalidInput", "FailedUpdateOrCreateSPC", "FailedUpdateUpstreamCertRef"];
const RECORDS_REFUSED: &str = "FailedUpdateOrCreateExternalDNSResources";
/// The variable that the workload identity webhook adds to a pod.
const CLIENT_ID: &str = "AZURE_CLIENT_ID";

/// Reports listeners whose certificate the operator does not provide. The sync of a provided one is checked with the
/// Secrets.
pub(super) fn listeners(snapshot: &Snapshot<'_>, objects: &ClusterSnapshot, findings: &mut Findings) {
    for gateway in objects.gateways.as_deref().unwrap_or_default() {
        for listener in list(&gateway.data, "/spec/listeners") {
            let listener_name = listener["name"].as_str().unwrap_or_default();
            let has_option =
                listener.pointer(CERTIFICATE).and_then(Value::as_str).is_some_and(|uri| !uri.is_empty());
            let class = format!("kv-gw-cert-{}-{listener_name}", name(gateway));
            let classes = objects.secret_classes.as_deref().unwrap_or_default();
            let is_made = classes.iter().any(|one| name(one) == class && space(one) == space(gateway));
            if !has_option || is_made {
                continue;
            }
            let user = name(gateway);
            findings
                .add_symptom(format!("listener {user}/{listener_name} has no certificate of the operator"));
            findings.report(refused(snapshot, objects, gateway, listener_name));
            findings.mark_explained(format!("{user}:443"));
            findings.mark_explained(format!("{user}:certificate"));
        }
    }
}

fn refused(
    snapshot: &Snapshot<'_>,
    objects: &ClusterSnapshot,
    gateway: &DynamicObject,
    listener: &str,
) -> Finding {
    let is_enabled = |cluster: &Value| cluster.pointer(ENABLED) == Some(&Value::Bool(true));
    let cluster = snapshot.cluster.as_ref().ok().and_then(Option::as_ref);
    if cluster.is_some_and(|cluster| !is_enabled(cluster)) {
        return Finding::new(
            "OPERATOR_OFF",
            format!(
                "listener {}/{listener} expects the operator, which the cluster does not run",
                name(gateway)
            ),
            "landfall up with gateway.tls = \"operator\": it enables web app routing",
        )
        .evidence("ingressProfile.webAppRouting.enabled is not true");
    }
    let about = |event: &&DynamicObject| {
        text(&event.data, "/involvedObject/name") == name(gateway)
            && text(&event.data, "/involvedObject/kind") == "Gateway"
            && REFUSED.contains(&text(&event.data, "/reason"))
    };
    let finding = Finding::new(
        "OPERATOR_REFUSES_LISTENER",
        format!("the operator cannot use the options of listener {}/{listener}", name(gateway)),
        "landfall up: it creates the service account with its annotation, and applies the options. An error in one \
         listener also stops the later ones",
    );
    match newest(objects, about) {
        Some(event) => finding.evidence(described(event)),
        None => finding.evidence("no event of the operator: it may react within a minute"),
    }
}

/// Reports an ExternalDNS that publishes nothing.
pub(super) fn external_dns(_: &Snapshot<'_>, objects: &ClusterSnapshot, findings: &mut Findings) {
    let refused = |event: &&DynamicObject| text(&event.data, "/reason") == RECORDS_REFUSED;
    let runs = |pod: &&DynamicObject| is_external_dns(pod);
    if let Some(event) = newest(objects, refused).filter(|_| !objects.pods().iter().any(|pod| runs(&pod))) {
        let finding = Finding::new(
            "EXTERNAL_DNS_REFUSED",
            "the operator does not start ExternalDNS",
            "landfall up: it creates the service account with its annotation",
        );
        findings.report(finding.evidence(described(event)));
    }
    for pod in objects.pods().iter().filter(runs).filter(|pod| !is_ready(pod)) {
        let backs_off = |event: &&DynamicObject| {
            text(&event.data, "/involvedObject/name") == name(pod)
                && text(&event.data, "/reason") == "BackOff"
        };
        let Some(event) = newest(objects, backs_off) else { continue };
        let finding = match has_identity(pod) {
            false => Finding::new(
                "EXTERNAL_DNS_WITHOUT_IDENTITY",
                "ExternalDNS started before the workload identity webhook, and never gets an identity",
                format!(
                    "landfall up, or kubectl -n {} delete pod {}: the next pod gets it",
                    space(pod),
                    name(pod)
                ),
            ),
            true => Finding::new(
                "EXTERNAL_DNS_FAILS",
                "ExternalDNS cannot sign in, or may not write the zone",
                format!(
                    "landfall up: it creates the federated credential and grants DNS Zone Contributor; kubectl -n {} \
                     logs {} shows the error",
                    space(pod),
                    name(pod)
                ),
            ),
        };
        findings.report(finding.evidence(described(event)));
    }
}

fn is_external_dns(pod: &DynamicObject) -> bool {
    text(&pod.data, "/spec/containers/0/image").contains("/external-dns:")
}

fn is_ready(pod: &DynamicObject) -> bool {
    list(&pod.data, "/status/conditions").iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn has_identity(pod: &DynamicObject) -> bool {
    let variables = list(&pod.data, "/spec/containers/0/env");
    variables.iter().any(|variable| variable["name"] == CLIENT_ID && variable["value"] != "")
}

/// Returns the newest event that matches.
fn newest<'a>(
    objects: &'a ClusterSnapshot,
    matches: impl Fn(&&'a DynamicObject) -> bool,
) -> Option<&'a DynamicObject> {
    objects.events().iter().filter(matches).max_by_key(|event| text(&event.data, "/lastTimestamp"))
}

fn described(event: &DynamicObject) -> String {
    let object = format!(
        "{} {}",
        text(&event.data, "/involvedObject/kind"),
        text(&event.data, "/involvedObject/name")
    );
    format!(
        "event {} of {object}: {}",
        text(&event.data, "/reason"),
        message_summary(text(&event.data, "/message"))
    )
}
