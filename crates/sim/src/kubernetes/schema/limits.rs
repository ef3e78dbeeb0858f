//! Quotas, limits and classes of pods.

use serde_json::{Value, json};

use super::build::{Constrain, anything, boolean, integer, list, map, object, quantity, string};
use crate::kubernetes::definition::{Column, Definition};

/// Returns the kinds of quotas and limits, scheduling.k8s.io/v1 and node.k8s.io/v1.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    let created = || Column::new("Created At", "date", "=created");
    vec![
        Definition::new("", "v1", "ResourceQuota", "resourcequotas", quota())
            .status()
            .short(&["quota"])
            .columns(vec![
                Column::new("Request", "string", "=quota.requests"),
                Column::new("Limit", "string", "=quota.limits"),
                age(),
            ]),
        Definition::new("", "v1", "LimitRange", "limitranges", limit_range())
            .short(&["limits"])
            .columns(vec![created()]),
        Definition::new("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", priority_class())
            .cluster_wide()
            .generation()
            .short(&["pc"])
            .columns(vec![
                Column::new("Value", "integer", ".value"),
                Column::new("Global-Default", "boolean", "=quota.global"),
                age(),
                Column::new("PreemptionPolicy", "string", ".preemptionPolicy"),
            ]),
        Definition::new("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", runtime_class())
            .cluster_wide()
            .columns(vec![Column::new("Handler", "string", ".handler"), age()]),
    ]
}

fn quota() -> Value {
    let spec =
        object(&[("hard", map(quantity())), ("scopes", list(string())), ("scopeSelector", anything())]);
    let status = object(&[("hard", map(quantity())), ("used", map(quantity()))]);
    object(&[("spec", spec), ("status", status.default(json!({})))])
}

fn limit_range() -> Value {
    let limit = object(&[
        ("type", string().with("minLength", json!(1))),
        ("max", map(quantity())),
        ("min", map(quantity())),
        ("default", map(quantity())),
        ("defaultRequest", map(quantity())),
        ("maxLimitRequestRatio", map(quantity())),
    ])
    .required(&["type"]);
    object(&[("spec", object(&[("limits", list(limit))]).required(&["limits"]))])
}

fn priority_class() -> Value {
    object(&[
        ("value", integer()),
        ("globalDefault", boolean()),
        ("description", string()),
        (
            "preemptionPolicy",
            string().one_of(&["Never", "PreemptLowerPriority"]).default(json!("PreemptLowerPriority")),
        ),
    ])
    .required(&["value"])
}

fn runtime_class() -> Value {
    object(&[
        ("handler", string().with("minLength", json!(1))),
        ("overhead", object(&[("podFixed", map(quantity()))])),
        ("scheduling", anything()),
    ])
    .required(&["handler"])
}
