//! The verbs delete and deletecollection.

use serde_json::{Value, json};

use super::ApiCall;
use crate::kubernetes::decode;
use crate::kubernetes::lifecycle::{self, Deletion, Propagation};
use crate::kubernetes::query::ListOptions;
use crate::kubernetes::response_format::list_metadata;
use crate::kubernetes::selector::Selection;
use crate::kubernetes::status::{FieldError, StatusError, about, json_reply};
use crate::kubernetes::store::{Store, names};
use crate::request::Reply;

/// The options of a deletion.
struct DeleteOptions {
    propagation: Propagation,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

fn delete_options(call: &ApiCall<'_>) -> Result<DeleteOptions, StatusError> {
    let options = if call.request.body.is_empty() { json!({}) } else { decode::object(call.request)? };
    let query = |name: &str| call.request.query(name).filter(|text| !text.is_empty());
    let text = |pointer: &str| options.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let policy = query("propagationPolicy").map(str::to_owned).or_else(|| text("/propagationPolicy"));
    let orphan = options["orphanDependents"].as_bool();
    let propagation = match (policy.as_deref(), orphan) {
        (Some("Background"), _) | (None, Some(false) | None) => Propagation::Background,
        (Some("Foreground"), _) => Propagation::Foreground,
        (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
        (Some(other), _) => {
            let choices = [json!("Foreground"), json!("Background"), json!("Orphan"), json!("nil")];
            let error = FieldError::unsupported("propagationPolicy", &json!(other), &choices);
            return Err(StatusError::invalid("DeleteOptions", "meta.k8s.io", "", &[error]));
        }
    };
    let dry_run =
        query("dryRun").is_some() || options["dryRun"].as_array().is_some_and(|list| !list.is_empty());
    Ok(DeleteOptions {
        propagation,
        uid: text("/preconditions/uid"),
        revision: text("/preconditions/resourceVersion"),
        dry_run,
    })
}

/// Deletes an object: at once, or as soon as it has no finalizers.
///
/// # Errors
/// 404 if it does not exist, 409 if a precondition fails.
pub fn delete(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let delete_options = delete_options(call)?;
    let definition = &call.resource_path.definition;
    let live = call.live(store)?;
    let is = |field: &str| live["metadata"][field].as_str().unwrap_or_default().to_owned();
    for (what, field, wanted) in [
        ("UID", "uid", &delete_options.uid),
        ("ResourceVersion", "resourceVersion", &delete_options.revision),
    ] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != is(field)) {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {}",
                is(field)
            );
            return Err(StatusError::conflict(definition, call.resource_path.name(), &why));
        }
    }
    if delete_options.dry_run {
        return Ok(json_reply(200, &success(call, &live)));
    }
    let (namespace, name) = names(&live);
    match lifecycle::delete(
        store,
        &definition.resource(),
        &namespace,
        &name,
        delete_options.propagation,
        call.now,
    ) {
        Some(Deletion::Deleted(object)) => Ok(json_reply(200, &success(call, &object))),
        Some(Deletion::Terminating(object)) => Ok(call.reply(200, &object, &[])),
        None => Err(StatusError::not_found(definition, &name)),
    }
}

fn success(call: &ApiCall<'_>, object: &Value) -> Value {
    let mut details = about(&call.resource_path.definition, call.resource_path.name());
    details["uid"] = object["metadata"]["uid"].clone();
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Deletes a selection of objects.
///
/// # Errors
/// 400 for invalid selectors.
pub fn delete_collection(
    store: &mut Store,
    call: &ApiCall<'_>,
    options: &ListOptions,
) -> Result<Reply, StatusError> {
    let delete_options = delete_options(call)?;
    let definition = &call.resource_path.definition;
    let resource = definition.resource();
    let selection = Selection::parse(&options.labels, &options.fields, &definition.kind)?;
    let chosen: Vec<Value> = store
        .list(&resource, call.resource_path.namespace.as_deref())
        .into_iter()
        .filter(|object| selection.matches(object))
        .cloned()
        .collect();
    if !delete_options.dry_run {
        for object in &chosen {
            let (namespace, name) = names(object);
            lifecycle::delete(store, &resource, &namespace, &name, delete_options.propagation, call.now);
        }
    }
    let about = list_metadata(store.revision(), None, None);
    let objects: Vec<&Value> = chosen.iter().collect();
    Ok(json_reply(200, &call.form.many(definition, about, &objects, call.now)))
}
