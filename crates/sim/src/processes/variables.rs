//! The environment of a container: its variables, their sources, and references to them (`$(NAME)`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::aks::object::{list, name, namespace, text};
use crate::kubernetes::Store;
use crate::kubernetes::schema::quantity::amount;

/// The kinds of objects with keys: resource, name in messages of the kubelet, and kind.
const CONFIG_MAP: (&str, &str, &str) = ("configmaps", "configmap", "ConfigMap");
const SECRET: (&str, &str, &str) = ("secrets", "secret", "Secret");

/// Returns the environment of a container.
///
/// # Errors
/// The kubelet's message about a missing object or key.
pub(super) fn environment(
    store: &Store,
    pod: &Value,
    container: &Value,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for source in list(container, "/envFrom") {
        for (field, kind) in [("configMapRef", CONFIG_MAP), ("secretRef", SECRET)] {
            let Some(reference) = source.get(field) else { continue };
            let Some(entries) = entries(store, pod, kind, reference)? else { continue };
            for (key, value) in entries {
                let value = String::from_utf8_lossy(&value).into_owned();
                variables.insert(format!("{}{key}", text(source, "/prefix")), value);
            }
        }
    }
    for variable in list(container, "/env") {
        let value = match variable.get("valueFrom") {
            Some(source) => value_from(store, pod, container, source)?,
            None => Some(expand(text(variable, "/value"), &variables)),
        };
        if let Some(value) = value {
            variables.insert(text(variable, "/name").to_owned(), value);
        }
    }
    Ok(variables)
}

fn value_from(
    store: &Store,
    pod: &Value,
    container: &Value,
    source: &Value,
) -> Result<Option<String>, String> {
    if let Some(field) = source.get("fieldRef") {
        return field_value(pod, text(field, "/fieldPath")).map(Some);
    }
    if let Some(resource) = source.get("resourceFieldRef") {
        return resource_value(pod, container, resource).map(Some);
    }
    for (field, kind) in [("configMapKeyRef", CONFIG_MAP), ("secretKeyRef", SECRET)] {
        let Some(reference) = source.get(field) else { continue };
        let Some(entries) = entries(store, pod, kind, reference)? else { return Ok(None) };
        let key = text(reference, "/key");
        return match entries.get(key) {
            Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
            None if is_optional(reference) => Ok(None),
            None => {
                let of = format!("{}/{}", namespace(pod), text(reference, "/name"));
                Err(format!("couldn't find key {key} in {} {of}", kind.2))
            }
        };
    }
    Ok(None)
}

fn is_optional(reference: &Value) -> bool {
    reference["optional"] == Value::Bool(true)
}

/// Returns the entries of a ConfigMap; `None` if it is missing and optional.
pub(super) fn config_map(
    store: &Store,
    pod: &Value,
    reference: &Value,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
    entries(store, pod, CONFIG_MAP, reference)
}

/// Returns the entries of a Secret; `None` if it is missing and optional.
pub(super) fn secret(
    store: &Store,
    pod: &Value,
    reference: &Value,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
    entries(store, pod, SECRET, reference)
}

fn entries(
    store: &Store,
    pod: &Value,
    (resource, singular, _): (&str, &str, &str),
    reference: &Value,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
    // A volume of a Secret names it in a field of its own.
    let wanted = [text(reference, "/name"), text(reference, "/secretName")].concat();
    let Some(object) = store.get(resource, namespace(pod), &wanted) else {
        return if is_optional(reference) {
            Ok(None)
        } else {
            Err(format!("{singular} {wanted:?} not found"))
        };
    };
    let decoded = |text: &str| STANDARD.decode(text).unwrap_or_default();
    let plain = |text: &str| text.as_bytes().to_vec();
    let of = |field: &str, read: &dyn Fn(&str) -> Vec<u8>| -> Vec<(String, Vec<u8>)> {
        let entries = object[field].as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), read(value.as_str().unwrap_or_default()))).collect()
    };
    let mut all = if resource == SECRET.0 { of("data", &decoded) } else { of("data", &plain) };
    all.extend(of("binaryData", &decoded));
    Ok(Some(all.into_iter().collect()))
}

/// Returns a field of a pod, as the downward API gives it.
pub(super) fn field_value(pod: &Value, path: &str) -> Result<String, String> {
    if let Some((map, key)) = path.split_once("['") {
        let key = key.trim_end_matches("']");
        let pointer = format!("/{}", map.replace('.', "/"));
        let entry = pod.pointer(&pointer).and_then(|map| map.get(key));
        return Ok(entry.and_then(Value::as_str).unwrap_or_default().to_owned());
    }
    match path {
        "metadata.labels" | "metadata.annotations" => {
            let pointer = format!("/{}", path.replace('.', "/"));
            let entries = pod.pointer(&pointer).and_then(Value::as_object).into_iter().flatten();
            let lines: Vec<String> = entries.map(|(key, value)| format!("{key}={value}")).collect();
            Ok(lines.join("\n"))
        }
        "status.podIPs" | "status.hostIPs" => {
            let pointer = format!("/{}", path.replace('.', "/"));
            let all: Vec<&str> = list(pod, &pointer).iter().map(|one| text(one, "/ip")).collect();
            Ok(all.join(","))
        }
        "spec.serviceAccountName" if text(pod, "/spec/serviceAccountName").is_empty() => {
            Ok("default".to_owned())
        }
        "metadata.name"
        | "metadata.namespace"
        | "metadata.uid"
        | "spec.nodeName"
        | "spec.serviceAccountName"
        | "status.hostIP"
        | "status.podIP" => Ok(text(pod, &format!("/{}", path.replace('.', "/"))).to_owned()),
        _ => Err(format!("unsupported fieldPath: {path}")),
    }
}

/// Returns a request or a limit of a container in units of the divisor, rounded up.
pub(super) fn resource_value(pod: &Value, container: &Value, reference: &Value) -> Result<String, String> {
    let wanted = text(reference, "/containerName");
    let containers = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
    let named = containers.into_iter().find(|one| !wanted.is_empty() && name_of(one) == wanted);
    let (part, resource) = text(reference, "/resource").split_once('.').unwrap_or_default();
    let quantity = &named.unwrap_or(container)["resources"][part][resource];
    let divisor = Some(&reference["divisor"]).filter(|divisor| !divisor.is_null());
    let divisor = divisor.and_then(amount).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    match (part, amount(quantity)) {
        ("limits" | "requests", amount) => Ok(format!("{}", (amount.unwrap_or(0.0) / divisor).ceil())),
        _ => Err(format!("unsupported container resource: {}", text(reference, "/resource"))),
    }
}

fn name_of(container: &Value) -> &str {
    text(container, "/name")
}

/// Replaces `$(NAME)` by the value of a known variable; `$$` stands for a dollar sign.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            expanded.push('$');
            rest = tail;
        } else if let Some((reference, tail)) =
            after.strip_prefix('(').and_then(|after| after.split_once(')'))
        {
            match variables.get(reference) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({reference})")),
            }
            rest = tail;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded + rest
}

/// Returns the host name of a pod.
pub(super) fn host_name(pod: &Value) -> &str {
    match text(pod, "/spec/hostname") {
        "" => name(pod),
        own => own,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::SimTime;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "default", "labels": {"a/b": "1", "c": "2"}},
            "spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "64Mi", "cpu": "1500m"}}}]},
            "status": {"podIP": "10.0.0.1"},
        })
    }

    fn store() -> Store {
        let mut store = Store::new("test");
        let at = SimTime(0);
        let config =
            json!({"metadata": {"name": "conf", "namespace": "default"}, "data": {"mode": "fast", "n": "1"}});
        store.put("configmaps", config, "test", at);
        let secret =
            json!({"metadata": {"name": "key", "namespace": "default"}, "data": {"pass": "c2VjcmV0"}});
        store.put("secrets", secret, "test", at);
        store
    }

    fn read(container: Value) -> Result<BTreeMap<String, String>, String> {
        environment(&store(), &pod(), &container)
    }

    #[test]
    fn variables_come_from_objects_fields_and_each_other() {
        let container = json!({
            "envFrom": [{"prefix": "C_", "configMapRef": {"name": "conf"}}, {"secretRef": {"name": "no", "optional": true}}],
            "env": [
                {"name": "PASS", "valueFrom": {"secretKeyRef": {"name": "key", "key": "pass"}}},
                {"name": "MODE", "value": "$(C_mode)-$(PASS)-$(later)-$$(PASS)"},
                {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"containerName": "main", "resource": "limits.memory", "divisor": "1Mi"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}}},
                {"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "x", "optional": true}}},
            ],
        });
        let wanted = [
            ("C_mode", "fast"),
            ("C_n", "1"),
            ("PASS", "secret"),
            ("MODE", "fast-secret-$(later)-$(PASS)"),
            ("LABEL", "1"),
            ("IP", "10.0.0.1"),
            ("MEMORY", "64"),
            ("CPU", "2"),
        ];
        let wanted: BTreeMap<String, String> =
            wanted.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(read(container), Ok(wanted));
    }

    #[test]
    fn what_is_missing_has_the_message_of_the_kubelet() {
        let with = |source: Value| {
            read(json!({"env": [{"name": "A", "valueFrom": source}]})).expect_err("it is missing")
        };
        assert_eq!(
            with(json!({"configMapKeyRef": {"name": "no", "key": "x"}})),
            "configmap \"no\" not found"
        );
        assert_eq!(with(json!({"secretKeyRef": {"name": "no", "key": "x"}})), "secret \"no\" not found");
        let why = "couldn't find key x in ConfigMap default/conf";
        assert_eq!(with(json!({"configMapKeyRef": {"name": "conf", "key": "x"}})), why);
        assert_eq!(field_value(&pod(), "metadata.labels").as_deref(), Ok("a/b=\"1\"\nc=\"2\""));
    }
}
