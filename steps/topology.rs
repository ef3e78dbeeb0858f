//! Topology of an environment, for reports: gateways, routes, backends, and the path of the certificate.
//!
//! The journal records names and ids. What a route matches and where it leads is in the manifests; it is added only if
//! the recorded fingerprint proves that these manifests were applied.

use crate::{
    gateways::{of_kind, parents},
    graph::Records,
    manifests::Manifests,
    objects::{Applied, fingerprint},
    settings::Settings,
};
use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use landfall_engine::JournalState;
use serde_json::Value;

/// The topology, as far as it is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The resource group, and its region.
    pub group: Option<(String, String)>,
    /// The virtual network, and the range of the subnet.
    pub network: Option<(String, String)>,
    /// The cluster, and its Kubernetes version if it was ready.
    pub cluster: Option<(String, Option<String>)>,
    /// The key vault.
    pub vault: Option<String>,
    /// The certificate's name in the vault.
    pub certificate: Option<String>,
    /// The objects that copy the certificate into the cluster, each with its kind.
    pub tls_objects: Vec<(String, String)>,
    /// The Secrets that the listeners refer to; empty if the manifests differ from the applied ones.
    pub tls_secrets: Vec<String>,
    /// The names of the applied HTTPRoutes.
    pub route_names: Vec<String>,
    /// The content of the routes; `None` if the manifests differ from the applied ones.
    pub routes: Option<Vec<Route>>,
    /// The names of the applied Services.
    pub services: Vec<String>,
}

/// An HTTPRoute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// The gateways it belongs to.
    pub gateways: Vec<String>,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The matches, each as text: `path /v1`, `header version: v2`; empty if it matches everything.
    pub matches: Vec<String>,
    /// The backends, each with its weight if it has one.
    pub backends: Vec<(String, Option<u64>)>,
    /// True if it redirects instead.
    pub redirects: bool,
}

/// Reads the topology from the recorded state; `settings` give the manifests.
#[must_use]
pub fn topology(records: &Records, settings: &Settings, journal_state: &JournalState) -> Topology {
    let r = records;
    let group = journal_state.output_of(r.group).map(|group| (group.name, group.location));
    let network = journal_state.output_of(r.network).map(|subnet| (subnet.network, subnet.prefix));
    let ready = journal_state.output_of(r.cluster).map(|cluster| (cluster.name, Some(cluster.version)));
    let cluster = ready.or_else(|| Some((journal_state.output_of(r.accepted)?.name, None)));
    let applied = journal_state.output_of(r.gateways).map(|gateways| gateways.applied);
    let manifests = Manifests::new(settings).gateways;
    let same = applied.as_ref().is_some_and(|applied| applied.fingerprint == Some(fingerprint(&manifests)));
    let applied_apps = journal_state.output_of(r.apps);
    Topology {
        group,
        network,
        cluster,
        vault: journal_state.output_of(r.vault).map(|vault| vault.name),
        certificate: journal_state.output_of(r.certificate).map(|certificate| certificate.name),
        tls_objects: journal_state
            .output_of(r.secret)
            .map(|secret| secret.applied.objects.into_iter().map(|one| (one.kind, one.name)).collect())
            .unwrap_or_default(),
        tls_secrets: if same { tls_secrets(&manifests) } else { Vec::new() },
        route_names: names(applied.as_ref(), "HTTPRoute"),
        routes: same.then(|| of_kind(&manifests, "HTTPRoute").map(route).collect()),
        services: names(applied_apps.as_ref(), "Service"),
    }
}

fn names(applied: Option<&Applied>, kind: &str) -> Vec<String> {
    let objects = applied.into_iter().flat_map(|applied| &applied.objects);
    objects.filter(|object| object.kind == kind).map(|object| object.name.clone()).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = String> {
    list(value).filter_map(|text| text.as_str().map(str::to_owned))
}

/// Returns the Secrets of all listeners, each once.
fn tls_secrets(manifests: &[Manifest]) -> Vec<String> {
    let mut secrets = Vec::new();
    for gateway in of_kind(manifests, "Gateway") {
        for listener in list(&gateway.data["spec"]["listeners"]) {
            let names = list(&listener["tls"]["certificateRefs"]).filter_map(|one| one["name"].as_str());
            secrets.extend(names.map(str::to_owned));
        }
    }
    secrets.sort();
    secrets.dedup();
    secrets
}

fn route(object: &DynamicObject) -> Route {
    let spec = &object.data["spec"];
    let mut gateways: Vec<String> = parents(object).map(str::to_owned).collect();
    gateways.dedup();
    Route {
        name: object.metadata.name.clone().unwrap_or_default(),
        gateways,
        hosts: texts(&spec["hostnames"]).collect(),
        rules: list(&spec["rules"]).map(rule).collect(),
    }
}

fn rule(rule: &Value) -> Rule {
    let backend = |backend: &Value| Some((backend["name"].as_str()?.to_owned(), backend["weight"].as_u64()));
    let is_redirect = |filter: &Value| filter["type"] == "RequestRedirect";
    Rule {
        matches: list(&rule["matches"]).flat_map(matches).collect(),
        backends: list(&rule["backendRefs"]).filter_map(backend).collect(),
        redirects: list(&rule["filters"]).any(is_redirect),
    }
}

/// Returns the conditions of one match. The path `/` matches everything, so it is omitted.
fn matches(one: &Value) -> Vec<String> {
    let path = one["path"]["value"].as_str().filter(|path| *path != "/").map(|path| format!("path {path}"));
    let headers = list(&one["headers"]).filter_map(|header| {
        Some(format!("header {}: {}", header["name"].as_str()?, header["value"].as_str()?))
    });
    path.into_iter().chain(headers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_states_its_matches_and_backends() {
        let read = rule(&json!({
            "matches": [{ "path": { "type": "PathPrefix", "value": "/v2" }, "headers": [{ "name": "version", "value": "v2" }] }],
            "backendRefs": [{ "name": "echo-v1", "weight": 90 }, { "name": "echo-v2" }],
        }));
        assert_eq!(read.matches, ["path /v2", "header version: v2"]);
        assert_eq!(read.backends, [("echo-v1".to_owned(), Some(90)), ("echo-v2".to_owned(), None)]);
        let redirect = rule(
            &json!({ "filters": [{ "type": "RequestRedirect" }], "matches": [{ "path": { "value": "/" } }] }),
        );
        assert!(redirect.redirects && redirect.matches.is_empty() && redirect.backends.is_empty());
    }
}
