//! Estimate of the remaining time: the longest path through the steps that are not done.

use super::progress_state::{ProgressState, Row, State};
use landfall_engine::TimeScale;
use std::time::{Duration, SystemTime};

/// The estimate.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// The typical real time of the longest path.
    pub time: Duration,
    /// The steps on it, the running ones first.
    pub path: Vec<&'static str>,
}

/// Estimates the remaining time.
pub fn remaining(progress_state: &ProgressState, time_scale: TimeScale, now: SystemTime) -> Remaining {
    // Dependencies come first, so one backward pass knows every path onward.
    let mut onward: Vec<(Duration, Option<usize>)> = vec![(Duration::ZERO, None); progress_state.rows.len()];
    let mut longest: Option<(Duration, usize)> = None;
    for at in (0..progress_state.rows.len()).rev() {
        let row = &progress_state.rows[at];
        if row.state.is_over() {
            continue;
        }
        let total = own(row, time_scale, now) + onward[at].0;
        if longest.is_none_or(|(time, _)| total >= time) {
            longest = Some((total, at));
        }
        for source in row.info.after.iter().filter_map(|id| progress_state.row(id)) {
            if onward[source].1.is_none() || total > onward[source].0 {
                onward[source] = (total, Some(at));
            }
        }
    }
    let Some((time, first)) = longest else { return Remaining::default() };
    let path = std::iter::successors(Some(first), |at| onward[*at].1);
    Remaining { time, path: path.map(|at| progress_state.rows[at].info.id).collect() }
}

/// Returns the typical remaining time of one step, in real time.
fn own(row: &Row, time_scale: TimeScale, now: SystemTime) -> Duration {
    let so_far =
        row.started_at.and_then(|started_at| now.duration_since(started_at).ok()).unwrap_or_default();
    match (&row.state, row.progress) {
        (State::Checking | State::Working, Some(progress)) => {
            time_scale.real(progress.typical_duration.saturating_sub(progress.so_far))
        }
        (State::Checking | State::Working, None) => {
            time_scale.real(row.info.typical_duration).saturating_sub(so_far)
        }
        _ => time_scale.real(row.info.typical_duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_engine::StepInfo;

    fn row(id: &'static str, after: &[&'static str], typical_duration: u64, state: State) -> Row {
        let seconds = Duration::from_secs(typical_duration);
        let (typical_duration, deadline) = (seconds, seconds);
        let info = StepInfo {
            id,
            title: id.into(),
            after: after.to_vec(),
            typical_duration,
            deadline,
            enabled: true,
        };
        Row { state, ..Row::new(info) }
    }

    #[test]
    fn the_remaining_time_is_the_longest_unfinished_path() {
        let mut progress_state = ProgressState::default();
        progress_state.rows = vec![
            row("group", &[], 2, State::Finished(landfall_engine::How::Created, Duration::ZERO)),
            row("vault", &["group"], 14, State::Working),
            row("cluster", &["group"], 280, State::Working),
            row("istio", &["cluster"], 60, State::Waiting),
            row("gateways", &["istio", "vault"], 40, State::Waiting),
        ];
        let remaining = remaining(&progress_state, TimeScale::new(60.0), SystemTime::UNIX_EPOCH);
        assert_eq!(remaining.path, ["cluster", "istio", "gateways"]);
        assert_eq!(remaining.time.as_millis(), 380_000 / 60);
    }

    #[test]
    fn a_completed_run_has_no_remaining_time() {
        assert_eq!(
            remaining(&ProgressState::default(), TimeScale::REAL, SystemTime::UNIX_EPOCH),
            Remaining::default()
        );
    }
}
