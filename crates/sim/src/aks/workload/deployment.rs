//! The Deployment controller: one ReplicaSet per template, and rolling updates between them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::MANAGER;
use crate::aks::condition::{self, Condition};
use crate::aks::object::{
    controlled_by, generation, holds, is_ending, list, name, namespace, number, object_ref, suffix, text, uid,
};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::timers::{ObjectRef, Task};

/// The resource of the controller.
const DEPLOYMENTS: &str = "deployments.apps";
const REPLICA_SETS: &str = "replicasets.apps";
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The default progress deadline of a rollout in seconds (Kubernetes default).
const PROGRESS_DEADLINE: i64 = 600;

/// Reconciles all Deployments.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for deployment in cx.all(DEPLOYMENTS) {
        if !is_ending(&deployment) {
            reconcile(cx, &deployment);
        }
    }
}

fn reconcile(cx: &mut ReconcileContext<'_>, deployment: &Value) {
    let mut owned = cx.owned(REPLICA_SETS, deployment);
    let current = owned.iter().position(|set| is_of_template(set, deployment));
    let Some(current) = current else {
        create_replica_set(cx, deployment, &owned);
        return;
    };
    let current = owned.remove(current);
    roll(cx, deployment, &current, &owned);
    update_status(cx, deployment, &current, &owned);
}

/// Returns whether a ReplicaSet has the Deployment's template, ignoring the label `pod-template-hash`.
fn is_of_template(set: &Value, deployment: &Value) -> bool {
    let (is, wanted) = (&set["spec"]["template"], &deployment["spec"]["template"]);
    let is_same = |a: &Value, b: &Value| a == b || (holds(a, b) && holds(b, a));
    is_same(&is["spec"], &wanted["spec"]) && is_same(&without_hash(&is["metadata"]), &wanted["metadata"])
}

fn without_hash(metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    metadata
}

fn template_hash(deployment: &Value) -> String {
    suffix(&deployment["spec"]["template"].to_string(), 10)
}

fn create_replica_set(cx: &mut ReconcileContext<'_>, deployment: &Value, others: &[Arc<Value>]) {
    let hash = template_hash(deployment);
    let revision = others.iter().map(|set| revision(set)).max().unwrap_or(0) + 1;
    let mut template = deployment["spec"]["template"].clone();
    let mut selector = deployment["spec"]["selector"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    selector["matchLabels"]["pod-template-hash"] = json!(hash);
    let set_name = format!("{}-{hash}", name(deployment));
    let replicas = new_replicas(deployment, others.iter().map(|set| wanted(set)).sum());
    let mut annotations = json!({});
    annotations[REVISION] = json!(revision.to_string());
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": set_name, "namespace": namespace(deployment),
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [controlled_by(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    cx.put(REPLICA_SETS, set, MANAGER);
    record_scaling(cx, deployment, &set_name, 0, replicas);
    let deadline = number(deployment, "/spec/progressDeadlineSeconds").unwrap_or(PROGRESS_DEADLINE);
    let task = Task::FailRollout { deployment: object_ref(deployment), replica_set: set_name.clone() };
    cx.state.timers.cancel(
        |waiting| matches!(waiting, Task::FailRollout { deployment: of, .. } if of.uid == uid(deployment)),
    );
    cx.schedule(deadline as f64, task);
    let condition = Condition::yes(
        "Progressing",
        "NewReplicaSetCreated",
        format!("Created new replica set \"{set_name}\""),
    );
    let mut status = deployment.get("status").cloned().unwrap_or_else(|| json!({}));
    write_conditions(cx, &mut status, &[condition]);
    cx.status(DEPLOYMENTS, deployment, status, MANAGER);
}

/// Moves replicas from old templates to the current one, within the limits of the strategy.
fn roll(cx: &mut ReconcileContext<'_>, deployment: &Value, current: &Value, old: &[Arc<Value>]) {
    let desired = desired(deployment);
    let old_total: i64 = old.iter().map(|set| wanted(set)).sum();
    let recreates = text(deployment, "/spec/strategy/type") == "Recreate";
    let next = if recreates && old.iter().any(|set| number(set, "/status/replicas").unwrap_or(0) > 0) {
        0
    } else {
        new_replicas(deployment, old_total)
    };
    if next != wanted(current) {
        record_scaling(cx, deployment, name(current), wanted(current), next);
        scale(cx, current, next);
    }
    let available: i64 = available(current) + old.iter().map(|set| available(set)).sum::<i64>();
    let needed = if recreates { 0 } else { desired - most_unavailable(deployment) };
    let mut spare = (available - needed).max(0);
    for set in old {
        // Unavailable pods can be removed at any time.
        let useless = (wanted(set) - self::available(set)).max(0);
        let fewer = (useless + spare).min(wanted(set));
        spare -= (fewer - useless).max(0);
        if fewer > 0 {
            record_scaling(cx, deployment, name(set), wanted(set), wanted(set) - fewer);
            scale(cx, set, wanted(set) - fewer);
        }
    }
    let newest = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    if revision(current) < newest || revision(current) == 0 {
        annotate(cx, REPLICA_SETS, current, newest + 1);
    }
}

fn update_status(cx: &mut ReconcileContext<'_>, deployment: &Value, current: &Value, old: &[Arc<Value>]) {
    let Some(current) = cx.get(REPLICA_SETS, namespace(current), name(current)) else { return };
    if text(deployment, "/metadata/annotations/deployment.kubernetes.io~1revision")
        != text(&current, "/metadata/annotations/deployment.kubernetes.io~1revision")
    {
        annotate(cx, DEPLOYMENTS, deployment, revision(&current));
    }
    let total = |field: &str| -> i64 {
        std::iter::once(&*current)
            .chain(old.iter().map(Arc::as_ref))
            .map(|set| number(set, field).unwrap_or(0))
            .sum()
    };
    let desired = desired(deployment);
    let (replicas, ready, available) =
        (total("/status/replicas"), total("/status/readyReplicas"), total("/status/availableReplicas"));
    let updated = number(&current, "/status/replicas").unwrap_or(0);
    let complete = updated == desired && replicas == desired && available == desired;
    let enough = available >= desired - most_unavailable(deployment);
    let mut new_conditions = vec![if enough {
        Condition::yes("Available", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        let message = "Deployment does not have minimum availability.";
        Condition::no("Available", "MinimumReplicasUnavailable", message)
    }];
    let progress =
        list(deployment, "/status/conditions").iter().find(|line| text(line, "/type") == "Progressing");
    let reason = progress.map_or("", |line| text(line, "/reason"));
    if complete {
        let message = format!("ReplicaSet \"{}\" has successfully progressed.", name(&current));
        new_conditions.push(Condition::yes("Progressing", "NewReplicaSetAvailable", message));
    } else if reason != "ProgressDeadlineExceeded" && (updated > 0 || reason.is_empty()) {
        let message = format!("ReplicaSet \"{}\" is progressing.", name(&current));
        // The loss of a pod after a completed rollout does not start a new rollout.
        if reason != "NewReplicaSetAvailable" || updated < desired {
            new_conditions.push(Condition::yes("Progressing", "ReplicaSetUpdated", message));
        }
    }
    let mut status = json!({"observedGeneration": generation(deployment)});
    for (field, count) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", (desired - available).max(0)),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    status["conditions"] = deployment["status"]["conditions"].clone();
    write_conditions(cx, &mut status, &new_conditions);
    cx.status(DEPLOYMENTS, deployment, status, MANAGER);
    if complete {
        cx.state.timers.cancel(|waiting| {
            matches!(waiting, Task::FailRollout { deployment: of, .. } if of.uid == uid(deployment))
        });
    }
}

/// Marks a rollout that is not complete at its deadline.
pub(in crate::aks) fn fail_rollout(cx: &mut ReconcileContext<'_>, deployment: &ObjectRef, replica_set: &str) {
    let Some(found) = cx.find(DEPLOYMENTS, deployment) else { return };
    let message = format!("ReplicaSet \"{replica_set}\" has timed out progressing.");
    let mut status = found["status"].clone();
    write_conditions(cx, &mut status, &[Condition::no("Progressing", "ProgressDeadlineExceeded", message)]);
    cx.status(DEPLOYMENTS, &found, status, MANAGER);
}

fn write_conditions(cx: &ReconcileContext<'_>, status: &mut Value, new_conditions: &[Condition]) {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    for line in new_conditions {
        condition::set(&mut conditions, line, "lastUpdateTime", cx.at);
    }
    status["conditions"] = Value::Array(conditions);
}

fn scale(cx: &mut ReconcileContext<'_>, set: &Value, replicas: i64) {
    let Some(mut set) = cx.copy(REPLICA_SETS, namespace(set), name(set)) else { return };
    set["spec"]["replicas"] = json!(replicas);
    cx.put(REPLICA_SETS, set, MANAGER);
}

fn annotate(cx: &mut ReconcileContext<'_>, resource: &str, object: &Value, revision: i64) {
    let Some(mut object) = cx.copy(resource, namespace(object), name(object)) else { return };
    object["metadata"]["annotations"][REVISION] = json!(revision.to_string());
    cx.put(resource, object, MANAGER);
}

fn record_scaling(cx: &mut ReconcileContext<'_>, deployment: &Value, set: &str, from: i64, to: i64) {
    if from == to {
        return;
    }
    let direction = if to > from { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
    cx.event(deployment, &EventSpec::normal("deployment-controller", "ScalingReplicaSet", message));
}

fn revision(object: &Value) -> i64 {
    text(object, "/metadata/annotations/deployment.kubernetes.io~1revision").parse().unwrap_or(0)
}

fn desired(deployment: &Value) -> i64 {
    number(deployment, "/spec/replicas").unwrap_or(1)
}

fn wanted(set: &Value) -> i64 {
    number(set, "/spec/replicas").unwrap_or(0)
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").unwrap_or(0).min(wanted(set))
}

/// Returns the maximum number of replicas of the current template, next to those of older ones.
fn new_replicas(deployment: &Value, old_total: i64) -> i64 {
    let desired = desired(deployment);
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return if old_total > 0 { 0 } else { desired };
    }
    let surge = portion(deployment, "/spec/strategy/rollingUpdate/maxSurge", desired, f64::ceil);
    (desired + surge - old_total).clamp(0, desired)
}

fn most_unavailable(deployment: &Value) -> i64 {
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        return 0;
    }
    let desired = desired(deployment);
    let surge = portion(deployment, "/spec/strategy/rollingUpdate/maxSurge", desired, f64::ceil);
    let down = portion(deployment, "/spec/strategy/rollingUpdate/maxUnavailable", desired, f64::floor);
    // If both are zero, a rollout could not progress.
    if surge == 0 && down == 0 { 1 } else { down.min(desired) }
}

/// Reads a number or a percentage of `whole`; the default is 25 % (Kubernetes default).
fn portion(deployment: &Value, pointer: &str, whole: i64, round: fn(f64) -> f64) -> i64 {
    if let Some(count) = number(deployment, pointer) {
        return count;
    }
    let percent: f64 = text(deployment, pointer).trim_end_matches('%').parse().unwrap_or(25.0);
    round(whole as f64 * percent / 100.0) as i64
}
