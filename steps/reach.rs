//! Access to a cluster for the deletion of its contents.

use crate::{
    Clusters, Opened, cluster::AcceptedCluster, cluster_body, cluster_ready::ReadyCluster, doing::Doing,
    operation,
};
use landfall_cloud::{ApiError, ApiErrorKind, arm::State};
use landfall_engine::{Context, Kind, Look, RecordOf, StepError, Wait};
use serde_json::Value;
use std::time::Duration;

/// The maximum silence of a running cluster's API, in cloud time; after it, the contents are left to the
/// cluster's deletion.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// The result of an attempt to reach a cluster.
pub(crate) enum Reached {
    /// Its API answers.
    Open(Opened),
    /// The cluster no longer exists.
    Gone,
    /// The cluster is inaccessible: stopped, failed, silent or forbidden; with the reason.
    Closed(String),
}

/// Opens a cluster, or returns why it is inaccessible. Only for an owned cluster: an unreachable foreign one
/// is an error, because landfall's objects in it must not be forgotten.
pub(crate) async fn reach(
    cx: &Context,
    clusters: &Clusters,
    accepted: RecordOf<AcceptedCluster>,
    cluster: &ReadyCluster,
) -> Result<Reached, StepError> {
    let what = format!("open cluster {}", cluster.name);
    let reached = cx.wait_until(wait(), async || {
        let error = match clusters.open(cluster).await {
            Ok(opened) => return Ok(Look::There(Reached::Open(opened))),
            Err(error) => error,
        };
        if error.kind == ApiErrorKind::NotFound {
            return Ok(Look::There(Reached::Gone));
        }
        if !cx.owns(accepted) || error.kind == ApiErrorKind::SignIn {
            return Err(error).doing(&what);
        }
        if !operation::passes(&error) {
            return Ok(Look::There(Reached::Closed(why(&error))));
        }
        Ok(match clusters.body(cluster).await {
            Ok(None) => Look::There(Reached::Gone),
            Ok(Some(body)) => match closed(&body) {
                Some(why) => Look::There(Reached::Closed(why)),
                None => operation::unanswered(&error, None),
            },
            Err(other) if operation::passes(&other) => operation::unanswered(&other, None),
            Err(other) => return Err(other).doing(&what),
        })
    });
    match reached.await {
        Err(error) if error.kind == Kind::TimedOut && cx.owns(accepted) => Ok(Reached::Closed(error.message)),
        reached => reached,
    }
}

/// Returns the wait for the API of a running cluster. After it, no answer is expected.
pub(crate) fn wait() -> Wait {
    Wait::new("the cluster's API to respond", Duration::from_secs(10), SILENCE_MAX)
}

/// Returns the reason why an existing cluster does not answer.
fn closed(body: &Value) -> Option<String> {
    if cluster_body::is_stopped(body) {
        return Some("it is stopped".to_owned());
    }
    match State::of(body) {
        State::Failed => Some("it is Failed".to_owned()),
        State::Canceled => Some("it is Canceled".to_owned()),
        State::Deleting => Some("it is being deleted".to_owned()),
        State::Running(_) | State::Succeeded => None,
    }
}

/// Returns the reason why a cluster cannot be queried, for a person.
pub(crate) fn why(error: &ApiError) -> String {
    match error.kind {
        ApiErrorKind::Forbidden | ApiErrorKind::Unauthorized => {
            "the signed-in identity may not access it".to_owned()
        }
        _ => format!("its API does not respond: {}", error.message),
    }
}
