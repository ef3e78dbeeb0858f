//! The scale subresource: a Scale of autoscaling/v1 with an object's replica count.

use http::Method;
use serde_json::{Value, json};

use super::{ApiCall, validate_and_store};
use crate::kubernetes::decode;
use crate::kubernetes::patch::{self, PatchKind};
use crate::kubernetes::query::WriteOptions;
use crate::kubernetes::status::{FieldError, StatusError, json_reply};
use crate::kubernetes::store::Store;
use crate::request::Reply;

/// Reads or writes an object's scale.
///
/// # Errors
/// 404 if the object does not exist, 405 for other methods, and the validation errors of the object's kind.
pub fn serve(store: &mut Store, call: &ApiCall<'_>) -> Result<Reply, StatusError> {
    let live = call.live(store)?;
    let scale = scale_of(&live);
    let wanted = match call.request.method {
        Method::GET => return Ok(json_reply(200, &scale)),
        Method::PUT => decode::object(call.request)?,
        Method::PATCH => match PatchKind::of(call.request, &call.resource_path.definition)? {
            PatchKind::Apply => return Err(decode::unsupported("scale cannot be applied here")),
            kind => patch::patched(kind, &call.resource_path.definition, &scale, &call.request.body)?,
        },
        _ => return Err(StatusError::method_not_allowed()),
    };
    let options = WriteOptions::read(call.request, "Update")?;
    let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let error = FieldError::invalid("spec.replicas", &json!(replicas), why);
        return Err(StatusError::invalid("Scale", "autoscaling", call.resource_path.name(), &[error]));
    }
    let mut object = live.clone();
    object["spec"]["replicas"] = json!(replicas);
    let draft = call.draft(Some(live), &options.manager_or_agent(call.request), false);
    let object = validate_and_store(store, &draft, object, options.dry_run)?;
    Ok(json_reply(200, &scale_of(&object)))
}

fn scale_of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector.join(","),
        },
    })
}
