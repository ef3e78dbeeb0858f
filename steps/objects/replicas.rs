//! Replicas that an autoscaler owns: neither compared nor set once the object exists.

use super::{FIELD_MANAGER, namespace};
use landfall_cloud::kubernetes::{DynamicObject, Kind, ManagedFieldsEntry, manifest::Manifest};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeSet};

/// The controller that writes replicas for a HorizontalPodAutoscaler.
const CONTROLLER: &str = "kube-controller-manager";

/// The targets of the autoscalers of a set: kind, namespace, name.
pub(super) struct Autoscaled(BTreeSet<(String, String, String)>);

impl Autoscaled {
    /// Reads the targets from the manifests.
    pub(super) fn of(manifests: &[Manifest]) -> Self {
        let scalers = manifests.iter().filter(|manifest| {
            manifest.object.types.as_ref().is_some_and(|types| types.kind == "HorizontalPodAutoscaler")
        });
        Self(scalers.filter_map(target_of).collect())
    }

    /// Returns the manifest to compare with an existing object and to send. Without an autoscaler it is the
    /// manifest itself.
    ///
    /// If landfall alone owns the replicas, their number stays in the manifest as it is now. The server would
    /// set an omitted number to the default, 1.
    /// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership>
    pub(super) fn desired<'m>(
        &self,
        kind: &Kind,
        manifest: &'m Manifest,
        live: &DynamicObject,
    ) -> Cow<'m, Manifest> {
        let key = (
            kind.kind.to_string(),
            namespace(kind, &manifest.object).unwrap_or_default().to_owned(),
            manifest.object.metadata.name.clone().unwrap_or_default(),
        );
        let sets_replicas = manifest.object.data.pointer("/spec/replicas").is_some();
        if !sets_replicas || !(self.0.contains(&key) || owners(live).any(is_autoscaler)) {
            return Cow::Borrowed(manifest);
        }
        let mut manifest = manifest.clone();
        let is = live.data.pointer("/spec/replicas").filter(|replicas| !replicas.is_null());
        let others = owners(live).any(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER));
        if let Some(spec) = manifest.object.data.get_mut("spec").and_then(Value::as_object_mut) {
            match is.filter(|_| !others) {
                Some(replicas) => drop(spec.insert("replicas".to_owned(), replicas.clone())),
                None => drop(spec.remove("replicas")),
            }
        }
        Cow::Owned(manifest)
    }
}

fn target_of(scaler: &Manifest) -> Option<(String, String, String)> {
    let target = scaler.object.data.pointer("/spec/scaleTargetRef")?;
    let space = scaler.object.metadata.namespace.as_deref().unwrap_or("default");
    Some((target["kind"].as_str()?.to_owned(), space.to_owned(), target["name"].as_str()?.to_owned()))
}

/// Returns the entries of the managers that own the replicas.
fn owners(live: &DynamicObject) -> impl Iterator<Item = &ManagedFieldsEntry> {
    live.metadata.managed_fields.iter().flatten().filter(|entry| {
        entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:replicas").is_some())
    })
}

/// Returns whether an autoscaler wrote the replicas. `kubectl scale` is a manual edit, which `up` corrects.
fn is_autoscaler(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref().unwrap_or_default();
    entry.operation.as_deref() == Some("Update")
        && (manager == CONTROLLER
            || (entry.subresource.as_deref() == Some("scale") && !manager.starts_with("kubectl")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_cloud::kubernetes::manifest;
    use serde_json::json;

    const WORKLOAD: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\n\
                            spec: {replicas: 2, paused: true}\n";
    const SCALER: &str = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: s}\n\
                          spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}}\n";

    fn live(owners: &[(&str, &str, Option<&str>)]) -> DynamicObject {
        let entries: Vec<Value> = owners
            .iter()
            .map(|(manager, operation, subresource)| {
                json!({"manager": manager, "operation": operation, "subresource": subresource,
                       "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
            })
            .collect();
        serde_json::from_value(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "managedFields": entries}, "spec": {"replicas": 3}}))
        .unwrap()
    }

    fn desired(text: &str, live: &DynamicObject) -> Value {
        let manifests = manifest::parse("a.yaml", text).unwrap();
        let autoscaled = Autoscaled::of(&manifests);
        autoscaled.desired(&Kind::DEPLOYMENT, &manifests[0], live).object.data["spec"].clone()
    }

    #[test]
    fn replicas_of_an_autoscaler_in_the_same_folder_are_not_set() {
        let text = format!("{WORKLOAD}{SCALER}");
        let scaled =
            live(&[("landfall", "Apply", None), ("kube-controller-manager", "Update", Some("scale"))]);
        assert_eq!(desired(&text, &scaled), json!({"paused": true}));
        let alone = live(&[("landfall", "Apply", None)]);
        assert_eq!(desired(&text, &alone), json!({"replicas": 3, "paused": true}), "the number stays");
        let elsewhere = text.replace("name: s}", "name: s, namespace: other}");
        assert_eq!(desired(&elsewhere, &alone)["replicas"], 2);
    }

    #[test]
    fn replicas_that_another_autoscaler_owns_are_not_set() {
        let text = WORKLOAD;
        for owner in [("kube-controller-manager", "Update", Some("scale")), ("keda", "Update", Some("scale"))]
        {
            assert_eq!(desired(text, &live(&[owner])), json!({"paused": true}), "{owner:?}");
        }
    }

    #[test]
    fn replicas_that_a_person_or_another_tool_set_are_compared() {
        for owner in [
            ("kubectl", "Update", Some("scale")),
            ("kubectl-edit", "Update", None),
            ("argocd-controller", "Apply", None),
            ("landfall", "Apply", None),
        ] {
            assert_eq!(desired(WORKLOAD, &live(&[owner]))["replicas"], 2, "{owner:?}");
        }
    }
}
