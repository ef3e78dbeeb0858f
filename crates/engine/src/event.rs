//! Events of a run: the one stream that every display consumes.

use crate::{
    error::StepError,
    step_types::{How, Outcome, StepInfo, UndoOutcome},
};
use std::time::{Duration, SystemTime};

/// An event.
#[derive(Debug, Clone)]
pub struct Event {
    /// The time, by the system clock of this machine.
    pub at: SystemTime,
    /// The kind of the event, with its data.
    pub what: EventKind,
}

/// The kind of an event.
///
/// `Started`, `Finished`, `Failed`, `Undone` and `Closed` are *recorded*: their journal entry is on disk
/// before they are sent, and a display must not drop them. A display may drop any `Note` or `Retrying`.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// The run starts; contains the steps in order, with their edges.
    Opened {
        /// The name of the environment.
        environment: String,
        /// Every step of the graph, dependencies first.
        steps: Vec<StepInfo>,
    },
    /// The step is scheduled and checks the actual state.
    Checking {
        /// The step.
        step: &'static str,
    },
    /// The step is about to change something.
    Started {
        /// The step.
        step: &'static str,
        /// The step's title.
        title: String,
        /// True if nothing exists yet, so that the created resource is owned.
        creating: bool,
        /// The number of this attempt, over all runs; the first is 1.
        attempt: u32,
    },
    /// The state of a running step, at least once a second during a wait.
    Note {
        /// The step.
        step: &'static str,
        /// The text.
        text: String,
        /// The progress of the wait.
        progress: Option<Progress>,
    },
    /// A request failed transiently and will be retried.
    Retrying {
        /// The step.
        step: &'static str,
        /// The reason, as the service's error code if there is one.
        because: String,
        /// The delay before the next attempt, in real time.
        wait: Duration,
    },
    /// The step has its output.
    Finished {
        /// The step.
        step: &'static str,
        /// The result: found, created or changed.
        how: How,
        /// Real time since the step was scheduled.
        elapsed: Duration,
    },
    /// The step failed.
    Failed {
        /// The step.
        step: &'static str,
        /// The error.
        error: StepError,
        /// Real time since the step was scheduled.
        elapsed: Duration,
    },
    /// The step will not run; sent once.
    Blocked {
        /// The step.
        step: &'static str,
        /// The failed dependency, direct or indirect.
        by: String,
    },
    /// The run was stopped during this step; its ticket is kept.
    Interrupted {
        /// The step.
        step: &'static str,
    },
    /// The undo of a step has ended.
    Undone {
        /// The step.
        step: &'static str,
        /// The step's title.
        title: String,
        /// The result of the undo.
        undone: UndoOutcome,
    },
    /// The run has ended.
    Closed {
        /// Its outcome.
        outcome: Outcome,
    },
}

/// The progress of a wait, in cloud time (real time at infinite pace).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The time since the awaited operation began, as far as is known.
    pub so_far: Duration,
    /// The typical duration.
    pub typical_duration: Duration,
}
