//! Whether a cluster can still be talked to, for taking away what is in it.

use crate::{
    clouds::{Clusters, Opened},
    cluster_body,
    cluster_ready::ReadyCluster,
    doing::Doing,
    operation,
};
use landfall_cloud::{ApiError, ApiErrorKind, arm::State};
use landfall_engine::{Context, Kind, Look, StepError, Wait};
use serde_json::Value;
use std::time::Duration;

/// How long the API of a running cluster may be silent, in cloud time, before what is in it is left to go with it.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// What came of trying to reach a cluster.
pub(crate) enum Reached {
    /// Its API answers.
    Open(Opened),
    /// There is no such cluster any more.
    Gone,
    /// Nobody gets in: it is stopped, failed, silent, or not ours to enter; and why.
    Closed(String),
}

/// Opens a cluster, or says why nobody can. Only of a cluster of ours: somebody else's that cannot be reached is an
/// error, because what we put into it must not be forgotten.
pub(crate) async fn reach(
    cx: &Context,
    clusters: &Clusters,
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
        if !cx.is_ours("cluster") || error.kind == ApiErrorKind::SignIn {
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
        Err(error) if error.kind == Kind::TimedOut && cx.is_ours("cluster") => {
            Ok(Reached::Closed(error.message))
        }
        reached => reached,
    }
}

/// The wait for the API of a running cluster. When it passes, nobody will answer.
pub(crate) fn wait() -> Wait {
    Wait::new("the cluster's API to respond", Duration::from_secs(10), SILENCE_MAX)
}

/// Why a cluster that Azure knows answers nobody.
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

/// Why a cluster cannot be asked, for a person.
pub(crate) fn why(error: &ApiError) -> String {
    match error.kind {
        ApiErrorKind::Forbidden | ApiErrorKind::Unauthorized => {
            "the signed-in identity may not access it".to_owned()
        }
        _ => format!("its API does not respond: {}", error.message),
    }
}
