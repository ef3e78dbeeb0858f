//! Responses that several readers share at the beginning of a run, when preflight and the steps read the same
//! resources, and two steps the same list of objects.

use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

/// The maximum age of a shared response, from the start of its request. A reader would see about the same state if
/// its own request were a little earlier.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The recent responses by request. Clones share them.
#[derive(Clone)]
pub(crate) struct RecentReads<T = Value> {
    responses: Arc<Mutex<HashMap<String, Slot<T>>>>,
    /// The number of writes of this process so far. Each one makes all earlier responses outdated.
    writes: Arc<AtomicU64>,
}

/// The last response to a request; locked while a reader waits for it.
type Slot<T> = Arc<Mutex<Option<Response<T>>>>;

struct Response<T> {
    requested: Instant,
    writes: u64,
    value: T,
}

impl<T> Default for RecentReads<T> {
    fn default() -> Self {
        Self { responses: Arc::default(), writes: Arc::default() }
    }
}

impl<T: Clone> RecentReads<T> {
    /// Makes all responses outdated; called before and after each write, whatever its result.
    pub(crate) fn record_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the response to a request that was sent at most a second ago, with no write since then; otherwise
    /// sends it. Concurrent readers share one request. An error is not shared.
    pub(crate) async fn read<E>(
        &self,
        request: String,
        send: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let slot = Arc::clone(self.responses.lock().await.entry(request).or_default());
        let mut response = slot.lock().await;
        let (requested, writes) = (Instant::now(), self.writes.load(Ordering::SeqCst));
        if let Some(recent) = response.as_ref()
            && recent.writes == writes
            && requested.duration_since(recent.requested) <= AGE_MAX
        {
            return Ok(recent.value.clone());
        }
        let value = send.await?;
        *response = Some(Response { requested, writes, value: value.clone() });
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::convert::Infallible;

    struct Source(AtomicU64);

    impl Source {
        async fn send(&self) -> Result<Value, Infallible> {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(json!(self.0.fetch_add(1, Ordering::Relaxed)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_share_a_response_until_it_is_old_or_something_was_written() {
        let (reads, source) = (RecentReads::default(), Source(AtomicU64::new(0)));
        let read = async || reads.read("/x".to_owned(), source.send()).await.unwrap();
        assert_eq!(tokio::join!(read(), read()), (json!(0), json!(0)));
        assert_eq!(read().await, json!(0));
        reads.record_write();
        assert_eq!(read().await, json!(1));
        tokio::time::sleep(AGE_MAX).await;
        assert_eq!(read().await, json!(2));
        assert_eq!(reads.read("/y".to_owned(), source.send()).await.unwrap(), json!(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_to_a_request_before_a_write_is_not_shared_after_it() {
        let (reads, source) = (RecentReads::default(), Source(AtomicU64::new(0)));
        let first = reads.read("/x".to_owned(), source.send());
        let write = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            reads.record_write();
            reads.read("/x".to_owned(), source.send()).await
        };
        let (first, second) = tokio::join!(first, write);
        assert_eq!((first.unwrap(), second.unwrap()), (json!(0), json!(1)));
    }
}
