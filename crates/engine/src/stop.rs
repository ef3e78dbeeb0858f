//! Stop requests: graceful first, then immediate.

use std::sync::Arc;
use tokio::sync::watch;

/// The urgency of a stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// No stop requested.
    #[default]
    Go,
    /// The first Ctrl-C: no new steps, requests in flight complete, waits are interrupted.
    Gently,
    /// The second Ctrl-C: immediate end.
    Now,
}

/// A stop request, shared by senders and receivers. Its level only rises.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<watch::Sender<Level>>);

impl Stop {
    /// Returns one without a stop request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests a graceful stop, without new steps and with interrupted waits: the first Ctrl-C.
    pub fn gently(&self) {
        self.raise(Level::Gently);
    }

    /// Requests an immediate stop: the second Ctrl-C.
    pub fn now(&self) {
        self.raise(Level::Now);
    }

    /// Returns the requested level.
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Waits until at least `level` is requested. Cancel-safe.
    pub async fn asked(&self, level: Level) {
        let mut watched = self.0.subscribe();
        // The sender is a field of self, so the channel cannot close during the call.
        watched.wait_for(|asked| *asked >= level).await.expect("self owns the sender");
    }

    fn raise(&self, level: Level) {
        self.0.send_if_modified(|asked| {
            let rises = *asked < level;
            *asked = level.max(*asked);
            rises
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_only_rises() {
        let stop = Stop::new();
        assert_eq!(stop.level(), Level::Go);
        stop.now();
        stop.gently();
        assert_eq!(stop.level(), Level::Now);
        stop.asked(Level::Gently).await;
    }
}
