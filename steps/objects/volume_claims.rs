//! The volume claims of a set's StatefulSets.
//!
//! A StatefulSet's claims have no owner reference by default, so they stay when it is deleted. landfall deletes
//! none of them. It records them, so that the deletion of an owned cluster does not count them as foreign.

use super::{Applied, ObjectRef, reference};
use crate::{ClusterSession, error_context::ErrorContext};
use jiff::{SignedDuration, Timestamp};
use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use landfall_engine::StepError;

/// The kind of a claim.
pub(super) const CLAIM: &str = "PersistentVolumeClaim";

/// The maximum difference between the clocks of two API servers. A claim that is older than its StatefulSet
/// existed before it.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Adds the claims of the owned StatefulSets to a record, and those that `last` contains.
pub(crate) async fn with_claims(
    session: &ClusterSession,
    manifests: &[Manifest],
    mut applied: Applied,
    last: Option<Applied>,
) -> Result<Applied, StepError> {
    let last = last.filter(|last| last.cluster_uid == applied.cluster_uid);
    let mut claims = last.map(|last| last.claims).unwrap_or_default();
    for set in applied.created().filter(|object| is_stateful_set(object)) {
        let manifest = manifests.iter().find(|manifest| is_of(manifest, set));
        let templates = manifest.map(claim_templates).unwrap_or_default();
        if templates.is_empty() {
            continue;
        }
        let what = format!("list the volume claims of StatefulSet {}", set.name);
        let api = &session.api;
        let space = Some(space_of(set));
        let Some(set_kind) = api.find_kind(&set.api_version, &set.kind).await.context(&what)? else {
            continue;
        };
        let Some(kind) = api.find_kind("v1", CLAIM).await.context(&what)? else { continue };
        let Some(live) = api.get(&set_kind, space, &set.name).await.context(&what)? else { continue };
        for claim in api.list(&kind, space, None).await.context(&what)? {
            let is_new = created_at(&claim) >= created_at(&live).map(|at| at - SKEW_MAX);
            let found = reference(&kind, &claim);
            if is_new && is_claim_of(&claim, &templates, &set.name) && !claims.contains(&found) {
                claims.push(found);
            }
        }
    }
    applied.claims = claims;
    Ok(applied)
}

fn created_at(object: &DynamicObject) -> Option<Timestamp> {
    object.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn is_stateful_set(object: &ObjectRef) -> bool {
    object.kind == "StatefulSet" && object.group() == "apps"
}

fn space_of(object: &ObjectRef) -> &str {
    object.namespace.as_deref().unwrap_or("default")
}

fn is_of(manifest: &Manifest, set: &ObjectRef) -> bool {
    let metadata = &manifest.object.metadata;
    manifest.object.types.as_ref().is_some_and(|types| types.kind == set.kind)
        && metadata.name.as_deref() == Some(&set.name)
        && metadata.namespace.as_deref().unwrap_or("default") == space_of(set)
}

fn claim_templates(set: &Manifest) -> Vec<String> {
    let templates = set.object.data["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    templates.filter_map(|template| template["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// Returns whether a claim has the name `TEMPLATE-SET-NUMBER`.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-storage>
fn is_claim_of(claim: &DynamicObject, templates: &[String], set: &str) -> bool {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    templates.iter().any(|template| {
        let number = name.strip_prefix(&format!("{template}-{set}-"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_belongs_to_the_set_of_its_exact_name() {
        let claim = |name: &str| -> DynamicObject {
            serde_json::from_value(json!({"apiVersion": "v1", "kind": CLAIM, "metadata": {"name": name}}))
                .unwrap()
        };
        let is_claim = |name: &str| is_claim_of(&claim(name), &["data".to_owned()], "db");
        assert!(is_claim("data-db-0") && is_claim("data-db-12"));
        for other in ["data-my-db-0", "logs-db-0", "data-db", "data-db-x", "data-db-0-1"] {
            assert!(!is_claim(other), "{other}");
        }
    }
}
