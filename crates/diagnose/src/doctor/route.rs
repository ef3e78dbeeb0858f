//! Checks of the routes: accepted by a listener, and with ready backends.

mod backend;
mod paths;

use super::{Finding, picture::Picture, walk::Walk};
use crate::{
    object_fields::{Said, condition, list, name, space, text, texts},
    route_model::{Gate, Reference, Route},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;

pub(super) fn judge(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) {
    let Ok(routes) = &inside.routes else { return };
    for route in routes.iter().filter(|route| concerns(p, route)) {
        parents(inside, route, walk);
        backend::judge(inside, route, walk);
    }
    missing(p, inside, walk);
    idle(inside, walk);
    paths::judge(p, inside, walk);
}

/// Returns whether a route is relevant: it is a desired one, or references one of the gateways.
fn concerns(p: &Picture<'_>, route: &DynamicObject) -> bool {
    let same = |one: &DynamicObject| name(one) == name(route) && space(one) == space(route);
    let asks = |gateway: &DynamicObject| Route::read(route).has_parent(name(gateway));
    p.wanted("HTTPRoute").any(same) || p.gateways().any(asks)
}

fn references(route: &DynamicObject) -> Vec<Reference> {
    Route::read(route).spec.parent_refs
}

/// Returns the live gateway that a route's parent reference names.
fn gateway<'a>(
    inside: &'a ClusterSnapshot,
    route: &DynamicObject,
    reference: &Reference,
) -> Option<&'a DynamicObject> {
    let namespace = reference.namespace.as_deref().unwrap_or_else(|| space(route));
    ClusterSnapshot::find(&inside.gateways, namespace, &reference.name)
}

/// Marks the hosts of a route as explained, because the route's failure has a cause.
fn explain(route: &DynamicObject, walk: &mut Walk) {
    for host in texts(&route.data, "/spec/hostnames") {
        walk.explain(host);
    }
    for reference in references(route) {
        walk.explain(format!("{}/{}", reference.name, reference.section()));
    }
}

fn parents(inside: &ClusterSnapshot, route: &DynamicObject, walk: &mut Walk) {
    let own = name(route);
    for reference in &references(route) {
        let parent = reference.name.as_str();
        if gateway(inside, route, reference).is_none() {
            // A desired gateway that is missing has a finding of its own.
            if !walk.explains(parent) && inside.gateways.is_ok() {
                let finding = Finding::new(
                    "ROUTE_PARENT_MISSING",
                    format!("the route {own} references a gateway that does not exist"),
                    "landfall up: it restores the route; in your own manifest, name the gateway in \
                     parentRefs",
                );
                walk.name(
                    finding.evidence(format!("parentRefs names Gateway {parent}, which does not exist")),
                );
            }
            explain(route, walk);
            continue;
        }
        let statuses = list(&route.data, "/status/parents").iter();
        let same = |status: &&Value| {
            text(status, "/parentRef/name") == parent
                && text(status, "/parentRef/sectionName") == reference.section()
        };
        let Some(status) = statuses.into_iter().find(same) else {
            walk.symptom(format!("no controller has accepted the route {own} for gateway {parent}"));
            continue;
        };
        let Some(said) = condition(status, "Accepted", "False") else { continue };
        walk.symptom(format!("route {own}: {}", said.short()));
        if !walk.explains(parent) {
            walk.name(refused(inside, route, reference, &said));
        }
        explain(route, walk);
    }
}

fn refused(
    inside: &ClusterSnapshot,
    route: &DynamicObject,
    reference: &Reference,
    said: &Said<'_>,
) -> Finding {
    let (own, parent) = (name(route), &reference.name);
    let finding = match said.reason {
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
        .evidence(format!("gateway {parent} has the listeners {:?}", listeners(inside, route, reference))),
        "NotAllowedByListeners" => Finding::new(
            "ROUTE_NOT_ALLOWED",
            format!("the listeners of gateway {parent} do not allow the route {own}"),
            "landfall up: it restores the gateway and the route; in your own manifests, fix allowedRoutes",
        ),
        _ => Finding::new(
            "ROUTE_NOT_ACCEPTED",
            format!("gateway {parent} does not accept the route {own}"),
            format!("kubectl describe httproute {own}; landfall up restores it"),
        ),
    };
    finding.evidence(format!("route {own}: {}", said.told()))
}

fn listeners(inside: &ClusterSnapshot, route: &DynamicObject, reference: &Reference) -> Vec<String> {
    let found = gateway(inside, route, reference).map(Gate::read);
    found.into_iter().flat_map(|found| found.listeners).map(|listener| listener.name).collect()
}

/// Reports the desired routes that do not exist.
fn missing(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) {
    for wanted in p.wanted("HTTPRoute") {
        let own = name(wanted);
        if ClusterSnapshot::find(&inside.routes, space(wanted), own).is_some() {
            continue;
        }
        let idle = references(wanted).iter().find_map(|reference| {
            let gateway = gateway(inside, wanted, reference)?;
            let statuses = list(&gateway.data, "/status/listeners").iter();
            let section = reference.section();
            let mut of = statuses.filter(|one| section.is_empty() || text(one, "/name") == section);
            of.all(|one| one["attachedRoutes"] == 0).then(|| (name(gateway).to_owned(), section.to_owned()))
        });
        let is_explained = references(wanted).iter().all(|reference| walk.explains(&reference.name));
        if !is_explained {
            let told = format!("namespace {} has no HTTPRoute {own}", space(wanted));
            walk.lacks(match &idle {
                Some((gateway, listener)) => bare(gateway, listener).evidence(told),
                None => Finding::new(
                    "ROUTE_MISSING",
                    format!("the route {own} does not exist"),
                    "landfall up: it creates the route",
                )
                .evidence(told),
            });
        }
        explain(wanted, walk);
    }
}

fn bare(gateway: &str, listener: &str) -> Finding {
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
fn idle(inside: &ClusterSnapshot, walk: &mut Walk) {
    for gateway in inside.gateways.as_deref().unwrap_or_default() {
        let own = name(gateway);
        for status in list(&gateway.data, "/status/listeners") {
            let listener = text(status, "/name");
            let is_explained = [own.to_owned(), format!("{own}/{listener}"), format!("{own}/")]
                .iter()
                .any(|known| walk.explains(known));
            if status["attachedRoutes"] == 0 && !is_explained {
                walk.lacks(bare(own, listener));
            }
        }
    }
}
