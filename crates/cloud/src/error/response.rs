//! Parsing of the error bodies that services send, in each of their shapes.
//!
//! | who | shape |
//! |---|---|
//! | Resource Manager, Network, Authorization | `{"error":{"code","message","details":[…]}}` |
//! | AKS, sometimes Azure DNS | the same without the `error` around it |
//! | AKS inside a deployment | one of these, as a string in `details[].message` |
//! | Key Vault | `{"error":{"code","message","innererror":{"code"}}}` |
//! | gateways on the way | anything, often HTML |

use super::{ApiError, ApiErrorKind, SendStatus};
use crate::{
    header_text::HeaderText,
    pipeline::{EARLIER_ACCEPTED, EARLIER_ATTEMPT_LOST},
    retry,
};
use azure_core::http::headers::{HeaderName, Headers};
use serde_json::Value;
use std::time::SystemTime;

/// Codes that only refer to the details.
const WRAPPERS: [&str; 6] = [
    "DeploymentFailed",
    "ResourceDeploymentFailure",
    "MultipleErrorsOccurred",
    "InvalidTemplateDeployment",
    "RetryableError",
    "ResourceOperationFailure",
];

/// The maximum depth to which nested errors are read.
const DEPTH_MAX: usize = 6;

/// The maximum length of a non-JSON body that is kept as a message, in characters.
const TEXT_MAX: usize = 300;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");
const WWW_AUTHENTICATE: HeaderName = HeaderName::from_static("www-authenticate");

/// Parses an answer whose status is an error.
pub(crate) fn from_response(status: u16, headers: &Headers, body: &[u8]) -> ApiError {
    let parsed = match serde_json::from_slice::<Value>(body) {
        Ok(value) => ParsedError::of(&value, 0),
        Err(_) => None,
    };
    let mut parsed =
        parsed.unwrap_or_else(|| ParsedError { message: plain_text(body, status), ..ParsedError::default() });
    if parsed.message.trim().is_empty() {
        parsed.message = plain_text(&[], status);
    }
    if parsed.code.is_none() {
        parsed.code = headers.text(&ERROR_CODE).map(str::to_owned);
    }
    let mut error = parsed.into_error(Some(status));
    error.status = Some(status);
    if let Some(tenant) = headers.text(&WWW_AUTHENTICATE).and_then(tenant_of) {
        error.details.push(("ExpectedTenant".to_owned(), tenant.to_owned()));
    }
    if let Some(earlier) = headers.text(&EARLIER_ATTEMPT_LOST) {
        // This refusal may concern what the lost attempt created.
        error = error.at_least(if earlier == EARLIER_ACCEPTED {
            SendStatus::Accepted
        } else {
            SendStatus::Unknown
        });
    }
    error.retry_after = retry::retry_after(headers, SystemTime::now());
    error.request_id = headers.text(&REQUEST_ID).map(str::to_owned);
    error.correlation_id = headers.text(&CORRELATION_ID).map(str::to_owned);
    error
}

/// Parses the `error` of an operation or a resource that ended in `state`, `Failed` or `Canceled`.
pub(crate) fn from_operation(state: &str, error: Option<&Value>) -> ApiError {
    let mut parsed = error.and_then(|value| ParsedError::of(value, 0)).unwrap_or_default();
    if parsed.message.is_empty() {
        parsed.message = format!("the operation ended as {state}");
    }
    if parsed.code.is_none() {
        parsed.code = Some(state.to_owned());
    }
    parsed.into_error(None)
}

/// The contents of an error object, independent of its shape.
#[derive(Default)]
struct ParsedError {
    code: Option<String>,
    inner_code: Option<String>,
    message: String,
    details: Vec<(String, String)>,
}

impl ParsedError {
    /// Parses one error object, with or without the envelope, and its nested errors.
    fn of(value: &Value, depth: usize) -> Option<Self> {
        let error = match value.get("error") {
            Some(inner @ Value::Object(_)) => inner,
            _ => value,
        };
        let text = |name: &str| {
            error.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (code, message) = (text("code"), text("message"));
        // Entra's token endpoint sends `error` as a string, with `error_description` beside it.
        let (code, message) = match (code, message, value.get("error_description").and_then(Value::as_str)) {
            (None, None, Some(description)) => {
                (value.get("error").and_then(Value::as_str).map(str::to_owned), Some(description.to_owned()))
            }
            (code, message, _) => (code, message),
        };
        if code.is_none() && message.is_none() {
            return None;
        }
        let mut parsed = Self { code, message: message.unwrap_or_default(), ..Self::default() };
        parsed.inner_code = innermost(error.get("innererror"));
        if depth < DEPTH_MAX {
            parsed.collect_details(error, depth);
        }
        Some(parsed)
    }

    /// Adds the details. If this error only wraps them, the first detail replaces its code and message.
    fn collect_details(&mut self, error: &Value, depth: usize) {
        let listed = error.get("details").and_then(Value::as_array).into_iter().flatten();
        let mut within: Vec<Self> = listed.filter_map(|detail| Self::of(detail, depth + 1)).collect();
        // A provider's error arrives as a JSON text in place of the message.
        if let Ok(nested @ Value::Object(_)) = serde_json::from_str::<Value>(&self.message)
            && let Some(nested) = Self::of(&nested, depth + 1)
        {
            within.insert(0, nested);
            self.message.clear();
        }
        for detail in &within {
            self.details.push((detail.code.clone().unwrap_or_default(), detail.message.clone()));
            self.details.extend(detail.details.iter().cloned());
        }
        let wraps = self.message.is_empty()
            || self.code.as_deref().is_none_or(|code| WRAPPERS.iter().any(|w| w.eq_ignore_ascii_case(code)));
        if let (true, Some(first)) = (wraps, within.into_iter().next()) {
            if let (Some(outer), false) = (&self.code, self.message.is_empty()) {
                self.details.insert(0, (outer.clone(), self.message.clone()));
            }
            self.code = first.code.or(self.code.take());
            self.inner_code = first.inner_code.or(self.inner_code.take());
            self.message = first.message;
        }
    }

    fn into_error(self, status: Option<u16>) -> ApiError {
        let mut error = ApiError::new(self.kind(status), self.message);
        error.code = self.code;
        error.inner_code = self.inner_code;
        error.details = self.details;
        error
    }

    /// Returns the kind: first by the codes that mean the same under several statuses, then by the status.
    fn kind(&self, status: Option<u16>) -> ApiErrorKind {
        let is = |wanted: &str| {
            [&self.code, &self.inner_code].into_iter().flatten().any(|code| code.eq_ignore_ascii_case(wanted))
        };
        let conflict = matches!(status, Some(409) | None);
        let means = |code: &str, part: &str| conflict && is(code) && self.message.contains(part);
        if BUSY.iter().any(|code| is(code)) || BUSY_IF.iter().any(|(code, part)| means(code, part)) {
            return ApiErrorKind::Busy;
        }
        if is("InvalidAuthenticationTokenTenant") {
            return ApiErrorKind::SignIn;
        }
        match status {
            None => ApiErrorKind::Failed,
            Some(404 | 410) => ApiErrorKind::NotFound,
            Some(409) => ApiErrorKind::Conflict,
            Some(412) => ApiErrorKind::Precondition,
            Some(401) => ApiErrorKind::Unauthorized,
            Some(403) => ApiErrorKind::Forbidden,
            Some(429) => ApiErrorKind::Throttled,
            // The API server answers 500 for an object that does not fit its kind; a retry does not help.
            Some(500) if UNFIT_OBJECT.iter().any(|part| self.message.contains(part)) => ApiErrorKind::Invalid,
            Some(408 | 500..) => ApiErrorKind::Unavailable,
            Some(400..) => ApiErrorKind::Invalid,
            Some(_) => ApiErrorKind::Protocol,
        }
    }
}

/// Parts of the API server's messages about an object that does not fit its kind.
const UNFIT_OBJECT: [&str; 2] = ["failed to create typed patch object", "failed to convert new object"];
/// Codes of a resource that another operation occupies, under any status: wait for it and read again.
const BUSY: [&str; 12] = [
    "EtagMismatch",
    "AnotherOperationInProgress",
    "RetryableError",
    "RetryableErrorDueToAnotherOperation",
    "ReferencedResourceNotProvisioned",
    "AKSOperationPreempted",
    "ObjectIsBeingRecovered",
    "ObjectIsBeingDeleted",
    "ObjectIsBeingCreated",
    "CanceledAndSupersededDueToAnotherOperation",
    "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
    "StorageAccountOperationInProgress",
];
/// Codes of a conflict that mean the same if the message has this part: of AKS, and of a vault.
const BUSY_IF: [(&str, &str); 2] =
    [("OperationNotAllowed", "in progress"), ("ConflictError", "parallel operations")];

/// Returns the tenant that a 401 requires: the end of `authorization_uri`, or of a vault's `authorization`.
fn tenant_of(challenge: &str) -> Option<&str> {
    let (_, rest) =
        challenge.split_once("authorization_uri=\"").or_else(|| challenge.split_once("authorization=\""))?;
    let (uri, _) = rest.split_once('"')?;
    uri.trim_end_matches('/').rsplit('/').next().filter(|tenant| uuid::Uuid::parse_str(tenant).is_ok())
}

/// Returns the code of the innermost `innererror`.
fn innermost(mut error: Option<&Value>) -> Option<String> {
    let mut code = None;
    for _ in 0..DEPTH_MAX {
        let Some(inner) = error.filter(|value| value.is_object()) else { break };
        code = inner.get("code").and_then(Value::as_str).map(str::to_owned).or(code);
        error = inner.get("innererror");
    }
    code
}

/// Returns a message for a body that is not JSON: a page's title, a short text, or the name of the status.
fn plain_text(body: &[u8], status: u16) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|from| {
        let to = lower[from..].find("</title>")? + from;
        text.get(from + "<title>".len()..to)
    });
    let text = title.unwrap_or(if lower.trim_start().starts_with('<') { "" } else { &text }).trim();
    if text.is_empty() || text.starts_with(['{', '[']) {
        return format!("the service returned {status} without a reason");
    }
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests;
