//! Validation of Ingresses.

use serde_json::{Value, json};

use super::each;
use crate::kubernetes::status::FieldError;

/// Returns the validation errors of an Ingress.
pub fn field_errors(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if spec.get("defaultBackend").is_none() && each(spec, "/rules").next().is_none() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid("spec", &json!([]), why));
    }
    for (rule_index, rule) in each(spec, "/rules") {
        for (index, path) in each(rule, "/http/paths") {
            let at = format!("spec.rules[{rule_index}].http.paths[{index}]");
            let is_absolute = path["path"].as_str().is_some_and(|path| path.starts_with('/'));
            if !is_absolute && path["pathType"] != "ImplementationSpecific" {
                let why = "must be an absolute path";
                errors.push(FieldError::invalid(&format!("{at}.path"), &path["path"], why));
            }
            let backend = &path["backend"];
            let port = &backend["service"]["port"];
            if backend.get("service").is_some() && port["number"].is_null() && port["name"].is_null() {
                let why = "port name or number is required";
                errors.push(FieldError::required(&format!("{at}.backend.service.port"), why));
            }
        }
    }
    errors
}
