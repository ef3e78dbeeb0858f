//! Following the changes of a store.

use bytes::Bytes;

use super::store::Store;
use crate::clock::Moment;

/// What one watch still has to tell.
#[derive(Debug)]
pub struct Watch {
    until: Moment,
}

impl Watch {
    /// Returns the chunks that are new since the last poll, and whether that was all.
    pub fn poll(&mut self, _store: &Store, now: Moment) -> (Vec<Bytes>, bool) {
        (Vec::new(), now >= self.until)
    }

    /// Returns when to poll again at the latest.
    pub fn deadline(&self) -> Moment {
        self.until
    }
}
