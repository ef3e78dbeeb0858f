//! What an API said no with.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// A request that did not do what was asked. Its facts are boxed so that a `Result` stays small.
#[derive(Debug)]
pub struct ApiError(Box<ApiErrorFacts>);

/// The facts of an [`ApiError`].
#[derive(Debug)]
pub struct ApiErrorFacts {
    /// What to do about it, for the program.
    pub kind: ApiErrorKind,
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The innermost useful code.
    pub code: Option<String>,
    /// A code below that one.
    pub inner_code: Option<String>,
    /// Lowercase fragment or the service's own words.
    pub message: String,
    /// The service's id of the request.
    pub request_id: Option<String>,
    /// The id that joins the requests of one run.
    pub correlation_id: Option<String>,
    /// HTTP method.
    pub method: &'static str,
    /// Path, without origin and query.
    pub url: String,
    /// Further codes and messages.
    pub details: Vec<(String, String)>,
    /// Whether the request can have taken effect.
    pub sent: Sent,
    /// How long the service asked to wait, in real time.
    pub retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// Makes an error; `message` is a lowercase fragment.
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

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
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
        f.write_str(&self.message)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// What to do about an [`ApiError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// There is no such thing.
    NotFound,
    /// It clashes with what is there.
    Conflict,
    /// Something else is being done to it: wait.
    Busy,
    /// Known, but not allowed.
    Forbidden,
    /// Not known.
    Unauthorized,
    /// Too many requests.
    Throttled,
    /// A precondition does not hold.
    Precondition,
    /// The request is wrong.
    Invalid,
    /// The service has a problem.
    Unavailable,
    /// The network has a problem.
    Transport,
    /// There is no way to sign in.
    SignIn,
    /// The answer makes no sense.
    Protocol,
}

/// Whether a failed request can have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It did not leave.
    Never,
    /// It may have arrived.
    Unknown,
    /// The service answered it.
    Answered,
}
