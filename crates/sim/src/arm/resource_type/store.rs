//! The resources of the declared types, and the completion of their writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arm::id;
use crate::clock::SimTime;

/// The properties of a resource, as in a request body.
pub type Properties = Map<String, Value>;

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
    pub(super) progress: Progress,
    /// The end of the write in progress.
    #[serde(default)]
    pub(super) done: Option<SimTime>,
    /// True if the write in progress fails.
    #[serde(default)]
    pub(super) fails_on_completion: bool,
    /// The time from which other services act on the latest PUT.
    #[serde(default)]
    pub effective: SimTime,
    /// The time of its creation.
    #[serde(default)]
    pub created: SimTime,
}

impl Resource {
    /// Creates a resource of a type without properties, in the state `Succeeded`.
    pub fn new(kind: &str, id: String, created: SimTime) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
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
}

/// The resources of all declared types, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(pub(super) BTreeMap<String, Resource>);

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

/// Returns whether an id is in a group.
pub(crate) fn is_in_group(id: &str, group: &str) -> bool {
    id::part(id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
}

/// Returns the id of a child's parent. The child's name may be empty, as in the URL of a list.
pub(crate) fn parent_id(child: &str) -> &str {
    child.rsplitn(3, '/').nth(2).unwrap_or_default()
}
