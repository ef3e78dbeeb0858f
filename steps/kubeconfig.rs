//! The user's kubeconfig: adds landfall's context and changes nothing else.
//!
//! The file is read, changed and written under kubectl's lock. The names of the added entries are in the
//! journal before the file changes. The file's name is there before anything is created beside it.

use crate::{
    Clients, Clusters,
    cluster_ready::ReadyCluster,
    error_context::ErrorContext,
    resource_spec::{Listed, NameSetting, Resource, ResourceSpec},
    settings::Settings,
};
use landfall_cloud::kubeconfig::{self, Added, Content, Holder, KubeconfigError, LockedFile, Locking};
use landfall_engine::{Check, Context, Kind, Leftover, Poll, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    error::Error as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The maximum time that another program may hold the kubeconfig's lock. kubectl holds it for milliseconds.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// The backup of a kubeconfig that is written in place, in the environment's state folder.
pub const BACKUP: &str = "kubeconfig.backup";

/// Merges the cluster's credential into the user's kubeconfig.
pub struct Kubeconfig {
    clusters: Clusters,
    file: PathBuf,
    backup: PathBuf,
    environment: String,
}

/// The merge: the file and the added entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// The file.
    pub file: PathBuf,
    /// The written file: the target of the symbolic links of `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PathBuf>,
    /// The added entries.
    pub added: Added,
    /// The UID of the cluster's `kube-system`.
    pub cluster_uid: String,
}

impl Kubeconfig {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings) -> Self {
        Self {
            clusters: c.clusters.clone(),
            file: s.kubeconfig.clone(),
            backup: s.state_folder.join(BACKUP),
            environment: s.environment.clone(),
        }
    }

    fn read(&self) -> Result<Option<Content>, StepError> {
        kubeconfig::read(&self.file).map_err(|error| failed("read", &self.file, &error))
    }

    /// Locks a kubeconfig as kubectl does, and waits for the holder of the lock.
    async fn lock(&self, cx: &Context, file: &Path) -> Result<LockedFile, StepError> {
        let holder: Mutex<Option<Holder>> = Mutex::default();
        let wait = Wait::new("the lock of the kubeconfig", Duration::from_secs(1), LOCK_WAIT_MAX);
        let locked = cx.wait_until(wait, async || {
            let locking = LockedFile::lock(file, &self.backup);
            match locking.map_err(|error| failed("lock", file, &error))? {
                Locking::Locked(file) => Ok(Poll::Ready(file)),
                Locking::Held(held) => {
                    let state = format!("{} is there", held.lock.display());
                    *holder.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
                    Ok(Poll::not_yet(state))
                }
            }
        });
        let locked = locked.await;
        let held = holder.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (locked, held) {
            (Err(error), Some(held)) if error.kind == Kind::TimedOut => Err(lock_timeout(file, &held)),
            (locked, _) => locked,
        }
    }

    /// Returns the name of landfall's context: the recorded one, or one named after the cluster. If a foreign
    /// context has that name, it stays, and landfall's name also contains the environment's name.
    fn context_name(
        &self,
        cx: &Context,
        cluster: &ReadyCluster,
        existing: Option<&str>,
        cluster_kubeconfig: &str,
    ) -> String {
        if let Some(merged) = self.recorded(cx) {
            return merged.added.context;
        }
        let named = [cluster.name.clone(), format!("{}-{}", cluster.name, self.environment)].into_iter();
        let numbered = (2..).map(|n| format!("{}-{}-{n}", cluster.name, self.environment));
        let free = |name: &String| {
            !kubeconfig::has_context(existing, name)
                || !kubeconfig::differs(existing, cluster_kubeconfig, name)
        };
        named.chain(numbered).find(free).unwrap_or_else(|| cluster.name.clone())
    }

    /// Returns what an earlier run added to this file.
    fn recorded(&self, cx: &Context) -> Option<Merged> {
        let merged = cx.last_output::<Merged>().or_else(|| cx.ticket::<Merged>());
        merged.filter(|merged| merged.file == self.file)
    }

    /// Merges into the text under the lock; returns the new text and the entries to remove at the teardown.
    ///
    /// The lines that the first merge replaced are the ones to restore, as long as its entries are in the
    /// file.
    fn merge(
        &self,
        before: Option<Added>,
        existing: Option<&str>,
        cluster_kubeconfig: &str,
        context: &str,
    ) -> Result<kubeconfig::Merged, StepError> {
        let refused = |error| failed("merge into", &self.file, &error);
        let merged = kubeconfig::merge(existing, cluster_kubeconfig, context).map_err(refused)?;
        let before = before.filter(|before| kubeconfig::has_context(existing, &before.context));
        let (Some(before), Some(text)) = (before, existing) else { return Ok(merged) };
        if (&before.cluster, &before.user) == (&merged.added.cluster, &merged.added.user) {
            return Ok(kubeconfig::Merged { added: before, ..merged });
        }
        // The cluster was recreated under other names: the old entries must not remain.
        let without = kubeconfig::remove(text, &before).map_err(refused)?;
        kubeconfig::merge(without.as_deref(), cluster_kubeconfig, context).map_err(refused)
    }

    /// Removes the added entries from the file, and from the target that its symbolic links had at the merge.
    async fn remove_entries(&self, cx: &Context, merged: &Merged) -> Result<UndoOutcome, StepError> {
        let mut undone = self.remove_entries_from(cx, &merged.file, &merged.added).await?;
        if let Some(target) = &merged.target
            && self.remove_entries_from(cx, target, &merged.added).await? == UndoOutcome::Deleted
        {
            undone = UndoOutcome::Deleted;
        }
        Ok(undone)
    }

    async fn remove_entries_from(
        &self,
        cx: &Context,
        file: &Path,
        added: &Added,
    ) -> Result<UndoOutcome, StepError> {
        if !file.exists() && !kubeconfig::has_leftovers(file, &self.backup) {
            return Ok(UndoOutcome::AlreadyDeleted);
        }
        let locked = self.lock(cx, file).await?;
        let Some(content) = locked.read().map_err(|error| failed("read", file, &error))? else {
            return Ok(UndoOutcome::AlreadyDeleted);
        };
        let left = kubeconfig::remove(&content.text, added);
        match left.map_err(|error| failed("take our context out of", file, &error))? {
            Some(left) if left == content.text => return Ok(UndoOutcome::AlreadyDeleted),
            Some(left) => {
                locked.write(&content.with(left)).map_err(|error| failed("write", file, &error))?;
            }
            // The file was created for the merge, and contains nothing else.
            None => locked.remove().map_err(|error| failed("remove", file, &error))?,
        }
        Ok(UndoOutcome::Deleted)
    }
}

fn failed(verb: &str, file: &Path, error: &KubeconfigError) -> StepError {
    StepError::new(Kind::Failed, format!("{verb} {}", file.display()))
        .leftover(Leftover::Nothing)
        .caused_by(error)
        .hint(match error.source().and_then(|source| source.downcast_ref::<std::io::Error>()) {
            Some(refused) => {
                format!(
                    "{}; or set kubeconfig (KUBECONFIG) to another file",
                    landfall_engine::file_remedy(refused)
                )
            }
            None => "set kubeconfig (KUBECONFIG) to a file that can be written".to_owned(),
        })
}

fn lock_timeout(file: &Path, held: &Holder) -> StepError {
    let lock = held.lock.display();
    let since = held.age.map(|age| format!(", {} s old", age.as_secs())).unwrap_or_default();
    StepError::new(Kind::TimedOut, format!("lock {}", file.display()))
        .leftover(Leftover::Nothing)
        .cause(format!(
            "the lock file {lock}{since} exists: another program is using it, or stopped without removing it"
        ))
        .hint(format!("when no kubectl is running, remove {lock}, then run the same command again"))
}

impl Resource for Kubeconfig {
    const NAMES: &'static [NameSetting] = &[NameSetting {
        setting: "kubeconfig",
        key: "file",
        get: |s, _| s.kubeconfig.display().to_string(),
        set: |s, file| s.kubeconfig = file.unwrap_or_default().into(),
        recorded: |past| past.read_output::<Merged>()?.file.into_os_string().into_string().ok(),
        // A later run moves the context to another file.
        fixed: false,
        optional: false,
    }];

    fn resource(&self) -> ResourceSpec {
        let listed = |merged: Merged| Listed::Context { file: merged.file, context: merged.added.context };
        ResourceSpec::new("kubeconfig", self.file.display().to_string())
            .listed(move |past| past.read_output::<Merged>().map(listed))
    }
}

impl Step for Kubeconfig {
    type Input = ReadyCluster;
    type Output = Merged;

    fn title(&self) -> String {
        format!("kubeconfig {}", self.file.display())
    }

    fn planned_name(&self) -> Option<Value> {
        self.file.to_str().map(|file| json!({ "file": file }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn check(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Check<Merged>, StepError> {
        let session = self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))?;
        // The next lock of the file removes what a killed run left beside it.
        if kubeconfig::has_leftovers(&self.file, &self.backup) {
            return Ok(Check::Missing);
        }
        let content = self.read()?;
        let existing = content.as_ref().map(|content| content.text.as_str());
        let cluster_kubeconfig = session.kubeconfig.expose();
        let context = self.context_name(cx, cluster, existing, cluster_kubeconfig);
        if kubeconfig::differs(existing, cluster_kubeconfig, &context) {
            return Ok(Check::Missing);
        }
        // The recorded entries are the original ones: a later read cannot distinguish them from the rest.
        if let Some(merged) = self.recorded(cx) {
            return Ok(Check::InSync(Merged { cluster_uid: session.uid, ..merged }));
        }
        let added = self.merge(None, existing, cluster_kubeconfig, &context)?.added;
        Ok(Check::InSync(Merged { file: self.file.clone(), target: None, added, cluster_uid: session.uid }))
    }

    async fn apply(&self, cx: &Context, cluster: &ReadyCluster) -> Result<Merged, StepError> {
        let session = self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))?;
        // An earlier run wrote to another file: the credentials must not remain in it.
        if let Some(old) = cx.last_output::<Merged>().filter(|merged| merged.file != self.file) {
            self.remove_entries(cx, &old).await?;
        }
        let before = self.recorded(cx);
        let locked = self.lock(cx, &self.file).await?;
        // Others may have changed it since the check: only the contents under the lock count.
        let content = locked.read().map_err(|error| failed("read", &self.file, &error))?;
        let existing = content.as_ref().map(|content| content.text.as_str());
        let cluster_kubeconfig = session.kubeconfig.expose();
        let context = self.context_name(cx, cluster, existing, cluster_kubeconfig);
        let merged = self.merge(before.map(|before| before.added), existing, cluster_kubeconfig, &context)?;
        // The names are on disk before the file changes.
        let target = Some(locked.target().to_owned()).filter(|target| *target != self.file);
        let ticket =
            Merged { file: self.file.clone(), target, added: merged.added, cluster_uid: session.uid };
        cx.save_ticket(&ticket)?;
        cx.flushed().await?;
        if existing != Some(merged.text.as_str()) {
            let content = content.clone().unwrap_or_default().with(merged.text);
            locked.write(&content).map_err(|error| failed("write", &self.file, &error))?;
        }
        Ok(ticket)
    }

    /// The journal's record of the attempt identifies the entries, because the file contains no owner. The
    /// cluster is not queried: it may be gone.
    async fn recover(&self, cx: &Context, _: &ReadyCluster) -> Result<Option<Merged>, StepError> {
        if kubeconfig::has_leftovers(&self.file, &self.backup) {
            drop(self.lock(cx, &self.file).await?);
        }
        Ok(cx.ticket::<Merged>())
    }

    fn outlives_parent(&self, _: &Merged) -> bool {
        true
    }

    async fn undo(&self, cx: &Context, merged: Merged) -> Result<UndoOutcome, StepError> {
        self.remove_entries(cx, &merged).await
    }
}
