//! Foreign objects in a cluster, without those of the system; a person must consent before the cluster is
//! deleted.

use super::{is_managed, uid_of};
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
