//! What a run tells while it goes: the one stream every display eats.

use crate::{error::StepError, graph::StepInfo, journal::How, run::Outcome, step::Undone};
use std::time::{Duration, SystemTime};

/// Something happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, by the wall clock of this machine.
    pub at: SystemTime,
    /// What.
    pub what: What,
}

/// What happened.
///
/// `Started`, `Finished`, `Failed`, `Undone` and `Closed` are *recorded*: their journal entry is on
/// disk before they are sent, and a display must not drop them. `Note` and `Retrying` may be
/// thinned out at will.
#[derive(Debug, Clone)]
pub enum What {
    /// The run begins; the steps in order, with their edges.
    Opened {
        /// The name of the environment.
        environment: String,
        /// Every step of the graph, sources before those who need them.
        steps: Vec<StepInfo>,
    },
    /// The step's turn has come and it looks at what is there.
    Looking {
        /// The step.
        step: &'static str,
    },
    /// The step is about to change something.
    Started {
        /// The step.
        step: &'static str,
        /// What the step is about, in words.
        title: String,
        /// Nothing was there, so what comes is ours.
        making: bool,
        /// Which attempt this is, over all runs; the first is 1.
        attempt: u32,
    },
    /// A sentence about a step at work, at least once a second while it waits.
    Note {
        /// The step.
        step: &'static str,
        /// The sentence.
        text: String,
        /// How far a wait has come.
        progress: Option<Progress>,
    },
    /// A request was refused for now and will be sent again.
    Retrying {
        /// The step.
        step: &'static str,
        /// Why, in the service's word where there is one.
        because: String,
        /// How long until the next try, in real time.
        wait: Duration,
    },
    /// The step has its output.
    Finished {
        /// The step.
        step: &'static str,
        /// Whether it was found, created or changed.
        how: How,
        /// Real time since its turn came.
        elapsed: Duration,
    },
    /// The step did not reach its end.
    Failed {
        /// The step.
        step: &'static str,
        /// Why.
        error: StepError,
        /// Real time since its turn came.
        elapsed: Duration,
    },
    /// The step will not be tried in this run; told once.
    Blocked {
        /// The step.
        step: &'static str,
        /// The failed step it waited for, directly or through others.
        by: String,
    },
    /// The step was under way when the run was asked to end; what it holds is kept.
    Interrupted {
        /// The step.
        step: &'static str,
    },
    /// What the step had made is dealt with.
    Undone {
        /// The step.
        step: &'static str,
        /// What the step is about, in words.
        title: String,
        /// What became of it.
        undone: Undone,
    },
    /// The run is over.
    Closed {
        /// How it ended.
        outcome: Outcome,
    },
}

/// How far a wait has come, in cloud time (real time at infinite pace).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since the awaited thing was begun, as far as is known.
    pub so_far: Duration,
    /// How long it usually takes.
    pub usual: Duration,
}
