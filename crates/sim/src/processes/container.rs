//! One container as a local process: its group, its signals, and its end.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::launch::{Launch, PodFolders};
use super::output::Output;

/// The timeout for the rest of the output after the end of a process.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// The exit code of a process that a signal ended is this and the number of the signal.
const SIGNALED: i32 = 128;

/// A request to a running process.
#[derive(Debug, Clone, Copy)]
enum Control {
    /// SIGTERM now, and SIGKILL after that time.
    Stop(Duration),
    /// SIGKILL now.
    Kill,
}

/// A running process. Dropping it kills the process and what it has started.
#[derive(Debug)]
pub(super) struct Process {
    control: mpsc::UnboundedSender<Control>,
    task: JoinHandle<()>,
    /// The time that the process has after SIGTERM.
    pub grace: Duration,
}

impl Process {
    /// Asks the process to end; kills it after that time.
    pub fn stop(&self, grace: Duration) {
        let _ = self.control.send(Control::Stop(grace));
    }

    /// Kills the process.
    pub fn kill(&self) {
        let _ = self.control.send(Control::Kill);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The task owns the process group, which dies with it.
        self.task.abort();
    }
}

/// The group of a process, which dies when this is dropped: a container takes along what it has started.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // The group may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Starts a container. `ended` is called with its exit code after its last line of output.
///
/// # Errors
/// The program cannot be started, or its folder cannot be written.
pub(super) fn start(
    program: &Path,
    launch: &Launch,
    folders: &PodFolders,
    container: &str,
    output: Output,
    ended: impl FnOnce(i32) + Send + 'static,
) -> io::Result<Process> {
    launch.volumes.write(&folders.volumes())?;
    for folder in launch.sub_folders.iter().chain([&folders.container(container), &launch.working_folder]) {
        fs::create_dir_all(folder)?;
    }
    let mut command = Command::new(program);
    command
        .args(&launch.arguments)
        .env_clear()
        .envs(&launch.environment)
        .current_dir(&launch.working_folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let group = ProcessGroup::of(&child);
    let process_id = folders.process_id(container);
    fs::write(&process_id, child.id().unwrap_or_default().to_string())?;
    let mut readers = tokio::task::JoinSet::new();
    if let Some(stream) = child.stdout.take() {
        readers.spawn(output.clone().copy(stream));
    }
    if let Some(stream) = child.stderr.take() {
        readers.spawn(output.copy(stream));
    }
    let (control, requests) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let status = wait(&mut child, &group, requests).await;
        drop(group);
        let _ = timeout(OUTPUT_TIMEOUT, async { while readers.join_next().await.is_some() {} }).await;
        let _ = fs::remove_file(process_id);
        ended(exit_code(status));
    });
    let grace = Duration::from_secs(launch.grace_seconds.max(0).unsigned_abs());
    Ok(Process { control, task, grace })
}

/// Waits for the end of a process, and passes requests on as signals.
async fn wait(
    child: &mut Child,
    group: &ProcessGroup,
    mut requests: mpsc::UnboundedReceiver<Control>,
) -> Option<ExitStatus> {
    let mut kill_at: Option<Instant> = None;
    loop {
        let due = kill_at.unwrap_or_else(Instant::now);
        tokio::select! {
            status = child.wait() => return status.ok(),
            Some(request) = requests.recv() => match request {
                Control::Stop(grace) => {
                    let until = Instant::now() + grace;
                    if kill_at.is_none() {
                        group.signal(Signal::TERM);
                    }
                    kill_at = Some(kill_at.map_or(until, |known| known.min(until)));
                }
                Control::Kill => group.signal(Signal::KILL),
            },
            () = sleep_until(due), if kill_at.is_some() => {
                group.signal(Signal::KILL);
                return child.wait().await.ok();
            }
        }
    }
}

fn exit_code(status: Option<ExitStatus>) -> i32 {
    let of_signal = |status: ExitStatus| status.signal().map(|signal| SIGNALED + signal);
    status.and_then(|status| status.code().or_else(|| of_signal(status))).unwrap_or(SIGNALED)
}

/// Returns whether a process began in a folder of a pod: it is there still, or its variables name it.
fn belongs_to(id: i32, pods: &Path) -> bool {
    let folder = fs::read_link(format!("/proc/{id}/cwd"));
    let is_there = || Some(folder.ok()?.starts_with(fs::canonicalize(pods).ok()?));
    let home = format!("HOME={}/", pods.display());
    let variables = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    let is_named = variables.split(|byte| *byte == 0).any(|variable| variable.starts_with(home.as_bytes()));
    is_named || is_there().unwrap_or(false)
}

/// Kills the processes that a server left when it was killed itself. Their ids are in the folders of their pods, and may
/// belong to other processes by now.
pub(super) fn kill_leftovers(pods: &Path) {
    let folders = fs::read_dir(pods).into_iter().flatten().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    for file in files.filter(|file| file.path().extension().is_some_and(|ending| ending == "pid")) {
        let id = fs::read_to_string(file.path()).ok().and_then(|text| text.parse::<i32>().ok());
        let is_ours = id.is_some_and(|id| belongs_to(id, pods));
        if let Some(group) = id.filter(|_| is_ours).and_then(Pid::from_raw) {
            ProcessGroup(Some(group)).signal(Signal::KILL);
        }
        let _ = fs::remove_file(file.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(folder: &Path) -> std::process::Child {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", "exec sleep 1000"]).current_dir(folder);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().expect("a shell")
    }

    #[test]
    fn what_a_killed_server_left_is_killed_and_no_other_process() {
        let (pods, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let folder = pods.path().join("uid-1");
        fs::create_dir(&folder).expect("a folder");
        let (mut left, mut other) = (sleeper(&folder), sleeper(elsewhere.path()));
        fs::write(folder.join("main.pid"), left.id().to_string()).expect("it is written");
        fs::write(folder.join("reused.pid"), other.id().to_string()).expect("it is written");
        fs::write(folder.join("main.log"), "a line").expect("it is written");
        kill_leftovers(pods.path());
        assert_eq!(left.wait().expect("it ends").signal(), Some(9));
        assert!(other.try_wait().expect("it is a child").is_none(), "another process may have its id");
        other.kill().expect("it is a child");
        other.wait().expect("it ends");
        let rest: Vec<_> =
            fs::read_dir(&folder).expect("it is there").flatten().map(|file| file.file_name()).collect();
        assert_eq!(rest, ["main.log"], "a log stays");
    }
}
