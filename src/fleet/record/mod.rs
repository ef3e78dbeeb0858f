//! The fleet's own journal: what ended, and how, so that the next command continues after an interruption or a kill.
//!
//! Each environment has its own journal, which decides what is created and deleted there. This one only decides what
//! need not run again: a lost line costs one more check. It is a file in the state folder, or a blob beside the journals
//! of the environments, with a lease as they have.

mod account;
mod folder;
mod history;

pub use history::{Entry, History, Unfinished};

use crate::failure::Failure;
use folder::{FolderLog, lock};
use history::Line;
use jiff::Timestamp;
use landfall_engine::{Holder, Journal, RemoteLog};
use landfall_steps::BlobJournalStore;
use std::{fs::File, path::PathBuf, sync::Arc};

/// The format of the lines; a newer one is refused.
const FORMAT: u32 = 1;

/// The place of a fleet's journal.
#[derive(Clone, Debug)]
pub struct RecordPlace {
    /// The folder with its lock, and with the journal itself if there is no store.
    pub folder: PathBuf,
    /// The journal in a storage account.
    pub store: Option<BlobJournalStore>,
}

/// A run of a fleet, as its journal names it.
pub struct RecordedCommand<'a> {
    /// The command.
    pub name: &'a str,
    /// True if an interrupted run is not continued.
    pub from_start: bool,
    /// This process, for others who want the journal.
    pub holder: Holder,
    /// A new UUID for the lease.
    pub lease_id: String,
    /// The id of the run, if it is outside of this process.
    pub run: Option<String>,
}

impl History {
    /// Reads a journal, without its lock; empty if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read, or a newer version wrote it.
    pub async fn read(place: &RecordPlace) -> Result<Self, Failure> {
        match &place.store {
            Some(store) => {
                let content = RemoteLog::read(store).await.map_err(|error| Failure::of_journal(&error))?;
                account::parse(store, &content.unwrap_or_default())
            }
            None => folder::read(&place.folder),
        }
    }
}

/// The journal of a fleet, locked for as long as this lives.
pub struct Record {
    log: Log,
    /// Held for its lock.
    _lock: File,
}

/// The place that the lines are written to.
enum Log {
    Folder(FolderLog),
    Account(Arc<BlobJournalStore>, RemoteLog),
}

impl Record {
    /// Takes the lock, reads the past and writes the first line of a run.
    ///
    /// # Errors
    /// Fails if another process holds the lock (exit code 4), and if the journal cannot be read or written.
    pub async fn open(place: &RecordPlace, command: RecordedCommand<'_>) -> Result<(Self, History), Failure> {
        Journal::secure(&place.folder).map_err(|error| Failure::of_journal(&error))?;
        let lock = lock(&place.folder, command.name)?;
        let (log, mut history) = match &place.store {
            None => {
                let (log, history) = FolderLog::open(&place.folder)?;
                (Log::Folder(log), history)
            }
            Some(store) => {
                let store = Arc::new(store.clone());
                let (log, history) = account::open(&store, &place.folder, &command.lease_id).await?;
                (Log::Account(store, log), history)
            }
        };
        let record = Self { log, _lock: lock };
        if command.from_start && history.unfinished.take().is_some() {
            record.append(Entry::Closed { complete: true }).await?;
        }
        let opened = Entry::Opened {
            format: FORMAT,
            command: command.name.to_owned(),
            pid: std::process::id(),
            holder: place.store.is_some().then_some(command.holder),
            run: command.run,
        };
        record.append(opened).await?;
        history.unfinished = history.unfinished.filter(|unfinished| unfinished.command == command.name);
        Ok((record, history))
    }

    /// Writes an entry; it is durable when this returns.
    ///
    /// # Errors
    /// Fails if the file system or the store refuses; with exit code 4 if another process has taken the lease.
    pub async fn append(&self, entry: Entry) -> Result<(), Failure> {
        let line = Line { at: Timestamp::now(), entry };
        let mut bytes = serde_json::to_vec(&line).expect("plain values serialise");
        bytes.push(b'\n');
        match &self.log {
            Log::Folder(log) => log.append(&bytes),
            Log::Account(store, log) => match log.append(bytes).await {
                Ok(()) => Ok(()),
                Err(error) => Err(match self.lost().await {
                    Some(lost) => lost,
                    None => account::unwritable(store, &error),
                }),
            },
        }
    }

    /// Waits until another process takes the journal over; never returns for one in a folder.
    pub async fn lease_ended(&self) {
        match &self.log {
            Log::Folder(_) => std::future::pending().await,
            Log::Account(_, log) => log.lease_ended().await,
        }
    }

    /// Returns whether the lease has ended.
    pub fn has_lost_lease(&self) -> bool {
        match &self.log {
            Log::Folder(_) => false,
            Log::Account(_, log) => log.lease_end().is_some(),
        }
    }

    /// Returns the failure of a run that has lost the lease.
    pub async fn lost(&self) -> Option<Failure> {
        match &self.log {
            Log::Folder(_) => None,
            Log::Account(store, log) => Some(account::lost(store, log.lease_end()?).await),
        }
    }

    /// Releases the lease.
    pub async fn close(&self) {
        if let Log::Account(_, log) = &self.log {
            log.close().await;
        }
    }
}

#[cfg(test)]
mod tests;
