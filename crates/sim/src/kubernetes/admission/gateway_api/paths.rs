//! The rules of the path of an HTTP match.

use serde_json::Value;

use super::Rules;
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;

const CHARACTERS: &str = "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$";

/// Adds the violated rules of a path; only literal paths have some.
pub fn errors(path: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let Some(value) = path["value"].as_str() else { return };
    if path["type"] != "Exact" && path["type"] != "PathPrefix" {
        return;
    }
    let mut rules = Rules::at(at, errors);
    let kinds = "type one of ['Exact', 'PathPrefix']";
    rules.require(
        value.starts_with('/'),
        &format!("value must be an absolute path and start with '/' when {kinds}"),
    );
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        rules.require(!value.contains(part), &format!("must not contain '{part}' when {kinds}"));
    }
    for end in ["/..", "/."] {
        rules.require(!value.ends_with(end), &format!("must not end with '{end}' when {kinds}"));
    }
    rules.require(
        matches(CHARACTERS, value),
        &format!(
            "must only contain valid characters (matching {CHARACTERS}) for types ['Exact', 'PathPrefix']"
        ),
    );
}
