//! The lasting state of a simulated cloud, without the differences between two equivalent clouds: ids, ETags,
//! times, random names.

use landfall_sim::{RequestRecord, state::CloudState};
use regex_lite::Regex;
use serde_json::{Map, Value, json};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
};

/// Kinds whose objects have random names, or come and go during a cluster's lifetime.
const TRANSIENT_KINDS: [&str; 9] = [
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

/// The kind whose specifications are large and only compared as a whole.
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Fields with counters or times of writes.
const VOLATILE_FIELDS: [&str; 23] = [
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
pub fn collect(sim: &CloudState) -> BTreeMap<String, Value> {
    let mut sim = sim.clone();
    // The objects of the clusters are most of the state, and many of them are transient.
    let mut objects = Vec::new();
    sim.clusters.swap_objects(&mut objects);
    let all = serde_json::to_value(&sim).unwrap();
    let mut found = BTreeMap::new();
    for family in ["groups", "dns", "vaults"] {
        flatten(&mut found, family, &all[family], 3);
    }
    let mut resources = all["tracked"].clone();
    if let Some(resources) = resources.as_object_mut() {
        // The contents of a node resource group follow from the cluster.
        resources.retain(|_, resource| resource["owner"].is_null());
    }
    flatten(&mut found, "tracked", &resources, 2);
    for (id, cluster) in all["clusters"]["all"].as_object().into_iter().flatten() {
        found.insert(format!("cluster {id}"), normalize(&cluster["resource"]));
    }
    for (kind, objects) in
        objects.iter().flatten().filter(|(kind, _)| !TRANSIENT_KINDS.contains(&kind.as_str()))
    {
        let normalize = if kind == DEFINITIONS { normalize_definition } else { normalize };
        found.extend(objects.iter().map(|(name, object)| (format!("{kind} {name}"), normalize(object))));
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
fn flatten(found: &mut BTreeMap<String, Value>, name: &str, value: &Value, levels: u8) {
    match value {
        Value::Object(fields) if levels > 0 => {
            for (key, value) in fields {
                flatten(found, &format!("{name}/{}", normalize_text(key)), value, levels - 1);
            }
        }
        // A counter's value is not part of the state.
        Value::Number(_) | Value::Null => {}
        other => drop(found.insert(name.to_owned(), normalize(other))),
    }
}

/// Returns the value without the differences between equivalent clouds.
fn normalize(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !VOLATILE_FIELDS.contains(&key.as_str()));
            // Only the newest of several versions counts.
            let newest = |key: &str, value: &Value| match value.as_array().and_then(|all| all.last()) {
                Some(newest) if key == "versions" => normalize(newest),
                _ => normalize(value),
            };
            Value::Object(
                kept.map(|(key, value)| (normalize_text(key), newest(key, value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.iter().map(normalize).collect(),
        Value::String(text) => Value::String(normalize_text(text)),
        // Times are counted in seconds or milliseconds.
        Value::Number(number) if number.as_f64().is_some_and(|number| number > 1e9) => json!("<moment>"),
        other => other.clone(),
    }
}

/// Like [`normalize`], with a fingerprint instead of the specification.
fn normalize_definition(definition: &Value) -> Value {
    let mut hasher = DefaultHasher::new();
    definition["spec"].hash(&mut hasher);
    json!({
        "metadata": normalize(&definition["metadata"]), "spec": format!("fingerprint {}", hasher.finish()),
        "status": normalize(&definition["status"]),
    })
}

/// The maximum number of remembered texts.
const KNOWN_MAX: usize = 20_000;

thread_local! {
    /// Texts and what they are without their random parts.
    static KNOWN: RefCell<HashMap<String, String>> = RefCell::default();
}

fn normalize_text(text: &str) -> String {
    static RANDOM_PARTS: OnceLock<[(Regex, &str); 5]> = OnceLock::new();
    let random_parts = RANDOM_PARTS.get_or_init(|| {
        let regex = |pattern: &str| Regex::new(pattern).unwrap();
        [
            (regex("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "<uuid>"),
            (regex(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z"), "<time>"),
            (regex("[0-9a-f]{24,64}"), "<hex>"),
            (regex(r"\b(20|127)\.\d+\.\d+\.\d+\b"), "<address>"),
            (regex(r"-[0-9a-z]{8,10}\b"), "-<drawn>"),
        ]
    });
    // The same texts occur again in every run of a storm.
    KNOWN.with_borrow_mut(|known| {
        if let Some(normalized) = known.get(text) {
            return normalized.clone();
        }
        let replaced = random_parts
            .iter()
            .fold(text.to_owned(), |text, (regex, word)| regex.replace_all(&text, *word).into_owned());
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), replaced.clone());
        replaced
    })
}

/// Returns the differences between two inventories, one per line; empty if they are equivalent.
pub fn differences(wanted: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) -> Vec<String> {
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (wanted.get(name), found.get(name)) {
            (Some(_), None) => lines.push(format!("{name} is missing")),
            (None, Some(_)) => lines.push(format!("{name} is too much")),
            (Some(wanted), Some(found)) => collect_differences(&mut lines, name, wanted, found),
            (None, None) => {}
        }
    }
    lines
}

fn collect_differences(lines: &mut Vec<String>, name: &str, wanted: &Value, found: &Value) {
    match (wanted, found) {
        _ if wanted == found => {}
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys().filter(|key| !one.contains_key(*key))) {
                let field = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
                collect_differences(lines, &format!("{name}/{key}"), &field(one), &field(other));
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                collect_differences(lines, &format!("{name}/{at}"), one, other);
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
pub fn created_twice<'a>(lines: impl Iterator<Item = &'a RequestRecord>) -> Vec<String> {
    let mut created: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines {
        let path = line.path.to_ascii_lowercase();
        let import = path.ends_with("/import") && line.method == "POST" && line.status == 200;
        if line.status == 201 || import {
            *created.entry(path).or_default() += 1;
        } else if line.method == "DELETE" && matches!(line.status, 200 | 202) {
            // The deletion includes everything below.
            created.retain(|created, _| !created.starts_with(&path));
        }
    }
    created
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(path, times)| format!("{path}: {times} times"))
        .collect()
}
