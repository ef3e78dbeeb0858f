//! HorizontalPodAutoscalers and PodDisruptionBudgets of an idle cluster.

use serde_json::{Value, json};

use super::MANAGER;
use crate::aks::condition::{self, Condition};
use crate::aks::object::{generation, list, namespace, number, selects, text};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";
const BUDGETS: &str = "poddisruptionbudgets.policy";
const DEPLOYMENTS: &str = "deployments.apps";
const STATEFUL_SETS: &str = "statefulsets.apps";
/// The watched resources.
pub(super) const WATCHED: &[&str] = &[AUTOSCALERS, BUDGETS, DEPLOYMENTS, STATEFUL_SETS, "pods"];
/// The CPU usage of an idle pod, in percent of its request.
const IDLE: i64 = 3;

/// Reconciles all autoscalers and budgets.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for autoscaler in cx.all(AUTOSCALERS) {
        apply_bounds(cx, &autoscaler);
    }
    for budget in cx.all(BUDGETS) {
        count(cx, &budget);
    }
}

/// Scales to the minimum number of replicas, because the cluster is idle.
fn apply_bounds(cx: &mut ReconcileContext<'_>, autoscaler: &Value) {
    let resource = match text(autoscaler, "/spec/scaleTargetRef/kind") {
        "Deployment" => DEPLOYMENTS,
        "StatefulSet" => STATEFUL_SETS,
        _ => return,
    };
    let target_name = text(autoscaler, "/spec/scaleTargetRef/name");
    let Some(target) = cx.get(resource, namespace(autoscaler), target_name) else { return };
    let least = number(autoscaler, "/spec/minReplicas").unwrap_or(1);
    let current = number(&target, "/spec/replicas").unwrap_or(1);
    if current != least && current > 0 {
        let mut scaled = Value::clone(&target);
        scaled["spec"]["replicas"] = json!(least);
        cx.put(resource, scaled, MANAGER);
        let reason = if current < least {
            "Current number of replicas below Spec.MinReplicas"
        } else {
            "All metrics below target"
        };
        let message = format!("New size: {least}; reason: {reason}");
        cx.event(autoscaler, &EventSpec::normal("horizontal-pod-autoscaler", "SuccessfulRescale", message));
    }
    let mut conditions = list(autoscaler, "/status/conditions").to_vec();
    for condition in [
        Condition::yes("AbleToScale", "ReadyForNewScale", "recommended size matches current size"),
        Condition::yes(
            "ScalingActive",
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
        ),
        Condition::yes(
            "ScalingLimited",
            "TooFewReplicas",
            "the desired replica count is less than the minimum replica count",
        ),
    ] {
        condition::set(&mut conditions, &condition, "", cx.at);
    }
    let status = json!({
        "currentReplicas": least,
        "desiredReplicas": least,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu",
            "current": {"averageUtilization": IDLE, "averageValue": "3m"}}}],
        "conditions": conditions,
    });
    cx.status(AUTOSCALERS, autoscaler, status, MANAGER);
}

fn count(cx: &mut ReconcileContext<'_>, budget: &Value) {
    let pods: Vec<&Value> = cx
        .store
        .list("pods", Some(namespace(budget)))
        .into_iter()
        .filter(|pod| selects(&budget["spec"]["selector"], pod))
        .collect();
    let expected = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let healthy = pods.iter().filter(|pod| condition::is_true(pod, "Ready")).count() as i64;
    let needed = number(budget, "/spec/minAvailable")
        .unwrap_or_else(|| (expected - number(budget, "/spec/maxUnavailable").unwrap_or(0)).max(0));
    let allowed = (healthy - needed).max(0);
    let mut conditions = list(budget, "/status/conditions").to_vec();
    let condition = if allowed > 0 {
        Condition::yes("DisruptionAllowed", "SufficientPods", "")
    } else {
        Condition::no("DisruptionAllowed", "InsufficientPods", "")
    };
    condition::observe(&mut conditions, &[condition], generation(budget), cx.at);
    let status = json!({
        "observedGeneration": generation(budget),
        "currentHealthy": healthy,
        "desiredHealthy": needed,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "conditions": conditions,
    });
    cx.status(BUDGETS, budget, status, MANAGER);
}
