//! The resources of the declared types, and the completion of their writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Properties, ResourceType, declared, is_in_group};
use crate::arm::{id, roles};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

/// The progress of the latest write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// A creation is in progress.
    Creating,
    /// An update is in progress.
    Updating,
    /// A deletion is in progress.
    Deleting,
    /// The write succeeded.
    Succeeded,
    /// The write failed.
    Failed,
}

impl Progress {
    /// Returns the `provisioningState`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::Deleting => "Deleting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A resource of a declared type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// The full id, in the case of its creation.
    pub id: String,
    kind: String,
    /// The region; empty if the type has none.
    #[serde(default)]
    pub location: String,
    /// The tags.
    #[serde(default)]
    pub tags: Map<String, Value>,
    /// The properties, without the provisioning state.
    pub properties: Properties,
    /// Other fields of the body, such as `sku`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// The etag without quotes; empty if the type has none.
    #[serde(default)]
    pub etag: String,
    /// The place in the list of its parent.
    #[serde(default)]
    pub position: usize,
    /// The resource that manages it, which alone changes it; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    progress: Progress,
    /// The end of the write in progress.
    #[serde(default)]
    done: Option<SimTime>,
    /// True if the write in progress fails.
    #[serde(default)]
    fails_on_completion: bool,
    /// The time from which other services act on the latest PUT.
    #[serde(default)]
    pub effective: SimTime,
    /// The time of its creation.
    #[serde(default)]
    pub created: SimTime,
}

impl Resource {
    /// Creates a resource without properties, in the state `Succeeded`.
    pub fn new(declared: &ResourceType, id: String, created: SimTime) -> Self {
        Self {
            id,
            kind: declared.kind.to_owned(),
            location: String::new(),
            tags: Map::new(),
            properties: Properties::new(),
            fields: Map::new(),
            etag: String::new(),
            position: 0,
            owner: String::new(),
            progress: Progress::Succeeded,
            done: None,
            fails_on_completion: false,
            effective: created,
            created,
        }
    }

    /// Returns the resource with that region and those properties.
    #[must_use]
    pub fn with(mut self, location: &str, properties: Value) -> Self {
        location.clone_into(&mut self.location);
        if let Value::Object(properties) = properties {
            self.properties = properties;
        }
        self
    }

    /// Returns the last segment of its id.
    pub fn name(&self) -> &str {
        id::name(&self.id)
    }

    /// Returns the type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns a property as text; empty if it is none.
    pub fn text(&self, property: &str) -> &str {
        self.properties.get(property).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the progress of the latest write.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Returns the end of the write in progress at `now`.
    pub fn busy_until(&self, now: SimTime) -> Option<SimTime> {
        self.done.filter(|done| *done > now)
    }

    /// Starts a write that ends at `done`.
    pub(super) fn start(&mut self, progress: Progress, done: SimTime) {
        (self.progress, self.done, self.fails_on_completion) = (progress, Some(done), false);
    }

    /// Lets the write in progress fail; returns whether there is one.
    pub(super) fn fail(&mut self) -> bool {
        self.fails_on_completion = self.done.is_some();
        self.fails_on_completion
    }

    /// Returns the ARM body.
    pub fn body(&self, state: &CloudState) -> Value {
        let declared = declared(&self.kind);
        let mut properties = self.properties.clone();
        if declared.is_some_and(|declared| declared.creation_state.is_some()) {
            properties.insert("provisioningState".to_owned(), json!(self.progress.as_str()));
        }
        let mut body =
            json!({ "id": self.id, "name": self.name(), "type": self.kind, "properties": properties });
        if let Some(etag) = self.shown_etag() {
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
    pub fn shown_etag(&self) -> Option<String> {
        let has_etag = declared(&self.kind).is_some_and(|declared| declared.has_etag);
        has_etag.then(|| format!("W/\"{}\"", self.etag))
    }
}

/// The resources of all declared types, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(BTreeMap<String, Resource>);

impl Resources {
    /// Returns the resource with that id, compared case-insensitively.
    pub fn get(&self, id: &str) -> Option<&Resource> {
        self.0.get(&id::key(id))
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Resource> {
        self.0.get_mut(&id::key(id))
    }

    pub(super) fn insert(&mut self, resource: Resource) {
        self.0.insert(id::key(&resource.id), resource);
    }

    /// Returns the resources of a type.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.0.values().filter(move |one| one.kind.eq_ignore_ascii_case(kind))
    }

    /// Returns the resources of a group.
    pub fn in_group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.0.values().filter(move |one| is_in_group(&one.id, group))
    }

    /// Returns the resources below a resource, in the order of its list.
    pub fn below(&self, parent: &str) -> Vec<&Resource> {
        let prefix = format!("{}/", id::key(parent));
        let after = self.0.range(prefix.clone()..);
        let mut found: Vec<&Resource> =
            after.take_while(|(key, _)| key.starts_with(&prefix)).map(|(_, one)| one).collect();
        found.sort_by_key(|one| one.position);
        found
    }

    /// Returns the end of the next write in progress.
    pub(super) fn next_due(&self) -> Option<SimTime> {
        self.0.values().filter_map(|one| one.done).min()
    }

    /// Returns whether there is no resource.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
pub(super) fn remove(state: &mut CloudState, id: &str) {
    let below: Vec<String> = state.tracked.below(id).iter().map(|one| one.id.clone()).collect();
    for id in below.iter().map(String::as_str).chain([id]) {
        let Some(resource) = state.tracked.0.remove(&id::key(id)) else { continue };
        roles::drop_scope(state, &resource.id);
        if let Some(declared) = declared(&resource.kind) {
            (declared.hooks.deleted)(state, &resource);
        }
    }
}
