//! One process at a time, and a second one is told who the first is.

use super::{OpenError, file};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{File, TryLockError},
    io::{Seek, Write},
    path::Path,
    process::{Command, id},
};

const LOCK: &str = "journal.lock";

/// Who holds a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The machine it runs on: the folder may be shared.
    pub host: String,
    /// When it took the journal, RFC 3339.
    pub since: String,
    /// What it is doing, such as `up`.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { pid, host, since, command } = self;
        write!(f, "`{command}` (process {pid} on {host}, since {since})")
    }
}

/// Takes the lock and writes who we are into it.
///
/// The lock is on a file of its own, which is never removed: the kernel frees the lock when the
/// process dies, however it dies, and a name that outlives it means nothing by itself.
pub(super) fn take(dir: &Path, command: &str) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let mut lock = file::private()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(OpenError::io(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { holder: holder(&path) }),
        Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
    }
    let since = format!("{:.3}", jiff::Timestamp::now());
    let us = Holder { pid: id(), host: host(), since, command: command.into() };
    let name = serde_json::to_vec(&us).expect("four plain fields");
    let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(&name));
    written.map_err(OpenError::io(&path))?;
    Ok(lock)
}

/// Reads who holds the lock; `None` while the holder is still writing its name, and where the
/// system does not let a locked file be read.
fn holder(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The name of this machine, as well as it can be learnt without a system call of its own.
fn host() -> String {
    let told = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .or_else(|| String::from_utf8(Command::new("hostname").output().ok()?.stdout).ok())
        .unwrap_or_default();
    let name = told.trim();
    if name.is_empty() { "an unnamed machine".into() } else { name.into() }
}
