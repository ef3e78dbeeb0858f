//! The state of a fleet's run, folded from its events: one cell for each environment.

use crate::{
    fleet::{
        causes::{self, Cause},
        file::Fleet,
        result::{EnvironmentOutcome, EnvironmentResult},
        runner::FleetEvent,
        waves::Wave,
    },
    render::{progress_state::step_of, text},
};
use landfall_engine::EventKind;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The state of a run.
pub struct FleetProgress {
    /// The fleet.
    pub fleet: Arc<Fleet>,
    /// The waves.
    pub waves: Vec<Wave>,
    /// The cells of the selected environments, in the order of the waves.
    pub cells: Vec<Cell>,
    /// The wave that runs.
    pub wave: Option<usize>,
    /// The real time until the next wave, while it waits.
    pub soak_left: Option<Duration>,
    /// The beginning of the run.
    pub began: SystemTime,
    by_environment: BTreeMap<usize, usize>,
    parallel: usize,
}

/// The state of one environment.
pub struct Cell {
    /// Its index in the fleet.
    pub environment: usize,
    /// Its state.
    pub state: CellState,
}

/// The state of one environment.
#[derive(Debug)]
pub enum CellState {
    /// It has not begun.
    Waiting,
    /// It runs.
    Running {
        /// Its beginning.
        since: SystemTime,
        /// The step of its last event, with the text of its wait.
        step: String,
    },
    /// It has ended.
    Ended {
        /// The result.
        result: EnvironmentResult,
        /// True if an earlier run has done it.
        earlier: bool,
    },
}

/// The numbers of environments by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not begun.
    pub waiting: usize,
    /// Running.
    pub running: usize,
    /// As desired, changed by this run.
    pub ready: usize,
    /// As desired already.
    pub unchanged: usize,
    /// Failed.
    pub failed: usize,
    /// Refused by the cloud.
    pub refused: usize,
    /// Stopped.
    pub interrupted: usize,
}

impl Counts {
    /// Returns the number of ended environments.
    pub fn ended(self) -> usize {
        self.ready + self.unchanged + self.failed + self.refused + self.interrupted
    }

    /// Returns the counts as a phrase, `12 ready, 3 failed, 5 running`.
    pub fn text(self) -> String {
        let all = [
            (self.ready, "ready"),
            (self.unchanged, "unchanged"),
            (self.failed, "failed"),
            (self.refused, "refused"),
            (self.interrupted, "interrupted"),
            (self.running, "running"),
            (self.waiting, "waiting"),
        ];
        let named =
            all.iter().filter(|(number, _)| *number > 0).map(|(number, name)| format!("{number} {name}"));
        named.collect::<Vec<_>>().join(", ")
    }
}

impl FleetProgress {
    /// Returns the state before the run.
    pub fn new(fleet: Arc<Fleet>, waves: Vec<Wave>, parallel: usize, began: SystemTime) -> Self {
        let environments = waves.iter().flat_map(|wave| wave.environments.iter().copied());
        let cells: Vec<Cell> =
            environments.map(|environment| Cell { environment, state: CellState::Waiting }).collect();
        let by_environment = cells.iter().enumerate().map(|(at, cell)| (cell.environment, at)).collect();
        Self { fleet, waves, cells, wave: None, soak_left: None, began, by_environment, parallel }
    }

    /// Processes an event.
    pub fn take(&mut self, event: &FleetEvent, now: SystemTime) {
        match event {
            FleetEvent::WaveBegun { wave } => {
                self.wave = Some(*wave);
                self.soak_left = None;
            }
            FleetEvent::Started { environment } => {
                self.set(*environment, CellState::Running { since: now, step: String::new() });
            }
            FleetEvent::Step { environment, event } => {
                let Some(id) = step_of(&event.what) else { return };
                let note = match &event.what {
                    EventKind::Note { text, .. } => format!(" · {}", text::wait_state(text)),
                    _ => String::new(),
                };
                let at = self.by_environment.get(environment).copied();
                if let Some(CellState::Running { step, .. }) = at.map(|at| &mut self.cells[at].state) {
                    *step = format!("{}{note}", text::name(id));
                }
            }
            FleetEvent::Ended { environment, result, earlier } => {
                self.set(*environment, CellState::Ended { result: result.clone(), earlier: *earlier });
            }
            FleetEvent::WaveEnded { .. } => {}
            FleetEvent::Soaking { left, .. } => self.soak_left = Some(*left),
        }
    }

    fn set(&mut self, environment: usize, state: CellState) {
        if let Some(at) = self.by_environment.get(&environment) {
            self.cells[*at].state = state;
        }
    }

    /// Returns an environment's name.
    pub fn name(&self, environment: usize) -> &str {
        &self.fleet.environments[environment].name
    }

    /// Returns the numbers of environments by state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for cell in &self.cells {
            let number = match &cell.state {
                CellState::Waiting => &mut counts.waiting,
                CellState::Running { .. } => &mut counts.running,
                CellState::Ended { result, .. } => match result.outcome {
                    EnvironmentOutcome::Ready => &mut counts.ready,
                    EnvironmentOutcome::Unchanged => &mut counts.unchanged,
                    EnvironmentOutcome::Failed => &mut counts.failed,
                    EnvironmentOutcome::Refused => &mut counts.refused,
                    EnvironmentOutcome::Interrupted => &mut counts.interrupted,
                },
            };
            *number += 1;
        }
        counts
    }

    /// Returns the results of the environments that this run has ended, slowest first.
    pub fn slowest(&self) -> Vec<(&str, &EnvironmentResult)> {
        let ended = self.cells.iter().filter_map(|cell| match &cell.state {
            CellState::Ended { result, earlier: false } => Some((self.name(cell.environment), result)),
            _ => None,
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort_by_key(|(_, result)| std::cmp::Reverse(result.elapsed_ms));
        ended
    }

    /// Returns the failures by cause.
    pub fn causes(&self) -> Vec<Cause> {
        causes::causes(self.cells.iter().filter_map(|cell| match &cell.state {
            CellState::Ended { result, .. } => Some((&self.fleet.environments[cell.environment], result)),
            _ => None,
        }))
    }

    /// Returns the ended environments of this run per minute; `None` before the first one.
    pub fn per_minute(&self, now: SystemTime) -> Option<f64> {
        let ended = self.slowest().len();
        let minutes = now.duration_since(self.began).ok()?.as_secs_f64() / 60.0;
        (ended > 0 && minutes > 0.0).then(|| ended as f64 / minutes)
    }

    /// Estimates the time left, from the median of those done; `None` before the first one. Soak times are not part of it.
    pub fn time_left(&self) -> Option<Duration> {
        let mut times: Vec<u64> = self.slowest().iter().map(|(_, result)| result.elapsed_ms).collect();
        times.sort_unstable();
        let median = *times.get(times.len() / 2)?;
        let counts = self.counts();
        let rounds = counts.waiting.div_ceil(self.parallel.max(1)) as u64;
        let running = if counts.running > 0 { median / 2 } else { 0 };
        Some(Duration::from_millis(rounds.saturating_mul(median) + running))
    }
}
