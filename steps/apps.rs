//! The workloads behind the gateways: httpbin and the two echo versions, or the user's own.

use crate::{
    Clients, ClusterSession, Clusters,
    cluster_ready::ReadyCluster,
    error_context::ErrorContext,
    manifests::Manifests,
    objects::{self, Applied, DesiredObjects, PreviousApply},
    resource_spec::{Resource, ResourceSpec, Resources},
    settings::Settings,
};
use landfall_cloud::kubernetes::manifest::Manifest;
use landfall_engine::{Check, Context, Step, StepError, UndoOutcome};
use std::time::Duration;

/// Applies the workloads and waits until they are available.
pub struct Apps {
    resources: Resources,
    cluster_name: String,
    clusters: Clusters,
    manifests: Vec<Manifest>,
    wanted: DesiredObjects,
}

impl Apps {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        let manifests = Manifests::new(s);
        Self {
            resources: resources.clone(),
            cluster_name: s.cluster.name.clone(),
            clusters: c.clusters.clone(),
            wanted: manifests.wanted(),
            manifests: manifests.apps,
        }
    }

    fn previous(&self, cx: &Context) -> PreviousApply {
        PreviousApply { output: cx.last_output(), unfinished: cx.ticket(), wanted: self.wanted.clone() }
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<ClusterSession, StepError> {
        self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))
    }
}

impl Resource for Apps {
    fn resource(&self) -> ResourceSpec {
        objects::spec(&self.cluster_name)
    }
}

impl Step for Apps {
    type Input = ReadyCluster;
    type Output = Applied;

    fn title(&self) -> String {
        let names: Vec<String> = objects::workloads(&self.manifests).into_values().flatten().collect();
        if names.is_empty() { format!("{} objects", self.manifests.len()) } else { names.join(", ") }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(1200)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(12)
    }

    async fn check(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Check<Applied>, StepError> {
        let session = self.open(cluster).await?;
        let diff = objects::diff(&session, &self.manifests, &self.previous(cx)).await?;
        diff.note_found(cx);
        let found = match diff.check() {
            Ok(found) => found,
            Err(verdict) => return Ok(objects::verdict(verdict)),
        };
        if !found.live.iter().all(objects::is_ready) {
            return Ok(Check::InProgress);
        }
        let applied = objects::references(cx, &session, cx.last_output(), &found).await?;
        Ok(Check::InSync(objects::with_claims(&session, &self.manifests, applied, cx.last_output()).await?))
    }

    async fn apply(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Applied, StepError> {
        let session = self.open(cluster).await?;
        let applied = objects::apply(cx, &session, self.previous(cx), &self.manifests).await?;
        if let Some(since) = objects::await_workloads(cx, &session, &self.manifests).await? {
            cx.ended_at(since);
        }
        objects::with_claims(&session, &self.manifests, applied, cx.last_output()).await
    }

    async fn recover(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Option<Applied>, StepError> {
        objects::recover(cx, &self.clusters, &self.resources, cluster, &self.manifests).await
    }

    async fn existing(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Option<Applied>, StepError> {
        let session = self.open(cluster).await?;
        Ok(objects::existing(cx, &session, &self.manifests).await?.map(|(applied, _)| applied))
    }

    async fn undo(&self, cx: &Context, applied: Applied) -> Result<UndoOutcome, StepError> {
        objects::undo(cx, &self.clusters, &self.resources, &applied).await
    }
}
