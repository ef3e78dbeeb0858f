//! A set of Kubernetes objects: looked at, applied and taken away together.

mod apply;
mod immutable;
mod leftover;
mod look;
mod ownership;
mod progress;
mod removal;
pub(crate) mod strangers;

pub(crate) use apply::{apply, existing, recover, references};
pub(crate) use leftover::{Earlier, Wanted};
pub(crate) use look::{deployments, fingerprint, look, refused, verdict};
pub(crate) use removal::undo;

use landfall_cloud::kubernetes::{DynamicObject, Kind, manifest::Manifest};
use serde::{Deserialize, Serialize};

/// Who we are to the API server: the owner of the fields we apply.
pub const FIELD_MANAGER: &str = "landfall";

/// An object that is there, by the names that find it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `apps/v1`, `v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Absent for what is cluster-wide.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Tells it apart from a later one of the same name.
    pub uid: String,
}

/// What a set made, and in which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The UID of the cluster's `kube-system`: nothing is taken away from another cluster.
    pub cluster_uid: String,
    /// The objects.
    pub objects: Vec<ObjectRef>,
    /// UIDs of those among them that were there before us: they are not ours to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// In the ticket of an attempt: the objects that a request sent now may create, so far without UIDs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creating: Option<Vec<ObjectRef>>,
    /// A fingerprint of the manifests, without the values of Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl Applied {
    /// Returns a record of these objects, all of them owned.
    fn of(cluster_uid: &str, objects: Vec<ObjectRef>) -> Self {
        let cluster_uid = cluster_uid.to_owned();
        Self { cluster_uid, objects, found: Vec::new(), creating: None, fingerprint: None }
    }

    /// The objects that were not there before.
    pub(crate) fn made(&self) -> impl DoubleEndedIterator<Item = &ObjectRef> {
        self.objects.iter().filter(|object| !self.found.contains(&object.uid))
    }
}

/// References an object that bears its types, as every listed one does.
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

/// The order of application: what others are in, what others need, workloads, and the Services that select them. A
/// Service that is updated before the API server has accepted its Deployment selects no Pod.
fn rank_of(kind: &str) -> u8 {
    match kind {
        "Namespace" | "CustomResourceDefinition" => 0,
        "ServiceAccount" | "ConfigMap" | "Secret" | "SecretProviderClass" => 1,
        "Service" => 3,
        _ => 2,
    }
}
/// The highest rank.
const LAST_RANK: u8 = 3;

fn kind_word(manifest: &Manifest) -> &str {
    manifest.object.types.as_ref().map_or("", |types| types.kind.as_str())
}

/// Names a manifest the way its author finds it again.
fn place(manifest: &Manifest) -> String {
    let object = &manifest.object;
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    format!("{kind} {name} ({}, document {})", manifest.file, manifest.document)
}
