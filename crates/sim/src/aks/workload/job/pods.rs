//! The pods of a Job: their creation, their removal, and the finalizer that keeps a pod until it is counted.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{MANAGER, pod};
use super::failure_policy;
use super::{SOURCE, backoff_limit_per_index, completions, is_indexed};
use crate::aks::condition;
use crate::aks::object::{is_ending, list, name, object_ref, suffix, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

/// The label and annotation with the index of a pod.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const INDEX_POINTER: &str = "/metadata/annotations/batch.kubernetes.io~1job-completion-index";
/// The annotation with the number of counted failures of the index before this pod.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const FAILURES_POINTER: &str = "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count";
/// The same for failures that a rule of the policy ignored.
const IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const IGNORED_POINTER: &str = "/metadata/annotations/batch.kubernetes.io~1job-index-ignored-failure-count";
/// The finalizer of pods that the Job has not counted yet.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The environment variable with the index.
const VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The maximum length of a generated name before its random suffix.
const PREFIX_MAX: usize = 58;

/// Returns the index of a pod, if it is a valid one of the Job.
pub(super) fn index(job: &Value, pod: &Value) -> Option<u32> {
    let index: u32 = text(pod, INDEX_POINTER).parse().ok()?;
    (index < completions(job)?).then_some(index)
}

/// Returns the number of counted failures of the index before a pod.
pub(super) fn failures_before(pod: &Value) -> u32 {
    text(pod, FAILURES_POINTER).parse().unwrap_or(0)
}

/// Returns the number of all failures of the index before a pod, also of those that did not count.
pub(super) fn all_failures_before(pod: &Value) -> u32 {
    failures_before(pod) + text(pod, IGNORED_POINTER).parse::<u32>().unwrap_or(0)
}

/// Returns whether the Job has not counted a pod yet.
pub(super) fn is_tracked(pod: &Value) -> bool {
    list(pod, "/metadata/finalizers").iter().any(|finalizer| finalizer == TRACKING)
}

/// Removes the finalizer of a pod.
pub(super) fn release(cx: &mut ReconcileContext<'_>, pod: &Value) {
    let Some(pod) = cx.find("pods", &object_ref(pod)).filter(|pod| is_tracked(pod)) else { return };
    let mut pod = Arc::unwrap_or_clone(pod);
    if let Some(finalizers) = pod["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|finalizer| finalizer != TRACKING);
    }
    cx.put("pods", pod, MANAGER);
}

/// Deletes a pod gracefully.
pub(super) fn delete(cx: &mut ReconcileContext<'_>, job: &Value, pod: &Value) {
    cx.delete("pods", pod);
    let message = format!("Deleted pod: {}", name(pod));
    cx.event(job, &EventSpec::normal(SOURCE, "SuccessfulDelete", message));
}

/// Creates a pod for an index, or without one. `failed` is the pod of the same index that it replaces.
pub(super) fn create(cx: &mut ReconcileContext<'_>, job: &Value, index: Option<u32>, failed: Option<&Value>) {
    let mut new = pod::from_template(cx, job);
    let mut finalizers = list(&new, "/metadata/finalizers").to_vec();
    finalizers.push(json!(TRACKING));
    new["metadata"]["finalizers"] = json!(finalizers);
    if let Some(index) = index {
        set_index(cx, job, &mut new, index);
        if backoff_limit_per_index(job).is_some() {
            set_failures(job, &mut new, failed);
        }
    }
    let message = format!("Created pod: {}", name(&new));
    cx.put("pods", new, MANAGER);
    cx.event(job, &EventSpec::normal(SOURCE, "SuccessfulCreate", message));
}

fn set_index(cx: &ReconcileContext<'_>, job: &Value, new: &mut Value, index: u32) {
    let tail = format!("-{index}-");
    let base: String = name(job).chars().take(PREFIX_MAX - tail.len()).collect();
    let random = suffix(&format!("{}#{index}#{}", uid(job), cx.state.pods), 5);
    new["metadata"]["name"] = json!(format!("{base}{tail}{random}"));
    new["metadata"]["generateName"] = json!(format!("{base}{tail}"));
    new["metadata"]["annotations"][INDEX] = json!(index.to_string());
    new["metadata"]["labels"][INDEX] = json!(index.to_string());
    new["spec"]["hostname"] = json!(format!("{}-{index}", name(job)));
    let variable = json!({
        "name": VARIABLE, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.labels['{INDEX}']")}},
    });
    for containers in ["containers", "initContainers"] {
        let own = list(&job["spec"]["template"]["spec"], &format!("/{containers}")).to_vec();
        let all = new["spec"].get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, own) in all.zip(own) {
            let mut variables = list(container, "/env").to_vec();
            if !variables.iter().any(|known| known["name"] == VARIABLE) {
                // Admission webhooks append theirs.
                variables.insert(list(&own, "/env").len().min(variables.len()), variable.clone());
                container["env"] = json!(variables);
            }
        }
    }
}

/// Writes the failures of the index: those before the replaced pod, and its own.
fn set_failures(job: &Value, new: &mut Value, failed: Option<&Value>) {
    let (mut counted, mut all) =
        failed.map_or((0, 0), |pod| (failures_before(pod), all_failures_before(pod)));
    if let Some(pod) = failed {
        counted += u32::from(failure_policy::judge(job, pod).counts());
        all += 1;
    }
    new["metadata"]["annotations"][FAILURES] = json!(counted.to_string());
    if all > counted {
        new["metadata"]["annotations"][IGNORED] = json!((all - counted).to_string());
    }
}

/// Returns the active pods that the Job has too many of: those without a valid index, all but one of an index, and
/// then as many others as `surplus` requires. Pods that have come less far go first.
pub(super) fn removable(job: &Value, active: &[Arc<Value>], surplus: usize) -> Vec<Arc<Value>> {
    let mut sorted = active.to_vec();
    sorted.sort_by_key(|pod| {
        let is_running = text(pod, "/status/phase") == "Running";
        let is_scheduled = !text(pod, "/spec/nodeName").is_empty();
        let created = text(pod, "/metadata/creationTimestamp").to_owned();
        (is_scheduled, is_running, condition::is_true(pod, "Ready"), Reverse(created))
    });
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    let mut indexes = BTreeSet::new();
    // The one of an index that has come farthest stays.
    for pod in sorted.into_iter().rev() {
        let is_superfluous = is_indexed(job) && index(job, &pod).is_none_or(|index| !indexes.insert(index));
        if is_superfluous { removed.push(pod) } else { kept.push(pod) }
    }
    let more = surplus.saturating_sub(removed.len());
    removed.extend(kept.into_iter().rev().take(more));
    removed
}

/// Releases the pods of Jobs that no longer exist.
pub(super) fn release_orphans(cx: &mut ReconcileContext<'_>) {
    for pod in cx.list_where("pods", is_tracked) {
        let owners = list(&pod, "/metadata/ownerReferences").iter();
        let mut jobs = owners.filter(|owner| owner["kind"] == "Job" && owner["controller"] == json!(true));
        let is_owned = jobs.any(|owner| {
            let job = cx.store.get(super::JOBS, text(&pod, "/metadata/namespace"), text(owner, "/name"));
            job.is_some_and(|job| uid(job) == text(owner, "/uid") && !is_ending(job))
        });
        if !is_owned {
            release(cx, &pod);
        }
    }
}
