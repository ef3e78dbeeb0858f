//! Long operations: begin one, keep how to ask after it before the first sleep, wait for its end.

use crate::doing::Doing;
use landfall_cloud::{
    ApiError, ApiErrorKind, Sent,
    arm::{Arm, Begun, Operation, Progress},
};
use landfall_engine::{Context, Look, StepError, Wait};
use serde_json::Value;
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// How long a service's registration may take to reach every part of it, in cloud time.
pub(crate) const REGISTRATION_MAX: Duration = Duration::from_secs(600);

/// How an operation that was begun earlier ended.
pub(crate) enum Ended {
    /// It succeeded; the resource as it is now, where the service sends one.
    Succeeded(Option<Value>),
    /// Nobody remembers it any more: go by what is there.
    Expired,
}

/// Keeps the operation as this step's ticket, then waits for it.
pub(crate) async fn finish(
    cx: &Context,
    arm: &Arm,
    begun: Begun,
    wait: Wait,
    what: &str,
) -> Result<Option<Value>, StepError> {
    match begun {
        Begun::Done(value) => Ok(value),
        Begun::Accepted { operation, .. } => {
            cx.keep(&operation)?;
            match attend(cx, arm, &operation, wait, what).await? {
                Ended::Succeeded(value) => Ok(value),
                Ended::Expired => Ok(None),
            }
        }
    }
}

/// Goes on waiting for the operation that an earlier attempt left; `None` when it left none, or
/// one that nobody remembers any more.
pub(crate) async fn resume(
    cx: &Context,
    arm: &Arm,
    wait: Wait,
    what: &str,
) -> Result<Option<Option<Value>>, StepError> {
    let Some(operation) = cx.ticket::<Operation>() else { return Ok(None) };
    match attend(cx, arm, &operation, wait, what).await? {
        Ended::Succeeded(value) => Ok(Some(value)),
        Ended::Expired => {
            cx.drop_ticket()?;
            Ok(None)
        }
    }
}

/// Polls an operation to its end.
pub(crate) async fn attend(
    cx: &Context,
    arm: &Arm,
    operation: &Operation,
    wait: Wait,
    what: &str,
) -> Result<Ended, StepError> {
    cx.wait_until(wait, async || match arm.poll(operation).await {
        Ok(Progress::Running { state, not_before, .. }) => {
            Ok(Look::NotYet { state: in_words(&state), not_before })
        }
        Ok(Progress::Succeeded { value, ended_at, .. }) => {
            if let Some(at) = ended_at {
                cx.ended_at(at);
            }
            Ok(Look::There(Ended::Succeeded(value)))
        }
        Ok(Progress::Expired) => Ok(Look::There(Ended::Expired)),
        // An address that leads elsewhere is no way to ask, and no token goes there: go by what is there.
        Err(error) if error.kind == ApiErrorKind::Protocol && error.sent == Sent::Never => {
            Ok(Look::There(Ended::Expired))
        }
        // Not being able to ask says nothing of the operation: it goes on without us. Nor does an answer that cannot be
        // read, such as a proxy's page.
        Err(error) if passes(&error) || error.kind == ApiErrorKind::Protocol => Ok(unanswered(&error, None)),
        // It has ended, and not well: asking after it again would only say so again, so the next run goes by what is
        // there.
        Err(error) => {
            if error.sent == Sent::Answered {
                cx.drop_ticket()?;
            }
            Err(error).doing(what)
        }
    })
    .await
}

/// Makes a request that the service may refuse while another operation runs on the same thing:
/// that refusal is a reason to wait, not a failure.
pub(crate) async fn when_free<T, F>(
    cx: &Context,
    what: &str,
    request: impl Fn() -> F + Send + Sync,
) -> Result<T, StepError>
where
    F: Future<Output = Result<T, ApiError>> + Send,
{
    let wait = Wait::new("another operation to end", Duration::from_secs(60), Duration::from_secs(1800));
    let unregistered = cx.pace().patience(REGISTRATION_MAX);
    let began = Instant::now();
    cx.wait_until(wait, async || match request().await {
        Err(error) if error.kind == ApiErrorKind::Busy => {
            cx.retrying(error.code.as_deref().unwrap_or("busy"), Duration::ZERO);
            Ok(Look::not_yet("another operation is running"))
        }
        // The step beside this one has asked for the registration, or the service still spreads it.
        Err(error) if is_unregistered(&error) && began.elapsed() < unregistered => {
            Ok(Look::not_yet("waiting for the registration of the service to propagate"))
        }
        answered => Ok(Look::There(answered.doing(what)?)),
    })
    .await
}

/// Looks until `judge` finds what is waited for. An answer that does not come says nothing of the thing, so only the
/// wait's own bound ends it; the state that was seen last is said beside the trouble.
pub(crate) async fn look_until<V, T, F>(
    cx: &Context,
    wait: Wait,
    what: &str,
    ask: impl Fn() -> F + Send + Sync,
    judge: impl Fn(V) -> Result<Look<T>, StepError> + Send + Sync,
) -> Result<T, StepError>
where
    F: Future<Output = Result<V, ApiError>> + Send,
{
    let last = Mutex::new(None::<String>);
    cx.wait_until(wait, async || {
        let answered = ask().await;
        let mut last = last.lock().expect("nothing panics while it is held");
        match answered {
            Err(error) if passes(&error) => Ok(unanswered(&error, last.as_deref())),
            answered => {
                let look = judge(answered.doing(what)?)?;
                if let Look::NotYet { state, .. } = &look {
                    *last = Some(state.clone());
                }
                Ok(look)
            }
        }
    })
    .await
}

/// The look of a wait whose question got no answer.
pub(crate) fn unanswered<T>(error: &ApiError, last: Option<&str>) -> Look<T> {
    let seen = last.map(|state| format!("; last seen {state}")).unwrap_or_default();
    Look::not_before(format!("cannot read the state now: {}{seen}", error.message), error.retry_after)
}

/// Says whether the subscription, or a part of the service, does not know of a registration yet.
fn is_unregistered(error: &ApiError) -> bool {
    error.is("MissingSubscriptionRegistration") || error.is("NoRegisteredProviderFound")
}

/// Says a service's state the way a person reads it; a word nobody knows yet is passed on.
pub(crate) fn in_words(state: &str) -> String {
    match state {
        "InProgress" | "Running" => "in progress".to_owned(),
        "ReconcilingAddons" => "starting the add-ons".to_owned(),
        "RegisteringDns" => "publishing its DNS name".to_owned(),
        other => other.to_owned(),
    }
}

/// Says whether not having been answered now says nothing about the thing: asking later may.
pub(crate) fn passes(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::Unavailable | ApiErrorKind::Transport | ApiErrorKind::Throttled)
        && !error.is("UntrustedCertificate")
}
