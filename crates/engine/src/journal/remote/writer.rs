//! The task that writes the lines of a journal to its store.
//!
//! Lines that arrive while an append is under way go out together in the next one, at one position. The position
//! shows whether an append whose answer was lost took effect.

use super::{
    lease::{Lease, LeaseState},
    rollover,
    store::{RemoteStore, StoreError, StoreErrorKind},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

/// The largest append in bytes; a store allows 4 MiB.
pub(super) const APPEND_BYTES_MAX: usize = 4 * 1024 * 1024 - 64 * 1024;
/// The first pause after an append without a conclusive answer.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// The longest pause between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The longest time for which one append is repeated.
const RETRY_TIMEOUT: Duration = Duration::from_secs(300);

/// The action after a line is durable.
pub(super) type Then = Box<dyn FnOnce() + Send>;

/// One line on its way.
pub(super) struct Queued {
    pub(super) bytes: Vec<u8>,
    pub(super) then: Then,
}

/// The progress of the writer.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The number of durable lines, since the writer started.
    pub(super) durable: u64,
    /// The error that ended the writer.
    pub(super) failed: Option<Arc<StoreError>>,
}

/// The end of the journal in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The last part.
    pub(super) part: u32,
    /// The length of that part in bytes.
    pub(super) bytes: u64,
}

/// The writer of one journal.
pub(super) struct Writer {
    pub(super) store: Arc<dyn RemoteStore>,
    pub(super) lease: Arc<Lease>,
    pub(super) end: End,
    /// The number of appends to a part after which the next part begins.
    pub(super) appends_max: u32,
}

impl Writer {
    /// Writes lines in their order until the channel closes or an append fails.
    pub(super) async fn run(
        mut self,
        mut lines: mpsc::UnboundedReceiver<Queued>,
        progress: watch::Sender<Progress>,
    ) {
        while let Some(first) = lines.recv().await {
            let (mut bytes, mut after) = (first.bytes, vec![first.then]);
            while bytes.len() < APPEND_BYTES_MAX / 2
                && let Ok(next) = lines.try_recv()
            {
                bytes.extend_from_slice(&next.bytes);
                after.push(next.then);
            }
            if let Err(error) = self.append(bytes).await {
                if error.is_fenced() {
                    self.lease.lose();
                }
                progress.send_modify(|progress| progress.failed = Some(Arc::new(error)));
                return;
            }
            let written = after.len() as u64;
            after.into_iter().for_each(|then| then());
            progress.send_modify(|progress| progress.durable += written);
        }
    }

    /// Appends bytes, and begins the next part if this one is nearly full.
    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let appends = match self.append_to_part(&bytes).await {
            Err(error) if error.kind == StoreErrorKind::Full => {
                self.end = rollover::begin_next_part(&self.store, &self.lease, self.end).await?;
                self.append_to_part(&bytes).await?
            }
            appended => appended?,
        };
        if appends >= self.appends_max {
            self.end = rollover::begin_next_part(&self.store, &self.lease, self.end).await?;
        }
        Ok(())
    }

    async fn append_to_part(&mut self, bytes: &[u8]) -> Result<u32, StoreError> {
        let appends = append_at(&*self.store, &self.lease, self.end, bytes).await?;
        self.end.bytes += bytes.len() as u64;
        Ok(appends)
    }
}

/// Appends bytes at the end of a part, exactly once; returns the number of appends, as far as it is known.
pub(super) async fn append_at(
    store: &dyn RemoteStore,
    lease: &Lease,
    end: End,
    bytes: &[u8],
) -> Result<u32, StoreError> {
    let (began, mut pause) = (Instant::now(), RETRY_FIRST);
    let mut renewed_after_loss = false;
    loop {
        let error = match store.append(end.part, end.bytes, &lease.id, bytes.to_vec()).await {
            Ok(appends) => return Ok(appends),
            Err(error) => error,
        };
        match error.kind {
            StoreErrorKind::WrongPosition => return confirm(store, end, bytes).await,
            // An expired lease that no other process took can be renewed; then no other process has written since.
            StoreErrorKind::LeaseLost if !renewed_after_loss && lease.state() == LeaseState::Held => {
                renewed_after_loss = true;
                if !lease.renew_once(store).await {
                    return Err(error);
                }
            }
            _ if error.is_transient() && began.elapsed() < RETRY_TIMEOUT => {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            _ => return Err(error),
        }
    }
}

/// Decides after a wrong position whether an earlier attempt of this append took effect.
async fn confirm(store: &dyn RemoteStore, end: End, bytes: &[u8]) -> Result<u32, StoreError> {
    let found = read_again(store, end.part, end.bytes).await?;
    match found {
        Some(found) if found == bytes => Ok(0),
        _ => Err(StoreError::new(
            StoreErrorKind::Other,
            format!("append to {}: another program wrote to it without the lease", store.address(end.part)),
        )),
    }
}

/// Reads a part from a position, and repeats it after transient errors.
pub(super) async fn read_again(
    store: &dyn RemoteStore,
    part: u32,
    from: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (began, mut pause) = (Instant::now(), RETRY_FIRST);
    loop {
        match store.read(part, from).await {
            Ok(content) => return Ok(content.map(|content| content.bytes)),
            Err(error) if error.is_transient() && began.elapsed() < RETRY_TIMEOUT => {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            Err(error) => return Err(error),
        }
    }
}
