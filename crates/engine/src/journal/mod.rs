//! The resume file, with the facts that the cloud cannot report.
//!
//! Each line is on disk before the program acts on it. The lines of each step are folded into a [`JournalState`].
//! The cloud is the truth about what exists. The journal records ownership, operations in flight and
//! failures.

mod background_sync;
mod damage_kind;
mod details;
mod entry;
mod file;
mod folder_rights;
mod folder_sink;
mod journal_state;
mod length_record;
mod lock;
mod open_error;
mod recorded_runs;
mod remote;
mod salvage;
mod seal;

pub use damage_kind::Damage;
pub use details::{BlockedStep, CriticalStep, DetailedEntry, Details, RunSummary};
pub use entry::{Entry, EnvironmentKey, FORMAT};
pub(crate) use journal_state::OVERRIDES;
pub use journal_state::{JournalState, StepState, StepStatus};
pub use lock::Holder;
pub use open_error::{JournalError, OpenError};
pub use recorded_runs::{RecordedLine, RecordedRun, RecordedRuns, RemoteRuns};
pub use remote::{
    LEASE, LeaseEnd, Moved, PartContent, RemoteContent, RemoteLog, RemoteOptions, RemoteStore, StoreError,
    StoreErrorKind, StoreResult, Unlocked, moved_to,
};
pub use salvage::{Accepted, Salvaged};

use entry::Line;
use folder_sink::{FolderSink, SyncMode};
use length_record::{KnownLength, LENGTH, Last, Length};
use remote::Session;
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
    sink: Sink,
    /// The length of the whole lines, and the end of their chain.
    last: Last,
    journal_state: JournalState,
    /// Set permanently by the first write that fails: nothing may follow it.
    broken: Option<JournalError>,
}

#[cfg(test)]
impl Open {
    fn folder(&mut self) -> &mut FolderSink {
        match &mut self.sink {
            Sink::Folder(folder) => folder,
            Sink::Remote(_) => unreachable!("these tests use folders"),
        }
    }
}

/// The place that the lines are written to.
#[derive(Debug)]
enum Sink {
    /// A file in the state folder. A line is on disk when the write returns, or after [`Journal::flushed`] if a thread
    /// syncs it.
    Folder(FolderSink),
    /// A store that several machines share. A line is durable after [`Journal::flushed`].
    Remote(Arc<Session>),
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

    /// Like [`Journal::secure`], for a machine without other users, such as a container: who may write to the folders
    /// above is not checked. An empty volume of a container is open to everyone.
    ///
    /// # Errors
    ///
    /// Fails if the file system refuses.
    pub fn secure_alone(dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
        folder_rights::secure_alone(dir, &[JOURNAL, lock::LOCK, LENGTH])
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
        Self::refuse_moved(dir)?;
        let header = Line::now(Entry::Opened {
            format: FORMAT,
            command: command.into(),
            environment: key.clone(),
            landfall: landfall_version.into(),
            holder: None,
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
        let sink = Sink::Folder(FolderSink { path: path.clone(), file, sync: SyncMode::Immediate(length) });
        let open = Open { sink, last, journal_state: loaded.journal_state, broken: None };
        let journal = Journal { path: path.clone(), key: key.clone(), open: Mutex::new(open), _lock: lock };
        if !new {
            let written = journal.write(header, Box::new(|| {}));
            written.map_err(|error| io(io::Error::new(error.source.kind(), error.source)))?;
        }
        Ok(journal)
    }

    /// Refuses the folder of a journal that was moved to a store.
    fn refuse_moved(dir: &Path) -> Result<(), OpenError> {
        match moved_to(dir) {
            Some(to) => Err(OpenError::Moved { from: dir.join(JOURNAL).display().to_string(), to }),
            None => Ok(()),
        }
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
        Self::refuse_moved(dir)?;
        // The length is read first: a concurrent run may have a longer journal by now, never a shorter one.
        let known = KnownLength::read(dir, lock::length_recorded(dir)).map_err(OpenError::io(dir))?;
        match file::read(&path, known)? {
            Some(loaded) => Ok(Some((loaded.key, loaded.journal_state))),
            None if lock::journal_recorded(dir) => Err(OpenError::missing(&path)),
            None => Ok(None),
        }
    }

    /// Lets a thread sync further entries, so that a write does not wait for the disk. They are durable after
    /// [`Journal::flushed`], as in a store. If the system grants no thread, a write waits as before.
    ///
    /// Every request that changes something must then pass [`Journal::permit`].
    pub fn sync_in_background(&self) {
        let open = &mut *self.lock();
        if let Sink::Folder(folder) = &mut open.sink {
            let _ = folder.sync_in_background(open.last);
        }
    }

    /// Writes an entry. It is in the state when this returns, and in the folder also on disk. In a store, and with
    /// [`Journal::sync_in_background`], it is durable after [`Journal::flushed`]; entries become durable in their order.
    ///
    /// In a folder without it, the write blocks the calling thread for the few milliseconds of a disk write.
    ///
    /// # Errors
    ///
    /// Fails if the write fails, or an earlier one has failed in the store. The journal is broken from then on: every
    /// later append returns the same error, because lines after a torn one could not be read back.
    pub fn append(&self, entry: impl Into<DetailedEntry>) -> Result<(), JournalError> {
        self.write(Line::now(entry), Box::new(|| {}))
    }

    /// Like [`Journal::append`]; calls a function when the entry is durable.
    pub(crate) fn append_then(
        &self,
        entry: impl Into<DetailedEntry>,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<(), JournalError> {
        self.write(Line::now(entry), Box::new(then))
    }

    fn write(&self, line: Line, then: Box<dyn FnOnce() + Send>) -> Result<(), JournalError> {
        let mut open = self.lock();
        let open = &mut *open;
        if let Some(broken) = &open.broken {
            return Err(broken.clone());
        }
        let written =
            line.sealed(open.last.chain).map_err(|error| self.error(error)).and_then(|(bytes, chain)| {
                let last = Last { bytes: open.last.bytes + bytes.len() as u64, chain };
                match &mut open.sink {
                    Sink::Folder(folder) => {
                        folder.write(&bytes, open.last, last, then).map_err(of_folder)?;
                    }
                    Sink::Remote(session) => session.write(bytes, then).map_err(|error| self.error(error))?,
                }
                Ok(last)
            });
        match written {
            Ok(last) => open.last = last,
            Err(error) => return Err(open.broken.insert(error).clone()),
        }
        open.journal_state.apply(&line.at, &line.entry);
        Ok(())
    }

    /// Waits until every entry so far is durable. An entry must be durable before the program acts on it.
    ///
    /// # Errors
    ///
    /// Fails if the store refuses an entry, or does not answer for minutes, and if the folder cannot be written.
    pub async fn flushed(&self) -> Result<(), JournalError> {
        let synced = {
            let open = self.lock();
            match &open.sink {
                Sink::Remote(session) => Err(session.clone()),
                Sink::Folder(FolderSink { sync: SyncMode::Background(sync), .. }) => {
                    Ok(sync.flushed(open.last))
                }
                Sink::Folder(_) => return Ok(()),
            }
        };
        match synced {
            Ok(synced) => synced.await.map_err(of_folder),
            Err(session) => session.flushed().await.map_err(|error| self.error(error)),
        }
    }

    /// Waits until every entry so far is durable and this process certainly may act: before each request that
    /// changes something.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::flushed`]; also if the lease has ended and cannot be renewed.
    pub async fn permit(&self) -> Result<(), JournalError> {
        match self.session() {
            Some(session) => session.permit().await.map_err(|error| self.error(error)),
            None => self.flushed().await,
        }
    }

    /// Waits until another process or a person takes the journal over; never returns for one in a folder.
    pub async fn lease_ended(&self) {
        match self.session() {
            Some(session) => session.lease_ended().await,
            None => std::future::pending().await,
        }
    }

    /// Returns how the lease ended; `None` while it is held, and in a folder.
    pub fn lease_end(&self) -> Option<LeaseEnd> {
        self.session()?.lease_end()
    }

    /// Returns the holder that the store names now: after a lost lease, the new one.
    pub async fn current_holder(&self) -> Option<Holder> {
        self.session()?.holder().await
    }

    /// Returns the length of the journal in bytes, with the entries that are on their way to a store.
    pub fn bytes(&self) -> u64 {
        self.lock().last.bytes
    }

    /// Replaces the summary of a journal in a store, a short ASCII text that lists of the store show; returns whether it
    /// is there. A journal in a folder has none.
    pub async fn set_summary(&self, text: &str) -> bool {
        match self.session() {
            Some(session) => session.set_summary(text).await,
            None => false,
        }
    }

    /// Writes what is left, and releases the lease. A journal in a folder needs no close. Without this call, others
    /// wait for the end of the lease.
    pub async fn close(&self) {
        if let Some(session) = self.session() {
            session.close().await;
        }
    }

    fn session(&self) -> Option<Arc<Session>> {
        match &self.lock().sink {
            Sink::Folder(_) => None,
            Sink::Remote(session) => Some(session.clone()),
        }
    }

    fn error(&self, source: io::Error) -> JournalError {
        let lease_lost = remote::is_lease_lost(&source);
        JournalError { path: self.path.clone(), source: Arc::new(source), lease_lost }
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

/// Returns the error of a file of the state folder.
fn of_folder((path, source): (PathBuf, Arc<io::Error>)) -> JournalError {
    JournalError { path, source, lease_lost: false }
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
