//! Foreign objects in a cluster, without those of the system; a person must consent before the cluster is
//! deleted.

use super::{Applied, ObjectRef, is_managed, uid_of, volume_claims::CLAIM};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, DynamicObject},
};
use std::collections::BTreeSet;

/// The maximum number of names; further ones are only counted.
const NAMED_MAX: usize = 5;
/// The label of Secrets that the Secrets Store driver synced; they are deleted with the workload that mounts
/// them.
const SYNCED: &str = "secrets-store.csi.k8s.io/managed";

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
    /// The namespaces and names, without their numbers, of the volume claims of owned StatefulSets. They are
    /// deleted with an owned cluster, and never otherwise. A StatefulSet may have more replicas by now.
    claims: BTreeSet<(String, String)>,
}

impl OwnedObjects {
    /// Adds the owned objects of a record; for `with_found`, those that existed before too.
    pub(crate) fn add(&mut self, applied: &Applied, with_found: bool) {
        let counts = |uid: &String| with_found || !applied.found.contains(uid);
        self.uids.extend(applied.objects.iter().map(|object| object.uid.clone()).filter(counts));
        let of_set = |claim: &ObjectRef| {
            let space = claim.namespace.clone().unwrap_or_else(|| "default".to_owned());
            without_number(&claim.name).map(|name| (space, name.to_owned()))
        };
        self.claims.extend(applied.claims.iter().filter_map(of_set));
    }

    /// Returns whether the deletion of an owned cluster may delete an object.
    pub(crate) fn owns(&self, object: &DynamicObject) -> bool {
        let metadata = &object.metadata;
        let is_claim = object.types.as_ref().is_some_and(|types| types.kind == CLAIM);
        let name = metadata.name.as_deref().and_then(without_number).filter(|_| is_claim);
        let space = metadata.namespace.as_deref().unwrap_or("default");
        self.is_applied(object)
            || name.is_some_and(|name| self.claims.contains(&(space.to_owned(), name.to_owned())))
    }

    /// Returns whether an object is recorded as applied.
    pub(super) fn is_applied(&self, object: &DynamicObject) -> bool {
        self.uids.contains(uid_of(object))
    }
}

/// Returns the name of a StatefulSet's claim without its number.
fn without_number(claim: &str) -> Option<&str> {
    claim.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok()).map(|(name, _)| name)
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
    use serde_json::json;

    #[test]
    fn recorded_claims_are_deleted_with_the_cluster_only() {
        let claim = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "PersistentVolumeClaim".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "data-db-0".to_owned(),
            uid: "u-1".to_owned(),
        };
        let mut owned = OwnedObjects::default();
        owned.add(&Applied { claims: vec![claim], ..Applied::of("c", Vec::new()) }, false);
        let claim = |name: &str, space: &str| -> DynamicObject {
            let metadata = json!({"name": name, "namespace": space, "uid": "u-1"});
            serde_json::from_value(json!({"apiVersion": "v1", "kind": CLAIM, "metadata": metadata})).unwrap()
        };
        for name in ["data-db-0", "data-db-1"] {
            assert!(owned.owns(&claim(name, "shop")) && !owned.is_applied(&claim(name, "shop")), "{name}");
        }
        for (name, space) in [("data-my-db-0", "shop"), ("data-db-0", "other"), ("data-db", "shop")] {
            assert!(!owned.owns(&claim(name, space)), "{name} in {space}");
        }
    }
}
