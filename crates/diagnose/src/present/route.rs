//! Status of a route: its gateways and its backends.

use super::object::{Object, holds, list, name, namespace, text};
use landfall_cloud::kubernetes::readiness::{self, Readiness};
use serde_json::Value;
use std::collections::BTreeMap;

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
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
    pub trouble: Option<String>,
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

impl Routed {
    pub(super) fn read(route: &Object, services: &[Object], pods: &[Object]) -> Self {
        let spec = &route.data["spec"];
        let parents = list(spec, "/parentRefs").map(|parent| {
            let gateway = text(parent, "/name");
            let trouble = match readiness::route(route, gateway) {
                Readiness::Ready(()) => None,
                Readiness::Waiting(why) | Readiness::Broken(why) => Some(why),
            };
            let name = match text(parent, "/sectionName") {
                "" => gateway.to_owned(),
                section => format!("{gateway}:{section}"),
            };
            Parent { name, trouble }
        });
        let mut backends: Vec<Backend> = Vec::new();
        for rule in list(spec, "/rules") {
            let all: Vec<&Value> = list(rule, "/backendRefs").collect();
            let weight = |backend: &Value| backend["weight"].as_i64().unwrap_or(1);
            let sum: i64 = all.iter().map(|backend| weight(backend)).sum();
            for backend in &all {
                let space = backend["namespace"].as_str().unwrap_or_else(|| namespace(route));
                let read = Backend {
                    name: text(backend, "/name").to_owned(),
                    port: backend["port"].as_i64().unwrap_or(0),
                    share: (all.len() > 1).then(|| (weight(backend), sum)),
                    ready: ready(space, text(backend, "/name"), services, pods),
                };
                if !backends.contains(&read) {
                    backends.push(read);
                }
            }
        }
        Self {
            name: name(route),
            hosts: list(spec, "/hostnames").filter_map(Value::as_str).map(str::to_owned).collect(),
            parents: parents.collect(),
            redirects: list(spec, "/rules")
                .any(|rule| list(rule, "/filters").any(|filter| text(filter, "/type") == "RequestRedirect")),
            backends,
        }
    }

    /// Returns whether its gateways serve it and every backend with a share has a ready pod.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let answers =
            |backend: &Backend| backend.share.is_some_and(|(own, _)| own == 0) || backend.ready > Some(0);
        self.parents.iter().all(|parent| parent.trouble.is_none()) && self.backends.iter().all(answers)
    }
}

/// Counts the ready pods behind a Service.
fn ready(space: &str, service: &str, services: &[Object], pods: &[Object]) -> Option<usize> {
    let own = services
        .iter()
        .find(|one| namespace(one) == space && one.metadata.name.as_deref() == Some(service))?;
    let selector: BTreeMap<String, String> =
        serde_json::from_value(own.data["spec"]["selector"].clone()).unwrap_or_default();
    let selected = |pod: &&Object| {
        let labels = pod.metadata.labels.as_ref();
        namespace(pod) == space
            && selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    };
    let ready = pods.iter().filter(selected).filter(|pod| holds(&pod.data["status"], "Ready")).count();
    Some(if selector.is_empty() { 0 } else { ready })
}
