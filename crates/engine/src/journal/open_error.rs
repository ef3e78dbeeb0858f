//! The reasons why a journal cannot be opened or written.

use super::{Damage, EnvironmentKey, FORMAT, Holder, StoreError, file, folder_rights};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The reason why a journal cannot be opened. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("lock the journal: {} holds it", .holder.as_ref().map_or("another process".to_owned(), |holder| holder.to_string()))]
    Locked {
        /// The holder; `None` if it could not be read.
        holder: Option<Box<Holder>>,
    },
    /// Another process holds the lease of its store.
    #[error(
        "acquire the lease of {address}: {} holds it",
        .holder.as_ref().map_or("another process".to_owned(), |holder| holder.to_string())
    )]
    Leased {
        /// The address of the journal.
        address: String,
        /// The holder; `None` if it has not written its first line yet.
        holder: Option<Box<Holder>>,
    },
    /// The request to its store failed.
    #[error("{source}")]
    Store {
        /// The failure.
        source: StoreError,
    },
    /// There are two journals for one environment.
    #[error("choose between two journals: {} and {remote}", .local.display())]
    TwoJournals {
        /// The one in the state folder.
        local: PathBuf,
        /// The one in the store.
        remote: String,
    },
    /// It was moved to another place.
    #[error("use the journal in {from}: it was moved to {to}")]
    Moved {
        /// Its former place.
        from: String,
        /// Its place now.
        to: String,
    },
    /// There is no journal to move.
    #[error("move the journal: there is none in {place}")]
    NothingToMove {
        /// The place.
        place: String,
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
    pub(super) fn check_environment(&self, key: &EnvironmentKey) -> Result<(), OpenError> {
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
    pub(super) fn missing(path: &Path) -> Self {
        Self::Lost { path: path.to_owned(), how: "a run wrote it, but it no longer exists" }
    }

    pub(super) fn link(path: &Path) -> OpenError {
        OpenError::Unsafe { path: path.to_owned(), why: folder_rights::LINK.into() }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    }
}

/// The journal could not be written, which ends the run: an unrecorded action must not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("write {}", .path.display())]
pub struct JournalError {
    /// The file, or the address in a store.
    pub path: PathBuf,
    /// The cause.
    pub source: Arc<io::Error>,
    /// True if another process has taken over the journal, or may have.
    pub lease_lost: bool,
}
