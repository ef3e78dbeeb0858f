//! The move of a journal from the state folder to a remote store, and back.
//!
//! At any instant one of the two is the journal. The file `journal.moved` in the folder names the store while that
//! is the store's; a mark of the store names the folder while it is the folder's. A move that was interrupted is
//! continued by the same command.

use super::{
    open::{Acquired, acquire, parse, released},
    store::{RemoteStore, StoreError, StoreErrorKind},
    writer::{APPEND_BYTES_MAX, End, append_at, read_again},
};
use crate::journal::{
    JOURNAL, Journal, OpenError,
    file::{self, LoadedJournal},
    length_record::{self, KnownLength, LENGTH, Length},
    lock::Lock,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file that names the store of a journal that was moved.
pub(in crate::journal) const MARK: &str = "journal.moved";
/// The name of a journal file after its move.
const PUSHED: &str = "journal.pushed.jsonl";

/// A journal that was moved.
#[derive(Debug)]
pub struct Moved {
    /// The number of its lines.
    pub lines: usize,
    /// Its new place.
    pub to: String,
    /// The damage that it has, and had before.
    pub damage: Option<OpenError>,
}

/// Returns the store that the journal of a folder was moved to.
pub fn moved_to(dir: &Path) -> Option<String> {
    let bytes = file::read_bytes(&dir.join(MARK)).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|to| !to.is_empty())
}

fn mark(dir: &Path, to: &str) -> io::Result<()> {
    file::create(&dir.join(MARK), format!("{to}\n").as_bytes())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => file::sync_folder(path.parent().unwrap_or(Path::new("."))),
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

impl Journal {
    /// Moves the journal of a folder to a store, and verifies the copy before the folder's journal is retired.
    ///
    /// # Errors
    ///
    /// Fails if the folder has no journal, or the store has another one; also if one of them is held, damaged, or
    /// cannot be accessed.
    pub async fn push(dir: &Path, store: &dyn RemoteStore, lease_id: &str) -> Result<Moved, OpenError> {
        Self::secure(dir)?;
        let mut lock = Lock::take(dir, "state push")?;
        let path = dir.join(JOURNAL);
        let known = KnownLength::read(dir, lock.has_length()).map_err(OpenError::io(dir))?;
        let Some(loaded) = file::read(&path, known)? else {
            return Err(match moved_to(dir) {
                Some(to) => OpenError::Moved { from: path.display().to_string(), to },
                None => OpenError::NothingToMove { place: path.display().to_string() },
            });
        };
        let mut bytes = file::read_bytes(&path).map_err(OpenError::io(&path))?;
        bytes.truncate(usize::try_from(loaded.good_bytes).unwrap_or(usize::MAX));
        let Acquired { lease, located, ids } = acquire(store, dir, lease_id).await?;
        let part = located.part;
        let address = store.address(part);
        let copied = async {
            let content = &located.content;
            // Everything that the store has is in the folder too, or the store has the better journal.
            if !bytes.starts_with(&content.bytes) {
                return Err(OpenError::TwoJournals { local: path.clone(), remote: address.clone() });
            }
            let mut end = End { part, bytes: content.bytes.len() as u64 };
            for piece in bytes[content.bytes.len()..].chunks(APPEND_BYTES_MAX) {
                append_at(store, &lease, end, piece).await.map_err(OpenError::store)?;
                end.bytes += piece.len() as u64;
            }
            let copy = read_again(store, part, 0).await.map_err(OpenError::store)?;
            if copy.as_deref() != Some(&bytes) {
                return Err(differs(&address));
            }
            if content.moved_to.is_some() {
                store.mark_moved(part, lease_id, None).await.map_err(OpenError::store)?;
            }
            retire(dir, &mut lock, &store.address(1))
        };
        let copied = copied.await;
        let _ = store.release(part, lease_id).await;
        ids.forget();
        copied.map(|()| Moved { lines: lines(&bytes), to: address, damage: None })
    }

    /// Moves the journal of a store to a folder, and verifies the copy before the store's journal is retired.
    ///
    /// A damaged journal is moved as it is: it can be accepted in the folder, see [`Journal::accept`].
    ///
    /// # Errors
    ///
    /// Fails if the store has no journal, or the folder has another one; also if one of them is held or cannot be
    /// accessed.
    pub async fn pull(store: &dyn RemoteStore, dir: &Path, lease_id: &str) -> Result<Moved, OpenError> {
        Self::secure(dir)?;
        let mut lock = Lock::take(dir, "state pull")?;
        let path = dir.join(JOURNAL);
        let place = format!("{} on {}", path.display(), lock.holder().host);
        let Acquired { lease: _lease, located, ids } = acquire(store, dir, lease_id).await?;
        let part = located.part;
        let content = &located.content;
        let address = store.address(part);
        let moved = async {
            let local = existing(&path)?;
            if content.bytes.is_empty() {
                return Err(OpenError::NothingToMove { place: address.clone() });
            }
            match &content.moved_to {
                // The last command was interrupted before its last step.
                Some(to) if *to == place && local.as_ref() == Some(&content.bytes) => {}
                Some(to) => return Err(OpenError::Moved { from: address.clone(), to: to.clone() }),
                None if local.is_some() && moved_to(dir).is_none() => {
                    return Err(OpenError::TwoJournals { local: path.clone(), remote: address.clone() });
                }
                None => {}
            }
            let (loaded, damage) = match parse(&address, content) {
                Ok(loaded) => (loaded, None),
                Err(damage @ (OpenError::Damaged { .. } | OpenError::Corrupt { .. })) => (None, Some(damage)),
                Err(error) => return Err(error),
            };
            mark(dir, &store.address(1)).map_err(OpenError::io(dir))?;
            place_copy(dir, &content.bytes, loaded.as_ref()).map_err(OpenError::io(&path))?;
            if existing(&path)?.as_ref() != Some(&content.bytes) {
                return Err(differs(&path.display().to_string()));
            }
            store.mark_moved(part, lease_id, Some(&place)).await.map_err(OpenError::store)?;
            lock.set_files(true, loaded.is_some())?;
            remove(&dir.join(PUSHED)).map_err(OpenError::io(dir))?;
            remove(&dir.join(MARK)).map_err(OpenError::io(dir))?;
            Ok(damage)
        };
        let moved = moved.await;
        let damage = match moved {
            Ok(damage) => damage,
            Err(error) => {
                let error = released(store, part, lease_id, error).await;
                ids.forget();
                return Err(error);
            }
        };
        let _ = store.release(part, lease_id).await;
        ids.forget();
        Ok(Moved { lines: lines(&content.bytes), to: path.display().to_string(), damage })
    }
}

/// Returns the bytes of a journal file; `None` if there is none.
fn existing(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match file::read_bytes(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(path)(error)),
    }
}

/// Writes the journal and its length.
fn place_copy(dir: &Path, bytes: &[u8], loaded: Option<&LoadedJournal>) -> io::Result<()> {
    length_record::remove(dir)?;
    file::create(&dir.join(JOURNAL), bytes)?;
    match loaded {
        Some(loaded) => Length::open(dir, loaded.last()).map(drop),
        None => Ok(()),
    }
}

/// Retires the journal of the folder: it stays under another name.
fn retire(dir: &Path, lock: &mut Lock, to: &str) -> Result<(), OpenError> {
    let path: PathBuf = dir.join(JOURNAL);
    mark(dir, to).map_err(OpenError::io(dir))?;
    fs::rename(&path, dir.join(PUSHED)).map_err(OpenError::io(&path))?;
    remove(&dir.join(LENGTH)).map_err(OpenError::io(dir))?;
    lock.set_files(false, false)
}

fn differs(place: &str) -> OpenError {
    let message = format!("verify the copy in {place}: it differs from the original, which is unchanged");
    OpenError::store(StoreError::new(StoreErrorKind::Other, message))
}
