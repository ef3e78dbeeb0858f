//! What lasts in a world, without what differs between two worlds that are alike: ids, etags, times, drawn names.

use landfall_sim::{Line, world::World};
use regex_lite::Regex;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

/// Kinds whose objects bear drawn names, or come and go while a cluster lives.
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

/// Fields that count writes or say when they happened.
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
    // What the service says by itself, and keeps once it has been put back with the rest.
    "systemData",
    "networkAcls",
    "virtualNetworkPeerings",
    "enableDdosProtection",
    "delegations",
    "privateLinkServiceNetworkPolicies",
    "privateEndpointNetworkPolicies",
    // A PFX is encrypted anew each time it is written; the certificate beside it is compared.
    "secret",
];

/// Everything that lasts, by name.
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

/// Spreads the upper floors of a family over names, so that a difference is a line and not a page.
fn flatten(found: &mut BTreeMap<String, Value>, name: &str, value: &Value, floors: u8) {
    match value {
        Value::Object(fields) if floors > 0 => {
            for (key, value) in fields {
                flatten(found, &format!("{name}/{}", words(key)), value, floors - 1);
            }
        }
        // How far a counter has come is no thing.
        Value::Number(_) | Value::Null => {}
        other => drop(found.insert(name.to_owned(), plain(other))),
    }
}

/// The value without what differs between worlds that are alike.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
            // Of what has versions, the newest counts.
            let newest = |key: &str, value: &Value| match value.as_array().and_then(|all| all.last()) {
                Some(newest) if key == "versions" => plain(newest),
                _ => plain(value),
            };
            Value::Object(kept.map(|(key, value)| (words(key), newest(key, value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::String(text) => Value::String(words(text)),
        // Instants are counted in seconds or milliseconds.
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

/// Where two inventories differ, a line each; empty when they are alike.
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

/// What was made more than once: a path that was created (201) or imported into twice without being deleted between.
pub fn made_twice<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<String> {
    let mut made: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines {
        let path = line.path.to_ascii_lowercase();
        let import = path.ends_with("/import") && line.method == "POST" && line.status == 200;
        if line.status == 201 || import {
            *made.entry(path).or_default() += 1;
        } else if line.method == "DELETE" && matches!(line.status, 200 | 202) {
            // Whatever lay below went with it.
            made.retain(|made, _| !made.starts_with(&path));
        }
    }
    made.into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(path, times)| format!("{path}: {times} times"))
        .collect()
}
