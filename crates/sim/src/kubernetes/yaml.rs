//! YAML in requests and responses.

use http::header::CONTENT_TYPE;
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error};

use super::query::FieldValidation;
use super::status::{JSON, StatusError};
use crate::request::{Reply, Request};

/// The media type of YAML responses.
const MEDIA_TYPE: &str = "application/yaml";

/// Parses YAML (a superset of JSON) that must be an object. Of a duplicate key, the last value counts; returns
/// the warnings about such keys.
///
/// # Errors
/// 400 if it is not an object, and for duplicate keys under strict validation.
pub fn object(body: &[u8], validation: FieldValidation) -> Result<(Value, Vec<String>), StatusError> {
    if let Ok(value @ Value::Object(_)) = serde_json::from_slice(body) {
        return Ok((value, Vec::new()));
    }
    let text = std::str::from_utf8(body).map_err(|error| not_yaml(&error.to_string()))?;
    let (parsed, duplicate) = match serde_saphyr::from_str::<Value>(text) {
        Err(error) => match duplicate_key(&error) {
            Some(duplicate) => {
                let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
                (serde_saphyr::from_str_with_options(text, options), Some(duplicate))
            }
            None => (Err(error), None),
        },
        parsed => (parsed, None),
    };
    if let (Some(duplicate), FieldValidation::Strict) = (&duplicate, validation) {
        return Err(StatusError::bad_request(format!(
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {duplicate}"
        )));
    }
    let warnings = if validation == FieldValidation::Warn { duplicate } else { None };
    match parsed {
        Ok(value @ Value::Object(_)) => Ok((value, warnings.into_iter().collect())),
        Ok(other) => Err(StatusError::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go \
             value of type map[string]interface {{}}",
            go_type(&other)
        ))),
        Err(error) => Err(not_yaml(&error.to_string())),
    }
}

fn not_yaml(why: &str) -> StatusError {
    StatusError::bad_request(format!("error decoding YAML: error converting YAML to JSON: yaml: {why}"))
}

/// Returns the name of a value's type in errors of Go's JSON decoder.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        _ => "string",
    }
}

/// Returns the message about a duplicate key, if that is the error.
fn duplicate_key(error: &Error) -> Option<String> {
    let Error::DuplicateMappingKey { key, .. } = error.without_snippet() else { return None };
    let line = error.location().map_or(0, |location| location.line());
    Some(format!("line {line}: key {:?} already set in map", key.as_deref().unwrap_or_default()))
}

/// Returns a JSON reply as YAML if the request prefers it.
pub fn preferred(request: &Request, reply: Reply) -> Reply {
    let accept = request.header("accept").unwrap_or_default();
    let mut accepted = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    let preferred = accepted.find(|one| matches!(*one, MEDIA_TYPE | JSON | "*/*" | "application/*"));
    let is_json = reply.headers.get(CONTENT_TYPE).is_some_and(|value| value == JSON);
    if preferred != Some(MEDIA_TYPE) || !is_json {
        return reply;
    }
    let text = serde_saphyr::to_string(&reply.value()).expect("a JSON value is YAML");
    let mut reply = reply.with_header("content-type", MEDIA_TYPE);
    reply.body = text.into();
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::{CONFIG_MAPS, Cluster, config_map};
    use serde_json::json;

    #[test]
    fn the_last_duplicate_key_counts_unless_the_validation_is_strict() {
        let text = b"a: 1\nb: 2\na: 3\n";
        let (value, warnings) = object(text, FieldValidation::Warn).unwrap();
        assert_eq!(value, json!({"a": 3, "b": 2}));
        assert_eq!(warnings, [r#"line 3: key "a" already set in map"#]);
        assert_eq!(object(text, FieldValidation::Ignore).unwrap().1, Vec::<String>::new());
        let refused = object(text, FieldValidation::Strict).unwrap_err();
        assert!(refused.message.starts_with("error strict decoding YAML"), "{}", refused.message);
        let refused = object(b"- a", FieldValidation::Warn).unwrap_err();
        assert!(refused.message.contains("cannot unmarshal array"), "{}", refused.message);
    }

    #[test]
    fn an_object_is_answered_in_yaml_on_request() {
        let mut cluster = Cluster::new();
        cluster.post(CONFIG_MAPS, &config_map("a", json!({"k": "1"})));
        let request = Request::new(http::Method::GET, "c", &format!("{CONFIG_MAPS}/a"));
        let reply = cluster.send_request(&request.with_header("accept", MEDIA_TYPE)).reply;
        assert_eq!(reply.headers[CONTENT_TYPE], MEDIA_TYPE);
        let value: Value = serde_saphyr::from_slice(&reply.body).unwrap();
        assert_eq!(value["data"], json!({"k": "1"}));
    }
}
