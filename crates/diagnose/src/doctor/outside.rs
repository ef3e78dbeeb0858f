//! Checks of the gateways' responses from outside, for failures that no check inside the cluster explains.

use super::{Finding, gateway::service, picture::Picture, walk::Walk};
use crate::{
    object_fields::{list, name, space, text},
    route_model::Gate,
    snapshot::ClusterSnapshot,
};
use landfall_cloud::{
    certificate::Leaf,
    kubernetes::{DynamicObject, tls_secret::thumbprint},
};
use std::{collections::BTreeSet, time::Duration};

/// The response to `GET /`, or its absence.
pub(super) struct Answer {
    pub(super) gateway: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) came: Came,
}

/// The result of one request.
pub(super) enum Came {
    /// A status, and the certificate of the handshake before it.
    Status { status: u16, leaf: Option<Leaf> },
    /// A timeout after this duration.
    Nothing(Duration),
    /// An immediate error: no listener on the port, or a failed handshake.
    Refused(String),
}

impl Answer {
    pub(super) fn status(&self) -> Option<u16> {
        match self.came {
            Came::Status { status, .. } => Some(status),
            Came::Nothing(_) | Came::Refused(_) => None,
        }
    }

    /// Returns the response as display text.
    pub(super) fn told(&self) -> String {
        let scheme = if self.port == 443 { "https" } else { "http" };
        let url = format!("{scheme}://{}/", self.host);
        match &self.came {
            Came::Status { status, .. } => format!("{url} returns {status}"),
            Came::Nothing(max) => format!("{url} does not respond within {} s", max.as_secs_f64()),
            Came::Refused(why) => format!("{url} cannot be reached: {why}"),
        }
    }

    /// Returns whether the response is a timeout, a refusal or a gateway error. The route checks evaluate
    /// 404.
    fn is_trouble(&self) -> bool {
        self.status().is_none_or(|status| status >= 500)
    }
}

pub(super) fn judge(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) {
    for answer in p.outside.iter().filter(|answer| answer.is_trouble()) {
        walk.symptom(answer.told());
    }
    let doors: BTreeSet<(&str, u16)> =
        p.outside.iter().map(|answer| (answer.gateway.as_str(), answer.port)).collect();
    for (own, port) in doors {
        let of: Vec<&Answer> =
            p.outside.iter().filter(|answer| answer.gateway == own && answer.port == port).collect();
        if walk.explains(own) || walk.explains(&format!("{own}:{port}")) {
            continue;
        }
        if of.iter().all(|answer| matches!(answer.came, Came::Nothing(_))) {
            walk.name(silent(p, inside, own, port));
            continue;
        }
        for answer in of {
            single(answer, walk);
        }
    }
    certificates(p, inside, walk);
}

fn single(answer: &Answer, walk: &mut Walk) {
    let Answer { gateway, host, port, .. } = answer;
    if walk.explains(host) {
        return;
    }
    let finding = match &answer.came {
        Came::Status { status, .. } if *status >= 500 => Finding::new(
            "ANSWER_SERVER_ERROR",
            format!("{host} returns {status}, though the route to its pods has no fault"),
            "check the logs of the workload's pods and of the gateway's pods: kubectl logs",
        ),
        Came::Status { .. } => return,
        Came::Nothing(_) => Finding::new(
            "ANSWER_SLOW",
            format!("{host} does not respond on port {port}, but other hosts of gateway {gateway} do"),
            "check the pods behind this host: kubectl logs, kubectl top pods",
        ),
        Came::Refused(_) => Finding::new(
            "GATEWAY_UNREACHABLE",
            format!("the address of gateway {gateway} cannot be reached from here on port {port}"),
            "try from another network; then check the network security groups of the nodes' subnet and the \
             load balancer's rules",
        ),
    };
    walk.name(finding.evidence(answer.told()));
}

/// Returns the finding for a port without a response. Either the load balancer has no healthy backend, or
/// something in between drops the requests. Missing routes are no cause: without one a listener responds 404.
fn silent(p: &Picture<'_>, inside: &ClusterSnapshot, own: &str, port: u16) -> Finding {
    let told =
        p.outside.iter().filter(|answer| answer.gateway == own && answer.port == port).map(Answer::told);
    let gateway = p.gateways().find(|gateway| name(gateway) == own);
    let front = gateway.and_then(|gateway| service(inside, gateway));
    let finding = match front.and_then(|front| probed(front, port)) {
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
    told.take(1).fold(finding, Finding::evidence)
}

/// Returns the request of the load balancer's probe if a gateway cannot answer it with 200.
/// <https://cloud-provider-azure.sigs.k8s.io/topics/loadbalancer/#custom-load-balancer-health-probe>
fn probed(front: &DynamicObject, port: u16) -> Option<String> {
    let annotations = front.metadata.annotations.as_ref();
    let said = |what: &str| {
        let key = format!("service.beta.kubernetes.io/port_{port}_health-probe_{what}");
        annotations.and_then(|all| all.get(&key)).map(String::as_str).unwrap_or_default()
    };
    let mut ports = list(&front.data, "/spec/ports").iter();
    let own = ports.find(|one| one["port"].as_u64() == Some(port.into()))?;
    let protocol = match said("protocol") {
        "" => text(own, "/appProtocol"),
        chosen => chosen,
    };
    let by_http = ["http", "https"].contains(&protocol.to_ascii_lowercase().as_str());
    let (probe_port, path) = (said("port"), said("request-path"));
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

/// Checks that every served certificate equals the one in the Secret.
fn certificates(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) {
    for answer in &p.outside {
        let Came::Status { leaf: Some(leaf), .. } = &answer.came else { continue };
        let own = &answer.gateway;
        if walk.explains(own) || walk.explains(&format!("{own}:certificate")) {
            continue;
        }
        let carried = carried(p, inside, own);
        if carried.is_empty() || carried.contains(&leaf.thumbprint_sha1) {
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
        let told =
            format!("served SHA-1 {}, the Secret contains {}", leaf.thumbprint_sha1, carried.join(", "));
        walk.name(finding.evidence(told));
        walk.explain(format!("{own}:certificate"));
    }
}

fn carried(p: &Picture<'_>, inside: &ClusterSnapshot, own: &str) -> Vec<String> {
    let Some(wanted) = p.gateways().find(|gateway| name(gateway) == own) else { return Vec::new() };
    let Some(live) = ClusterSnapshot::find(&inside.gateways, space(wanted), own) else { return Vec::new() };
    let live = Gate::read(live);
    let secrets = live.secrets().filter_map(|place| inside.secrets.get(&place));
    secrets.filter_map(|read| thumbprint(read.as_ref().ok()?.as_ref()?)).collect()
}
