//! A log in a remote store: lines of the caller's own format, with the lease and the fencing of a journal.

use super::{
    LeaseEnd, Session,
    open::{APPENDS_MAX, Acquired, acquire, locate},
    store::RemoteStore,
    writer::End,
};
use crate::journal::OpenError;
use std::{io, path::Path, sync::Arc};

/// A log that this process holds the lease of.
#[derive(Debug)]
pub struct RemoteLog(Session);

impl RemoteLog {
    /// Creates the log if it is missing, acquires its lease under a new UUID, and returns its content.
    ///
    /// `dir` is a folder of this machine that the caller has locked: the lease of a dead process that used it is taken
    /// over at once.
    ///
    /// # Errors
    ///
    /// [`OpenError::Leased`] without a holder if another process holds the lease; also if the store cannot be reached.
    pub async fn open(
        store: Arc<dyn RemoteStore>,
        dir: &Path,
        lease_id: &str,
    ) -> Result<(Self, Vec<u8>), OpenError> {
        let Acquired { lease, located, ids } = acquire(&*store, dir, lease_id).await?;
        let bytes = located.content.bytes;
        let end = End { part: located.part, bytes: bytes.len() as u64 };
        Ok((Self(Session::start(store, lease, end, APPENDS_MAX, ids)), bytes))
    }

    /// Reads a log without its lease; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be reached, or refuses.
    pub async fn read(store: &dyn RemoteStore) -> Result<Option<Vec<u8>>, OpenError> {
        Ok(locate(store).await?.map(|located| located.content.bytes))
    }

    /// Appends bytes, which are durable when this returns.
    ///
    /// # Errors
    ///
    /// The error that ended the writer. After it, nothing more can be appended.
    pub async fn append(&self, bytes: Vec<u8>) -> io::Result<()> {
        self.0.write(bytes, Box::new(|| {}))?;
        self.0.flushed().await
    }

    /// Waits until another process or a person takes the log over.
    pub async fn lease_ended(&self) {
        self.0.lease_ended().await;
    }

    /// Returns how the lease ended; `None` while it is held.
    pub fn lease_end(&self) -> Option<LeaseEnd> {
        self.0.lease_end()
    }

    /// Releases the lease. Without this call, others wait for its end.
    pub async fn close(&self) {
        self.0.close().await;
    }
}
