//! Validation of the containers and volumes of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{each, names};
use crate::kubernetes::schema::quantity::amount;
use crate::kubernetes::status::FieldError;

/// The resources that a container can request, besides huge pages.
const CONTAINER_RESOURCES: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// The resources without a domain that a container cannot request.
const OTHER_RESOURCES: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.nodeports",
    "storage",
];

/// Returns the validation errors of a pod's spec at a path.
pub fn errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, volume) in each(spec, "/volumes") {
        let name = volume["name"].as_str().unwrap_or_default();
        errors.extend(names::errors(&format!("{path}.volumes[{index}].name"), name, &names::dns_label(name)));
        if volume.as_object().is_some_and(|map| map.len() > 2) {
            let field = format!("{path}.volumes[{index}]");
            errors.push(FieldError::forbidden(&field, "may not specify more than 1 volume type"));
        }
    }
    for list in ["initContainers", "containers"] {
        for (index, container) in each(spec, &format!("/{list}")) {
            errors.extend(container_errors(spec, container, &format!("{path}.{list}[{index}]")));
        }
    }
    errors
}

fn container_errors(spec: &Value, container: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = container["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required(&format!("{path}.name"), ""));
    } else {
        errors.extend(names::errors(&format!("{path}.name"), name, &names::dns_label(name)));
    }
    if container["image"].as_str().is_none_or(|image| image.trim().is_empty()) {
        errors.push(FieldError::required(&format!("{path}.image"), ""));
    }
    errors.extend(port_errors(container, path));
    errors.extend(variable_errors(container, path));
    for (index, mount) in each(container, "/volumeMounts") {
        if !each(spec, "/volumes").any(|(_, volume)| volume["name"] == mount["name"]) {
            let field = format!("{path}.volumeMounts[{index}].name");
            errors.push(FieldError::missing(&field, &mount["name"]));
        }
    }
    errors.extend(probe_errors(container, path));
    errors.extend(resource_errors(&container["resources"], &format!("{path}.resources")));
    errors
}

fn port_errors(container: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut names_so_far = BTreeSet::new();
    for (index, port) in each(container, "/ports") {
        let at = format!("{path}.ports[{index}]");
        if let Some(name) = port["name"].as_str().filter(|name| !name.is_empty()) {
            let field = format!("{at}.name");
            let why = names::port_name(name);
            errors.extend(names::errors(&field, name, &why));
            if why.is_empty() && !names_so_far.insert(name) {
                errors.push(FieldError::duplicate(&field, &port["name"]));
            }
        }
        let field = format!("{at}.containerPort");
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => errors.push(FieldError::required(&field, "")),
            1..=65_535 => {}
            _ => {
                let why = "must be between 1 and 65535, inclusive";
                errors.push(FieldError::invalid(&field, &port["containerPort"], why));
            }
        }
    }
    errors
}

fn variable_errors(container: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, variable) in each(container, "/env") {
        let field = format!("{path}.env[{index}].name");
        let name = variable["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(&field, ""));
        } else if !name.chars().all(|c| matches!(c, ' '..='~') && c != '=') {
            let why = "a valid environment variable name must consist only of printable ASCII characters other \
                 than '='";
            errors.push(FieldError::invalid(&field, &variable["name"], why));
        }
    }
    errors
}

fn probe_errors(container: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probed) = container.get(probe) else { continue };
        let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
        match handlers.iter().filter(|handler| probed.get(**handler).is_some()).count() {
            0 => {
                let why = "must specify a handler type";
                errors.push(FieldError::required(&format!("{path}.{probe}"), why));
            }
            1 => {}
            _ => {
                let why = "may not specify more than 1 handler type";
                errors.push(FieldError::forbidden(&format!("{path}.{probe}"), why));
            }
        }
    }
    errors
}

fn resource_errors(resources: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for list in ["limits", "requests"] {
        for (name, quantity) in resources[list].as_object().into_iter().flatten() {
            let field = format!("{path}.{list}[{name}]");
            errors.extend(names::errors(&field, name, &resource_name(name)));
            if amount(quantity).is_some_and(|amount| amount < 0.0) {
                errors.push(FieldError::invalid(&field, quantity, "must be greater than or equal to 0"));
            }
        }
    }
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name.as_str()];
        if let (Some(given), Some(most)) = (amount(request), amount(limit))
            && given > most
        {
            let shown = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
            let why = format!("must be less than or equal to {name} limit of {shown}");
            errors.push(FieldError::invalid(&format!("{path}.requests"), request, &why));
        }
    }
    errors
}

fn resource_name(name: &str) -> Vec<String> {
    let mut why = names::qualified(name);
    let of_container = CONTAINER_RESOURCES.contains(&name) || name.starts_with("hugepages-");
    let is_standard = of_container
        || OTHER_RESOURCES.contains(&name)
        || name.starts_with("requests.")
        || name.starts_with("limits.");
    if !name.contains('/') && !is_standard {
        why.push("must be a standard resource type or fully qualified".to_owned());
    }
    if !name.contains('/') && !of_container {
        why.push("must be a standard resource for containers".to_owned());
    }
    why
}

/// Returns the warnings about a pod's spec at a path.
pub fn warnings(spec: &Value, path: &str) -> Vec<String> {
    let is_negative = spec["terminationGracePeriodSeconds"].as_i64() < Some(0)
        && spec["terminationGracePeriodSeconds"].is_i64();
    let why = "must be >= 0; negative values are invalid and will be treated as 1";
    is_negative.then(|| format!("{path}.terminationGracePeriodSeconds: {why}")).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn containers_are_checked_field_by_field() {
        let say = |container: Value| -> Vec<String> {
            errors(&json!({"containers": [container]}), "spec").iter().map(ToString::to_string).collect()
        };
        let container = |more: Value| {
            let mut container = json!({"name": "web", "image": "nginx"});
            for (field, value) in more.as_object().into_iter().flatten() {
                container[field] = value.clone();
            }
            container
        };
        assert!(say(container(json!({"resources": {"limits": {"example.com/gpu": "1"}}}))).is_empty());
        assert_eq!(say(container(json!({"resources": {"requests": {"foo": "1"}}}))).len(), 2);
        assert_eq!(
            say(container(json!({"ports": [{"containerPort": 0}]}))),
            ["spec.containers[0].ports[0].containerPort: Required value"]
        );
        let twice = json!([{"name": "http", "containerPort": 1}, {"name": "http", "containerPort": 2}]);
        assert_eq!(
            say(container(json!({"ports": twice}))),
            [r#"spec.containers[0].ports[1].name: Duplicate value: "http""#]
        );
        assert_eq!(say(container(json!({"env": [{"name": "A=B"}, {}]}))).len(), 2);
    }
}
