//! What a cloud answered when it did not do what it was asked.
//!
//! Every client of this crate fails with [`ApiError`]. It keeps what a program needs to go on (kind, codes,
//! whether the request can have taken effect) apart from what a person needs (message, details, request id),
//! and the causes stay in `source()`, never in the message.

mod answer;
mod sdk;

pub(crate) use answer::{from_answer, from_operation};
pub(crate) use sdk::{find, from_sdk, sign_in_reason};

use std::{
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// What kind of failure it is: what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiErrorKind {
    /// It is not there.
    NotFound,
    /// Something else has this name, or the state of the thing forbids the change.
    Conflict,
    /// Another operation is at it: wait for its end, then look again.
    Busy,
    /// The rights do not suffice; right after a role was granted, they may soon.
    Forbidden,
    /// The token was not accepted, nor was a fresh one.
    Unauthorized,
    /// Too many requests, and still so after waiting as told.
    Throttled,
    /// `If-Match` or `If-None-Match` does not hold any more: somebody changed it in between.
    Precondition,
    /// The request itself is wrong and stays wrong.
    Invalid,
    /// The service failed or is down, and still was after some tries.
    Unavailable,
    /// No answer came: no connection, an untrusted certificate, a broken or silent line.
    Transport,
    /// No token was to be had.
    SignIn,
    /// An answer that is not in the contract, or one that would send a token to a foreign place.
    Protocol,
    /// The cloud took the work and reported later that it failed.
    Failed,
}

/// Could the request have taken effect? A later variant says more about it than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sent {
    /// It never left: nothing has changed.
    Never,
    /// The service answered: the answer says what happened.
    Answered,
    /// It left and nothing came back, or nothing that says what happened: look before repeating it.
    Unknown,
    /// The service accepted it, and the rest of its answer is lost or unreadable: the write took effect.
    Accepted,
}

impl Sent {
    /// Returns what a status says about a write of which no more than the status is understood.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            // 303 says that the request was carried out and where its result is (RFC 9110 §15.4.4).
            200..300 | 303 => Self::Accepted,
            // A proxy in between answers so, too: before the service, or after it.
            300..400 | 408 | 500 | 502 | 504.. => Self::Unknown,
            _ => Self::Answered,
        }
    }
}

/// Says whether a request of this method changes something.
pub(crate) fn is_write(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "")
}

/// A failed request.
///
/// The facts are reached through `Deref`: `error.kind`, `error.code`. They are boxed so that a `Result` stays small.
#[derive(Debug)]
pub struct ApiError(Box<ApiErrorFacts>);

/// The facts of an [`ApiError`].
#[derive(Debug)]
pub struct ApiErrorFacts {
    /// What can be done about it.
    pub kind: ApiErrorKind,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The innermost code that says something, `SkuNotAvailable` rather than the `DeploymentFailed` around it.
    pub code: Option<String>,
    /// The code of `innererror`, where Key Vault puts the reason: `ForbiddenByRbac`.
    pub inner_code: Option<String>,
    /// The service's own message, or a lowercase fragment of ours when the service said nothing.
    pub message: String,
    /// `x-ms-request-id`: what the provider's support asks for.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id`: one per run.
    pub correlation_id: Option<String>,
    /// The HTTP method.
    pub method: &'static str,
    /// The path of the request, without origin and query.
    pub url: String,
    /// Further codes and messages, the outermost first.
    pub details: Vec<(String, String)>,
    /// Whether the request can have taken effect.
    pub sent: Sent,
    /// How long the service asked to wait, in real time.
    pub retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// Makes an error of ours; `message` is a lowercase fragment. `sent` is [`Sent::Answered`] until told otherwise.
    pub fn new(kind: ApiErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(ApiErrorFacts {
            kind,
            status: None,
            code: None,
            inner_code: None,
            message: message.into(),
            request_id: None,
            correlation_id: None,
            method: "",
            url: String::new(),
            details: Vec::new(),
            sent: Sent::Answered,
            retry_after: None,
            source: None,
        }))
    }

    /// Adds the HTTP status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a machine-readable code.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds what was asked: the method and the path.
    pub fn with_request(mut self, method: &'static str, path: &str) -> Self {
        self.method = method;
        self.url = path.to_owned();
        self
    }

    /// Says whether the request can have taken effect.
    pub fn with_sent(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    /// Says that the request can have taken effect at least so far.
    pub(crate) fn at_least(mut self, sent: Sent) -> Self {
        self.sent = self.sent.max(sent);
        self
    }

    /// Says that the answer had this status. A write with a success took effect, whatever is wrong with the rest of the
    /// answer.
    pub(crate) fn answered_with(mut self, status: u16) -> Self {
        self.status = Some(status);
        if is_write(self.method) { self.at_least(Sent::of_status(status)) } else { self }
    }

    /// Adds a code with its message.
    pub fn with_detail(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.details.push((code.into(), message.into()));
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says whether the code or the inner code is this one; codes compare without regard to case.
    pub fn is(&self, code: &str) -> bool {
        [&self.code, &self.inner_code].into_iter().flatten().any(|has| has.eq_ignore_ascii_case(code))
    }

    /// Returns the messages of all causes, the nearest first, without those that repeat another or say nothing, and of
    /// each the first line: what follows is how to troubleshoot somebody else's program.
    ///
    /// The reason of a broken connection sits at the far end: "invalid peer certificate: UnknownIssuer".
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(error) = next {
            let text = error.to_string();
            let line =
                text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
            if !line.is_empty() && line != self.message && !causes.contains(&line) {
                causes.push(line);
            }
            next = error.source();
        }
        causes
    }
}

impl Deref for ApiError {
    type Target = ApiErrorFacts;
    fn deref(&self) -> &ApiErrorFacts {
        &self.0
    }
}

impl DerefMut for ApiError {
    fn deref_mut(&mut self) -> &mut ApiErrorFacts {
        &mut self.0
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.method.is_empty() {
            write!(f, "{} {}: ", self.method, self.url)?;
        }
        if let Some(status) = self.status {
            write!(f, "{status} ")?;
        }
        match (&self.code, &self.inner_code) {
            (Some(code), Some(inner)) => write!(f, "{code} ({inner}): {}", self.message),
            (Some(code), None) => write!(f, "{code}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_request_the_status_and_both_codes() {
        let mut error = ApiError::new(ApiErrorKind::Forbidden, "Caller is not authorized.")
            .with_status(403)
            .with_code("Forbidden")
            .with_request("POST", "/certificates/web/import");
        error.inner_code = Some("ForbiddenByRbac".to_owned());
        assert_eq!(
            error.to_string(),
            "POST /certificates/web/import: 403 Forbidden (ForbiddenByRbac): Caller is not authorized."
        );
        assert!(error.is("forbiddenbyrbac") && error.is("Forbidden") && !error.is("Conflict"));
    }

    #[test]
    fn causes_are_told_once_each_and_never_inside_the_message() {
        let deep = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let middle =
            azure_core::Error::with_error(azure_core::error::ErrorKind::Connection, deep, "no connection");
        let error = ApiError::new(ApiErrorKind::Transport, "no connection").with_source(middle);
        assert_eq!(error.causes(), ["invalid peer certificate: UnknownIssuer"]);
        assert_eq!(error.to_string(), "no connection");
    }
}
