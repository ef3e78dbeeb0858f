//! The journal of a fleet in the state folder: its lock, its file and their errors.

use super::history::History;
use crate::{exit::Exit, failure::Failure, settings::parse};
use jiff::Timestamp;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Mutex,
};

pub(super) const FILE: &str = "fleet.jsonl";
const LOCK: &str = "fleet.lock";
/// The maximum size of a journal that is read.
const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// The journal in the state folder.
pub(super) struct FolderLog(Mutex<File>);

impl FolderLog {
    /// Opens it and reads the past.
    pub(super) fn open(folder: &Path) -> Result<(Self, History), Failure> {
        let path = folder.join(FILE);
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = opened.map_err(|error| unreadable(&path, &error))?;
        let (history, good_bytes) = parsed(&path, &mut file)?;
        // A line that a kill cut off: nothing has acted on it.
        file.set_len(good_bytes).map_err(|error| unwritable(&error))?;
        Ok((Self(Mutex::new(file)), history))
    }

    /// Appends a line; it is on disk when this returns.
    pub(super) fn append(&self, line: &[u8]) -> Result<(), Failure> {
        let mut file = self.0.lock().expect("nothing panics while it is held");
        file.write_all(line).and_then(|()| file.sync_data()).map_err(|error| unwritable(&error))
    }
}

/// Reads the journal in a folder; empty if there is none.
pub(super) fn read(folder: &Path) -> Result<History, Failure> {
    let path = folder.join(FILE);
    match File::open(&path) {
        Ok(mut file) => Ok(parsed(&path, &mut file)?.0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

/// Returns the past, and the length of the whole lines.
fn parsed(path: &Path, file: &mut File) -> Result<(History, u64), Failure> {
    let mut bytes = Vec::new();
    let refused = |error: io::Error| unreadable(path, &error);
    file.seek(SeekFrom::Start(0)).map_err(refused)?;
    file.take(SIZE_MAX).read_to_end(&mut bytes).map_err(refused)?;
    History::parse(&parse::shown(path), &bytes)
}

/// Takes the lock. The kernel frees it when the process ends, however it ends.
pub(super) fn lock(folder: &Path, command: &str) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|error| unreadable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let holder = if holder.trim().is_empty() { "another process".into() } else { holder };
            return Err(Failure::new(Exit::Locked, "lock this fleet")
                .cause(format!("another run holds it: {}", holder.trim()))
                .hint("wait for that run to end; its lock ends with it, and there is no file to delete"));
        }
        Err(TryLockError::Error(error)) => return Err(unreadable(&path, &error)),
    }
    let holder = format!("`fleet {command}` (process {}, since {:.3})", std::process::id(), Timestamp::now());
    let written = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
    written.map_err(|error| unwritable(&error))?;
    Ok(file)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("open {}", path.display()))
        .caused_by(error)
        .hint(landfall_engine::file_remedy(error))
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, "write the journal of the fleet")
        .caused_by(error)
        .hint(landfall_engine::file_remedy(error))
}
