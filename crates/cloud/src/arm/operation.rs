//! Long-running operations: parsing of their start and their progress. Pure; [`ArmClient`](super::Arm) sends the
//! requests.
//!
//! The contract: <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>. The
//! first response determines the polled URL: `Azure-AsyncOperation`, then the `Location` of a 202, then the
//! resource's own `provisioningState`. The final states are `Succeeded`, `Failed` and `Canceled`, in any case
//! and spelling. Every other state, also an unknown one, means in progress.
//!
//! An [`Operation`] can be stored and polled by a later process. It contains path and query and never an
//! origin: that comes from the settings, so that a stored file cannot redirect a token.

use crate::{
    ApiError, ApiErrorKind,
    endpoints::path_and_query,
    error::{from_operation, from_response},
    header_text::HeaderText,
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

/// The method of polling an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// Polls a status document.
    AsyncOperation,
    /// Polls a URL that responds 202 until there is a result.
    Location,
    /// Polls the resource itself.
    ProvisioningState,
}

/// The method of the request; it determines the location of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// The resource is the result.
    Put,
    /// The response is the result.
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

/// A long-running operation: all data that this or another process needs to poll it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The method of polling.
    pub style: Style,
    /// The method of the request.
    pub verb: Verb,
    /// The polled URL: path and query, as the service sent them.
    pub path_and_query: String,
    /// The path of the affected resource.
    pub resource: String,
    /// The API version for reads of the resource.
    pub api_version: String,
    /// The URL of a POST's result, if it differs from the polled URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteResult {
    /// Completed; `None` if the response had no body.
    Done(Option<Value>),
    /// Accepted, and completed later.
    Accepted {
        /// The operation to poll. The caller must store it before any other action.
        operation: Operation,
        /// The body of the first response; for a PUT usually the resource in its future state.
        value: Option<Value>,
    },
}

impl WriteResult {
    /// Returns the resource in the first response.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Done(value) | Self::Accepted { value, .. } => value.as_ref(),
        }
    }
}

/// The progress of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// In progress.
    Running {
        /// The service's state: `Creating`, `ReconcilingAddons`.
        state: String,
        /// 0 to 100, from services that report it.
        percent: Option<f64>,
        /// The minimum delay before the next poll, from the service, in real time.
        not_before: Option<Duration>,
    },
    /// Completed.
    Succeeded {
        /// The resource, or the response to a POST.
        value: Option<Value>,
        /// The start time, by the service's clock.
        started_at: Option<SystemTime>,
        /// The end time, by the service's clock.
        ended_at: Option<SystemTime>,
    },
    /// The service no longer knows the operation: read the resource instead.
    Expired,
}

/// A response, unparsed.
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a Headers,
    pub(super) body: &'a [u8],
}

/// The result of one poll.
#[derive(Debug, PartialEq)]
pub(super) enum PollResult {
    /// No further request is necessary.
    Plain(Progress),
    /// Completed, and the result is at this path; `None` means the resource itself.
    ResultAt { path_and_query: Option<String>, started_at: Option<SystemTime>, ended_at: Option<SystemTime> },
}

/// Parses the first response to a write on `url`, which is below the configured endpoint.
pub(super) fn parse_write(
    verb: Verb,
    url: &Url,
    api_version: &str,
    response: &Response<'_>,
) -> Result<WriteResult, ApiError> {
    let value = json(response.body)?;
    let local = |header: &HeaderName| -> Result<Option<String>, ApiError> {
        response.headers.text(header).map(|address| local_address(url, address)).transpose()
    };
    let async_operation = local(&ASYNC_OPERATION)?;
    let location = if response.status == 202 { local(&LOCATION)? } else { None };
    let state = provisioning_state(value.as_ref());
    let (style, path) = match (async_operation, &location) {
        (Some(path), _) => (Style::AsyncOperation, path),
        (None, Some(path)) => (Style::Location, path.clone()),
        (None, None) if response.status == 202 => (Style::ProvisioningState, path_and_query(url)),
        (None, None) => match (verb, state.map(FinalState::of)) {
            (Verb::Put, Some(FinalState::None)) => (Style::ProvisioningState, path_and_query(url)),
            (Verb::Put, Some(FinalState::Failed)) => return Err(resource_failed(value.as_ref())),
            _ => return Ok(WriteResult::Done(value)),
        },
    };
    // A POST's result is at its `Location`, even if a status document reports the progress.
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
    Ok(WriteResult::Accepted { operation, value })
}

/// Parses a response from the polled URL. Responses such as 5xx are errors of the poll; the operation itself
/// may continue.
pub(super) fn parse_poll(operation: &Operation, response: &Response<'_>) -> Result<PollResult, ApiError> {
    match (operation.style, response.status) {
        (Style::ProvisioningState, 404) if operation.verb == Verb::Delete => {
            Ok(PollResult::Plain(succeeded(None)))
        }
        (_, 404 | 410) => Ok(PollResult::Plain(Progress::Expired)),
        (_, 300..) => Err(from_response(response.status, response.headers, response.body)),
        (Style::AsyncOperation, _) => status_document(operation, response),
        (Style::Location, 202) => {
            let value = json(response.body).unwrap_or_default();
            let state = state_in(value.as_ref()).unwrap_or("InProgress").to_owned();
            Ok(PollResult::Plain(running(state, value.as_ref(), response)))
        }
        (Style::Location, _) => match (operation.verb, json(response.body)?) {
            (Verb::Put, None) => {
                Ok(PollResult::ResultAt { path_and_query: None, started_at: None, ended_at: None })
            }
            (_, value) => Ok(PollResult::Plain(succeeded(value))),
        },
        (Style::ProvisioningState, _) => resource(operation, response),
    }
}

/// Parses `{status, percentComplete, startTime, endTime, error}`.
fn status_document(operation: &Operation, response: &Response<'_>) -> Result<PollResult, ApiError> {
    let Some(value) = json(response.body)? else {
        // Without a document the response status determines whether the operation has ended.
        return Ok(match response.status {
            204 => after_success(operation, None),
            _ => PollResult::Plain(running("InProgress".to_owned(), None, response)),
        });
    };
    let Some(state) = state_in(Some(&value)) else {
        return Ok(PollResult::Plain(running("InProgress".to_owned(), Some(&value), response)));
    };
    match FinalState::of(state) {
        FinalState::None => Ok(PollResult::Plain(running(state.to_owned(), Some(&value), response))),
        FinalState::Failed => Err(from_operation(state, value.get("error")).with_status(response.status)),
        FinalState::Succeeded => Ok(after_success(operation, Some(&value))),
    }
}

/// Returns the location of the result of a succeeded operation.
fn after_success(operation: &Operation, document: Option<&Value>) -> PollResult {
    let time = |name: &str| document.and_then(|value| instant(value.get(name)?.as_str()?));
    let (started_at, ended_at) = (time("startTime"), time("endTime"));
    let result_at = |path_and_query| PollResult::ResultAt { path_and_query, started_at, ended_at };
    match (operation.verb, &operation.result) {
        (Verb::Put, _) => result_at(None),
        (Verb::Post, Some(path)) => result_at(Some(path.clone())),
        (Verb::Post, None) => {
            let value = document.and_then(|document| document.get("properties")).cloned();
            PollResult::Plain(Progress::Succeeded { value, started_at, ended_at })
        }
        (Verb::Delete, _) => PollResult::Plain(Progress::Succeeded { value: None, started_at, ended_at }),
    }
}

/// Parses the resource itself.
fn resource(operation: &Operation, response: &Response<'_>) -> Result<PollResult, ApiError> {
    let value = json(response.body)?;
    let state = provisioning_state(value.as_ref()).unwrap_or("Succeeded").to_owned();
    match FinalState::of(&state) {
        FinalState::Failed => Err(resource_failed(value.as_ref()).with_status(response.status)),
        // A resource that still exists is not deleted, whatever the state of its last operation.
        FinalState::Succeeded if operation.verb != Verb::Delete => Ok(PollResult::Plain(succeeded(value))),
        _ => Ok(PollResult::Plain(running(state, value.as_ref(), response))),
    }
}

fn running(state: String, value: Option<&Value>, response: &Response<'_>) -> Progress {
    let percent = value.and_then(|value| value.get("percentComplete")).and_then(Value::as_f64);
    Progress::Running { state, percent, not_before: retry::retry_after(response.headers, SystemTime::now()) }
}

fn succeeded(value: Option<Value>) -> Progress {
    Progress::Succeeded { value, started_at: None, ended_at: None }
}

/// The kind of a state: final or in progress.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FinalState {
    None,
    Succeeded,
    Failed,
}

impl FinalState {
    fn of(state: &str) -> Self {
        match state.to_ascii_lowercase().as_str() {
            "succeeded" => Self::Succeeded,
            "failed" | "canceled" | "cancelled" => Self::Failed,
            _ => Self::None,
        }
    }
}

/// Returns the state in a status document; some services return the resource instead.
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

/// Returns path and query of a URL from a service; rejects any origin other than that of `base`.
pub(super) fn local_address(base: &Url, address: &str) -> Result<String, ApiError> {
    let refused = || ApiError::new(ApiErrorKind::Protocol, "follow a URL to a foreign server");
    let url = base.join(address).map_err(|error| refused().with_source(error))?;
    ForeignOrigin::check(&url, &base.origin()).map_err(|error| refused().with_source(error))?;
    // A path that begins with two slashes would be parsed as a host without the origin.
    Ok(format!("/{}", path_and_query(&url).trim_start_matches('/')))
}

/// Parses a body as JSON; `None` if it is empty.
pub(super) fn json(body: &[u8]) -> Result<Option<Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::new(ApiErrorKind::Protocol, "read a response that is not JSON").with_source(error)
    })
}

fn instant(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests;
