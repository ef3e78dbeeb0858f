//! Checks that `/` of a host reaches a backend: the routes of a host may match some paths only.

use super::{
    super::{
        Finding,
        inside::Inside,
        object::{list, name, text, texts},
        picture::Picture,
        walk::Walk,
    },
    concerns,
};
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn judge(p: &Picture<'_>, inside: &Inside, walk: &mut Walk) {
    let routes: Vec<&DynamicObject> = inside.routes.as_deref().unwrap_or_default().iter().collect();
    let routes: Vec<&DynamicObject> = routes.into_iter().filter(|route| concerns(p, route)).collect();
    let hosts: BTreeSet<&str> =
        routes.iter().flat_map(|route| texts(&route.data, "/spec/hostnames")).collect();
    for host in hosts.into_iter().filter(|host| !walk.explains(host)).collect::<Vec<_>>() {
        let of: Vec<&DynamicObject> = routes
            .iter()
            .copied()
            .filter(|route| texts(&route.data, "/spec/hostnames").contains(&host))
            .collect();
        let rules: Vec<&Value> = of.iter().flat_map(|route| list(&route.data, "/spec/rules")).collect();
        if rules.is_empty() || rules.iter().any(|rule| may_meet_root(rule)) || is_meant(p, host, &rules) {
            continue;
        }
        // A response other than 404 comes from a foreign route.
        let answered = p.outside.iter().find(|answer| answer.host == host && answer.port == 443);
        if answered.is_some_and(|answer| answer.status().is_some_and(|status| status != 404)) {
            continue;
        }
        let (own, matched) = (name(of[0]), matched(&rules));
        let finding = Finding::new(
            "PATHS_RESTRICTED",
            format!("https://{host}/ returns 404: the route {own} matches only some paths, and not /"),
            "omit matches, or add a match with PathPrefix /; landfall up restores the route of the manifests",
        );
        let finding = finding.evidence(format!("route {own} matches {}", matched.join(", ")));
        walk.name(match answered {
            Some(answer) => finding.evidence(answer.told()),
            None => finding,
        });
        walk.explain(host);
    }
}

/// Returns whether a plain GET of `/` can match a rule.
fn may_meet_root(rule: &Value) -> bool {
    let matches = list(rule, "/matches");
    matches.is_empty()
        || matches.iter().any(|one| {
            let (kind, value) = (text(one, "/path/type"), text(one, "/path/value"));
            one["path"].is_null() || value == "/" || kind == "RegularExpression"
        })
}

/// Returns whether the missing `/` is intended. It is if the paths select several services, and no rule of
/// the manifests serves `/`.
fn is_meant(p: &Picture<'_>, host: &str, rules: &[&Value]) -> bool {
    let wanted = p.wanted("HTTPRoute").filter(|route| texts(&route.data, "/spec/hostnames").contains(&host));
    let offers = wanted.flat_map(|route| list(&route.data, "/spec/rules")).any(may_meet_root);
    let services: BTreeSet<&str> =
        rules.iter().flat_map(|rule| list(rule, "/backendRefs")).map(|one| text(one, "/name")).collect();
    !offers && services.len() > 1
}

fn matched(rules: &[&Value]) -> Vec<String> {
    let matches = rules.iter().flat_map(|rule| list(rule, "/matches"));
    matches
        .map(|one| {
            let kind = Some(text(one, "/path/type")).filter(|kind| !kind.is_empty()).unwrap_or("PathPrefix");
            format!("{kind} {}", text(one, "/path/value"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_without_matches_or_without_a_path_takes_the_root() {
        let rule = |path: Value| json!({ "matches": [{ "path": path }] });
        assert!(may_meet_root(&json!({ "backendRefs": [] })));
        assert!(may_meet_root(&json!({ "matches": [{ "headers": [] }] })));
        assert!(may_meet_root(&rule(json!({ "type": "PathPrefix", "value": "/" }))));
        assert!(may_meet_root(&rule(json!({ "type": "RegularExpression", "value": "/.*" }))));
        assert!(!may_meet_root(&rule(json!({ "type": "PathPrefix", "value": "/get" }))));
        assert!(!may_meet_root(&rule(json!({ "type": "Exact", "value": "/index" }))));
    }
}
