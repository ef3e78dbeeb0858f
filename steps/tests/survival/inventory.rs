//! The lasting state of a simulated cloud, without the differences between two equivalent clouds: ids, ETags,
//! times, random names.

use landfall_sim::{Line, world::World};
use regex_lite::Regex;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

/// Kinds whose objects have random names, or come and go during a cluster's lifetime.
const PASSING: [&str; 9] = [
    "pods",
    "replicasets.apps",
    "events",
    "events.events.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "leases.coordination.k8s.io",
    "nodes",
    "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
];

/// Fields with counters or times of writes.
const VOLATILE: [&str; 23] = [
    "etag",
    "eTag",
    "uid",
    "resourceVersion",
    "generation",
    "observedGeneration",
    "managedFields",
    "restartedAt",
    "deployment.kubernetes.io/revision",
    "replicas",
    "addresses",
    "seconds",
    "nodePort",
    "clusterIP",
    "clusterIPs",
    // Fields that the service sets by itself, and that clients write back unchanged.
    "systemData",
    "networkAcls",
    "virtualNetworkPeerings",
    "enableDdosProtection",
    "delegations",
    "privateLinkServiceNetworkPolicies",
    "privateEndpointNetworkPolicies",
    // Every write encrypts a PFX differently; the certificate beside it is compared.
    "secret",
];

/// Returns the lasting state by name.
pub fn of(world: &World) -> BTreeMap<String, Value> {
    let all = serde_json::to_value(world).unwrap();
    let mut found = BTreeMap::new();
    for family in ["groups", "networks", "dns", "vaults"] {
        flatten(&mut found, family, &all[family], 3);
    }
    for (id, cluster) in all["clusters"]["all"].as_object().into_iter().flatten() {
        found.insert(format!("cluster {id}"), plain(&cluster["resource"]));
        for (kind, objects) in cluster["store"]["objects"].as_object().into_iter().flatten() {
            if PASSING.contains(&kind.as_str()) {
                continue;
            }
            for (name, object) in objects.as_object().into_iter().flatten() {
                found.insert(format!("{kind} {name}"), plain(object));
            }
        }
    }
    let mut grants: Vec<String> = all["roles"]["assignments"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, grant)| format!("{} {} {}", grant["scope"], grant["role"], grant["principal_type"]))
        .collect();
    grants.sort();
    found.insert("grants".to_owned(), json!(grants));
    found
}

/// Flattens the upper levels of a value into names, so that a difference is one line and not a page.
fn flatten(found: &mut BTreeMap<String, Value>, name: &str, value: &Value, floors: u8) {
    match value {
        Value::Object(fields) if floors > 0 => {
            for (key, value) in fields {
                flatten(found, &format!("{name}/{}", words(key)), value, floors - 1);
            }
        }
        // A counter's value is not part of the state.
        Value::Number(_) | Value::Null => {}
        other => drop(found.insert(name.to_owned(), plain(other))),
    }
}

/// Returns the value without the differences between equivalent clouds.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
            // Only the newest of several versions counts.
            let newest = |key: &str, value: &Value| match value.as_array().and_then(|all| all.last()) {
                Some(newest) if key == "versions" => plain(newest),
                _ => plain(value),
            };
            Value::Object(kept.map(|(key, value)| (words(key), newest(key, value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::String(text) => Value::String(words(text)),
        // Times are counted in seconds or milliseconds.
        Value::Number(number) if number.as_f64().is_some_and(|number| number > 1e9) => json!("<moment>"),
        other => other.clone(),
    }
}

fn words(text: &str) -> String {
    static DRAWN: OnceLock<[(Regex, &str); 5]> = OnceLock::new();
    let drawn = DRAWN.get_or_init(|| {
        let regex = |pattern: &str| Regex::new(pattern).unwrap();
        [
            (regex("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "<uuid>"),
            (regex(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z"), "<time>"),
            (regex("[0-9a-f]{24,64}"), "<hex>"),
            (regex(r"\b(20|127)\.\d+\.\d+\.\d+\b"), "<address>"),
            (regex(r"-[0-9a-z]{8,10}\b"), "-<drawn>"),
        ]
    });
    drawn.iter().fold(text.to_owned(), |text, (regex, word)| regex.replace_all(&text, *word).into_owned())
}

/// Returns the differences between two inventories, one per line; empty if they are equivalent.
pub fn differences(wanted: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> Vec<String> {
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (wanted.get(name), found.get(name)) {
            (Some(_), None) => lines.push(format!("{name} is missing")),
            (None, Some(_)) => lines.push(format!("{name} is too much")),
            (Some(wanted), Some(found)) => differ(&mut lines, name, wanted, found),
            (None, None) => {}
        }
    }
    lines
}

fn differ(lines: &mut Vec<String>, name: &str, wanted: &Value, found: &Value) {
    match (wanted, found) {
        _ if wanted == found => {}
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
                let field = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
                differ(lines, &format!("{name}/{key}"), &field(one), &field(other));
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differ(lines, &format!("{name}/{at}"), one, other);
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            let only = |here: &[Value], there: &[Value]| -> Vec<String> {
                here.iter().filter(|item| !there.contains(item)).map(Value::to_string).collect()
            };
            lines.push(format!("{name}: missing {:?}, too much {:?}", only(one, other), only(other, one)));
        }
        _ => lines.push(format!("{name}: wanted {wanted}, found {found}")),
    }
}

/// Returns the paths that were created more than once: created (201) or imported into twice, without a
/// deletion in between.
pub fn made_twice<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<String> {
    let mut made: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines {
        let path = line.path.to_ascii_lowercase();
        let import = path.ends_with("/import") && line.method == "POST" && line.status == 200;
        if line.status == 201 || import {
            *made.entry(path).or_default() += 1;
        } else if line.method == "DELETE" && matches!(line.status, 200 | 202) {
            // The deletion includes everything below.
            made.retain(|made, _| !made.starts_with(&path));
        }
    }
    made.into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(path, times)| format!("{path}: {times} times"))
        .collect()
}
