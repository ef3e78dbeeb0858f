//! The thread that syncs the lines of a journal in the state folder.
//!
//! The disk needs milliseconds for a sync. While it works, further lines are written, and the next sync covers all of
//! them. What must not happen before a line is on disk waits for [`BackgroundSync::flushed`].

use super::length_record::{Last, Length};
use std::{
    fs::File,
    io, mem,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
};
use tokio::sync::watch;

/// A call for a line that is on disk.
type Then = Box<dyn FnOnce() + Send>;

/// A file that could not be synced, and the cause.
pub(super) type SyncError = (PathBuf, Arc<io::Error>);

/// The thread, and what it has to do.
#[derive(Debug)]
pub(super) struct BackgroundSync {
    shared: Arc<Shared>,
    durable: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The end of the journal, if it is not on disk yet.
    last: Option<Last>,
    /// The calls for those lines, in their order.
    then: Vec<Then>,
    error: Option<SyncError>,
    /// True if the thread ends when the queue is empty.
    closing: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("last", &self.last).field("error", &self.error).finish_non_exhaustive()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change of the queue is complete.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackgroundSync {
    /// Starts the thread for a journal whose lines up to `last` are on disk.
    ///
    /// # Errors
    ///
    /// The system grants no thread, or no further handle of the file.
    pub(super) fn start(path: PathBuf, file: &File, length: Length, last: Last) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new() });
        let (progress, durable) = watch::channel(last.chain.seq);
        let mut worker =
            Worker { shared: shared.clone(), path, file: file.try_clone()?, length, last, progress };
        let thread = Builder::new().name("journal".to_owned()).spawn(move || worker.run())?;
        Ok(Self { shared, durable, thread: Some(thread) })
    }

    /// Adds a written line.
    ///
    /// # Errors
    ///
    /// An earlier line could not be synced.
    pub(super) fn push(&self, last: Last, then: Then) -> Result<(), SyncError> {
        let mut queue = self.shared.queue();
        if let Some(error) = &queue.error {
            return Err(error.clone());
        }
        queue.last = Some(last);
        queue.then.push(then);
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Returns a wait until the journal is on disk up to `last`.
    pub(super) fn flushed(&self, last: Last) -> impl Future<Output = Result<(), SyncError>> + use<> {
        let (shared, mut durable) = (self.shared.clone(), self.durable.clone());
        async move {
            // The thread ends early only after an error, which is set before.
            let reached = durable.wait_for(|seq| *seq >= last.chain.seq).await.is_ok();
            match shared.queue().error.clone() {
                Some(error) if !reached => Err(error),
                _ => Ok(()),
            }
        }
    }
}

impl Drop for BackgroundSync {
    /// Waits until every line is on disk: whoever takes the lock next reads the length.
    fn drop(&mut self) {
        self.shared.queue().closing = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The state of the thread.
struct Worker {
    shared: Arc<Shared>,
    path: PathBuf,
    file: File,
    length: Length,
    /// The end of the journal on disk.
    last: Last,
    progress: watch::Sender<u64>,
}

impl Worker {
    fn run(&mut self) {
        while let Some((last, then)) = self.next() {
            if let Err(error) = self.sync(last, then) {
                self.shared.queue().error = Some(error);
                return;
            }
        }
    }

    /// Waits for lines; `None` if there will be none.
    fn next(&self) -> Option<(Last, Vec<Then>)> {
        let is_idle = |queue: &mut Queue| queue.last.is_none() && !queue.closing;
        let queue = self.shared.filled.wait_while(self.shared.queue(), is_idle);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        Some((queue.last.take()?, mem::take(&mut queue.then)))
    }

    fn sync(&mut self, last: Last, then: Vec<Then>) -> Result<(), SyncError> {
        if let Err(error) = self.file.sync_data() {
            // Nothing acted on these lines. What fails here stays behind the length on disk.
            super::file::cut(&mut self.file, self.last.bytes);
            return Err((self.path.clone(), Arc::new(error)));
        }
        self.last = last;
        self.progress.send_replace(last.chain.seq);
        then.into_iter().for_each(|then| then());
        // The length may lag behind the journal, and never leads.
        self.length.write(last).map_err(|error| (self.length.path().to_owned(), Arc::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{length_record::KnownLength, seal::Chain};
    use std::io::Write;

    fn last(bytes: u64) -> Last {
        Last { bytes, chain: Chain { seq: bytes, ..Chain::after_plain(&[], 0) } }
    }

    fn started(folder: &tempfile::TempDir, file: &File) -> BackgroundSync {
        let length = Length::open(folder.path(), last(0)).unwrap();
        BackgroundSync::start(folder.path().join("journal.jsonl"), file, length, last(0)).unwrap()
    }

    #[tokio::test]
    async fn lines_are_called_in_order_and_the_length_is_on_disk_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create(folder.path().join("journal.jsonl")).unwrap();
        let sync = started(&folder, &file);
        let called = Arc::new(Mutex::new(Vec::new()));
        for line in 1..=100 {
            file.write_all(b"x").unwrap();
            let calls = called.clone();
            sync.push(last(line), Box::new(move || calls.lock().unwrap().push(line))).unwrap();
        }
        sync.flushed(last(100)).await.unwrap();
        drop(sync);
        assert_eq!(*called.lock().unwrap(), (1..=100).collect::<Vec<_>>());
        assert_eq!(KnownLength::read(folder.path(), true).unwrap(), KnownLength::AtLeast(last(100)));
    }

    #[tokio::test]
    async fn a_failed_sync_fails_the_wait_and_every_later_line() {
        let folder = tempfile::tempdir().unwrap();
        // A pipe cannot be synced.
        let (_reader, writer) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let sync = started(&folder, &file);
        let called = Arc::new(Mutex::new(0));
        let calls = called.clone();
        sync.push(last(1), Box::new(move || *calls.lock().unwrap() += 1)).unwrap();
        let (path, _) = sync.flushed(last(1)).await.unwrap_err();
        assert_eq!(path, folder.path().join("journal.jsonl"));
        assert!(sync.push(last(2), Box::new(|| {})).is_err());
        assert_eq!(*called.lock().unwrap(), 0);
    }
}
