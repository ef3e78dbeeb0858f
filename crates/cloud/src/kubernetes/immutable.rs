//! Fields that the API server refuses to change once an object exists.
//!
//! The table follows the validation of `k8s.io/kubernetes/pkg/apis` and covers the kinds that manifests
//! contain. Rules of custom resources (`self == oldSelf`) are unknown here; the server refuses these at the
//! apply.

use serde_json::{Value, json};

use super::apply::FIELD_MANAGER;
use super::confidential;
use super::differences::{Difference, differences, group_of, hide, step};

/// A group, a kind, the paths below which no field may change, and the exceptions.
type Rule = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const RULES: [Rule; 26] = [
    ("apps", "Deployment", &[".spec.selector"], &[]),
    ("apps", "ReplicaSet", &[".spec.selector"], &[]),
    ("apps", "DaemonSet", &[".spec.selector"], &[]),
    ("apps", "ControllerRevision", &[".data"], &[]),
    (
        "apps",
        "StatefulSet",
        &[".spec"],
        &[
            ".spec.replicas",
            ".spec.ordinals",
            ".spec.template",
            ".spec.updateStrategy",
            ".spec.revisionHistoryLimit",
            ".spec.persistentVolumeClaimRetentionPolicy",
            ".spec.minReadySeconds",
        ],
    ),
    (
        "batch",
        "Job",
        &[
            ".spec.selector",
            ".spec.manualSelector",
            ".spec.template",
            ".spec.completionMode",
            ".spec.completions",
            ".spec.podFailurePolicy",
            ".spec.successPolicy",
            ".spec.backoffLimitPerIndex",
            ".spec.maxFailedIndexes",
            ".spec.managedBy",
        ],
        &[],
    ),
    (
        "",
        "Pod",
        &[".spec"],
        &[".spec.activeDeadlineSeconds", ".spec.tolerations", ".spec.terminationGracePeriodSeconds"],
    ),
    (
        "",
        "Service",
        &[".spec.clusterIP", ".spec.clusterIPs", ".spec.ipFamilies[0]", ".spec.loadBalancerClass"],
        &[],
    ),
    ("", "Secret", &[".type"], &[]),
    ("", "PersistentVolumeClaim", &[".spec"], &[".spec.resources", ".spec.volumeAttributesClassName"]),
    (
        "",
        "PersistentVolume",
        &[
            ".spec.azureDisk",
            ".spec.azureFile",
            ".spec.csi",
            ".spec.fc",
            ".spec.hostPath",
            ".spec.iscsi",
            ".spec.local",
            ".spec.nfs",
            ".spec.nodeAffinity",
            ".spec.volumeMode",
        ],
        &[],
    ),
    (
        "storage.k8s.io",
        "StorageClass",
        &[".provisioner", ".parameters", ".reclaimPolicy", ".volumeBindingMode"],
        &[],
    ),
    ("storage.k8s.io", "CSIDriver", &[".spec.attachRequired", ".spec.volumeLifecycleModes"], &[]),
    ("storage.k8s.io", "VolumeAttachment", &[".spec"], &[]),
    ("rbac.authorization.k8s.io", "RoleBinding", &[".roleRef"], &[]),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", &[".roleRef"], &[]),
    ("scheduling.k8s.io", "PriorityClass", &[".value", ".preemptionPolicy"], &[]),
    ("networking.k8s.io", "IngressClass", &[".spec.controller"], &[]),
    ("networking.k8s.io", "IPAddress", &[".spec"], &[]),
    ("gateway.networking.k8s.io", "GatewayClass", &[".spec.controllerName"], &[]),
    ("node.k8s.io", "RuntimeClass", &[".handler"], &[]),
    ("discovery.k8s.io", "EndpointSlice", &[".addressType"], &[]),
    ("certificates.k8s.io", "CertificateSigningRequest", &[".spec"], &[]),
    ("resource.k8s.io", "ResourceClaim", &[".spec"], &[]),
    ("resource.k8s.io", "ResourceClaimTemplate", &[".spec"], &[]),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        &[".spec.group", ".spec.scope", ".spec.names.kind", ".spec.names.plural"],
        &[],
    ),
];

/// Lists those of the [`differences`] that the API server refuses to apply: path, actual value, desired
/// value. The values of a Secret are not shown.
///
/// `live` must contain its metadata: the managed fields show which keys of an immutable ConfigMap or Secret
/// an apply would remove.
pub fn immutable_differences(wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found: Vec<Difference> = differences(wanted, live);
    found.retain(|difference| is_refused(difference, wanted, live));
    if is_immutable(wanted, live) {
        let secret = confidential::is_secret(wanted);
        for mut removed in removed(wanted, live) {
            hide(&mut removed, secret);
            found.push(removed);
        }
    }
    found
}

/// Returns whether an object is a ConfigMap or Secret that is marked as immutable.
fn is_immutable(wanted: &Value, live: &Value) -> bool {
    group_of(wanted).is_empty()
        && (wanted["kind"] == "ConfigMap" || wanted["kind"] == "Secret")
        && live["immutable"] == json!(true)
}

fn is_refused((path, is, desired): &Difference, wanted: &Value, live: &Value) -> bool {
    let below = |prefix: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    if is_immutable(wanted, live)
        && [".data", ".binaryData", ".stringData", ".immutable"].into_iter().any(below)
    {
        return true;
    }
    let (group, kind) = (group_of(wanted), wanted["kind"].as_str().unwrap_or_default());
    let Some((_, _, paths, exceptions)) = RULES.iter().find(|rule| (rule.0, rule.1) == (group, kind)) else {
        return false;
    };
    let spec = |field: &str| (&wanted["spec"][field], &live["spec"][field]);
    let excepted = match kind {
        "Service" => may_service_change(path, is, desired, wanted, live),
        "Pod" => {
            let list = [".spec.containers[", ".spec.initContainers["];
            path.ends_with(".image") && list.iter().any(|list| path.starts_with(list))
        }
        // An unbound claim gets its volume, and its class if there is a default one.
        "PersistentVolumeClaim" => {
            is.is_null() && (below(".spec.volumeName") || below(".spec.storageClassName"))
        }
        // The completions of an Indexed Job may change together with its parallelism.
        "Job" => below(".spec.completions") && spec("completionMode").1 == "Indexed",
        _ => false,
    };
    !excepted && paths.iter().any(|path| below(path)) && !exceptions.iter().any(|path| below(path))
}

/// Returns whether the server accepts the change of a Service's address or class.
fn may_service_change(path: &str, is: &Value, desired: &Value, wanted: &Value, live: &Value) -> bool {
    let empty = |value: &Value| value.is_null() || *value == "" || *value == json!([]);
    let becomes = wanted["spec"]["type"].as_str().or(live["spec"]["type"].as_str()).unwrap_or("ClusterIP");
    if path.starts_with(".spec.loadBalancerClass") {
        return becomes != "LoadBalancer" || live["spec"]["type"] != "LoadBalancer";
    }
    // Without an address it gets one; an empty desired value keeps the existing address.
    becomes == "ExternalName" || empty(is) || empty(desired)
}

/// Returns the keys that landfall applied to a frozen object and that the manifest no longer contains: an
/// apply removes them.
fn removed(wanted: &Value, live: &Value) -> Vec<Difference> {
    let entries = live["metadata"]["managedFields"].as_array();
    let own = entries.into_iter().flatten().find(|entry| {
        entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
    });
    let Some(fields) = own.map(|entry| &entry["fieldsV1"]) else { return Vec::new() };
    let mut found = Vec::new();
    if !fields["f:immutable"].is_null() && wanted["immutable"].is_null() {
        found.push((".immutable".to_owned(), live["immutable"].clone(), Value::Null));
    }
    for field in ["data", "binaryData"] {
        for key in fields[format!("f:{field}")].as_object().into_iter().flat_map(|keys| keys.keys()) {
            let Some(key) = key.strip_prefix("f:") else { continue };
            let kept = !wanted[field][key].is_null() || !wanted["stringData"][key].is_null();
            if !kept && !live[field][key].is_null() {
                found.push((format!(".{field}.{}", step(key)), live[field][key].clone(), Value::Null));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, kind: &str, rest: Value) -> Value {
        let mut object = json!({"apiVersion": version, "kind": kind});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    }

    fn paths(version: &str, kind: &str, wanted: Value, live: Value) -> Vec<String> {
        let found = immutable_differences(&object(version, kind, wanted), &object(version, kind, live));
        found.into_iter().map(|(path, _, _)| path).collect()
    }

    #[test]
    fn a_selector_is_immutable_as_a_whole_and_replicas_are_not() {
        let spec = |labels: Value, replicas: u8| json!({"spec": {"replicas": replicas, "selector": {"matchLabels": labels}}});
        for kind in ["Deployment", "DaemonSet", "ReplicaSet", "StatefulSet"] {
            let (wanted, live) = (spec(json!({"app": "a"}), 2), spec(json!({"app": "a", "tier": "b"}), 1));
            assert_eq!(paths("apps/v1", kind, wanted.clone(), live), [".spec.selector"], "{kind}");
            assert_eq!(paths("apps/v1", kind, wanted, spec(json!({"app": "a"}), 1)), [""; 0], "{kind}");
        }
    }

    #[test]
    fn each_kind_has_its_own_immutable_fields_and_exceptions() {
        let spec = |value: Value| json!({"spec": value});
        for (version, kind, wanted, live, expected) in [
            (
                "batch/v1",
                "Job",
                spec(json!({"template": {"a": 1}, "parallelism": 2})),
                spec(json!({"template": {"a": 2}, "parallelism": 1})),
                vec![".spec.template.a"],
            ),
            (
                "batch/v1",
                "Job",
                spec(json!({"completions": 2})),
                spec(json!({"completions": 1, "completionMode": "Indexed"})),
                vec![],
            ),
            (
                "v1",
                "Service",
                spec(json!({"clusterIP": "10.0.0.1"})),
                spec(json!({"clusterIP": "10.0.0.2", "type": "ClusterIP"})),
                vec![".spec.clusterIP"],
            ),
            ("v1", "Service", spec(json!({"clusterIP": ""})), spec(json!({"clusterIP": "10.0.0.2"})), vec![]),
            (
                "v1",
                "Service",
                spec(json!({"clusterIP": "10.0.0.1"})),
                spec(json!({"type": "ExternalName"})),
                vec![],
            ),
            (
                "v1",
                "Service",
                spec(json!({"loadBalancerClass": "a"})),
                spec(json!({"type": "LoadBalancer"})),
                vec![".spec.loadBalancerClass"],
            ),
            ("v1", "Secret", json!({"type": "a"}), json!({"type": "b"}), vec![".type"]),
            (
                "v1",
                "PersistentVolumeClaim",
                spec(
                    json!({"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "2Gi"}}}),
                ),
                spec(
                    json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}),
                ),
                vec![".spec.accessModes[0]"],
            ),
            (
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                json!({"roleRef": {"name": "a"}}),
                json!({"roleRef": {"name": "b"}}),
                vec![".roleRef.name"],
            ),
            (
                "v1",
                "Pod",
                spec(json!({"nodeName": "a", "containers": [{"name": "c", "image": "i:2"}]})),
                spec(json!({"nodeName": "b", "containers": [{"name": "c", "image": "i:1"}]})),
                vec![".spec.nodeName"],
            ),
            ("v1", "ConfigMap", json!({"data": {"a": "1"}}), json!({"data": {"a": "2"}}), vec![]),
            (
                "v1",
                "ConfigMap",
                json!({"data": {"a": "1"}}),
                json!({"data": {"a": "2"}, "immutable": true}),
                vec![".data.a"],
            ),
            (
                "example.com/v1",
                "Deployment",
                spec(json!({"selector": {"a": "1"}})),
                spec(json!({"selector": {"a": "2"}})),
                vec![],
            ),
        ] {
            assert_eq!(paths(version, kind, wanted, live), expected, "{kind}");
        }
    }

    #[test]
    fn a_key_removal_from_an_immutable_object_is_a_refused_change() {
        let live = json!({"immutable": true, "data": {"a": "czNjcmV0", "b": "eA==", "theirs": "eA=="}, "metadata": {"managedFields": [
            {"manager": "landfall", "operation": "Apply",
             "fieldsV1": {"f:immutable": {}, "f:data": {"f:a": {}, "f:b": {}}}}]}});
        let wanted = object("v1", "Secret", json!({"data": {"b": "eA=="}}));
        let found = immutable_differences(&wanted, &object("v1", "Secret", live));
        assert_eq!(
            found,
            [
                (".immutable".to_owned(), json!(true), Value::Null),
                (".data.a".to_owned(), json!("(hidden)"), Value::Null)
            ]
        );
    }
}
