//! Error answers: code, message and kind.

use super::{Counts, rows};
use crate::{ApiErrorKind, error::from_response};
use azure_core::http::headers::Headers;
use serde_json::Value;

/// Returns the kind of a status without a more specific code.
fn kind_of(status: u16) -> ApiErrorKind {
    match status {
        401 => ApiErrorKind::Unauthorized,
        403 => ApiErrorKind::Forbidden,
        404 => ApiErrorKind::NotFound,
        409 => ApiErrorKind::Conflict,
        412 => ApiErrorKind::Precondition,
        429 => ApiErrorKind::Throttled,
        500.. => ApiErrorKind::Unavailable,
        _ => ApiErrorKind::Invalid,
    }
}

#[test]
fn recorded_errors_are_parsed() {
    let Some(rows) = rows() else { return };
    let mut counts = Counts::default();
    for row in rows.iter().filter(|row| row.status >= Some(400)) {
        let status = row.status.unwrap();
        let error = from_response(status, &Headers::new(), row.answer.to_string().as_bytes());
        let body = if row.answer["error"].is_object() { &row.answer["error"] } else { &row.answer };
        let place = row.place();
        assert_eq!(error.code.as_deref(), body["code"].as_str(), "{place}");
        assert_eq!(Some(error.message.as_str()), body["message"].as_str(), "{place}");
        assert_eq!(error.inner_code.as_deref(), body["innererror"]["code"].as_str(), "{place}");
        let details = body["details"].as_array().map_or(0, Vec::len);
        assert_eq!((error.status, error.kind), (Some(status), kind_of(status)), "{place}");
        assert!(error.details.len() >= details, "{place}: {:?}", error.details);
        counts.add(format!("{status} {}", error.code.as_deref().unwrap_or_default()));
    }
    counts.print("errors");
    assert!(counts.of("404 ResourceNotFound") > 0);
}

/// An operation's document can have an error although it is running or has succeeded: another operation was
/// preferred. The status decides.
#[test]
fn an_error_in_a_document_of_a_succeeded_operation_is_no_failure() {
    let Some(rows) = rows() else { return };
    let found = rows.iter().filter(|row| row.is_poll() && row.answer["error"].is_object());
    let states: Vec<&Value> = found.map(|row| &row.answer["status"]).collect();
    println!("operations with an error that did not fail: {}", states.len());
    assert!(!states.is_empty() && states.iter().all(|state| **state != "Failed"));
}
