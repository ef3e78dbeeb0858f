//! ReferenceGrants: permission to reference an object in another namespace.

use super::GROUP;
use crate::aks::object::{list, text};
use crate::aks::reconcile_context::ReconcileContext;

const GRANTS: &str = "referencegrants.gateway.networking.k8s.io";

/// Returns whether objects of `from_kind` in `from_namespace` may reference that object of the core group.
pub(super) fn allows(
    cx: &ReconcileContext<'_>,
    from_kind: &str,
    from_namespace: &str,
    to_kind: &str,
    to_namespace: &str,
    to_name: &str,
) -> bool {
    if from_namespace == to_namespace {
        return true;
    }
    cx.store.list(GRANTS, Some(to_namespace)).iter().any(|grant| {
        let from = list(grant, "/spec/from").iter().any(|from| {
            text(from, "/group") == GROUP
                && text(from, "/kind") == from_kind
                && text(from, "/namespace") == from_namespace
        });
        let to = list(grant, "/spec/to").iter().any(|to| {
            text(to, "/group").is_empty()
                && text(to, "/kind") == to_kind
                && to.get("name").and_then(|name| name.as_str()).is_none_or(|name| name == to_name)
        });
        from && to
    })
}
