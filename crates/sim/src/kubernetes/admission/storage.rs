//! Defaults and validation of claims, volumes and classes.

use serde_json::{Value, json};

use super::defaults::fill;
use super::unchanged;
use crate::kubernetes::schema::quantity::amount;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::store::{Store, metadata_mut, names};
use crate::kubernetes::write::Draft;

/// The finalizer of a claim: it stays while a pod uses it.
pub const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// The annotation of the default storage class.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Protects a new claim, and fills in the default storage class.
pub fn claim_defaults(store: &Store, draft: &Draft, object: &mut Value) {
    if draft.live.is_some() {
        return;
    }
    let finalizers = metadata_mut(object).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = finalizers.as_array_mut().filter(|list| !list.contains(&json!(CLAIM_PROTECTION))) {
        list.push(json!(CLAIM_PROTECTION));
    }
    let classes = store.list("storageclasses.storage.k8s.io", None).into_iter();
    let mut default =
        classes.filter(|class| class["metadata"]["annotations"][DEFAULT_CLASS] == "true").map(names);
    if let (Some((_, name)), true) = (default.next_back(), object["spec"].is_object()) {
        fill(&mut object["spec"], "storageClassName", json!(name));
    }
}

/// Returns the validation errors of a claim.
pub fn claim_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if spec["accessModes"].as_array().is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let requested = &spec["resources"]["requests"]["storage"];
    match amount(requested) {
        None => errors.push(FieldError::required("spec.resources[storage]", "")),
        Some(bytes) if bytes <= 0.0 => {
            let why = "must be greater than zero";
            errors.push(FieldError::invalid("spec.resources[storage]", requested, why));
        }
        Some(_) => {}
    }
    let Some(live) = &draft.live else { return errors };
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.shift_remove("volumeAttributesClassName");
            spec.shift_remove("resources");
            // An unbound claim gets its volume, and a claim without a class the default one.
            for field in ["volumeName", "storageClassName"] {
                if live["spec"][field].as_str().is_none_or(str::is_empty) {
                    spec.shift_remove(field);
                }
            }
        }
        spec
    };
    if fixed(live) != fixed(object) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName \
                   for bound claims";
        errors.push(FieldError::forbidden("spec", why));
    }
    let capacity = &live["status"]["capacity"]["storage"];
    if let (Some(now), Some(wanted)) = (amount(capacity), amount(requested))
        && wanted < now
    {
        let why = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", why));
    }
    errors
}

/// Returns the errors of an update that changes an immutable field of a volume or of a class.
pub fn class_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let immutable =
        |pointer: &str, field: &str| unchanged(draft, object, pointer, field, "field is immutable");
    let forbidden = |pointer: &str, field: &str, why: &str| {
        immutable(pointer, field).map(|_| FieldError::forbidden(field, why))
    };
    match draft.definition.kind.as_str() {
        "StorageClass" => {
            let mut errors: Vec<FieldError> = ["parameters", "provisioner", "reclaimPolicy"]
                .into_iter()
                .filter_map(|field| {
                    let why = format!("updates to {field} are forbidden.");
                    forbidden(&format!("/{field}"), field, &why)
                })
                .collect();
            errors.extend(immutable("/volumeBindingMode", "volumeBindingMode"));
            errors
        }
        "PersistentVolume" => {
            let sources = ["azureDisk", "azureFile", "csi", "fc", "hostPath", "iscsi", "local", "nfs"];
            let why = "spec.persistentvolumesource is immutable after creation";
            let field = "spec.persistentvolumesource";
            let mut changed = sources.iter().filter_map(|one| forbidden(&format!("/spec/{one}"), field, why));
            let mut errors: Vec<FieldError> = changed.next().into_iter().collect();
            errors.extend(immutable("/spec/volumeMode", "spec.volumeMode"));
            errors
        }
        "PriorityClass" => {
            let why = "may not be changed in an update.";
            let value = forbidden("/value", "value", why);
            value.into_iter().chain(immutable("/preemptionPolicy", "preemptionPolicy")).collect()
        }
        "RuntimeClass" => immutable("/handler", "handler").into_iter().collect(),
        _ => immutable("/spec/controller", "spec.controller").into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::Cluster;

    #[test]
    fn a_claim_is_protected_and_only_its_size_changes() {
        let mut cluster = Cluster::new();
        let path = "/api/v1/namespaces/demo/persistentvolumeclaims/data";
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        assert_eq!(cluster.apply(path, "me", &claim).status, 201);
        let live = cluster.get(path).value();
        assert_eq!(live["metadata"]["finalizers"], json!([CLAIM_PROTECTION]));
        assert_eq!(
            (&live["spec"]["volumeMode"], &live["status"]["phase"]),
            (&json!("Filesystem"), &json!("Pending"))
        );
        let mut larger = claim.clone();
        larger["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
        assert_eq!(cluster.apply(path, "me", &larger).status, 200);
        larger["spec"]["accessModes"] = json!(["ReadWriteMany"]);
        let refused = cluster.apply(path, "me", &larger);
        assert_eq!(refused.status, 422);
        assert!(refused.value()["message"].as_str().unwrap().contains("spec is immutable after creation"));
    }

    #[test]
    fn the_parameters_of_a_storage_class_never_change() {
        let mut cluster = Cluster::new();
        let path = "/apis/storage.k8s.io/v1/storageclasses/fast";
        let class = |sku: &str| {
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
                "provisioner": "disk.csi.azure.com", "parameters": {"skuName": sku}})
        };
        assert_eq!(cluster.apply(path, "me", &class("Premium_LRS")).status, 201);
        assert_eq!(cluster.apply(path, "me", &class("Premium_LRS")).status, 200);
        let refused = cluster.apply(path, "me", &class("PremiumV2_LRS"));
        assert_eq!(refused.status, 422);
        let message = refused.value()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("parameters: Forbidden: updates to parameters are forbidden."), "{message}");
    }
}
