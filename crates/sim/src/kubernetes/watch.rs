//! Watches: the changes of a selection of objects, one JSON line per event.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::definition::Definition;
use super::query::ListOptions;
use super::response_format::ResponseFormat;
use super::selector::Selection;
use super::status::StatusError;
use super::store::{Change, Store};
use crate::clock::SimTime;

/// The default timeout of a watch in seconds; a real server picks between this and twice it.
const DEFAULT_TIMEOUT_SECONDS: u64 = 1_800;
/// The time between the last bookmark and the end of a watch, in milliseconds.
const LAST_BOOKMARK_MS: i64 = 500;

/// One client's watch.
#[derive(Debug, Clone)]
pub struct Watch {
    definition: Arc<Definition>,
    namespace: Option<String>,
    selection: Selection,
    form: ResponseFormat,
    bookmarks: bool,
    bookmarked: bool,
    position: u64,
    pending: Vec<Bytes>,
    last_bookmark: SimTime,
    until: SimTime,
}

impl Watch {
    /// Starts a watch: optionally with the existing objects, then with all later changes.
    pub(super) fn begin(
        store: &Store,
        definition: Arc<Definition>,
        namespace: Option<String>,
        selection: Selection,
        form: ResponseFormat,
        options: &ListOptions,
        now: SimTime,
    ) -> Self {
        let seconds =
            options.timeout_seconds.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let length = i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let until = now.plus_ms(length);
        let mut watch = Self {
            definition,
            namespace,
            selection,
            form,
            bookmarks: options.bookmarks,
            bookmarked: false,
            position: options.revision.filter(|revision| *revision > 0).unwrap_or(store.revision()),
            pending: Vec::new(),
            last_bookmark: until.plus_ms(-LAST_BOOKMARK_MS.min(length / 2)),
            until,
        };
        let from_the_start = options.revision.is_none_or(|revision| revision == 0);
        if options.initial_events.unwrap_or(from_the_start) {
            watch.queue_initial_events(store, options.initial_events == Some(true), now);
        }
        watch
    }

    fn queue_initial_events(&mut self, store: &Store, send_end_bookmark: bool, now: SimTime) {
        self.position = store.revision();
        for object in store.list(&self.definition.resource(), self.namespace.as_deref()) {
            if self.selection.matches(object) {
                self.pending.push(self.event("ADDED", object, now));
            }
        }
        if send_end_bookmark && self.bookmarks {
            let marks = json!({"k8s.io/initial-events-end": "true"});
            self.pending.push(self.bookmark(Some(marks)));
        }
    }

    /// Returns the events since the last poll, and whether the watch has ended.
    pub fn poll(&mut self, store: &Store, now: SimTime) -> (Vec<Bytes>, bool) {
        let mut events = std::mem::take(&mut self.pending);
        if self.position < store.oldest_revision() {
            let message =
                format!("too old resource version: {} ({})", self.position, store.oldest_revision());
            events.push(line("ERROR", &StatusError::expired(message).object()));
            return (events, true);
        }
        for change in store.changes_after(self.position).filter(|change| change.revision > self.position) {
            events.extend(self.change_event(change, now));
        }
        self.position = self.position.max(store.revision());
        if self.bookmarks && !self.bookmarked && now >= self.last_bookmark {
            self.bookmarked = true;
            events.push(self.bookmark(None));
        }
        (events, now >= self.until)
    }

    /// Returns the latest time of the next poll.
    pub fn deadline(&self) -> SimTime {
        if self.bookmarks && !self.bookmarked { self.last_bookmark } else { self.until }
    }

    /// Returns the event of a change in this watch. An object that enters the selection is added, one that
    /// leaves it is deleted.
    fn change_event(&self, change: &Change, now: SimTime) -> Option<Bytes> {
        if change.resource != self.definition.resource() {
            return None;
        }
        let chosen = |object: &&Arc<Value>| {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
                && self.selection.matches(object)
        };
        let before = change.before.as_ref().filter(chosen);
        let after = change.after.as_ref().filter(chosen);
        match (before, after) {
            (None, None) => None,
            (None, Some(object)) => Some(self.event("ADDED", object, now)),
            (Some(_), Some(object)) => Some(self.event("MODIFIED", object, now)),
            (Some(object), None) => {
                // The last version of the object, with the resource version of its deletion.
                let mut object = Value::clone(object);
                object["metadata"]["resourceVersion"] = json!(change.revision.to_string());
                Some(self.event("DELETED", &object, now))
            }
        }
    }

    fn event(&self, kind: &str, object: &Value, now: SimTime) -> Bytes {
        line(kind, &self.form.one(&self.definition, object, now))
    }

    fn bookmark(&self, annotations: Option<Value>) -> Bytes {
        let (kind, version) = match self.form {
            ResponseFormat::Object => (self.definition.kind.as_str(), self.definition.api_version()),
            ResponseFormat::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
            ResponseFormat::Table => ("Table", "meta.k8s.io/v1".to_owned()),
        };
        let mut metadata = json!({"resourceVersion": self.position.to_string()});
        if let Some(annotations) = annotations {
            metadata["annotations"] = annotations;
        }
        if self.form == ResponseFormat::Object || self.form == ResponseFormat::Metadata {
            metadata["creationTimestamp"] = Value::Null;
        }
        line("BOOKMARK", &json!({"kind": kind, "apiVersion": version, "metadata": metadata}))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = json!({"type": kind, "object": object}).to_string();
    text.push('\n');
    Bytes::from(text)
}
