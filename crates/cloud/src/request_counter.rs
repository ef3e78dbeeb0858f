//! Counter of the requests on the wire.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts the requests of one run, including retries, polls, token requests and Kubernetes requests.
///
/// Clones share one count.
#[derive(Clone, Debug, Default)]
pub struct RequestCounter(Arc<AtomicU64>);

impl RequestCounter {
    /// Returns a counter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one request; every transport calls it right before it sends.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of requests sent so far.
    pub fn requests(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together() {
        let request_counter = RequestCounter::new();
        request_counter.clone().count();
        request_counter.count();
        assert_eq!(request_counter.requests(), 2);
    }
}
