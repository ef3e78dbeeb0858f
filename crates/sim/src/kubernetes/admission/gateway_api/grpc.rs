//! The rules of the method of a gRPC match.

use serde_json::Value;

use super::Rules;
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;

const SERVICE: &str = r"^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$";
const METHOD: &str = "^[A-Za-z_][A-Za-z_0-9]*$";

/// Adds the violated rules of a gRPC method; the method of an HTTP match is a text and has none.
pub fn errors(method: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if !method.is_object() {
        return;
    }
    let mut rules = Rules::at(at, errors);
    let has = |field: &str| method.get(field).is_some();
    rules.require(
        !has("type") || has("service") || has("method"),
        "One or both of 'service' or 'method' must be specified",
    );
    if has("type") && method["type"] != "Exact" {
        return;
    }
    for (field, pattern) in [("service", SERVICE), ("method", METHOD)] {
        let why = format!("{field} must only contain valid characters (matching {pattern})");
        rules.require(method[field].as_str().is_none_or(|text| matches(pattern, text)), &why);
    }
}
