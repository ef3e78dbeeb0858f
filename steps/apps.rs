//! The workloads behind the gateways: httpbin and the two echo versions, or the user's own.

use crate::{
    Clouds, Clusters, Opened,
    cluster_ready::ReadyCluster,
    doing::Doing,
    manifests::Manifests,
    objects::{self, Applied, Earlier, Wanted},
    resource::{Resource, ResourceSpec, Resources},
    settings::Settings,
    watching::{self, Watched},
};
use landfall_cloud::kubernetes::{
    DynamicObject, Kind, Selection,
    manifest::Manifest,
    readiness::{self, Readiness},
};
use landfall_engine::{Check, Context, Seen, Step, StepError, Undone, Wait};
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
    wanted: Wanted,
}

impl Apps {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings, resources: &Resources) -> Self {
        let manifests = Manifests::new(s);
        Self {
            resources: resources.clone(),
            cluster_name: s.cluster.name.clone(),
            clusters: c.clusters.clone(),
            wanted: manifests.wanted(),
            manifests: manifests.apps,
        }
    }

    fn earlier(&self, cx: &Context) -> Earlier {
        Earlier { output: cx.last_output(), begun: cx.ticket(), wanted: self.wanted.clone() }
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<Opened, StepError> {
        self.clusters.open(cluster).await.doing(format!("open cluster {}", cluster.name))
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

    fn usual(&self) -> Duration {
        Duration::from_secs(12)
    }

    async fn check(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Check<Applied>, StepError> {
        let opened = self.open(cluster).await?;
        let found = match objects::look(&opened, &self.manifests, &self.earlier(cx)).await?.check() {
            Ok(found) => found,
            Err(verdict) => return Ok(objects::verdict(verdict)),
        };
        if !found.live.iter().filter(|o| is_deployment(o)).all(is_available) {
            return Ok(Check::Underway);
        }
        Ok(Check::Ready(objects::references(cx, &opened, cx.last_output(), &found).await?))
    }

    async fn apply(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Applied, StepError> {
        let opened = self.open(cluster).await?;
        let applied = objects::apply(cx, &opened, self.earlier(cx), &self.manifests).await?;
        if let Some(since) = await_deployments(cx, &opened, &self.manifests).await? {
            cx.ended_at(since);
        }
        Ok(applied)
    }

    async fn recover(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Option<Applied>, StepError> {
        objects::recover(cx, &self.clusters, &self.resources, cluster, &self.manifests).await
    }

    async fn existing(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Option<Applied>, StepError> {
        let opened = self.open(cluster).await?;
        Ok(objects::existing(cx, &opened, &self.manifests).await?.map(|(applied, _)| applied))
    }

    async fn undo(&self, cx: &Context, applied: Applied) -> Result<Undone, StepError> {
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
    opened: &Opened,
    manifests: &[Manifest],
) -> Result<Option<SystemTime>, StepError> {
    let wait =
        Wait::new("the workloads to become available", Duration::from_secs(10), Duration::from_secs(900));
    let mut latest = None;
    for (space, names) in objects::deployments(manifests) {
        let seen = Seen::new();
        let look = |all: &[DynamicObject]| {
            let outstanding = outstanding(all, &names);
            seen.set(format!("waiting for {}", outstanding.join(", ")));
            outstanding.is_empty().then(|| all.iter().filter_map(readiness::deployment_since).max())
        };
        let watch = async {
            let deployments =
                Watched { kind: &Kind::DEPLOYMENT, space: Some(&space), selection: Selection::All };
            let what = format!("watch the Deployments in {space}");
            watching::until(&opened.api, deployments, &seen, &what, look).await
        };
        latest = latest.max(cx.attend(wait, &seen, watch).await?);
    }
    Ok(latest)
}

fn outstanding(all: &[DynamicObject], names: &BTreeSet<String>) -> Vec<String> {
    let available = |name: &&String| {
        all.iter().any(|o| o.metadata.name.as_deref() == Some(name.as_str()) && is_available(o))
    };
    names.iter().filter(|name| !available(name)).cloned().collect()
}
