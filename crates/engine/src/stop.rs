//! How a run is asked to end: gently first, then at once.

use std::sync::Arc;
use tokio::sync::watch;

/// How urgently a run has been asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Nobody asked.
    #[default]
    Go,
    /// The first Ctrl-C: start nothing more, let requests in flight end, interrupt waits.
    Gently,
    /// The second Ctrl-C: end at once.
    Now,
}

/// The wish that a run end, shared by whoever wishes and whoever obeys. It only ever rises.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<watch::Sender<Level>>);

impl Stop {
    /// Returns a wish nobody has voiced yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks that nothing more be started and waits be given up: the first Ctrl-C.
    pub fn gently(&self) {
        self.raise(Level::Gently);
    }

    /// Asks that the run end at once: the second Ctrl-C.
    pub fn now(&self) {
        self.raise(Level::Now);
    }

    /// Returns what has been asked so far.
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Waits until at least `level` has been asked. Safe to drop and call again.
    pub async fn asked(&self, level: Level) {
        let mut watched = self.0.subscribe();
        // The sender lives in self, so the channel cannot close under us.
        watched.wait_for(|asked| *asked >= level).await.expect("the sender is held by self");
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
