//! The apps group: Deployments, ReplicaSets, DaemonSets, StatefulSets and their revisions.

use serde_json::{Value, json};

use super::build::{
    Constrain, anything, boolean, conditions, int_or_string, integer, label_selector, list, object, string,
};
use super::{pod, storage, with_metadata};
use crate::kubernetes::definition::{Column, Definition};

/// Returns the kinds of apps/v1.
pub fn kinds() -> Vec<Definition> {
    let column = |name: &str, path: &str| Column::new(name, "integer", path);
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    let kind = |kind: &str, plural: &str, short: &str, schema: Value| {
        Definition::new("apps", "v1", kind, plural, schema)
            .status()
            .generation()
            .short(&[short])
            .categories(&["all"])
    };
    vec![
        kind("Deployment", "deployments", "deploy", deployment()).scaled().columns(
            [
                vec![
                    Column::new("Ready", "string", "=workload.ready"),
                    Column::new("Up-to-date", "string", "=workload.updated"),
                    Column::new("Available", "string", "=workload.available"),
                    age(),
                ],
                template_columns(),
            ]
            .concat(),
        ),
        kind("ReplicaSet", "replicasets", "rs", replica_set()).scaled().columns(
            [
                vec![
                    column("Desired", ".spec.replicas"),
                    column("Current", ".status.replicas"),
                    column("Ready", ".status.readyReplicas"),
                    age(),
                ],
                template_columns(),
            ]
            .concat(),
        ),
        kind("DaemonSet", "daemonsets", "ds", daemon_set()).columns(
            [
                vec![
                    column("Desired", ".status.desiredNumberScheduled"),
                    column("Current", ".status.currentNumberScheduled"),
                    column("Ready", ".status.numberReady"),
                    column("Up-to-date", ".status.updatedNumberScheduled"),
                    column("Available", ".status.numberAvailable"),
                    Column::new("Node Selector", "string", "=workload.node-selector"),
                    age(),
                ],
                template_columns(),
            ]
            .concat(),
        ),
        kind("StatefulSet", "statefulsets", "sts", stateful_set()).scaled().columns(vec![
            Column::new("Ready", "string", "=workload.ready"),
            age(),
            Column::new("Containers", "string", "=workload.containers").wide(),
            Column::new("Images", "string", "=workload.images").wide(),
        ]),
        Definition::new("apps", "v1", "ControllerRevision", "controllerrevisions", revision()).columns(vec![
            Column::new("Controller", "string", "=workload.controller"),
            column("Revision", ".revision"),
            age(),
        ]),
    ]
}

fn revision() -> Value {
    object(&[("data", anything()), ("revision", integer())]).required(&["revision"])
}

fn stateful_set() -> Value {
    let rolling =
        object(&[("partition", integer().least(0).default(json!(0))), ("maxUnavailable", int_or_string())]);
    let strategy = object(&[
        ("type", string().one_of(&["OnDelete", "RollingUpdate"]).default(json!("RollingUpdate"))),
        ("rollingUpdate", rolling),
    ]);
    let policy = || string().one_of(&["Delete", "Retain"]).default(json!("Retain"));
    let retention = object(&[("whenDeleted", policy()), ("whenScaled", policy())]);
    let claim = with_metadata(storage::claim()).and(&[
        ("apiVersion", string().default(json!("v1"))),
        ("kind", string().default(json!("PersistentVolumeClaim"))),
    ]);
    let spec = object(&[
        ("replicas", integer().least(0).default(json!(1))),
        ("selector", label_selector()),
        ("template", pod::template()),
        ("volumeClaimTemplates", list(claim)),
        ("serviceName", string()),
        (
            "podManagementPolicy",
            string().one_of(&["OrderedReady", "Parallel"]).default(json!("OrderedReady")),
        ),
        ("updateStrategy", strategy.default(json!({}))),
        ("revisionHistoryLimit", integer().least(0).default(json!(10))),
        ("minReadySeconds", integer().least(0)),
        ("persistentVolumeClaimRetentionPolicy", retention.default(json!({}))),
        ("ordinals", object(&[("start", integer().least(0))])),
    ]);
    let status = counts(&[
        "observedGeneration",
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "collisionCount",
    ])
    .and(&[("currentRevision", string()), ("updateRevision", string()), ("conditions", conditions())]);
    let none_yet = json!({"replicas": 0, "availableReplicas": 0});
    object(&[("spec", spec), ("status", status.default(none_yet))]).required(&["spec"])
}

/// Returns the wide columns of every workload with a pod template.
fn template_columns() -> Vec<Column> {
    let wide = |name: &str, path: &str| Column::new(name, "string", path).wide();
    vec![
        wide("Containers", "=workload.containers"),
        wide("Images", "=workload.images"),
        wide("Selector", "=workload.selector"),
    ]
}

/// Returns the counters of a status, each at least zero.
fn counts(names: &[&str]) -> Value {
    names.iter().fold(object(&[]), |schema, name| schema.and(&[(*name, integer().least(0))]))
}

fn rolling() -> Value {
    object(&[("maxSurge", int_or_string()), ("maxUnavailable", int_or_string())])
}

fn deployment() -> Value {
    let strategy =
        object(&[("type", string().one_of(&["Recreate", "RollingUpdate"])), ("rollingUpdate", rolling())]);
    let spec = object(&[
        ("replicas", integer().least(0).default(json!(1))),
        ("selector", label_selector()),
        ("template", pod::template()),
        ("strategy", strategy),
        ("minReadySeconds", integer().least(0)),
        ("revisionHistoryLimit", integer().least(0).default(json!(10))),
        ("paused", boolean()),
        ("progressDeadlineSeconds", integer().least(0).default(json!(600))),
    ]);
    let status = counts(&[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ])
    .and(&[("conditions", conditions())]);
    object(&[("spec", spec), ("status", status.default(json!({})))]).required(&["spec"])
}

fn replica_set() -> Value {
    let spec = object(&[
        ("replicas", integer().least(0).default(json!(1))),
        ("minReadySeconds", integer().least(0)),
        ("selector", label_selector()),
        ("template", pod::template()),
    ])
    .required(&["selector"]);
    let status = counts(&[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ])
    .and(&[("conditions", conditions())]);
    object(&[("spec", spec), ("status", status.default(json!({"replicas": 0})))]).required(&["spec"])
}

fn daemon_set() -> Value {
    let strategy =
        object(&[("type", string().one_of(&["OnDelete", "RollingUpdate"])), ("rollingUpdate", rolling())]);
    let spec = object(&[
        ("selector", label_selector()),
        ("template", pod::template()),
        ("updateStrategy", strategy),
        ("minReadySeconds", integer().least(0)),
        ("revisionHistoryLimit", integer().least(0).default(json!(10))),
    ]);
    let status = counts(&[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ])
    .and(&[("conditions", conditions())]);
    object(&[("spec", spec), ("status", status.default(json!({})))]).required(&["spec"])
}
