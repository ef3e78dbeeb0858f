//! Stop requests: graceful first, then immediate.

use std::sync::Arc;
use tokio::sync::watch;

/// The urgency of a stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StopLevel {
    /// No stop requested.
    #[default]
    NotRequested,
    /// The first Ctrl-C: no new steps, requests in flight complete, waits are interrupted.
    Graceful,
    /// The second Ctrl-C: immediate end.
    Now,
}

/// A stop request, shared by senders and receivers. Its level only rises.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<watch::Sender<StopLevel>>);

impl Stop {
    /// Returns one without a stop request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests a graceful stop, without new steps and with interrupted waits: the first Ctrl-C.
    pub fn graceful(&self) {
        self.raise(StopLevel::Graceful);
    }

    /// Requests an immediate stop: the second Ctrl-C.
    pub fn now(&self) {
        self.raise(StopLevel::Now);
    }

    /// Returns the requested level.
    pub fn level(&self) -> StopLevel {
        *self.0.borrow()
    }

    /// Waits until at least `level` is requested. Cancel-safe.
    pub async fn requested(&self, level: StopLevel) {
        let mut watched = self.0.subscribe();
        // The sender is a field of self, so the channel cannot close during the call.
        watched.wait_for(|requested| *requested >= level).await.expect("self owns the sender");
    }

    fn raise(&self, level: StopLevel) {
        self.0.send_if_modified(|requested| {
            let rises = *requested < level;
            *requested = level.max(*requested);
            rises
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stop_level_only_rises() {
        let stop = Stop::new();
        assert_eq!(stop.level(), StopLevel::NotRequested);
        stop.now();
        stop.graceful();
        assert_eq!(stop.level(), StopLevel::Now);
        stop.requested(StopLevel::Graceful).await;
    }
}
