//! What is in a cluster and neither ours nor the system's: whoever put it there is asked before the cluster goes.

use super::{Applied, is_managed, uid_of};
use crate::gateways::ProgrammedGateways;
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, DynamicObject},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many are named before the rest is only counted.
const NAMED_MAX: usize = 5;
/// Marks what the Secrets Store driver has synced, which goes with the workload that mounts it.
const SYNCED: &str = "secrets-store.csi.k8s.io/managed";

/// The objects of ours, by UID, as the steps' outputs or tickets tell. Of a step that was `adopted`, alone or with the
/// cluster, those count as well that were only found.
pub(crate) fn ours(
    output: impl Fn(&str) -> Option<Value>,
    adopted: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    // A ticket of the gateways' step is the set alone.
    let set = |value: Value| match read::<ProgrammedGateways>(value.clone()) {
        Some(made) => Some(made.applied),
        None => read::<Applied>(value),
    };
    let mut uids = BTreeSet::new();
    for step in ["tls-secret", "apps", "gateways"] {
        let Some(applied) = output(step).and_then(set) else { continue };
        let all = adopted(step) || adopted("cluster");
        let counts = |uid: &String| all || !applied.found.contains(uid);
        uids.extend(applied.objects.iter().map(|object| object.uid.clone()).filter(counts));
    }
    uids
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// Foreign objects in a cluster that was examined in every kind that it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Their names, `Deployment shop/web`, in a stable order.
    pub(crate) names: Vec<String>,
    /// The aggregated APIs of the system that do not answer. Their objects were not examined.
    pub(crate) unavailable: Vec<String>,
}

/// Examines a cluster for what people and other tools have put into it.
///
/// # Errors
/// When a listing failed: the cluster is then not examined completely.
pub(crate) async fn in_cluster(
    api: &Cluster,
    is_ours: impl Fn(&DynamicObject) -> bool,
) -> Result<Foreign, ApiError> {
    let is_theirs = |object: &&DynamicObject| {
        let labels = object.metadata.labels.as_ref();
        let synced = labels.is_some_and(|labels| labels.contains_key(SYNCED));
        !is_ours(object) && object.metadata.deletion_timestamp.is_none() && !synced
    };
    let contents = api.contents_of_all().await?;
    let mut names: Vec<String> = contents.objects.iter().filter(is_theirs).map(named).collect();
    names.sort();
    // An API that people registered counts by its registration, which is one of the objects.
    let unavailable = contents.unavailable.iter().map(ToString::to_string).collect();
    Ok(Foreign { names, unavailable })
}

/// Tells whether an object is one of those with these UIDs.
pub(crate) fn is_among(uids: &BTreeSet<String>, object: &DynamicObject) -> bool {
    uids.contains(uid_of(object))
}

/// Tells whether we have ever applied an object, be it ours or not.
pub(crate) fn is_marked(object: &DynamicObject) -> bool {
    is_managed(object)
}

fn named(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match object.metadata.namespace.as_deref() {
        Some(space) => format!("{kind} {space}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Names the first ones and counts the rest.
#[must_use]
pub fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
