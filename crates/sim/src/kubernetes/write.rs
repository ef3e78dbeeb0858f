//! The common steps of every write: server-managed fields, defaults, ownership, generation, and storing.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::admission;
use super::conversion;
use super::definition::Definition;
use super::fields::FieldSet;
use super::lifecycle;
use super::ownership::{self, ManagerOperation, Owner, Owners};
use super::schema::{canonical, defaults};
use super::service_addresses::Addresses;
use super::store::{Store, names};
use crate::clock::SimTime;

/// The part of an object that a write can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteScope {
    /// The whole object, for controllers.
    Whole,
    /// Everything except the status.
    Main,
    /// Only the status.
    Status,
    /// The number of replicas, through the scale subresource.
    Scale,
}

/// An object that is ready to be validated and stored.
pub(super) struct Prepared {
    /// The object.
    pub object: Value,
    /// The fields that the server allocated, which have no owner.
    allocated: FieldSet,
}

/// A write in preparation.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The kind.
    pub definition: Arc<Definition>,
    /// The live object; `None` for a create.
    pub live: Option<Arc<Value>>,
    /// The field manager.
    pub manager: String,
    /// The part that the write can change.
    pub part: WriteScope,
    /// True for an apply, which has already updated the ownership.
    pub applied: bool,
    /// The time of the write.
    pub at: SimTime,
}

impl Draft {
    /// Creates the draft of a controller's write.
    pub fn by_controller(
        definition: Arc<Definition>,
        live: Option<Arc<Value>>,
        manager: &str,
        at: SimTime,
    ) -> Self {
        Self { definition, live, manager: manager.to_owned(), part: WriteScope::Whole, applied: false, at }
    }

    /// Returns the draft limited to the status.
    pub fn on_status(mut self) -> Self {
        self.part = WriteScope::Status;
        self
    }

    /// Returns the owner of the written fields.
    pub fn owner(&self) -> Owner {
        Owner {
            manager: self.manager.clone(),
            operation: if self.applied { ManagerOperation::Apply } else { ManagerOperation::Update },
            api_version: self.definition.api_version(),
            subresource: match self.part {
                WriteScope::Status => "status".into(),
                WriteScope::Scale => "scale".into(),
                WriteScope::Whole | WriteScope::Main => String::new(),
            },
        }
    }
}

/// Prepares and stores a write without validation; returns whether anything changed.
pub(super) fn finish(store: &mut Store, draft: Draft, object: Value) -> bool {
    let mut addresses = store.addresses;
    let prepared = prepare(store, &mut addresses, &draft, object);
    store.addresses = addresses;
    let recorded = record_changes(&draft, prepared);
    persist(store, &draft, recorded).1
}

/// Restores server-managed fields and the parts this write cannot change, and fills in defaults.
pub(super) fn prepare(store: &Store, addresses: &mut Addresses, draft: &Draft, object: Value) -> Prepared {
    let mut object = match (&draft.live, draft.part) {
        (Some(live), WriteScope::Status) => with_status_of(live, &object, draft.applied),
        _ => object,
    };
    lifecycle::copy_server_fields(store, draft, &mut object);
    if matches!(draft.part, WriteScope::Main | WriteScope::Scale) && draft.definition.has_status {
        let status = draft.live.as_ref().and_then(|live| live.get("status")).cloned();
        replace(&mut object, "status", status);
    }
    // Everything but the status of a built-in kind is as it is stored.
    let is_settled = draft.part == WriteScope::Status && draft.live.is_some() && !draft.definition.custom;
    if is_settled && object["status"].is_object() {
        defaults::fill_field(&draft.definition.schema, &mut object, "status");
        return Prepared { object, allocated: FieldSet::default() };
    }
    if !draft.definition.custom {
        canonical::drop_zeros(&draft.definition.group, &draft.definition.schema, &mut object);
    }
    let sent = (draft.definition.resource() == "services").then(|| object.clone());
    admission::defaults(store, draft, addresses, &mut object);
    defaults::fill(&draft.definition.schema, &mut object);
    if !draft.definition.custom {
        canonical::rewrite(&draft.definition.group, &draft.definition.schema, &mut object);
    }
    let allocated =
        sent.map(|sent| ownership::allocated(&draft.definition, &sent, &object)).unwrap_or_default();
    Prepared { object, allocated }
}

fn with_status_of(live: &Value, sent: &Value, applied: bool) -> Value {
    let status = sent.get("status").cloned();
    let others = live.as_object().into_iter().flatten();
    let mut object: Value = others
        .filter(|(field, _)| *field != "status" || status.is_some())
        .map(|(field, value)| {
            let is_status = field == "status";
            (field.clone(), if is_status { Value::Null } else { value.clone() })
        })
        .collect();
    replace(&mut object, "status", status);
    // An apply has already updated the ownership; other writes start from the existing owners.
    if applied {
        let owners = sent["metadata"].get("managedFields").cloned();
        replace(&mut object["metadata"], "managedFields", owners);
    }
    object
}

fn replace(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => drop(map.insert(field.to_owned(), value)),
            None => drop(map.shift_remove(field)),
        }
    }
}

/// Updates ownership and generation of an object before it is stored.
pub(super) fn record_changes(draft: &Draft, prepared: Prepared) -> Value {
    let Prepared { mut object, allocated } = prepared;
    if !draft.applied {
        ownership::record_update(
            &draft.definition,
            draft.live.as_deref(),
            &mut object,
            &draft.owner(),
            &allocated,
            draft.at,
        );
    }
    if let Some(live) = &draft.live
        && draft.definition.has_generation
        && is_desire_changed(&draft.definition, live, &object)
    {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = json!(generation);
    }
    object
}

/// Returns whether a change increases the generation.
fn is_desire_changed(definition: &Definition, before: &Value, after: &Value) -> bool {
    let others: &[&str] = if definition.has_status { &["metadata", "status"] } else { &["metadata"] };
    !is_equal_without(others, before, after)
}

/// Returns whether two objects have the same fields, apart from some.
fn is_equal_without(fields: &[&str], a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let count = |map: &serde_json::Map<String, Value>| {
        map.len() - fields.iter().filter(|field| map.contains_key(**field)).count()
    };
    count(a) == count(b)
        && a.iter().all(|(field, value)| fields.contains(&field.as_str()) || b.get(field) == Some(value))
}

/// Stores an object unless nothing changed. Returns the current object, and whether anything changed. Removes
/// an object being deleted if this write removed its last finalizer.
pub(super) fn persist(store: &mut Store, draft: &Draft, object: Value) -> (Arc<Value>, bool) {
    let resource = draft.definition.resource();
    let (namespace, name) = names(&object);
    if let Some(live) = &draft.live
        && is_same(live, &object)
        && !(draft.part != WriteScope::Whole && store.is_next_write_forced(&resource, &namespace, &name))
    {
        return (Arc::clone(live), false);
    }
    let at = draft.at;
    let in_storage_version = conversion::stored(&draft.definition, object);
    let stored = store.commit(&resource, &namespace, &name, Some(in_storage_version), at);
    let stored = stored.expect("a write stores an object");
    let stored = match conversion::converted(&draft.definition, &stored) {
        Cow::Borrowed(_) => stored,
        Cow::Owned(converted) => Arc::new(converted),
    };
    if lifecycle::is_finished(&stored) {
        store.remove(&resource, &namespace, &name, at);
        return (stored, true);
    }
    let status_is_default = draft.definition.schema["properties"]["status"].get("default").is_some();
    if draft.live.is_none() && draft.part == WriteScope::Main && draft.definition.custom && status_is_default
    {
        store.force_next_write(&resource, &namespace, &name);
    }
    (stored, true)
}

/// Returns whether two versions differ only in the times of field ownership.
fn is_same(a: &Value, b: &Value) -> bool {
    is_equal_without(&["metadata"], a, b)
        && is_equal_without(&["managedFields", "resourceVersion"], &a["metadata"], &b["metadata"])
        && has_same_owners(a, b)
}

fn has_same_owners(a: &Value, b: &Value) -> bool {
    a["metadata"]["managedFields"] == b["metadata"]["managedFields"]
        || Owners::of(a).without_times() == Owners::of(b).without_times()
}
