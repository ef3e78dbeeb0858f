//! The lock of one process at a time; a second process reports the holder.

use super::{OpenError, file};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    process::{Command, id},
};

pub(super) const LOCK: &str = "journal.lock";

/// The holder of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id.
    pub pid: u32,
    /// The machine on which it runs: the folder may be shared.
    pub host: String,
    /// The time at which it took the journal, RFC 3339.
    pub since: String,
    /// Its command, such as `up`.
    pub command: String,
    /// The person behind it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address of the CI run behind it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Holder {
    /// Returns this process as the holder from now on.
    pub fn of_this_process(command: &str) -> Self {
        let since = format!("{:.3}", jiff::Timestamp::now());
        Self { pid: id(), host: host(), since, command: command.into(), user: None, run: None }
    }

    /// Returns whether it is this process.
    pub fn is_this_process(&self) -> bool {
        self.pid == id() && self.host == host()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { pid, host, since, command, user, run } = self;
        let user = user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
        let run = run.as_ref().map(|run| format!(", {run}")).unwrap_or_default();
        write!(f, "`{command}`{user} (process {pid} on {host}, since {since}{run})")
    }
}

/// The content of the lock file.
#[derive(Debug, Serialize, Deserialize)]
struct LockContent {
    #[serde(flatten)]
    holder: Holder,
    /// True if a journal exists beside it. A lock file without this field is from a version that always had
    /// one.
    #[serde(default = "yes")]
    journal: bool,
    /// True if a file beside it contains the length of that journal. Earlier versions had no such file.
    #[serde(default)]
    length: bool,
}

fn yes() -> bool {
    true
}

/// The lock, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    content: LockContent,
}

impl Lock {
    /// Takes the lock and writes this process into it.
    ///
    /// The lock is on a file of its own, which is never removed. The kernel frees the lock when the process
    /// dies, however it dies. A file that outlives the process has no meaning by itself.
    pub(super) fn take(dir: &Path, command: &str) -> Result<Lock, OpenError> {
        let path = dir.join(LOCK);
        let options = || file::private().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options().map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    holder: read(&path).map(|content| Box::new(content.holder)),
                });
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
        let (journal, length) = (journal_recorded(dir), length_recorded(dir));
        let holder = Holder::of_this_process(command);
        let mut lock = Lock { path, file, content: LockContent { holder, journal, length } };
        lock.write()?;
        Ok(lock)
    }

    /// Returns whether a journal existed beside this lock before it was taken.
    pub(super) fn has_journal(&self) -> bool {
        self.content.journal
    }

    /// Returns whether a length file existed beside this lock before it was taken.
    pub(super) fn has_length(&self) -> bool {
        self.content.length
    }

    /// Returns this process, as the lock names it.
    pub(super) fn holder(&self) -> Holder {
        self.content.holder.clone()
    }

    /// Records whether there are a journal and a length file now.
    pub(super) fn set_files(&mut self, journal: bool, length: bool) -> Result<(), OpenError> {
        (self.content.journal, self.content.length) = (journal, length);
        self.write_synced()
    }

    /// Records that a journal exists now.
    pub(super) fn record_journal(&mut self) -> Result<(), OpenError> {
        if self.content.journal {
            return Ok(());
        }
        self.content.journal = true;
        self.write_synced()
    }

    /// Records that the length file exists now.
    pub(super) fn record_length(&mut self) -> Result<(), OpenError> {
        if self.content.length {
            return Ok(());
        }
        self.content.length = true;
        self.write_synced()
    }

    /// Runs once in an environment's life: the name of the lock's holder need not outlive the machine.
    fn write_synced(&mut self) -> Result<(), OpenError> {
        self.write()?;
        self.file.sync_data().map_err(OpenError::io(&self.path))
    }

    fn write(&mut self) -> Result<(), OpenError> {
        let content = serde_json::to_vec(&self.content).expect("plain fields");
        let write = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&content)
        };
        write(&mut self.file).map_err(OpenError::io(&self.path))
    }
}

/// Returns whether the lock file in `dir` records a journal beside it.
pub(super) fn journal_recorded(dir: &Path) -> bool {
    read(&dir.join(LOCK)).is_some_and(|content| content.journal)
}

/// Returns whether the lock file in `dir` records a length file beside it.
pub(super) fn length_recorded(dir: &Path) -> bool {
    read(&dir.join(LOCK)).is_some_and(|content| content.length)
}

/// Returns the process that holds the lock in `dir`; `None` if none does.
pub(super) fn holder(dir: &Path) -> Option<Holder> {
    let path = dir.join(LOCK);
    let holder = read(&path).map(|content| content.holder);
    // A lock that this process takes, however briefly, could refuse a run that starts now. So the lock is tried only
    // if its holder may be alive, and then it is usually not free.
    if holder.as_ref().is_some_and(is_certainly_dead) {
        return None;
    }
    let file = file::private().read(true).open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder.unwrap_or_else(|| Holder {
            pid: 0,
            host: "an unnamed host".into(),
            since: String::new(),
            command: "another command".into(),
            user: None,
            run: None,
        })),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Returns whether a holder ran on this machine and has ended. Its process id may have a new owner by now, so the
/// reverse is never certain.
fn is_certainly_dead(holder: &Holder) -> bool {
    let processes = Path::new("/proc");
    holder.host == host()
        && processes.join("self").exists()
        && !processes.join(holder.pid.to_string()).exists()
}

/// Reads a lock file. `None` while its holder is still writing, if another program wrote into it, or if the
/// system does not allow reads of a locked file.
fn read(path: &Path) -> Option<LockContent> {
    serde_json::from_slice(&file::read_bytes(path).ok()?).ok()
}

/// Returns the name of this machine, as far as it is known without a system call.
fn host() -> String {
    let output = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .or_else(|| String::from_utf8(Command::new("hostname").output().ok()?.stdout).ok())
        .unwrap_or_default();
    let name = output.trim();
    if name.is_empty() { "an unnamed host".into() } else { name.into() }
}
