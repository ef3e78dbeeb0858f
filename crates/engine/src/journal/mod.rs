//! The resume file, with the facts that the cloud cannot report.
//!
//! Each line is on disk before the program acts on it. The lines of each step are folded into a [`JournalState`].
//! The cloud is the truth about what exists. The journal records ownership, operations in flight and
//! failures.

mod damage_kind;
mod entry;
mod file;
mod folder_rights;
mod journal_state;
mod length_record;
mod lock;
mod salvage;
mod seal;

pub use damage_kind::Damage;
pub use entry::{Entry, EnvironmentKey, FORMAT};
pub(crate) use journal_state::OVERRIDES;
pub use journal_state::{JournalState, StepState, StepStatus};
pub use lock::Holder;
pub use salvage::{Accepted, Salvaged};

use entry::Line;
use length_record::{KnownLength, LENGTH, Last, Length};
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
    /// Held for its lock.
    _lock: lock::Lock,
}

#[derive(Debug)]
struct Open {
    file: std::fs::File,
    /// The length of the whole lines in the file, and the end of their chain.
    last: Last,
    length: Length,
    journal_state: JournalState,
    /// Set permanently by the first write that fails: a line may be torn at the end of the file.
    broken: Option<Arc<io::Error>>,
}

impl Journal {
    /// Creates the folder of a journal if it is missing, private to its owner, and returns the paths in it
    /// that others could read or write until now. [`Journal::open`] does this too. Call it earlier to write
    /// other files into the folder.
    ///
    /// # Errors
    ///
    /// Fails if another user could replace the folder, and if the file system refuses.
    pub fn secure(dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
        folder_rights::secure(dir, &[JOURNAL, lock::LOCK, LENGTH])
    }

    /// Opens the journal in `dir`, creates both if they are missing, and writes the first line of a new run.
    ///
    /// `command` is the activity that a second process reports about this one.
    ///
    /// # Errors
    ///
    /// Fails if the journal
    /// * is held by another process,
    /// * belongs to another environment or to a newer format,
    /// * has lost its beginning, or existed and is gone,
    /// * has an unparseable line in its middle,
    /// * has lines that were changed, moved or cut off after they were written,
    /// * can be changed by another user, or
    /// * cannot be accessed in the file system.
    ///
    /// A torn last line is not an error: nothing has acted on it, and it is truncated. A journal of an
    /// earlier version has no seals; later lines have them.
    pub fn open(
        dir: &Path,
        command: &str,
        key: &EnvironmentKey,
        landfall_version: &str,
    ) -> Result<Journal, OpenError> {
        let path = dir.join(JOURNAL);
        Self::secure(dir)?;
        let mut lock = lock::Lock::take(dir, command)?;
        let header = Line::now(Entry::Opened {
            format: FORMAT,
            command: command.into(),
            environment: key.clone(),
            landfall: landfall_version.into(),
        });
        let io = |source| OpenError::Io { path: path.clone(), source };
        let known = KnownLength::read(dir, lock.has_length()).map_err(OpenError::io(dir))?;
        let loaded = file::read(&path, known)?;
        let new = loaded.is_none();
        match &loaded {
            Some(loaded) => loaded.check_environment(key)?,
            None if lock.has_journal() => return Err(OpenError::missing(&path)),
            None => Self::create(dir, &header).map_err(io)?,
        }
        lock.record_journal()?;
        // A new file is read back like any other.
        let read_back = || file::read(&path, KnownLength::Nothing);
        let Some(loaded) = loaded.map_or_else(read_back, |old| Ok(Some(old)))? else {
            return Err(OpenError::missing(&path));
        };
        let last = loaded.last();
        let file = file::open_for_append(&path, last.bytes).map_err(io)?;
        let length = Length::open(dir, last).map_err(OpenError::io(&dir.join(LENGTH)))?;
        lock.record_length()?;
        let open = Open { file, last, length, journal_state: loaded.journal_state, broken: None };
        let journal = Journal { path: path.clone(), key: key.clone(), open: Mutex::new(open), _lock: lock };
        if !new {
            journal.write(header).map_err(|error| io(io::Error::new(error.source.kind(), error.source)))?;
        }
        Ok(journal)
    }

    /// Creates a journal of one line. The length of an earlier, missing journal does not apply to it.
    fn create(dir: &Path, header: &Line) -> io::Result<()> {
        length_record::remove(dir)?;
        let (bytes, _) = header.sealed(seal::Chain::after_plain(&[], 0))?;
        file::create(&dir.join(JOURNAL), &bytes)
    }

    /// Reads the state of the journal in `dir`, without the lock, even during a run; `None` if there is no
    /// journal.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::open`], except for the lock and the environment.
    pub fn read(dir: &Path) -> Result<Option<(EnvironmentKey, JournalState)>, OpenError> {
        let path = dir.join(JOURNAL);
        // The length is read first: a concurrent run may have a longer journal by now, never a shorter one.
        let known = KnownLength::read(dir, lock::length_recorded(dir)).map_err(OpenError::io(dir))?;
        match file::read(&path, known)? {
            Some(loaded) => Ok(Some((loaded.key, loaded.journal_state))),
            None if lock::journal_recorded(dir) => Err(OpenError::missing(&path)),
            None => Ok(None),
        }
    }

    /// Writes an entry. It is on disk and in the state when this returns.
    ///
    /// The write blocks the calling thread for the few milliseconds of a disk write.
    ///
    /// # Errors
    ///
    /// Fails if the write fails. The journal is broken from then on: every later append returns the same
    /// error, because lines after a torn one could not be read back.
    pub fn append(&self, entry: Entry) -> Result<(), JournalError> {
        self.write(Line::now(entry))
    }

    fn write(&self, line: Line) -> Result<(), JournalError> {
        let mut open = self.lock();
        let broken = |path: &Path, source: &Arc<io::Error>| JournalError {
            path: path.to_owned(),
            source: source.clone(),
        };
        if let Some(source) = &open.broken {
            return Err(broken(&self.path, source));
        }
        let written = line.sealed(open.last.chain).and_then(|(bytes, chain)| {
            file::append(&mut open.file, &bytes)?;
            Ok(Last { bytes: open.last.bytes + bytes.len() as u64, chain })
        });
        match written {
            Ok(last) => open.last = last,
            Err(error) => {
                let good_bytes = open.last.bytes;
                file::cut(&mut open.file, good_bytes);
                return Err(broken(&self.path, open.broken.insert(Arc::new(error))));
            }
        }
        let last = open.last;
        if let Err(error) = open.length.write(last) {
            // The line stays: its length may be on disk, and must not lead.
            let path = open.length.path().to_owned();
            return Err(broken(&path, open.broken.insert(Arc::new(error))));
        }
        open.journal_state.apply(&line.at, &line.entry);
        Ok(())
    }

    /// Returns the whole recorded state.
    pub fn journal_state(&self) -> JournalState {
        self.lock().journal_state.clone()
    }

    /// Returns the recorded state of one step; empty if it never started.
    pub fn step_state(&self, step: &str) -> StepState {
        self.lock().journal_state.step_state(step).cloned().unwrap_or_default()
    }

    /// Returns the environment this journal belongs to.
    pub fn environment(&self) -> &EnvironmentKey {
        &self.key
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it is held")
    }
}

/// The reason why a journal cannot be opened. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("lock the journal: {} holds it", .holder.as_ref().map_or("another process".to_owned(), Holder::to_string))]
    Locked {
        /// The holder; `None` if it could not be read.
        holder: Option<Holder>,
    },
    /// It belongs to another environment.
    #[error("use the journal of {is} for {wanted}")]
    OtherEnvironment {
        /// The owner.
        is: Box<EnvironmentKey>,
        /// The environment of this run.
        wanted: Box<EnvironmentKey>,
    },
    /// A newer program wrote it.
    #[error(
        "read a journal of format {format}{}: this version supports formats up to {FORMAT}",
        .landfall.as_ref().map_or(String::new(), |version| format!(", written by version {version}"))
    )]
    Newer {
        /// The format in its first line.
        format: u32,
        /// The version of the program that wrote it, if recorded.
        landfall: Option<String>,
    },
    /// A newer program of the same format wrote a line that this one does not know.
    #[error("read line {line} of the journal: unknown entry \"{kind}\"")]
    Unknown {
        /// The line, counted from 1.
        line: usize,
        /// The kind of its entry.
        kind: String,
    },
    /// It existed and is gone, or has no beginning: its records are lost.
    #[error("read {}: {how}", .path.display())]
    Lost {
        /// The journal.
        path: PathBuf,
        /// The defect, as a clause.
        how: &'static str,
    },
    /// Another user could change it, or replace it.
    #[error("use {}: {why}", .path.display())]
    Unsafe {
        /// The folder or the link that causes this.
        path: PathBuf,
        /// The way, as a clause.
        why: String,
    },
    /// The file system refuses.
    #[error("open {}", .path.display())]
    Io {
        /// The path that could not be opened.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its lines can be read but differ from those that were written, or some are missing.
    #[error("trust {}: {how}", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The damage.
        how: Damage,
    },
    /// A line before the last does not parse: another program wrote to the file.
    #[error("read line {line} of the journal")]
    Corrupt {
        /// The line, counted from 1.
        line: usize,
    },
}

impl file::LoadedJournal {
    /// Refuses the journal of another environment.
    fn check_environment(&self, key: &EnvironmentKey) -> Result<(), OpenError> {
        match self.key == *key {
            true => Ok(()),
            false => Err(OpenError::OtherEnvironment {
                is: Box::new(self.key.clone()),
                wanted: Box::new(key.clone()),
            }),
        }
    }
}

impl OpenError {
    fn missing(path: &Path) -> Self {
        Self::Lost { path: path.to_owned(), how: "a run wrote it, but it no longer exists" }
    }

    fn link(path: &Path) -> OpenError {
        OpenError::Unsafe { path: path.to_owned(), why: folder_rights::LINK.into() }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    }
}

/// The journal could not be written, which ends the run: an unrecorded action must not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("write {}", .path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: Arc<io::Error>,
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
