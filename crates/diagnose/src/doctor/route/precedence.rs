//! Checks that no older foreign route takes the requests of ours: of two equal matches the older route wins.
//!
//! Source: the order in `HTTPRouteRule.matches` of gateway.networking.k8s.io/v1.

use super::{
    super::{Finding, rules::Findings, snapshot::Snapshot},
    mark_explained,
};
use crate::{
    object_fields::{condition, list, name, space},
    route_model::{Gateway, Route},
    route_precedence::{Table, is_parent},
    snapshot::ClusterSnapshot,
};
use landfall_cloud::kubernetes::DynamicObject;

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    let live = cluster_objects.routes.as_deref().unwrap_or_default();
    let is_wanted = |route: &&DynamicObject| {
        snapshot
            .wanted("HTTPRoute")
            .any(|wanted| name(wanted) == name(route) && space(wanted) == space(route))
    };
    let attached: Vec<Route> = live.iter().filter(|route| !is_refused(route)).map(Route::read).collect();
    let own: Vec<(&DynamicObject, Route)> =
        live.iter().filter(is_wanted).map(|object| (object, Route::read(object))).collect();
    for gateway in cluster_objects.gateways.as_deref().unwrap_or_default().iter().map(Gateway::read) {
        for listener in &gateway.listeners {
            let mut table = Table::default();
            let parents = attached.iter().filter(|route| is_parent(&gateway, listener, route));
            parents.for_each(|route| table.add(listener, route));
            for (object, route) in &own {
                let foreign = |other: &Route| {
                    !own.iter().any(|(_, own)| own.name == other.name && own.namespace == other.namespace)
                };
                if let Some((other, host)) = table.preceding(route).filter(|(other, _)| foreign(other)) {
                    findings.report(taken(route, other, host, &gateway.name));
                    mark_explained(object, findings);
                }
            }
        }
    }
}

/// Returns whether every parent has refused a route: it takes no requests.
fn is_refused(route: &DynamicObject) -> bool {
    let statuses = list(&route.data, "/status/parents");
    !statuses.is_empty() && statuses.iter().all(|status| condition(status, "Accepted", "False").is_some())
}

fn taken(own: &Route, other: &Route, host: &str, gateway: &str) -> Finding {
    let named = |route: &Route| format!("{}/{}", route.namespace, route.name);
    let created = |route: &Route| route.created.map_or_else(|| "?".to_owned(), |time| time.to_string());
    let host = if host.is_empty() { "every host" } else { host };
    let age = match own.created == other.created {
        true => "of the same age, and first by name",
        false => "older",
    };
    Finding::new(
        "ROUTE_TAKEN",
        format!(
            "the foreign route {} takes the requests for {host} from the route {}: it is {age}",
            named(other),
            own.name
        ),
        format!(
            "change the hostnames or matches of the foreign route, or delete it: kubectl -n {} edit httproute {}",
            other.namespace, other.name
        ),
    )
    .evidence(format!(
        "gateway {gateway}: route {} (created {}) and route {} (created {}) have an equal match",
        named(other),
        created(other),
        named(own),
        created(own)
    ))
}
