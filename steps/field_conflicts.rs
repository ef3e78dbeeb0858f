//! Field conflicts: the fields that landfall may take over from another field manager.

use crate::{error_context::ErrorContext, objects};
use landfall_cloud::{
    ApiError,
    kubernetes::{Cluster, DynamicObject, Kind, manifest::Manifest},
};
use landfall_engine::{Kind as ErrorKind, Leftover, StepError};
use std::collections::{BTreeMap, BTreeSet};

/// The field manager names of kubectl.
const KUBECTL: [&str; 3] = ["kubectl", "kubectl-client-side-apply", "before-first-apply"];

/// Returns whether an apply was refused because others own some of its fields.
pub(crate) fn is_conflict(error: &ApiError) -> bool {
    error.is("FieldManagerConflict")
}

/// Like [`takeover`], with the object as it is now.
pub(crate) async fn check_takeover(
    api: &Cluster,
    kind: &Kind,
    manifest: &Manifest,
    what: &str,
    conflict: &ApiError,
) -> Result<(), StepError> {
    let name = manifest.object.metadata.name.as_deref().unwrap_or_default();
    match api.get(kind, objects::namespace(kind, &manifest.object), name).await.context(what)? {
        Some(live) => takeover(&live, what, conflict).map(drop),
        None => Ok(()),
    }
}

/// Allows a takeover from kubectl and manual edits, and returns the managers of the conflicting fields. Refuses it
/// for another tool that applies: both would overwrite each other's fields forever.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts>
pub(crate) fn takeover(
    live: &DynamicObject,
    what: &str,
    conflict: &ApiError,
) -> Result<BTreeSet<String>, StepError> {
    let owners = owners(&conflict.details);
    let managers = owners.keys().cloned().collect();
    let mut competing = owners;
    competing.retain(|manager, _| is_competing_manager(live, manager));
    let Some(first) = competing.keys().next().cloned() else { return Ok(managers) };
    let causes =
        competing.into_iter().map(|(manager, fields)| format!("{manager} manages {}", fields.join(", ")));
    let refused =
        StepError::new(ErrorKind::Foreign, what).code("FieldManagerConflict").leftover(Leftover::Nothing);
    Err(causes.fold(refused, StepError::cause).hint(format!(
        "remove these fields from the manifest, or make {first} stop managing the object, then run again"
    )))
}

/// Parses the conflicting fields by manager from `.spec.x: conflict with "manager" using v1`.
fn owners(details: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, message) in details.iter().filter(|(reason, _)| reason == "FieldManagerConflict") {
        let (field, rest) = message.split_once(": conflict with ").unwrap_or(("some of its fields", message));
        let manager = rest.split('"').nth(1).unwrap_or(rest);
        owners.entry(manager.to_owned()).or_default().push(field.to_owned());
    }
    owners
}

/// Returns whether a manager is another tool: it applies, and is not kubectl.
fn is_competing_manager(live: &DynamicObject, manager: &str) -> bool {
    let mut entries = live.metadata.managed_fields.iter().flatten();
    !KUBECTL.contains(&manager)
        && entries.any(|entry| {
            entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some("Apply")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_conflict_is_parsed_to_manager_and_fields() {
        let message = |field: &str, manager: &str| {
            ("FieldManagerConflict".to_owned(), format!("{field}: conflict with \"{manager}\" using apps/v1"))
        };
        let owners = owners(&[message(".spec.replicas", "argocd"), message(".spec.paused", "argocd")]);
        assert_eq!(owners["argocd"], [".spec.replicas", ".spec.paused"]);
    }

    #[test]
    fn only_another_tool_that_applies_is_a_competing_manager() {
        let entry = |manager: &str, operation: &str| json!({ "manager": manager, "operation": operation });
        let live: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "c", "managedFields": [
                entry("kubectl", "Apply"), entry("kubectl-edit", "Update"), entry("flux", "Apply"),
            ] },
        }))
        .unwrap();
        assert!(!is_competing_manager(&live, "kubectl") && !is_competing_manager(&live, "kubectl-edit"));
        assert!(is_competing_manager(&live, "flux"));
    }
}
