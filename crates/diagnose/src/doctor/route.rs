//! Checks of the routes: accepted by a listener, and with ready backends.

mod backend;
mod precedence;
mod root_path;

use super::{Finding, rules::Findings, snapshot::Snapshot};
use crate::{
    object_fields::{StatusCondition, condition, kubectl_name, list, name, space, text, texts},
    route_model::{Gateway, Reference, Route},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    let Ok(routes) = &cluster_objects.routes else { return };
    for route in routes.iter().filter(|route| concerns(snapshot, route)) {
        parents(cluster_objects, route, findings);
        backend::evaluate(cluster_objects, route, findings);
    }
    missing(snapshot, cluster_objects, findings);
    unattached(cluster_objects, findings);
    precedence::evaluate(snapshot, cluster_objects, findings);
    root_path::evaluate(snapshot, cluster_objects, findings);
}

/// Returns whether a route is relevant: it is a desired one, or references one of the gateways.
fn concerns(snapshot: &Snapshot<'_>, route: &DynamicObject) -> bool {
    let same = |one: &DynamicObject| name(one) == name(route) && space(one) == space(route);
    let references_gateway = |gateway: &DynamicObject| Route::read(route).has_parent(name(gateway));
    snapshot.wanted("HTTPRoute").any(same) || snapshot.gateways().any(references_gateway)
}

fn references(route: &DynamicObject) -> Vec<Reference> {
    Route::read(route).spec.parent_refs
}

/// Returns the live gateway that a route's parent reference names.
fn gateway<'a>(
    cluster_objects: &'a ClusterSnapshot,
    route: &DynamicObject,
    reference: &Reference,
) -> Option<&'a DynamicObject> {
    let namespace = reference.namespace.as_deref().unwrap_or_else(|| space(route));
    ClusterSnapshot::find(&cluster_objects.gateways, namespace, &reference.name)
}

/// Marks the hosts of a route as explained, because the route's failure has a cause.
fn mark_explained(route: &DynamicObject, findings: &mut Findings) {
    for host in texts(&route.data, "/spec/hostnames") {
        findings.mark_explained(host);
    }
    for reference in references(route) {
        findings.mark_explained(format!("{}/{}", reference.name, reference.section()));
    }
}

fn parents(cluster_objects: &ClusterSnapshot, route: &DynamicObject, findings: &mut Findings) {
    let own = name(route);
    for reference in &references(route) {
        let parent = reference.name.as_str();
        if gateway(cluster_objects, route, reference).is_none() {
            // A desired gateway that is missing has a finding of its own.
            if !findings.is_explained(parent) && cluster_objects.gateways.is_ok() {
                let finding = Finding::new(
                    "ROUTE_PARENT_MISSING",
                    format!("the route {own} references a gateway that does not exist"),
                    "landfall up: it restores the route; in your own manifest, name the gateway in \
                     parentRefs",
                );
                findings.report(
                    finding.evidence(format!("parentRefs names Gateway {parent}, which does not exist")),
                );
            }
            mark_explained(route, findings);
            continue;
        }
        let statuses = list(&route.data, "/status/parents").iter();
        let same = |status: &&Value| {
            text(status, "/parentRef/name") == parent
                && text(status, "/parentRef/sectionName") == reference.section()
        };
        let Some(status) = statuses.into_iter().find(same) else {
            findings.add_symptom(format!("no controller has accepted the route {own} for gateway {parent}"));
            continue;
        };
        let Some(status_condition) = condition(status, "Accepted", "False") else { continue };
        findings.add_symptom(format!("route {own}: {}", status_condition.short()));
        if !findings.is_explained(parent) {
            findings.report(refused(cluster_objects, route, reference, &status_condition));
        }
        mark_explained(route, findings);
    }
}

fn refused(
    cluster_objects: &ClusterSnapshot,
    route: &DynamicObject,
    reference: &Reference,
    status_condition: &StatusCondition<'_>,
) -> Finding {
    let (own, parent) = (name(route), &reference.name);
    let finding = match status_condition.reason {
        "NoMatchingListenerHostname" => Finding::new(
            "ROUTE_HOSTNAME_MISMATCH",
            format!("no listener of gateway {parent} serves the hostnames of route {own}"),
            "landfall up: it restores the route; in your own manifest, use hostnames that match the \
             listener's hostname",
        )
        .evidence(format!("route {own} has hostnames {:?}", texts(&route.data, "/spec/hostnames"))),
        "NoMatchingParent" => Finding::new(
            "ROUTE_PARENT_MISSING",
            format!("the route {own} references a listener that gateway {parent} does not have"),
            "landfall up: it restores the route; in your own manifest, fix sectionName or port in parentRefs",
        )
        .evidence(format!(
            "gateway {parent} has the listeners {:?}",
            listeners(cluster_objects, route, reference)
        )),
        "NotAllowedByListeners" => Finding::new(
            "ROUTE_NOT_ALLOWED",
            format!("the listeners of gateway {parent} do not allow the route {own}"),
            "landfall up: it restores the gateway and the route; in your own manifests, fix allowedRoutes",
        ),
        _ => Finding::new(
            "ROUTE_NOT_ACCEPTED",
            format!("gateway {parent} does not accept the route {own}"),
            format!("kubectl describe httproute {}; landfall up restores it", kubectl_name(route)),
        ),
    };
    finding.evidence(format!("route {own}: {}", status_condition.description()))
}

fn listeners(cluster_objects: &ClusterSnapshot, route: &DynamicObject, reference: &Reference) -> Vec<String> {
    let found = gateway(cluster_objects, route, reference).map(Gateway::read);
    found.into_iter().flat_map(|found| found.listeners).map(|listener| listener.name).collect()
}

/// Reports the desired routes that do not exist.
fn missing(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    for wanted in snapshot.wanted("HTTPRoute") {
        let own = name(wanted);
        if ClusterSnapshot::find(&cluster_objects.routes, space(wanted), own).is_some() {
            continue;
        }
        let unattached = references(wanted).iter().find_map(|reference| {
            let gateway = gateway(cluster_objects, wanted, reference)?;
            let statuses = list(&gateway.data, "/status/listeners").iter();
            let section = reference.section();
            let mut of = statuses.filter(|one| section.is_empty() || text(one, "/name") == section);
            of.all(|one| one["attachedRoutes"] == 0).then(|| (name(gateway).to_owned(), section.to_owned()))
        });
        let is_explained = references(wanted).iter().all(|reference| findings.is_explained(&reference.name));
        if !is_explained {
            let description = format!("namespace {} has no HTTPRoute {own}", space(wanted));
            findings.report_missing(match &unattached {
                Some((gateway, listener)) => listener_without_route(gateway, listener).evidence(description),
                None => Finding::new(
                    "ROUTE_MISSING",
                    format!("the route {own} does not exist"),
                    "landfall up: it creates the route",
                )
                .evidence(description),
            });
        }
        mark_explained(wanted, findings);
    }
}

fn listener_without_route(gateway: &str, listener: &str) -> Finding {
    let finding = Finding::new(
        "LISTENER_WITHOUT_ROUTE",
        format!("no route is attached to listener {listener} of gateway {gateway}, so it returns 404"),
        format!(
            "landfall up: it creates the routes; in your own manifests, add an HTTPRoute with sectionName \
             {listener}"
        ),
    );
    finding.evidence(format!("listener {listener}: attachedRoutes is 0"))
}

/// Reports listeners without an attached route that no earlier finding explains.
fn unattached(cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    for gateway in cluster_objects.gateways.as_deref().unwrap_or_default() {
        let own = name(gateway);
        for status in list(&gateway.data, "/status/listeners") {
            let listener = text(status, "/name");
            let is_explained = [own.to_owned(), format!("{own}/{listener}"), format!("{own}/")]
                .iter()
                .any(|known| findings.is_explained(known));
            if status["attachedRoutes"] == 0 && !is_explained {
                findings.report_missing(listener_without_route(own, listener));
            }
        }
    }
}
