//! The contract of a remote store: append-only parts, each with a lease that fences its writes.

use futures::future::BoxFuture;
use std::{error::Error, fmt, sync::Arc, time::Duration};

/// The result of one request to a store.
pub type StoreResult<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store for one journal, outside of this machine.
///
/// The journal is a sequence of parts, counted from 1. A part is sealed when the next one has everything that it
/// has. Each method is one request, which the store does not repeat: the caller knows whether a repetition is safe.
///
/// An append names the position at which it must land and the lease that permits it. The store checks the lease
/// first. So a writer that was paused, or replaced by another one, cannot change anything.
pub trait RemoteStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the address of a part, for messages.
    fn address(&self, part: u32) -> String;

    /// Reads a part from a position to its end; `None` if the part does not exist. Needs no lease.
    fn read(&self, part: u32, from: u64) -> StoreResult<'_, Option<PartContent>>;

    /// Creates an empty part. [`StoreErrorKind::Exists`] if there is one.
    fn create(&self, part: u32) -> StoreResult<'_, ()>;

    /// Empties an existing part, of which this process holds the lease.
    fn clear<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()>;

    /// Acquires the lease under an id of the caller, for [`LEASE`]. Another acquisition under the same id succeeds.
    fn acquire<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()>;

    /// Replaces the id of a held lease; requests with the old id are refused from then on.
    fn change<'a>(&'a self, part: u32, lease: &'a str, new: &'a str) -> StoreResult<'a, ()>;

    /// Renews a held lease for [`LEASE`].
    fn renew<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()>;

    /// Releases a held lease.
    fn release<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()>;

    /// Ends the lease of any holder after a period; returns the remaining time.
    fn break_lease(&self, part: u32, period: Duration) -> StoreResult<'_, Duration>;

    /// Appends bytes at a position, all or nothing; returns the number of appends so far.
    fn append<'a>(&'a self, part: u32, at: u64, lease: &'a str, bytes: Vec<u8>) -> StoreResult<'a, u32>;

    /// Forbids further appends.
    fn seal<'a>(&'a self, part: u32, lease: &'a str) -> StoreResult<'a, ()>;

    /// Marks the part as moved to another place, or removes that mark.
    fn mark_moved<'a>(&'a self, part: u32, lease: &'a str, to: Option<&'a str>) -> StoreResult<'a, ()>;

    /// Replaces the summary of the part: a short ASCII text that lists of the store show.
    fn set_summary<'a>(&'a self, part: u32, lease: &'a str, text: &'a str) -> StoreResult<'a, ()>;
}

/// The duration of a lease, in real time: the longest that a store grants.
pub const LEASE: Duration = Duration::from_secs(60);

/// The content of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartContent {
    /// The bytes from the requested position on.
    pub bytes: Vec<u8>,
    /// True if the part takes no more appends: the next part has all of it.
    pub sealed: bool,
    /// The place that the journal was moved to.
    pub moved_to: Option<String>,
    /// True if a process holds the lease.
    pub leased: bool,
}

/// The meaning of a store's refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The part does not exist.
    NotFound,
    /// The part exists already.
    Exists,
    /// Another process holds the lease.
    LeaseHeld,
    /// The lease is not this process's any more: it expired, was broken, or another process holds it.
    LeaseLost,
    /// A person has ended the lease, and it cannot be renewed. Until its period ends it still permits appends.
    LeaseBroken,
    /// There is no lease to break.
    NoLease,
    /// The part does not end at the position of the append.
    WrongPosition,
    /// The part takes no more appends.
    Sealed,
    /// The part has as many appends as the store allows.
    Full,
    /// The caller lacks a right.
    Forbidden,
    /// No conclusive answer arrived: the request may have taken effect.
    NoAnswer,
    /// The request had no effect, and a repetition may succeed.
    Unavailable,
    /// Anything else; a repetition does not help.
    Other,
}

/// A failed request to a store.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// The meaning.
    pub kind: StoreErrorKind,
    /// The message, for the user; fits after "failed to".
    pub message: String,
    /// The remedy, if the store knows one.
    pub hint: Option<String>,
    /// The cause.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// Creates an error without a cause.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, cause: None }
    }

    /// Returns whether another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::NoAnswer | StoreErrorKind::Unavailable)
    }

    /// Returns whether this process may not write any more.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(self.kind, StoreErrorKind::LeaseLost | StoreErrorKind::LeaseBroken)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}
