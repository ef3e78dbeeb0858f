//! A set of Kubernetes objects that is checked, applied and deleted together.

mod apply;
mod apply_record;
mod delete;
mod diff;
pub(crate) mod foreign;
mod immutable;
mod listener_references;
mod prerequisites;
mod prune;
mod recorded_ownership;
mod replicas;
mod volume_claims;
mod workloads;

pub(crate) use apply::{apply, existing, recover, references};
pub(crate) use delete::undo;
pub(crate) use diff::{diff, fingerprint, refused, verdict};
pub(crate) use prerequisites::await_namespaces;
pub(crate) use prune::{DesiredObjects, PreviousApply};
pub(crate) use volume_claims::with_claims;
pub(crate) use workloads::{await_workloads, is_ready, workloads};

use crate::resource_spec::{Listed, ResourceSpec};
use landfall_cloud::kubernetes::{DynamicObject, Kind, manifest::Manifest};
use landfall_engine::StepState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The field manager of all applied fields.
pub const FIELD_MANAGER: &str = "landfall";

/// An existing object, with the names that identify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `apps/v1`, `v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `None` for a cluster-scoped object.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The UID, which distinguishes it from a later object of the same name.
    pub uid: String,
}

impl ObjectRef {
    /// Returns the API group; empty for the core group.
    fn group(&self) -> &str {
        self.api_version.rsplit_once('/').map_or("", |(group, _)| group)
    }
}

/// The objects of a set, and their cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The UID of the cluster's `kube-system`: nothing in another cluster is ever deleted.
    pub cluster_uid: String,
    /// The objects.
    pub objects: Vec<ObjectRef>,
    /// The UIDs of the objects that existed before: these are not owned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// The volume claims of owned StatefulSets, which Kubernetes created and does not delete with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ObjectRef>,
    /// In the ticket of an attempt: the objects that the current request may create, still without UIDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creating: Option<Vec<ObjectRef>>,
    /// A fingerprint of the manifests, without the values of Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The fingerprints of the Jobs that the cluster deletes when they have finished, by namespace and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, String>,
}

/// Declares the objects of a step, which are in the cluster of this name.
pub(crate) fn spec(cluster: &str) -> ResourceSpec {
    let cluster = cluster.to_owned();
    ResourceSpec::new("objects", "")
        .listed(move |past| {
            let mut kinds = BTreeMap::new();
            for object in Applied::of_past(past)?.created() {
                *kinds.entry(object.kind.clone()).or_default() += 1;
            }
            Some(Listed::Objects { cluster: cluster.clone(), kinds })
        })
        .with_found_parts(|past| Applied::of_past(past).is_some_and(|applied| !applied.found.is_empty()))
        .applying_objects()
}

impl Applied {
    /// Reads the objects from an output or a ticket of a step that applies objects. An output may contain more
    /// than the objects.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let objects = if value["applied"].is_object() { &value["applied"] } else { value };
        serde_json::from_value(objects.clone()).ok()
    }

    /// Returns the recorded objects of a step; after an adoption, all of them are owned.
    fn of_past(past: &StepState) -> Option<Self> {
        let applied = Self::read(past.output.as_ref()?)?;
        Some(if past.adopted { Self { found: Vec::new(), ..applied } } else { applied })
    }

    /// Returns a record of these objects, all of them owned.
    fn of(cluster_uid: &str, objects: Vec<ObjectRef>) -> Self {
        let cluster_uid = cluster_uid.to_owned();
        Self {
            cluster_uid,
            objects,
            found: Vec::new(),
            claims: Vec::new(),
            creating: None,
            fingerprint: None,
            jobs: BTreeMap::new(),
        }
    }

    /// Returns the objects that did not exist before.
    pub(crate) fn created(&self) -> impl DoubleEndedIterator<Item = &ObjectRef> {
        self.objects.iter().filter(|object| !self.found.contains(&object.uid))
    }
}

/// Returns the reference of an object that contains its types, as every listed one does.
fn reference_of(object: &DynamicObject) -> ObjectRef {
    let types = object.types.clone().unwrap_or_default();
    ObjectRef {
        api_version: types.api_version,
        kind: types.kind,
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

fn reference(kind: &Kind, object: &DynamicObject) -> ObjectRef {
    ObjectRef {
        api_version: kind.api_version(),
        kind: kind.kind.to_string(),
        namespace: object.metadata.namespace.clone(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

pub(crate) fn namespace<'a>(kind: &Kind, object: &'a DynamicObject) -> Option<&'a str> {
    kind.namespaced.then(|| object.metadata.namespace.as_deref().unwrap_or("default"))
}

fn uid_of(object: &DynamicObject) -> &str {
    object.metadata.uid.as_deref().unwrap_or_default()
}

fn is_managed(object: &DynamicObject) -> bool {
    let managers = object.metadata.managed_fields.iter().flatten();
    managers.map(|entry| entry.manager.as_deref()).any(|manager| manager == Some(FIELD_MANAGER))
}

/// Returns the position in the order of application: namespaces, definitions of custom resources,
/// prerequisites, workloads and custom resources, and the Services that select workloads. A Service that is
/// updated before the API server has accepted its Deployment selects no Pod.
fn rank_of(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        prerequisites::DEFINITION => DEFINITION_RANK,
        "ClusterRole"
        | "ClusterRoleBinding"
        | "ConfigMap"
        | "LimitRange"
        | "NetworkPolicy"
        | "PersistentVolume"
        | "PersistentVolumeClaim"
        | "PriorityClass"
        | "ResourceQuota"
        | "Role"
        | "RoleBinding"
        | "RuntimeClass"
        | "Secret"
        | "SecretProviderClass"
        | "ServiceAccount"
        | "StorageClass" => 2,
        "Service" => LAST_RANK,
        _ => 3,
    }
}
/// The rank of the definitions of custom resources.
const DEFINITION_RANK: u8 = 1;
/// The highest rank.
const LAST_RANK: u8 = 4;

fn kind_name(manifest: &Manifest) -> &str {
    manifest.object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// Returns the position of a manifest, for its author.
fn place(manifest: &Manifest) -> String {
    let object = &manifest.object;
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    format!("{kind} {name} ({}, document {})", manifest.file, manifest.document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_come_before_definitions_and_those_before_the_rest() {
        let order = ["Namespace", "CustomResourceDefinition", "ConfigMap", "Widget", "Service"];
        let ranks: Vec<u8> = order.into_iter().map(rank_of).collect();
        assert_eq!(ranks, (0..=LAST_RANK).collect::<Vec<_>>());
    }
}
