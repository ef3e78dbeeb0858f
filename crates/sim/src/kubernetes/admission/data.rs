//! Validation of Secrets, ConfigMaps and role bindings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::unchanged;
use crate::kubernetes::decode;
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// The maximum size of all values of a Secret or ConfigMap in bytes.
const DATA_BYTES_MAX: usize = 1024 * 1024;

/// Returns the validation errors of a Secret or ConfigMap.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            bytes += value.as_str().map_or(0, str::len);
            if key.len() > 253 || key == "." || key == ".." || !matches("^[-._a-zA-Z0-9]+$", key) {
                let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                           'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                           '[-._a-zA-Z0-9]+')";
                errors.push(FieldError::invalid(&format!("{field}[{key}]"), &json!(key), why));
            }
        }
    }
    if bytes > DATA_BYTES_MAX {
        errors.push(FieldError::too_long("data", DATA_BYTES_MAX as u64));
    }
    let required: &[&str] = match object["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        _ => &[],
    };
    for key in required {
        if object["data"].get(*key).is_none() {
            errors.push(FieldError::required(&format!("data[{key}]"), ""));
        }
    }
    if object["type"] == "kubernetes.io/dockerconfigjson" {
        errors.extend(docker_error(&object["data"][".dockerconfigjson"]));
    }
    if draft.definition.kind == "Secret" {
        errors.extend(unchanged(draft, object, "/type", "type", "field is immutable"));
    }
    let is_frozen = draft.live.as_ref().is_some_and(|live| live["immutable"] == json!(true));
    if is_frozen {
        let live = draft.live.as_deref();
        for field in ["data", "binaryData", "immutable"] {
            if live.and_then(|live| live.get(field)) != object.get(field) {
                errors.push(FieldError::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
    errors
}

/// Returns an error if the configuration of a registry is not JSON. The message hides it.
fn docker_error(encoded: &Value) -> Option<FieldError> {
    let text = STANDARD.decode(encoded.as_str()?).ok()?;
    let why = decode::syntax_error(&text)?;
    Some(FieldError::invalid("data[.dockerconfigjson]", &json!("<secret contents redacted>"), &why))
}

/// Returns the validation errors of a role binding: its role is immutable.
pub fn binding_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    unchanged(draft, object, "/roleRef", "roleRef", "cannot change roleRef").into_iter().collect()
}
