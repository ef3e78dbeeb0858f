//! Bodies, completion and removal of resources, as their declarations say.

use serde_json::{Value, json};

use super::declaration;
use super::store::{Progress, Resource};
use crate::arm::{Call, id, roles};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

type ResourceType = declaration::ResourceType<CloudState>;

/// Returns the declaration of a type.
pub(crate) fn declared(state: &CloudState, kind: &str) -> Option<&'static ResourceType> {
    state.registry.types.iter().copied().find(|declared| declared.kind.eq_ignore_ascii_case(kind))
}

impl Resource {
    /// Returns the ARM body.
    pub fn body(&self, state: &CloudState) -> Value {
        let declared = declared(state, self.kind());
        let mut properties = self.properties.clone();
        if declared.is_some_and(|declared| declared.creation_state.is_some()) {
            properties.insert("provisioningState".to_owned(), json!(self.progress.as_str()));
        }
        let mut body =
            json!({ "id": self.id, "name": self.name(), "type": self.kind(), "properties": properties });
        if let Some(etag) = self.shown_etag(state) {
            body["etag"] = json!(etag);
        }
        if !self.location.is_empty() {
            body["location"] = json!(self.location);
            body["tags"] = json!(self.tags);
        }
        for (name, value) in &self.fields {
            body[name] = value.clone();
        }
        if let Some(declared) = declared {
            (declared.hooks.show)(state, self, &mut body);
        }
        body
    }

    /// Returns the etag as headers and bodies contain it; `None` if the type has none.
    pub fn shown_etag(&self, state: &CloudState) -> Option<String> {
        let has_etag = declared(state, self.kind()).is_some_and(|declared| declared.has_etag);
        has_etag.then(|| format!("W/\"{}\"", self.etag))
    }
}

/// Deletes the resources of a group at once, as with the owner of a managed group.
pub(crate) fn drop_group(state: &mut CloudState, group: &str) {
    let ids: Vec<String> = state.tracked.in_group(group).map(|one| one.id.clone()).collect();
    ids.iter().for_each(|id| remove(state, id));
}

/// Stores a resource that the service itself creates or updates.
pub(crate) fn set(state: &mut CloudState, resource: Resource) {
    state.tracked.insert(resource);
}

/// Completes the writes that are due.
pub(super) fn advance_to(state: &mut CloudState, due: SimTime, _: &Timing) {
    let mut deleted = Vec::new();
    for resource in state.tracked.0.values_mut().filter(|one| one.done.is_some_and(|done| done <= due)) {
        resource.done = None;
        resource.progress = match (std::mem::take(&mut resource.fails_on_completion), resource.progress) {
            (true, _) => Progress::Failed,
            (false, Progress::Deleting) => {
                deleted.push(resource.id.clone());
                Progress::Deleting
            }
            (false, _) => Progress::Succeeded,
        };
    }
    deleted.iter().for_each(|id| remove(state, id));
}

/// Removes a resource, its children, and the role assignments at and below it.
pub(crate) fn remove(state: &mut CloudState, id: &str) {
    let below: Vec<String> = state.tracked.below(id).iter().map(|one| one.id.clone()).collect();
    for id in below.iter().map(String::as_str).chain([id]) {
        let Some(resource) = state.tracked.0.remove(&id::key(id)) else { continue };
        roles::drop_scope(state, &resource.id);
        if let Some(declared) = declared(state, resource.kind()) {
            (declared.hooks.deleted)(state, &resource);
        }
    }
}

/// Returns the id of the resource in a call's URL.
pub(crate) fn requested_id(state: &CloudState, call: &Call<'_>) -> String {
    declared(state, call.route.kind).map(|declared| id_of(declared, call)).unwrap_or_default()
}

/// Returns the id of the resource of a type in a call's URL.
pub(crate) fn id_of(declared: &ResourceType, call: &Call<'_>) -> String {
    let groups = if declared.lower_case_group { "resourcegroups" } else { "resourceGroups" };
    let path = declared.path().replace("{parent}", call.param("parent"));
    let (subscription, group, name) = (call.param("subscription"), call.param("group"), call.param("name"));
    format!("/subscriptions/{subscription}/{groups}/{group}{path}/{name}")
}
