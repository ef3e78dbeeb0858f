//! The opening of a journal in a remote store.

use super::{
    Session,
    lease::Lease,
    lease_ids::LeaseIds,
    store::{PartContent, RemoteStore, StoreError, StoreErrorKind},
    transfer,
    writer::End,
};
use crate::journal::{
    EnvironmentKey, FORMAT, Holder, JOURNAL, Journal, JournalState, Open, OpenError, Sink,
    entry::{Entry, Line},
    file::{self, LoadedJournal},
    length_record::KnownLength,
    lock,
    seal::Chain,
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

/// The number of appends after which the next part begins; a store refuses more than 50,000.
pub(super) const APPENDS_MAX: u32 = 40_000;
/// The number of attempts to find the last part while another process begins a new one.
const LOCATE_MAX: u32 = 4;

/// The options of a journal in a remote store.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// A new UUID for the lease of this process.
    pub lease_id: String,
    /// The person behind this process, for others who want the journal.
    pub user: Option<String>,
    /// The address of the CI run behind this process, for the same purpose.
    pub run: Option<String>,
    /// The number of appends after which the next part begins.
    pub appends_max: u32,
    /// True on a machine without other users, such as a container; see [`Journal::secure_alone`].
    pub is_alone: bool,
}

impl RemoteOptions {
    /// Returns the defaults for that lease id.
    pub fn new(lease_id: impl Into<String>) -> Self {
        Self { lease_id: lease_id.into(), user: None, run: None, appends_max: APPENDS_MAX, is_alone: false }
    }
}

/// The content of a remote journal.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteContent {
    /// The environment that owns it.
    pub key: EnvironmentKey,
    /// The recorded state.
    pub journal_state: JournalState,
    /// The process of the last run that has not ended regularly.
    pub holder: Option<Holder>,
    /// True if a process holds the lease.
    pub leased: bool,
    /// The length in bytes.
    pub bytes: u64,
}

/// A lease that was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlocked {
    /// The process that held it; `None` if it had written nothing yet.
    pub holder: Option<Holder>,
    /// The time until another process can acquire it.
    pub free_in: Duration,
}

/// The last part and its content.
pub(in crate::journal) struct Located {
    pub(in crate::journal) part: u32,
    pub(in crate::journal) content: PartContent,
}

impl OpenError {
    pub(super) fn store(source: StoreError) -> Self {
        Self::Store { source }
    }
}

/// Finds the last part; `None` if there is no journal.
pub(in crate::journal) async fn locate(store: &dyn RemoteStore) -> Result<Option<Located>, OpenError> {
    let mut part = 1;
    loop {
        match store.read(part, 0).await.map_err(OpenError::store)? {
            Some(content) if content.sealed => part += 1,
            Some(content) => return Ok(Some(Located { part, content })),
            None if part == 1 => return Ok(None),
            None => {
                let path = PathBuf::from(store.address(part));
                return Err(OpenError::Lost {
                    path,
                    how: "the part before it is sealed, but it does not exist",
                });
            }
        }
    }
}

/// Parses the content of a part; `None` if it has no line yet.
pub(super) fn parse(address: &str, content: &PartContent) -> Result<Option<LoadedJournal>, OpenError> {
    if content.bytes.is_empty() {
        return Ok(None);
    }
    let loaded = file::parse(Path::new(address), &content.bytes, KnownLength::Nothing)?;
    // An append is all or nothing, so nothing of ours is torn.
    match loaded.good_bytes == content.bytes.len() as u64 {
        true => Ok(Some(loaded)),
        false => Err(OpenError::Corrupt { line: loaded.chain.seq as usize + 1 }),
    }
}

/// Reads a journal, without its lease; `None` if there is none.
pub(super) async fn read(store: &dyn RemoteStore) -> Result<Option<RemoteContent>, OpenError> {
    let Some(Located { part, content }) = locate(store).await? else { return Ok(None) };
    if let Some(to) = content.moved_to {
        return Err(OpenError::Moved { from: store.address(part), to });
    }
    let (leased, bytes) = (content.leased, content.bytes.len() as u64);
    let loaded = parse(&store.address(part), &content)?;
    Ok(loaded.map(|loaded| RemoteContent {
        key: loaded.key,
        journal_state: loaded.journal_state,
        holder: loaded.holder,
        leased,
        bytes,
    }))
}

/// An acquired lease, and the content that was read under it.
pub(super) struct Acquired {
    pub(super) lease: Lease,
    pub(super) located: Located,
    pub(super) ids: LeaseIds,
}

/// Creates the journal if it is missing, acquires its lease, and reads it.
pub(super) async fn acquire(
    store: &dyn RemoteStore,
    dir: &Path,
    lease_id: &str,
) -> Result<Acquired, OpenError> {
    let ids = LeaseIds::read(dir).map_err(OpenError::io(dir))?;
    for _ in 0..LOCATE_MAX {
        let part = match locate(store).await? {
            Some(located) => located.part,
            None => create(store).await?,
        };
        ids.add(lease_id).map_err(OpenError::io(dir))?;
        let began = Lease::now();
        acquire_part(store, part, lease_id, &ids.earlier).await?;
        let content = match store.read(part, 0).await {
            Ok(Some(content)) => content,
            Ok(None) => continue,
            Err(error) => return Err(released(store, part, lease_id, OpenError::store(error)).await),
        };
        if !content.sealed {
            let lease = Lease::new(lease_id.to_owned(), part, began);
            return Ok(Acquired { lease, located: Located { part, content }, ids });
        }
        // Another process began the next part in between.
        let _ = store.release(part, lease_id).await;
    }
    let message = format!("find the end of {}: other processes keep moving it", store.address(1));
    Err(OpenError::store(StoreError::new(StoreErrorKind::Other, message)))
}

/// Releases the lease of a journal that cannot be used, and returns the reason.
pub(super) async fn released(store: &dyn RemoteStore, part: u32, lease: &str, error: OpenError) -> OpenError {
    // The lease ends by itself in any case.
    let _ = store.release(part, lease).await;
    error
}

async fn create(store: &dyn RemoteStore) -> Result<u32, OpenError> {
    match store.create(1).await {
        Err(error) if error.kind != StoreErrorKind::Exists => Err(OpenError::store(error)),
        _ => Ok(1),
    }
}

/// Acquires the lease of a part. A lease of an earlier process of this folder is taken over at once.
async fn acquire_part(
    store: &dyn RemoteStore,
    part: u32,
    lease_id: &str,
    earlier: &[String],
) -> Result<(), OpenError> {
    for id in earlier {
        match store.acquire(part, id).await {
            Ok(()) => return store.change(part, id, lease_id).await.map_err(OpenError::store),
            Err(error) if error.kind == StoreErrorKind::LeaseHeld => {}
            Err(error) => return Err(OpenError::store(error)),
        }
    }
    match store.acquire(part, lease_id).await {
        Ok(()) => Ok(()),
        Err(error) if error.kind == StoreErrorKind::LeaseHeld => {
            let holder = read(store).await.ok().flatten().and_then(|content| content.holder);
            Err(OpenError::Leased { address: store.address(part), holder: holder.map(Box::new) })
        }
        Err(error) => Err(OpenError::store(error)),
    }
}

impl Journal {
    /// Opens the journal in a remote store, creates it if it is missing, and writes the first line of a new run.
    ///
    /// `dir` is the state folder of this machine. It is locked too: a second process on this machine is refused
    /// without a request, and the lease of a dead one is taken over at once.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::open`]; also if another machine holds the lease, the store cannot be reached, or there is
    /// a second journal in `dir`.
    pub async fn open_remote(
        store: Arc<dyn RemoteStore>,
        dir: &Path,
        command: &str,
        key: &EnvironmentKey,
        landfall_version: &str,
        options: RemoteOptions,
    ) -> Result<Journal, OpenError> {
        if options.is_alone { Self::secure_alone(dir) } else { Self::secure(dir) }?;
        let lock = lock::Lock::take(dir, command)?;
        let local = dir.join(JOURNAL);
        if local.exists() && transfer::moved_to(dir).is_none() {
            return Err(OpenError::TwoJournals { local, remote: store.address(1) });
        }
        let Acquired { lease, located, ids } = acquire(&*store, dir, &options.lease_id).await?;
        let address = store.address(located.part);
        let usable = usable(&address, &located.content, key);
        let loaded = match usable {
            Ok(loaded) => loaded,
            Err(error) => {
                let refused = released(&*store, located.part, &options.lease_id, error).await;
                ids.forget();
                return Err(refused);
            }
        };
        let end = End { part: located.part, bytes: located.content.bytes.len() as u64 };
        let last = loaded.as_ref().map_or_else(first, LoadedJournal::last);
        let journal_state = loaded.map(|loaded| loaded.journal_state).unwrap_or_default();
        let session = Session::start(store, lease, end, options.appends_max, ids);
        let holder = Holder { user: options.user, run: options.run, ..lock.holder() };
        let header = Line::now(Entry::Opened {
            format: FORMAT,
            command: command.into(),
            environment: key.clone(),
            landfall: landfall_version.into(),
            holder: Some(Box::new(holder)),
        });
        let open = Open { sink: Sink::Remote(Arc::new(session)), last, journal_state, broken: None };
        let path = PathBuf::from(address);
        let journal = Journal { path, key: key.clone(), open: Mutex::new(open), _lock: lock };
        let opened = match journal.write(header, Box::new(|| {})) {
            Ok(()) => journal.flushed().await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.close().await;
                let refused =
                    error.source.get_ref().and_then(|inner| inner.downcast_ref::<Arc<StoreError>>());
                Err(match refused {
                    Some(refused) => OpenError::store((**refused).clone()),
                    None => {
                        OpenError::io(&error.path)(std::io::Error::new(error.source.kind(), error.source))
                    }
                })
            }
        }
    }

    /// Ends the lease of a journal in a remote store after a period, in which its holder can end its run; `None` if
    /// no process holds it.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be reached, or refuses.
    pub async fn unlock(store: &dyn RemoteStore, period: Duration) -> Result<Option<Unlocked>, OpenError> {
        let Some(Located { part, content }) = locate(store).await? else { return Ok(None) };
        if !content.leased {
            return Ok(None);
        }
        let holder = parse(&store.address(part), &content).ok().flatten().and_then(|loaded| loaded.holder);
        match store.break_lease(part, period).await {
            Ok(free_in) => Ok(Some(Unlocked { holder, free_in })),
            Err(error) if error.kind == StoreErrorKind::NoLease => Ok(None),
            Err(error) => Err(OpenError::store(error)),
        }
    }

    /// Reads the journal in a remote store, without its lease, even during a run; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::open_remote`], except for the lease and the environment.
    pub async fn read_remote(store: &dyn RemoteStore) -> Result<Option<RemoteContent>, OpenError> {
        read(store).await
    }
}

/// Returns the end of a journal without lines.
fn first() -> crate::journal::length_record::Last {
    crate::journal::length_record::Last { bytes: 0, chain: Chain::after_plain(&[], 0) }
}

/// Parses a journal, and refuses one that was moved or belongs to another environment.
fn usable(
    address: &str,
    content: &PartContent,
    key: &EnvironmentKey,
) -> Result<Option<LoadedJournal>, OpenError> {
    if let Some(to) = &content.moved_to {
        return Err(OpenError::Moved { from: address.to_owned(), to: to.clone() });
    }
    let loaded = parse(address, content)?;
    if let Some(loaded) = &loaded {
        loaded.check_environment(key)?;
    }
    Ok(loaded)
}
