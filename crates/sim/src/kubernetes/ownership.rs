//! Field ownership: the entries of `metadata.managedFields`, and their changes by writes.

use serde_json::{Value, json};

use super::definition::Definition;
use super::fields::{FieldPath, FieldSet};
use super::schema::empty;
use super::schema::shape::{NodeKind, classify, descend, names_field, parts};
use super::store::metadata_mut;
use crate::clock::SimTime;

/// Server-managed fields, which have no owner.
const UNOWNED_FIELDS: [&[&str]; 12] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
    &["f:metadata", "f:deletionTimestamp"],
    &["f:metadata", "f:deletionGracePeriodSeconds"],
];

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

    /// Writes `managedFields`: appliers first, the rest by time, without empty entries.
    pub fn write_into(mut self, object: &mut Value) {
        self.0.retain(|entry| !entry.fields.is_empty());
        self.0.sort_by(|a, b| {
            let order = |e: &Entry| (e.owner.operation, e.time.clone(), e.owner.manager.clone());
            order(a).cmp(&order(b))
        });
        let metadata = metadata_mut(object);
        metadata.shift_remove("managedFields");
        if !self.0.is_empty() {
            metadata.insert("managedFields".into(), self.0.iter().map(Entry::write).collect());
        }
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
        self.0.iter().fold(FieldSet::default(), |all, entry| all.union(&entry.fields))
    }

    /// Sets the fields of an owner; its time changes only if the fields change.
    pub fn set(&mut self, owner: &Owner, fields: FieldSet, at: SimTime) {
        match self.0.iter_mut().find(|entry| entry.owner.is(owner)) {
            Some(entry) if entry.fields == fields && entry.owner == *owner => {}
            Some(entry) => *entry = Entry { owner: owner.clone(), time: at.rfc3339(), fields },
            None => self.0.push(Entry { owner: owner.clone(), time: at.rfc3339(), fields }),
        }
    }

    /// Removes the changed or removed fields from all owners except `owner`.
    pub fn remove_from_others(&mut self, owner: &Owner, difference: &Difference) {
        let written = difference.written().union(&difference.removed);
        for entry in self.0.iter_mut().filter(|entry| !entry.owner.is(owner)) {
            entry.fields = entry.fields.difference(&written);
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
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => ManagerOperation::Apply,
            _ => ManagerOperation::Update,
        };
        Some(Self {
            owner: Owner {
                manager: text("manager"),
                operation,
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            },
            time: text("time"),
            fields: FieldSet::from_fields_v1(&value["fieldsV1"]),
        })
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.owner.manager,
            "operation": format!("{:?}", self.owner.operation),
            "apiVersion": self.owner.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_fields_v1(),
        });
        if !self.owner.subresource.is_empty() {
            entry["subresource"] = json!(self.owner.subresource);
        }
        entry
    }
}

/// Returns the fields that an applied configuration claims.
pub fn claimed(definition: &Definition, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    claim(&definition.schema, value, &mut Vec::new(), &mut set);
    strip(&mut set);
    set
}

fn claim(schema: &Value, value: &Value, path: &mut FieldPath, set: &mut FieldSet) {
    let keyed = match classify(schema, value) {
        NodeKind::Whole => return set.insert(path),
        NodeKind::Map(map) if map.is_empty() => return set.insert(path),
        NodeKind::Map(_) => false,
        NodeKind::List(_) => true,
    };
    for (edge, part_schema, part) in parts(schema, value) {
        let named = edge.strip_prefix("f:").is_some_and(|name| names_field(schema, name));
        path.push(edge);
        // Items of lists and values of maps are members themselves; the fields of structures are not.
        if keyed || !named {
            set.insert(path);
        }
        claim(part_schema, part, path, set);
        path.pop();
    }
}

/// The difference between two versions of an object.
#[derive(Debug, Clone, Default)]
pub struct Difference {
    /// The fields only in the new version.
    pub added: FieldSet,
    /// The fields in both versions, with different values.
    pub modified: FieldSet,
    /// The fields only in the old version.
    pub removed: FieldSet,
}

impl Difference {
    /// Returns the added and modified fields.
    pub fn written(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    fn strip(mut self) -> Self {
        [&mut self.added, &mut self.modified, &mut self.removed].into_iter().for_each(strip);
        self
    }

    /// Limits the difference to the fields that a write through that subresource can own.
    fn through(mut self, subresource: &str, has_status: bool) -> Self {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            match subresource {
                "status" => set.keep_only("f:status"),
                _ if has_status => set.remove_below(&["f:status"]),
                _ => {}
            }
        }
        self
    }
}

/// Compares two versions of an object field by field, in the granularity of ownership.
pub fn compare(definition: &Definition, before: &Value, after: &Value) -> Difference {
    let mut difference = Difference::default();
    walk(&definition.schema, Some(before), Some(after), &mut Vec::new(), &mut difference);
    difference.strip()
}

fn walk(
    schema: &Value,
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut FieldPath,
    difference: &mut Difference,
) {
    match (before, after) {
        (None, None) => {}
        (None, Some(value)) => gather(schema, value, path, &mut difference.added),
        (Some(value), None) => gather(schema, value, path, &mut difference.removed),
        (Some(old), Some(new)) => match (classify(schema, old), classify(schema, new)) {
            (NodeKind::Map(_), NodeKind::Map(_)) | (NodeKind::List(_), NodeKind::List(_)) => {
                for (edge, part_schema, part) in parts(schema, old) {
                    let counterpart = descend(schema, new, &edge).map(|(_, value)| value);
                    path.push(edge);
                    walk(part_schema, Some(part), counterpart, path, difference);
                    path.pop();
                }
                for (edge, part_schema, part) in parts(schema, new) {
                    if descend(schema, old, &edge).is_none() {
                        path.push(edge);
                        walk(part_schema, None, Some(part), path, difference);
                        path.pop();
                    }
                }
            }
            (NodeKind::Whole, NodeKind::Whole) if old == new => {}
            (NodeKind::Whole, NodeKind::Map(_) | NodeKind::List(_)) if old.is_null() => {
                for (edge, part_schema, part) in parts(schema, new) {
                    path.push(edge);
                    walk(part_schema, None, Some(part), path, difference);
                    path.pop();
                }
            }
            _ => difference.modified.insert(path),
        },
    }
}

/// Adds the paths of a value and of all its parts.
fn gather(schema: &Value, value: &Value, path: &mut FieldPath, set: &mut FieldSet) {
    set.insert(path);
    for (edge, part_schema, part) in parts(schema, value) {
        path.push(edge);
        gather(part_schema, part, path, set);
        path.pop();
    }
}

fn strip(set: &mut FieldSet) {
    UNOWNED_FIELDS.iter().for_each(|path| set.remove_below(path));
    set.remove(&["f:metadata"]);
    set.remove(&[]);
}

/// Records a write other than apply: the writer owns the fields it set, and all others lose them.
pub fn record_update(
    definition: &Definition,
    live: Option<&Value>,
    object: &mut Value,
    owner: &Owner,
    at: SimTime,
) {
    let difference = live
        .map_or_else(
            || compare(definition, &empty::object(definition), object),
            |live| compare(definition, live, object),
        )
        .through(&owner.subresource, definition.has_status);
    let sent = object["metadata"]["managedFields"].as_array().filter(|entries| !entries.is_empty());
    // A list with one empty entry requests the removal of all ownership.
    let mut owners = match sent {
        Some(_) => Owners::of(object),
        None => live.map(Owners::of).unwrap_or_default(),
    };
    owners.remove_from_others(owner, &difference);
    let own = owners.fields_of(owner).cloned().unwrap_or_default();
    let own = own.difference(&difference.removed).union(&difference.written());
    owners.set(owner, own, at);
    owners.write_into(object);
}
