//! The error type of failed cloud requests.
//!
//! Every client of this crate fails with [`ApiError`]. It separates what a program needs to continue (kind,
//! codes, whether the request may have taken effect) from what a person needs (message, details, request id).
//! Causes stay in `source()`, never in the message.

mod response;
mod sdk;

pub(crate) use response::{from_operation, from_response};
pub(crate) use sdk::{find, from_sdk, sign_in_reason};

use std::{
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// The kind of a failure, which decides what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiErrorKind {
    /// The resource does not exist.
    NotFound,
    /// Another resource has this name, or the state of the resource forbids the change.
    Conflict,
    /// Another operation occupies the resource: wait for its end, then read again.
    Busy,
    /// The principal lacks rights; right after a role assignment, it may get them soon.
    Forbidden,
    /// The service accepted neither the token nor a fresh one.
    Unauthorized,
    /// Too many requests, even after the wait that the service demanded.
    Throttled,
    /// `If-Match` or `If-None-Match` no longer holds: another writer changed the resource in between.
    Precondition,
    /// The request itself is invalid; a retry does not help.
    Invalid,
    /// The service failed or is down, also after some retries.
    Unavailable,
    /// No answer arrived: no connection, an untrusted certificate, a broken or silent connection.
    Transport,
    /// No credential source returned a token.
    SignIn,
    /// The answer breaks the contract, or would send a token to a foreign server.
    Protocol,
    /// The cloud accepted the operation and later reported its failure.
    Failed,
}

/// The possible effect of the request. A later variant is more certain of an effect than an earlier
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SendStatus {
    /// The request never left: nothing has changed.
    Never,
    /// The service answered; its answer decides.
    Answered,
    /// The request left, and no conclusive answer came back: read the state before a retry.
    Unknown,
    /// The service accepted the request, and the rest of its answer is lost or unreadable: the write took
    /// effect.
    Accepted,
}

impl SendStatus {
    /// Returns the effect of a write of which only the status is known.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            // 303 means that the request was carried out, and names the location of the result (RFC 9110
            // §15.4.4).
            200..300 | 303 => Self::Accepted,
            // A proxy also answers so: before the service, or after it.
            300..400 | 408 | 500 | 502 | 504.. => Self::Unknown,
            _ => Self::Answered,
        }
    }
}

/// Returns whether a request of this method changes state.
pub(crate) fn is_write(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "")
}

/// A failed request.
///
/// Access the facts through `Deref`: `error.kind`, `error.code`. They are boxed so that a `Result` stays
/// small.
#[derive(Debug)]
pub struct ApiError(Box<ApiErrorFacts>);

/// The facts of an [`ApiError`].
#[derive(Debug)]
pub struct ApiErrorFacts {
    /// The kind, which decides what can be done.
    pub kind: ApiErrorKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The innermost meaningful code: `SkuNotAvailable` rather than the `DeploymentFailed` around it.
    pub code: Option<String>,
    /// The code of `innererror`, where Key Vault states the reason: `ForbiddenByRbac`.
    pub inner_code: Option<String>,
    /// The service's message, or a lowercase fragment of this crate if the service sent none.
    pub message: String,
    /// `x-ms-request-id`, which the provider's support asks for.
    pub request_id: Option<String>,
    /// `x-ms-correlation-request-id`: one per run.
    pub correlation_id: Option<String>,
    /// The HTTP method.
    pub method: &'static str,
    /// The path of the request, without origin and query.
    pub url: String,
    /// Further codes and messages, outermost first.
    pub details: Vec<(String, String)>,
    /// The effect that the request may have had.
    pub sent: SendStatus,
    /// The wait that the service demanded, in real time.
    pub retry_after: Option<Duration>,
    /// The action that fixes it, if the client knows more than the kind and the codes say.
    pub remedy: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// Creates an error of this crate; `message` is a lowercase fragment. `sent` starts as
    /// [`SendStatus::Answered`].
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
            sent: SendStatus::Answered,
            retry_after: None,
            remedy: None,
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

    /// Adds the request: its method and path.
    pub fn with_request(mut self, method: &'static str, path: &str) -> Self {
        self.method = method;
        self.url = path.to_owned();
        self
    }

    /// Sets the effect that the request may have had.
    pub fn with_sent(mut self, sent: SendStatus) -> Self {
        self.sent = sent;
        self
    }

    /// Raises the effect that the request may have had to at least this one.
    pub(crate) fn at_least(mut self, sent: SendStatus) -> Self {
        self.sent = self.sent.max(sent);
        self
    }

    /// Sets the status of the answer. A write with a success status took effect, whatever is wrong with the
    /// rest of the answer.
    pub(crate) fn with_response_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        if is_write(self.method) { self.at_least(SendStatus::of_status(status)) } else { self }
    }

    /// Adds a code with its message.
    pub fn with_detail(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.details.push((code.into(), message.into()));
        self
    }

    /// Sets the action that fixes it.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the code or the inner code equals this one, without regard to case.
    pub fn is(&self, code: &str) -> bool {
        [&self.code, &self.inner_code].into_iter().flatten().any(|has| has.eq_ignore_ascii_case(code))
    }

    /// Returns the messages of all causes, nearest first, without empty and repeated ones. Of each it returns
    /// the first line only: the rest is troubleshooting advice for other programs.
    ///
    /// The reason of a broken connection is the last one: "invalid peer certificate: UnknownIssuer".
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
    fn an_error_displays_the_request_the_status_and_both_codes() {
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
    fn causes_are_listed_once_and_not_in_the_message() {
        let deep = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let middle =
            azure_core::Error::with_error(azure_core::error::ErrorKind::Connection, deep, "no connection");
        let error = ApiError::new(ApiErrorKind::Transport, "no connection").with_source(middle);
        assert_eq!(error.causes(), ["invalid peer certificate: UnknownIssuer"]);
        assert_eq!(error.to_string(), "no connection");
    }
}
