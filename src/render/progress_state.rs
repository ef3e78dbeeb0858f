//! Progress state of each step of a run, folded from its events.

use landfall_engine::{Event, EventKind, How, Progress, StepInfo, UndoOutcome};
use std::time::{Duration, SystemTime};

/// The steps of a run, in the graph's order.
#[derive(Default)]
pub struct ProgressState {
    /// The steps.
    pub rows: Vec<Row>,
    /// The steps of a teardown; `None` for other runs.
    owned: Option<Vec<String>>,
}

/// One step.
pub struct Row {
    /// Its description in the graph.
    pub info: StepInfo,
    /// Its state.
    pub state: State,
    /// Its start in this run.
    pub started_at: Option<SystemTime>,
    /// Its last note.
    pub note: Option<String>,
    /// The progress of its wait.
    pub progress: Option<Progress>,
}

/// The state of a step.
#[derive(Debug)]
pub enum State {
    /// It waits for its dependencies.
    Waiting,
    /// It checks the actual state.
    Checking,
    /// It creates or updates its resource.
    Working,
    /// It has its output.
    Finished(How, Duration),
    /// It failed.
    Failed(Duration),
    /// It will not run, because of another step's failure.
    Blocked,
    /// The run was stopped during this step.
    Interrupted {
        /// True if it had already started more than a check.
        started: bool,
    },
    /// Its undo has ended.
    Undone(UndoOutcome, Duration),
}

impl State {
    /// Returns whether the step is running.
    pub fn is_running(&self) -> bool {
        matches!(self, State::Checking | State::Working)
    }

    /// Returns whether the step will emit no more events.
    pub fn is_over(&self) -> bool {
        !self.is_running() && !matches!(self, State::Waiting)
    }
}

impl ProgressState {
    /// Creates the board of a teardown of these steps, with reversed edges.
    pub fn reversed(owned: Vec<String>) -> Self {
        Self { rows: Vec::new(), owned: Some(owned) }
    }

    /// Processes an event; returns the row that it affects.
    pub fn take(&mut self, event: &Event) -> Option<usize> {
        let row = self.fold(event);
        if self.owned.is_some() {
            // A teardown reports an undo only at its end. Each one begins as soon as no other step depends on
            // the step.
            for at in 0..self.rows.len() {
                if self.awaited(&self.rows[at]).is_empty() {
                    self.rows[at].mark_running(event.at);
                }
            }
        }
        row
    }

    fn open(&mut self, steps: &[StepInfo]) {
        let Some(owned) = &self.owned else {
            self.rows = steps.iter().cloned().map(Row::new).collect();
            return;
        };
        let owned: Vec<&StepInfo> =
            steps.iter().filter(|step| owned.iter().any(|id| id == step.id)).collect();
        let reversed = owned.iter().rev().map(|step| StepInfo {
            after: owned
                .iter()
                .filter(|later| later.after.contains(&step.id))
                .map(|later| later.id)
                .collect(),
            // Typical durations are known only for creation.
            typical_duration: Duration::ZERO,
            ..(*step).clone()
        });
        self.rows = reversed.map(Row::new).collect();
    }

    fn fold(&mut self, event: &Event) -> Option<usize> {
        if let EventKind::Opened { steps, .. } = &event.what {
            self.open(steps);
            return None;
        }
        let at = self.row(step_of(&event.what)?)?;
        let row = &mut self.rows[at];
        let since = |row: &Row| {
            row.started_at.and_then(|started_at| event.at.duration_since(started_at).ok()).unwrap_or_default()
        };
        match &event.what {
            EventKind::Checking { .. } => {
                row.state = State::Checking;
                row.started_at.get_or_insert(event.at);
            }
            EventKind::Started { .. } => {
                row.state = State::Working;
                row.started_at.get_or_insert(event.at);
            }
            EventKind::Note { text, progress, .. } => {
                row.note = Some(text.clone());
                row.progress = *progress;
                row.mark_running(event.at);
            }
            EventKind::Retrying { because, .. } => {
                // The description of the awaited condition is more informative than the last error code.
                row.note.get_or_insert_with(|| format!("{because}, retrying"));
                row.mark_running(event.at);
            }
            EventKind::Finished { how, elapsed, .. } => row.end(State::Finished(*how, *elapsed)),
            EventKind::Failed { elapsed, .. } => row.end(State::Failed(*elapsed)),
            EventKind::Blocked { .. } => row.end(State::Blocked),
            EventKind::Interrupted { .. } => {
                let started = matches!(row.state, State::Working);
                row.end(State::Interrupted { started });
            }
            EventKind::Undone { undone, .. } => row.end(State::Undone(undone.clone(), since(row))),
            EventKind::Opened { .. } | EventKind::Closed { .. } => {}
        }
        Some(at)
    }

    /// Returns a step's index on the board.
    pub fn row(&self, step: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.info.id == step)
    }

    /// Returns the number of steps that need no more work.
    pub fn done(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.state, State::Finished(..) | State::Undone(..))).count()
    }

    /// Returns the dependencies of a step that have not ended.
    pub fn awaited(&self, row: &Row) -> Vec<&'static str> {
        let open = |id: &&&'static str| self.row(id).is_some_and(|at| !self.rows[at].state.is_over());
        row.info.after.iter().filter(open).copied().collect()
    }
}

impl Row {
    /// Returns a step that has not begun.
    pub fn new(info: StepInfo) -> Self {
        Self { info, state: State::Waiting, started_at: None, note: None, progress: None }
    }

    /// Marks a step as running. Some runs, such as a teardown, emit no event at its start.
    fn mark_running(&mut self, at: SystemTime) {
        if matches!(self.state, State::Waiting) {
            self.state = State::Working;
            self.started_at = Some(at);
        }
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.note = None;
        self.progress = None;
    }
}

/// Returns the step of an event.
pub fn step_of(what: &EventKind) -> Option<&'static str> {
    match what {
        EventKind::Checking { step }
        | EventKind::Started { step, .. }
        | EventKind::Note { step, .. }
        | EventKind::Retrying { step, .. }
        | EventKind::Finished { step, .. }
        | EventKind::Failed { step, .. }
        | EventKind::Blocked { step, .. }
        | EventKind::Interrupted { step }
        | EventKind::Undone { step, .. } => Some(step),
        EventKind::Opened { .. } | EventKind::Closed { .. } => None,
    }
}
