//! Conversion of ACME problems (RFC 8555 §6.7, RFC 7807) into [`ApiError`], with a remedy for each.

use super::transport::Exchange;
use crate::{ApiError, ApiErrorKind, SendStatus, error::from_sdk};
use azure_core::Bytes;
use instant_acme::{Error, Problem};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::time::Duration;

/// The prefix of the problem types.
const TYPE: &str = "urn:ietf:params:acme:error:";

/// The code of a server's limit.
pub(super) const RATE_LIMITED: &str = "rateLimited";

/// The code of a request that the account may not send, such as one that is deactivated.
const ACCOUNT_REFUSED: &str = "accountRefused";

/// Converts an error of `instant-acme`.
pub(super) fn from_acme(error: Error, last: &Exchange) -> ApiError {
    match error {
        Error::Api(problem) => from_problem(&problem, last),
        Error::Other(other) => match other.downcast::<azure_core::Error>() {
            Ok(error) => from_sdk(*error, last.method, &last.path),
            Err(other) => unusable(last).with_source(other),
        },
        other => unusable(last).with_source(other),
    }
}

/// Returns the error for an answer that breaks the protocol, or that has an error status and no problem.
pub(super) fn unusable(last: &Exchange) -> ApiError {
    let error = match last.status {
        Some(status) if status >= 400 => {
            with_status(ApiError::new(kind("", status), format!("the ACME server answered {status}")), status)
        }
        _ => ApiError::new(ApiErrorKind::Protocol, "the answer is not that of an ACME server")
            .with_remedy("check certificate.acme.directory; -v shows the request"),
    };
    let mut error = error.with_request(last.method, &last.path);
    error.retry_after = last.retry_after;
    error
}

/// Converts a problem.
pub(super) fn from_problem(problem: &Problem, last: &Exchange) -> ApiError {
    let code = problem.r#type.as_deref().unwrap_or_default();
    let mut code = code.strip_prefix(TYPE).unwrap_or(code).to_owned();
    // In a challenge it is about the TXT value; in the answer to a request it is about the account.
    if code == "unauthorized" && last.status.is_some() {
        code = ACCOUNT_REFUSED.to_owned();
    }
    let status = last.status.or(problem.status).unwrap_or_default();
    let message = problem.detail.clone().unwrap_or_else(|| format!("the ACME server answered {status}"));
    let mut error = ApiError::new(kind(&code, status), message).with_request(last.method, &last.path);
    error = with_status(error, status);
    for sub in &problem.subproblems {
        let name = sub.identifier.as_ref().map(|one| one.authorized(false).to_string()).unwrap_or_default();
        error = error.with_detail(name, sub.detail.clone().unwrap_or_default());
    }
    error.retry_after = last.retry_after;
    if code == RATE_LIMITED && error.retry_after.is_none() {
        error.retry_after = named_wait(&error.message, last.answered_at);
    }
    if let Some(remedy) = remedy(&code) {
        error = error.with_remedy(remedy);
    }
    if code.is_empty() || code == "about:blank" { error } else { error.with_code(code) }
}

fn with_status(error: ApiError, status: u16) -> ApiError {
    if status == 0 { error } else { error.with_status(status) }
}

fn kind(code: &str, status: u16) -> ApiErrorKind {
    match (code, status) {
        (RATE_LIMITED, _) | (_, 429) => ApiErrorKind::Throttled,
        ("badNonce" | "serverInternal", _) | (_, 408 | 500..) => ApiErrorKind::Unavailable,
        ("orderNotReady" | "alreadyReplaced", _) | (_, 409) => ApiErrorKind::Conflict,
        (
            "caa"
            | ACCOUNT_REFUSED
            | "unauthorized"
            | "userActionRequired"
            | "externalAccountRequired"
            | "rejectedIdentifier"
            | "incorrectResponse"
            | "dns"
            | "connection",
            _,
        ) => ApiErrorKind::Failed,
        (_, 404) => ApiErrorKind::NotFound,
        _ => ApiErrorKind::Invalid,
    }
}

/// Returns the remedy for a problem type.
fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        RATE_LIMITED => {
            "wait until the time that the message names; certificate.acme.directory = \"staging\" has higher limits for tests"
        }
        "badNonce" | "serverInternal" => "run again to resume",
        "orderNotReady" => "run again: landfall reads the order and continues",
        "unauthorized" | "incorrectResponse" => {
            "the server did not find the TXT value: run again, which orders again; if it stays so, raise \
             certificate.acme.propagation, and look for another program that manages the TXT record"
        }
        ACCOUNT_REFUSED => {
            "the server refuses the account: if it was deactivated or revoked, delete its secret acme-account-… from the key \
             vault, so that the next run registers another one; CAA records with accounturi must name that one"
        }
        "dns" | "connection" => {
            "the server cannot resolve the name: delegate the zone at the registrar to the name servers that Azure lists \
             for it"
        }
        "caa" => {
            "a CAA record forbids this authority: add one for it, CAA 0 issue \"<the authority's domain>\""
        }
        "rejectedIdentifier" => "the authority issues no certificate for this name: choose another domain",
        "userActionRequired" => "agree to the new terms of service that the message names, then run again",
        "externalAccountRequired" => {
            "set certificate.acme.eab_kid (ACME_EAB_KID) and ACME_EAB_KEY to the values that the authority gives you"
        }
        "invalidProfile" => "set certificate.acme.profile to a profile of the server, or omit it",
        "accountDoesNotExist" => "run again: landfall registers the account again with the same key",
        "alreadyReplaced" => "run again: landfall orders without the reference to the replaced certificate",
        _ => return None,
    })
}

/// Parses the time in Boulder's words: "…, retry after 2026-11-28 18:15:00 UTC: see https://…".
fn named_wait(message: &str, now: Timestamp) -> Option<Duration> {
    let (_, rest) = message.split_once("retry after ")?;
    let text = rest.split(" UTC").next()?;
    let at: DateTime = text.trim().parse().ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

/// Returns the body of an error as a problem document: the server's own, or one with the text of a page.
pub(super) fn problem_body(status: u16, body: Bytes) -> Bytes {
    if serde_json::from_slice::<Problem>(&body).is_ok() {
        return body;
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
    let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let detail = match title {
        Some((title, _)) => format!("the answer {status} is a page: {}", title.trim()),
        None => format!("the answer {status} is no problem document"),
    };
    let problem = serde_json::json!({ "type": "about:blank", "detail": detail, "status": status });
    Bytes::from(problem.to_string())
}

/// Returns the error for input that no server can accept.
pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ApiErrorKind::Invalid, message).with_sent(SendStatus::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(status: u16, body: &str) -> ApiError {
        let body = problem_body(status, Bytes::from(body.to_owned()));
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        from_problem(
            &problem,
            &Exchange { method: "POST", path: "/order".into(), status: Some(status), ..Exchange::default() },
        )
    }

    #[test]
    fn a_limit_has_the_time_of_the_header_or_of_the_text() {
        let text = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry \
                    after 2026-11-28 18:15:00 UTC: see https://letsencrypt.org/docs/rate-limits/";
        let now: Timestamp = "2026-11-28T18:00:00Z".parse().unwrap();
        assert_eq!(named_wait(text, now), Some(Duration::from_secs(900)));
        assert_eq!(named_wait("paused", now), None);
        let error = converted(429, r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow"}"#);
        assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Throttled, Some("rateLimited")));
    }

    #[test]
    fn a_page_becomes_a_problem_and_a_subproblem_keeps_its_name() {
        let error = converted(503, "<html><head><title>Service unavailable</title></head></html>");
        assert_eq!(error.message, "the answer 503 is a page: Service unavailable");
        assert_eq!((error.kind, error.code.clone()), (ApiErrorKind::Unavailable, None));
        let compound = r#"{"type":"urn:ietf:params:acme:error:compound","detail":"Errors","subproblems":[
            {"type":"urn:ietf:params:acme:error:caa","detail":"CAA forbids","identifier":{"type":"dns","value":"a.example"}}]}"#;
        assert_eq!(converted(403, compound).details, [("a.example".to_owned(), "CAA forbids".to_owned())]);
    }
}
