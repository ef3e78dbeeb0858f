//! The reconcile context of the controllers: the store, their state and the current time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Controllers;
use super::cluster_info::{ClusterInfo, VaultReader};
use super::object::{self, name, namespace, text};
use super::timers::Task;
use crate::clock::{SimTime, Timing};
use crate::kubernetes::store::Store;

/// The minimum real delay between two attempts, in milliseconds. At infinite speed a retry loop would
/// otherwise never end.
const MIN_RETRY: i64 = 100;

/// The reconcile context of a controller at one time.
pub(super) struct ReconcileContext<'a> {
    pub store: &'a mut Store,
    pub state: &'a mut Controllers,
    pub cluster_info: &'a ClusterInfo,
    pub vaults: &'a dyn VaultReader,
    pub timing: &'a Timing,
    /// The current time for the controllers: the due time of their work.
    pub at: SimTime,
    /// The time up to which this call runs.
    pub until: SimTime,
}

/// The contents of an event.
pub(super) struct EventSpec<'a> {
    pub warning: bool,
    pub reason: &'a str,
    pub message: String,
    /// The source component, `kubelet`.
    pub source: &'a str,
}

impl<'a> EventSpec<'a> {
    pub fn normal(source: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into(), source }
    }

    pub fn warning(source: &'a str, reason: &'a str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into(), source }
    }
}

impl ReconcileContext<'_> {
    /// Runs a controller if an object it watches was written since its last run, like an informer.
    pub fn run_if_changed(
        &mut self,
        controller: &'static str,
        watched: &[&str],
        reconcile_all: fn(&mut Self),
    ) {
        let now = self.store.revision();
        let last = self.state.last_runs.get(controller);
        if last.is_some_and(|last| !self.store.changed_since(watched, *last)) {
            return;
        }
        reconcile_all(self);
        self.state.last_runs.insert(controller, now);
    }

    /// Returns the time after that many seconds of cloud time.
    pub fn after(&self, cloud_seconds: f64) -> SimTime {
        self.timing.after(self.at, cloud_seconds)
    }

    /// Returns the time of the next attempt of a retry.
    ///
    /// At infinite speed the next attempt waits for the next call.
    pub fn retry_after(&self, cloud_seconds: f64) -> SimTime {
        let due = self.after(cloud_seconds);
        if due > self.at { due } else { self.until.max(self.at).plus_ms(MIN_RETRY) }
    }

    /// Schedules a task after that many seconds of cloud time.
    pub fn schedule(&mut self, cloud_seconds: f64, task: Task) {
        let due = self.after(cloud_seconds);
        self.state.timers.insert(due, task);
    }

    /// Like [`ReconcileContext::schedule`], unless the same task is waiting already.
    pub fn schedule_once(&mut self, cloud_seconds: f64, task: Task) {
        let due = self.after(cloud_seconds);
        self.state.timers.insert_once(due, task);
    }

    /// Returns an object that outlives a write.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.store.shared_object(resource, namespace, name)
    }

    /// Returns a copy of an object, to change it.
    pub fn copy(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.store.get(resource, namespace, name).cloned()
    }

    /// Returns the object with that name and uid; `None` if it was deleted or replaced.
    pub fn find(&self, resource: &str, target: &super::timers::ObjectRef) -> Option<Arc<Value>> {
        self.get(resource, &target.namespace, &target.name).filter(|object| object::uid(object) == target.uid)
    }

    /// Returns all objects of a resource.
    pub fn all(&self, resource: &str) -> Vec<Arc<Value>> {
        self.store.shared(resource, None).cloned().collect()
    }

    /// Returns the objects of a resource that match.
    pub fn list_where(&self, resource: &str, predicate: impl Fn(&Value) -> bool) -> Vec<Arc<Value>> {
        self.store.shared(resource, None).filter(|object| predicate(object)).cloned().collect()
    }

    /// Returns the objects of a resource that an object owns.
    pub fn owned(&self, resource: &str, owner: &Value) -> Vec<Arc<Value>> {
        let all = self.store.shared(resource, Some(namespace(owner)));
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
                let mut merged = live.clone();
                object::merge_into(&mut merged, &wanted);
                self.put(resource, merged, manager);
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

    /// Deletes an object like a request: a pod ends gracefully, and a finalizer holds the object.
    pub fn delete(&mut self, resource: &str, object: &Value) {
        self.store.delete(resource, namespace(object), name(object), None, self.at);
    }

    /// Removes an object.
    pub fn remove(&mut self, resource: &str, object: &Value) {
        self.store.remove(resource, namespace(object), name(object), self.at);
    }

    /// Writes an event; a repeated one only increases its count, as in event recorders.
    pub fn event(&mut self, about: &Value, event_spec: &EventSpec<'_>) {
        self.count_event(about, event_spec, 1, self.at);
    }

    /// Increases the count of an event by `times`, with `last` as its last time.
    pub fn count_event(&mut self, about: &Value, event_spec: &EventSpec<'_>, times: i64, last: SimTime) {
        let place = if namespace(about).is_empty() { "default" } else { namespace(about) };
        let key = format!("{}|{}|{}", object::uid(about), event_spec.reason, event_spec.message);
        let event_name = format!("{}.{:016x}", name(about), object::hash(&key));
        let event = match self.copy("events", place, &event_name) {
            Some(mut known) => {
                known["count"] = json!(object::number(&known, "/count").unwrap_or(1) + times);
                known["lastTimestamp"] = json!(last.rfc3339());
                known
            }
            None => new_event(about, event_spec, &event_name, place, last),
        };
        let was_reconciled = self.state.reconciled_revision == self.store.revision();
        self.put("events", event, event_spec.source);
        // No controller acts on events, so they cause no further run.
        if was_reconciled {
            self.state.reconciled_revision = self.store.revision();
        }
    }
}

fn new_event(about: &Value, event_spec: &EventSpec<'_>, event_name: &str, place: &str, at: SimTime) -> Value {
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
        "type": if event_spec.warning { "Warning" } else { "Normal" },
        "reason": event_spec.reason,
        "message": event_spec.message,
        "count": 1,
        "firstTimestamp": at.rfc3339(),
        "lastTimestamp": at.rfc3339(),
        "source": {"component": event_spec.source},
        "reportingComponent": event_spec.source,
        "reportingInstance": "",
    })
}
