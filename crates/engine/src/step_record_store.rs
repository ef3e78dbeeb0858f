//! The history of a step: the journal of a run, or a read-only state.

use crate::{
    error::{Kind, StepError},
    journal::{Entry, Journal, JournalError, JournalState, StepState},
};
use std::sync::Arc;

/// The storage of a step's history.
#[derive(Clone)]
pub(crate) enum History {
    /// The journal of the run, which new entries are appended to.
    Journal(Arc<Journal>),
    /// A read-only state, for runs that only check.
    ReadOnly(Arc<JournalState>),
}

impl History {
    /// Returns the recorded state of a step; the default if it never began.
    pub(crate) fn step_state(&self, step: &str) -> StepState {
        match self {
            Self::Journal(journal) => journal.step_state(step),
            Self::ReadOnly(journal_state) => journal_state.step_state(step).cloned().unwrap_or_default(),
        }
    }

    /// Returns whether appending is forbidden.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::ReadOnly(_))
    }

    /// Waits until every entry so far is durable.
    pub(crate) async fn flushed(&self) -> Result<(), StepError> {
        match self {
            Self::Journal(journal) => journal.flushed().await.map_err(|error| not_written(&error)),
            Self::ReadOnly(_) => Ok(()),
        }
    }

    /// Appends an entry; see [`Journal::append`].
    pub(crate) fn append(&self, entry: Entry) -> Result<(), StepError> {
        match self {
            Self::Journal(journal) => journal.append(entry).map_err(|error| not_written(&error)),
            Self::ReadOnly(_) => Err(StepError::new(Kind::Bug, "write to the journal in a read-only run")),
        }
    }
}

fn not_written(error: &JournalError) -> StepError {
    StepError::new(Kind::Failed, "write the journal").caused_by(error)
}
