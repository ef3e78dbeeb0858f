//! Access to a cluster for the deletion of its contents.

use crate::{
    ClusterSession, Clusters, cluster::AcceptedCluster, cluster::body as cluster_body,
    cluster_ready::ReadyCluster, error_context::ErrorContext, operation,
};
use landfall_cloud::{ApiError, ApiErrorKind, arm::State, kubernetes::NOT_REACHABLE};
use landfall_engine::{Context, Kind, Poll, RecordOf, StepError, Wait};
use serde_json::Value;
use std::time::Duration;

/// The maximum silence of a running cluster's API, in cloud time; after it, the contents are left to the
/// cluster's deletion.
const API_RESPONSE_TIMEOUT: Duration = Duration::from_secs(300);

/// The result of an attempt to reach a cluster.
pub(crate) enum ClusterAccess {
    /// Its API answers.
    Open(ClusterSession),
    /// The cluster no longer exists.
    NotFound,
    /// The cluster is inaccessible: stopped, failed, silent or forbidden; with the reason.
    Inaccessible(String),
}

/// Opens a cluster, or returns why it is inaccessible. Only for an owned cluster: an unreachable foreign one
/// is an error, because landfall's objects in it must not be forgotten.
pub(crate) async fn access_cluster(
    cx: &Context,
    clusters: &Clusters,
    accepted: RecordOf<AcceptedCluster>,
    cluster: &ReadyCluster,
) -> Result<ClusterAccess, StepError> {
    let what = format!("open cluster {}", cluster.name);
    let access = cx.wait_until(wait(), async || {
        let error = match clusters.open(cluster).await {
            Ok(session) => return Ok(Poll::Ready(ClusterAccess::Open(session))),
            Err(error) => error,
        };
        if error.kind == ApiErrorKind::NotFound {
            return Ok(Poll::Ready(ClusterAccess::NotFound));
        }
        if !cx.owns(accepted) || error.kind == ApiErrorKind::SignIn {
            return Err(error).context(&what);
        }
        if !operation::is_transient(&error) {
            return Ok(Poll::Ready(ClusterAccess::Inaccessible(why(&error))));
        }
        Ok(match clusters.body(cluster).await {
            Ok(None) => Poll::Ready(ClusterAccess::NotFound),
            Ok(Some(body)) => match inaccessible_reason(&body) {
                Some(why) => Poll::Ready(ClusterAccess::Inaccessible(why)),
                None => operation::no_response(&error, None),
            },
            Err(other) if operation::is_transient(&other) => operation::no_response(&other, None),
            Err(other) => return Err(other).context(&what),
        })
    });
    match access.await {
        Err(error) if error.kind == Kind::TimedOut && cx.owns(accepted) => {
            Ok(ClusterAccess::Inaccessible(error.message))
        }
        access => access,
    }
}

/// Returns the wait for the API of a running cluster. After it, no answer is expected.
pub(crate) fn wait() -> Wait {
    Wait::new("the cluster's API to respond", Duration::from_secs(10), API_RESPONSE_TIMEOUT)
}

/// Returns the reason why an existing cluster does not answer.
fn inaccessible_reason(body: &Value) -> Option<String> {
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
        _ => match error.details.first().filter(|_| error.is(NOT_REACHABLE)) {
            Some((_, why)) => format!("its API does not respond: {why}"),
            None => format!("its API does not respond: {}", error.message),
        },
    }
}
