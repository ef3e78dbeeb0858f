//! What a step's window looks back on: the journal of a run, or a memory that nobody may add to.

use crate::{
    error::{Kind, StepError},
    journal::{Entry, Journal, Memory, Past},
};
use std::sync::Arc;

/// Where a step's past is.
#[derive(Clone)]
pub(crate) enum Remembered {
    /// In the journal of the run, which what happens is added to.
    Journal(Arc<Journal>),
    /// In a memory that is only read, by a walk that only looks.
    Only(Arc<Memory>),
}

impl Remembered {
    /// Returns what is remembered of a step; nothing at all when it was never begun.
    pub(crate) fn past(&self, step: &str) -> Past {
        match self {
            Self::Journal(journal) => journal.past(step),
            Self::Only(memory) => memory.past(step).cloned().unwrap_or_default(),
        }
    }

    /// Tells whether nothing may be added.
    pub(crate) fn is_only_read(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    /// Adds an entry; it is on disk when this returns.
    pub(crate) fn append(&self, entry: Entry) -> Result<(), StepError> {
        match self {
            Self::Journal(journal) => journal
                .append(entry)
                .map_err(|error| StepError::new(Kind::Failed, "keep the journal").caused_by(&error)),
            Self::Only(_) => Err(StepError::new(Kind::Bug, "look without writing anything")),
        }
    }
}
