//! Recreation of a cluster that cannot be repaired: only if it is owned, requested, and free of foreign
//! objects.

use crate::{cluster::Cluster, cluster_body, operation};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Begun, State},
};
use landfall_engine::{Context, Kind, Look, Residue, StepError, Wait};
use serde_json::Value;
use std::time::Duration;

impl Cluster {
    /// Returns whether the cluster is to be replaced by a new one.
    pub(crate) fn is_to_be_replaced(&self, cx: &Context, body: &Value) -> bool {
        let is_broken = matches!(State::of(body), State::Failed | State::Canceled)
            || cluster_body::failed_pool(body).is_some();
        self.settings.cluster.replace && cx.ours() && is_broken
    }

    /// Deletes an owned cluster, and waits until it is gone.
    ///
    /// # Errors
    /// Fails if it contains foreign objects, or could not be examined for them.
    pub(crate) async fn clear_away(&self, cx: &Context, body: &Value) -> Result<(), StepError> {
        let refused = |why: String| {
            StepError::new(Kind::Foreign, format!("recreate cluster {}", self.name()))
                .cause(why)
                .hint(
                    "move the foreign objects elsewhere, or delete the cluster yourself; without --replace \
                     cluster it is repaired in place",
                )
                .residue(Residue::Nothing)
        };
        if let Some(why) = self.reason_to_keep(cx, body).await? {
            return Err(refused(why));
        }
        cx.note("deleting it, to recreate it");
        let begun = self.begin_to_delete(cx, self.name()).await?;
        let what = format!("delete cluster {}", self.name());
        operation::finish(cx, self.azure.arm(), begun, Self::deletion(), &what).await?;
        self.until_gone(cx).await
    }

    /// Returns the wait for a deletion.
    pub(crate) fn deletion() -> Wait {
        Wait::new("the cluster to be deleted", Duration::from_secs(300), Duration::from_secs(3600))
    }

    pub(crate) async fn begin_to_delete(&self, cx: &Context, name: &str) -> Result<Begun, StepError> {
        operation::when_free(cx, &format!("delete cluster {name}"), || async {
            match self.azure.delete_cluster(&self.settings.resource_group, name).await {
                Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Begun::Done(None)),
                begun => begun,
            }
        })
        .await
    }

    pub(crate) async fn until_gone(&self, cx: &Context) -> Result<(), StepError> {
        let gone = self.looked_until(cx, Self::deletion(), |body| match body {
            Some(_) => Look::not_yet("Deleting"),
            None => Look::There(()),
        });
        gone.await.map_err(|error| error.residue(Residue::Something))
    }
}
