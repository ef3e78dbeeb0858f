//! The journal in a remote store, which several machines share.
//!
//! One process at a time holds the lease of the store. Every append names that lease and its position, so a process
//! that was paused or replaced writes nothing. `lease` renews it, `writer` appends the lines, `rollover` begins the
//! next part, `accept` takes a damaged journal over, `lease_ids` lets a machine take its own dead process's lease at
//! once, `log` is the same for lines of another format, and `transfer` moves a journal.

mod accept;
mod lease;
mod lease_ids;
mod log;
mod open;
mod rollover;
mod store;
mod transfer;
mod writer;

pub use log::RemoteLog;
pub(in crate::journal) use open::{Located, locate};
pub use open::{RemoteContent, RemoteOptions, Unlocked};
pub use store::{LEASE, PartContent, RemoteStore, StoreError, StoreErrorKind, StoreResult};
pub use transfer::{Moved, moved_to};

use lease::{Lease, LeaseState};
use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};
use writer::{End, Progress, Queued, Then, Writer};

/// The longest time for the last lines and the release of the lease at the end of a run.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(20);

/// The connection of an open journal to its store. Dropping it ends its tasks, as the death of the process does.
#[derive(Debug)]
pub(super) struct Session {
    store: Arc<dyn RemoteStore>,
    lease: Arc<Lease>,
    /// The channel to the writer, and the number of lines that went into it.
    lines: Mutex<(mpsc::UnboundedSender<Queued>, u64)>,
    progress: watch::Receiver<Progress>,
    /// The tasks, which end with this.
    _tasks: JoinSet<()>,
    ids: lease_ids::LeaseIds,
    /// The end of the lease before [`Session::close`] released it; unset while the session is open.
    end_at_close: OnceLock<Option<LeaseEnd>>,
}

/// The end of a lease in the middle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseEnd {
    /// A person has ended it; the journal could still be closed.
    Ended,
    /// It is lost.
    Lost,
}

impl Session {
    /// Starts the tasks for an acquired lease.
    fn start(
        store: Arc<dyn RemoteStore>,
        lease: Lease,
        end: End,
        appends_max: u32,
        ids: lease_ids::LeaseIds,
    ) -> Self {
        let lease = Arc::new(lease);
        let (lines, queued) = mpsc::unbounded_channel();
        let (sender, progress) = watch::channel(Progress::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(lease::keep(lease.clone(), store.clone()));
        let writer = Writer { store: store.clone(), lease: lease.clone(), end, appends_max };
        tasks.spawn(writer.run(queued, sender));
        let (lines, end_at_close) = (Mutex::new((lines, 0)), OnceLock::new());
        Self { store, lease, lines, progress, _tasks: tasks, ids, end_at_close }
    }

    /// Queues a line; `then` is called when it is durable.
    ///
    /// # Errors
    ///
    /// The error that ended the writer.
    pub(super) fn write(&self, bytes: Vec<u8>, then: Then) -> io::Result<()> {
        if let Some(failed) = self.failed() {
            return Err(io::Error::other(failed));
        }
        let mut lines = self.lines.lock().expect("nothing panics while it is held");
        // A writer that ended in the meantime has left its error.
        if lines.0.send(Queued { bytes, then }).is_ok() {
            lines.1 += 1;
        }
        drop(lines);
        self.failed().map_or(Ok(()), |failed| Err(io::Error::other(failed)))
    }

    /// Waits until every queued line is durable.
    ///
    /// # Errors
    ///
    /// The error that ended the writer.
    pub(super) async fn flushed(&self) -> io::Result<()> {
        let wanted = self.lines.lock().expect("nothing panics while it is held").1;
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|now| now.durable >= wanted || now.failed.is_some()).await;
        match reached.ok().and_then(|now| now.failed.clone()) {
            Some(failed) => Err(io::Error::other(failed)),
            None => Ok(()),
        }
    }

    /// Waits until every queued line is durable and the lease is certainly held.
    ///
    /// # Errors
    ///
    /// The error that ended the writer, or one that says that the lease ended.
    pub(super) async fn permit(&self) -> io::Result<()> {
        self.flushed().await?;
        if self.lease.is_current() || self.lease.wait_current().await {
            return Ok(());
        }
        let address = self.store.address(self.lease.part());
        let message = format!("renew the lease of {address}");
        Err(io::Error::other(Arc::new(StoreError::new(StoreErrorKind::LeaseLost, message))))
    }

    /// Waits until the lease ends before this process releases it.
    pub(super) async fn lease_ended(&self) {
        self.lease.ended().await;
    }

    /// Returns the end of the lease; `None` while it is held.
    pub(super) fn lease_end(&self) -> Option<LeaseEnd> {
        if let Some(end) = self.end_at_close.get() {
            return *end;
        }
        match self.lease.state() {
            LeaseState::Held => None,
            LeaseState::Ending => Some(LeaseEnd::Ended),
            LeaseState::Lost => Some(LeaseEnd::Lost),
        }
    }

    /// Replaces the summary in the store, after the queued lines; returns whether it is there.
    pub(super) async fn set_summary(&self, text: &str) -> bool {
        let written = async {
            self.end_at_close.get().is_none()
                && self.flushed().await.is_ok()
                && self.lease.state() != LeaseState::Lost
                && self.store.set_summary(self.lease.part(), &self.lease.id, text).await.is_ok()
        };
        timeout(CLOSE_TIMEOUT, written).await.unwrap_or(false)
    }

    /// Writes the queued lines and releases the lease. A second call does nothing.
    pub(super) async fn close(&self) {
        let closed = async {
            let flushed = self.flushed().await;
            if flushed.is_err() || self.lease.state() == LeaseState::Lost {
                return;
            }
            if self.end_at_close.set(self.lease_end()).is_err() {
                return;
            }
            if self.store.release(self.lease.part(), &self.lease.id).await.is_ok() {
                self.ids.forget();
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, closed).await;
    }

    /// Returns the holder that the store names now.
    pub(super) async fn holder(&self) -> Option<super::Holder> {
        open::read(&*self.store).await.ok().flatten()?.holder
    }

    fn failed(&self) -> Option<Arc<StoreError>> {
        self.progress.borrow().failed.clone()
    }
}

/// Returns whether an error of the journal says that its lease is lost.
pub(super) fn is_lease_lost(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Arc<StoreError>>());
    inner.is_some_and(|error| error.is_fenced() || error.kind == StoreErrorKind::LeaseHeld)
}
