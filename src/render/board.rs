//! What is known of each step of a run, folded from its events.

use landfall_engine::{Event, How, Progress, StepInfo, Undone, What};
use std::time::{Duration, SystemTime};

/// Every step of a run, in the graph's order.
#[derive(Default)]
pub struct Board {
    /// The steps.
    pub rows: Vec<Row>,
    /// Set when the run takes away: the steps that it is about.
    ours: Option<Vec<String>>,
}

/// One step.
pub struct Row {
    /// What the graph says of it.
    pub info: StepInfo,
    /// Where it stands.
    pub state: State,
    /// When it began, in this run.
    pub began: Option<SystemTime>,
    /// The last note about it.
    pub note: Option<String>,
    /// How far a wait has come.
    pub progress: Option<Progress>,
}

/// Where a step stands.
#[derive(Debug)]
pub enum State {
    /// It waits for others.
    Waiting,
    /// It looks at what is there.
    Looking,
    /// It makes or mends.
    Working,
    /// It has its output.
    Finished(How, Duration),
    /// It failed.
    Failed(Duration),
    /// It will not be tried, because of another one.
    Blocked,
    /// The run was asked to end while this was under way.
    Interrupted {
        /// It had more to it than a look.
        begun: bool,
    },
    /// What it had made is dealt with.
    Undone(Undone, Duration),
}

impl State {
    /// Returns whether the step is at work.
    pub fn is_running(&self) -> bool {
        matches!(self, State::Looking | State::Working)
    }

    /// Returns whether nothing more will be heard of the step.
    pub fn is_over(&self) -> bool {
        !self.is_running() && !matches!(self, State::Waiting)
    }
}

impl Board {
    /// Makes the board of a run that takes these steps away, so that edges point the other way.
    pub fn backwards(ours: Vec<String>) -> Self {
        Self { rows: Vec::new(), ours: Some(ours) }
    }

    /// Takes an event; returns the row that it was about.
    pub fn take(&mut self, event: &Event) -> Option<usize> {
        let row = self.fold(event);
        if self.ours.is_some() {
            // Taking away is announced only when it is done; it begins when nothing stands on the step any more.
            for at in 0..self.rows.len() {
                if self.awaited(&self.rows[at]).is_empty() {
                    self.rows[at].wake(event.at);
                }
            }
        }
        row
    }

    fn open(&mut self, steps: &[StepInfo]) {
        let Some(ours) = &self.ours else {
            self.rows = steps.iter().cloned().map(Row::new).collect();
            return;
        };
        let ours: Vec<&StepInfo> = steps.iter().filter(|step| ours.iter().any(|id| id == step.id)).collect();
        let backwards = ours.iter().rev().map(|step| StepInfo {
            after: ours.iter().filter(|later| later.after.contains(&step.id)).map(|later| later.id).collect(),
            // What is known of durations is about making.
            usual: Duration::ZERO,
            ..(*step).clone()
        });
        self.rows = backwards.map(Row::new).collect();
    }

    fn fold(&mut self, event: &Event) -> Option<usize> {
        if let What::Opened { steps, .. } = &event.what {
            self.open(steps);
            return None;
        }
        let at = self.row(step_of(&event.what)?)?;
        let row = &mut self.rows[at];
        let since =
            |row: &Row| row.began.and_then(|began| event.at.duration_since(began).ok()).unwrap_or_default();
        match &event.what {
            What::Looking { .. } => {
                row.state = State::Looking;
                row.began.get_or_insert(event.at);
            }
            What::Started { .. } => {
                row.state = State::Working;
                row.began.get_or_insert(event.at);
            }
            What::Note { text, progress, .. } => {
                row.note = Some(text.clone());
                row.progress = *progress;
                row.wake(event.at);
            }
            What::Retrying { because, .. } => {
                // A sentence that says what is waited for says more than the code of the last refusal.
                row.note.get_or_insert_with(|| format!("{because}, trying again"));
                row.wake(event.at);
            }
            What::Finished { how, elapsed, .. } => row.end(State::Finished(*how, *elapsed)),
            What::Failed { elapsed, .. } => row.end(State::Failed(*elapsed)),
            What::Blocked { .. } => row.end(State::Blocked),
            What::Interrupted { .. } => {
                let begun = matches!(row.state, State::Working);
                row.end(State::Interrupted { begun });
            }
            What::Undone { undone, .. } => row.end(State::Undone(undone.clone(), since(row))),
            What::Opened { .. } | What::Closed { .. } => {}
        }
        Some(at)
    }

    /// Returns a step's place on the board.
    pub fn row(&self, step: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.info.id == step)
    }

    /// Returns how many steps have come to an end that needs no more work.
    pub fn done(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.state, State::Finished(..) | State::Undone(..))).count()
    }

    /// Returns the sources of a step that it still waits for.
    pub fn awaited(&self, row: &Row) -> Vec<&'static str> {
        let open = |id: &&&'static str| self.row(id).is_some_and(|at| !self.rows[at].state.is_over());
        row.info.after.iter().filter(open).copied().collect()
    }
}

impl Row {
    /// Returns a step that has not begun.
    pub fn new(info: StepInfo) -> Self {
        Self { info, state: State::Waiting, began: None, note: None, progress: None }
    }

    /// Some runs tell of a step's work without announcing its beginning: taking down, for one.
    fn wake(&mut self, at: SystemTime) {
        if matches!(self.state, State::Waiting) {
            self.state = State::Working;
            self.began = Some(at);
        }
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.note = None;
        self.progress = None;
    }
}

/// Returns the step an event is about.
pub fn step_of(what: &What) -> Option<&'static str> {
    match what {
        What::Looking { step }
        | What::Started { step, .. }
        | What::Note { step, .. }
        | What::Retrying { step, .. }
        | What::Finished { step, .. }
        | What::Failed { step, .. }
        | What::Blocked { step, .. }
        | What::Interrupted { step }
        | What::Undone { step, .. } => Some(step),
        What::Opened { .. } | What::Closed { .. } => None,
    }
}
