//! HTTPRoutes: their attachment to listeners, and the validation of their backends.

use serde_json::{Value, json};

use super::listener::EvaluatedListener;
use super::{AttachedRoutes, GROUP, Gateway, ROUTES, grant};
use crate::aks::condition::{self, Condition};
use crate::aks::gateway_api::CONTROLLER;
use crate::aks::mesh;
use crate::aks::object::{generation, is_ending, list, name, namespace, number, text};
use crate::aks::reconcile_context::ReconcileContext;

/// The reason why a parent rejects a route; later variants are closer to acceptance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum AttachError {
    NoMatchingParent(String),
    NoMatchingListenerHostname(String),
    NotAllowedByListeners(String),
}

impl AttachError {
    fn condition(self) -> Condition {
        match self {
            Self::NoMatchingParent(why) => Condition::no("Accepted", "NoMatchingParent", why),
            Self::NoMatchingListenerHostname(why) => {
                Condition::no("Accepted", "NoMatchingListenerHostname", why)
            }
            Self::NotAllowedByListeners(why) => Condition::no("Accepted", "NotAllowedByListeners", why),
        }
    }
}

/// Writes the status of every route that references a gateway of this controller. Returns the number of
/// routes per listener.
///
/// A route gets no status entry from this controller if it references only other or missing gateways.
pub(super) fn reconcile(cx: &mut ReconcileContext<'_>, gateways: &[Gateway]) -> AttachedRoutes {
    let mut attached = AttachedRoutes::new();
    for route in cx.all(ROUTES) {
        if is_ending(&route) {
            continue;
        }
        let resolved = backends(cx, &route);
        let mut parents: Vec<Value> = list(&route, "/status/parents")
            .iter()
            .filter(|parent| text(parent, "/controllerName") != CONTROLLER)
            .cloned()
            .collect();
        for reference in list(&route, "/spec/parentRefs") {
            let Some(gateway) = named_gateway(gateways, &route, reference) else { continue };
            let accepted = match attach(cx, gateway, &route, reference) {
                Ok(listeners) => {
                    for listener in listeners {
                        let place = namespace(&gateway.object).to_owned();
                        let key = (place, name(&gateway.object).to_owned(), listener.name.clone());
                        *attached.entry(key).or_default() += 1;
                    }
                    Condition::yes("Accepted", "Accepted", "Route was valid")
                }
                Err(error) => error.condition(),
            };
            parents.push(parent_status(cx, &route, reference, &[accepted, resolved.clone()]));
        }
        let before = list(&route, "/status/parents");
        if before != parents.as_slice() {
            cx.status(ROUTES, &route, json!({"parents": parents}), mesh::MANAGER);
        }
    }
    attached
}

fn parent_status(
    cx: &ReconcileContext<'_>,
    route: &Value,
    reference: &Value,
    new_conditions: &[Condition],
) -> Value {
    let before = list(route, "/status/parents")
        .iter()
        .find(|parent| text(parent, "/controllerName") == CONTROLLER && parent["parentRef"] == *reference);
    let mut conditions = before.map(|before| list(before, "/conditions").to_vec()).unwrap_or_default();
    condition::observe(&mut conditions, new_conditions, generation(route), cx.at);
    json!({"conditions": conditions, "controllerName": CONTROLLER, "parentRef": reference})
}

fn named_gateway<'g>(gateways: &'g [Gateway], route: &Value, reference: &Value) -> Option<&'g Gateway> {
    let is_gateway = reference.get("kind").and_then(Value::as_str).is_none_or(|kind| kind == "Gateway")
        && reference.get("group").and_then(Value::as_str).is_none_or(|group| group == GROUP);
    let place = reference.get("namespace").and_then(Value::as_str).unwrap_or_else(|| namespace(route));
    gateways.iter().find(|gateway| {
        is_gateway && name(&gateway.object) == text(reference, "/name") && namespace(&gateway.object) == place
    })
}

/// Returns the listeners to which a route attaches through one of its parent references.
fn attach<'g>(
    cx: &ReconcileContext<'_>,
    gateway: &'g Gateway,
    route: &Value,
    reference: &Value,
) -> Result<Vec<&'g EvaluatedListener>, AttachError> {
    let section = text(reference, "/sectionName");
    let port = number(reference, "/port");
    let mut nearest = AttachError::NoMatchingParent(match (section, port) {
        ("", Some(port)) => format!("port {port} not found"),
        _ => format!("sectionName \"{section}\" not found"),
    });
    let mut taken = Vec::new();
    for listener in &gateway.listeners {
        if !section.is_empty() && listener.name != section || port.is_some_and(|port| port != listener.port) {
            continue;
        }
        match check_attachment(cx, listener, route) {
            Ok(()) => taken.push(listener),
            Err(error) => nearest = nearest.max(error),
        }
    }
    if taken.is_empty() { Err(nearest) } else { Ok(taken) }
}

fn check_attachment(
    cx: &ReconcileContext<'_>,
    listener: &EvaluatedListener,
    route: &Value,
) -> Result<(), AttachError> {
    let served = if listener.hostname.is_empty() { "*" } else { &listener.hostname };
    let names = list(route, "/spec/hostnames");
    let matched =
        names.is_empty() || names.iter().filter_map(Value::as_str).any(|name| intersect(served, name));
    if !matched {
        let why = format!("no hostnames matched parent hostname \"{served}\"");
        return Err(AttachError::NoMatchingListenerHostname(why));
    }
    if !listener.allows_namespace(cx, namespace(route)) {
        return Err(AttachError::NotAllowedByListeners(format!(
            "hostnames matched parent hostname \"{}\", but namespace \"{}\" is not allowed by the parent",
            listener.hostname,
            namespace(route)
        )));
    }
    if !listener.kinds.iter().any(|(group, kind)| group == GROUP && kind == "HTTPRoute") {
        return Err(AttachError::NotAllowedByListeners(format!("kind {GROUP}/v1/HTTPRoute is not allowed")));
    }
    Ok(())
}

/// Returns whether two hostnames, each possibly with a wildcard, have a name in common.
fn intersect(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
        (Some(one), None) => other.len() > one.len() && other.ends_with(one),
        (None, Some(other)) => one.len() > other.len() && one.ends_with(other),
        (None, None) => one == other,
    }
}

/// Checks the backends of the rules; the first error counts.
fn backends(cx: &ReconcileContext<'_>, route: &Value) -> Condition {
    let rules = list(route, "/spec/rules").iter();
    let mirrored = |rule: &Value| -> Vec<Value> {
        list(rule, "/filters")
            .iter()
            .filter_map(|f| f.pointer("/requestMirror/backendRef").cloned())
            .collect()
    };
    for rule in rules {
        let backends = list(rule, "/backendRefs").iter().cloned().chain(mirrored(rule));
        for backend in backends {
            if let Some((reason, why)) = backend_error(cx, route, &backend) {
                return Condition::no("ResolvedRefs", reason, why);
            }
        }
    }
    Condition::yes("ResolvedRefs", "ResolvedRefs", "All references resolved")
}

fn backend_error(
    cx: &ReconcileContext<'_>,
    route: &Value,
    backend: &Value,
) -> Option<(&'static str, String)> {
    let kind = backend.get("kind").and_then(Value::as_str).unwrap_or("Service");
    let group = text(backend, "/group");
    if kind != "Service" || !group.is_empty() {
        return Some((
            "InvalidKind",
            format!("referencing unsupported backendRef: group \"{group}\" kind \"{kind}\""),
        ));
    }
    let backend_name = text(backend, "/name");
    let place = backend.get("namespace").and_then(Value::as_str).unwrap_or_else(|| namespace(route));
    if !grant::allows(cx, "HTTPRoute", namespace(route), "Service", place, backend_name) {
        let why = format!(
            "backendRef {backend_name}/{place} not accessible to a HTTPRoute in namespace \"{}\" (missing a ReferenceGrant?)",
            namespace(route)
        );
        return Some(("RefNotPermitted", why));
    }
    if number(backend, "/port").is_none() {
        return Some(("InvalidDestination", "port is required in backendRef".into()));
    }
    let is_there = cx.store.get("services", place, backend_name).is_some();
    (!is_there)
        .then(|| ("BackendNotFound", format!("backend({backend_name}.{place}.svc.cluster.local) not found")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::{ClusterFixture, gateway, http, https};

    fn route(name: &str, parent: Value, hostnames: Value, backend: Value) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [parent], "hostnames": hostnames, "rules": [{"backendRefs": [backend]}]},
        })
    }

    /// Returns the parent status of a route in a cluster with a gateway.
    fn verdict(parent: Value, hostnames: Value, backend: Value) -> (Value, ClusterFixture) {
        let mut fixture = ClusterFixture::running();
        fixture.request("gateways.gateway.networking.k8s.io", gateway(json!([http(), https("none")])));
        fixture.request(ROUTES, route("r", parent, hostnames, backend));
        fixture.advance(3.0);
        (fixture.get(ROUTES, "default", "r").expect("it is there").clone(), fixture)
    }

    fn of_parent(route: &Value, kind: &str) -> (String, String, String) {
        ClusterFixture::condition(route, "/status/parents/0/conditions", kind)
    }

    fn kubernetes() -> Value {
        json!({"name": "kubernetes", "port": 443})
    }

    #[test]
    fn a_matching_route_is_accepted_and_counted() {
        let (route, fixture) =
            verdict(json!({"name": "web", "sectionName": "http"}), json!(["demo.test"]), kubernetes());
        assert_eq!(
            of_parent(&route, "Accepted"),
            ("True".into(), "Accepted".into(), "Route was valid".into())
        );
        assert_eq!(of_parent(&route, "ResolvedRefs").2, "All references resolved");
        assert_eq!(text(&route, "/status/parents/0/controllerName"), CONTROLLER);
        assert_eq!(route["status"]["parents"][0]["conditions"][0]["observedGeneration"], 1);
        let gateway =
            fixture.get("gateways.gateway.networking.k8s.io", "default", "web").expect("it is there");
        assert_eq!(gateway["status"]["listeners"][0]["attachedRoutes"], 1);
        assert_eq!(gateway["status"]["listeners"][1]["attachedRoutes"], 0);
    }

    #[test]
    fn a_rejected_route_reports_the_reason() {
        let section = |name: &str| json!({"name": "web", "sectionName": name});
        let (route, _) = verdict(section("https"), json!(["other.test"]), kubernetes());
        let (status, reason, message) = of_parent(&route, "Accepted");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "NoMatchingListenerHostname"));
        assert_eq!(message, "no hostnames matched parent hostname \"demo.test\"");
        let (route, _) = verdict(section("fake"), json!([]), kubernetes());
        assert_eq!(of_parent(&route, "Accepted").2, "sectionName \"fake\" not found");
        assert_eq!(of_parent(&route, "Accepted").1, "NoMatchingParent");
    }

    #[test]
    fn a_route_from_a_namespace_that_may_not_attach_is_not_allowed() {
        let mut fixture = ClusterFixture::running();
        fixture.request("gateways.gateway.networking.k8s.io", gateway(json!([http()])));
        let mut foreign = route("r", json!({"name": "web", "namespace": "default"}), json!([]), kubernetes());
        foreign["metadata"]["namespace"] = json!("kube-public");
        fixture.request(ROUTES, foreign);
        fixture.advance(3.0);
        let route = fixture.get(ROUTES, "kube-public", "r").expect("it is there");
        assert_eq!(of_parent(route, "Accepted").1, "NotAllowedByListeners");
        assert_eq!(of_parent(route, "ResolvedRefs").1, "BackendNotFound");
    }

    #[test]
    fn backends_must_exist_and_be_services() {
        let parent = || json!({"name": "web", "sectionName": "http"});
        let (route, mut fixture) = verdict(parent(), json!([]), json!({"name": "x", "port": 80}));
        assert_eq!(of_parent(&route, "Accepted").0, "True");
        assert_eq!(
            of_parent(&route, "ResolvedRefs"),
            (
                "False".into(),
                "BackendNotFound".into(),
                "backend(x.default.svc.cluster.local) not found".into()
            )
        );
        fixture.request(
            "services",
            json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "x", "namespace": "default"}, "spec": {"ports": [{"port": 80}]}}),
        );
        fixture.advance(3.0);
        assert_eq!(
            of_parent(fixture.get(ROUTES, "default", "r").expect("it is there"), "ResolvedRefs").0,
            "True"
        );
        let (route, _) =
            verdict(parent(), json!([]), json!({"group": "x.test", "kind": "Thing", "name": "x"}));
        assert_eq!(of_parent(&route, "ResolvedRefs").1, "InvalidKind");
    }

    #[test]
    fn a_route_to_an_unmanaged_gateway_gets_no_entry() {
        let (route, _) = verdict(json!({"name": "nobody"}), json!([]), kubernetes());
        assert!(list(&route, "/status/parents").is_empty());
    }

    #[test]
    fn hostnames_intersect_through_wildcards_on_either_side() {
        for (one, other) in [
            ("*", "a.test"),
            ("*.test", "a.test"),
            ("a.test", "*.test"),
            ("*.test", "*.a.test"),
            ("A.test", "a.test"),
        ] {
            assert!(intersect(one, other), "{one} {other}");
        }
        for (one, other) in [("*.test", "test"), ("a.test", "b.test"), ("*.a.test", "*.b.test")] {
            assert!(!intersect(one, other), "{one} {other}");
        }
    }
}
