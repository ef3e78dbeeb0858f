//! Pruning: objects that an earlier run applied and that the manifests no longer contain.

use super::{
    Applied, ObjectRef, delete,
    diff::{SetDiff, fingerprint},
    foreign::OwnedObjects,
    kind_name,
    prerequisites::DEFINITION,
    recorded_ownership::{is_created_by_landfall, refers_to},
    reference_of, uid_of,
};
use crate::{ClusterSession, error_context::ErrorContext, settings::ObjectName};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, TypeMeta, manifest::Manifest};
use landfall_engine::{Change, StepError};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The objects in the manifests of all steps, by kind, namespace and name: an object that moved from one
/// step's set to another's is not pruned.
#[derive(Clone, Default)]
pub(crate) struct DesiredObjects(Arc<BTreeSet<(String, String, String)>>, Arc<Vec<ObjectName>>);

impl DesiredObjects {
    pub(crate) fn of<'a>(manifests: impl Iterator<Item = &'a Manifest>, replace: &[ObjectName]) -> Self {
        let named = |manifest: &Manifest| {
            let kind = manifest.object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
            let name = manifest.object.metadata.name.clone().unwrap_or_default();
            (kind, space(manifest.object.metadata.namespace.as_deref()), name)
        };
        Self(Arc::new(manifests.map(named).collect()), Arc::new(replace.to_vec()))
    }

    /// Returns the objects with those of further manifests.
    pub(crate) fn and(&self, manifests: &[Manifest]) -> Self {
        let Self(further, _) = Self::of(manifests.iter(), &[]);
        Self(Arc::new(self.0.union(&further).cloned().collect()), Arc::clone(&self.1))
    }

    /// Returns whether an object may be deleted and recreated.
    pub(super) fn replaces(&self, name: &ObjectName) -> bool {
        self.1.contains(name)
    }

    fn includes(&self, object: &ObjectRef) -> bool {
        let space = space(object.namespace.as_deref());
        let place = |space: String| (object.kind.clone(), space, object.name.clone());
        self.0.contains(&place(space.clone())) || self.0.contains(&place("default".to_owned()))
    }
}

/// Returns the namespace as text. Cluster-scoped objects have none, and a manifest may omit the default one.
fn space(namespace: Option<&str>) -> String {
    namespace.unwrap_or("default").to_owned()
}

/// Returns the fingerprints of the Jobs whose time to live ends after they have finished.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/>
pub(super) fn expiring_jobs(manifests: &[Manifest]) -> BTreeMap<String, String> {
    let expires = |job: &&Manifest| {
        kind_name(job) == "Job" && job.object.data.pointer("/spec/ttlSecondsAfterFinished").is_some()
    };
    let jobs = manifests.iter().filter(expires);
    jobs.map(|job| (job_key(job), fingerprint(std::slice::from_ref(job)))).collect()
}

fn job_key(job: &Manifest) -> String {
    let metadata = &job.object.metadata;
    format!("{}/{}", space(metadata.namespace.as_deref()), metadata.name.as_deref().unwrap_or_default())
}

/// The objects of earlier applies, to find those to prune.
#[derive(Default)]
pub(crate) struct PreviousApply {
    /// The step's last output.
    pub(crate) output: Option<Applied>,
    /// The ticket of a later, unfinished attempt.
    pub(crate) unfinished: Option<Applied>,
    pub(crate) wanted: DesiredObjects,
}

impl PreviousApply {
    /// Returns the record of a Job that an earlier run applied from the same manifests, and that the cluster has
    /// deleted since: its time to live ends with it. It is not missing.
    pub(super) fn expired(&self, cluster_uid: &str, job: &Manifest, diff: &SetDiff) -> Option<ObjectRef> {
        let types = job.object.types.as_ref()?;
        let key = job_key(job);
        let current = diff.jobs.get(&key)?;
        let output = self.output.as_ref().filter(|output| output.cluster_uid == cluster_uid)?;
        let is_same = match output.jobs.get(&key) {
            Some(recorded) => recorded == current,
            // Earlier versions recorded only the fingerprint of the whole set.
            None => output.fingerprint.as_ref() == Some(&diff.fingerprint),
        };
        if !is_same {
            return None;
        }
        let is_it = |object: &&ObjectRef| {
            (&object.api_version, &object.kind) == (&types.api_version, &types.kind)
                && Some(&object.name) == job.object.metadata.name.as_ref()
                && space(object.namespace.as_deref()) == space(job.object.metadata.namespace.as_deref())
        };
        output.objects.iter().find(is_it).cloned()
    }

    /// Returns whether the journal knows an object, as created or as found.
    pub(super) fn records(&self, object: &DynamicObject) -> bool {
        let applied = [&self.output, &self.unfinished].into_iter().flatten();
        let mut recorded = applied.flat_map(|applied| {
            applied.objects.iter().map(|one| one.uid.as_str()).chain(applied.found.iter().map(String::as_str))
        });
        let created = self.unfinished.iter().any(|attempt| {
            let mut creating = attempt.creating.iter().flatten();
            creating.any(|name| refers_to(name, object))
        });
        created || recorded.any(|uid| uid == uid_of(object))
    }
}

/// The objects that an earlier run left.
#[derive(Default)]
pub(crate) struct PruneSet {
    /// The objects to prune.
    pub(crate) to_prune: Vec<ObjectRef>,
    /// Namespaces and definitions that others use by now: they stay, and stay owned.
    pub(crate) kept: Vec<ObjectRef>,
}

impl PruneSet {
    /// Finds the owned objects that are unchanged and in no manifest.
    pub(crate) async fn find(session: &ClusterSession, previous: &PreviousApply) -> Result<Self, StepError> {
        let mut left = Self::default();
        let in_this_cluster = |applied: &&Applied| applied.cluster_uid == session.uid;
        let mut known = Applied::of(&session.uid, Vec::new());
        for applied in [&previous.output, &previous.unfinished].into_iter().flatten().filter(in_this_cluster)
        {
            let new = applied.created().filter(|one| !known.objects.iter().any(|known| known.uid == one.uid));
            let new: Vec<ObjectRef> = new.cloned().collect();
            known.objects.extend(new);
            for name in applied.creating.iter().flatten().filter(|name| !previous.wanted.includes(name)) {
                known.objects.extend(created(&session.api, name, applied).await?);
            }
        }
        let output = &known;
        for object in output.created().filter(|object| !previous.wanted.includes(object)) {
            if !exists(&session.api, object).await? {
                continue;
            }
            match is_in_use(&session.api, output, object).await? {
                true => left.kept.push(object.clone()),
                false => left.to_prune.push(object.clone()),
            }
        }
        Ok(left)
    }

    /// Returns the changes of the pruning.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        self.to_prune.iter().map(|object| Change {
            field: format!("{} {}", object.kind, object.name),
            is: json!("applied by an earlier run"),
            wanted: Value::Null,
        })
    }

    /// Deletes the objects to prune.
    pub(crate) async fn prune(self, session: &ClusterSession) -> Result<Vec<ObjectRef>, StepError> {
        let applied = Applied::of(&session.uid, self.to_prune);
        if !applied.objects.is_empty() {
            let deletion = delete::delete_objects(&session.api, &applied, &OwnedObjects::default()).await;
            deletion.or_else(|(what, error)| Err(error).context(what))?;
        }
        Ok(self.kept)
    }
}

/// Returns whether others use a namespace or a definition: its deletion would delete their objects. The cluster
/// itself uses a namespace that every cluster has.
async fn is_in_use(api: &Cluster, output: &Applied, object: &ObjectRef) -> Result<bool, StepError> {
    let (name, none) = (&object.name, OwnedObjects::default());
    let foreign = match (object.api_version.as_str(), object.kind.as_str()) {
        ("v1", "Namespace") if delete::is_system_namespace(name) => return Ok(true),
        ("v1", "Namespace") => delete::foreign_objects(api, output, &none, name).await,
        (_, DEFINITION) => delete::foreign_instances(api, output, &none, object).await,
        _ => return Ok(false),
    };
    Ok(!foreign.context(format!("list the objects of {} {name}", object.kind))?.is_empty())
}

/// Finds an object that an attempt without an answer may have created.
pub(super) async fn created(
    api: &Cluster,
    name: &ObjectRef,
    applied: &Applied,
) -> Result<Option<ObjectRef>, StepError> {
    let what = format!("read {} {}", name.kind, name.name);
    let Some(kind) = api.find_kind(&name.api_version, &name.kind).await.context(&what)? else {
        return Ok(None);
    };
    let Some(mut live) = api.get(&kind, name.namespace.as_deref(), &name.name).await.context(&what)? else {
        return Ok(None);
    };
    live.types = Some(TypeMeta { api_version: name.api_version.clone(), kind: name.kind.clone() });
    let found = applied.found.iter().any(|uid| uid == uid_of(&live));
    Ok((!found && refers_to(name, &live) && is_created_by_landfall(&live)).then(|| reference_of(&live)))
}

async fn exists(api: &Cluster, object: &ObjectRef) -> Result<bool, StepError> {
    let what = format!("read {} {}", object.kind, object.name);
    let Some(kind) = api.find_kind(&object.api_version, &object.kind).await.context(&what)? else {
        return Ok(false);
    };
    let live = api.get(&kind, object.namespace.as_deref(), &object.name).await.context(&what)?;
    Ok(live.is_some_and(|live| uid_of(&live) == object.uid && live.metadata.deletion_timestamp.is_none()))
}
