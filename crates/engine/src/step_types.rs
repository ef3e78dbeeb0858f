//! The plain types of a step: results of its methods, its description, and the outcome of a run.

use crate::error::StepError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// The result of a check. An existing resource is not always healthy, so a check distinguishes these.
#[derive(Debug, Clone, PartialEq)]
pub enum Check<T> {
    /// The resource exists and is in sync; this is its output.
    InSync(T),
    /// The resource does not exist.
    Missing,
    /// A part of the resource exists, the rest does not. It is created as a missing one is.
    Partial {
        /// The changes of the existing part.
        changes: Vec<Change>,
    },
    /// The resource exists, is usable and has drifted; it can be updated in place.
    Drifted {
        /// The required changes.
        changes: Vec<Change>,
    },
    /// The cloud is already creating or changing it: attach and wait.
    InProgress,
    /// The resource exists and failed: repair it by a repeated PUT, or recreate it if it is owned.
    Failed {
        /// The reason that the cloud reports.
        why: String,
    },
    /// A foreign resource has the name: refuse.
    NotOwned {
        /// The evidence.
        why: String,
    },
    /// The change would be refused, whatever the result of the preceding steps: nothing is written.
    Refused {
        /// The refusal, with a hint.
        error: StepError,
    },
}

/// One field that has drifted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The path of the field, such as `nodes_max`.
    pub field: String,
    /// The actual value; null if it is absent.
    pub is: Value,
    /// The desired value; null if the field should be removed.
    pub wanted: Value,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.field, self.is, self.wanted)
    }
}

/// A field of an owned resource that keeps another value than the one that was requested: the answer to the write
/// showed it, because a policy of another party changed the request. It is no drift until one of the two values
/// changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// The field, its value, and the requested one.
    pub change: Change,
    /// The likely cause, as a clause for display.
    pub cause: String,
}

/// The outcome of undoing an owned resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum UndoOutcome {
    /// It existed and was deleted.
    Deleted,
    /// It was gone before the undo.
    #[serde(rename = "already-gone")]
    AlreadyDeleted,
    /// It is deleted together with its parent. Recorded only after the parent's deletion.
    #[serde(rename = "goes-with-parent")]
    DeletedWithParent,
    /// Its deletion has started and continues after this run; the next run completes it. Until then it stays
    /// owned, and its dependencies wait. Never recorded: the journal has the ticket.
    #[serde(rename = "underway")]
    InProgress,
    /// It stays, and stays owned.
    Kept {
        /// The reason.
        why: String,
    },
}

impl UndoOutcome {
    /// Returns whether nothing is left of it.
    pub fn is_deleted(&self) -> bool {
        !matches!(self, UndoOutcome::Kept { .. } | UndoOutcome::InProgress)
    }
}

/// The action that a step is about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepAction {
    /// Check the existing state.
    Check,
    /// Create or update it.
    Apply,
    /// Delete it.
    Undo,
}

/// The way in which a step got its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It existed.
    Found,
    /// This run created it, or completed the creation that an earlier run started.
    Created,
    /// It existed and was updated to the desired state.
    Changed,
}

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step succeeded.
    Ready,
    /// A step failed.
    Failed,
    /// The run was stopped before its end.
    Interrupted,
}

/// The description of a step for displays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// The kebab-case id.
    pub id: &'static str,
    /// The step's title.
    pub title: String,
    /// The steps it waits for.
    pub after: Vec<&'static str>,
    /// The typical duration, in cloud time.
    pub typical_duration: Duration,
    /// The deadline, in cloud time.
    pub deadline: Duration,
    /// False if a setting switches the step off; see [`Graph::add_optional`](crate::Graph::add_optional).
    pub enabled: bool,
}
