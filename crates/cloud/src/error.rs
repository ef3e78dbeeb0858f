//! What an API said no with.

/// A request that did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
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
    pub method: String,
    /// Path, without origin and query.
    pub url: String,
    /// Further codes and messages.
    pub details: Vec<(String, String)>,
    /// The cause below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Whether the request can have taken effect.
    pub sent: Sent,
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
