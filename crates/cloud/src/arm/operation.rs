//! Long operations: reading how one began and how far it is. Pure; [`Arm`](super::Arm) does the sending.
//!
//! The contract: <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>.
//! Where to look is chosen by the first answer: `Azure-AsyncOperation`, then the `Location` of a 202, then the
//! resource's own `provisioningState`. The end is `Succeeded`, `Failed` or `Canceled` in any case and spelling;
//! every other word, also one that nobody has heard of, means that it goes on.
//!
//! An [`Operation`] can be stored and asked after by a later process. It holds path and query and never an origin:
//! that comes from the settings, so that a stored file cannot lead a token astray.

use crate::{
    ApiError, ApiErrorKind,
    endpoints::path_and_query,
    error::{from_answer, from_operation},
    pipeline::ForeignOrigin,
    retry,
};
use azure_core::http::headers::{HeaderName, Headers};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use url::Url;

const ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
const LOCATION: HeaderName = HeaderName::from_static("location");

/// How an operation is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// A status document says how far it is.
    AsyncOperation,
    /// An address answers 202 until there is a result.
    Location,
    /// The resource itself says how far it is.
    ProvisioningState,
}

/// What was asked for: it decides where the result is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// The resource is the result.
    Put,
    /// The answer is the result.
    Post,
    /// There is no result.
    Delete,
}

impl Verb {
    /// Returns the HTTP method.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// An operation that the cloud is at: all that is needed to ask after it, today or in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// How it is followed.
    pub style: Style,
    /// What was asked for.
    pub verb: Verb,
    /// Where it is followed: path and query, as the service wrote them.
    pub path_and_query: String,
    /// The path of the resource that it works on.
    pub resource: String,
    /// The API version in which the resource is read.
    pub api_version: String,
    /// Where the result of a POST is found when it is not where the operation is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// What a write led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Begun {
    /// It is done; none when the answer had no body.
    Done(Option<Value>),
    /// The cloud took the work.
    Accepted {
        /// How to ask after it: keep it before doing anything else.
        operation: Operation,
        /// What the first answer said, for a PUT mostly the resource as it will be.
        value: Option<Value>,
    },
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It goes on.
    Running {
        /// The service's word for it: `Creating`, `ReconcilingAddons`.
        state: String,
        /// 0 to 100, from services that say so.
        percent: Option<f64>,
        /// The service asks not to be asked before this has passed, in real time.
        not_before: Option<Duration>,
    },
    /// It is done.
    Succeeded {
        /// The resource, or the answer to a POST.
        value: Option<Value>,
        /// When it began, by the service's clock.
        started_at: Option<SystemTime>,
        /// When it ended, by the service's clock.
        ended_at: Option<SystemTime>,
    },
    /// The service does not know the operation any more: look at the resource instead.
    Expired,
}

/// An answer as it came.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a Headers,
    pub(super) body: &'a [u8],
}

/// What one look at an operation showed.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    /// Nothing more to ask.
    Plain(Progress),
    /// It is done, and the result lies at this path; none means the resource itself.
    ResultAt { path_and_query: Option<String>, started_at: Option<SystemTime>, ended_at: Option<SystemTime> },
}

/// Reads the first answer to a write on `url`, which is below the configured endpoint.
pub(super) fn begun(
    verb: Verb,
    url: &Url,
    api_version: &str,
    answer: &Answer<'_>,
) -> Result<Begun, ApiError> {
    let value = json(answer.body)?;
    let local = |header: &HeaderName| -> Result<Option<String>, ApiError> {
        answer.headers.get_optional_str(header).map(|address| local_address(url, address)).transpose()
    };
    let followed = local(&ASYNC_OPERATION)?;
    let location = if answer.status == 202 { local(&LOCATION)? } else { None };
    let state = provisioning_state(value.as_ref());
    let (style, path) = match (followed, &location) {
        (Some(path), _) => (Style::AsyncOperation, path),
        (None, Some(path)) => (Style::Location, path.clone()),
        (None, None) if answer.status == 202 => (Style::ProvisioningState, path_and_query(url)),
        (None, None) => match (verb, state.map(Ending::of)) {
            (Verb::Put, Some(Ending::None)) => (Style::ProvisioningState, path_and_query(url)),
            (Verb::Put, Some(Ending::Failed)) => return Err(resource_failed(value.as_ref())),
            _ => return Ok(Begun::Done(value)),
        },
    };
    // The result of a POST is behind its Location, also when a status document says how far it is.
    let result = location.filter(|_| verb == Verb::Post && style == Style::AsyncOperation);
    let resource = url.path().to_owned();
    let operation = Operation {
        style,
        verb,
        path_and_query: path,
        resource,
        api_version: api_version.to_owned(),
        result,
    };
    Ok(Begun::Accepted { operation, value })
}

/// Reads an answer of the address that the operation is followed at. Answers that say that reading failed, 5xx and
/// the like, are errors about the reading; the operation itself may go on.
pub(super) fn seen(operation: &Operation, answer: &Answer<'_>) -> Result<Seen, ApiError> {
    match (operation.style, answer.status) {
        (Style::ProvisioningState, 404) if operation.verb == Verb::Delete => Ok(Seen::Plain(succeeded(None))),
        (_, 404 | 410) => Ok(Seen::Plain(Progress::Expired)),
        (_, 300..) => Err(from_answer(answer.status, answer.headers, answer.body)),
        (Style::AsyncOperation, _) => status_document(operation, answer),
        (Style::Location, 202) => {
            let value = json(answer.body).unwrap_or_default();
            let state = state_in(value.as_ref()).unwrap_or("InProgress").to_owned();
            Ok(Seen::Plain(running(state, value.as_ref(), answer)))
        }
        (Style::Location, _) => match (operation.verb, json(answer.body)?) {
            (Verb::Put, None) => {
                Ok(Seen::ResultAt { path_and_query: None, started_at: None, ended_at: None })
            }
            (_, value) => Ok(Seen::Plain(succeeded(value))),
        },
        (Style::ProvisioningState, _) => resource(operation, answer),
    }
}

/// Reads `{status, percentComplete, startTime, endTime, error}`.
fn status_document(operation: &Operation, answer: &Answer<'_>) -> Result<Seen, ApiError> {
    let Some(value) = json(answer.body)? else {
        // A service that answers without a document has, by the status, either ended or not.
        return Ok(match answer.status {
            204 => after_success(operation, None),
            _ => Seen::Plain(running("InProgress".to_owned(), None, answer)),
        });
    };
    let Some(state) = state_in(Some(&value)) else {
        return Ok(Seen::Plain(running("InProgress".to_owned(), Some(&value), answer)));
    };
    match Ending::of(state) {
        Ending::None => Ok(Seen::Plain(running(state.to_owned(), Some(&value), answer))),
        Ending::Failed => Err(from_operation(state, value.get("error")).with_status(answer.status)),
        Ending::Succeeded => Ok(after_success(operation, Some(&value))),
    }
}

/// Says where the result of an operation lies that has just succeeded.
fn after_success(operation: &Operation, document: Option<&Value>) -> Seen {
    let time = |name: &str| document.and_then(|value| instant(value.get(name)?.as_str()?));
    let (started_at, ended_at) = (time("startTime"), time("endTime"));
    let result_at = |path_and_query| Seen::ResultAt { path_and_query, started_at, ended_at };
    match (operation.verb, &operation.result) {
        (Verb::Put, _) => result_at(None),
        (Verb::Post, Some(path)) => result_at(Some(path.clone())),
        (Verb::Post, None) => {
            let value = document.and_then(|document| document.get("properties")).cloned();
            Seen::Plain(Progress::Succeeded { value, started_at, ended_at })
        }
        (Verb::Delete, _) => Seen::Plain(Progress::Succeeded { value: None, started_at, ended_at }),
    }
}

/// Reads the resource itself.
fn resource(operation: &Operation, answer: &Answer<'_>) -> Result<Seen, ApiError> {
    let value = json(answer.body)?;
    let state = provisioning_state(value.as_ref()).unwrap_or("Succeeded").to_owned();
    match Ending::of(&state) {
        Ending::Failed => Err(resource_failed(value.as_ref()).with_status(answer.status)),
        // While it is there at all, it is not deleted, whatever its last operation was.
        Ending::Succeeded if operation.verb != Verb::Delete => Ok(Seen::Plain(succeeded(value))),
        _ => Ok(Seen::Plain(running(state, value.as_ref(), answer))),
    }
}

fn running(state: String, value: Option<&Value>, answer: &Answer<'_>) -> Progress {
    let percent = value.and_then(|value| value.get("percentComplete")).and_then(Value::as_f64);
    Progress::Running { state, percent, not_before: retry::wait_asked(answer.headers, SystemTime::now()) }
}

fn succeeded(value: Option<Value>) -> Progress {
    Progress::Succeeded { value, started_at: None, ended_at: None }
}

/// What a state says about the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    None,
    Succeeded,
    Failed,
}

impl Ending {
    fn of(state: &str) -> Self {
        match state.to_ascii_lowercase().as_str() {
            "succeeded" => Self::Succeeded,
            "failed" | "canceled" | "cancelled" => Self::Failed,
            _ => Self::None,
        }
    }
}

/// Returns the state of a status document; some services put the resource there instead.
fn state_in(value: Option<&Value>) -> Option<&str> {
    value?.get("status").and_then(Value::as_str).or_else(|| provisioning_state(value))
}

fn provisioning_state(value: Option<&Value>) -> Option<&str> {
    value?.pointer("/properties/provisioningState")?.as_str()
}

fn resource_failed(value: Option<&Value>) -> ApiError {
    const REASONS: [&str; 4] = [
        "/properties/status/provisioningError",
        "/properties/provisioningError",
        "/properties/error",
        "/error",
    ];
    let reason = value.and_then(|value| REASONS.iter().find_map(|place| value.pointer(place)));
    from_operation(provisioning_state(value).unwrap_or("Failed"), reason)
}

/// Takes path and query of an address that a service named; refuses any other origin than `base`'s.
pub(super) fn local_address(base: &Url, address: &str) -> Result<String, ApiError> {
    let refused = || ApiError::new(ApiErrorKind::Protocol, "follow an address to a foreign server");
    let url = base.join(address).map_err(|error| refused().with_source(error))?;
    ForeignOrigin::check(&url, &base.origin()).map_err(|error| refused().with_source(error))?;
    // A path that begins with two slashes would read as a host once the origin is taken off.
    Ok(format!("/{}", path_and_query(&url).trim_start_matches('/')))
}

/// Reads a body as JSON; none when it is empty.
pub(super) fn json(body: &[u8]) -> Result<Option<Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(ApiErrorKind::Protocol, "read an answer that is not JSON").with_source(error)
    })
}

fn instant(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests;
