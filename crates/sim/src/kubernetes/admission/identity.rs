//! Validation of names, labels and annotations.

use serde_json::Value;

use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::store::names;
use crate::kubernetes::write::Draft;

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SERVICE: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
/// The maximum size of all annotations of an object in bytes.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Returns the validation errors of an object's metadata.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let (_, name) = names(object);
    let mut errors: Vec<FieldError> = name_error(draft, &name).into_iter().collect();
    errors.extend(label_errors(&metadata["labels"], "metadata.labels"));
    if let Some(template) = object.pointer("/spec/template/metadata/labels") {
        errors.extend(label_errors(template, "spec.template.metadata.labels"));
    }
    let annotations = metadata["annotations"].as_object();
    for key in annotations.into_iter().flat_map(|map| map.keys()) {
        errors.extend(key_error(key, "metadata.annotations"));
    }
    let bytes: usize = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_BYTES_MAX as u64));
    }
    errors
}

fn name_error(draft: &Draft, name: &str) -> Option<FieldError> {
    let field = "metadata.name";
    let value = Value::String(name.to_owned());
    if name.is_empty() {
        return Some(FieldError::required(field, "name or generateName is required"));
    }
    let (pattern, most, why) = match draft.definition.resource().as_str() {
        "namespaces" => (LABEL, 63, label_rule()),
        "services" => (SERVICE, 63, service_rule()),
        rights if rights.ends_with(".rbac.authorization.k8s.io") => {
            let bad = name == "." || name == ".." || name.contains('/') || name.contains('%');
            return bad.then(|| FieldError::invalid(field, &value, "may not contain '/' or '%'"));
        }
        _ => (SUBDOMAIN, 253, subdomain_rule()),
    };
    if name.len() > most {
        return Some(FieldError::invalid(field, &value, &format!("must be no more than {most} bytes")));
    }
    (!matches(&format!("^{pattern}$"), name)).then(|| FieldError::invalid(field, &value, &why))
}

fn subdomain_rule() -> String {
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
     start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '"
        .to_owned()
        + SUBDOMAIN
        + "')"
}

/// Returns the error message for an invalid DNS label.
pub fn label_rule() -> String {
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
     end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '"
        .to_owned()
        + LABEL
        + "')"
}

fn service_rule() -> String {
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation \
     is '"
        .to_owned()
        + SERVICE
        + "')"
}

/// Returns whether a text is a DNS label.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && matches(&format!("^{LABEL}$"), text)
}

fn label_errors(labels: &Value, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        errors.extend(key_error(key, field));
        let Some(text) = value.as_str() else { continue };
        if text.len() > 63 {
            errors.push(FieldError::invalid(field, value, "must be no more than 63 bytes"));
        } else if !matches(&format!("^{LABEL_VALUE}$"), text) {
            let why =
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                       '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                       'my_value',  or '12345', regex used for validation is '"
                    .to_owned()
                    + LABEL_VALUE
                    + "')";
            errors.push(FieldError::invalid(field, value, &why));
        }
    }
    errors
}

fn key_error(key: &str, field: &str) -> Option<FieldError> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let value = Value::String(key.to_owned());
    if prefix.is_some_and(|prefix| !matches(&format!("^{SUBDOMAIN}$"), &prefix.to_lowercase())) {
        return Some(FieldError::invalid(field, &value, &format!("prefix part {}", subdomain_rule())));
    }
    if name.is_empty() {
        return Some(FieldError::invalid(field, &value, "name part must be non-empty"));
    }
    if name.len() > 63 {
        return Some(FieldError::invalid(field, &value, "name part must be no more than 63 bytes"));
    }
    let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
               alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '"
        .to_owned()
        + QUALIFIED
        + "')";
    (!matches(&format!("^{QUALIFIED}$"), name)).then(|| FieldError::invalid(field, &value, &why))
}
