//! The user's kubeconfig: our context is merged in, and nothing else in it is touched.

use crate::{
    clouds::Clouds, clouds::Clusters, cluster_ready::ReadyCluster, doing::Doing, settings::Settings,
};
use landfall_cloud::kubeconfig::{self, Added, KubeconfigError};
use landfall_engine::{Check, Context, Kind, Residue, Step, StepError, Undone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{io, path::PathBuf, time::Duration};

/// Merges the cluster's credential into the user's kubeconfig.
pub struct Kubeconfig {
    clusters: Clusters,
    file: PathBuf,
    environment: String,
}

/// What was merged where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// The file.
    pub file: PathBuf,
    /// The entries we put into it.
    pub added: Added,
    /// The UID of the cluster's `kube-system`.
    pub cluster_uid: String,
}

impl Kubeconfig {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings) -> Self {
        Self { clusters: c.clusters.clone(), file: s.kubeconfig.clone(), environment: s.environment.clone() }
    }

    fn read(&self) -> Result<Option<String>, StepError> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read").cause(error.to_string())),
        }
    }

    /// The context that is ours: the one we put in before, or one named after the cluster. A context of that name
    /// that leads elsewhere is the user's own and stays; ours then bears the environment's name too.
    fn context(&self, cx: &Context, cluster: &ReadyCluster, existing: Option<&str>, theirs: &str) -> String {
        if let Some(merged) = self.remembered(cx) {
            return merged.added.context;
        }
        let named = [cluster.name.clone(), format!("{}-{}", cluster.name, self.environment)].into_iter();
        let numbered = (2..).map(|n| format!("{}-{}-{n}", cluster.name, self.environment));
        let free = |name: &String| {
            !kubeconfig::has_context(existing, name) || !kubeconfig::differs(existing, theirs, name)
        };
        named.chain(numbered).find(free).unwrap_or_else(|| cluster.name.clone())
    }

    /// What an earlier run put into this file.
    fn remembered(&self, cx: &Context) -> Option<Merged> {
        let merged = cx.output::<Merged>("kubeconfig").or_else(|| cx.ticket::<Merged>());
        merged.filter(|merged| merged.file == self.file)
    }

    /// Takes our entries out of a file.
    fn take_out(&self, merged: &Merged) -> Result<Undone, StepError> {
        let text = match std::fs::read_to_string(&merged.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Undone::AlreadyGone),
            Err(error) => return Err(self.failed("read").cause(error.to_string())),
        };
        match kubeconfig::remove(&text, &merged.added).map_err(|error| self.refused(&error))? {
            Some(left) if left == text => return Ok(Undone::AlreadyGone),
            Some(left) => kubeconfig::write(&merged.file, &left)
                .map_err(|error| self.failed("write").cause(error.to_string()))?,
            // The file was made for us, and nobody has put anything else into it.
            None => std::fs::remove_file(&merged.file)
                .map_err(|error| self.failed("remove").cause(error.to_string()))?,
        }
        Ok(Undone::Deleted)
    }

    fn failed(&self, verb: &str) -> StepError {
        StepError::new(Kind::Failed, format!("{verb} {}", self.file.display()))
            .residue(Residue::Nothing)
            .hint("set kubeconfig (KUBECONFIG) to a file that can be written")
    }

    fn refused(&self, error: &KubeconfigError) -> StepError {
        self.failed("merge into").cause(error.to_string())
    }
}

impl Step for Kubeconfig {
    type Input = ReadyCluster;
    type Output = Merged;

    fn title(&self) -> String {
        format!("kubeconfig {}", self.file.display())
    }

    fn named(&self) -> Option<Value> {
        self.file.to_str().map(|file| json!({ "file": file }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn check(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Check<Merged>, StepError> {
        let opened = self.clusters.open(cluster).await.doing(format!("open cluster {}", cluster.name))?;
        let existing = self.read()?;
        let theirs = opened.kubeconfig.expose();
        let context = self.context(cx, cluster, existing.as_deref(), theirs);
        if kubeconfig::differs(existing.as_deref(), theirs, &context) {
            return Ok(Check::Missing);
        }
        // What we put in is remembered as it was put in: a second look cannot tell it from the rest.
        if let Some(merged) = self.remembered(cx) {
            return Ok(Check::Ready(Merged { cluster_uid: opened.uid, ..merged }));
        }
        let merged = kubeconfig::merge(existing.as_deref(), theirs, &context);
        let added = merged.map_err(|error| self.refused(&error))?.added;
        Ok(Check::Ready(Merged { file: self.file.clone(), added, cluster_uid: opened.uid }))
    }

    async fn apply(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Merged, StepError> {
        let opened = self.clusters.open(cluster).await.doing(format!("open cluster {}", cluster.name))?;
        // Another file was ours to write until now: our credentials do not stay behind in it.
        if let Some(old) = cx.output::<Merged>("kubeconfig").filter(|merged| merged.file != self.file) {
            self.take_out(&old)?;
        }
        let existing = self.read()?;
        let theirs = opened.kubeconfig.expose();
        let context = self.context(cx, cluster, existing.as_deref(), theirs);
        let merged =
            kubeconfig::merge(existing.as_deref(), theirs, &context).map_err(|error| self.refused(&error))?;
        // What gave way the first time is what has to come back in the end. It is on disk before the file changes.
        let added = self.remembered(cx).map_or(merged.added, |before| before.added);
        let made = Merged { file: self.file.clone(), added, cluster_uid: opened.uid };
        cx.keep(&made)?;
        kubeconfig::write(&self.file, &merged.text)
            .map_err(|error| self.failed("write").cause(error.to_string()))?;
        Ok(made)
    }

    /// The file says nothing of who put an entry into it; what an attempt was about to put in does. The cluster, which
    /// may be gone by now, is not asked.
    async fn recover(&self, cx: &Context, _: &ReadyCluster) -> Result<Option<Merged>, StepError> {
        Ok(cx.ticket::<Merged>())
    }

    fn outlives_parent(&self) -> bool {
        true
    }

    async fn undo(&self, _: &Context, merged: Merged) -> Result<Undone, StepError> {
        self.take_out(&merged)
    }
}
