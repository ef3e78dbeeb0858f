//! Validation of Services, Secrets, ConfigMaps and role bindings.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{each, unchanged};
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// The maximum size of all values of a Secret or ConfigMap in bytes.
const DATA_BYTES_MAX: usize = 1024 * 1024;

/// Returns the validation errors of a Service.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let is_external = spec["type"] == "ExternalName";
    let is_headless = spec["clusterIP"] == "None";
    let mut errors = Vec::new();
    let count = spec["ports"].as_array().map_or(0, Vec::len);
    if count == 0 && !is_external && !is_headless {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if is_external && spec["externalName"].as_str().is_none_or(str::is_empty) {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    let mut names = BTreeSet::new();
    for (index, port) in each(spec, "/ports") {
        let at = format!("spec.ports[{index}]");
        match port["name"].as_str() {
            None | Some("") if count > 1 => errors.push(FieldError::required(&format!("{at}.name"), "")),
            Some(name) if !names.insert(name) => {
                errors.push(FieldError::duplicate(&format!("{at}.name"), &port["name"]));
            }
            _ => {}
        }
        errors.extend(target_error(&port["targetPort"], &format!("{at}.targetPort")));
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && spec["type"] == "ClusterIP" {
            let why = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(&format!("{at}.nodePort"), why));
        } else if node_port != 0 && !(30_000..=32_767).contains(&node_port) {
            let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            errors.push(FieldError::invalid(&format!("{at}.nodePort"), &port["nodePort"], why));
        }
    }
    if spec["type"] == "ClusterIP" && spec.get("externalTrafficPolicy").is_some() {
        let why = "may only be set for externally-accessible services";
        let field = "spec.externalTrafficPolicy";
        errors.push(FieldError::invalid(field, &spec["externalTrafficPolicy"], why));
    }
    errors.extend(address_change(draft, object));
    errors.extend(class_change(draft, object));
    errors
}

/// Returns an error if an update changes the class of a load balancer, which is fixed once set.
fn class_change(draft: &Draft, object: &Value) -> Option<FieldError> {
    let live = draft.live.as_ref()?;
    let balances = |object: &Value| object["spec"]["type"] == "LoadBalancer";
    let field = "spec.loadBalancerClass";
    let changed = unchanged(draft, object, "/spec/loadBalancerClass", field, "may not change once set");
    changed.filter(|_| balances(live) && balances(object))
}

/// Returns the validation errors of an Ingress.
pub fn ingress_errors(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if spec.get("defaultBackend").is_none() && each(spec, "/rules").next().is_none() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid("spec", &json!([]), why));
    }
    for (rule_index, rule) in each(spec, "/rules") {
        for (index, path) in each(rule, "/http/paths") {
            let at = format!("spec.rules[{rule_index}].http.paths[{index}]");
            let is_absolute = path["path"].as_str().is_some_and(|path| path.starts_with('/'));
            if !is_absolute && path["pathType"] != "ImplementationSpecific" {
                let why = "must be an absolute path";
                errors.push(FieldError::invalid(&format!("{at}.path"), &path["path"], why));
            }
            let backend = &path["backend"];
            let port = &backend["service"]["port"];
            if backend.get("service").is_some() && port["number"].is_null() && port["name"].is_null() {
                let why = "port name or number is required";
                errors.push(FieldError::required(&format!("{at}.backend.service.port"), why));
            }
        }
    }
    errors
}

fn target_error(target: &Value, field: &str) -> Option<FieldError> {
    let why = match target {
        Value::Number(number) if !(1..=65_535).contains(&number.as_i64().unwrap_or(0)) => {
            "must be between 1 and 65535, inclusive"
        }
        Value::String(name) if name.len() > 15 => "must be no more than 15 characters",
        Value::String(name) if !matches("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", name) => {
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        }
        _ => return None,
    };
    Some(FieldError::invalid(field, target, why))
}

fn address_change(draft: &Draft, object: &Value) -> Option<FieldError> {
    let was = draft.live.as_ref()?["spec"]["clusterIP"].as_str().filter(|address| !address.is_empty())?;
    let external = object["spec"]["type"] == "ExternalName";
    let (is, all) = (&object["spec"]["clusterIP"], &object["spec"]["clusterIPs"]);
    (!external && is != was)
        .then(|| FieldError::invalid("spec.clusterIPs[0]", all, "may not change once set"))
}

/// Returns the validation errors of a Secret or ConfigMap.
pub fn data_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            bytes += value.as_str().map_or(0, str::len);
            if key.len() > 253 || key == "." || key == ".." || !matches("^[-._a-zA-Z0-9]+$", key) {
                let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                           'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                           '[-._a-zA-Z0-9]+')";
                errors.push(FieldError::invalid(&format!("{field}[{key}]"), &json!(key), why));
            }
        }
    }
    if bytes > DATA_BYTES_MAX {
        errors.push(FieldError::too_long("data", DATA_BYTES_MAX as u64));
    }
    let required: &[&str] = match object["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        _ => &[],
    };
    for key in required {
        if object["data"].get(*key).is_none() {
            errors.push(FieldError::required(&format!("data[{key}]"), ""));
        }
    }
    if draft.definition.kind == "Secret" {
        errors.extend(unchanged(draft, object, "/type", "type", "field is immutable"));
    }
    let is_frozen = draft.live.as_ref().is_some_and(|live| live["immutable"] == json!(true));
    if is_frozen {
        let live = draft.live.as_ref();
        for field in ["data", "binaryData", "immutable"] {
            if live.and_then(|live| live.get(field)) != object.get(field) {
                errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    errors
}

/// Returns the validation errors of a role binding: its role is immutable.
pub fn binding_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    unchanged(draft, object, "/roleRef", "roleRef", "cannot change roleRef").into_iter().collect()
}
