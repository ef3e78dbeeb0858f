//! The workloads behind the gateways: httpbin and the two echo versions, or the user's own.

use crate::{
    Clients, ClusterSession, Clusters,
    cluster_ready::ReadyCluster,
    error::ErrorContext,
    manifests::Manifests,
    objects::{self, Applied, DesiredObjects, PreviousApply},
    resource::{Resource, ResourceSpec, Resources},
    settings::Settings,
    watch::{self, WatchTarget},
};
use landfall_cloud::kubernetes::{
    DynamicObject, Kind, Selection,
    manifest::Manifest,
    readiness::{self, Readiness},
};
use landfall_engine::{Check, Context, StatusCell, Step, StepError, UndoOutcome, Wait};
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

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
        let names: Vec<String> = objects::deployments(&self.manifests).into_values().flatten().collect();
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
        let found = match objects::diff(&session, &self.manifests, &self.previous(cx)).await?.check() {
            Ok(found) => found,
            Err(verdict) => return Ok(objects::verdict(verdict)),
        };
        if !found.live.iter().filter(|o| is_deployment(o)).all(is_available) {
            return Ok(Check::InProgress);
        }
        Ok(Check::InSync(objects::references(cx, &session, cx.last_output(), &found).await?))
    }

    async fn apply(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Applied, StepError> {
        let session = self.open(cluster).await?;
        let applied = objects::apply(cx, &session, self.previous(cx), &self.manifests).await?;
        if let Some(since) = await_deployments(cx, &session, &self.manifests).await? {
            cx.ended_at(since);
        }
        Ok(applied)
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

fn is_deployment(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|types| types.kind == "Deployment")
}

fn is_available(object: &DynamicObject) -> bool {
    matches!(readiness::deployment(object), Readiness::Ready(()))
}

/// Watches until every Deployment of the set is available, and reports the time at which the last one became
/// available.
pub(crate) async fn await_deployments(
    cx: &Context,
    session: &ClusterSession,
    manifests: &[Manifest],
) -> Result<Option<SystemTime>, StepError> {
    let wait =
        Wait::new("the workloads to become available", Duration::from_secs(10), Duration::from_secs(900));
    let mut latest = None;
    for (space, names) in objects::deployments(manifests) {
        let status = StatusCell::new();
        let evaluate = |all: &[DynamicObject]| {
            let outstanding = outstanding(all, &names);
            status.set(format!("waiting for {}", outstanding.join(", ")));
            outstanding.is_empty().then(|| all.iter().filter_map(readiness::deployment_since).max())
        };
        let watch = async {
            let deployments =
                WatchTarget { kind: &Kind::DEPLOYMENT, space: Some(&space), selection: Selection::All };
            let what = format!("watch the Deployments in {space}");
            watch::until(&session.api, deployments, &status, &what, evaluate).await
        };
        latest = latest.max(cx.wait_for(wait, &status, watch).await?);
    }
    Ok(latest)
}

fn outstanding(all: &[DynamicObject], names: &BTreeSet<String>) -> Vec<String> {
    let available = |name: &&String| {
        all.iter().any(|o| o.metadata.name.as_deref() == Some(name.as_str()) && is_available(o))
    };
    names.iter().filter(|name| !available(name)).cloned().collect()
}
