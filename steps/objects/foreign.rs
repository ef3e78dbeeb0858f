//! Foreign objects in a cluster, without those of the system; a person must consent before the cluster is
//! deleted.

use super::{Applied, is_managed, uid_of};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, DynamicObject, ManagedFieldsEntry},
};
use std::collections::BTreeSet;

/// The maximum number of names; further ones are only counted.
const NAMED_MAX: usize = 5;
/// The label of Secrets that the Secrets Store driver synced; they are deleted with the workload that mounts
/// them.
const SYNCED: &str = "secrets-store.csi.k8s.io/managed";
/// The field manager of the cluster's controllers.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// Foreign objects in a cluster that was examined in every kind that it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Their names, `Deployment shop/web`, in a stable order.
    pub(crate) names: Vec<String>,
    /// The system's aggregated APIs that do not answer. Their objects were not examined.
    pub(crate) unavailable: Vec<String>,
}

/// Examines a cluster for objects of users and other tools.
///
/// # Errors
/// Fails if a list failed: the examination is then incomplete.
pub(crate) async fn in_cluster(
    api: &Cluster,
    is_owned: impl Fn(&DynamicObject) -> bool,
) -> Result<Foreign, ApiError> {
    let is_foreign = |object: &&DynamicObject| {
        let labels = object.metadata.labels.as_ref();
        let synced = labels.is_some_and(|labels| labels.contains_key(SYNCED));
        !is_owned(object) && object.metadata.deletion_timestamp.is_none() && !synced
    };
    let contents = api.list_all_objects().await?;
    let mut names: Vec<String> = contents.objects.iter().filter(is_foreign).map(display_name).collect();
    names.sort();
    // A user's API counts by its registration, which is one of the objects.
    let unavailable = contents.unavailable.iter().map(ToString::to_string).collect();
    Ok(Foreign { names, unavailable })
}

/// The objects that the journal records as owned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnedObjects {
    uids: BTreeSet<String>,
    /// The StatefulSets among them: namespace and name.
    stateful_sets: BTreeSet<(String, String)>,
}

impl OwnedObjects {
    /// Adds the owned objects of a record; for `with_found`, those that existed before too.
    pub(crate) fn add(&mut self, applied: &Applied, with_found: bool) {
        let counts = |uid: &String| with_found || !applied.found.contains(uid);
        for object in applied.objects.iter().filter(|object| counts(&object.uid)) {
            self.uids.insert(object.uid.clone());
            if object.kind == "StatefulSet" && object.api_version.starts_with("apps/") {
                let space = object.namespace.clone().unwrap_or_else(|| "default".to_owned());
                self.stateful_sets.insert((space, object.name.clone()));
            }
        }
    }

    /// Returns whether an object is recorded, or is a claim that a recorded StatefulSet created.
    pub(crate) fn owns(&self, object: &DynamicObject) -> bool {
        self.uids.contains(uid_of(object)) || self.is_claim_of_set(object)
    }

    /// Returns the namespaces of the recorded StatefulSets.
    pub(super) fn spaces_of_sets(&self) -> BTreeSet<&str> {
        self.stateful_sets.iter().map(|(space, _)| space.as_str()).collect()
    }

    /// A StatefulSet's claims have no owner reference by default. Their names are `TEMPLATE-SET-NUMBER`.
    fn is_claim_of_set(&self, object: &DynamicObject) -> bool {
        let is_claim = object.types.as_ref().is_some_and(|types| types.kind == "PersistentVolumeClaim");
        let by_controller = |entry: &ManagedFieldsEntry| {
            let sets_size = |fields: &serde_json::Value| fields.pointer("/f:spec/f:resources").is_some();
            entry.manager.as_deref() == Some(CONTROLLER_MANAGER)
                && entry.fields_v1.as_ref().is_some_and(|fields| sets_size(&fields.0))
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let of_set = name.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok());
        let space = object.metadata.namespace.as_deref().unwrap_or("default");
        let is_of = |(set_space, set): &(String, String)| {
            set_space == space && of_set.is_some_and(|(rest, _)| rest.ends_with(&format!("-{set}")))
        };
        is_claim
            && object.metadata.managed_fields.iter().flatten().any(by_controller)
            && self.stateful_sets.iter().any(is_of)
    }
}

/// Returns whether an object has one of these UIDs.
pub(crate) fn is_among(uids: &BTreeSet<String>, object: &DynamicObject) -> bool {
    uids.contains(uid_of(object))
}

/// Returns whether landfall ever applied an object, owned or foreign.
pub(crate) fn is_marked(object: &DynamicObject) -> bool {
    is_managed(object)
}

fn display_name(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match object.metadata.namespace.as_deref() {
        Some(space) => format!("{kind} {space}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Lists the first names and counts the rest.
#[must_use]
pub fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::ObjectRef;
    use serde_json::json;

    fn claim(name: &str, manager: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": name, "namespace": "shop", "uid": "u-9", "managedFields": [
                { "manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:resources": {} } } },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn the_claims_of_an_owned_stateful_set_are_owned() {
        let set = ObjectRef {
            api_version: "apps/v1".to_owned(),
            kind: "StatefulSet".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "db".to_owned(),
            uid: "u-1".to_owned(),
        };
        let mut owned = OwnedObjects::default();
        owned.add(&Applied::of("c", vec![set.clone()]), false);
        assert!(owned.owns(&claim("data-db-0", CONTROLLER_MANAGER)));
        assert!(!owned.owns(&claim("data-db-0", "kubectl")), "a person created it");
        assert!(!owned.owns(&claim("data-other-0", CONTROLLER_MANAGER)));
        assert!(!owned.owns(&claim("data-db", CONTROLLER_MANAGER)));
        let mut found = OwnedObjects::default();
        let applied = Applied { found: vec!["u-1".to_owned()], ..Applied::of("c", vec![set]) };
        found.add(&applied, false);
        assert!(!found.owns(&claim("data-db-0", CONTROLLER_MANAGER)), "the set existed before");
    }
}
