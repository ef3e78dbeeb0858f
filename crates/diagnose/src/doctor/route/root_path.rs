//! Checks that `/` of a host reaches a backend: the routes of a host may match some paths only.

use super::{
    super::{Finding, rules::Findings, snapshot::Snapshot},
    concerns,
};
use crate::{
    route_model::{Route, Rule},
    snapshot::ClusterSnapshot,
};
use std::collections::BTreeSet;

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    let live = cluster_objects.routes.as_deref().unwrap_or_default().iter();
    let routes: Vec<Route> = live.filter(|route| concerns(snapshot, route)).map(Route::read).collect();
    let hosts: BTreeSet<&String> = routes.iter().flat_map(|route| &route.spec.hostnames).collect();
    for host in hosts.into_iter().filter(|host| !findings.is_explained(host)).collect::<Vec<_>>() {
        let of: Vec<&Route> = routes.iter().filter(|route| route.spec.hostnames.contains(host)).collect();
        let rules: Vec<&Rule> = of.iter().flat_map(|route| &route.spec.rules).collect();
        if rules.is_empty()
            || rules.iter().any(|rule| rule.may_match_root())
            || is_intended(snapshot, host, &rules)
        {
            continue;
        }
        // A response other than 404 comes from a foreign route.
        let result = snapshot.external.iter().find(|result| result.host == *host && result.port == 443);
        if result.is_some_and(|result| result.status().is_some_and(|status| status != 404)) {
            continue;
        }
        let (own, matched) = (&of[0].name, matched(&rules));
        let finding = Finding::new(
            "PATHS_RESTRICTED",
            format!("https://{host}/ returns 404: the route {own} matches only some paths, and not /"),
            "in the route, delete matches or add a match with PathPrefix /; a route of landfall is restored by: landfall up",
        );
        let finding = finding.evidence(format!("route {own} matches {}", matched.join(", ")));
        findings.report(match result {
            Some(result) => finding.evidence(result.description()),
            None => finding,
        });
        findings.mark_explained(host.as_str());
    }
}

/// Returns whether the missing `/` is intended. It is if the paths select several services, and no rule of
/// the manifests serves `/`.
fn is_intended(snapshot: &Snapshot<'_>, host: &String, rules: &[&Rule]) -> bool {
    let mut wanted = snapshot.wanted("HTTPRoute").map(Route::read);
    let serves_root = wanted.any(|route| {
        route.spec.hostnames.contains(host) && route.spec.rules.iter().any(Rule::may_match_root)
    });
    let services: BTreeSet<&str> =
        rules.iter().flat_map(|rule| &rule.backend_refs).map(|one| one.name.as_str()).collect();
    !serves_root && services.len() > 1
}

fn matched(rules: &[&Rule]) -> Vec<String> {
    let matches = rules.iter().flat_map(|rule| &rule.matches);
    matches
        .map(|one| {
            let path = one.path.clone().unwrap_or_default();
            let kind = Some(path.kind.as_str()).filter(|kind| !kind.is_empty()).unwrap_or("PathPrefix");
            format!("{kind} {}", path.value)
        })
        .collect()
}
