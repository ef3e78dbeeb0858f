//! Checks of the gateways' responses from outside, for failures that no check inside the cluster explains.

use super::{Finding, gateway::service, rules::Findings, snapshot::Snapshot};
use crate::{
    object_fields::{list, name, space, text},
    route_model::Gateway,
    snapshot::ClusterSnapshot,
};
use landfall_cloud::{
    certificate::{ChainFault, Leaf},
    kubernetes::{DynamicObject, tls_secret::thumbprint},
};
use std::{collections::BTreeSet, time::Duration};

/// The response to `GET /`, or its absence.
pub(super) struct ProbeResult {
    pub(super) gateway: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) outcome: ProbeOutcome,
}

/// The result of one request.
pub(super) enum ProbeOutcome {
    /// A status, and the certificate of the handshake before it.
    Status { status: u16, leaf: Option<Leaf>, chain_faults: Vec<ChainFault> },
    /// A timeout after this duration.
    TimedOut(Duration),
    /// An immediate error: no listener on the port, or a failed handshake.
    ConnectionFailed(String),
}

impl ProbeResult {
    pub(super) fn status(&self) -> Option<u16> {
        match self.outcome {
            ProbeOutcome::Status { status, .. } => Some(status),
            ProbeOutcome::TimedOut(_) | ProbeOutcome::ConnectionFailed(_) => None,
        }
    }

    /// Returns the response as display text.
    pub(super) fn description(&self) -> String {
        let scheme = if self.port == 443 { "https" } else { "http" };
        let url = format!("{scheme}://{}/", self.host);
        match &self.outcome {
            ProbeOutcome::Status { status, .. } => format!("{url} returns {status}"),
            ProbeOutcome::TimedOut(max) => format!("{url} does not respond within {} s", max.as_secs_f64()),
            ProbeOutcome::ConnectionFailed(why) => format!("{url} cannot be reached: {why}"),
        }
    }

    /// Returns whether the response is a timeout, a refusal or a gateway error. The route checks evaluate
    /// 404.
    fn is_failure(&self) -> bool {
        self.status().is_none_or(|status| status >= 500)
    }
}

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    for result in snapshot.external.iter().filter(|result| result.is_failure()) {
        findings.add_symptom(result.description());
    }
    let endpoints: BTreeSet<(&str, u16)> =
        snapshot.external.iter().map(|result| (result.gateway.as_str(), result.port)).collect();
    for (own, port) in endpoints {
        let of: Vec<&ProbeResult> =
            snapshot.external.iter().filter(|result| result.gateway == own && result.port == port).collect();
        if findings.is_explained(own) || findings.is_explained(&format!("{own}:{port}")) {
            continue;
        }
        if of.iter().all(|result| matches!(result.outcome, ProbeOutcome::TimedOut(_))) {
            findings.report(no_response(snapshot, cluster_objects, own, port));
            continue;
        }
        for result in of {
            evaluate_result(result, findings);
        }
    }
    certificates(snapshot, cluster_objects, findings);
}

fn evaluate_result(result: &ProbeResult, findings: &mut Findings) {
    let ProbeResult { gateway, host, port, .. } = result;
    if findings.is_explained(host) {
        return;
    }
    let finding = match &result.outcome {
        ProbeOutcome::Status { status, .. } if *status >= 500 => Finding::new(
            "ANSWER_SERVER_ERROR",
            format!("{host} returns {status}, though the route to its pods has no fault"),
            "check the logs of the workload's pods and of the gateway's pods: kubectl logs",
        ),
        ProbeOutcome::Status { .. } => return,
        ProbeOutcome::TimedOut(_) => Finding::new(
            "ANSWER_SLOW",
            format!("{host} does not respond on port {port}, but other hosts of gateway {gateway} do"),
            "check the pods behind this host: kubectl logs, kubectl top pods",
        ),
        ProbeOutcome::ConnectionFailed(_) => Finding::new(
            "GATEWAY_UNREACHABLE",
            format!("the address of gateway {gateway} cannot be reached from here on port {port}"),
            "try from another network; then check the network security groups of the nodes' subnet and the \
             load balancer's rules",
        ),
    };
    findings.report(finding.evidence(result.description()));
}

/// Returns the finding for a port without a response. Either the load balancer has no healthy backend, or
/// something in between drops the requests. Missing routes are no cause: without one a listener responds 404.
fn no_response(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, own: &str, port: u16) -> Finding {
    let description = snapshot
        .external
        .iter()
        .filter(|result| result.gateway == own && result.port == port)
        .map(ProbeResult::description);
    let gateway = snapshot.gateways().find(|gateway| name(gateway) == own);
    let front = gateway.and_then(|gateway| service(cluster_objects, gateway));
    let finding = match front.and_then(|front| unhealthy_probe(front, port)) {
        Some(probe) => Finding::new(
            "HEALTH_PROBE",
            format!(
                "the load balancer marks gateway {own} as unhealthy on port {port}: its probe requests / \
                 there"
            ),
            format!(
                "landfall up: it sets the annotations port_{port}_health-probe_* on the gateway, which point \
                 the probe to Envoy's 15021 /healthz/ready"
            ),
        )
        .evidence(probe),
        None => Finding::new(
            "GATEWAY_SILENT",
            format!(
                "port {port} of gateway {own} does not respond, though its pods are ready and its probe is \
                 correct"
            ),
            "check the network security groups of the nodes' subnet, and whether your network allows \
             outbound traffic to this port",
        ),
    };
    description.take(1).fold(finding, Finding::evidence)
}

/// Returns the request of the load balancer's probe if a gateway cannot answer it with 200.
/// <https://cloud-provider-azure.sigs.k8s.io/topics/loadbalancer/#custom-load-balancer-health-probe>
fn unhealthy_probe(front: &DynamicObject, port: u16) -> Option<String> {
    let annotations = front.metadata.annotations.as_ref();
    let annotation = |what: &str| {
        let key = format!("service.beta.kubernetes.io/port_{port}_health-probe_{what}");
        annotations.and_then(|all| all.get(&key)).map(String::as_str).unwrap_or_default()
    };
    let mut ports = list(&front.data, "/spec/ports").iter();
    let own = ports.find(|one| one["port"].as_u64() == Some(port.into()))?;
    let protocol = match annotation("protocol") {
        "" => text(own, "/appProtocol"),
        chosen => chosen,
    };
    let by_http = ["http", "https"].contains(&protocol.to_ascii_lowercase().as_str());
    let (probe_port, path) = (annotation("port"), annotation("request-path"));
    if !by_http || (probe_port, path) == ("15021", "/healthz/ready") {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let at = if probe_port.is_empty() { port.to_string() } else { probe_port.to_owned() };
    Some(format!(
        "Service {}: port {port} is probed by {protocol} on {at} for {path}, where a redirect or a 404 \
         counts as unhealthy",
        name(front)
    ))
}

/// Checks that every served certificate equals the one in the Secret, and has its chain.
fn certificates(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    let mut broken_chains = BTreeSet::new();
    for result in &snapshot.external {
        let ProbeOutcome::Status { leaf: Some(leaf), chain_faults, .. } = &result.outcome else { continue };
        let own = &result.gateway;
        if findings.is_explained(own) || findings.is_explained(&format!("{own}:certificate")) {
            continue;
        }
        for fault in chain_faults {
            let cause = format!("gateway {own} serves a certificate that clients may refuse: {fault}");
            if broken_chains.insert(cause.clone()) {
                let hint = format!("{}: landfall rotate --pfx FILE", fault.hint());
                let finding = Finding::new("CERTIFICATE_CHAIN", cause, hint);
                findings.report_latent(finding.evidence(format!("served to {}", result.host)));
            }
        }
        let secret_thumbprints = secret_thumbprints(snapshot, cluster_objects, own);
        if secret_thumbprints.is_empty() || secret_thumbprints.contains(&leaf.thumbprint_sha1) {
            continue;
        }
        let finding = Finding::new(
            "GATEWAY_SERVES_OTHER_CERTIFICATE",
            format!("gateway {own} serves another certificate than its Secret contains"),
            format!(
                "wait a few seconds; if it persists, kubectl rollout restart deployment \
                 {own}-approuting-istio"
            ),
        );
        let description = format!(
            "served SHA-1 {}, the Secret contains {}",
            leaf.thumbprint_sha1,
            secret_thumbprints.join(", ")
        );
        findings.report(finding.evidence(description));
        findings.mark_explained(format!("{own}:certificate"));
    }
}

fn secret_thumbprints(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, own: &str) -> Vec<String> {
    let Some(wanted) = snapshot.gateways().find(|gateway| name(gateway) == own) else { return Vec::new() };
    let Some(live) = ClusterSnapshot::find(&cluster_objects.gateways, space(wanted), own) else {
        return Vec::new();
    };
    let live = Gateway::read(live);
    let secrets = live.secrets().filter_map(|place| cluster_objects.secrets.get(&place));
    secrets.filter_map(|read| thumbprint(read.as_ref().ok()?.as_ref()?)).collect()
}
