//! The verbs for objects.

pub mod change;
pub mod delete;
pub mod log;
pub mod read;
pub mod scale;

use std::sync::Arc;

use serde_json::{Value, json};

use super::admission;
use super::conversion;
use super::patch::json_patch;
use super::path::{ResourcePath, Subresource};
use super::response_format::ResponseFormat;
use super::status::{StatusError, json_reply, with_warnings};
use super::store::{Store, names};
use super::write::{self, Draft, WriteScope};
use crate::clock::SimTime;
use crate::request::{Reply, Request};

/// A request for objects.
pub struct ApiCall<'a> {
    /// The request.
    pub request: &'a Request,
    /// The location of the objects.
    pub resource_path: ResourcePath,
    /// The response format.
    pub form: ResponseFormat,
    /// The arrival time.
    pub now: SimTime,
}

impl ApiCall<'_> {
    /// Returns the object in the URL.
    ///
    /// # Errors
    /// 404 if it does not exist.
    pub fn live(&self, store: &Store) -> Result<Value, StatusError> {
        self.find(store)
            .ok_or_else(|| StatusError::not_found(&self.resource_path.definition, self.resource_path.name()))
    }

    /// Returns the object in the URL in the version of the URL, if it exists.
    pub fn find(&self, store: &Store) -> Option<Value> {
        let definition = &self.resource_path.definition;
        let (namespace, name) = (self.resource_path.namespace(), self.resource_path.name());
        let stored = store.get(&definition.resource(), namespace, name)?;
        Some(conversion::converted(definition, stored).into_owned())
    }

    /// Creates the draft of a write.
    pub fn draft(&self, live: Option<Value>, manager: &str, applied: bool) -> Draft {
        Draft {
            definition: self.resource_path.definition.clone(),
            live: live.map(Arc::new),
            manager: manager.to_owned(),
            part: match self.resource_path.subresource {
                Subresource::Status => WriteScope::Status,
                Subresource::Scale => WriteScope::Scale,
                Subresource::Main | Subresource::Log | Subresource::Token | Subresource::Unavailable(_) => {
                    WriteScope::Main
                }
            },
            applied,
            at: self.now,
        }
    }

    /// Returns a response with one object and warnings.
    pub fn reply(&self, status: u16, object: &Value, warnings: &[String]) -> Reply {
        let object = self.form.one(&self.resource_path.definition, object, self.now);
        with_warnings(json_reply(status, &object), warnings)
    }
}

/// The maximum depth of an object. The state file nests it and its field ownership deeper, and only 127 levels can be
/// read.
const DEPTH_MAX: usize = 64;

/// Validates an object and stores it, except in a dry run; returns the resulting object.
///
/// # Errors
/// 404 for a missing namespace, 403 for one being deleted, 409 for an existing name, 422 for validation
/// errors.
pub fn validate_and_store(
    store: &mut Store,
    draft: &Draft,
    object: Value,
    dry_run: bool,
) -> Result<Value, StatusError> {
    if json_patch::depth(&object) > DEPTH_MAX {
        let why = format!(
            "the object is nested more than {DEPTH_MAX} levels deep, which the simulated cluster cannot store"
        );
        return Err(StatusError::bad_request(why));
    }
    let (namespace, name) = names(&object);
    let definition = &draft.definition;
    if draft.live.is_none() && definition.namespaced {
        check_namespace(store, draft, &namespace, &name)?;
    }
    let mut addresses = store.addresses;
    let prepared = write::prepare(store, &mut addresses, draft, object);
    let mut errors = admission::field_errors(draft, &prepared.object);
    errors.extend(admission::new_finalizers(draft, &prepared.object));
    if !errors.is_empty() {
        return Err(StatusError::invalid(&definition.kind, &definition.group, &name, &errors));
    }
    if draft.live.is_none() && store.get(&definition.resource(), &namespace, &name).is_some() {
        return Err(StatusError::already_exists(definition, &name));
    }
    let recorded = write::record_changes(draft, prepared);
    if dry_run {
        return Ok(recorded);
    }
    store.addresses = addresses;
    Ok(Arc::unwrap_or_clone(write::persist(store, draft, recorded).0))
}

fn check_namespace(store: &Store, draft: &Draft, namespace: &str, name: &str) -> Result<(), StatusError> {
    let namespaces = store.definition("namespaces").expect("namespaces are always served");
    let Some(found) = store.get("namespaces", "", namespace) else {
        return Err(StatusError::not_found(&namespaces, namespace));
    };
    if found["metadata"]["deletionTimestamp"].is_string() {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut status_error = StatusError::forbidden(&draft.definition, name, &why);
        let cause = json!({
            "reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        });
        status_error.details["causes"] = json!([cause]);
        return Err(status_error);
    }
    Ok(())
}
