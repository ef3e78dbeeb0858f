//! What a run came to, and how it compares with the ideal one.

use crate::{error::StepError, journal::How, step::Undone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step reached its end.
    Ready,
    /// A step failed.
    Failed,
    /// The run was asked to end before it was complete.
    Interrupted,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Steps whose thing was there.
    pub found: u32,
    /// Steps that made their thing.
    pub created: u32,
    /// Steps that mended their thing.
    pub changed: u32,
    /// Steps that failed.
    pub failed: u32,
    /// Steps that were not tried because of a failure.
    pub blocked: u32,
    /// What became of what was ours, in the order in which it happened.
    pub undone: Vec<(String, Undone)>,
    /// What is ours and waits until something is gone that is still going; see [`Undone::Underway`].
    pub waiting: Vec<String>,
    /// What is ours and this graph has no step for, so that nobody here can take it away. Only a
    /// run that takes down lists it; the journal keeps it.
    pub left_behind: Vec<LeftBehind>,
    /// Real time from beginning to end.
    pub elapsed: Duration,
    /// Real time the cloud itself needed along the longest path: the ideal run.
    pub critical_path: Duration,
    /// What failed, by step, in the order in which it happened.
    pub errors: Vec<(String, StepError)>,
}

/// Something of ours that stays because nobody here knows how to take it away: the graph has no
/// such step, as after a change of versions.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftBehind {
    /// The id of the step that made it.
    pub step: String,
    /// What that step gave; `None` when it died before it gave anything.
    pub output: Option<Value>,
    /// The names it was begun under, when it died before it gave anything newer.
    pub named: Option<Value>,
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

/// How long the cloud needed for one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// The step did not run.
    None,
    /// It could only begin when what it needs had ended.
    After(Duration),
    /// It ran ahead, from the beginning of the run, beside everything else.
    FromStart(Duration),
}

/// Returns the length of the longest path: when the last step would end if only the cloud took
/// time. `needs` names, for each step, those before it; `order` puts each after what it needs.
pub(super) fn critical_path(
    needs: &[Vec<usize>],
    order: impl Iterator<Item = usize>,
    spans: &[Span],
) -> Duration {
    let mut ends = vec![Duration::ZERO; needs.len()];
    for i in order {
        let begin = needs[i].iter().map(|&n| ends[n]).max().unwrap_or_default();
        ends[i] = match spans[i] {
            Span::None => begin,
            Span::After(span) => begin + span,
            Span::FromStart(span) => begin.max(span),
        };
    }
    ends.into_iter().max().unwrap_or_default()
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
        critical_path(needs, 0..needs.len(), spans).as_secs()
    }

    #[test]
    fn the_longest_path_counts_and_what_runs_beside_it_does_not() {
        let diamond = [vec![], vec![0], vec![0], vec![1, 2]];
        assert_eq!(longest(&diamond, &[after(1), after(280), after(14), after(2)]), 283);
        assert_eq!(longest(&diamond, &[after(1), after(9), Span::None, Span::None]), 10);
    }

    #[test]
    fn looks_that_ran_ahead_together_count_once() {
        let chain = [vec![], vec![0], vec![1]];
        assert_eq!(longest(&chain, &[after(1), from_start(3), from_start(2)]), 3);
        assert_eq!(longest(&chain, &[after(1), from_start(3), after(2)]), 5);
    }
}
