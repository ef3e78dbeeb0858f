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

/// The namespaces that cannot be deleted.
const PERMANENT_NAMESPACES: [&str; 3] = ["default", "kube-public", "kube-system"];
/// The resources whose deletion returns the deleted object.
const RETURNED: [&str; 7] = [
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
];

/// The options of a deletion.
struct DeleteOptions {
    propagation: Propagation,
    /// The grace period of pods, in seconds.
    grace: Option<i64>,
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
    if let (Some(policy), Some(_)) = (&policy, orphan) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        let error = FieldError::invalid("propagationPolicy", &json!(policy), why);
        return Err(StatusError::invalid("DeleteOptions", "meta.k8s.io", "", &[error]));
    }
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
    let grace = query("gracePeriodSeconds").and_then(|text| text.parse().ok());
    Ok(DeleteOptions {
        propagation,
        grace: grace.or_else(|| options["gracePeriodSeconds"].as_i64()),
        uid: text("/preconditions/uid"),
        revision: text("/preconditions/resourceVersion"),
        dry_run,
    })
}

/// Deletes an object: at once, or as soon as it has no finalizers and its containers have ended.
///
/// # Errors
/// 404 if it does not exist, 409 if a precondition fails.
pub fn delete(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let delete_options = delete_options(call)?;
    let definition = &call.resource_path.definition;
    let live = call.live(store)?;
    let is = |field: &str| live["metadata"][field].as_str().unwrap_or_default().to_owned();
    for (what, field, wanted, happened) in [
        ("UID", "uid", &delete_options.uid, "deleted and then recreated"),
        ("ResourceVersion", "resourceVersion", &delete_options.revision, "modified"),
    ] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != is(field)) {
            let why = format!(
                "the {what} in the precondition ({wanted}) does not match the {what} in record ({}). The object \
                 might have been {happened}",
                is(field)
            );
            return Err(StatusError::failed_precondition(definition, call.resource_path.name(), &why));
        }
    }
    if definition.resource() == "namespaces" && PERMANENT_NAMESPACES.contains(&call.resource_path.name()) {
        let why = "this namespace may not be deleted";
        return Err(StatusError::forbidden(definition, call.resource_path.name(), why));
    }
    if delete_options.dry_run {
        return Ok(deleted(call, &live));
    }
    let (namespace, name) = names(&live);
    match lifecycle::delete(
        store,
        &definition.resource(),
        &namespace,
        &name,
        delete_options.propagation,
        delete_options.grace,
        call.now,
    ) {
        Some(Deletion::Deleted(object)) => Ok(deleted(call, &object)),
        Some(Deletion::Terminating(object)) => Ok(call.reply(200, &object, &[])),
        None => Err(StatusError::not_found(definition, &name)),
    }
}

/// Returns the answer to a completed deletion: for a few kinds the object, for all others a Status.
fn deleted(call: &ApiCall<'_>, object: &Value) -> Reply {
    if RETURNED.contains(&call.resource_path.definition.resource().as_str()) {
        return call.reply(200, object, &[]);
    }
    let mut details = about(&call.resource_path.definition, call.resource_path.name());
    details["uid"] = object["metadata"]["uid"].clone();
    let status = "Success";
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status, "details": details});
    json_reply(200, &status)
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
    let selection = Selection::parse(&options.labels, &options.fields, definition)?;
    let chosen: Vec<Value> = store
        .list(&resource, call.resource_path.namespace.as_deref())
        .into_iter()
        .filter(|object| selection.matches(object))
        .cloned()
        .collect();
    if !delete_options.dry_run {
        for object in &chosen {
            let (namespace, name) = names(object);
            let (propagation, grace) = (delete_options.propagation, delete_options.grace);
            lifecycle::delete(store, &resource, &namespace, &name, propagation, grace, call.now);
        }
    }
    let about = list_metadata(store.revision(), None, None);
    let objects: Vec<&Value> = chosen.iter().collect();
    Ok(call.form.many(definition, about, &objects, call.now))
}
