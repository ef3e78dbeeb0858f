//! The resume file: what the cloud cannot say.
//!
//! Each line is on disk before anything acts on it, and what the lines say of each step is folded
//! into a [`Memory`]. The cloud is the truth about what exists; this is the memory of *we made
//! this*, *we are in the middle of this* and *this is what went wrong*.

mod entry;
mod file;
mod lock;
mod memory;

pub use entry::{Entry, EnvironmentKey, FORMAT, How};
pub use lock::Holder;
pub use memory::{Memory, Past, State};

use entry::Line;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

const JOURNAL: &str = "journal.jsonl";

/// The resume file of one environment, locked for as long as this lives.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    key: EnvironmentKey,
    open: Mutex<Open>,
    /// Held for the lock on it.
    _lock: std::fs::File,
}

#[derive(Debug)]
struct Open {
    file: std::fs::File,
    memory: Memory,
    /// Set by the first write that fails, and for good: a line may be torn at the end of the file.
    broken: Option<Arc<io::Error>>,
}

impl Journal {
    /// Opens the journal in `dir`, making both if need be, and writes the first line of a new run.
    ///
    /// `command` is what a second process is told that this one is doing.
    ///
    /// # Errors
    ///
    /// When another process holds it, when it belongs to another environment or to a newer format,
    /// when a line in its middle does not parse, or when the file system refuses. A torn last line
    /// is no error: it was never acted on, and is cut off.
    pub fn open(
        dir: &Path,
        command: &str,
        key: &EnvironmentKey,
        landfall_version: &str,
    ) -> Result<Journal, OpenError> {
        let path = dir.join(JOURNAL);
        file::make_folder(dir).map_err(OpenError::io(dir))?;
        let lock = lock::take(dir, command)?;
        let remembered = file::read(&path)?;
        if let Some(is) = remembered.key.filter(|is| is != key) {
            return Err(OpenError::OtherEnvironment { is: Box::new(is), wanted: Box::new(key.clone()) });
        }
        let file = file::open_for_append(&path, remembered.good_bytes).map_err(OpenError::io(&path))?;
        file::sync_folder(dir).map_err(OpenError::io(dir))?;
        let open = Open { file, memory: remembered.memory, broken: None };
        let journal = Journal { path: path.clone(), key: key.clone(), open: Mutex::new(open), _lock: lock };
        let opened = Entry::Opened {
            format: FORMAT,
            command: command.into(),
            environment: key.clone(),
            landfall: landfall_version.into(),
        };
        journal.append(opened).map_err(|error| OpenError::Io {
            path,
            source: io::Error::new(error.source.kind(), error.source),
        })?;
        Ok(journal)
    }

    /// Reads what the journal in `dir` remembers, without the lock, even while a run is writing;
    /// `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`], but for the lock and the environment.
    pub fn read(dir: &Path) -> Result<Option<(EnvironmentKey, Memory)>, OpenError> {
        let remembered = file::read(&dir.join(JOURNAL))?;
        Ok(remembered.key.map(|key| (key, remembered.memory)))
    }

    /// Writes an entry. It is on disk, and the memory has learnt it, when this returns.
    ///
    /// The write blocks the calling thread for the few milliseconds a disk takes.
    ///
    /// # Errors
    ///
    /// When the write fails. The journal is broken from then on: every later append gives the same
    /// error, because what follows a torn line could not be read back.
    pub fn append(&self, entry: Entry) -> Result<(), JournalError> {
        let mut open = self.lock();
        let broken =
            |source: &Arc<io::Error>| JournalError { path: self.path.clone(), source: source.clone() };
        if let Some(source) = &open.broken {
            return Err(broken(source));
        }
        let line = Line::now(entry);
        let written = line.to_bytes().and_then(|bytes| file::append(&mut open.file, &bytes));
        if let Err(error) = written {
            return Err(broken(open.broken.insert(Arc::new(error))));
        }
        open.memory.learn(&line.at, &line.entry);
        Ok(())
    }

    /// Returns everything remembered.
    pub fn memory(&self) -> Memory {
        self.lock().memory.clone()
    }

    /// Returns what is remembered of one step; nothing at all when it was never begun.
    pub fn past(&self, step: &str) -> Past {
        self.lock().memory.past(step).cloned().unwrap_or_default()
    }

    /// Returns the environment this journal belongs to.
    pub fn environment(&self) -> &EnvironmentKey {
        &self.key
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it is held")
    }
}

/// Why a journal cannot be opened. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("take the journal: {} holds it", .holder.as_ref().map_or("another process".to_owned(), Holder::to_string))]
    Locked {
        /// Who; `None` when the holder could not be read.
        holder: Option<Holder>,
    },
    /// It belongs to another environment.
    #[error("use the journal of {is} for {wanted}")]
    OtherEnvironment {
        /// Whose it is.
        is: Box<EnvironmentKey>,
        /// Whose was wanted.
        wanted: Box<EnvironmentKey>,
    },
    /// A newer program wrote it.
    #[error("read a journal of format {format}: this program knows formats up to {FORMAT}")]
    Newer {
        /// The format in its first line.
        format: u32,
    },
    /// The file system refuses.
    #[error("open {}", .path.display())]
    Io {
        /// What could not be opened.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that is not the last one does not parse: somebody else wrote to the file.
    #[error("read line {line} of the journal")]
    Corrupt {
        /// The line, counted from 1.
        line: usize,
    },
}

impl OpenError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    }
}

/// The journal could not be written, which ends the run: what is not remembered must not be done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("write {}", .path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: Arc<io::Error>,
}

#[cfg(test)]
mod tests;
