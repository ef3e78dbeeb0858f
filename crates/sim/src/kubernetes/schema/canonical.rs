//! The canonical form in which the API server stores built-in kinds.
//!
//! Built-in kinds pass through Go types: zero values of optional fields are dropped (`omitempty`), quantities
//! are rewritten, and base64 is decoded and encoded again. Custom resources stay as they are.

use serde_json::{Map, Value};

use super::quantity;
use super::traverse::{field, items};
use crate::field::field as field_of;

/// The groups whose kinds are rewritten; others write some zero values.
const GROUPS: [&str; 9] = [
    "",
    "apps",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "scheduling.k8s.io",
    "storage.k8s.io",
];
/// Optional fields that are pointers in the Go types: zero values are kept.
const POINTERS: [&str; 76] = [
    "activeDeadlineSeconds",
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "appProtocol",
    "automountServiceAccountToken",
    "averageUtilization",
    "backoffLimit",
    "backoffLimitPerIndex",
    "blockOwnerDeletion",
    "completionMode",
    "completions",
    "containerName",
    "controller",
    "defaultMode",
    "deletionGracePeriodSeconds",
    "enableServiceLinks",
    "endPort",
    "failedJobsHistoryLimit",
    "fsGroup",
    "fsGroupChangePolicy",
    "hostUsers",
    "immutable",
    "ingressClassName",
    "internalTrafficPolicy",
    "ipFamilyPolicy",
    "loadBalancerClass",
    "localhostProfile",
    "managedBy",
    "manualSelector",
    "maxFailedIndexes",
    "minDomains",
    "minReplicas",
    "mode",
    "mountPropagation",
    "nodeAffinityPolicy",
    "nodeTaintsPolicy",
    "optional",
    "parallelism",
    "partition",
    "pathType",
    "podReplacementPolicy",
    "preemptionPolicy",
    "priority",
    "privileged",
    "procMount",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "reclaimPolicy",
    "recursiveReadOnly",
    "replicas",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "runtimeClassName",
    "selectPolicy",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "startingDeadlineSeconds",
    "storageClassName",
    "successfulJobsHistoryLimit",
    "supplementalGroupsPolicy",
    "succeededCount",
    "succeededIndexes",
    "suspend",
    "targetCPUUtilizationPercentage",
    "terminationGracePeriodSeconds",
    "timeZone",
    "tolerationSeconds",
    "trafficDistribution",
    "ttlSecondsAfterFinished",
    "volumeAttributesClassName",
    "volumeBindingMode",
    "volumeMode",
];

/// The same for fields of one structure, by the field that contains it.
const POINTERS_WITHIN: [(&str, &str); 2] = [("csi", "readOnly"), ("clientIP", "timeoutSeconds")];

/// Drops the zero values of fields with a default, which then apply. A pointer to a zero value is kept.
pub fn drop_zeros(group: &str, schema: &Value, object: &mut Value) {
    if GROUPS.contains(&group) {
        drop_zeros_below(schema, object, "");
    }
}

fn drop_zeros_below(schema: &Value, value: &mut Value, parent: &str) {
    match value {
        Value::Object(map) => {
            map.retain(|name, value| {
                let is_zero = *value == "" || value.as_f64() == Some(0.0);
                if !is_zero {
                    return true;
                }
                let field = &schema["properties"][name.as_str()];
                let is_scalar = field["type"] == "string" || field["type"] == "integer";
                let has_default = !field["default"].is_null();
                !(is_scalar && has_default && !is_pointer(parent, name))
            });
            for (name, value) in map.iter_mut().filter(|(name, _)| *name != "status") {
                if let Some(field) = field(schema, name) {
                    drop_zeros_below(field, value, name);
                }
            }
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|item| drop_zeros_below(items(schema), item, parent));
        }
        _ => {}
    }
}

fn is_pointer(parent: &str, name: &str) -> bool {
    POINTERS.contains(&name) || POINTERS_WITHIN.contains(&(parent, name))
}

/// Rewrites an object of a built-in kind, without its status.
pub fn rewrite(group: &str, schema: &Value, object: &mut Value) {
    let Some(map) = object.as_object_mut().filter(|_| GROUPS.contains(&group)) else { return };
    let status = map.shift_remove("status");
    rewrite_map(schema, map, "", false);
    if let Some(status) = status {
        map.insert("status".into(), status);
    }
}

fn rewrite_value(schema: &Value, value: &mut Value, name: &str, in_map: bool) {
    let format = field_of(schema, "format").and_then(Value::as_str);
    if format == Some("quantity") {
        if let Some(text) = quantity::canonical(value, in_map) {
            *value = Value::from(text);
        }
        return;
    }
    match value {
        Value::Object(map) => rewrite_map(schema, map, name, schema["additionalProperties"].is_object()),
        Value::Array(list) => {
            list.iter_mut().for_each(|item| rewrite_value(items(schema), item, name, false))
        }
        // The Go decoder ignores line breaks.
        Value::String(text) if format == Some("byte") => text.retain(|c| !matches!(c, '\r' | '\n')),
        _ => {}
    }
}

fn rewrite_map(schema: &Value, map: &mut Map<String, Value>, parent: &str, is_map: bool) {
    for (name, value) in map.iter_mut() {
        if let Some(field) = field(schema, name) {
            rewrite_value(field, value, name, is_map);
        }
    }
    map.retain(|name, value| !is_dropped(schema, parent, name, value));
}

/// Returns whether a field of a structure is optional and has the zero value of its type.
fn is_dropped(schema: &Value, parent: &str, name: &str, value: &Value) -> bool {
    let is_zero = match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Null => false,
        value => *value == Value::Bool(false) || *value == "" || value.as_f64() == Some(0.0),
    };
    // Few values are zero, and only for those the schema counts.
    let Some(field) = is_zero.then(|| schema["properties"].get(name)).flatten() else { return false };
    let required = schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    if required || !field["default"].is_null() {
        return false;
    }
    match value {
        Value::Array(_) => true,
        Value::Object(_) => field["additionalProperties"].is_object(),
        _ => !field["type"].is_null() && !is_pointer(parent, name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Constrain, boolean, integer, list, map, object, quantity, string};
    use super::*;
    use serde_json::json;

    #[test]
    fn zero_values_of_optional_fields_are_dropped() {
        let pod = object(&[
            ("hostNetwork", boolean()),
            ("hostUsers", boolean()),
            ("hostname", string()),
            ("minReadySeconds", integer()),
            ("name", string()),
            ("protocol", string().default(json!(""))),
            ("tolerations", list(string())),
            ("labels", map(string())),
            ("security", object(&[])),
            ("csi", object(&[("readOnly", boolean())])),
            ("volumeMounts", list(object(&[("readOnly", boolean())]))),
        ])
        .required(&["name"]);
        let mut value = json!({"hostNetwork": false, "hostUsers": false, "hostname": "", "minReadySeconds": 0,
            "name": "", "protocol": "", "tolerations": [], "labels": {}, "security": {},
            "csi": {"readOnly": false}, "volumeMounts": [{"readOnly": false}]});
        rewrite("apps", &pod, &mut value);
        assert_eq!(
            value,
            json!({"hostUsers": false, "name": "", "protocol": "", "security": {},
            "csi": {"readOnly": false}, "volumeMounts": [{}]})
        );
        let mut custom = json!({"hostNetwork": false});
        rewrite("example.com", &pod, &mut custom);
        assert_eq!(custom, json!({"hostNetwork": false}));
    }

    #[test]
    fn entries_of_maps_and_the_status_are_kept() {
        let schema = object(&[("data", map(string())), ("status", object(&[("n", integer())]))]);
        let mut value = json!({"data": {"a": ""}, "status": {"n": 0}});
        let before = value.clone();
        rewrite("", &schema, &mut value);
        assert_eq!(value, before);
    }

    #[test]
    fn quantities_and_wrapped_base64_are_rewritten() {
        let schema = object(&[
            ("limits", map(quantity())),
            ("sizeLimit", quantity()),
            ("data", map(string().with("format", json!("byte")))),
        ]);
        let mut value = json!({"limits": {"cpu": 0.0001, "memory": "1024Mi"}, "sizeLimit": "0.0001",
            "data": {"a": "SGVs\nbG8=\n"}});
        rewrite("", &schema, &mut value);
        assert_eq!(
            value,
            json!({"limits": {"cpu": "1m", "memory": "1Gi"}, "sizeLimit": "100u", "data": {"a": "SGVsbG8="}})
        );
    }
}
