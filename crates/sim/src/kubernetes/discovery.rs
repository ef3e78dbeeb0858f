//! Discovery: plain and aggregated, and the version.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::aggregation;
use super::definition::Definition;
use super::status::{StatusError, json_reply};
use super::store::Store;
use crate::request::{Reply, Request};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CUSTOM_VERBS: [&str; 8] =
    ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// A subresource of a kind.
struct Subresource<'k> {
    name: &'static str,
    group: &'k str,
    version: &'k str,
    kind: &'k str,
    verbs: &'static [&'static str],
}

/// Handles `/api` (the core group) or `/apis` (all other groups), aggregated on request.
pub fn groups(store: &Store, request: &Request, core: bool) -> Reply {
    if let Some(version) = aggregated_version(request) {
        let media_type =
            format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
        return json_reply(200, &aggregated(store, core, version))
            .with_header("content-type", &media_type)
            .with_header("vary", "Accept");
    }
    if core {
        let address = json!([{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:443"}]);
        return json_reply(
            200,
            &json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address}),
        );
    }
    let groups: Vec<Value> =
        versions_of_groups(store).iter().map(|(name, versions)| group_object(name, versions)).collect();
    json_reply(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

/// Handles `/apis/{group}`.
pub fn group(store: &Store, name: &str) -> Reply {
    match versions_of_groups(store).get(name) {
        Some(versions) => {
            let mut object = json!({"kind": "APIGroup", "apiVersion": "v1"});
            for (field, value) in group_object(name, versions).as_object().into_iter().flatten() {
                object[field] = value.clone();
            }
            json_reply(200, &object)
        }
        None => StatusError::no_such_resource().reply(),
    }
}

/// Handles `/api/v1` and `/apis/{group}/{version}`.
pub fn resources(store: &Store, group: &str, version: &str) -> Reply {
    let mut resources = Vec::new();
    let served = store.definitions();
    for kind in served.iter().filter(|kind| kind.group == group && kind.version == version) {
        resources.push(resource(kind));
        for part in parts(kind) {
            let mut entry = json!({
                "name": format!("{}/{}", kind.plural, part.name), "singularName": "",
                "namespaced": kind.namespaced, "kind": part.kind, "verbs": part.verbs,
            });
            if part.group != kind.group {
                entry["group"] = json!(part.group);
                entry["version"] = json!(part.version);
            }
            resources.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json_reply(
        200,
        &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}),
    )
}

/// Handles `/version`.
pub fn version(store: &Store) -> Reply {
    let version = store.version();
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    json_reply(
        200,
        &json!({
            "major": major, "minor": minor, "gitVersion": format!("v{version}"), "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z", "goVersion": "go1.24",
            "compiler": "gc", "platform": "linux/amd64",
        }),
    )
}

/// Returns the newest supported version of aggregated discovery in the Accept header.
fn aggregated_version(request: &Request) -> Option<&'static str> {
    let accept = request.header("accept")?;
    let aggregated = |version: &str| {
        accept.split(',').any(|alternative| {
            let has = |parameter: &str| alternative.split(';').any(|is| is.trim() == parameter);
            has("g=apidiscovery.k8s.io") && has("as=APIGroupDiscoveryList") && has(&format!("v={version}"))
        })
    };
    ["v2", "v2beta1"].into_iter().find(|version| aggregated(version))
}

fn versions_of_groups(store: &Store) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in store.definitions().iter().filter(|kind| !kind.group.is_empty()) {
        let versions = groups.entry(kind.group.clone()).or_default();
        if !versions.contains(&kind.version) {
            versions.push(kind.version.clone());
        }
    }
    for (group, version) in aggregation::all(store) {
        groups.entry(group).or_default().push(version);
    }
    groups
}

fn group_object(name: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn resource(kind: &Definition) -> Value {
    let mut entry = json!({
        "name": kind.plural, "singularName": kind.singular(), "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": verbs(kind),
    });
    if !kind.short.is_empty() {
        entry["shortNames"] = json!(kind.short);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    entry
}

/// Returns the verbs of a kind.
fn verbs(kind: &Definition) -> &'static [&'static str] {
    match (kind.is_review, kind.custom) {
        (true, _) => &["create"],
        (false, true) => &CUSTOM_VERBS,
        (false, false) => &VERBS,
    }
}

/// Returns the subresources of a kind, with the group, version and kind of their objects.
fn parts(kind: &Definition) -> Vec<Subresource<'_>> {
    let own = |name: &'static str, verbs: &'static [&'static str]| Subresource {
        name,
        group: &kind.group,
        version: &kind.version,
        kind: &kind.kind,
        verbs,
    };
    let mut parts = Vec::new();
    if kind.resource() == "pods" {
        parts.push(own("log", &["get"]));
    }
    if kind.scale.is_some() {
        parts.push(Subresource {
            group: "autoscaling",
            version: "v1",
            kind: "Scale",
            ..own("scale", SUBRESOURCE_VERBS)
        });
    }
    if kind.has_status {
        parts.push(own("status", SUBRESOURCE_VERBS));
    }
    parts
}

fn aggregated(store: &Store, core: bool, version: &str) -> Value {
    let served = store.definitions();
    // The preferred version of a group comes first.
    let mut groups: BTreeMap<&str, Vec<(&str, Vec<Value>)>> = BTreeMap::new();
    for kind in served.iter().filter(|kind| kind.group.is_empty() == core) {
        let versions = groups.entry(&kind.group).or_default();
        let resource = aggregated_resource(kind);
        match versions.iter_mut().find(|(version, _)| *version == kind.version) {
            Some((_, resources)) => resources.push(resource),
            None => versions.push((&kind.version, vec![resource])),
        }
    }
    // A group without a backend has no list of resources, and its discovery is stale.
    let silent = if core { Vec::new() } else { aggregation::all(store) };
    for (group, _) in &silent {
        groups.entry(group).or_default();
    }
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let current = versions.iter().map(|(version, resources)| {
                json!({"version": version, "resources": resources, "freshness": "Current"})
            });
            let of_group = silent.iter().filter(|(silent, _)| silent == group);
            let stale = of_group.map(|(_, version)| json!({"version": version, "freshness": "Stale"}));
            let versions = current.chain(stale);
            let mut metadata = json!({"creationTimestamp": null});
            if !core {
                metadata["name"] = json!(group);
            }
            json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(kind: &Definition) -> Value {
    let response =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let parts: Vec<Value> = parts(kind)
        .into_iter()
        .map(|part| {
            json!({
                "subresource": part.name, "responseKind": response(part.group, part.version, part.kind),
                "verbs": part.verbs,
            })
        })
        .collect();
    let mut entry = json!({
        "resource": kind.plural, "responseKind": response(&kind.group, &kind.version, &kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.singular(),
        "verbs": verbs(kind),
    });
    for (field, names) in [("shortNames", &kind.short), ("categories", &kind.categories)] {
        if !names.is_empty() {
            entry[field] = json!(names);
        }
    }
    if !parts.is_empty() {
        entry["subresources"] = json!(parts);
    }
    entry
}
