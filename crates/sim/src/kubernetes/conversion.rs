//! The versions of a kind: one stored object is served in each of them.
//!
//! Most versions differ only in their name, as those of a CustomResourceDefinition without a conversion webhook
//! do. The versions of HorizontalPodAutoscaler differ in their fields.
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/>

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};

use serde_json::{Map, Value, json};

use super::definition::Definition;
use super::store::metadata_mut;

/// The annotation prefix under which autoscaling/v1 keeps the fields that it does not know.
const PRESERVED: &str = "autoscaling.alpha.kubernetes.io/";
/// The CPU utilization of an autoscaler without a target, in percent.
const DEFAULT_CPU_PERCENT: i64 = 80;

/// Orders versions by their preference: stable ones first, then beta and alpha, each with the highest number
/// first.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    rank(a).cmp(&rank(b))
}

fn rank(version: &str) -> (u8, Reverse<u32>, Reverse<u32>, &str) {
    let parsed = || {
        let rest = version.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, stage) = rest.split_at(end);
        let major: u32 = major.parse().ok()?;
        let (stage, minor) = match stage {
            "" => (0, "0"),
            _ => match (stage.strip_prefix("beta"), stage.strip_prefix("alpha")) {
                (Some(minor), _) => (1, minor),
                (None, Some(minor)) => (2, minor),
                (None, None) => return None,
            },
        };
        Some((stage, Reverse(major), Reverse(minor.parse().ok()?)))
    };
    let (stage, major, minor) = parsed().unwrap_or((3, Reverse(0), Reverse(0)));
    (stage, major, minor, version)
}

/// Returns a stored object in the version of a definition.
pub(super) fn converted<'o>(definition: &Definition, object: &'o Value) -> Cow<'o, Value> {
    let api_version = definition.api_version();
    if object["apiVersion"] == api_version.as_str() {
        return Cow::Borrowed(object);
    }
    let mut object = object.clone();
    convert(&mut object, &api_version);
    Cow::Owned(object)
}

/// Returns an object of a definition's version in the storage version.
pub(super) fn stored(definition: &Definition, mut object: Value) -> Value {
    let api_version = definition.storage_api_version();
    if object["apiVersion"] != api_version.as_str() {
        convert(&mut object, &api_version);
    }
    object
}

fn convert(object: &mut Value, api_version: &str) {
    if object["kind"] == "HorizontalPodAutoscaler" {
        match api_version {
            "autoscaling/v1" => autoscaler_to_v1(object),
            "autoscaling/v2" => autoscaler_to_v2(object),
            _ => {}
        }
    }
    object["apiVersion"] = json!(api_version);
}

fn autoscaler_to_v1(object: &mut Value) {
    let mut preserved = Map::new();
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let metrics = spec.shift_remove("metrics");
        let mut others = metrics.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        if let Some(index) = others.iter().position(is_cpu_utilization) {
            let cpu = others.remove(index);
            let percent = cpu["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".into(), percent);
        }
        if !others.is_empty() {
            preserved.insert("metrics".into(), Value::Array(others));
        }
        if let Some(behavior) = spec.shift_remove("behavior") {
            preserved.insert("behavior".into(), behavior);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        if let Some(conditions) = status.shift_remove("conditions") {
            preserved.insert("conditions".into(), conditions);
        }
        if let Some(metrics) = status.shift_remove("currentMetrics") {
            let cpu = metrics.as_array().into_iter().flatten().find(|one| one["resource"]["name"] == "cpu");
            let percent = cpu.map(|cpu| cpu["resource"]["current"]["averageUtilization"].clone());
            if let Some(percent) = percent.filter(Value::is_number) {
                status.insert("currentCPUUtilizationPercentage".into(), percent);
            }
            preserved.insert("current-metrics".into(), metrics);
        }
    }
    if preserved.is_empty() {
        return;
    }
    let annotations = metadata_mut(object).entry("annotations").or_insert_with(|| json!({}));
    for (name, value) in preserved {
        annotations[format!("{PRESERVED}{name}")] = json!(value.to_string());
    }
}

fn is_cpu_utilization(metric: &Value) -> bool {
    metric["resource"]["name"] == "cpu" && metric["resource"]["target"]["averageUtilization"].is_number()
}

fn autoscaler_to_v2(object: &mut Value) {
    let mut take = |name: &str| -> Option<Value> {
        let annotations = object["metadata"]["annotations"].as_object_mut()?;
        let text = annotations.shift_remove(&format!("{PRESERVED}{name}"))?;
        serde_json::from_str(text.as_str()?).ok()
    };
    let (others, behavior) = (take("metrics"), take("behavior"));
    let (conditions, current) = (take("conditions"), take("current-metrics"));
    let metadata = metadata_mut(object);
    if metadata.get("annotations").is_some_and(|all| all.as_object().is_some_and(Map::is_empty)) {
        metadata.shift_remove("annotations");
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let percent = spec.shift_remove("targetCPUUtilizationPercentage").and_then(|value| value.as_i64());
        let others = others.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let percent = percent.or_else(|| others.is_empty().then_some(DEFAULT_CPU_PERCENT));
        let mut metrics: Vec<Value> = percent.map(cpu_utilization).into_iter().collect();
        metrics.extend(others);
        spec.insert("metrics".into(), Value::Array(metrics));
        if let Some(behavior) = behavior {
            spec.insert("behavior".into(), behavior);
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.shift_remove("currentCPUUtilizationPercentage");
        for (field, value) in [("currentMetrics", current), ("conditions", conditions)] {
            if let Some(value) = value {
                status.insert(field.into(), value);
            }
        }
    }
}

/// Returns the metric of a CPU utilization in percent.
pub(super) fn cpu_utilization(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// Returns the metrics of an autoscaler that names none.
pub(super) fn default_metrics() -> Value {
    json!([cpu_utilization(DEFAULT_CPU_PERCENT)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::{Cluster, route};

    const SCALER: &str = "namespaces/demo/horizontalpodautoscalers/web";

    #[test]
    fn stable_versions_are_preferred_and_higher_numbers() {
        let mut versions = ["v1", "v1alpha1", "v2beta1", "other", "v2", "v1beta1", "v1beta2", "v10"];
        versions.sort_by(|a, b| order(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1beta1", "v1alpha1", "other"]);
    }

    #[test]
    fn a_route_is_readable_and_writable_in_both_versions() {
        let mut cluster = Cluster::new();
        let path = |version: &str| {
            format!("/apis/gateway.networking.k8s.io/{version}/namespaces/demo/httproutes/web")
        };
        let mut beta = route();
        beta["apiVersion"] = json!("gateway.networking.k8s.io/v1beta1");
        assert_eq!(cluster.apply(&path("v1beta1"), "me", &beta).status, 201);
        let stable = cluster.get(&path("v1")).value();
        assert_eq!(stable["apiVersion"], "gateway.networking.k8s.io/v1");
        assert_eq!(stable["metadata"]["managedFields"][0]["apiVersion"], "gateway.networking.k8s.io/v1beta1");
        let read = cluster.get(&path("v1beta1")).value();
        assert_eq!(read["apiVersion"], "gateway.networking.k8s.io/v1beta1");
        assert_eq!(read["spec"], stable["spec"]);
        assert_eq!(cluster.apply(&path("v1"), "me", &beta).status, 400, "the version is not that of the URL");
        let again = cluster.apply(&path("v1beta1"), "me", &beta);
        assert_eq!(again.value()["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
        assert_eq!(cluster.apply(&path("v1"), "me", &route()).status, 200);
        let list = cluster.get("/apis/gateway.networking.k8s.io/v1beta1/httproutes").value();
        assert_eq!(list["items"][0]["apiVersion"], "gateway.networking.k8s.io/v1beta1");
    }

    #[test]
    fn an_autoscaler_of_v1_is_one_of_v2() {
        let mut cluster = Cluster::new();
        let (v1, v2) = (format!("/apis/autoscaling/v1/{SCALER}"), format!("/apis/autoscaling/v2/{SCALER}"));
        let scaler = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"}, "spec": {"maxReplicas": 4, "targetCPUUtilizationPercentage": 60,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
        assert_eq!(cluster.apply(&v1, "me", &scaler).status, 201);
        let read = cluster.get(&v2).value();
        assert_eq!(read["spec"]["metrics"], json!([cpu_utilization(60)]));
        let behavior = json!({"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}});
        assert_eq!(cluster.merge(&v2, &behavior).status, 200);
        let read = cluster.get(&v1).value();
        assert_eq!(read["spec"]["targetCPUUtilizationPercentage"], 60);
        assert_eq!(read["spec"].get("metrics"), None);
        let preserved = &read["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"];
        assert!(preserved.as_str().unwrap().contains("60"));
        let before = cluster.get(&v2).value();
        assert_eq!(cluster.apply(&v1, "me", &scaler).status, 200);
        assert_eq!(cluster.get(&v2).value(), before, "an apply of the same content changes nothing");
        let groups = cluster.get("/apis/autoscaling").value();
        assert_eq!(groups["preferredVersion"]["version"], "v2");
    }
}
