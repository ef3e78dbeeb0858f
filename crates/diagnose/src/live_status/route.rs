//! Status of a route: its gateways and its backends.

use crate::{
    object_fields::{display_name, is_condition_true, name, selected, space},
    route_model::Route,
};
use landfall_cloud::kubernetes::{
    DynamicObject,
    readiness::{self, Readiness},
};

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStatus {
    /// Its name, with the namespace unless that is `default`.
    pub name: String,
    /// The hosts it serves.
    pub hosts: Vec<String>,
    /// The gateways it is attached to.
    pub parents: Vec<Parent>,
    /// True if some of its rules redirect the client.
    pub redirects: bool,
    /// Its backends without duplicates; empty if it only redirects.
    pub backends: Vec<Backend>,
}

/// A gateway that a route is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// `gateway` or `gateway:listener`.
    pub name: String,
    /// The reason why it does not serve the route; `None` if it does.
    pub problem: Option<String>,
}

/// A Service that receives requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: i64,
    /// Its share if several backends share a rule: its weight, and the sum of all weights.
    pub share: Option<(i64, i64)>,
    /// The number of its ready pods; `None` if the Service does not exist.
    pub ready: Option<usize>,
}

impl RouteStatus {
    pub(super) fn read(route: &DynamicObject, services: &[DynamicObject], pods: &[DynamicObject]) -> Self {
        let Route { namespace, spec, .. } = Route::read(route);
        let parents = spec.parent_refs.iter().map(|parent| {
            let gateway = &parent.name;
            let problem = match readiness::route(route, gateway) {
                Readiness::Ready(()) => None,
                Readiness::Waiting(why) | Readiness::Broken(why) => Some(why),
            };
            let name = match parent.section() {
                "" => gateway.clone(),
                section => format!("{gateway}:{section}"),
            };
            Parent { name, problem }
        });
        let mut backends: Vec<Backend> = Vec::new();
        for rule in &spec.rules {
            let all = &rule.backend_refs;
            let sum: i64 = all.iter().map(|backend| i64::from(backend.weight())).sum();
            for backend in all {
                let space = backend.namespace.as_ref().unwrap_or(&namespace);
                let read = Backend {
                    name: backend.name.clone(),
                    port: backend.port.map_or(0, i64::from),
                    share: (all.len() > 1).then(|| (i64::from(backend.weight()), sum)),
                    ready: ready(space, &backend.name, services, pods),
                };
                if !backends.contains(&read) {
                    backends.push(read);
                }
            }
        }
        Self {
            name: display_name(route),
            parents: parents.collect(),
            redirects: spec.rules.iter().any(|rule| rule.redirect().is_some()),
            hosts: spec.hostnames,
            backends,
        }
    }

    /// Returns whether its gateways serve it and every backend with a share has a ready pod.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let has_ready_pod =
            |backend: &Backend| backend.share.is_some_and(|(own, _)| own == 0) || backend.ready > Some(0);
        self.parents.iter().all(|parent| parent.problem.is_none()) && self.backends.iter().all(has_ready_pod)
    }
}

/// Counts the ready pods behind a Service.
fn ready(
    namespace: &str,
    service: &str,
    services: &[DynamicObject],
    pods: &[DynamicObject],
) -> Option<usize> {
    let own = services.iter().find(|one| space(one) == namespace && name(one) == service)?;
    let selected = selected(pods, namespace, &own.data["spec"]["selector"]);
    Some(selected.into_iter().filter(|pod| is_condition_true(&pod.data["status"], "Ready")).count())
}
