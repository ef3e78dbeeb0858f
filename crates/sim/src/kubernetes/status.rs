//! Error bodies: `Status` of meta/v1, with the exact messages of a real API server.

use http::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::definition::Definition;
pub use super::field_error::FieldError;
use crate::request::Reply;

/// The media type of JSON responses.
pub(super) const JSON: &str = "application/json";

/// An error response of the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusError {
    /// The HTTP status.
    pub code: u16,
    /// The reason; empty for errors without one.
    pub reason: &'static str,
    /// The message.
    pub message: String,
    /// The details.
    pub details: Box<Value>,
    /// The `Retry-After` in whole seconds.
    pub retry_after: Option<u64>,
    /// The warnings about the request.
    pub warnings: Vec<String>,
}

impl StatusError {
    /// Creates an error without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Box::default(),
            retry_after: None,
            warnings: Vec::new(),
        }
    }

    /// Creates the 400 of a malformed request.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Creates the 404 of an object.
    pub fn not_found(definition: &Definition, name: &str) -> Self {
        let mut status_error =
            Self::new(404, "NotFound", format!("{} {name:?} not found", definition.resource()));
        status_error.details = Box::new(about(definition, name));
        status_error
    }

    /// Creates the 409 of an existing object.
    pub fn already_exists(definition: &Definition, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", definition.resource());
        let mut status_error = Self::new(409, "AlreadyExists", message);
        status_error.details = Box::new(about(definition, name));
        status_error
    }

    /// Creates the 409 of a write that conflicts with the object's current state.
    pub fn conflict(definition: &Definition, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", definition.resource());
        let mut status_error = Self::new(409, "Conflict", message);
        status_error.details = Box::new(about(definition, name));
        status_error
    }

    /// Creates the 409 of a deletion whose precondition does not hold; unlike other conflicts, it names the kind.
    pub fn failed_precondition(definition: &Definition, name: &str, why: &str) -> Self {
        let kind = definition.qualified_kind();
        let mut status_error =
            Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {kind} {name:?}: {why}"));
        status_error.details = Box::new(about(definition, name));
        status_error.details["kind"] = json!(definition.kind);
        status_error
    }

    /// Creates the 403 of a user without the right.
    pub fn forbidden(definition: &Definition, name: &str, why: &str) -> Self {
        let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let mut status_error =
            Self::new(403, "Forbidden", format!("{}{named} is forbidden: {why}", definition.resource()));
        status_error.details = Box::new(about(definition, name));
        status_error
    }

    /// Creates the 405 of a method that the path does not support.
    pub fn method_not_allowed() -> Self {
        let mut status_error = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        status_error.details = Box::new(json!({}));
        status_error
    }

    /// Creates the 404 of an unknown resource.
    pub fn no_such_resource() -> Self {
        let mut status_error = Self::new(404, "NotFound", "the server could not find the requested resource");
        status_error.details = Box::new(json!({}));
        status_error
    }

    /// Creates the 410 of a resource version that is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// Creates the 422 of an object with validation errors.
    pub fn invalid(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        // The message names equal errors once, the details all of them.
        let mut texts: Vec<String> = Vec::new();
        for text in errors.iter().map(FieldError::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let joined = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status_error =
            Self::new(422, "Invalid", format!("{qualified} {name:?} is invalid: {joined}"));
        let causes: Vec<Value> = errors.iter().map(FieldError::cause).collect();
        let mut details = Map::new();
        for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(field.into(), json!(value));
            }
        }
        details.insert("causes".into(), Value::Array(causes));
        status_error.details = Box::new(Value::Object(details));
        status_error
    }

    /// Returns the error with more details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Box::new(details);
        self
    }

    /// Returns the `Status` object.
    pub fn object(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            status["details"] = Value::clone(&self.details);
        }
        if let Some(seconds) = self.retry_after {
            status["details"]["retryAfterSeconds"] = json!(seconds);
        }
        status["code"] = json!(self.code);
        status
    }

    /// Returns the reply.
    pub fn reply(&self) -> Reply {
        let reply = with_warnings(json_reply(self.code, &self.object()), &self.warnings);
        match self.retry_after {
            Some(seconds) => reply.with_header("retry-after", &seconds.to_string()),
            None => reply,
        }
    }
}

/// Returns a JSON reply with the content type of an API server, which names no character set.
pub(super) fn json_reply(code: u16, body: &impl Serialize) -> Reply {
    Reply::json(code, body).with_header("content-type", JSON)
}

/// Returns a reply with a header for each warning.
pub(super) fn with_warnings(mut reply: Reply, warnings: &[String]) -> Reply {
    for warning in warnings {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
            reply.headers.append(HeaderName::from_static("warning"), value);
        }
    }
    reply
}

/// Returns the details of an error: the name, the group if there is one, the plural resource.
pub(super) fn about(definition: &Definition, name: &str) -> Value {
    let mut details = Map::new();
    for (field, value) in [("name", name), ("group", &definition.group), ("kind", &definition.plural)] {
        if !value.is_empty() {
            details.insert(field.into(), json!(value));
        }
    }
    Value::Object(details)
}

/// Returns the 503 of an unavailable server.
pub fn unavailable() -> Reply {
    let why = "the server is currently unable to handle the request";
    StatusError::new(503, "ServiceUnavailable", why).reply()
}

/// Returns the 429 of a server with full queues, with a `Retry-After` of one second.
pub fn too_many_requests() -> Reply {
    let why = "the server has received too many requests and has asked us to try again later";
    let mut status_error = StatusError::new(429, "TooManyRequests", why).with_details(json!({}));
    status_error.retry_after = Some(1);
    status_error.reply()
}

/// Returns the 401 of an unknown token.
pub fn unauthorized() -> Reply {
    StatusError::new(401, "Unauthorized", "Unauthorized").reply()
}
