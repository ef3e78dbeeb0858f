//! Field ownership: the entries of `metadata.managedFields`, and their changes by writes.

mod difference;
mod record;

pub use difference::{Difference, claimed, compare};
pub use record::{allocated, record_update};

use serde_json::{Value, json};

use super::fields::FieldSet;
use super::store::metadata_mut;
use crate::clock::SimTime;

/// The operation by which a manager owns fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManagerOperation {
    /// Server-side apply.
    Apply,
    /// Any other write.
    Update,
}

/// The identity of an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name of the field manager.
    pub manager: String,
    /// The operation.
    pub operation: ManagerOperation,
    /// The API version of its last write; part of the identity only for updates.
    pub api_version: String,
    /// The subresource of its writes; empty for the main resource.
    pub subresource: String,
}

impl Owner {
    fn is(&self, other: &Self) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == ManagerOperation::Apply || self.api_version == other.api_version)
    }

    /// Returns the owner in the format of conflict messages.
    pub fn display(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if self.operation == ManagerOperation::Update {
            text += &format!(" using {}", self.api_version);
        }
        text
    }
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The owner.
    pub owner: Owner,
    /// The time of the last change of its fields.
    pub time: String,
    /// The owned fields.
    pub fields: FieldSet,
}

/// All owners of one object's fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Owners(pub Vec<Entry>);

impl Owners {
    /// Parses an object's `managedFields`; skips invalid entries.
    pub fn of(object: &Value) -> Self {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        Self(entries.filter_map(Entry::read).collect())
    }

    /// Writes `managedFields`.
    pub fn write_into(self, object: &mut Value) {
        write_entries(self.0.into_iter().filter_map(Entry::into_json).collect(), object);
    }

    /// Returns an owner's fields.
    pub fn fields_of(&self, owner: &Owner) -> Option<&FieldSet> {
        self.0.iter().find(|entry| entry.owner.is(owner)).map(|entry| &entry.fields)
    }

    /// Returns all owners but one, with their fields.
    pub fn others<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Entry> {
        self.0.iter().filter(move |entry| !entry.owner.is(owner))
    }

    /// Returns the union of all owned fields.
    pub fn all_fields(&self) -> FieldSet {
        self.0.iter().fold(FieldSet::default(), |all, entry| all.union(entry.fields.clone()))
    }

    /// Sets the fields of an owner; its time changes only if the fields change.
    pub fn set(&mut self, owner: &Owner, fields: FieldSet, at: SimTime) {
        match self.0.iter_mut().find(|entry| entry.owner.is(owner)) {
            Some(entry) => entry.set(owner, fields, at),
            None => self.0.push(Entry { owner: owner.clone(), time: at.rfc3339(), fields }),
        }
    }

    /// Removes the changed fields from all owners except `owner`.
    pub fn remove_from_others(&mut self, owner: &Owner, changed: &FieldSet) {
        for entry in self.0.iter_mut().filter(|entry| !entry.owner.is(owner)) {
            entry.fields = entry.fields.difference(changed);
        }
    }

    /// Returns the owners without times, to compare ownership.
    pub fn without_times(mut self) -> Self {
        self.0.iter_mut().for_each(|entry| entry.time.clear());
        self
    }
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let owner = Self::owner_of(value)?;
        let time = value["time"].as_str().unwrap_or_default().to_owned();
        Some(Self { owner, time, fields: FieldSet::from_fields_v1(&value["fieldsV1"]) })
    }

    /// Returns the owner of an entry in its JSON form; `None` if that is invalid.
    fn owner_of(value: &Value) -> Option<Owner> {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => ManagerOperation::Apply,
            _ => ManagerOperation::Update,
        };
        Some(Owner {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
        })
    }

    /// Returns the position of an entry in its JSON form: appliers first, then by time and manager.
    fn order(value: &Value) -> (bool, &str, &str) {
        let text = |field: &str| value[field].as_str().unwrap_or_default();
        (text("operation") != "Apply", text("time"), text("manager"))
    }

    /// Sets the owner and its fields; the time changes only if they do.
    fn set(&mut self, owner: &Owner, fields: FieldSet, at: SimTime) {
        if self.fields != fields || self.owner != *owner {
            *self = Self { owner: owner.clone(), time: at.rfc3339(), fields };
        }
    }

    /// Returns the JSON form; `None` if the entry has no fields.
    fn into_json(self) -> Option<Value> {
        if self.fields.is_empty() {
            return None;
        }
        let mut entry = json!({
            "manager": self.owner.manager,
            "operation": format!("{:?}", self.owner.operation),
            "apiVersion": self.owner.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.into_fields_v1(),
        });
        if !self.owner.subresource.is_empty() {
            entry["subresource"] = json!(self.owner.subresource);
        }
        Some(entry)
    }
}

/// Writes entries of `managedFields` in their JSON form, in the order of a server.
fn write_entries(mut entries: Vec<Value>, object: &mut Value) {
    entries.sort_by(|a, b| Entry::order(a).cmp(&Entry::order(b)));
    let metadata = metadata_mut(object);
    metadata.shift_remove("managedFields");
    if !entries.is_empty() {
        metadata.insert("managedFields".into(), Value::Array(entries));
    }
}
