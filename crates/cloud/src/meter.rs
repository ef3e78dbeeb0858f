//! Counting what goes over the wire.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts the requests of one run: retries, polls, token requests and Kubernetes calls included.
///
/// Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Returns a meter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one request; called by every transport right before it sends.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many requests were sent so far.
    pub fn requests(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_count_together() {
        let meter = Meter::new();
        meter.clone().count();
        meter.count();
        assert_eq!(meter.requests(), 2);
    }
}
