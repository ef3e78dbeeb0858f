//! The container runtime of a served simulated cloud: containers of known images run as processes of this machine.
//!
//! It works beside the server. It reads from the state which containers must run or end, starts and ends them, and
//! reports what happened, under the state's lock like a request. Nothing here survives the server: the processes end with
//! it. Contracts: the kubelet's environment (`variables.rs`), volumes (`volumes.rs`) and logs (`output.rs`); a container
//! has no root, so `paths.rs` replaces its mount paths.

mod container;
mod launch;
mod output;
mod paths;
mod variables;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use self::container::Process;
use self::launch::{Launch, PodFolders};
use self::output::Output;
use self::volumes::Volumes;
use crate::aks::image_repository;
use crate::aks::runtime::{ContainerEnd, ContainerReport, ObjectRef};
use crate::arm::clusters::container_runtime;
use crate::arm::clusters::store::ContainerRuntime;
use crate::clock::SimTime;
use crate::persistence::SimError;
use crate::server_state::ServerState;

/// The maximum number of processes at once: the pods that one node can hold. Further containers wait.
pub(crate) const PROCESSES_MAX: usize = 250;
/// The longest time that processes have when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// The debounce of notifications about new lines of logs.
const LOG_DEBOUNCE: Duration = Duration::from_millis(100);
/// The exit code of a container whose program cannot be started, as of containerd.
const START_ERROR: i32 = 128;

/// The programs that stand for images, and the folder of their pods.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The program for each image repository.
    pub programs: BTreeMap<String, PathBuf>,
    /// The folder of all pods.
    pub folder: PathBuf,
    /// The CA certificate of the simulated cloud, which every container trusts as if its node image had it.
    pub authority: PathBuf,
}

impl Host {
    /// Returns what the clusters must know about this runtime.
    pub fn runtime(&self) -> ContainerRuntime {
        ContainerRuntime {
            images: self.programs.keys().cloned().collect(),
            pod_folder: Some(self.folder.as_path().into()),
        }
    }

    /// Ends what an earlier server left, and creates the folder of the pods.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn prepare(&self) -> Result<(), SimError> {
        container::kill_leftovers(&self.folder);
        if self.programs.is_empty() {
            return Ok(());
        }
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        created.map_err(SimError::io(&self.folder))
    }
}

/// A container of a pod: the UID of the cluster, the pod and the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    cluster: String,
    pod: String,
    container: String,
}

/// A running container.
struct Running {
    pod: ObjectRef,
    process: Process,
}

/// The runtime.
struct Runtime {
    server_state: Arc<ServerState>,
    host: Host,
    running: BTreeMap<Key, Running>,
    /// The pods whose tokens are renewed, and the time of that.
    renewals: BTreeMap<(String, String), (ObjectRef, SimTime)>,
    ended: mpsc::UnboundedSender<(Key, i32)>,
    logs: Arc<Notify>,
}

/// Runs the containers until `stop` is cancelled; then ends them, and reports that their node shuts down.
///
/// # Errors
/// The state cannot be written.
pub(crate) async fn serve(
    server_state: Arc<ServerState>,
    host: Host,
    stop: CancellationToken,
) -> Result<(), SimError> {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let logs = Arc::new(Notify::new());
    let mut runtime = Runtime {
        server_state: Arc::clone(&server_state),
        host,
        running: BTreeMap::new(),
        renewals: BTreeMap::new(),
        ended: sender,
        logs: Arc::clone(&logs),
    };
    let mut changes = server_state.changes();
    let log_watcher = notify_of_logs(Arc::clone(&server_state), logs);
    tokio::pin!(log_watcher);
    loop {
        changes.borrow_and_update();
        let next = runtime.reconcile()?;
        let wait = next.map_or(Duration::MAX, |next| next.max(Duration::from_millis(1)));
        tokio::select! {
            () = stop.cancelled() => break,
            Some((key, exit_code)) = ended.recv() => runtime.finish(&key, exit_code, false)?,
            changed = changes.changed() => if changed.is_err() { break },
            () = sleep(wait) => {}
            () = &mut log_watcher => {}
        }
    }
    for running in runtime.running.values() {
        running.process.stop(running.process.grace.min(SHUTDOWN_GRACE));
    }
    while !runtime.running.is_empty() {
        let Some((key, exit_code)) = ended.recv().await else { break };
        runtime.finish(&key, exit_code, true)?;
    }
    Ok(())
}

/// Waits for that time; for ever if it is [`Duration::MAX`].
async fn sleep(wait: Duration) {
    match wait {
        Duration::MAX => std::future::pending().await,
        wait => tokio::time::sleep(wait).await,
    }
}

/// Wakes the readers of logs, at most once in each debounce.
async fn notify_of_logs(server_state: Arc<ServerState>, logs: Arc<Notify>) {
    loop {
        logs.notified().await;
        tokio::time::sleep(LOG_DEBOUNCE).await;
        server_state.notify();
    }
}

impl Runtime {
    /// Starts and ends containers as the state says; returns the time until the next change without a request.
    fn reconcile(&mut self) -> Result<Option<Duration>, SimError> {
        let (pods, next_due, now) = self.server_state.advance(container_runtime::external_pods)?;
        let mut known = BTreeSet::new();
        for (cluster, external) in &pods {
            let pod = &external.pod;
            known.insert((cluster.clone(), pod.uid.clone()));
            for container in &external.start {
                let key =
                    Key { cluster: cluster.clone(), pod: pod.uid.clone(), container: container.clone() };
                if !self.running.contains_key(&key) && self.running.len() < PROCESSES_MAX {
                    self.start(key, pod)?;
                }
            }
            let own = |key: &Key| key.cluster == *cluster && key.pod == pod.uid;
            for (_, running) in self.running.iter().filter(|(key, _)| own(key)) {
                if external.is_out_of_memory {
                    running.process.kill();
                } else if let Some(seconds) = external.grace_seconds {
                    running.process.stop(Duration::from_secs(seconds.max(0).unsigned_abs()));
                }
            }
        }
        // A pod that is gone was removed without a word to the kubelet: by force, or with its workload.
        for (key, running) in &self.running {
            if !known.contains(&(key.cluster.clone(), key.pod.clone())) {
                running.process.stop(running.process.grace);
            }
        }
        self.clean();
        let renewal = self.renew_tokens(now)?;
        let next = [next_due, renewal].into_iter().flatten().min();
        Ok(next.map(|next| next.since(now)))
    }

    fn start(&mut self, key: Key, pod: &ObjectRef) -> Result<(), SimError> {
        let folders = PodFolders::new(&self.host.folder, &pod.uid);
        let authority = &self.host.authority;
        let read = |state: &mut crate::state::CloudState, now| {
            let store = container_runtime::store_mut(state, &key.cluster)?;
            let launch = launch::prepare(store, pod, &key.container, &folders, authority, now)?;
            Some((launch, state.clock_offset_ms))
        };
        let Some((launch, offset)) = self.server_state.change(read)? else { return Ok(()) };
        let launch = match launch {
            Ok(launch) => launch,
            Err(why) => return self.report(&key, pod, &ContainerReport::Refused(why)),
        };
        let process = self.spawn(&key, &folders, &launch, offset);
        self.report(&key, pod, &ContainerReport::Started)?;
        match process {
            Ok(process) => {
                if let Some(at) = launch.volumes.renew_at {
                    let pod_key = (key.cluster.clone(), key.pod.clone());
                    self.renewals.insert(pod_key, (pod.clone(), at));
                }
                self.running.insert(key, Running { pod: pod.clone(), process });
                Ok(())
            }
            Err(error) => {
                let message = format!("failed to start the container's program: {error}");
                let end = ContainerEnd { exit_code: START_ERROR, reason: "StartError", message };
                self.report(&key, pod, &ContainerReport::Ended(end))
            }
        }
    }

    fn spawn(
        &self,
        key: &Key,
        folders: &PodFolders,
        launch: &Launch,
        clock_offset_ms: i64,
    ) -> std::io::Result<Process> {
        let program = self.host.programs.get(image_repository(&launch.image));
        let program = program.ok_or_else(|| std::io::Error::other("no program stands for the image"))?;
        DirBuilder::new().recursive(true).mode(0o700).create(folders.root())?;
        let output = Output::open(folders.root(), &key.container, Arc::clone(&self.logs), clock_offset_ms)?;
        let (ended, own) = (self.ended.clone(), key.clone());
        let report = move |exit_code| drop(ended.send((own, exit_code)));
        container::start(program, launch, folders, &key.container, output, report)
    }

    /// Reports the end of a process.
    fn finish(&mut self, key: &Key, exit_code: i32, is_shutdown: bool) -> Result<(), SimError> {
        let Some(running) = self.running.remove(key) else { return Ok(()) };
        let end = ContainerEnd::exited(exit_code);
        let report = if is_shutdown { ContainerReport::ShutDown(end) } else { ContainerReport::Ended(end) };
        self.report(key, &running.pod, &report)
    }

    fn report(&self, key: &Key, pod: &ObjectRef, report: &ContainerReport) -> Result<(), SimError> {
        let timing = *self.server_state.timing();
        self.server_state.change(|state, now| {
            let container = (pod, key.container.as_str());
            container_runtime::report(state, &key.cluster, container, report, &timing, now);
        })
    }

    /// Renews the tokens that are due, in the files of their pods; returns the time of the next renewal.
    fn renew_tokens(&mut self, now: SimTime) -> Result<Option<SimTime>, SimError> {
        let runs = |key: &(String, String)| {
            self.running.keys().any(|running| running.cluster == key.0 && running.pod == key.1)
        };
        self.renewals.retain(|key, _| runs(key));
        for ((cluster, uid), (pod, at)) in &mut self.renewals {
            if *at > now {
                continue;
            }
            let read = |state: &mut crate::state::CloudState, now| {
                let store = container_runtime::store_mut(state, cluster)?;
                let found = store.get("pods", &pod.namespace, &pod.name)?.clone();
                Volumes::of(store, &found, now).ok()
            };
            let renewed = self.server_state.change(read)?;
            // Without the objects that it needs, a volume stays as it is.
            *at =
                renewed.as_ref().and_then(|volumes| volumes.renew_at).unwrap_or_else(|| now.plus_ms(60_000));
            let folder = PodFolders::new(&self.host.folder, uid).volumes();
            if let Some(Err(error)) = renewed.map(|volumes| volumes.write(&folder)) {
                tracing::warn!(%error, "the tokens of a pod cannot be renewed");
            }
        }
        Ok(self.renewals.values().map(|(_, at)| *at).min())
    }

    /// Removes the folders of pods that no longer exist.
    fn clean(&self) {
        let folders = fs::read_dir(&self.host.folder).into_iter().flatten().flatten();
        let uids: Vec<String> = folders.filter_map(|folder| folder.file_name().into_string().ok()).collect();
        if uids.is_empty() {
            return;
        }
        let living = self.server_state.read(container_runtime::pod_uids);
        let is_used = |uid: &String| living.contains(uid) || self.running.keys().any(|key| key.pod == *uid);
        for uid in uids.iter().filter(|uid| !is_used(uid)) {
            remove(&self.host.folder.join(uid));
        }
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::debug!(%error, folder = %folder.display(), "the folder of a pod stays");
    }
}
