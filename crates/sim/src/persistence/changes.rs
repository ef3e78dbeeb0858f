//! The changes of the state since it was written completely: `world.changes`, one JSON line per write.
//!
//! A cluster has hundreds of objects, and a request changes a few of them. A line has those objects, and the rest of
//! the state if it changed. The first line is `{"changes": N}`: the number in the state file to which they belong. A
//! file with another number was superseded by a complete write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::kubernetes::store::Objects;
use crate::state::CloudState;

/// The size in bytes at which the state is written completely again.
const SIZE_MAX: u64 = 8 * 1024 * 1024;
/// The size in bytes of the buffer of a write.
const BUFFER: usize = 32 * 1024;

/// The file of changes.
#[derive(Debug)]
pub(super) struct ChangeFile {
    path: PathBuf,
    /// The number in the state file.
    pub number: u64,
    file: Option<File>,
    size: u64,
}

impl ChangeFile {
    pub(super) fn new(path: PathBuf, number: u64) -> Self {
        Self { path, number, file: None, size: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the next change needs a complete write.
    pub(super) fn is_full(&self) -> bool {
        self.size >= SIZE_MAX
    }

    /// Appends a line. After an error the end of the file is unknown, so the state must be written completely.
    pub(super) fn append(
        &mut self,
        write_line: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut head = String::new();
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            self.file = Some(options.create(true).write(true).truncate(true).mode(0o600).open(&self.path)?);
            head = format!("{}\n", json!({ "changes": self.number }));
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        // A line may have a megabyte, so it is never in memory as a whole.
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let written = out.write_all(head.as_bytes()).and_then(|()| write_line(&mut out));
        let written = written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
        drop(out.into_parts());
        let size = written.and_then(|()| self.file.as_mut().map_or(Ok(0), Seek::stream_position));
        self.size = *size.as_ref().unwrap_or(&SIZE_MAX);
        size.map(drop)
    }
}

/// Applies the changes of a file to the complete state with that number. The last line may be cut off: its writer
/// was killed before it answered.
pub(super) fn apply(text: &str, number: u64, state: &mut Value) -> serde_json::Result<()> {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let Some(first) = lines.next() else { return Ok(()) };
    if serde_json::from_str::<Value>(first)?["changes"] != json!(number) {
        return Ok(());
    }
    for line in lines {
        let Value::Object(mut change) = serde_json::from_str(line)? else { continue };
        if let Some(rest) = change.remove("rest") {
            replace_rest(state, rest);
        }
        for changed in change.remove("objects").as_ref().and_then(Value::as_array).into_iter().flatten() {
            set_object(state, changed);
        }
    }
    Ok(())
}

/// Replaces everything but the objects of clusters that still exist.
fn replace_rest(state: &mut Value, rest: Value) {
    let mut before = std::mem::replace(state, rest);
    let clusters = state["clusters"]["all"].as_object_mut();
    for (id, cluster) in clusters.into_iter().flatten() {
        let objects = before["clusters"]["all"][id]["store"]["objects"].take();
        if objects.is_object() {
            cluster["store"]["objects"] = objects;
        }
    }
}

/// Sets or removes the object of a change `[cluster, resource, key, object]`.
fn set_object(state: &mut Value, change: &Value) {
    let text = |index: usize| change[index].as_str().unwrap_or_default();
    let objects = &mut state["clusters"]["all"][text(0)]["store"]["objects"][text(1)];
    if objects.is_null() {
        *objects = Value::Object(Map::new());
    }
    if let Some(objects) = objects.as_object_mut() {
        match &change[3] {
            Value::Null => drop(objects.remove(text(2))),
            object => drop(objects.insert(text(2).to_owned(), object.clone())),
        }
    }
}

/// The state as it was last written.
#[derive(Debug, Default)]
pub(super) struct WrittenState {
    /// The state without the objects of clusters.
    rest: Vec<u8>,
    objects: BTreeMap<String, Objects>,
}

impl WrittenState {
    /// Remembers a complete write.
    pub(super) fn record(&mut self, state: &mut CloudState) -> serde_json::Result<()> {
        self.update(state).map(drop)
    }

    /// Returns the changes since the last call; `None` without changes.
    pub(super) fn update(&mut self, state: &mut CloudState) -> serde_json::Result<Option<Changes>> {
        let mut rest = Vec::with_capacity(self.rest.len() + self.rest.len() / 8);
        state.without_objects(|state| serde_json::to_writer(&mut rest, state))?;
        let mut objects = Vec::new();
        for (cluster, store) in state.clusters.stores() {
            let before = self.objects.entry(cluster.to_owned()).or_default();
            changed_objects(cluster, before, store.objects(), &mut objects);
        }
        self.objects.retain(|cluster, _| state.clusters.stores().any(|(id, _)| id == cluster));
        let has_rest = rest != self.rest;
        if has_rest {
            self.rest = rest;
        }
        Ok((has_rest || !objects.is_empty()).then_some(Changes { has_rest, objects }))
    }

    /// Writes the line of these changes, which are the last ones.
    pub(super) fn write_line(&self, changes: &Changes, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"{")?;
        if changes.has_rest {
            out.write_all(b"\"rest\":")?;
            out.write_all(&self.rest)?;
            out.write_all(b",")?;
        }
        out.write_all(b"\"objects\":")?;
        serde_json::to_writer(&mut *out, &changes.objects)?;
        out.write_all(b"}")
    }
}

/// The changes since the last write.
#[derive(Debug)]
pub(super) struct Changes {
    /// True if something besides the objects of clusters has.
    has_rest: bool,
    objects: Vec<Changed>,
}

/// A change of an object: the cluster, its resource, its key, and its new content or `None`.
type Changed = (String, String, String, Option<Arc<Value>>);

/// Collects the differences between two versions of a cluster's objects, and updates the first one. A write replaces
/// an object, so an unchanged object is the same allocation.
fn changed_objects(cluster: &str, before: &mut Objects, now: &Objects, changed: &mut Vec<Changed>) {
    let none = BTreeMap::new();
    let resources: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let resources: Vec<String> = resources.into_iter().cloned().collect();
    for resource in resources {
        let (was, is) = (before.get(&resource).unwrap_or(&none), now.get(&resource).unwrap_or(&none));
        let same = |(a, b): (&Arc<Value>, &Arc<Value>)| Arc::ptr_eq(a, b);
        if was.len() == is.len() && was.keys().eq(is.keys()) && was.values().zip(is.values()).all(same) {
            continue;
        }
        let mut change = |key: &String, object: Option<Arc<Value>>| {
            changed.push((cluster.to_owned(), resource.clone(), key.clone(), object));
        };
        for key in was.keys().filter(|key| !is.contains_key(*key)) {
            change(key, None);
        }
        for (key, object) in is {
            if !was.get(key).is_some_and(|was| Arc::ptr_eq(was, object)) {
                change(key, Some(Arc::clone(object)));
            }
        }
        let is = is.clone();
        before.insert(resource, is);
    }
}
