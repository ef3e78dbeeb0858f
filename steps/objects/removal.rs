//! Taking a set away: only what we made, and only while it is still the same.

use super::{Applied, is_managed, uid_of};
use crate::doing::Doing;
use landfall_cloud::kubernetes::{Cluster, DynamicObject};
use landfall_engine::{StepError, Undone};

/// Deletes the objects, last first, each only if it is still the one we made.
pub(crate) async fn remove(api: &Cluster, cluster_uid: &str, applied: &Applied) -> Result<Undone, StepError> {
    if applied.cluster_uid != cluster_uid {
        return Ok(Undone::Kept {
            why: "the cluster is another one than the objects were made in".to_owned(),
        });
    }
    let mut deleted = 0;
    let mut kept = Vec::new();
    for object in applied.made().rev() {
        let what = format!("delete {} {}", object.kind, object.name);
        if (object.api_version.as_str(), object.kind.as_str()) == ("v1", "Namespace") {
            let theirs = strangers(api, applied, &object.name).await?;
            if !theirs.is_empty() {
                kept.push(format!("namespace {} holds what is not ours: {}", object.name, theirs.join(", ")));
                continue;
            }
        }
        let kind = api.kind_named(&object.api_version, &object.kind).await.doing(&what)?;
        let Some(kind) = kind else { continue };
        let uid = Some(object.uid.as_str()).filter(|uid| !uid.is_empty());
        match api.delete(&kind, object.namespace.as_deref(), &object.name, uid).await {
            Ok(true) => deleted += 1,
            Ok(false) => {}
            // The UID says that somebody made it anew: then it is theirs.
            Err(error) if error.status == Some(409) => {}
            Err(error) => return Err(error).doing(&what),
        }
    }
    Ok(match (kept.is_empty(), deleted) {
        (false, _) => Undone::Kept { why: kept.join("; ") },
        (true, 0) => Undone::AlreadyGone,
        (true, _) => Undone::Deleted,
    })
}

/// Names what is in a namespace and neither ours nor made by the cluster itself.
pub(super) async fn strangers(
    api: &Cluster,
    applied: &Applied,
    space: &str,
) -> Result<Vec<String>, StepError> {
    let inside = api.contents(space).await.doing(format!("look into namespace {space}"))?;
    let theirs = |object: &&DynamicObject| {
        let found = applied.found.iter().any(|uid| uid == uid_of(object));
        let dies = object.metadata.deletion_timestamp.is_some();
        (found || !is_managed(object)) && !dies
    };
    let named = |object: &DynamicObject| {
        let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
        format!("{kind} {}", object.metadata.name.as_deref().unwrap_or_default())
    };
    Ok(inside.iter().filter(theirs).map(named).collect())
}
