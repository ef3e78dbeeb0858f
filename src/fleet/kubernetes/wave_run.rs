//! A wave in pods: one Indexed Job, which this process creates and follows. It watches the Job and the summaries of the
//! journals, not the pods: a wave of 1,000 costs as many requests as one of ten.
//!
//! If this process ends, the Job runs on. The next run of the same command finds it by its labels and follows it.

use super::{
    job_status::JobStatus,
    management_cluster::{ManagementCluster, failed},
    manifests::LIST,
    pod,
    rollout::Rollout,
    wave_list::WaveList,
};
use crate::{
    exit::Exit,
    failure::Failure,
    fleet::{
        journal_facts::EnvironmentSummary,
        result::{EnvironmentOutcome, EnvironmentResult},
        runner::{FleetEvent, FleetRun},
        state::FleetState,
        wave_progress::WaveProgress,
        waves::Wave,
    },
};
use landfall_cloud::{
    ApiErrorKind,
    kubernetes::{DynamicObject, Kind, Selection},
};
use landfall_engine::StopLevel;
use landfall_steps::StoredEnvironment;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep},
};

/// The interval at which the journals are listed while the Job does not change.
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest time between two lists.
const LIST_PAUSE: Duration = Duration::from_secs(1);
/// The time after which pods that are not ready are looked at.
const NOT_READY: Duration = Duration::from_secs(30);

/// The part of a run that pods do.
pub struct KubernetesRun {
    /// What all waves have in common.
    pub rollout: Rollout,
    /// The journals.
    pub state: FleetState,
    /// The ids of the runs that this one continues.
    pub earlier_runs: Vec<String>,
    /// The cluster.
    pub cluster: Mutex<Arc<ManagementCluster>>,
}

/// A Job that runs, and its list.
struct Followed {
    name: String,
    list: WaveList,
    /// The environments of the fleet, by index; `None` for one that this run has not selected.
    environments: Vec<Option<usize>>,
}

impl Followed {
    fn new(run: &FleetRun, wave: &Wave, name: String, list: WaveList) -> Self {
        let selected = |name: &str| {
            let is = |at: &&usize| run.fleet.environments[**at].name == name;
            wave.environments.iter().find(is).copied()
        };
        let environments = list.environments.iter().map(|listed| selected(&listed.name)).collect();
        Self { name, list, environments }
    }

    /// Returns the indexes of the selected environments, with those of the fleet.
    fn indexes(&self) -> Vec<(usize, usize)> {
        let environments = self.environments.iter().enumerate();
        environments.filter_map(|(index, at)| Some((index, (*at)?))).collect()
    }
}

impl KubernetesRun {
    /// Runs the environments of a wave.
    ///
    /// # Errors
    /// Fails if the cluster or the storage account refuses; with exit code 4 if another Job runs one of the environments.
    pub async fn run_wave(
        &self,
        run: &FleetRun,
        number: usize,
        wave: &Wave,
        mut waiting: Vec<usize>,
        progress: &mut WaveProgress<'_>,
    ) -> Result<(), Failure> {
        self.collect_earlier(run, &mut waiting, progress).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let wave = Wave { environments: waiting, ..wave.clone() };
        let followed = match self.running_job(run, &wave).await? {
            Some(followed) => {
                let _ = run.say.send(format!("Following Job {}, which runs already.", followed.name));
                followed
            }
            None => self.create_job(run, number, &wave).await?,
        };
        self.follow(run, &followed, progress).await
    }

    async fn cluster(&self) -> Arc<ManagementCluster> {
        self.cluster.lock().await.clone()
    }

    /// Adds the results that pods of the interrupted run have left, and removes their environments.
    async fn collect_earlier(
        &self,
        run: &FleetRun,
        waiting: &mut Vec<usize>,
        progress: &mut WaveProgress<'_>,
    ) -> Result<(), Failure> {
        if self.earlier_runs.is_empty() {
            return Ok(());
        }
        let listed = self.state.list().await?;
        let mut left = Vec::new();
        for at in waiting.drain(..) {
            let environment = &run.fleet.environments[at];
            let summary = listed.get(&environment.name).and_then(EnvironmentSummary::of).filter(|summary| {
                summary.run.as_ref().is_some_and(|run| self.earlier_runs.contains(run))
                    && summary.settings == environment.fingerprint
                    && summary.result.outcome.is_good()
            });
            match summary {
                Some(summary) => progress.ended_earlier(at, summary.result).await,
                None => left.push(at),
            }
        }
        *waiting = left;
        Ok(())
    }

    /// Returns the Job that runs the waiting environments, if there is one. A suspended Job continues; one with other
    /// settings is deleted.
    async fn running_job(&self, run: &FleetRun, wave: &Wave) -> Result<Option<Followed>, Failure> {
        let (cluster, waiting) = (self.cluster().await, &wave.environments);
        let (own, _) = self.rollout.list(wave)?;
        let fleet = &run.fleet;
        for job in cluster.jobs(&fleet.name, self.rollout.command).await? {
            let status = JobStatus::of(&job);
            if status.ended || job.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let name = job.metadata.name.clone().unwrap_or_default();
            let list = cluster.config_map_key(&name, LIST).await?;
            let Some(list) = list.and_then(|text| WaveList::parse(&text).ok()) else { continue };
            let digest = |at: &usize| {
                let environment = &fleet.environments[*at];
                let listed = list.environments.iter().find(|listed| listed.name == environment.name);
                listed.map(|listed| listed.digest == environment.fingerprint)
            };
            let shared: Vec<bool> = waiting.iter().filter_map(digest).collect();
            if shared.is_empty() {
                continue;
            }
            let has_all = shared.len() == waiting.len() && shared.iter().all(|same| *same);
            if has_all && own.has_same_command(&list) {
                if status.suspended {
                    cluster.suspend(&name, false).await?;
                }
                return Ok(Some(Followed::new(run, wave, name, list)));
            }
            match status.suspended && status.active == 0 {
                // It was stopped, and the settings have changed since.
                true => cluster.delete_job(&name).await?,
                false => return Err(other_job(&name, &cluster.namespace)),
            }
        }
        Ok(None)
    }

    async fn create_job(&self, run: &FleetRun, number: usize, wave: &Wave) -> Result<Followed, Failure> {
        let (list, files) = self.rollout.list(wave)?;
        let job = self.rollout.job(&list, &files, number + 1, &run.limits);
        let (config_map, object) = (job.config_map(&self.rollout.config)?, job.job(&self.rollout.config));
        let name = job.name();
        self.cluster().await.create_job(&config_map, &object).await?;
        Ok(Followed::new(run, wave, name, list))
    }

    /// Follows a Job to its end. A stop request suspends it, so that its pods end regularly.
    async fn follow(
        &self,
        run: &FleetRun,
        followed: &Followed,
        progress: &mut WaveProgress<'_>,
    ) -> Result<(), Failure> {
        let (sender, status) = watch::channel(None);
        let mut follower = Follower { kubernetes: self, run, followed, progress, started: BTreeSet::new() };
        tokio::select! {
            failure = self.watch(&followed.name, &sender) => Err(failure),
            ended = follower.until_over(status) => ended,
        }
    }

    /// Watches the Job, and connects again when its credential has expired; returns only an error.
    async fn watch(&self, name: &str, status: &watch::Sender<Option<JobStatus>>) -> Failure {
        let mut is_renewed = false;
        loop {
            let cluster = self.cluster().await;
            let seen = |jobs: &[DynamicObject]| -> Option<()> {
                status.send_replace(Some(JobStatus::of_watched(jobs)));
                None
            };
            let (kind, namespace, began) = (Kind::JOB, Some(cluster.namespace.as_str()), Instant::now());
            match cluster.cluster.watch_until(&kind, namespace, Selection::Name(name), seen).await {
                Err(error)
                    if error.kind == ApiErrorKind::Unauthorized
                        && (!is_renewed || began.elapsed() > NOT_READY) =>
                {
                    is_renewed = true;
                    match cluster.reconnect().await {
                        Ok(renewed) => *self.cluster.lock().await = Arc::new(renewed),
                        Err(failure) => return failure,
                    }
                }
                Err(error) => return failed(&format!("watch Job {name}"), &error),
                Ok(()) => {}
            }
        }
    }
}

fn other_job(name: &str, namespace: &str) -> Failure {
    Failure::new(Exit::Locked, "start the Job of this wave")
        .cause(format!("Job {name} runs some of its environments, with other settings or in another selection"))
        .hint(format!(
            "wait for its end, or stop it: kubectl --namespace {namespace} delete job {name}; its pods end regularly"
        ))
}

/// Follows one Job.
struct Follower<'a, 'b> {
    kubernetes: &'a KubernetesRun,
    run: &'a FleetRun,
    followed: &'a Followed,
    progress: &'a mut WaveProgress<'b>,
    /// The environments that were reported as started.
    started: BTreeSet<usize>,
}

impl Follower<'_, '_> {
    async fn until_over(&mut self, mut status: watch::Receiver<Option<JobStatus>>) -> Result<(), Failure> {
        let mut is_suspended = false;
        let mut not_ready_since: Option<Instant> = None;
        loop {
            let now = status.borrow_and_update().clone();
            if let Some(now) = &now {
                self.collect(now).await?;
                if now.is_over() && (now.ended || now.is_gone || is_suspended) {
                    return self.end(now).await;
                }
                not_ready_since = match now.active > 0 && now.ready == 0 {
                    true => not_ready_since.or_else(|| Some(Instant::now())),
                    false => None,
                };
            }
            if self.run.has_lost_lease() {
                // Another command follows the Job now.
                return Ok(());
            }
            if self.run.is_stopped() && !is_suspended {
                is_suspended = true;
                self.kubernetes.cluster().await.suspend(&self.followed.name, true).await?;
            }
            if not_ready_since.is_some_and(|since| since.elapsed() > NOT_READY) {
                not_ready_since = None;
                if let Some(why) = self.kubernetes.cluster().await.not_starting(&self.followed.name).await? {
                    let _ = self.run.say.send(why);
                }
            }
            sleep(LIST_PAUSE).await;
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return Ok(()) },
                () = sleep(LIST_INTERVAL) => {}
                () = self.run.stop.requested(StopLevel::Graceful), if !is_suspended => {}
                () = self.run.stop.requested(StopLevel::Now) => return Ok(()),
            }
        }
    }

    /// Reports what has started and ended since the last time.
    async fn collect(&mut self, status: &JobStatus) -> Result<(), Failure> {
        let listed = self.kubernetes.state.list().await?;
        for (index, at) in self.followed.indexes() {
            if self.progress.has(at) {
                continue;
            }
            let stored = listed.get(&self.run.fleet.environments[at].name);
            let is_ended = status.completed.contains(&index) || status.failed.contains(&index);
            if (is_ended || stored.is_some_and(|stored| stored.leased)) && self.started.insert(at) {
                self.run.emit(FleetEvent::Started { environment: at });
            }
            if is_ended {
                let result = self.result(index, stored, status.failed.contains(&index)).await?;
                self.progress.ended(at, result).await;
            }
        }
        Ok(())
    }

    /// Returns the summary that a pod of this run has left.
    fn summary(&self, index: usize, stored: Option<&StoredEnvironment>) -> Option<EnvironmentResult> {
        let listed = &self.followed.list.environments[index];
        let summary = EnvironmentSummary::of(stored?)?;
        let is_of_run =
            summary.run.as_deref() == Some(&self.followed.list.run) && summary.settings == listed.digest;
        is_of_run.then_some(summary.result)
    }

    /// Returns the result of an index that has ended: the summary of its journal, else what the log of its pod says.
    async fn result(
        &self,
        index: usize,
        stored: Option<&StoredEnvironment>,
        has_failed: bool,
    ) -> Result<EnvironmentResult, Failure> {
        let is_right = |result: &EnvironmentResult| result.outcome.is_good() != has_failed;
        if let Some(result) = self.summary(index, stored).filter(is_right) {
            return Ok(result);
        }
        let name = &self.followed.name;
        let found = self.kubernetes.cluster().await.last_pod(name, index).await?;
        let (pod, log) = found.map_or((None, None), |(pod, log)| (Some(pod), log));
        if let Some(result) = log.as_deref().and_then(pod::result_in).filter(is_right) {
            return Ok(result);
        }
        Ok(match has_failed {
            true => pod::result_by_status(name, pod.as_ref().map(|pod| &pod.data["status"])),
            // A container that ends with success without doing anything is not landfall.
            false => pod::without_result(name),
        })
    }

    /// Reports the environments that the end of the Job has interrupted.
    async fn end(&mut self, status: &JobStatus) -> Result<(), Failure> {
        if status.is_gone && !self.run.is_stopped() {
            return Err(Failure::new(Exit::Failed, format!("follow Job {}", self.followed.name))
                .cause("it was deleted")
                .hint("run again to continue: each environment resumes by its journal"));
        }
        if !self.run.is_stopped() {
            // With too many failures, the others were stopped: they count as not run.
            return Ok(());
        }
        let listed: BTreeMap<String, StoredEnvironment> = self.kubernetes.state.list().await?;
        for (index, at) in self.followed.indexes() {
            let stored = listed.get(&self.run.fleet.environments[at].name);
            let result = self
                .summary(index, stored)
                .filter(|result| result.outcome == EnvironmentOutcome::Interrupted);
            if let Some(result) = result.filter(|_| !self.progress.has(at)) {
                self.progress.ended(at, result).await;
            }
        }
        Ok(())
    }
}
