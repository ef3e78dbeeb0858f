//! `If-Match` and `If-None-Match` of a write (RFC 9110 §13.1).

use crate::arm::error::ArmError;
use crate::request::Request;

/// Returns the header and the value of the first precondition that does not hold. `current` is the etag of the
/// existing resource, without quotes.
pub(super) fn failed<'a>(request: &'a Request, current: Option<&str>) -> Option<(&'static str, &'a str)> {
    let lists = |value: &str| {
        let mut tags = value.split(',').map(|one| one.trim().trim_start_matches("W/").trim_matches('"'));
        tags.any(|one| current.is_some_and(|current| one == "*" || one == current))
    };
    let if_match = request.header("if-match").filter(|value| !lists(value));
    let if_none_match = request.header("if-none-match").filter(|value| lists(value));
    if_none_match.map(|value| ("If-None-Match", value)).or(if_match.map(|value| ("If-Match", value)))
}

/// Checks the preconditions of a write.
///
/// # Errors
/// 412 `PreconditionFailed`.
pub(super) fn check(request: &Request, current: Option<&str>) -> Result<(), ArmError> {
    match failed(request, current) {
        Some((header, value)) => Err(ArmError::precondition(header, value)),
        None => Ok(()),
    }
}
