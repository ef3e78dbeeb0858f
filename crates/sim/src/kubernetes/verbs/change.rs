//! The verbs create, update and patch.

use http::Method;
use serde_json::{Value, json};

use super::{ApiCall, validate_and_store};
use crate::kubernetes::lifecycle::name_suffix;
use crate::kubernetes::patch::{self, PatchKind, apply};
use crate::kubernetes::path::Subresource;
use crate::kubernetes::query::{FieldValidation, WriteOptions};
use crate::kubernetes::status::{FieldError, StatusError};
use crate::kubernetes::store::{Store, metadata_mut, names};
use crate::kubernetes::{admission, decode, yaml};
use crate::request::Reply;

/// Creates an object.
///
/// # Errors
/// The errors of `validate_and_store`, and 400 or 415 for bodies that cannot be decoded.
pub fn create(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let resource_path = &call.resource_path;
    if resource_path.name.is_some()
        || (resource_path.definition.namespaced && resource_path.namespace.is_none())
    {
        return Err(StatusError::method_not_allowed());
    }
    let options = WriteOptions::read(call.request, "Create")?;
    let mut object = decode::object(call.request)?;
    decode::check_identity(resource_path, &mut object)?;
    let metadata = metadata_mut(&mut object);
    // A dry run does not reach the check of the storage.
    if !options.dry_run
        && metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty())
    {
        return Err(StatusError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let named = metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if let (false, Some(prefix)) = (named, metadata.get("generateName").and_then(Value::as_str)) {
        let name = format!("{prefix}{}", name_suffix(store, prefix, call.now));
        metadata.insert("name".into(), Value::from(name));
    }
    let mut warnings =
        decode::drop_unknown_fields(&resource_path.definition, &mut object, options.validation)?;
    let draft = call.draft(None, &options.manager_or_agent(call.request), false);
    let object = validate_and_store(store, &draft, object, options.dry_run)?;
    warnings.extend(admission::warnings(&draft, &object));
    Ok(call.reply(201, &object, &warnings))
}

/// Replaces an object, or its status.
///
/// # Errors
/// The errors of `validate_and_store`; 404 if it does not exist, 409 if its resource version or uid differs.
pub fn update(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let resource_path = &call.resource_path;
    if resource_path.name.is_none() {
        return Err(StatusError::method_not_allowed());
    }
    let options = WriteOptions::read(call.request, "Update")?;
    let mut object = decode::object(call.request)?;
    decode::check_identity(resource_path, &mut object)?;
    let live = call.live(store)?;
    let mut warnings =
        decode::drop_unknown_fields(&resource_path.definition, &mut object, options.validation)?;
    check_preconditions(call, &object, Some(&live))?;
    if resource_path.definition.custom
        && object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty)
    {
        let error =
            FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
        return Err(StatusError::invalid(
            &resource_path.definition.kind,
            &resource_path.definition.group,
            resource_path.name(),
            &[error],
        ));
    }
    let draft = call.draft(Some(live), &options.manager_or_agent(call.request), false);
    let object = validate_and_store(store, &draft, object, options.dry_run)?;
    warnings.extend(admission::warnings(&draft, &object));
    Ok(call.reply(200, &object, &warnings))
}

/// Patches an object, or its status; an apply creates a missing object.
///
/// # Errors
/// The errors of `validate_and_store` and of each patch type; 415 for unknown patch types.
pub fn patch(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    if call.resource_path.name.is_none() {
        return Err(StatusError::method_not_allowed());
    }
    let options = WriteOptions::read(call.request, "Patch")?;
    match PatchKind::of(call.request, &call.resource_path.definition)? {
        PatchKind::Apply => apply_patch(store, call, &options),
        kind => other_patch(store, call, &options, kind),
    }
}

fn apply_patch(store: &mut Store, call: &ApiCall<'_>, options: &WriteOptions) -> Result<Reply, StatusError> {
    if options.manager.is_empty() {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(StatusError::invalid("PatchOptions", "meta.k8s.io", "", &[error]));
    }
    let (config, warnings) = yaml::object(&call.request.body, options.validation)?;
    let applied = apply_config(store, call, options, config, warnings.clone());
    applied.map_err(|status_error| StatusError { warnings, ..status_error })
}

fn apply_config(
    store: &mut Store,
    call: &ApiCall<'_>,
    options: &WriteOptions,
    mut config: Value,
    mut warnings: Vec<String>,
) -> Result<Reply, StatusError> {
    let resource_path = &call.resource_path;
    for field in ["apiVersion", "kind"] {
        if config[field].as_str().is_none_or(str::is_empty) {
            return Err(StatusError::bad_request(format!(
                "Object '{field}' is missing in the applied configuration"
            )));
        }
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(StatusError::bad_request("metadata.managedFields must be nil"));
    }
    decode::check_identity(resource_path, &mut config)?;
    let live = call.find(store);
    if live.is_none() && resource_path.subresource == Subresource::Status {
        return Err(StatusError::not_found(&resource_path.definition, resource_path.name()));
    }
    check_preconditions(call, &config, live.as_ref())?;
    let created = live.is_none();
    let draft = call.draft(live, &options.manager, true);
    let force = options.force.unwrap_or(false);
    let owner = draft.owner();
    let mut object =
        apply::applied(&resource_path.definition, draft.live.as_deref(), &config, &owner, force, call.now)?;
    decode::drop_applied_nulls(&resource_path.definition, &mut object);
    let object = validate_and_store(store, &draft, object, options.dry_run)?;
    warnings.extend(admission::warnings(&draft, &object));
    Ok(call.reply(if created { 201 } else { 200 }, &object, &warnings))
}

fn other_patch(
    store: &mut Store,
    call: &ApiCall<'_>,
    options: &WriteOptions,
    kind: PatchKind,
) -> Result<Reply, StatusError> {
    let resource_path = &call.resource_path;
    if options.force.is_some() {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(StatusError::invalid("PatchOptions", "meta.k8s.io", "", &[error]));
    }
    let live = call.live(store)?;
    let mut object = patch::patched(kind, &resource_path.definition, &live, &call.request.body)?;
    decode::check_identity(resource_path, &mut object)?;
    check_preconditions(call, &object, Some(&live))?;
    let mut warnings =
        match decode::drop_unknown_fields(&resource_path.definition, &mut object.clone(), options.validation)
        {
            // Under strict validation, the error for unknown fields quotes the whole patched object.
            Err(status_error)
                if options.validation == FieldValidation::Strict
                    && status_error.message.contains("strict") =>
            {
                let why = status_error.message.split_once(": ").map_or("", |(_, why)| why).to_owned();
                let error = FieldError::invalid("patch", &Value::from(object.to_string()), &why);
                let name = names(&live).1;
                return Err(StatusError::invalid(
                    &resource_path.definition.kind,
                    &resource_path.definition.group,
                    &name,
                    &[error],
                ));
            }
            other => other?,
        };
    decode::drop_unknown_fields(&resource_path.definition, &mut object, FieldValidation::Ignore)?;
    let draft = call.draft(Some(live), &options.manager_or_agent(call.request), false);
    let object = validate_and_store(store, &draft, object, options.dry_run)?;
    warnings.extend(admission::warnings(&draft, &object));
    Ok(call.reply(200, &object, &warnings))
}

/// Checks the uid and resource version in the request against the live object.
fn check_preconditions(call: &ApiCall<'_>, object: &Value, live: Option<&Value>) -> Result<(), StatusError> {
    let definition = &call.resource_path.definition;
    let name = call.resource_path.name();
    let given = |field: &str| object["metadata"][field].as_str().filter(|text| !text.is_empty());
    if let Some(uid) = given("uid") {
        let is = live.map(|live| live["metadata"]["uid"].as_str().unwrap_or_default());
        match is {
            Some(is) if is == uid => {}
            Some(_) if call.request.method == Method::PATCH => {
                let errors = admission::other_uid(uid);
                return Err(StatusError::invalid(&definition.kind, &definition.group, name, &errors));
            }
            Some(is) => {
                let why =
                    format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {is}");
                return Err(StatusError::conflict(definition, name, &why));
            }
            None => {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                return Err(StatusError::conflict(definition, name, &why));
            }
        }
    }
    if let Some(version) = given("resourceVersion") {
        if version.parse::<u64>().is_err() {
            let why = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
            return Err(StatusError::bad_request(format!(
                "metadata.resourceVersion: Invalid value: {version:?}: {why}"
            )));
        }
        if live.is_none_or(|live| live["metadata"]["resourceVersion"] != version) {
            let why =
                "the object has been modified; please apply your changes to the latest version and try again";
            return Err(StatusError::conflict(definition, name, why));
        }
    }
    Ok(())
}
