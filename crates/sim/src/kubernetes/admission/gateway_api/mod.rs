//! The CEL rules of the Gateway API definitions. A rule runs only on an object that satisfies its schema.

mod filters;
mod gateways;
mod grpc;
mod paths;
mod routes;

use serde_json::Value;

use super::each;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// Returns the violated rules of an object of the Gateway API.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    match draft.definition.kind.as_str() {
        "GatewayClass" | "Gateway" => gateways::field_errors(draft, object),
        "HTTPRoute" | "GRPCRoute" => routes::field_errors(object),
        _ => Vec::new(),
    }
}

/// The violated rules at one place of an object.
struct Rules<'e> {
    field: String,
    errors: &'e mut Vec<FieldError>,
}

impl<'e> Rules<'e> {
    fn at(field: impl Into<String>, errors: &'e mut Vec<FieldError>) -> Self {
        Self { field: field.into(), errors }
    }

    /// Adds a violation unless the rule holds.
    fn require(&mut self, holds: bool, why: &str) {
        if !holds {
            self.errors.push(FieldError::rule(&self.field, why));
        }
    }
}
