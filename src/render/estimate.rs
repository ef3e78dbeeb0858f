//! Estimate of the remaining time: the longest path through the steps that are not done.

use super::board::{Board, Row, State};
use landfall_engine::Pace;
use std::time::{Duration, SystemTime};

/// The estimate.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The typical real time of the longest path.
    pub time: Duration,
    /// The steps on it, the running ones first.
    pub way: Vec<&'static str>,
}

/// Estimates the remaining time.
pub fn left(board: &Board, pace: Pace, now: SystemTime) -> Left {
    // Dependencies come first, so one backward pass knows every path onward.
    let mut onward: Vec<(Duration, Option<usize>)> = vec![(Duration::ZERO, None); board.rows.len()];
    let mut longest: Option<(Duration, usize)> = None;
    for at in (0..board.rows.len()).rev() {
        let row = &board.rows[at];
        if row.state.is_over() {
            continue;
        }
        let total = own(row, pace, now) + onward[at].0;
        if longest.is_none_or(|(time, _)| total >= time) {
            longest = Some((total, at));
        }
        for source in row.info.after.iter().filter_map(|id| board.row(id)) {
            if onward[source].1.is_none() || total > onward[source].0 {
                onward[source] = (total, Some(at));
            }
        }
    }
    let Some((time, first)) = longest else { return Left::default() };
    let way = std::iter::successors(Some(first), |at| onward[*at].1);
    Left { time, way: way.map(|at| board.rows[at].info.id).collect() }
}

/// Returns the typical remaining time of one step, in real time.
fn own(row: &Row, pace: Pace, now: SystemTime) -> Duration {
    let so_far = row.began.and_then(|began| now.duration_since(began).ok()).unwrap_or_default();
    match (&row.state, row.progress) {
        (State::Looking | State::Working, Some(progress)) => {
            pace.real(progress.usual.saturating_sub(progress.so_far))
        }
        (State::Looking | State::Working, None) => pace.real(row.info.usual).saturating_sub(so_far),
        _ => pace.real(row.info.usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_engine::StepInfo;

    fn row(id: &'static str, after: &[&'static str], usual: u64, state: State) -> Row {
        let seconds = Duration::from_secs(usual);
        let (usual, deadline) = (seconds, seconds);
        let info = StepInfo { id, title: id.into(), after: after.to_vec(), usual, deadline, enabled: true };
        Row { state, ..Row::new(info) }
    }

    #[test]
    fn the_longest_way_through_what_is_not_done_is_left() {
        let mut board = Board::default();
        board.rows = vec![
            row("group", &[], 2, State::Finished(landfall_engine::How::Created, Duration::ZERO)),
            row("vault", &["group"], 14, State::Working),
            row("cluster", &["group"], 280, State::Working),
            row("istio", &["cluster"], 60, State::Waiting),
            row("gateways", &["istio", "vault"], 40, State::Waiting),
        ];
        let left = left(&board, Pace::new(60.0), SystemTime::UNIX_EPOCH);
        assert_eq!(left.way, ["cluster", "istio", "gateways"]);
        assert_eq!(left.time.as_millis(), 380_000 / 60);
    }

    #[test]
    fn nothing_is_left_of_a_run_that_is_done() {
        assert_eq!(left(&Board::default(), Pace::REAL, SystemTime::UNIX_EPOCH), Left::default());
    }
}
