//! The reconcile context of the controllers: the store, their state and the current time.

use serde_json::{Value, json};

use super::Controllers;
use super::agenda::Task;
use super::facts::{Facts, Vaults};
use super::object::{self, name, namespace, text};
use crate::clock::{Moment, Timing};
use crate::kubernetes::store::Store;

/// The minimum real delay between two attempts, in milliseconds. At infinite speed a retry loop would
/// otherwise never end.
const BREATH_MS: i64 = 100;

/// The reconcile context of a controller at one time.
pub(super) struct Turn<'a> {
    pub store: &'a mut Store,
    pub memory: &'a mut Controllers,
    pub facts: &'a Facts,
    pub vaults: &'a dyn Vaults,
    pub timing: &'a Timing,
    /// The current time for the controllers: the due time of their work.
    pub at: Moment,
    /// The time up to which this call runs.
    pub upto: Moment,
}

/// The contents of an event.
pub(super) struct Happening<'a> {
    pub warning: bool,
    pub reason: &'a str,
    pub message: String,
    /// The source component, `kubelet`.
    pub source: &'a str,
}

impl<'a> Happening<'a> {
    pub fn normal(source: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into(), source }
    }

    pub fn warning(source: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into(), source }
    }
}

impl Turn<'_> {
    /// Runs a controller if an object it watches was written since its last run, like an informer.
    pub fn wake(&mut self, controller: &'static str, watched: &[&str], look: fn(&mut Self)) {
        let now = self.store.revision();
        let last = self.memory.looked.get(controller);
        if last.is_some_and(|last| !self.store.changed_since(watched, *last)) {
            return;
        }
        look(self);
        self.memory.looked.insert(controller, now);
    }

    /// Returns the time after that many seconds of cloud time.
    pub fn after(&self, cloud_seconds: f64) -> Moment {
        self.timing.after(self.at, cloud_seconds)
    }

    /// Returns the time of the next attempt of a retry.
    ///
    /// At infinite speed the next attempt waits for the next call.
    pub fn again_after(&self, cloud_seconds: f64) -> Moment {
        let due = self.after(cloud_seconds);
        if due > self.at { due } else { self.upto.max(self.at).plus_ms(BREATH_MS) }
    }

    /// Schedules a task after that many seconds of cloud time.
    pub fn later(&mut self, cloud_seconds: f64, task: Task) {
        let due = self.after(cloud_seconds);
        self.memory.agenda.enter(due, task);
    }

    /// Like [`Turn::later`], unless the same task is waiting already.
    pub fn later_once(&mut self, cloud_seconds: f64, task: Task) {
        let due = self.after(cloud_seconds);
        self.memory.agenda.enter_once(due, task);
    }

    /// Returns a copy of an object.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.store.get(resource, namespace, name).cloned()
    }

    /// Returns the object with that name and uid; `None` if it was deleted or replaced.
    pub fn find(&self, resource: &str, tag: &super::agenda::Named) -> Option<Value> {
        self.get(resource, &tag.namespace, &tag.name).filter(|object| object::uid(object) == tag.uid)
    }

    /// Returns copies of all objects of a resource.
    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.store.list(resource, None).into_iter().cloned().collect()
    }

    /// Returns copies of the objects of a resource that match.
    pub fn those(&self, resource: &str, are: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.store.list(resource, None).into_iter().filter(|object| are(object)).cloned().collect()
    }

    /// Returns copies of the objects of a resource that an object owns.
    pub fn owned(&self, resource: &str, owner: &Value) -> Vec<Value> {
        let all = self.store.list(resource, Some(namespace(owner))).into_iter();
        all.filter(|object| object::has_owner(object, object::uid(owner))).cloned().collect()
    }

    /// Writes an object as it is.
    pub fn put(&mut self, resource: &str, object: Value, manager: &str) {
        self.store.put(resource, object, manager, self.at);
    }

    /// Ensures that an object contains the desired fields: creates it, or reverts changes. Other fields stay.
    pub fn ensure(&mut self, resource: &str, wanted: Value, manager: &str) {
        match self.store.get(resource, namespace(&wanted), name(&wanted)) {
            None => self.put(resource, wanted, manager),
            Some(live) if object::holds(live, &wanted) => {}
            Some(live) => {
                let mut mended = live.clone();
                object::lay_over(&mut mended, &wanted);
                self.put(resource, mended, manager);
            }
        }
    }

    /// Writes an object's status.
    pub fn status(&mut self, resource: &str, of: &Value, status: Value, manager: &str) {
        let live = self.store.get(resource, namespace(of), name(of));
        if live.is_some_and(|live| live.get("status") == Some(&status)) {
            return;
        }
        self.store.put_status(resource, namespace(of), name(of), status, manager, self.at);
    }

    /// Removes an object.
    pub fn remove(&mut self, resource: &str, object: &Value) {
        self.store.remove(resource, namespace(object), name(object), self.at);
    }

    /// Writes an event; a repeated one only increases its count, as in event recorders.
    pub fn event(&mut self, about: &Value, happening: &Happening<'_>) {
        self.recount(about, happening, 1, self.at);
    }

    /// Increases the count of an event by `times`, with `last` as its last time.
    pub fn recount(&mut self, about: &Value, happening: &Happening<'_>, times: i64, last: Moment) {
        let place = if namespace(about).is_empty() { "default" } else { namespace(about) };
        let key = format!("{}|{}|{}", object::uid(about), happening.reason, happening.message);
        let event_name = format!("{}.{:016x}", name(about), object::hash(&key));
        let event = match self.get("events", place, &event_name) {
            Some(mut known) => {
                known["count"] = json!(object::number(&known, "/count").unwrap_or(1) + times);
                known["lastTimestamp"] = json!(last.rfc3339());
                known
            }
            None => new_event(about, happening, &event_name, place, last),
        };
        let is_seen = self.memory.seen == self.store.revision();
        self.put("events", event, happening.source);
        // No controller acts on events, so they cause no further run.
        if is_seen {
            self.memory.seen = self.store.revision();
        }
    }
}

fn new_event(about: &Value, happening: &Happening<'_>, event_name: &str, place: &str, at: Moment) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name, "namespace": place},
        "involvedObject": {
            "apiVersion": text(about, "/apiVersion"),
            "kind": text(about, "/kind"),
            "namespace": namespace(about),
            "name": name(about),
            "uid": object::uid(about),
        },
        "type": if happening.warning { "Warning" } else { "Normal" },
        "reason": happening.reason,
        "message": happening.message,
        "count": 1,
        "firstTimestamp": at.rfc3339(),
        "lastTimestamp": at.rfc3339(),
        "source": {"component": happening.source},
        "reportingComponent": happening.source,
        "reportingInstance": "",
    })
}
