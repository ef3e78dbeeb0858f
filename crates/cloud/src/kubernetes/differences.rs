//! Differences between a live object and the desired one.
//!
//! The desired object is a subset: fields that it omits belong to others, such as server defaults, a
//! controller or a person. Lists are compared as the server merges them. Lists with a key are compared by
//! that key, all others as a whole, item by item; desired items may again omit fields.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>
//!
//! Values of a Secret are compared and never returned: see [`is_shown`].

use serde_json::{Map, Value};

use super::{confidential, quantity};

/// Lists whose items have a key, by the name of the field that holds the list. Every other list is atomic for
/// the server too, or can be treated so: two swapped entries are then a difference.
const KEYED: [(&str, &[&str]); 17] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("secrets", &["name"]),
    ("listeners", &["name"]),
    ("resourceClaims", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("hostAliases", &["ip"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
];
/// Fields below which values are quantities.
const QUANTITIES: [&str; 8] =
    ["limits", "requests", "hard", "capacity", "allocatable", "sizeLimit", "averageValue", "divisor"];
/// The fields among them whose values the server rounds up to thousandths.
const RESOURCE_LISTS: [&str; 5] = ["limits", "requests", "hard", "capacity", "allocatable"];
/// Metadata fields that belong to the server.
const SERVERS: [&str; 6] =
    ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"];
/// Maps that the server replaces as a whole (`x-kubernetes-map-type: atomic`): a key that exists only in the
/// live object is a difference too.
const ATOMIC: [&str; 6] =
    ["selector", "labelSelector", "podSelector", "namespaceSelector", "objectSelector", "nodeSelector"];
/// The API groups whose schemas declare these maps atomic. Other groups may merge fields of these names key
/// by key.
const ATOMIC_GROUPS: [&str; 17] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "gateway.networking.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];
/// The annotation in which `kubectl apply` stores a whole manifest.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The replacement for a value of a Secret.
const HIDDEN: &str = "(hidden)";
/// The fields of a Secret whose values may be shown.
const SHOWN_OF_SECRETS: [&str; 4] = [".type", ".immutable", ".metadata.labels", ".metadata.finalizers"];

/// One difference: path, actual value, desired value.
pub type Difference = (String, Value, Value);

/// The comparison mode of the values below a field.
#[derive(Clone, Copy)]
struct Rules {
    /// Values are quantities: `1000m` equals `1`.
    quantities: bool,
    /// Quantities are rounded up to thousandths.
    rounded: bool,
    /// Maps of [`ATOMIC`] are compared as a whole.
    atomic: bool,
}

impl Rules {
    fn below(self, field: &str) -> Self {
        Self {
            quantities: self.quantities || QUANTITIES.contains(&field),
            rounded: self.rounded || RESOURCE_LISTS.contains(&field),
            ..self
        }
    }
}

/// Returns the API group of an object.
pub(super) fn group_of(object: &Value) -> &str {
    object["apiVersion"].as_str().and_then(|version| version.rsplit_once('/')).map_or("", |(group, _)| group)
}

/// Returns the differences of `live` from `wanted`: path (`.spec.listeners[name=https].port`), actual value,
/// desired value.
///
/// `status` and the server's own metadata do not count. The values of a `Secret` are compared and not shown.
/// `wanted` must contain its `apiVersion` and `kind`, which decide how values are compared and shown.
pub fn differences(wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let secret = confidential::is_secret(wanted);
    let rules =
        Rules { quantities: false, rounded: false, atomic: ATOMIC_GROUPS.contains(&group_of(wanted)) };
    for (key, desired) in wanted.as_object().into_iter().flatten() {
        let path = format!(".{}", step(key));
        match key.as_str() {
            "status" => {}
            "data" if secret => data(desired, &wanted["stringData"], &live["data"], &mut found),
            "stringData" if secret => string_data(desired, &live["data"], &mut found),
            "metadata" => {
                let mut desired = desired.clone();
                if let Some(fields) = desired.as_object_mut() {
                    fields.retain(|field, _| !SERVERS.contains(&field.as_str()));
                }
                compare(&path, "metadata", &desired, &live[key.as_str()], rules, &mut found);
            }
            key => compare(&path, key, desired, &live[key], rules, &mut found),
        }
    }
    for difference in &mut found {
        hide(difference, secret);
    }
    found
}

/// Returns those of the apparent differences that an apply would make: paths at which `applied`, the result
/// of a dry run, differs from `live`.
///
/// Only the server knows which values it drops, fills in or rewrites: `false` and `""` in optional fields,
/// `null`, `clusterIP: ""`, spellings of quantities.
pub fn confirmed(apparent: Vec<Difference>, applied: &Value, live: &Value) -> Vec<Difference> {
    // An apply also removes fields, which only the opposite direction finds.
    let mut real: Vec<String> = Vec::new();
    for (wanted, is) in [(applied, live), (live, applied)] {
        real.extend(differences(wanted, is).into_iter().map(|(path, _, _)| path));
    }
    let mut kept = apparent;
    kept.retain(|(path, _, _)| {
        // The server moves `stringData` to `data`.
        let path = path.strip_prefix(".stringData").map_or_else(|| path.clone(), |key| format!(".data{key}"));
        real.iter().any(|real| is_within(real, &path) || is_within(&path, real))
    });
    kept
}

/// Returns whether a path is another path or below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Replaces values that must not be shown.
pub(super) fn hide((path, is, wanted): &mut Difference, secret: bool) {
    if is_shown(path, secret) {
        return;
    }
    for value in [is, wanted] {
        if !value.is_null() {
            *value = HIDDEN.into();
        }
    }
}

/// Returns whether the values of a field may be shown. For a Secret this is an allow-list: an unlisted or
/// misspelt field may contain a value that belongs in `data`.
fn is_shown(path: &str, secret: bool) -> bool {
    !path.contains(LAST_APPLIED) && (!secret || SHOWN_OF_SECRETS.iter().any(|shown| path.starts_with(shown)))
}

/// Compares the `data` of a Secret by its decoded bytes. A key of `stringData` overrides the same key here.
fn data(wanted: &Value, overridden: &Value, live: &Value, found: &mut Vec<Difference>) {
    let decoded = |value: &Value| value.as_str().and_then(confidential::decoded);
    for (key, desired) in wanted.as_object().into_iter().flatten() {
        let is = live.get(key).unwrap_or(&Value::Null);
        let same = is == desired || (decoded(desired).is_some() && decoded(desired) == decoded(is));
        if overridden.get(key).is_none() && !same {
            found.push((format!(".data.{}", step(key)), is.clone(), desired.clone()));
        }
    }
}

/// Compares `stringData`, which the server never returns, with the resulting `data`.
fn string_data(wanted: &Value, live: &Value, found: &mut Vec<Difference>) {
    use base64::Engine as _;
    for (key, desired) in wanted.as_object().into_iter().flatten() {
        let encoded = desired.as_str().map(|text| base64::engine::general_purpose::STANDARD.encode(text));
        // A value that is not a string always differs: the server refuses it with a message.
        let same = encoded.is_some() && live.get(key).and_then(Value::as_str) == encoded.as_deref();
        if !same && !desired.is_null() {
            let is = live.get(key).cloned().unwrap_or_default();
            found.push((format!(".stringData.{}", step(key)), is, desired.clone()));
        }
    }
}

fn compare(path: &str, field: &str, wanted: &Value, live: &Value, rules: Rules, found: &mut Vec<Difference>) {
    let rules = rules.below(field);
    if rules.atomic && ATOMIC.contains(&field) && wanted.is_object() && live.is_object() {
        if !same_whole(wanted, live) {
            found.push((path.to_owned(), live.clone(), wanted.clone()));
        }
        return;
    }
    let same = match (wanted, live) {
        (Value::Object(desired), Value::Object(live)) => {
            return compare_maps(path, desired, live, rules, found);
        }
        (Value::Array(desired), Value::Array(live)) => {
            return compare_lists(path, field, desired, live, rules, found);
        }
        // The server omits empty values.
        (wanted, Value::Null) => is_empty(wanted),
        (Value::Number(wanted), Value::Number(live)) => wanted == live || wanted.as_f64() == live.as_f64(),
        (wanted, live) => wanted == live,
    };
    let same = same || (rules.quantities && quantity::same(wanted, live, rules.rounded));
    if !same {
        found.push((path.to_owned(), live.clone(), wanted.clone()));
    }
}

/// Compares values that the server replaces as a whole; empty values may be omitted.
fn same_whole(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(desired), Value::Object(is)) => {
            let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
            desired.keys().chain(is.keys()).all(|key| same_whole(&of(desired, key), &of(is, key)))
        }
        (Value::Array(desired), Value::Array(is)) => {
            desired.len() == is.len() && desired.iter().zip(is).all(|(desired, is)| same_whole(desired, is))
        }
        (Value::Null, other) | (other, Value::Null) => is_empty(other),
        (wanted, live) => wanted == live,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

fn compare_maps(
    path: &str,
    wanted: &Map<String, Value>,
    live: &Map<String, Value>,
    rules: Rules,
    found: &mut Vec<Difference>,
) {
    for (key, desired) in wanted {
        let is = live.get(key).unwrap_or(&Value::Null);
        compare(&format!("{path}.{}", step(key)), key, desired, is, rules, found);
    }
}

fn compare_lists(
    path: &str,
    field: &str,
    wanted: &[Value],
    live: &[Value],
    rules: Rules,
    found: &mut Vec<Difference>,
) {
    if field == "finalizers" {
        let missing = wanted.iter().filter(|desired| !live.contains(desired));
        return found.extend(missing.map(|desired| (path.to_owned(), Value::from(live), desired.clone())));
    }
    if let Some(keys) = keys_of(field, wanted) {
        for desired in wanted {
            let key = key_of(desired, keys);
            let is = live.iter().find(|is| key_of(is, keys) == key).unwrap_or(&Value::Null);
            let place = format!("{path}[{}={}]", keys[0], plain(&desired[keys[0]]));
            match is {
                Value::Null => found.push((place, Value::Null, desired.clone())),
                is => compare(&place, "", desired, is, rules, found),
            }
        }
        return;
    }
    if wanted.len() != live.len() {
        return found.push((path.to_owned(), live.into(), wanted.into()));
    }
    for (index, (desired, is)) in wanted.iter().zip(live).enumerate() {
        compare(&format!("{path}[{index}]"), "", desired, is, rules, found);
    }
}

/// Returns the keys of a list, if it is a keyed list and its items have these keys.
fn keys_of(field: &str, items: &[Value]) -> Option<&'static [&'static str]> {
    let fits = |keys: &[&str]| !items.is_empty() && items.iter().all(|item| item.get(keys[0]).is_some());
    KEYED.iter().find(|(name, keys)| *name == field && fits(keys)).map(|(_, keys)| *keys)
}

fn key_of(item: &Value, keys: &[&str]) -> Vec<String> {
    let value = |key: &&str| match (*key, &item[*key]) {
        ("protocol", Value::Null) => "TCP".to_owned(),
        (_, value) => plain(value),
    };
    keys.iter().map(value).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Formats a key as a segment of a path; a key with dots or slashes is quoted.
pub(super) fn step(key: &str) -> String {
    if key.contains(['.', '/', '[', ']', '"']) { format!("{key:?}") } else { key.to_owned() }
}

#[cfg(test)]
#[path = "differences_tests.rs"]
mod tests;
