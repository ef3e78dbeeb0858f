//! Checks of the path Route → Service → port → pods.

use super::{
    super::{Finding, rules::Findings},
    mark_explained,
};
use crate::{
    object_fields::{condition, is_ready, list, name, selected, space, text},
    rotation_diagnosis::not_ready_reason,
    route_model::{self, Route, Rule},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

/// A backend of a rule.
struct Backend {
    service: String,
    namespace: String,
    port: Option<u16>,
    weight: u32,
    /// The sum of the weights of all backends of the rule, and their number.
    of: (u32, usize),
}

pub(super) fn evaluate(cluster_objects: &ClusterSnapshot, route: &DynamicObject, findings: &mut Findings) {
    if cluster_objects.services.is_err() {
        return;
    }
    if let Some(status_condition) = unresolved_reference(route) {
        findings.add_symptom(format!("route {}: {status_condition}", name(route)));
    }
    let parsed = Route::read(route);
    for rule in &parsed.spec.rules {
        let backends = backends(&parsed, rule);
        if !backends.is_empty() && backends[0].of.0 == 0 {
            let finding = Finding::new(
                "ROUTE_WEIGHTS_ZERO",
                format!("all backends of a rule of route {} have weight 0, so it returns 500", name(route)),
                "landfall up: it sets the weights of the settings",
            );
            findings.report(finding.evidence("every backendRefs[].weight is 0"));
            mark_explained(route, findings);
            continue;
        }
        for backend in backends.iter().filter(|backend| backend.weight > 0) {
            if let Some(finding) = evaluate_backend(cluster_objects, route, backend) {
                findings.report(finding);
                mark_explained(route, findings);
            }
        }
    }
}

fn unresolved_reference(route: &DynamicObject) -> Option<String> {
    let parents = list(&route.data, "/status/parents").iter();
    parents
        .filter_map(|parent| condition(parent, "ResolvedRefs", "False"))
        .map(|status_condition| status_condition.short())
        .next()
}

fn backends(route: &Route, rule: &Rule) -> Vec<Backend> {
    let all = &rule.backend_refs;
    let of = (all.iter().map(route_model::Backend::weight).sum(), all.len());
    let services = all.iter().filter(|one| one.is_service());
    services
        .map(|one| Backend {
            service: one.name.clone(),
            namespace: one.namespace.clone().unwrap_or_else(|| route.namespace.clone()),
            port: one.port,
            weight: one.weight(),
            of,
        })
        .collect()
}

fn evaluate_backend(
    cluster_objects: &ClusterSnapshot,
    route: &DynamicObject,
    backend: &Backend,
) -> Option<Finding> {
    let (own, service) = (name(route), backend.service.as_str());
    let spaces = cluster_objects.services.as_deref().unwrap_or_default();
    // A Service in a namespace that was not read cannot be reported as missing.
    let is_seen =
        backend.namespace == space(route) || spaces.iter().any(|one| space(one) == backend.namespace);
    let Some(live) = ClusterSnapshot::find(&cluster_objects.services, &backend.namespace, service) else {
        return is_seen.then(|| missing_service(route, backend));
    };
    let ports = list(&live.data, "/spec/ports");
    let Some(port) = ports.iter().find(|port| port["port"].as_u64() == backend.port.map(u64::from)) else {
        let there: Vec<u64> = ports.iter().filter_map(|port| port["port"].as_u64()).collect();
        let wanted_port = backend.port.unwrap_or_default();
        let finding = Finding::new(
            "BACKEND_PORT_WRONG",
            format!("the route {own} uses a port that Service {service} does not have"),
            "landfall up: it restores the route and the Service; in your own manifests, fix the port in \
             backendRefs",
        );
        return Some(
            finding.evidence(format!(
                "backendRefs names {service}:{wanted_port}, but the Service has {there:?}"
            )),
        );
    };
    if text(&live.data, "/spec/type") == "ExternalName" || cluster_objects.pods.is_err() {
        return None;
    }
    let selector = &live.data["spec"]["selector"];
    // A Service without a selector has its endpoints from another source.
    selector.as_object().filter(|selector| !selector.is_empty())?;
    let pods = selected(cluster_objects.pods(), space(live), selector);
    match pods.iter().any(|pod| is_ready(pod)) {
        true => undeclared_target_port(route, service, port, &pods),
        false => Some(no_ready_pod(route, service, selector, &pods)),
    }
}

fn missing_service(route: &DynamicObject, backend: &Backend) -> Finding {
    let (own, service, (sum, count)) = (name(route), &backend.service, backend.of);
    let finding = match count {
        1 => Finding::new(
            "BACKEND_MISSING",
            format!("the route {own} uses Service {service}, which does not exist"),
            "landfall up: it restores the Service and the route",
        ),
        _ => Finding::new(
            "BACKEND_WEIGHT_LOST",
            format!(
                "the route {own} sends {} of {sum} requests to Service {service}, which does not exist: they \
                 return 500",
                backend.weight
            ),
            "landfall up: it restores the Service and the route, with the weights of the settings",
        ),
    };
    let place = format!("namespace {} has no Service {service}", backend.namespace);
    let status_condition =
        list(&route.data, "/status/parents").iter().find_map(|one| condition(one, "ResolvedRefs", "False"));
    let finding = finding.evidence(place);
    match status_condition {
        Some(status_condition) => {
            finding.evidence(format!("route {own}: {}", status_condition.description()))
        }
        None => finding,
    }
}

fn no_ready_pod(route: &DynamicObject, service: &str, selector: &Value, pods: &[&DynamicObject]) -> Finding {
    let own = name(route);
    let finding = Finding::new(
        "BACKEND_NOT_READY",
        format!("no pod behind Service {service} is ready, so route {own} returns 503"),
        "landfall up: it restores the Deployments; the evidence shows why a pod is not ready",
    );
    if pods.is_empty() {
        return finding.evidence(format!("no pod matches the selector of Service {service}: {selector}"));
    }
    let description = pods.iter().map(|pod| {
        let phase = text(&pod.data, "/status/phase");
        format!(
            "pod {} is {phase}{}",
            name(pod),
            not_ready_reason(pod).map(|not_ready_reason| format!(": {not_ready_reason}")).unwrap_or_default()
        )
    });
    description.take(2).fold(finding, Finding::evidence)
}

/// Returns a finding for a named target port that no container of the pods declares. Numeric target ports
/// need no declaration.
fn undeclared_target_port(
    route: &DynamicObject,
    service: &str,
    port: &Value,
    pods: &[&DynamicObject],
) -> Option<Finding> {
    let wanted = port["targetPort"].as_str()?;
    let containers = pods.iter().flat_map(|pod| list(&pod.data, "/spec/containers"));
    let names: Vec<&str> =
        containers.flat_map(|one| list(one, "/ports")).map(|port| text(port, "/name")).collect();
    if names.contains(&wanted) {
        return None;
    }
    let finding = Finding::new(
        "BACKEND_TARGET_PORT_WRONG",
        format!(
            "Service {service} targets a port that its pods do not have, so route {} returns 503",
            name(route)
        ),
        "landfall up: it restores the Service; in your own manifest, fix targetPort",
    );
    Some(finding.evidence(format!("targetPort is {wanted:?}, the containers' ports are {names:?}")))
}
