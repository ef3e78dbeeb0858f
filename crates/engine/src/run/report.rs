//! Result of a run, with the duration of the ideal run.

use crate::{
    error::StepError,
    step_types::{How, Outcome, UndoOutcome},
};
use serde_json::Value;
use std::time::Duration;

/// The result of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// The number of steps whose resource existed.
    pub found: u32,
    /// The number of steps that created their resource.
    pub created: u32,
    /// The number of steps that updated their resource.
    pub changed: u32,
    /// The number of failed steps.
    pub failed: u32,
    /// The number of steps that did not run because of a failure.
    pub blocked: u32,
    /// The undo results of owned resources, in chronological order.
    pub undone: Vec<(String, UndoOutcome)>,
    /// The owned resources that wait for a deletion in progress; see [`UndoOutcome::InProgress`].
    pub waiting: Vec<String>,
    /// The owned resources without a step in this graph, so that this program cannot delete them. Only a
    /// teardown lists them; they stay in the journal.
    pub left_behind: Vec<LeftBehind>,
    /// Real time from beginning to end.
    pub elapsed: Duration,
    /// Real time that the cloud needed along the longest path: the ideal run.
    pub critical_path: Duration,
    /// The errors by step, in chronological order.
    pub errors: Vec<(String, StepError)>,
    /// The warnings by step, in chronological order.
    pub warnings: Vec<(String, String)>,
}

/// An owned resource that stays because the graph has no step for it, for example after a change of versions.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftBehind {
    /// The id of the step that created it.
    pub step: String,
    /// The output of that step; `None` if the run died before it.
    pub output: Option<Value>,
    /// The names with which it began, if the run died before a newer output.
    pub planned_name: Option<Value>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self {
            outcome: Outcome::Ready,
            found: 0,
            created: 0,
            changed: 0,
            failed: 0,
            blocked: 0,
            undone: Vec::new(),
            waiting: Vec::new(),
            left_behind: Vec::new(),
            elapsed: Duration::ZERO,
            critical_path: Duration::ZERO,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, how: How) {
        match how {
            How::Found => self.found += 1,
            How::Created => self.created += 1,
            How::Changed => self.changed += 1,
        }
    }

    pub(super) fn failed(&mut self, step: &str, error: StepError) {
        self.failed += 1;
        self.errors.push((step.to_owned(), error));
    }
}

/// The time that the cloud needed for one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// The step did not run.
    None,
    /// The step started after its dependencies.
    After(Duration),
    /// The step ran speculatively, from the beginning of the run and concurrently with all others.
    FromStart(Duration),
}

/// The longest path through the steps of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CriticalPath {
    /// Its length: the end of the last step if only the cloud took time.
    pub(super) duration: Duration,
    /// Its steps in their order, each with the time that the cloud needed for it. A step that took no time is left
    /// out.
    pub(super) steps: Vec<(usize, Duration)>,
}

/// Returns the longest path. `needs` contains the dependencies of each step; `order` contains each step after its
/// dependencies.
pub(super) fn critical_path(
    needs: &[Vec<usize>],
    order: impl Iterator<Item = usize>,
    spans: &[Span],
) -> CriticalPath {
    let mut ends = vec![Duration::ZERO; needs.len()];
    // The dependency that decides when a step can begin; `None` for a step that begins with the run.
    let mut before = vec![None; needs.len()];
    let latest = |ends: &[Duration], of: &mut dyn Iterator<Item = usize>| of.max_by_key(|&step| ends[step]);
    for i in order {
        let decisive = latest(&ends, &mut needs[i].iter().copied());
        let begin = decisive.map_or(Duration::ZERO, |step| ends[step]);
        (ends[i], before[i]) = match spans[i] {
            Span::None => (begin, decisive),
            Span::After(span) => (begin + span, decisive),
            Span::FromStart(span) if span > begin => (span, None),
            Span::FromStart(_) => (begin, decisive),
        };
    }
    let mut steps = Vec::new();
    let mut next = latest(&ends, &mut (0..needs.len()));
    while let Some(step) = next {
        next = before[step];
        let took = ends[step] - next.map_or(Duration::ZERO, |before| ends[before]);
        if !took.is_zero() {
            steps.push((step, took));
        }
    }
    steps.reverse();
    CriticalPath { duration: ends.into_iter().max().unwrap_or_default(), steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn after(n: u64) -> Span {
        Span::After(Duration::from_secs(n))
    }

    const fn from_start(n: u64) -> Span {
        Span::FromStart(Duration::from_secs(n))
    }

    fn longest(needs: &[Vec<usize>], spans: &[Span]) -> u64 {
        let path = critical_path(needs, 0..needs.len(), spans);
        let sum: Duration = path.steps.iter().map(|(_, took)| *took).sum();
        assert_eq!(sum, path.duration, "the steps of the path add up to it");
        path.duration.as_secs()
    }

    fn steps(needs: &[Vec<usize>], spans: &[Span]) -> Vec<usize> {
        critical_path(needs, 0..needs.len(), spans).steps.into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn only_the_longest_path_counts() {
        let diamond = [vec![], vec![0], vec![0], vec![1, 2]];
        assert_eq!(longest(&diamond, &[after(1), after(280), after(14), after(2)]), 283);
        assert_eq!(longest(&diamond, &[after(1), after(9), Span::None, Span::None]), 10);
        assert_eq!(steps(&diamond, &[after(1), after(280), after(14), after(2)]), [0, 1, 3]);
        assert_eq!(steps(&diamond, &[after(1), after(3), after(9), Span::None]), [0, 2]);
    }

    #[test]
    fn concurrent_speculative_checks_count_once() {
        let chain = [vec![], vec![0], vec![1]];
        assert_eq!(longest(&chain, &[after(1), from_start(3), from_start(2)]), 3);
        assert_eq!(longest(&chain, &[after(1), from_start(3), after(2)]), 5);
        assert_eq!(steps(&chain, &[after(1), from_start(3), after(2)]), [1, 2]);
    }
}
