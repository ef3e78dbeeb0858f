//! Recreation of a cluster that cannot be repaired: only if it is owned, requested, and free of foreign
//! objects.

use crate::{cluster::Cluster, cluster::body as cluster_body, operation};
use landfall_cloud::{
    ApiErrorKind,
    arm::{State, WriteResult},
};
use landfall_engine::{Context, Kind, Leftover, Poll, StepError, Wait};
use serde_json::Value;
use std::time::Duration;

impl Cluster {
    /// Returns whether the cluster is to be replaced by a new one.
    pub(crate) fn must_be_recreated(&self, cx: &Context, body: &Value) -> bool {
        let is_broken = matches!(State::of(body), State::Failed | State::Canceled)
            || cluster_body::failed_pool(body).is_some();
        self.settings.cluster.replace && cx.owned() && is_broken
    }

    /// Deletes an owned cluster, and waits until it is gone.
    ///
    /// # Errors
    /// Fails if it contains foreign objects, or could not be examined for them.
    pub(crate) async fn delete_to_recreate(&self, cx: &Context, body: &Value) -> Result<(), StepError> {
        let refused = |why: String| {
            StepError::new(Kind::Foreign, format!("recreate cluster {}", self.name()))
                .cause(why)
                .hint(
                    "move the foreign objects elsewhere, or delete the cluster yourself; without --replace \
                     cluster it is repaired in place",
                )
                .leftover(Leftover::Nothing)
        };
        if let Some(why) = self.reason_to_keep(cx, body).await? {
            return Err(refused(why));
        }
        cx.note("deleting it, to recreate it");
        let write_result = self.start_deletion(cx, self.name()).await?;
        let what = format!("delete cluster {}", self.name());
        operation::finish_cluster(cx, self.azure.arm(), write_result, Self::deletion(), &what).await?;
        self.wait_until_deleted(cx).await
    }

    /// Returns the wait for a deletion.
    pub(crate) fn deletion() -> Wait {
        Wait::new("the cluster to be deleted", Duration::from_secs(300), Duration::from_secs(3600))
    }

    pub(crate) async fn start_deletion(&self, cx: &Context, name: &str) -> Result<WriteResult, StepError> {
        operation::retry_while_busy(cx, &format!("delete cluster {name}"), || async {
            match self.azure.delete_cluster(&self.settings.resource_group, name).await {
                Err(error) if error.kind == ApiErrorKind::NotFound => Ok(WriteResult::Done(None)),
                write_result => write_result,
            }
        })
        .await
    }

    pub(crate) async fn wait_until_deleted(&self, cx: &Context) -> Result<(), StepError> {
        let deleted = self.poll_cluster_until(cx, Self::deletion(), |body| match body {
            Some(_) => Poll::not_yet("Deleting"),
            None => Poll::Ready(()),
        });
        deleted.await.map_err(|error| error.leftover(Leftover::Something))
    }
}
