//! Validation errors of single fields, with the exact messages of a real API server.

use std::fmt;

use serde_json::{Value, json};

/// A validation error of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    reason: &'static str,
    field: String,
    message: String,
}

impl FieldError {
    fn new(reason: &'static str, field: &str, message: String) -> Self {
        // The placeholder for the whole object.
        let field = if field.is_empty() { "<nil>" } else { field };
        Self { reason, field: field.to_owned(), message }
    }

    /// The field is missing.
    pub fn required(field: &str, why: &str) -> Self {
        let more = if why.is_empty() { String::new() } else { format!(": {why}") };
        Self::new("FieldValueRequired", field, format!("Required value{more}"))
    }

    /// The value is invalid.
    pub fn invalid(field: &str, value: &Value, why: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {why}"))
    }

    /// The value, shown in a format other than JSON, is invalid.
    pub fn invalid_text(field: &str, shown: &str, why: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {shown}: {why}"))
    }

    /// A structure or list violates a rule of its kind; the value is not shown.
    pub fn rule(field: &str, why: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {why}"))
    }

    /// The value has the wrong type.
    pub fn wrong_type(field: &str, value: &Value, why: &str) -> Self {
        Self::new("FieldValueTypeInvalid", field, format!("Invalid value: {value}: {why}"))
    }

    /// The value is not in the list of choices.
    pub fn unsupported(field: &str, value: &Value, choices: &[Value]) -> Self {
        let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", choices.join(", "));
        Self::new("FieldValueNotSupported", field, message)
    }

    /// The value is a duplicate.
    pub fn duplicate(field: &str, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value}"))
    }

    /// The value refers to a missing object.
    pub fn missing(field: &str, value: &Value) -> Self {
        Self::new("FieldValueNotFound", field, format!("Not found: {value}"))
    }

    /// The field must not be set.
    pub fn forbidden(field: &str, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    /// The text is too long.
    pub fn too_long(field: &str, most: u64) -> Self {
        Self::new("FieldValueTooLong", field, format!("Too long: may not be more than {most} bytes"))
    }

    /// There are too many items.
    pub fn too_many(field: &str, is: usize, most: u64) -> Self {
        Self::new("FieldValueTooMany", field, format!("Too many: {is}: must have at most {most} items"))
    }

    /// Returns whether the error is about the value's type.
    pub fn is_about_type(&self) -> bool {
        self.reason == "FieldValueTypeInvalid"
    }

    /// Returns whether the rules of the kind cannot be evaluated on an object with this error.
    pub fn prevents_rules(&self) -> bool {
        const REASONS: [&str; 5] = [
            "FieldValueNotSupported",
            "FieldValueRequired",
            "FieldValueTooLong",
            "FieldValueTooMany",
            "FieldValueTypeInvalid",
        ];
        REASONS.contains(&self.reason)
    }

    /// Returns the cause in the details of a `Status`.
    pub(super) fn cause(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
