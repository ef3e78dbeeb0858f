//! The user's kubeconfig: our context is merged in, and nothing else in it is touched.

use crate::{
    clouds::Clouds, clouds::Clusters, cluster_ready::ReadyCluster, doing::Doing, settings::Settings,
};
use landfall_cloud::kubeconfig::{self, Added, KubeconfigError};
use landfall_engine::{Check, Context, Kind, Residue, Step, StepError, Undone};
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf, time::Duration};

/// Merges the cluster's credential into the user's kubeconfig.
pub struct Kubeconfig {
    clusters: Clusters,
    file: PathBuf,
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
        Self { clusters: c.clusters.clone(), file: s.kubeconfig.clone() }
    }

    fn read(&self) -> Result<Option<String>, StepError> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read").cause(error.to_string())),
        }
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

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn check(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Check<Merged>, StepError> {
        let opened = self.clusters.open(cluster).await.doing(format!("open cluster {}", cluster.name))?;
        let existing = self.read()?;
        let theirs = opened.kubeconfig.expose();
        if kubeconfig::differs(existing.as_deref(), theirs, &cluster.name) {
            return Ok(Check::Missing);
        }
        // What we put in is remembered as it was put in: a second look cannot tell it from the rest.
        let remembered = cx.output::<Merged>("kubeconfig");
        if let Some(merged) = remembered.filter(|merged| merged.file == self.file) {
            return Ok(Check::Ready(Merged { cluster_uid: opened.uid, ..merged }));
        }
        let merged = kubeconfig::merge(existing.as_deref(), theirs, &cluster.name);
        let added = merged.map_err(|error| self.refused(&error))?.added;
        Ok(Check::Ready(Merged { file: self.file.clone(), added, cluster_uid: opened.uid }))
    }

    async fn apply(&self, _: &Context, cluster: &ReadyCluster) -> Result<Merged, StepError> {
        let opened = self.clusters.open(cluster).await.doing(format!("open cluster {}", cluster.name))?;
        let existing = self.read()?;
        let merged = kubeconfig::merge(existing.as_deref(), opened.kubeconfig.expose(), &cluster.name)
            .map_err(|error| self.refused(&error))?;
        kubeconfig::write(&self.file, &merged.text)
            .map_err(|error| self.failed("write").cause(error.to_string()))?;
        Ok(Merged { file: self.file.clone(), added: merged.added, cluster_uid: opened.uid })
    }

    async fn undo(&self, _: &Context, merged: Merged) -> Result<Undone, StepError> {
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
}
