//! The history of a step: the journal of a run, or a read-only state.

use crate::{
    error::{Kind, StepError},
    journal::{Entry, Journal, Memory, Past},
};
use std::sync::Arc;

/// The storage of a step's history.
#[derive(Clone)]
pub(crate) enum Remembered {
    /// The journal of the run, which new entries are appended to.
    Journal(Arc<Journal>),
    /// A read-only state, for runs that only check.
    Only(Arc<Memory>),
}

impl Remembered {
    /// Returns the recorded state of a step; the default if it never began.
    pub(crate) fn past(&self, step: &str) -> Past {
        match self {
            Self::Journal(journal) => journal.past(step),
            Self::Only(memory) => memory.past(step).cloned().unwrap_or_default(),
        }
    }

    /// Returns whether appending is forbidden.
    pub(crate) fn is_only_read(&self) -> bool {
        matches!(self, Self::Only(_))
    }

    /// Appends an entry; it is on disk when this returns.
    pub(crate) fn append(&self, entry: Entry) -> Result<(), StepError> {
        match self {
            Self::Journal(journal) => journal
                .append(entry)
                .map_err(|error| StepError::new(Kind::Failed, "write the journal").caused_by(&error)),
            Self::Only(_) => Err(StepError::new(Kind::Bug, "write to the journal in a read-only run")),
        }
    }
}
