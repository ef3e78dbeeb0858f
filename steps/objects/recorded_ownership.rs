//! Ownership of the live objects of a set.
//!
//! Managed fields are not sufficient: an object whose manifest sets no fields has none. The journal is:
//! before a request that may create an object, the ticket contains its name; after the answer, its UID. See
//! decision 0012.

use super::{Applied, FIELD_MANAGER, ObjectRef, is_managed, uid_of};
use landfall_cloud::kubernetes::{DynamicObject, ManagedFieldsEntry};
use landfall_engine::Context;
use std::time::Duration;

/// The maximum difference of two timestamps of one request: the API server writes whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The journal's record of the owners of a set's objects.
#[derive(Default)]
pub(super) struct Ownership {
    /// The ticket of an unfinished attempt.
    unfinished: Option<Applied>,
    /// The output of the last finished attempt.
    finished: Option<Applied>,
}

impl Ownership {
    /// Reads the step's ticket; a ticket for another cluster is ignored.
    pub(super) fn of(cx: &Context, cluster_uid: &str, output: Option<Applied>) -> Self {
        let in_this_cluster = |applied: &Applied| applied.cluster_uid == cluster_uid;
        Self {
            unfinished: cx.ticket::<Applied>().filter(in_this_cluster),
            finished: output.filter(in_this_cluster),
        }
    }

    /// Returns whether a request of landfall created an object.
    pub(super) fn owns(&self, object: &DynamicObject) -> bool {
        let uid = uid_of(object);
        let created = |applied: &Applied| applied.created().any(|created| created.uid == uid);
        let finished = self.finished.as_ref().is_some_and(created);
        let Some(unfinished) = &self.unfinished else { return finished };
        if unfinished.found.iter().any(|found| found == uid) {
            return false;
        }
        match &unfinished.creating {
            // A ticket of version 0.1 contains only the names of found objects.
            None => is_managed(object) || finished || created(unfinished),
            Some(creating) => {
                finished
                    || created(unfinished)
                    || (creating.iter().any(|one| refers_to(one, object)) && is_created_by_landfall(object))
            }
        }
    }

    /// Returns the owned objects of the unfinished attempt.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = &ObjectRef> {
        self.unfinished.iter().flat_map(Applied::created)
    }

    /// Returns the unfinished attempt.
    pub(super) fn attempt(&self) -> Option<&Applied> {
        self.unfinished.as_ref()
    }
}

/// Returns whether a reference names an object, regardless of its UID.
pub(super) fn refers_to(one: &ObjectRef, object: &DynamicObject) -> bool {
    let space = |namespace: Option<&str>| namespace.unwrap_or("default").to_owned();
    object.types.as_ref().is_some_and(|types| types.kind == one.kind && types.api_version == one.api_version)
        && object.metadata.name.as_deref() == Some(one.name.as_str())
        && space(object.metadata.namespace.as_deref()) == space(one.namespace.as_deref())
}

/// Returns whether landfall's request, whose answer was lost, created an object that did not exist before it.
///
/// The creator of an object has an entry in its managed fields with the time of creation, unless the request
/// set no fields. If landfall has an entry, its time decides. If it has none, no other manager may have one
/// of that time.
pub(super) fn is_created_by_landfall(object: &DynamicObject) -> bool {
    let Some(created) = object.metadata.creation_timestamp.as_ref() else { return false };
    let at_creation = |entry: &&ManagedFieldsEntry| {
        entry.time.as_ref().is_some_and(|time| time.0.duration_since(created.0).unsigned_abs() <= RESOLUTION)
    };
    let entries =
        || object.metadata.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none());
    let is_owned = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
    };
    match entries().find(is_owned) {
        Some(owned) => at_creation(&owned),
        None => !entries().any(|entry| at_creation(&entry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(managed: &[(&str, &str, &str)]) -> DynamicObject {
        let entry = |(manager, operation, time): &(&str, &str, &str)| json!({ "manager": manager, "operation": operation, "time": time });
        let entries: Vec<Value> = managed.iter().map(entry).collect();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "shop", "uid": "u-1", "creationTimestamp": "2026-11-28T10:00:05Z", "managedFields": entries },
        }))
        .unwrap()
    }

    fn reference(uid: &str) -> ObjectRef {
        let (api_version, kind, name) = ("v1".to_owned(), "Namespace".to_owned(), "shop".to_owned());
        ObjectRef { api_version, kind, namespace: None, name, uid: uid.to_owned() }
    }

    fn unfinished(objects: &[&str], found: &[&str], creating: bool) -> Ownership {
        let unfinished = Applied {
            objects: objects.iter().map(|uid| reference(uid)).collect(),
            found: found.iter().map(|uid| (*uid).to_owned()).collect(),
            creating: Some(if creating { vec![reference("")] } else { Vec::new() }),
            ..Applied::of("c", Vec::new())
        };
        Ownership { unfinished: Some(unfinished), finished: None }
    }

    #[test]
    fn an_object_without_managed_fields_is_owned_if_landfall_requested_it() {
        let bare = object(&[]);
        assert!(unfinished(&["u-1"], &[], false).owns(&bare), "its UID is known");
        assert!(unfinished(&[], &[], true).owns(&bare), "the answer was lost");
        assert!(!unfinished(&["u-1"], &["u-1"], true).owns(&bare), "it was there before");
        assert!(!unfinished(&[], &[], false).owns(&bare), "no request of ours was sent");
        assert!(!Ownership::default().owns(&bare));
    }

    #[test]
    fn an_object_that_another_client_created_between_read_and_request_is_foreign() {
        let (then, later) = ("2026-11-28T10:00:05Z", "2026-11-28T10:00:09Z");
        let lost = unfinished(&[], &[], true);
        assert!(!lost.owns(&object(&[("kubectl", "Apply", then)])));
        assert!(!lost.owns(&object(&[("kubectl-create", "Update", then), ("landfall", "Apply", later)])));
        assert!(lost.owns(&object(&[("landfall", "Apply", then), ("kubectl", "Update", later)])));
        assert!(lost.owns(&object(&[("kubectl", "Apply", later)])), "edited later");
    }

    #[test]
    fn a_ticket_of_an_earlier_version_uses_the_managed_fields() {
        let old: Applied =
            serde_json::from_value(json!({ "cluster_uid": "c", "objects": [], "found": ["u-0"] })).unwrap();
        let old = Ownership { unfinished: Some(old), finished: None };
        assert!(old.owns(&object(&[("landfall", "Apply", "2026-11-28T10:00:09Z")])));
        assert!(!old.owns(&object(&[])));
    }
}
