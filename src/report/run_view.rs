//! One recorded run, evaluated for display: steps with their times, results and activity.

use super::critical_path;
use jiff::Timestamp;
use landfall_engine::{
    Entry, EnvironmentKey, How, Outcome, RecordedLine, RecordedRun, RetryCount, RunSummary, StepError,
    StepInfo, UndoOutcome, WaitSpan,
};
use std::collections::BTreeMap;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// A process is running it now.
    Running,
    /// Every step succeeded.
    Ready,
    /// A step failed.
    Failed,
    /// It was stopped before its end.
    Interrupted,
    /// The journal has no end of it, and no process runs it: it was killed, or the machine failed.
    NoEnd,
}

/// The result of a step in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// It got its output in this way.
    Done(How),
    /// It failed.
    Failed(Box<StepError>),
    /// Its resource was undone, or kept.
    Undone(UndoOutcome),
    /// It was running when the journal was read.
    Running,
    /// It had started, and the run ended without a result of it.
    Cut,
    /// It did not run because this step failed.
    Blocked(String),
    /// It was not reached.
    NotReached,
}

/// A step of a run. Times are milliseconds since the beginning of the run.
#[derive(Debug, Clone)]
pub struct StepView {
    /// The id.
    pub id: String,
    /// The title; empty if this version has no such step.
    pub title: String,
    /// The result.
    pub result: StepResult,
    /// The beginning and the end of its turn; `None` if it had none.
    pub span: Option<(u64, u64)>,
    /// The time at which it began to change something.
    pub acting: Option<u64>,
    /// The number of the attempt over all runs, if it changed something.
    pub attempt: Option<u32>,
    /// The number of its requests; `None` if the journal does not have it.
    pub requests: Option<u64>,
    /// Its retries by reason.
    pub retries: Vec<RetryCount>,
    /// Its waits; they start relative to the run.
    pub waits: Vec<WaitSpan>,
    /// The cloud's time in it, in milliseconds, if it is on the critical path.
    pub critical: Option<u64>,
}

/// A run of an environment.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The environment.
    pub key: EnvironmentKey,
    /// The number of the run.
    pub number: usize,
    /// The command.
    pub command: String,
    /// The version of landfall.
    pub landfall: String,
    /// The beginning.
    pub began: Timestamp,
    /// The state.
    pub state: RunState,
    /// The duration up to the last line or, of a running one, up to now, in milliseconds.
    pub elapsed_ms: u64,
    /// The steps, in the order of their beginnings.
    pub steps: Vec<StepView>,
    /// The critical path: step, and the cloud's time in it in milliseconds.
    pub critical_path: Vec<(String, u64)>,
    /// True if the journal does not have the critical path, and the times yield it.
    pub is_path_estimated: bool,
    /// The number of requests; `None` if the journal does not have it.
    pub requests: Option<u64>,
}

impl RunView {
    /// Evaluates a run. `steps` describes the steps of this version, `now` is the time of reading, and `is_active` is
    /// true if a process runs it now.
    pub fn new(
        key: &EnvironmentKey,
        run: &RecordedRun,
        steps: &[StepInfo],
        now: Timestamp,
        is_active: bool,
    ) -> Self {
        let began = parse(&run.began).unwrap_or(now);
        let since = |at: &str| parse(at).map_or(0, |at| ms_between(began, at));
        let mut read =
            Reading { began: &since, steps: BTreeMap::new(), outcome: None, summary: None, last: 0 };
        run.lines.iter().for_each(|line| read.line(line));
        let state = match read.outcome {
            Some(Outcome::Ready) => RunState::Ready,
            Some(Outcome::Failed) => RunState::Failed,
            Some(Outcome::Interrupted) => RunState::Interrupted,
            None if is_active => RunState::Running,
            None => RunState::NoEnd,
        };
        let until_now = ms_between(began, now);
        let elapsed_ms = match (&read.summary, state) {
            (_, RunState::Running) => until_now.max(read.last),
            (Some(summary), _) => summary.elapsed_ms.max(read.last),
            (None, _) => read.last,
        };
        let mut views = read.views(steps, run, state, elapsed_ms);
        let path = match read.summary.as_ref().filter(|summary| !summary.critical_path.is_empty()) {
            Some(summary) => {
                summary.critical_path.iter().map(|one| (one.step.clone(), one.cloud_ms)).collect()
            }
            None => critical_path::estimate(&views, steps),
        };
        for view in &mut views {
            view.critical = path.iter().find(|(step, _)| *step == view.id).map(|(_, ms)| *ms);
        }
        let counted: Option<u64> = views.iter().filter_map(|view| view.requests).reduce(|sum, n| sum + n);
        Self {
            key: key.clone(),
            number: run.number,
            command: run.command.clone(),
            landfall: run.landfall.clone(),
            began,
            state,
            elapsed_ms,
            is_path_estimated: read.summary.is_none(),
            requests: read.summary.as_ref().map(|summary| summary.requests).or(counted),
            critical_path: path,
            steps: views,
        }
    }

    /// Returns the length of the critical path in milliseconds.
    pub fn critical_path_ms(&self) -> u64 {
        self.critical_path.iter().map(|(_, ms)| ms).sum()
    }

    /// Returns the steps with errors.
    pub fn errors(&self) -> impl Iterator<Item = (&StepView, &StepError)> {
        self.steps.iter().filter_map(|step| match &step.result {
            StepResult::Failed(error) => Some((step, &**error)),
            _ => None,
        })
    }

    /// Returns the number of retries.
    pub fn retries(&self) -> u64 {
        self.steps.iter().flat_map(|step| &step.retries).map(|retry| retry.count).sum()
    }

    /// Returns the number of steps that got their output in this way.
    pub fn done(&self, how: How) -> usize {
        self.steps.iter().filter(|step| step.result == StepResult::Done(how)).count()
    }

    /// Returns the step with the longest turn.
    pub fn slowest(&self) -> Option<&StepView> {
        self.steps.iter().filter(|step| step.span.is_some()).max_by_key(|step| step.elapsed_ms())
    }
}

impl StepView {
    /// Returns the duration of the turn in milliseconds; 0 if it had none.
    pub fn elapsed_ms(&self) -> u64 {
        self.span.map_or(0, |(start, end)| end - start)
    }
}

/// What the lines say about one step.
#[derive(Default)]
struct StepLines {
    started: Option<u64>,
    attempt: Option<u32>,
    ended: Option<u64>,
    result: Option<StepResult>,
    activity: Option<landfall_engine::StepActivity>,
}

struct Reading<'a> {
    began: &'a dyn Fn(&str) -> u64,
    steps: BTreeMap<String, StepLines>,
    outcome: Option<Outcome>,
    summary: Option<RunSummary>,
    /// The time of the last line.
    last: u64,
}

impl Reading<'_> {
    fn line(&mut self, line: &RecordedLine) {
        let at = (self.began)(&line.at);
        self.last = self.last.max(at);
        let (step, result) = match &line.entry {
            Entry::Opened { .. } | Entry::Adopted { .. } => return,
            Entry::Closed { outcome } => {
                self.outcome = Some(*outcome);
                self.summary.clone_from(&line.details.summary);
                return;
            }
            Entry::Started { step, attempt, .. } => {
                let lines = self.steps.entry(step.clone()).or_default();
                lines.started = Some(at);
                lines.attempt = Some(*attempt);
                return;
            }
            Entry::Ticket { step, .. } => {
                // The step of a teardown has no start of its own.
                self.steps.entry(step.clone()).or_default().started.get_or_insert(at);
                return;
            }
            Entry::Finished { step, how, .. } => (step, StepResult::Done(*how)),
            Entry::Failed { step, error } => (step, StepResult::Failed(Box::new(error.clone()))),
            Entry::Undone { step, undone } => (step, StepResult::Undone(undone.clone())),
        };
        let lines = self.steps.entry(step.clone()).or_default();
        lines.ended = Some(at);
        lines.result = Some(result);
        lines.activity.clone_from(&line.details.activity);
    }

    /// Returns the steps in the order of their beginnings; those without a turn are last.
    fn views(&self, infos: &[StepInfo], run: &RecordedRun, state: RunState, until: u64) -> Vec<StepView> {
        let creates = run.command != "down" && !matches!(state, RunState::Ready);
        let known = infos.iter().filter(|info| self.steps.contains_key(info.id) || (creates && info.enabled));
        let mut ids: Vec<&str> = known.map(|info| info.id).collect();
        ids.extend(
            self.steps.keys().map(String::as_str).filter(|id| infos.iter().all(|info| info.id != *id)),
        );
        let mut views: Vec<StepView> = ids.into_iter().map(|id| self.view(id, infos, state, until)).collect();
        views.sort_by_key(|view| view.span.unwrap_or((u64::MAX, 0)).0);
        views
    }

    fn view(&self, id: &str, infos: &[StepInfo], state: RunState, until: u64) -> StepView {
        let info = infos.iter().find(|info| info.id == id);
        let nothing = StepLines::default();
        let lines = self.steps.get(id).unwrap_or(&nothing);
        let activity = lines.activity.clone().unwrap_or_default();
        let start = match (&lines.activity, lines.ended) {
            (Some(activity), Some(end)) => Some(end.saturating_sub(activity.elapsed_ms)),
            // Earlier versions wrote no durations: a turn begins when the last dependency has its result.
            (None, Some(end)) => Some(self.after(info).min(lines.started.unwrap_or(end)).min(end)),
            (_, None) => lines.started.map(|started| self.after(info).min(started)),
        };
        let offset = start.unwrap_or_default();
        let result = lines.result.clone().unwrap_or_else(|| self.open_result(id, lines, state));
        StepView {
            id: id.to_owned(),
            title: info.map(|info| info.title.clone()).unwrap_or_default(),
            result,
            span: start.map(|start| (start, lines.ended.unwrap_or(until).max(start))),
            acting: lines.started.map(|started| started.max(offset)),
            attempt: lines.attempt,
            requests: lines.activity.as_ref().map(|activity| activity.requests),
            retries: activity.retries,
            waits: activity
                .waits
                .into_iter()
                .map(|wait| WaitSpan { start_ms: offset + wait.start_ms, ..wait })
                .collect(),
            critical: None,
        }
    }

    /// Returns the end of the last dependency of a step.
    fn after(&self, info: Option<&StepInfo>) -> u64 {
        let sources = info.into_iter().flat_map(|info| &info.after);
        sources.filter_map(|source| self.steps.get(*source)?.ended).max().unwrap_or_default()
    }

    /// Returns the result of a step without a recorded one.
    fn open_result(&self, id: &str, lines: &StepLines, state: RunState) -> StepResult {
        let blocked = self.summary.iter().flat_map(|summary| &summary.blocked).find(|one| one.step == id);
        let interrupted = self.summary.iter().flat_map(|summary| &summary.interrupted).any(|one| one == id);
        match blocked {
            Some(blocked) => StepResult::Blocked(blocked.by.clone()),
            None if lines.started.is_some() && state == RunState::Running => StepResult::Running,
            None if lines.started.is_some() || interrupted => StepResult::Cut,
            None => StepResult::NotReached,
        }
    }
}

fn parse(at: &str) -> Option<Timestamp> {
    at.parse().ok()
}

fn ms_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
pub mod tests;
