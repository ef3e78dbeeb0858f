//! Long-running operations: start one, save its ticket before the first sleep, wait for its end.

use crate::error_context::ErrorContext;
use landfall_cloud::{
    ApiError, ApiErrorKind, SendStatus,
    arm::{ArmClient, Operation, Progress, State, Verb, WriteResult},
    kubernetes::NOT_REACHABLE,
};
use landfall_engine::{Context, Poll, StepError, Wait};
use serde_json::Value;
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// The maximum time until a registration has reached every part of the service, in cloud time.
pub(crate) const REGISTRATION_MAX: Duration = Duration::from_secs(600);

/// The maximum time until every region of Resource Manager knows a new group or resource, in cloud time.
const REPLICATION_MAX: Duration = Duration::from_secs(300);

/// The end of an operation that was started earlier.
pub(crate) enum OperationEnd {
    /// It succeeded; with the current resource, if the service sends it.
    Succeeded(Option<Value>),
    /// The service no longer knows it: read the resource.
    Expired,
}

/// Saves the operation as this step's ticket, then waits for it.
pub(crate) async fn finish(
    cx: &Context,
    arm: &ArmClient,
    write_result: WriteResult,
    wait: Wait,
    what: &str,
) -> Result<Option<Value>, StepError> {
    finish_with(cx, arm, write_result, &Polls::Operation, wait, what).await
}

/// Like [`finish`], for a resource that did not exist before. It is read itself at the typical end of the wait, if
/// the service wants the operation to be polled later: Network asks for ten seconds and needs six.
pub(crate) async fn finish_creation(
    cx: &Context,
    arm: &ArmClient,
    write_result: WriteResult,
    wait: Wait,
    what: &str,
) -> Result<Option<Value>, StepError> {
    finish_with(cx, arm, write_result, &Polls::with_resource(cx, wait), wait, what).await
}

/// Like [`finish`], for a cluster. The cluster itself is polled, and the operation only at the end, for its error: AKS
/// limits reads of operations for the whole subscription, and reads of a cluster for each cluster.
pub(crate) async fn finish_cluster(
    cx: &Context,
    arm: &ArmClient,
    write_result: WriteResult,
    wait: Wait,
    what: &str,
) -> Result<Option<Value>, StepError> {
    finish_with(cx, arm, write_result, &Polls::Resource, wait, what).await
}

async fn finish_with(
    cx: &Context,
    arm: &ArmClient,
    write_result: WriteResult,
    polls: &Polls,
    wait: Wait,
    what: &str,
) -> Result<Option<Value>, StepError> {
    match write_result {
        WriteResult::Done(value) => Ok(value),
        WriteResult::Accepted { operation, .. } => {
            cx.save_ticket(&operation)?;
            match poll_to_end(cx, arm, &operation, polls, wait, what).await? {
                OperationEnd::Succeeded(value) => Ok(value),
                OperationEnd::Expired => Ok(None),
            }
        }
    }
}

/// The resources that the polls of an operation read.
enum Polls {
    /// Only the operation.
    Operation,
    /// Only the resource, until it has a final state or is gone.
    Resource,
    /// Also the new resource, at its typical end.
    WithResource {
        typical_end: Instant,
        /// The time before which the service wants no poll of the operation.
        not_before: Mutex<Option<Instant>>,
    },
}

impl Polls {
    fn with_resource(cx: &Context, wait: Wait) -> Self {
        let typical_end = Instant::now() + cx.time_scale().real(wait.typical_duration);
        Self::WithResource { typical_end, not_before: Mutex::new(None) }
    }

    /// Returns the remaining time before the next poll of the operation, if this poll reads the resource.
    fn reads_resource(&self) -> Option<Duration> {
        let Self::WithResource { not_before, .. } = self else { return None };
        let not_before = not_before.lock().expect("nothing panics while it is held").take()?;
        Some(not_before.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Returns the delay before the next poll, for the service's delay before the next poll of the operation.
    fn next(&self, wanted: Option<Duration>) -> Option<Duration> {
        let (Self::WithResource { typical_end, not_before }, Some(delay)) = (self, wanted) else {
            return wanted;
        };
        let now = Instant::now();
        let typical = typical_end.saturating_duration_since(now);
        if typical.is_zero() || typical >= delay {
            return wanted;
        }
        *not_before.lock().expect("nothing panics while it is held") = Some(now + delay);
        Some(typical)
    }
}

/// Resumes the wait for the operation of an earlier attempt on a cluster, with the polls of [`finish_cluster`]; `None` if
/// that attempt left none, or one that the service no longer knows.
pub(crate) async fn resume_cluster(
    cx: &Context,
    arm: &ArmClient,
    wait: Wait,
    what: &str,
) -> Result<Option<Option<Value>>, StepError> {
    let Some(operation) = cx.ticket::<Operation>() else { return Ok(None) };
    match poll_to_end(cx, arm, &operation, &Polls::Resource, wait, what).await? {
        OperationEnd::Succeeded(value) => Ok(Some(value)),
        OperationEnd::Expired => {
            cx.drop_ticket()?;
            Ok(None)
        }
    }
}

/// Polls an operation to its end.
async fn poll_to_end(
    cx: &Context,
    arm: &ArmClient,
    operation: &Operation,
    polls: &Polls,
    wait: Wait,
    what: &str,
) -> Result<OperationEnd, StepError> {
    cx.wait_until(wait, async || {
        if matches!(polls, Polls::Resource) {
            return poll_resource(cx, arm, operation, what).await;
        }
        if let Some(left) = polls.reads_resource() {
            return Ok(match arm.get(&operation.resource, &operation.api_version).await {
                Ok(Some(body)) if State::of(&body) == State::Succeeded => {
                    Poll::Ready(OperationEnd::Succeeded(Some(body)))
                }
                _ => Poll::not_before("in progress", Some(left)),
            });
        }
        poll_once(cx, arm, operation, polls, None, what).await
    })
    .await
}

/// Reads the resource, and the operation if the resource has a final state.
async fn poll_resource(
    cx: &Context,
    arm: &ArmClient,
    operation: &Operation,
    what: &str,
) -> Result<Poll<OperationEnd>, StepError> {
    match arm.get(&operation.resource, &operation.api_version).await {
        Ok(None) if operation.verb == Verb::Delete => Ok(Poll::Ready(OperationEnd::Succeeded(None))),
        Ok(Some(body)) => match State::of(&body) {
            State::Running(state) => Ok(Poll::not_yet(display_state(&state))),
            State::Deleting => Ok(Poll::not_yet("Deleting")),
            // It may be the state before the operation: the operation decides.
            _ => poll_once(cx, arm, operation, &Polls::Resource, Some(body), what).await,
        },
        Ok(None) => poll_once(cx, arm, operation, &Polls::Resource, None, what).await,
        Err(error) if is_transient(&error) || error.kind == ApiErrorKind::Protocol => {
            Ok(no_response(&error, None))
        }
        Err(error) => Err(error).context(what),
    }
}

async fn poll_once(
    cx: &Context,
    arm: &ArmClient,
    operation: &Operation,
    polls: &Polls,
    resource: Option<Value>,
    what: &str,
) -> Result<Poll<OperationEnd>, StepError> {
    match arm.poll_with(operation, resource).await {
        Ok(Progress::Running { state, not_before, .. }) => {
            Ok(Poll::NotYet { state: display_state(&state), not_before: polls.next(not_before) })
        }
        Ok(Progress::Succeeded { value, ended_at, .. }) => {
            if let Some(at) = ended_at {
                cx.ended_at(at);
            }
            Ok(Poll::Ready(OperationEnd::Succeeded(value)))
        }
        Ok(Progress::Expired) => Ok(Poll::Ready(OperationEnd::Expired)),
        // An address of another server cannot be polled, and gets no token: read the resource.
        Err(error) if error.kind == ApiErrorKind::Protocol && error.sent == SendStatus::Never => {
            Ok(Poll::Ready(OperationEnd::Expired))
        }
        // A failed poll is no conclusion about the operation, which continues. The same holds for an
        // unreadable answer, such as a proxy's page.
        Err(error) if is_transient(&error) || error.kind == ApiErrorKind::Protocol => {
            Ok(no_response(&error, None))
        }
        // The operation failed: another poll would only repeat that, so the next run reads the resource.
        Err(error) => {
            if error.sent == SendStatus::Answered {
                cx.drop_ticket()?;
            }
            Err(error).context(what)
        }
    }
}

/// Sends a request that the service may refuse while another operation runs on the same resource: that
/// refusal leads to a wait, not to a failure.
pub(crate) async fn retry_while_busy<T, F>(
    cx: &Context,
    what: &str,
    request: impl Fn() -> F + Send + Sync,
) -> Result<T, StepError>
where
    F: Future<Output = Result<T, ApiError>> + Send,
{
    let wait = Wait::new("another operation to end", Duration::from_secs(60), Duration::from_secs(1800));
    let unregistered = cx.time_scale().poll_timeout(REGISTRATION_MAX);
    let unreplicated = cx.time_scale().poll_timeout(REPLICATION_MAX);
    let began = Instant::now();
    cx.wait_until(wait, async || match request().await {
        Err(error) if error.kind == ApiErrorKind::Busy => {
            cx.retrying(error.code.as_deref().unwrap_or("busy"), Duration::ZERO);
            Ok(Poll::not_yet("another operation is running"))
        }
        // A concurrent step has requested the registration, or the service is still distributing it.
        Err(error) if is_unregistered(&error) && began.elapsed() < unregistered => {
            Ok(Poll::not_yet("waiting for the registration of the service to propagate"))
        }
        Err(error) if is_unreplicated(&error) && began.elapsed() < unreplicated => {
            Ok(not_replicated(cx, &error))
        }
        response => Ok(Poll::Ready(response.context(what)?)),
    })
    .await
}

/// Returns the poll result for a write that was refused because its group or parent is new.
pub(crate) fn not_replicated<T>(cx: &Context, error: &ApiError) -> Poll<T> {
    cx.retrying(error.code.as_deref().unwrap_or("not found"), Duration::ZERO);
    Poll::not_yet("waiting until every region of Azure Resource Manager knows the new parent")
}

/// Returns whether a region of Resource Manager does not know the group or the parent of a new resource. The run has
/// read or created it before, so either the region is late, as observed for minutes, or another party deleted it.
pub(crate) fn is_unreplicated(error: &ApiError) -> bool {
    error.is("ResourceGroupNotFound") || error.is("ParentResourceNotFound")
}

/// Polls until `judge` returns a result. A missing answer is no conclusion about the resource, so only the
/// wait's deadline ends it. The error includes the last known state.
pub(crate) async fn poll_until<V, T, F>(
    cx: &Context,
    wait: Wait,
    what: &str,
    request: impl Fn() -> F + Send + Sync,
    evaluate: impl Fn(V) -> Result<Poll<T>, StepError> + Send + Sync,
) -> Result<T, StepError>
where
    F: Future<Output = Result<V, ApiError>> + Send,
{
    let last = Mutex::new(None::<String>);
    cx.wait_until(wait, async || {
        let response = request().await;
        let mut last = last.lock().expect("nothing panics while it is held");
        match response {
            Err(error) if is_transient(&error) => Ok(no_response(&error, last.as_deref())),
            response => {
                let poll = evaluate(response.context(what)?)?;
                if let Poll::NotYet { state, .. } = &poll {
                    *last = Some(state.clone());
                }
                Ok(poll)
            }
        }
    })
    .await
}

/// Returns the poll result for a request without an answer.
pub(crate) fn no_response<T>(error: &ApiError, last: Option<&str>) -> Poll<T> {
    let seen = last.map(|state| format!("; last seen {state}")).unwrap_or_default();
    Poll::not_before(format!("cannot read the state now: {}{seen}", error.message), error.retry_after)
}

/// Returns whether the subscription, or a part of the service, does not know a registration yet.
fn is_unregistered(error: &ApiError) -> bool {
    error.is("MissingSubscriptionRegistration") || error.is("NoRegisteredProviderFound")
}

/// Returns the display text of a service's state; an unknown state is passed on.
pub(crate) fn display_state(state: &str) -> String {
    match state {
        "InProgress" | "Running" => "in progress".to_owned(),
        "ReconcilingAddons" => "starting the add-ons".to_owned(),
        "RegisteringDns" => "publishing its DNS name".to_owned(),
        other => other.to_owned(),
    }
}

/// Returns whether an error is transient, so that a later attempt may succeed.
pub(crate) fn is_transient(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::Unavailable | ApiErrorKind::Transport | ApiErrorKind::Throttled)
        && !error.is("UntrustedCertificate")
        && !error.is(NOT_REACHABLE)
}
