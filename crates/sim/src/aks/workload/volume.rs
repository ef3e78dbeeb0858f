//! Claims and volumes: binding, provisioning and protection.
//!
//! <https://kubernetes.io/docs/concepts/storage/persistent-volumes/>

use std::sync::Arc;

use serde_json::{Value, json};

use super::{MANAGER, pod};
use crate::aks::object::{is_ending, list, name, namespace, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";
const CLASSES: &str = "storageclasses.storage.k8s.io";
/// The watched resources.
pub(super) const WATCHED: &[&str] = &[CLAIMS, VOLUMES, CLASSES, "pods"];
const PROTECTION: &str = "kubernetes.io/pvc-protection";
const SOURCE: &str = "persistentvolume-controller";
/// The field manager of provisioned volumes.
const PROVISIONER: &str = "csi-provisioner";
/// The provisioner of classes whose volumes a person creates.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// Reconciles all claims and volumes.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for claim in cx.all(CLAIMS) {
        if is_ending(&claim) {
            release_claim(cx, Arc::unwrap_or_clone(claim));
        } else if text(&claim, "/status/phase") == "Bound" {
            expand(cx, &claim);
        } else {
            bind(cx, &claim);
        }
    }
    for volume in cx.all(VOLUMES) {
        reconcile_volume(cx, &volume);
    }
}

/// Returns the names of the claims that a pod mounts.
fn claims_of(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = list(pod, "/spec/volumes").iter();
    volumes.map(|volume| text(volume, "/persistentVolumeClaim/claimName")).filter(|name| !name.is_empty())
}

fn is_used(cx: &ReconcileContext<'_>, claim: &Value) -> bool {
    let pods = cx.store.list("pods", Some(namespace(claim)));
    pods.into_iter().any(|pod| !pod::is_over(pod) && claims_of(pod).any(|used| used == name(claim)))
}

/// Returns the reason why a pod cannot be scheduled: a claim that is missing or not bound.
pub(super) fn waits_for_claim(cx: &ReconcileContext<'_>, pod: &Value) -> Option<String> {
    claims_of(pod).find_map(|claim_name| match cx.store.get(CLAIMS, namespace(pod), claim_name) {
        None => Some(format!("persistentvolumeclaim {claim_name:?} not found")),
        Some(claim) if text(claim, "/status/phase") != "Bound" => {
            Some("pod has unbound immediate PersistentVolumeClaims".to_owned())
        }
        Some(_) => None,
    })
}

/// Lets a claim that is being deleted go once no pod uses it.
fn release_claim(cx: &mut ReconcileContext<'_>, mut claim: Value) {
    if is_used(cx, &claim) {
        return;
    }
    if let Some(finalizers) = claim["metadata"]["finalizers"].as_array_mut() {
        let before = finalizers.len();
        finalizers.retain(|name| name != PROTECTION);
        if finalizers.len() < before {
            cx.put(CLAIMS, claim, MANAGER);
        }
    }
}

fn bind(cx: &mut ReconcileContext<'_>, claim: &Value) {
    if let Some(volume) = existing_volume(cx, claim) {
        return complete(cx, claim, volume, MANAGER);
    }
    if !text(claim, "/spec/volumeName").is_empty() {
        return;
    }
    let class_name = text(claim, "/spec/storageClassName");
    if class_name.is_empty() {
        let message = "no persistent volumes available for this claim and no storage class is set";
        return event_once(cx, claim, &EventSpec::normal(SOURCE, "FailedBinding", message));
    }
    let Some(class) = cx.get(CLASSES, "", class_name) else {
        let message = format!("storageclass.storage.k8s.io {class_name:?} not found");
        return event_once(cx, claim, &EventSpec::warning(SOURCE, "ProvisioningFailed", message));
    };
    if text(&class, "/volumeBindingMode") == "WaitForFirstConsumer" && !is_used(cx, claim) {
        let message = "waiting for first consumer to be created before binding";
        return event_once(cx, claim, &EventSpec::normal(SOURCE, "WaitForFirstConsumer", message));
    }
    if text(&class, "/provisioner") != NO_PROVISIONER {
        let volume = provisioned(claim, &class);
        let message = format!("Successfully provisioned volume {}", name(&volume));
        complete(cx, claim, volume, PROVISIONER);
        cx.event(claim, &EventSpec::normal(text(&class, "/provisioner"), "ProvisioningSucceeded", message));
    }
}

/// Returns an unclaimed volume of the claim's class and access modes, or the one that the claim names.
fn existing_volume(cx: &ReconcileContext<'_>, claim: &Value) -> Option<Value> {
    let named = text(claim, "/spec/volumeName");
    let class = text(claim, "/spec/storageClassName");
    let volumes = cx.store.list(VOLUMES, None).into_iter();
    let fits = |volume: &&Value| {
        let of = &volume["spec"]["claimRef"];
        let is_free = of.is_null()
            || (text(of, "/name") == name(claim)
                && text(of, "/namespace") == namespace(claim)
                && (text(of, "/uid").is_empty() || text(of, "/uid") == uid(claim)));
        let modes = list(volume, "/spec/accessModes");
        is_free
            && (named.is_empty() || named == name(volume))
            && text(volume, "/spec/storageClassName") == class
            && list(claim, "/spec/accessModes").iter().all(|mode| modes.contains(mode))
    };
    volumes.filter(|volume| !is_ending(volume)).find(fits).cloned()
}

fn provisioned(claim: &Value, class: &Value) -> Value {
    let volume_name = format!("pvc-{}", uid(claim));
    let provisioner = text(class, "/provisioner");
    let mut annotations = json!({});
    annotations["pv.kubernetes.io/provisioned-by"] = json!(provisioner);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "annotations": annotations},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "storageClassName": name(class),
            "volumeMode": claim["spec"]["volumeMode"],
            "csi": {"driver": provisioner, "volumeHandle": volume_name},
        },
    })
}

/// Binds a claim and a volume to each other.
fn complete(cx: &mut ReconcileContext<'_>, claim: &Value, mut volume: Value, manager: &str) {
    volume["spec"]["claimRef"] = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace(claim), "name": name(claim),
        "uid": uid(claim),
    });
    volume["status"] = json!({"phase": "Bound"});
    let status = json!({
        "phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    });
    let mut bound = claim.clone();
    bound["spec"]["volumeName"] = json!(name(&volume));
    bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
    bound["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] = json!("yes");
    cx.put(VOLUMES, volume, manager);
    cx.put(CLAIMS, bound, MANAGER);
    cx.status(CLAIMS, claim, status, MANAGER);
}

/// Grants a bound claim the size that it requests by now.
fn expand(cx: &mut ReconcileContext<'_>, claim: &Value) {
    let requested = claim["spec"]["resources"]["requests"]["storage"].clone();
    if requested.is_null() || claim["status"]["capacity"]["storage"] == requested {
        return;
    }
    let Some(mut volume) = cx.copy(VOLUMES, "", text(claim, "/spec/volumeName")) else { return };
    let class = cx.get(CLASSES, "", text(claim, "/spec/storageClassName"));
    if class.is_some_and(|class| class["allowVolumeExpansion"] == json!(true)) {
        volume["spec"]["capacity"]["storage"] = requested.clone();
        cx.put(VOLUMES, volume, PROVISIONER);
        let mut status = claim["status"].clone();
        status["capacity"]["storage"] = requested;
        cx.status(CLAIMS, claim, status, MANAGER);
    }
}

/// Deletes or releases a volume whose claim is gone.
fn reconcile_volume(cx: &mut ReconcileContext<'_>, volume: &Value) {
    let phase = text(volume, "/status/phase");
    let of = &volume["spec"]["claimRef"];
    let is_bound = !text(of, "/uid").is_empty();
    let claim = cx.store.get(CLAIMS, text(of, "/namespace"), text(of, "/name"));
    let is_orphan = is_bound && claim.is_none_or(|claim| uid(claim) != text(of, "/uid"));
    let next = match (is_orphan, is_bound) {
        (true, _) if text(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" => {
            return cx.remove(VOLUMES, volume);
        }
        (true, _) => "Released",
        (false, true) => "Bound",
        (false, false) => "Available",
    };
    if phase != next {
        cx.status(VOLUMES, volume, json!({"phase": next}), MANAGER);
    }
}

/// Writes an event unless the object has one of this reason.
fn event_once(cx: &mut ReconcileContext<'_>, about: &Value, event: &EventSpec<'_>) {
    let known = cx.store.list("events", Some(namespace(about))).into_iter().any(|known| {
        text(known, "/involvedObject/uid") == uid(about) && text(known, "/reason") == event.reason
    });
    if !known {
        cx.event(about, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::ClusterFixture;

    fn claim(class: Option<&str>) -> Value {
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        if let Some(class) = class {
            claim["spec"]["storageClassName"] = json!(class);
        }
        claim
    }

    fn pod() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
        })
    }

    fn phase(fixture: &ClusterFixture, resource: &str, name: &str) -> String {
        let object = fixture.get(resource, "default", name).expect("it is there");
        text(object, "/status/phase").to_owned()
    }

    #[test]
    fn a_claim_waits_for_its_pod_and_the_pod_for_its_claim() {
        let mut fixture = ClusterFixture::running();
        fixture.request("pods", pod());
        fixture.advance(30.0);
        assert_eq!(phase(&fixture, "pods", "user"), "Pending");
        fixture.request(CLAIMS, claim(None));
        fixture.advance(30.0);
        assert_eq!(phase(&fixture, CLAIMS, "data"), "Bound");
        assert_eq!(phase(&fixture, "pods", "user"), "Running");
        let volume = fixture.store.list(VOLUMES, None)[0].clone();
        assert_eq!(text(&volume, "/spec/csi/driver"), "disk.csi.azure.com");
        assert_eq!(text(&volume, "/status/phase"), "Bound");
    }

    #[test]
    fn a_class_without_waiting_binds_at_once_and_an_unknown_class_never() {
        let mut fixture = ClusterFixture::running();
        fixture.request(CLAIMS, claim(Some("azurefile-csi")));
        fixture.advance(1.0);
        assert_eq!(phase(&fixture, CLAIMS, "data"), "Bound");
        let mut other = claim(Some("nope"));
        other["metadata"]["name"] = json!("other");
        fixture.request(CLAIMS, other);
        fixture.advance(1.0);
        assert_eq!(phase(&fixture, CLAIMS, "other"), "Pending");
        let events = fixture.store.list("events", Some("default"));
        assert!(events.iter().any(|event| text(event, "/message").contains("\"nope\" not found")));
    }
}
