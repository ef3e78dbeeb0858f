//! Readiness of the workloads of a set: Deployments, StatefulSets, DaemonSets and Jobs.

use super::kind_name;
use crate::{
    ClusterSession,
    watch::{self, WatchTarget},
};
use landfall_cloud::kubernetes::{
    DynamicObject, Kind, Selection,
    manifest::Manifest,
    readiness::{self, Readiness},
};
use landfall_engine::{Context, Kind as ErrorKind, StatusCell, StepError, Wait};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// The kinds to wait for.
const KINDS: [Kind; 4] = [Kind::DEPLOYMENT, Kind::STATEFUL_SET, Kind::DAEMON_SET, Kind::JOB];

/// Returns the workloads of a set by the index of their kind and by namespace.
pub(crate) fn workloads(manifests: &[Manifest]) -> BTreeMap<(usize, String), BTreeSet<String>> {
    let mut wanted: BTreeMap<(usize, String), BTreeSet<String>> = BTreeMap::new();
    for manifest in manifests {
        let object = &manifest.object;
        let is_kind = |kind: &Kind| Kind::known_of(object).as_ref() == Some(kind);
        if let Some(index) = KINDS.iter().position(is_kind) {
            let space = object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
            wanted.entry((index, space)).or_default().extend(object.metadata.name.clone());
        }
    }
    wanted
}

/// Returns whether an object, which contains its types, is ready. An object that is no workload always is.
pub(crate) fn is_ready(object: &DynamicObject) -> bool {
    let kind = Kind::known_of(object).filter(|kind| KINDS.contains(kind));
    kind.is_none_or(|kind| readiness::workload(&kind.kind, object).is_ready())
}

/// Watches until every workload of the set is ready, and reports the time at which the last one became ready.
///
/// # Errors
/// `Failed` for a Job that failed, and `TimedOut` for workloads that do not become ready.
pub(crate) async fn await_workloads(
    cx: &Context,
    session: &ClusterSession,
    manifests: &[Manifest],
) -> Result<Option<SystemTime>, StepError> {
    let wait =
        Wait::new("the workloads to become available", Duration::from_secs(10), Duration::from_secs(900));
    let expiring = expiring_jobs(manifests);
    let mut latest = None;
    for ((index, space), names) in workloads(manifests) {
        let kind = &KINDS[index];
        let status = StatusCell::new();
        let evaluate = |all: &[DynamicObject]| {
            // The apply succeeded, so a missing Job with a time to live has ended.
            let is_gone = |name: &str| expiring.contains(&(space.clone(), name.to_owned()));
            match outstanding(kind, all, &names, is_gone) {
                Err(broken) => Some(Err(broken)),
                Ok(outstanding) if outstanding.is_empty() => {
                    let since = all.iter().filter_map(|object| readiness::workload_since(&kind.kind, object));
                    Some(Ok(since.max()))
                }
                Ok(outstanding) => {
                    status.set(format!("waiting for {}", outstanding.join(", ")));
                    None
                }
            }
        };
        let watch = async {
            let target = WatchTarget { kind, space: Some(&space), selection: Selection::All };
            let what = format!("watch the {}s in {space}", kind.kind);
            watch::until(&session.api, target, &status, &what, evaluate).await?
        };
        latest = latest.max(cx.wait_for(wait, &status, watch).await?);
    }
    Ok(latest)
}

/// Returns namespace and name of the Jobs that the cluster deletes after their end.
fn expiring_jobs(manifests: &[Manifest]) -> BTreeSet<(String, String)> {
    let expires = |manifest: &&Manifest| {
        kind_name(manifest) == "Job"
            && !matches!(
                manifest.object.data.pointer("/spec/ttlSecondsAfterFinished"),
                None | Some(Value::Null)
            )
    };
    let key = |manifest: &Manifest| {
        let metadata = &manifest.object.metadata;
        let space = metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        (space, metadata.name.clone().unwrap_or_default())
    };
    manifests.iter().filter(expires).map(key).collect()
}

/// Returns the names of the workloads that are not ready.
fn outstanding(
    kind: &Kind,
    all: &[DynamicObject],
    names: &BTreeSet<String>,
    is_gone: impl Fn(&str) -> bool,
) -> Result<Vec<String>, StepError> {
    let mut outstanding = Vec::new();
    for name in names {
        let live = all.iter().find(|object| object.metadata.name.as_ref() == Some(name));
        match live.map(|live| readiness::workload(&kind.kind, live)) {
            Some(Readiness::Ready(())) => {}
            None if is_gone(name) => {}
            Some(Readiness::Broken(why)) if *kind == Kind::JOB => return Err(failed_job(name, why)),
            _ => outstanding.push(name.clone()),
        }
    }
    Ok(outstanding)
}

fn failed_job(name: &str, why: String) -> StepError {
    StepError::new(ErrorKind::Failed, format!("run Job {name}")).code("JobFailed").cause(why).hint(format!(
        "kubectl logs job/{name} shows the cause; --replace job/{name} runs it again after a correction"
    ))
}
