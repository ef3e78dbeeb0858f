//! Policies of workloads: autoscalers, disruption budgets, leases.

use serde_json::{Value, json};

use super::build::{
    Constrain, anything, conditions, int_or_string, integer, label_selector, list, map, object, quantity,
    string, time,
};
use crate::kubernetes::definition::{Column, Definition};

/// Returns the kinds of autoscaling/v2, policy/v1 and coordination.k8s.io/v1.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    vec![
        Definition::new(
            "autoscaling",
            "v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            autoscaler(),
        )
        .also_served("v1", Some(autoscaler_v1()))
        .status()
        .short(&["hpa"])
        .categories(&["all"])
        .columns(vec![
            Column::new("Reference", "string", "=scaler.reference"),
            Column::new("Targets", "string", "=scaler.targets"),
            Column::new("MinPods", "string", "=scaler.least"),
            Column::new("MaxPods", "string", ".spec.maxReplicas"),
            Column::new("Replicas", "integer", ".status.currentReplicas"),
            age(),
        ]),
        Definition::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", disruption_budget())
            .status()
            .generation()
            .short(&["pdb"])
            .columns(vec![
                Column::new("Min Available", "string", "=budget.minAvailable"),
                Column::new("Max Unavailable", "string", "=budget.maxUnavailable"),
                Column::new("Allowed Disruptions", "integer", ".status.disruptionsAllowed"),
                age(),
            ]),
        Definition::new("coordination.k8s.io", "v1", "Lease", "leases", lease())
            .columns(vec![Column::new("Holder", "string", ".spec.holderIdentity"), age()]),
    ]
}

fn scale_target() -> Value {
    object(&[("apiVersion", string()), ("kind", string()), ("name", string())]).required(&["kind", "name"])
}

/// The schema of autoscaling/v1: CPU utilization is its only metric.
fn autoscaler_v1() -> Value {
    let spec = object(&[
        ("scaleTargetRef", scale_target().atomic_map()),
        ("minReplicas", integer().least(1).default(json!(1))),
        ("maxReplicas", integer().least(1)),
        ("targetCPUUtilizationPercentage", integer().least(1)),
    ])
    .required(&["scaleTargetRef", "maxReplicas"]);
    let status = object(&[
        ("observedGeneration", integer()),
        ("lastScaleTime", time()),
        ("currentReplicas", integer()),
        ("desiredReplicas", integer()),
        ("currentCPUUtilizationPercentage", integer()),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"desiredReplicas": 0})))]).required(&["spec"])
}

fn autoscaler() -> Value {
    let target = scale_target();
    let aim = || {
        object(&[
            ("type", string().one_of(&["Utilization", "Value", "AverageValue"])),
            ("value", quantity()),
            ("averageValue", quantity()),
            ("averageUtilization", integer().least(1)),
        ])
        .required(&["type"])
    };
    let measured = object(&[("name", string()), ("selector", label_selector())]).required(&["name"]);
    let metric = object(&[
        ("type", string().one_of(&["ContainerResource", "External", "Object", "Pods", "Resource"])),
        ("resource", object(&[("name", string()), ("target", aim())]).required(&["name", "target"])),
        (
            "containerResource",
            object(&[("name", string()), ("container", string()), ("target", aim())]).required(&[
                "name",
                "container",
                "target",
            ]),
        ),
        ("pods", object(&[("metric", measured.clone()), ("target", aim())]).required(&["metric", "target"])),
        ("object", anything()),
        ("external", object(&[("metric", measured), ("target", aim())]).required(&["metric", "target"])),
    ])
    .required(&["type"]);
    let policy = object(&[("type", string()), ("value", integer()), ("periodSeconds", integer())])
        .required(&["type", "value", "periodSeconds"]);
    let rules = || {
        object(&[
            ("stabilizationWindowSeconds", integer().range(0, 3_600)),
            ("selectPolicy", string()),
            ("policies", list(policy.clone())),
            ("tolerance", quantity()),
        ])
    };
    let spec = object(&[
        ("scaleTargetRef", target),
        ("minReplicas", integer().least(1).default(json!(1))),
        ("maxReplicas", integer().least(1)),
        ("metrics", list(metric)),
        ("behavior", object(&[("scaleUp", rules()), ("scaleDown", rules())])),
    ])
    .required(&["scaleTargetRef", "maxReplicas"]);
    let status = object(&[
        ("observedGeneration", integer()),
        ("lastScaleTime", time()),
        ("currentReplicas", integer()),
        ("desiredReplicas", integer()),
        ("currentMetrics", list(anything())),
        ("conditions", conditions()),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"desiredReplicas": 0})))]).required(&["spec"])
}

fn disruption_budget() -> Value {
    let spec = object(&[
        ("minAvailable", int_or_string()),
        ("maxUnavailable", int_or_string()),
        ("selector", label_selector()),
        ("unhealthyPodEvictionPolicy", string().one_of(&["AlwaysAllow", "IfHealthyBudget"])),
    ]);
    let status = object(&[
        ("observedGeneration", integer()),
        ("disruptedPods", map(time())),
        ("disruptionsAllowed", integer()),
        ("currentHealthy", integer()),
        ("desiredHealthy", integer()),
        ("expectedPods", integer()),
        ("conditions", conditions()),
    ]);
    let nothing_yet =
        json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
    object(&[("spec", spec), ("status", status.default(nothing_yet))])
}

fn lease() -> Value {
    object(&[(
        "spec",
        object(&[
            ("holderIdentity", string()),
            ("leaseDurationSeconds", integer().least(1)),
            ("acquireTime", time()),
            ("renewTime", time()),
            ("leaseTransitions", integer().least(0)),
            ("strategy", string()),
            ("preferredHolder", string()),
        ]),
    )])
}
