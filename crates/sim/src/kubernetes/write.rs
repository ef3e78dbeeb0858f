//! The last steps of every write: what the server keeps, defaults, ownership, generation, and storing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::address::Addresses;
use super::admission;
use super::definition::Definition;
use super::lifecycle;
use super::ownership::{self, Operation, Owner, Owners};
use super::schema::defaults;
use super::store::{Store, names};
use crate::clock::Moment;

/// Which part of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, as controllers write.
    Whole,
    /// All but the status.
    Main,
    /// The status alone.
    Status,
}

/// A write on its way.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The kind.
    pub definition: Arc<Definition>,
    /// The object as it is; `None` when it is being created.
    pub live: Option<Value>,
    /// Who writes.
    pub manager: String,
    /// What the write may change.
    pub part: Part,
    /// Whether it is an apply, whose ownership was settled while merging.
    pub applied: bool,
    /// When.
    pub at: Moment,
}

impl Draft {
    /// A controller's write.
    pub fn by_controller(
        definition: Arc<Definition>,
        live: Option<Value>,
        manager: &str,
        at: Moment,
    ) -> Self {
        Self { definition, live, manager: manager.to_owned(), part: Part::Whole, applied: false, at }
    }

    /// The same write, of the status alone.
    pub fn on_status(mut self) -> Self {
        self.part = Part::Status;
        self
    }

    /// Returns whom the written fields belong to.
    pub fn owner(&self) -> Owner {
        Owner {
            manager: self.manager.clone(),
            operation: if self.applied { Operation::Apply } else { Operation::Update },
            api_version: self.definition.api_version(),
            subresource: if self.part == Part::Status { "status".into() } else { String::new() },
        }
    }
}

/// Prepares and stores a write that needs no judging; returns whether anything changed.
pub(super) fn finish(store: &mut Store, draft: Draft, object: Value) -> bool {
    let mut addresses = store.addresses;
    let prepared = prepare(store, &mut addresses, &draft, object);
    store.addresses = addresses;
    let sealed = seal(&draft, prepared);
    keep(store, &draft, sealed).1
}

/// Puts what the server keeps over what was sent, drops the part this write may not change, fills in defaults.
pub(super) fn prepare(store: &Store, addresses: &mut Addresses, draft: &Draft, object: Value) -> Value {
    let mut object = match (&draft.live, draft.part) {
        (Some(live), Part::Status) => with_status_of(live.clone(), &object, draft.applied),
        _ => object,
    };
    lifecycle::carry(store, draft, &mut object);
    if draft.part == Part::Main && draft.definition.has_status {
        let status = draft.live.as_ref().and_then(|live| live.get("status")).cloned();
        replace(&mut object, "status", status);
    }
    admission::defaults(draft, addresses, &mut object);
    defaults::fill(&draft.definition.schema, &mut object);
    object
}

fn with_status_of(mut live: Value, sent: &Value, applied: bool) -> Value {
    replace(&mut live, "status", sent.get("status").cloned());
    // An apply has already settled who owns what; anything else starts from the owners there are.
    if applied {
        let owners = sent["metadata"].get("managedFields").cloned();
        replace(&mut live["metadata"], "managedFields", owners);
    }
    live
}

fn replace(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => drop(map.insert(field.to_owned(), value)),
            None => drop(map.shift_remove(field)),
        }
    }
}

/// Settles ownership and generation of an object that is as it shall be stored.
pub(super) fn seal(draft: &Draft, mut object: Value) -> Value {
    if !draft.applied {
        ownership::record_update(
            &draft.definition,
            draft.live.as_ref(),
            &mut object,
            &draft.owner(),
            draft.at,
        );
    }
    if let Some(live) = &draft.live
        && draft.definition.has_generation
        && wish(&draft.definition, live) != wish(&draft.definition, &object)
    {
        let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object["metadata"]["generation"] = json!(generation);
    }
    object
}

/// Returns what a generation counts the changes of.
fn wish(definition: &Definition, object: &Value) -> Value {
    let mut object = object.clone();
    replace(&mut object, "metadata", None);
    if definition.has_status {
        replace(&mut object, "status", None);
    }
    object
}

/// Stores an object unless nothing changed; returns it as it now is, and whether anything changed. An object being
/// deleted whose last finalizer this write took is removed.
pub(super) fn keep(store: &mut Store, draft: &Draft, object: Value) -> (Value, bool) {
    let resource = draft.definition.resource();
    let (namespace, name) = names(&object);
    if let Some(live) = &draft.live
        && is_same(live, &object)
        && !(draft.part != Part::Whole && store.is_unsettled(&resource, &namespace, &name))
    {
        return (live.clone(), false);
    }
    let at = draft.at;
    let stored =
        store.commit(&resource, &namespace, &name, Some(object), at).expect("a write stores an object");
    if lifecycle::is_finished(&stored) {
        store.remove(&resource, &namespace, &name, at);
        return (stored, true);
    }
    let status_is_default = draft.definition.schema["properties"]["status"].get("default").is_some();
    if draft.live.is_none() && draft.part == Part::Main && draft.definition.custom && status_is_default {
        store.leave_unsettled(&resource, &namespace, &name);
    }
    (stored, true)
}

/// Returns whether two versions differ in nothing but the times at which fields were last written.
fn is_same(a: &Value, b: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        replace(&mut object["metadata"], "managedFields", None);
        replace(&mut object["metadata"], "resourceVersion", None);
        object
    };
    bare(a) == bare(b) && Owners::of(a).without_times() == Owners::of(b).without_times()
}
