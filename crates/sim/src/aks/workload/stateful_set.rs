//! The StatefulSet controller: numbered pods with claims of their own, in order.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, pod};
use crate::aks::condition;
use crate::aks::object::{
    controlled_by, generation, is_ending, label, list, name, namespace, number, suffix, text,
};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const SETS: &str = "statefulsets.apps";
const CLAIMS: &str = "persistentvolumeclaims";
const REVISIONS: &str = "controllerrevisions.apps";
const SOURCE: &str = "statefulset-controller";
/// The label of the template's revision.
const REVISION: &str = "controller-revision-hash";

/// Reconciles all StatefulSets.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for set in cx.all(SETS) {
        if !is_ending(&set) {
            reconcile(cx, &set);
        }
    }
}

fn reconcile(cx: &mut ReconcileContext<'_>, set: &Value) {
    let revision = format!("{}-{}", name(set), suffix(&set["spec"]["template"].to_string(), 10));
    record_revision(cx, set, &revision);
    let first = number(set, "/spec/ordinals/start").unwrap_or(0);
    let end = first + number(set, "/spec/replicas").unwrap_or(1);
    let ordered = text(set, "/spec/podManagementPolicy") != "Parallel";
    let mut pods = cx.owned("pods", set);
    pods.retain(|pod| !pod::is_over(pod));
    // The highest number goes first.
    pods.sort_by_key(|pod| std::cmp::Reverse(ordinal(pod)));
    let surplus = pods.iter().filter(|pod| !(first..end).contains(&ordinal(pod)));
    for pod in surplus.take(if ordered { 1 } else { usize::MAX }) {
        remove(cx, set, pod);
    }
    let mut all_ready = true;
    for number in first..end {
        match pods.iter().find(|pod| ordinal(pod) == number) {
            Some(pod) if !is_ending(pod) && condition::is_true(pod, "Ready") => continue,
            Some(_) => {}
            None => create(cx, set, number, &revision),
        }
        all_ready = false;
        if ordered {
            break;
        }
    }
    if all_ready && text(set, "/spec/updateStrategy/type") == "RollingUpdate" {
        let kept = first + number(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
        let outdated = |pod: &&Arc<Value>| label(pod, REVISION) != revision && ordinal(pod) >= kept;
        if let Some(pod) = pods.iter().find(outdated) {
            remove(cx, set, pod);
        }
    }
    update_status(cx, set, &revision);
}

fn ordinal(pod: &Value) -> i64 {
    name(pod).rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(-1)
}

fn create(cx: &mut ReconcileContext<'_>, set: &Value, number: i64, revision: &str) {
    let pod_name = format!("{}-{number}", name(set));
    let mut new = pod::from_template(cx, set);
    new["metadata"]["name"] = json!(pod_name);
    for (key, value) in [
        (REVISION, revision),
        ("statefulset.kubernetes.io/pod-name", &pod_name),
        ("apps.kubernetes.io/pod-index", &number.to_string()),
    ] {
        new["metadata"]["labels"][key] = json!(value);
    }
    new["spec"]["hostname"] = json!(pod_name);
    if !text(set, "/spec/serviceName").is_empty() {
        new["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    }
    for template in list(set, "/spec/volumeClaimTemplates") {
        let claim_name = format!("{}-{pod_name}", name(template));
        create_claim(cx, set, template, &claim_name, &pod_name);
        let volume = json!({"name": name(template), "persistentVolumeClaim": {"claimName": claim_name}});
        let mut volumes = list(&new, "/spec/volumes").to_vec();
        volumes.retain(|other| other["name"] != volume["name"]);
        volumes.push(volume);
        new["spec"]["volumes"] = json!(volumes);
    }
    cx.put("pods", new, MANAGER);
    let message = format!("create Pod {pod_name} in StatefulSet {} successful", name(set));
    cx.event(set, &EventSpec::normal(SOURCE, "SuccessfulCreate", message));
}

/// Creates the claim of a pod. A later pod of the same number finds it.
fn create_claim(cx: &mut ReconcileContext<'_>, set: &Value, template: &Value, claim: &str, pod: &str) {
    if cx.store.get(CLAIMS, namespace(set), claim).is_some() {
        return;
    }
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!(claim);
    metadata["namespace"] = json!(namespace(set));
    for (key, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
        metadata["labels"][key] = value.clone();
    }
    if text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") == "Delete" {
        metadata["ownerReferences"] = json!([controlled_by(set)]);
    }
    let object = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
    });
    cx.put(CLAIMS, object, MANAGER);
    let message = format!("create Claim {claim} Pod {pod} in StatefulSet {} success", name(set));
    cx.event(set, &EventSpec::normal(SOURCE, "SuccessfulCreate", message));
}

fn remove(cx: &mut ReconcileContext<'_>, set: &Value, pod: &Value) {
    cx.remove("pods", pod);
    let message = format!("delete Pod {} in StatefulSet {} successful", name(pod), name(set));
    cx.event(set, &EventSpec::normal(SOURCE, "SuccessfulDelete", message));
}

fn record_revision(cx: &mut ReconcileContext<'_>, set: &Value, revision: &str) {
    if cx.store.get(REVISIONS, namespace(set), revision).is_some() {
        return;
    }
    let number = cx.owned(REVISIONS, set).len() + 1;
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {
            "name": revision, "namespace": namespace(set), "ownerReferences": [controlled_by(set)],
            "labels": set["spec"]["selector"]["matchLabels"],
        },
        "data": {"spec": {"template": set["spec"]["template"]}},
        "revision": number,
    });
    cx.put(REVISIONS, object, MANAGER);
}

fn update_status(cx: &mut ReconcileContext<'_>, set: &Value, revision: &str) {
    let mut pods = cx.owned("pods", set);
    pods.retain(|pod| !is_ending(pod) && !pod::is_over(pod));
    let of = |wanted: &str| pods.iter().filter(|pod| label(pod, REVISION) == wanted).count();
    let ready = pods.iter().filter(|pod| condition::is_true(pod, "Ready")).count();
    let updated = of(revision);
    let before = text(set, "/status/currentRevision");
    // A completed update becomes the current revision.
    let current = if before.is_empty() || updated == pods.len() { revision } else { before };
    let mut status = json!({
        "observedGeneration": generation(set),
        "replicas": pods.len(),
        "availableReplicas": ready,
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    });
    for (field, count) in
        [("readyReplicas", ready), ("currentReplicas", of(current)), ("updatedReplicas", updated)]
    {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    cx.status(SETS, set, status, MANAGER);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::ClusterFixture;

    fn database(image: &str, replicas: u32) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"},
            "spec": {
                "serviceName": "db", "replicas": replicas,
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "db", "image": image, "volumeMounts":
                        [{"name": "data", "mountPath": "/data"}]}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
            },
        })
    }

    fn status(fixture: &ClusterFixture, field: &str) -> i64 {
        number(fixture.get(SETS, "default", "db").expect("it is there"), &format!("/status/{field}"))
            .unwrap_or(0)
    }

    #[test]
    fn pods_start_in_order_with_a_bound_claim_each() {
        let mut fixture = ClusterFixture::running();
        fixture.request(SETS, database("postgres:16", 2));
        fixture.advance(1.0);
        assert!(fixture.get("pods", "default", "db-0").is_some());
        assert!(fixture.get("pods", "default", "db-1").is_none(), "the first one is not ready yet");
        fixture.advance(60.0);
        assert_eq!((status(&fixture, "readyReplicas"), status(&fixture, "updatedReplicas")), (2, 2));
        for claim in ["data-db-0", "data-db-1"] {
            let claim = fixture.get(CLAIMS, "default", claim).expect("it is there");
            assert_eq!(text(claim, "/status/phase"), "Bound");
            assert_eq!(text(claim, "/spec/storageClassName"), "default");
            assert!(fixture.get("persistentvolumes", "", text(claim, "/spec/volumeName")).is_some());
        }
    }

    #[test]
    fn an_update_replaces_one_pod_after_the_other_and_keeps_the_claims() {
        let mut fixture = ClusterFixture::running();
        fixture.request(SETS, database("postgres:16", 2));
        fixture.advance(60.0);
        let claim =
            fixture.get(CLAIMS, "default", "data-db-0").expect("it is there")["metadata"]["uid"].clone();
        fixture.request(SETS, database("postgres:17", 1));
        fixture.advance(60.0);
        let pod = fixture.get("pods", "default", "db-0").expect("it is there");
        assert_eq!(text(pod, "/spec/containers/0/image"), "postgres:17");
        assert!(fixture.get("pods", "default", "db-1").is_none());
        assert_eq!(fixture.get(CLAIMS, "default", "data-db-0").expect("it stays")["metadata"]["uid"], claim);
        let set = fixture.get(SETS, "default", "db").expect("it is there");
        assert_eq!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
        fixture.delete(SETS, "default", "db");
        fixture.advance(10.0);
        assert!(fixture.get("pods", "default", "db-0").is_none());
        assert!(fixture.get(CLAIMS, "default", "data-db-0").is_some(), "the data is retained");
    }
}
