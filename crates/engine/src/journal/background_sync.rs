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
        Self::start_with(path, file, length, last, File::sync_data)
    }

    fn start_with(
        path: PathBuf,
        file: &File,
        length: Length,
        last: Last,
        sync: fn(&File) -> io::Result<()>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), filled: Condvar::new() });
        let (progress, durable) = watch::channel(last.chain.seq);
        let mut worker =
            Worker { shared: shared.clone(), path, file: file.try_clone()?, length, last, progress, sync };
        let thread = Builder::new().name("journal".to_owned()).spawn(move || worker.run())?;
        Ok(Self { shared, durable, thread: Some(thread) })
    }

    /// Writes a line with this function, for the thread to sync.
    ///
    /// # Errors
    ///
    /// An earlier line could not be synced, and was removed: nothing may follow it. Or the error of the function.
    pub(super) fn write(
        &self,
        write: impl FnOnce() -> Result<(), SyncError>,
        last: Last,
        then: Then,
    ) -> Result<(), SyncError> {
        // The lock is held during the write, so that the thread removes nothing before the end of a line.
        let mut queue = self.shared.queue();
        if let Some(error) = &queue.error {
            return Err(error.clone());
        }
        write()?;
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
    /// Waits until every line is on disk: the next holder of the lock reads the length.
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
    sync: fn(&File) -> io::Result<()>,
}

impl Worker {
    fn run(&mut self) {
        while let Some((last, then)) = self.next() {
            if self.sync(last, then).is_none() {
                return;
            }
        }
        // Every line is on disk; only the check for a lost end would miss the last ones.
        let _ = self.length.sync();
    }

    /// Waits for lines; `None` if there will be none.
    fn next(&self) -> Option<(Last, Vec<Then>)> {
        let is_idle = |queue: &mut Queue| queue.last.is_none() && !queue.closing;
        let queue = self.shared.filled.wait_while(self.shared.queue(), is_idle);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        Some((queue.last.take()?, mem::take(&mut queue.then)))
    }

    /// Syncs the lines up to `last`; `None` after an error, which ends the journal.
    fn sync(&mut self, last: Last, then: Vec<Then>) -> Option<()> {
        if let Err(error) = (self.sync)(&self.file) {
            let mut queue = self.shared.queue();
            // Nothing has acted on the lines since the last sync, also those that were written meanwhile.
            super::file::cut(&mut self.file, self.last.bytes);
            queue.error = Some((self.path.clone(), Arc::new(error)));
            return None;
        }
        self.last = last;
        // A wait for a line ends after the events of the lines before it.
        then.into_iter().for_each(|then| then());
        self.progress.send_replace(last.chain.seq);
        // The length may lag behind the journal, and never leads. It is synced at the end.
        if let Err(error) = self.length.put(last) {
            self.shared.queue().error = Some((self.length.path().to_owned(), Arc::new(error)));
            return None;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{length_record::KnownLength, seal::Chain};
    use std::{
        fs,
        io::Write,
        path::Path,
        sync::atomic::{AtomicBool, Ordering},
    };

    fn last(bytes: u64) -> Last {
        Last { bytes, chain: Chain { seq: bytes, ..Chain::after_plain(&[], 0) } }
    }

    fn started(folder: &Path, sync: fn(&File) -> io::Result<()>) -> (BackgroundSync, File) {
        let path = folder.join("journal.jsonl");
        let file = File::create(&path).unwrap();
        let length = Length::open(folder, last(0)).unwrap();
        (BackgroundSync::start_with(path, &file, length, last(0), sync).unwrap(), file)
    }

    /// Writes the line with this number, one byte.
    fn write(sync: &BackgroundSync, mut file: &File, line: u64, then: Then) -> Result<(), SyncError> {
        let write = || {
            file.write_all(b"x").unwrap();
            Ok(())
        };
        sync.write(write, last(line), then)
    }

    #[tokio::test]
    async fn lines_are_called_in_order_and_the_length_is_on_disk_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (sync, file) = started(folder.path(), File::sync_data);
        let called = Arc::new(Mutex::new(Vec::new()));
        for line in 1..=100 {
            let calls = called.clone();
            write(&sync, &file, line, Box::new(move || calls.lock().unwrap().push(line))).unwrap();
        }
        sync.flushed(last(100)).await.unwrap();
        drop(sync);
        assert_eq!(*called.lock().unwrap(), (1..=100).collect::<Vec<_>>());
        assert_eq!(KnownLength::read(folder.path(), true).unwrap(), KnownLength::AtLeast(last(100)));
    }

    #[tokio::test]
    async fn after_a_failed_sync_the_file_ends_with_the_last_durable_line() {
        static IS_BROKEN: AtomicBool = AtomicBool::new(false);
        let folder = tempfile::tempdir().unwrap();
        let (sync, file) = started(folder.path(), |file| match IS_BROKEN.load(Ordering::SeqCst) {
            false => file.sync_data(),
            true => Err(io::Error::other("the disk is broken")),
        });
        write(&sync, &file, 1, Box::new(|| {})).unwrap();
        sync.flushed(last(1)).await.unwrap();
        IS_BROKEN.store(true, Ordering::SeqCst);
        let called = Arc::new(Mutex::new(0));
        let mut line = 2;
        // Lines are written while the sync fails, until the first one that is refused.
        let refused = loop {
            let calls = called.clone();
            match write(&sync, &file, line, Box::new(move || *calls.lock().unwrap() += 1)) {
                Ok(()) => line += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.0, folder.path().join("journal.jsonl"));
        let failed = sync.flushed(last(line)).await.unwrap_err();
        assert_eq!(failed.1.to_string(), "the disk is broken");
        drop(sync);
        assert_eq!(*called.lock().unwrap(), 0, "no line after the first was durable");
        assert_eq!(fs::read(folder.path().join("journal.jsonl")).unwrap(), b"x");
        assert_eq!(KnownLength::read(folder.path(), true).unwrap(), KnownLength::AtLeast(last(1)));
    }
}
