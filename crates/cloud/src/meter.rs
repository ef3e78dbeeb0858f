//! Counts what goes out on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts every request sent, retries included; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Starts at nothing sent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one request.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many requests were sent so far.
    pub fn requests(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
