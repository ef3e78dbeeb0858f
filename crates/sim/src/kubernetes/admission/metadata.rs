//! Validation of an object's metadata.

use serde_json::{Map, Value, json};

use super::{each, names};
use crate::kubernetes::status::FieldError;
use crate::kubernetes::store;
use crate::kubernetes::write::Draft;

/// The maximum size of all annotations of an object in bytes.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;
/// The finalizers of the server, which have no domain.
const SERVER_FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];
/// The number of checks of the metadata in an update; each reports its errors.
const UPDATE_CHECKS: usize = 2;
const CUSTOM_UPDATE_CHECKS: usize = 3;

/// Returns the validation errors of an object's metadata.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let (_, name) = store::names(object);
    let mut errors = name_errors(draft, &name);
    let checks = match (&draft.live, draft.definition.custom) {
        (None, _) => 1,
        (Some(_), false) => UPDATE_CHECKS,
        (Some(_), true) => CUSTOM_UPDATE_CHECKS,
    };
    let of_metadata = [
        names::labels(&metadata["labels"], "metadata.labels"),
        annotation_errors(metadata),
        owner_errors(metadata).into_iter().collect(),
        finalizer_errors(draft, metadata),
    ]
    .concat();
    errors.extend(std::iter::repeat_n(of_metadata, checks).flatten());
    if let Some(template) = object.pointer("/spec/template/metadata/labels") {
        errors.extend(names::labels(template, "spec.template.metadata.labels"));
    }
    errors
}

fn name_errors(draft: &Draft, name: &str) -> Vec<FieldError> {
    let field = "metadata.name";
    if name.is_empty() {
        return vec![FieldError::required(field, "name or generateName is required")];
    }
    let why = match draft.definition.resource().as_str() {
        "namespaces" | "services" => names::dns_label(name),
        rights if rights.ends_with(".rbac.authorization.k8s.io") => {
            let bad = name == "." || name == ".." || name.contains('/') || name.contains('%');
            bad.then(|| "may not contain '/' or '%'".to_owned()).into_iter().collect()
        }
        _ => names::subdomain(name),
    };
    names::errors(field, name, &why)
}

fn annotation_errors(metadata: &Value) -> Vec<FieldError> {
    let field = "metadata.annotations";
    let annotations = || metadata["annotations"].as_object().into_iter().flatten();
    let mut errors: Vec<FieldError> = annotations()
        .flat_map(|(key, _)| names::errors(field, key, &names::qualified(&key.to_lowercase())))
        .collect();
    let bytes: usize = annotations().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(field, ANNOTATIONS_BYTES_MAX as u64));
    }
    errors
}

fn owner_errors(metadata: &Value) -> Option<FieldError> {
    let controllers: Vec<String> = each(metadata, "/ownerReferences")
        .filter(|(_, owner)| owner["controller"] == true)
        .map(|(_, owner)| {
            let text = |field: &str| owner[field].as_str().unwrap_or_default();
            format!("{}/{}", text("kind"), text("name"))
        })
        .collect();
    let [first, second, ..] = controllers.as_slice() else { return None };
    let shown: Value =
        each(metadata, "/ownerReferences").map(|(_, owner)| in_declared_order(owner)).collect();
    let why = format!(
        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
    );
    Some(FieldError::invalid("metadata.ownerReferences", &shown, &why))
}

/// Returns an owner reference with its fields in the order of their declaration.
fn in_declared_order(owner: &Value) -> Value {
    let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"].into_iter();
    let fields = fields.filter_map(|field| Some((field.to_owned(), owner.get(field)?.clone())));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn finalizer_errors(draft: &Draft, metadata: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, finalizer) in each(metadata, "/finalizers") {
        let field = format!("metadata.finalizers[{index}]");
        let text = finalizer.as_str().unwrap_or_default();
        let mut why = names::qualified(text);
        let is_bare = !text.contains('/') && !SERVER_FINALIZERS.contains(&text);
        if is_bare && !draft.definition.custom {
            why.push("name is neither a standard finalizer name nor is it fully qualified".to_owned());
        }
        errors.extend(names::errors(&field, text, &why));
    }
    errors
}

/// Returns the errors of an update of an object being deleted that adds finalizers.
pub fn new_finalizers(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let live = draft.live.as_ref().filter(|live| live["metadata"]["deletionTimestamp"].is_string());
    let Some(live) = live else { return Vec::new() };
    let list = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let old = list(live);
    let added: Vec<String> =
        list(object).iter().filter(|name| !old.contains(name)).map(Value::to_string).collect();
    if added.is_empty() {
        return Vec::new();
    }
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    vec![FieldError::forbidden("metadata.finalizers", &why); UPDATE_CHECKS]
}

/// Returns the errors of an update that names another uid than the object's.
pub fn other_uid(uid: &str) -> Vec<FieldError> {
    vec![FieldError::invalid("metadata.uid", &json!(uid), "field is immutable"); UPDATE_CHECKS]
}
