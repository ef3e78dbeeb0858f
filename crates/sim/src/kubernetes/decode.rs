//! Decoding of request bodies: JSON for everything, YAML for apply and create, protobuf where clients require
//! it.

use serde_json::{Map, Value};

use super::definition::Definition;
use super::path::{ResourcePath, Subresource};
use super::protobuf;
use super::query::FieldValidation;
use super::schema::validate::{self, Wording};
use super::schema::{convert, prune};
use super::status::StatusError;
use super::store::names;
use super::yaml;
use crate::request::Request;

const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// Decodes the body of a POST or PUT.
///
/// # Errors
/// 415 for unknown types and for unsupported protobuf, 400 for text that is not an object.
pub fn object(request: &Request) -> Result<Value, StatusError> {
    let media_type = media_type(request);
    match media_type.as_str() {
        "" | "application/json" => json(&request.body),
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            yaml::object(&request.body, FieldValidation::Ignore).map(|(object, _)| object)
        }
        protobuf::MEDIA_TYPE => protobuf::object(&request.body),
        other => Err(unsupported(&format!(
            "the body of the request was in an unknown format - accepted media types include: {ACCEPTED} (it was {other:?})"
        ))),
    }
}

/// Returns the media type of a body, without parameters.
pub fn media_type(request: &Request) -> String {
    let header = request.header("content-type").unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns the error of an unsupported media type.
pub fn unsupported(message: &str) -> StatusError {
    StatusError::new(415, "UnsupportedMediaType", message)
}

/// Parses JSON that must be an object.
///
/// # Errors
/// 400 if it is not.
pub fn json(body: &[u8]) -> Result<Value, StatusError> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(StatusError::bad_request(
            "couldn't get version/kind; json parse error: the body is no object",
        )),
        Err(error) => {
            Err(StatusError::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
        }
    }
}

/// Describes why a text is not JSON as the decoder of Go does; `None` if it is JSON.
pub fn syntax_error(text: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(text).err()?;
    let text = String::from_utf8_lossy(text);
    Some(match text.trim_start().chars().next() {
        Some(first) if !matches!(first, '{' | '[' | '"' | '-' | '0'..='9' | 't' | 'f' | 'n') => {
            format!("invalid character {first:?} looking for beginning of value")
        }
        _ => "unexpected end of JSON input".to_owned(),
    })
}

/// Checks kind, namespace and name of an object against its URL, and fills in missing ones from the URL.
///
/// # Errors
/// 400 if they differ.
pub fn check_identity(resource_path: &ResourcePath, object: &mut Value) -> Result<(), StatusError> {
    let definition = &resource_path.definition;
    let (is_version, is_kind) = (text(object, "apiVersion"), text(object, "kind"));
    if resource_path.subresource != Subresource::Scale
        && ((!is_kind.is_empty() && is_kind != definition.kind)
            || (!is_version.is_empty() && is_version != definition.api_version()))
    {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({is_version}) does not match the expected API version ({}), or its kind ({is_kind}) is not {}",
            definition.api_version(),
            definition.kind,
        )));
    }
    if object.get("metadata").is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        return Err(cannot_be_handled(definition, "metadata must be an object"));
    }
    let (namespace, name) = names(object);
    if definition.namespaced && !namespace.is_empty() && namespace != resource_path.namespace() {
        return Err(StatusError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if let Some(wanted) = &resource_path.name {
        if !name.is_empty() && name != *wanted {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({wanted})"
            )));
        }
        object["metadata"]["name"] = Value::from(wanted.as_str());
    }
    if definition.namespaced {
        object["metadata"]["namespace"] = Value::from(resource_path.namespace());
    } else if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("namespace");
    }
    object["apiVersion"] = Value::from(definition.api_version());
    object["kind"] = Value::from(definition.kind.as_str());
    Ok(())
}

fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_default().to_owned()
}

/// Returns the error of a body that cannot be decoded as its kind.
pub fn cannot_be_handled(definition: &Definition, why: &str) -> StatusError {
    let kind = &definition.kind;
    StatusError::bad_request(format!(
        "{kind} in version {:?} cannot be handled as a {kind}: {why}",
        definition.version
    ))
}

/// Drops nulls and unknown fields; returns the warnings.
///
/// # Errors
/// 400 for unknown fields under strict validation, and for values of a wrong type in built-in kinds.
pub fn drop_unknown_fields(
    definition: &Definition,
    object: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, StatusError> {
    drop_nulls_below(&definition.schema, object);
    let unknown = prune::drop_unknown(&definition.schema, object);
    let texts: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    if validation == FieldValidation::Strict && !texts.is_empty() {
        let why = format!("strict decoding error: {}", texts.join(", "));
        return Err(cannot_be_handled(definition, &why));
    }
    if !definition.custom {
        let errors = validate::field_errors(&definition.schema, object, Wording::BuiltIn);
        if let Some(error) = errors.iter().find(|error| error.is_about_type()) {
            let why = format!("json: cannot unmarshal into Go struct field {}.{error}", definition.kind);
            return Err(cannot_be_handled(definition, &why));
        }
        if let Some(failure) =
            convert::failure(&definition.schema, object).filter(|failure| failure.is_format)
        {
            let why = failure.why.trim_start_matches("error decoding from json: ");
            return Err(cannot_be_handled(definition, why));
        }
    }
    Ok(if validation == FieldValidation::Warn { texts } else { Vec::new() })
}

/// Drops the nulls of an applied object, unless the schema allows null as a value. An applied custom resource does
/// not pass the decoder, which drops them, so only its metadata loses them.
pub fn drop_applied_nulls(definition: &Definition, object: &mut Value) {
    if definition.custom {
        let schema = &definition.schema["properties"]["metadata"];
        object.get_mut("metadata").into_iter().for_each(|metadata| drop_nulls_below(schema, metadata));
    } else {
        drop_nulls_below(&definition.schema, object);
    }
}

fn drop_nulls_below(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let fields = std::mem::replace(map, Map::new());
            for (name, mut value) in fields {
                let field = super::schema::traverse::field(schema, &name);
                if value.is_null()
                    && field.is_none_or(|field| {
                        field["nullable"] != Value::Bool(true) || name == "creationTimestamp"
                    })
                {
                    continue;
                }
                if let Some(field) = field {
                    drop_nulls_below(field, &mut value);
                }
                map.insert(name, value);
            }
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|item| drop_nulls_below(super::schema::traverse::items(schema), item));
        }
        _ => {}
    }
}
