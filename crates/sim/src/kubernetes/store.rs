//! The store of one cluster: its objects, its recent writes, and its served kinds.
//!
//! One counter numbers all writes: the resource version. The log of writes is bounded and not persisted.
//! After a restart, a watch from an older resource version gets an error and must list again, as after a
//! compaction on a real server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::definition::{self, Definition};
use super::lifecycle::Propagation;
use super::service_accounts::TokenIssuer;
use super::service_addresses::Addresses;
use super::write::{self, Draft};
use super::{conversion, custom_kinds, embedded, lifecycle};
use crate::clock::SimTime;

/// The maximum number of writes that a watch can lag behind.
const LOG_MAX: usize = 2_000;

/// A change of an object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The resource version of the write.
    pub revision: u64,
    /// The resource, `pods`.
    pub resource: String,
    /// The object before the write; `None` if it was created.
    pub before: Option<Arc<Value>>,
    /// The object after the write; `None` if it was deleted.
    pub after: Option<Arc<Value>>,
}

/// The objects of a cluster, by resource (`deployments.apps`) and by namespace and name.
pub type Objects = BTreeMap<String, BTreeMap<String, Arc<Value>>>;

/// The objects of one cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Store {
    identity: String,
    version: String,
    revision: u64,
    latest: SimTime,
    #[serde(with = "embedded::installed")]
    installed: BTreeMap<String, Arc<Definition>>,
    /// The users' definitions that are not established yet, and the time at which they will be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pending_kinds: BTreeMap<String, SimTime>,
    /// Shared, so that a copy of an object, a list or the whole store costs little. A write replaces the object.
    objects: Objects,
    /// Objects whose defaulted status is stored by the next write only; that write counts as a change.
    #[serde(rename = "unsettled")]
    changed_by_next_write: BTreeSet<String>,
    pub(super) addresses: Addresses,
    /// The issuer of the service accounts' tokens.
    #[serde(default)]
    pub token_issuer: TokenIssuer,
    /// The folder with the folders of pods whose containers really run, by uid; `None` if none does.
    #[serde(skip)]
    pod_folder: Option<Arc<Path>>,
    #[serde(skip)]
    log: VecDeque<Change>,
    /// The resource version of the last write to each resource since the store was read from disk.
    #[serde(skip)]
    written: BTreeMap<String, u64>,
}

impl Store {
    /// Creates an empty store. Object ids depend on `identity`, such as the cluster's resource id.
    pub fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), ..Self::default() }
    }

    /// Sets the version for `/version`, `1.33.5`.
    pub fn set_version(&mut self, version: &str) {
        self.version = version.trim_start_matches('v').to_owned();
    }

    /// Sets the folder of the pods whose containers really run.
    pub(crate) fn set_pod_folder(&mut self, folder: Option<Arc<Path>>) {
        self.pod_folder = folder;
    }

    /// Returns the folder of the pods whose containers really run.
    pub(crate) fn pod_folder(&self) -> Option<&Path> {
        self.pod_folder.as_deref()
    }

    pub(super) fn version(&self) -> &str {
        if self.version.is_empty() { "1.33.0" } else { &self.version }
    }

    /// Returns an object: `resource` is `pods` or `deployments.apps`; `namespace` is empty for cluster-scoped
    /// kinds.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(resource)?.get(&key(namespace, name)).map(Arc::as_ref)
    }

    /// Like [`Store::get`], with an object that outlives a write.
    pub(crate) fn shared_object(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(resource)?.get(&key(namespace, name)).cloned()
    }

    /// Returns all objects.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Exchanges all objects.
    pub(crate) fn swap_objects(&mut self, objects: &mut Objects) {
        std::mem::swap(&mut self.objects, objects);
    }

    /// Returns the objects of a resource ordered by namespace and name; for `None`, of all namespaces.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<&Value> {
        self.shared(resource, namespace).map(Arc::as_ref).collect()
    }

    /// Like [`Store::list`], with objects that outlive a write.
    pub fn shared(&self, resource: &str, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Value>> {
        let prefix = namespace.map_or_else(String::new, |namespace| key(namespace, ""));
        // The keys of a namespace are neighbours.
        let objects = self.objects.get(resource).map(|objects| objects.range(prefix.clone()..));
        let within = move |key: &str| key.starts_with(prefix.as_str());
        objects.into_iter().flatten().take_while(move |(key, _)| within(key)).map(|(_, object)| object)
    }

    /// Creates or replaces an object like a controller; returns whether anything changed.
    ///
    /// Server-managed fields (uid, creation and deletion times, generation, resourceVersion) are kept, and
    /// defaults are filled in. A status in `object` is stored, and a missing one keeps the old status.
    /// Nothing is validated. An object being deleted is removed once it has no finalizers.
    ///
    /// # Panics
    /// The resource is not served or the object has no name.
    pub fn put(&mut self, resource: &str, object: Value, manager: &str, at: SimTime) -> bool {
        let definition = self.definition(resource).expect("controllers write kinds that are served");
        let mut object = object;
        lifecycle::complete_identity(&mut object, &definition);
        let (namespace, name) = names(&object);
        assert!(!name.is_empty(), "a controller names what it writes");
        let live = self.shared_object(resource, &namespace, &name);
        if let (None, Some(status)) =
            (object.get("status"), live.as_ref().and_then(|live| live.get("status")))
        {
            object["status"] = status.clone();
        }
        let draft = Draft::by_controller(definition, live, manager, at);
        write::finish(self, draft, object)
    }

    /// Writes an object's status like a controller; returns whether anything changed. Does nothing if the
    /// object does not exist.
    pub fn put_status(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
        status: Value,
        manager: &str,
        at: SimTime,
    ) -> bool {
        let (Some(definition), Some(live)) =
            (self.definition(resource), self.shared_object(resource, namespace, name))
        else {
            return false;
        };
        // A write of the status takes everything else from the live object.
        let object = json!({ "status": status });
        let draft = Draft::by_controller(definition, Some(live), manager, at).on_status();
        write::finish(self, draft, object)
    }

    /// Removes an object at once, despite its finalizers, with everything that only it owns. Returns its last
    /// version.
    pub fn remove(&mut self, resource: &str, namespace: &str, name: &str, at: SimTime) -> Option<Arc<Value>> {
        let removed = self.commit(resource, namespace, name, None, at)?;
        lifecycle::collect_dependents(self, &removed, at);
        Some(removed)
    }

    /// Deletes an object: at once, or as soon as it has no finalizers and, for a pod, its containers have ended. They have
    /// `grace_seconds` for that; `None` selects the pod's own grace period.
    pub fn delete(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
        grace_seconds: Option<i64>,
        at: SimTime,
    ) {
        lifecycle::delete(self, resource, namespace, name, Propagation::Background, grace_seconds, at);
    }

    /// Returns whether one of these resources was written after that resource version.
    pub(crate) fn changed_since(&self, resources: &[&str], revision: u64) -> bool {
        resources.iter().any(|resource| self.written.get(*resource).is_some_and(|last| *last > revision))
    }

    /// Returns the latest resource version.
    pub fn revision(&self) -> u64 {
        self.revision.max(1)
    }

    /// Advances the resource version and clears the log of writes: every earlier watch is too old.
    pub(crate) fn compact(&mut self) {
        self.revision = self.revision() + 1;
        self.log.clear();
    }

    /// Clears the log of writes, for a cluster that was not reachable: no watch can have begun before this.
    pub(crate) fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Starts to serve the kind of an embedded document at that time; its CustomResourceDefinition object exists
    /// from then on. `release` is that of the document.
    ///
    /// # Panics
    /// The document is not embedded.
    pub fn serve_document(&mut self, mut document: Value, release: &str, manager: &str, at: SimTime) {
        let (_, resource) = names(&document);
        let name = embedded::name_in(&resource, release);
        self.installed.insert(resource, embedded::named(&name).expect("the document is embedded"));
        document["status"] = custom_kinds::established(&document, at);
        self.put(custom_kinds::DEFINITIONS, document, manager, at);
    }

    /// Serves a kind whose CustomResourceDefinition object exists.
    pub(super) fn install(&mut self, definition: Definition) {
        self.installed.insert(definition.resource(), Arc::new(definition));
    }

    /// Stops to serve a kind.
    pub(super) fn uninstall(&mut self, resource: &str) {
        self.installed.remove(resource);
    }

    /// Stops to serve a kind, and removes its objects.
    pub(super) fn stop_serving(&mut self, resource: &str, at: SimTime) {
        self.pending_kinds.remove(resource);
        let all: Vec<(String, String)> = self.list(resource, None).into_iter().map(names).collect();
        for (namespace, name) in all {
            self.remove(resource, &namespace, &name, at);
        }
        self.uninstall(resource);
    }

    pub(super) fn pending_kinds(&self) -> &BTreeMap<String, SimTime> {
        &self.pending_kinds
    }

    pub(super) fn pending_kinds_mut(&mut self) -> &mut BTreeMap<String, SimTime> {
        &mut self.pending_kinds
    }

    /// Applies the timed changes that are due: the removal of namespaces being deleted, and the establishment of
    /// custom kinds.
    pub fn advance_to(&mut self, now: SimTime) {
        custom_kinds::establish(self, now);
        lifecycle::finish_terminating_namespaces(self, now);
    }

    /// Returns the next time at which [`Store::advance_to`] changes something.
    pub fn next_due(&self, after: SimTime) -> Option<SimTime> {
        let kinds = self.pending_kinds.values().copied();
        lifecycle::namespaces_due(self).chain(kinds).map(|due| due.max(after)).min()
    }

    /// Returns a served kind by its resource.
    pub fn definition(&self, resource: &str) -> Option<Arc<Definition>> {
        definition::built_in().get(resource).or_else(|| self.installed.get(resource)).cloned()
    }

    /// Returns every served kind in each of its versions, in no particular order.
    pub(super) fn served(&self) -> impl Iterator<Item = Arc<Definition>> {
        definition::built_in().values().chain(self.installed.values()).flat_map(Definition::served)
    }

    /// Returns every served kind in each of its versions, in the order of groups, versions and plurals. The
    /// preferred version of a group comes first.
    pub fn definitions(&self) -> Vec<Arc<Definition>> {
        let mut all: Vec<_> = self.served().collect();
        all.sort_by(|a, b| {
            let order = a.group.cmp(&b.group).then_with(|| conversion::order(&a.version, &b.version));
            order.then_with(|| a.plural.cmp(&b.plural))
        });
        all
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Returns all objects of all kinds, with their resource.
    pub(super) fn all_objects(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.objects
            .iter()
            .flat_map(|(resource, objects)| objects.values().map(move |o| (resource.as_str(), o.as_ref())))
    }

    /// Returns the resource version before the oldest write in the log: watches from before it are too old.
    pub(super) fn oldest_revision(&self) -> u64 {
        self.log.front().map_or(self.revision(), |change| change.revision - 1)
    }

    /// Returns the writes after a resource version at or above the floor.
    pub(super) fn changes_after(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let skip = usize::try_from(revision.saturating_sub(self.oldest_revision())).unwrap_or(usize::MAX);
        self.log.iter().skip(skip)
    }

    /// Returns a resource's objects by key, as of a resource version at or above the floor.
    pub(super) fn as_of(&self, resource: &str, revision: u64) -> BTreeMap<String, Arc<Value>> {
        let now = self.objects.get(resource);
        let mut then: BTreeMap<String, Arc<Value>> =
            now.into_iter().flatten().map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        for change in self.log.iter().rev().take_while(|change| change.revision > revision) {
            if change.resource != resource {
                continue;
            }
            let Some(object) = change.after.as_ref().or(change.before.as_ref()) else { continue };
            let (namespace, name) = names(object);
            match &change.before {
                Some(before) => then.insert(key(&namespace, &name), Arc::clone(before)),
                None => then.remove(&key(&namespace, &name)),
            };
        }
        then
    }

    /// Stores or removes an object under the next resource version; returns the stored or the last version.
    pub(super) fn commit(
        &mut self,
        resource: &str,
        namespace: &str,
        name: &str,
        object: Option<Value>,
        at: SimTime,
    ) -> Option<Arc<Value>> {
        let slot = key(namespace, name);
        let objects = self.objects.entry(resource.to_owned()).or_default();
        let before = objects.get(&slot).cloned();
        if object.is_none() && before.is_none() {
            return None;
        }
        self.revision = self.revision.max(1) + 1;
        self.latest = self.latest.max(at);
        match self.written.get_mut(resource) {
            Some(last) => *last = self.revision,
            None => drop(self.written.insert(resource.to_owned(), self.revision)),
        }
        let number = Value::String(self.revision.to_string());
        let object = object.map(|mut object| {
            object["metadata"]["resourceVersion"] = number;
            Arc::new(object)
        });
        match &object {
            Some(object) => objects.insert(slot.clone(), Arc::clone(object)),
            None => objects.remove(&slot),
        };
        self.changed_by_next_write.remove(&format!("{resource}/{slot}"));
        let last = object.as_ref().or(before.as_ref()).cloned();
        self.log.push_back(Change {
            revision: self.revision,
            resource: resource.to_owned(),
            before,
            after: object,
        });
        if self.log.len() > LOG_MAX {
            self.log.pop_front();
        }
        last
    }

    /// Records that the next write of this object counts even if it changes nothing.
    pub(super) fn force_next_write(&mut self, resource: &str, namespace: &str, name: &str) {
        self.changed_by_next_write.insert(format!("{resource}/{}", key(namespace, name)));
    }

    pub(super) fn is_next_write_forced(&self, resource: &str, namespace: &str, name: &str) -> bool {
        self.changed_by_next_write.contains(&format!("{resource}/{}", key(namespace, name)))
    }
}

/// Returns the key of an object within its resource; keys sort in list order.
pub(super) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// Returns the namespace (empty if there is none) and the name of an object.
pub(super) fn names(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Returns an object's metadata, and adds it if missing.
///
/// # Panics
/// The value is not a JSON object; decoding refuses those.
pub(super) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = object
        .as_object_mut()
        .expect("decoded objects are JSON objects")
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("it was made one above")
}
