//! The journal of a fleet in a storage account.

use super::history::{Entry, History, Line};
use crate::{exit::Exit, failure::Failure, render::escape};
use landfall_engine::{Holder, LeaseEnd, OpenError, RemoteLog, RemoteStore};
use landfall_steps::BlobJournalStore;
use std::{io, path::Path, sync::Arc};

/// Acquires the lease and reads the past.
pub(super) async fn open(
    store: &Arc<BlobJournalStore>,
    folder: &Path,
    lease_id: &str,
) -> Result<(RemoteLog, History), Failure> {
    match RemoteLog::open(store.clone(), folder, lease_id).await {
        Ok((log, bytes)) => match parse(store, &bytes) {
            Ok(history) => Ok((log, history)),
            Err(failure) => {
                log.close().await;
                Err(failure)
            }
        },
        Err(OpenError::Leased { address, .. }) => {
            let holder = holder(store).await;
            let holder = holder.map_or_else(|| "another run".to_owned(), |holder| holder.to_string());
            Err(Failure::new(Exit::Locked, "lock this fleet")
                .cause(format!("{} holds the lease of {address}", escape::inline(&holder)))
                .hint("wait for that run to end; the lease of a dead process ends within a minute"))
        }
        Err(error) => Err(Failure::of_journal(&error)),
    }
}

/// Parses the whole lines of a journal.
pub(super) fn parse(store: &BlobJournalStore, bytes: &[u8]) -> Result<History, Failure> {
    Ok(History::parse(&store.address(1), bytes)?.0)
}

/// Returns the failure of a run whose lease has ended.
pub(super) async fn lost(store: &BlobJournalStore, end: LeaseEnd) -> Failure {
    let holder = holder(store).await.filter(|holder| !holder.is_this_process());
    let why = match (end, holder) {
        (LeaseEnd::Lost, Some(holder)) => {
            format!("another run holds it now: {}", escape::inline(&holder.to_string()))
        }
        _ => "its lease was ended, and another run may hold it at any time".to_owned(),
    };
    Failure::new(Exit::Locked, "keep the lock of this fleet")
        .cause(why)
        .cause("no environment was started after that; each has its own journal")
        .hint("wait for the other run to end, then run again to continue")
}

pub(super) fn unwritable(store: &BlobJournalStore, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("write the journal of the fleet, {}", store.address(1)))
        .caused_by(error)
        .hint("run again to continue; -v shows every request")
}

/// Returns the process that wrote the last first line of a run.
async fn holder(store: &BlobJournalStore) -> Option<Holder> {
    let bytes = RemoteLog::read(store).await.ok().flatten()?;
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    let mut opened = lines.filter_map(|line| match serde_json::from_slice::<Line>(line).ok()?.entry {
        Entry::Opened { holder, .. } => Some(holder),
        _ => None,
    });
    opened.next().flatten()
}
