//! The tree display of a run: a pure function of board, time and size.
//!
//! Each completed step is a permanent line. Below are the running steps, the waiting steps, and one line with
//! the remaining time.

use super::{
    board::{Board, Row, State},
    estimate,
    paint::Paint,
    words,
};
use landfall_engine::{How, Pace, Progress, Undone};
use std::time::{Duration, SystemTime};

/// The maximum width of a step's name.
const NAME_MAX: usize = 16;
/// The width of the duration at the right, enough for `3 min 12 s`.
const TIME_WIDTH: usize = 10;
/// The minimum width of a detail; without that much space it is omitted.
const DETAIL_MIN: usize = 12;
/// The minimum and maximum width of a progress bar.
const BAR: std::ops::RangeInclusive<usize> = 6..=24;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

/// The style of a drawn board.
#[derive(Clone, Copy)]
pub struct Look {
    /// The colours.
    pub paint: Paint,
    /// The time scale of the cloud.
    pub pace: Pace,
}

impl Look {
    /// Returns the permanent line of a completed step.
    pub fn over(self, board: &Board, row: &Row, columns: usize) -> String {
        let name = words::name(row.info.id);
        let subject = words::subject(&row.info.title, &name);
        let (glyph, became, elapsed) = match &row.state {
            State::Finished(How::Found, elapsed) => (self.paint.good("✓"), String::new(), Some(*elapsed)),
            State::Finished(how, elapsed) => {
                (self.paint.good("✓"), words::how(*how).to_owned(), Some(*elapsed))
            }
            State::Failed(elapsed) => {
                let after = format!("failed after {}", words::duration(*elapsed));
                return line(board, &self.paint.bad("✗"), &name, &after, None, columns);
            }
            State::Interrupted { begun } => {
                return line(board, &self.paint.warn("!"), &name, words::interrupted(*begun), None, columns);
            }
            State::Undone(Undone::Deleted, elapsed) => {
                (self.paint.good("✓"), "deleted".to_owned(), Some(*elapsed))
            }
            State::Undone(Undone::AlreadyGone, _) => (self.paint.good("✓"), "did not exist".to_owned(), None),
            State::Undone(Undone::GoesWithParent, _) => {
                (self.paint.good("✓"), "deleted with its parent".to_owned(), None)
            }
            State::Undone(Undone::Underway, _) => (self.paint.warn("…"), "being deleted".to_owned(), None),
            State::Undone(Undone::Kept { why }, _) => (self.paint.warn("!"), format!("kept: {why}"), None),
            State::Blocked | State::Waiting | State::Looking | State::Working => return String::new(),
        };
        // If the space is short, the result matters more than the title.
        let room = detail_width(board, columns) + if elapsed.is_none() { 1 + TIME_WIDTH } else { 0 };
        let kept = room.saturating_sub(words::width(&became) + 2);
        let subject = if kept < DETAIL_MIN && !became.is_empty() {
            String::new()
        } else {
            words::cut(subject, kept.max(1))
        };
        let subject = if became.is_empty() { words::subject(&row.info.title, &name) } else { &subject };
        line(board, &glyph, &name, &words::joined(&[subject, &became]), elapsed, columns)
    }

    /// Returns the region below the permanent lines.
    pub fn region(self, board: &Board, now: SystemTime, size: Size) -> Vec<String> {
        // One column stays free, and so many rows that the cursor never starts at the top. An erase from the
        // top fills the history of some terminals with a full screen per frame.
        let (columns, rows) = (size.columns.saturating_sub(1), size.rows.saturating_sub(4).max(1));
        let running = board.rows.iter().filter(|row| row.state.is_running());
        let mut lines: Vec<String> = running.map(|row| self.running(board, row, now, columns)).collect();
        let waiting: Vec<&Row> =
            board.rows.iter().filter(|row| matches!(row.state, State::Waiting)).collect();
        lines.truncate(rows);
        let room = rows - lines.len();
        let shown = if waiting.len() <= room { waiting.len() } else { room.saturating_sub(1) };
        for row in &waiting[..shown] {
            let awaited: Vec<String> = board.awaited(row).into_iter().map(words::name).collect();
            let detail = match awaited.is_empty() {
                true => String::new(),
                false => format!("after {}", awaited.join(", ")),
            };
            let name = words::name(row.info.id);
            let text = line(board, "·", &name, &detail, None, columns);
            lines.push(self.paint.dim(&text));
        }
        if shown < waiting.len() && room > 0 {
            lines.push(
                self.paint.dim(&words::cut(&format!("   … {} more waiting", waiting.len() - shown), columns)),
            );
        }
        lines.push(self.bottom(board, now, columns));
        lines
    }

    fn running(self, board: &Board, row: &Row, now: SystemTime, columns: usize) -> String {
        let name = words::name(row.info.id);
        let elapsed = row.began.and_then(|began| now.duration_since(began).ok()).unwrap_or_default();
        let frame = usize::try_from(elapsed.as_millis() / 100).unwrap_or(0) % SPINNER.len();
        let room = detail_width(board, columns);
        let detail = match (&row.note, row.progress, &row.state) {
            (Some(note), Some(progress), _) => self.progress(note, progress, room),
            (Some(note), None, _) => note.clone(),
            (None, _, State::Looking) => "checking".to_owned(),
            (None, ..) => words::subject(&row.info.title, &name).to_owned(),
        };
        line(board, &self.paint.busy(SPINNER[frame]), &name, &detail, Some(elapsed), columns)
    }

    /// Returns `Creating ━━━━╸──── 83 s of about 280 s`, with a bar as wide as the space allows.
    fn progress(self, note: &str, progress: Progress, room: usize) -> String {
        let Some((state, figures)) = note.rsplit_once(", ").filter(|(_, end)| end.contains(" of about "))
        else {
            return note.to_owned();
        };
        let width = room.saturating_sub(words::width(state) + words::width(figures) + 2).min(*BAR.end());
        if !BAR.contains(&width) {
            return note.to_owned();
        }
        let usual = progress.usual.as_secs_f64();
        let share = if usual > 0.0 { (progress.so_far.as_secs_f64() / usual).min(1.0) } else { 1.0 };
        let full = (share * width as f64) as usize;
        let tip = usize::from(full < width);
        let bar = format!("{}{}", "━".repeat(full), "╸".repeat(tip));
        let rest = "─".repeat(width - full - tip);
        format!("{state} {}{} {figures}", self.paint.busy(&bar), self.paint.dim(&rest))
    }

    fn bottom(self, board: &Board, now: SystemTime, columns: usize) -> String {
        let left = estimate::left(board, self.pace, now);
        let mut text = format!(" {} of {}", board.done(), board.rows.len());
        if left.time >= Duration::from_secs(1) {
            text.push_str(&format!(" · about {} left", words::roughly(left.time)));
        }
        if !left.way.is_empty() {
            let way: Vec<String> = left.way.iter().map(|step| words::name(step)).collect();
            text.push_str(&format!(" · waiting for {}", way.join(" → ")));
        }
        self.paint.strong(&words::cut(&text, columns))
    }
}

fn name_width(board: &Board) -> usize {
    let widest = board.rows.iter().map(|row| words::width(&words::name(row.info.id))).max();
    widest.unwrap_or(0).min(NAME_MAX)
}

fn detail_width(board: &Board, columns: usize) -> usize {
    columns.saturating_sub(3 + name_width(board) + 2 + TIME_WIDTH + 1)
}

fn line(
    board: &Board,
    glyph: &str,
    name: &str,
    detail: &str,
    elapsed: Option<Duration>,
    columns: usize,
) -> String {
    let head = format!(" {glyph} {}", words::pad(&words::cut(name, NAME_MAX), name_width(board)));
    let room = detail_width(board, columns);
    let time = elapsed.map(words::duration);
    if room < DETAIL_MIN {
        return words::cut(&format!("{head} {}", time.unwrap_or_default()), columns).trim_end().to_owned();
    }
    match time {
        Some(time) => format!("{head}  {} {time:>TIME_WIDTH$}", words::pad(&words::cut(detail, room), room)),
        // Without a duration, the detail uses its space.
        None => format!("{head}  {}", words::cut(detail, room + 1 + TIME_WIDTH)).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    fn drawn(columns: usize, rows: usize) -> String {
        let look = Look { paint: Paint::PLAIN, pace: Pace::new(60.0) };
        let mut board = Board::default();
        let mut lines = Vec::new();
        for event in fixture::events() {
            if let Some(at) = board.take(&event)
                && board.rows[at].state.is_over()
            {
                lines.push(look.over(&board, &board.rows[at], columns - 1));
            }
        }
        lines.extend(look.region(&board, fixture::now(), Size { columns, rows }));
        let too_wide: Vec<&String> = lines.iter().filter(|line| words::width(line) >= columns).collect();
        assert!(too_wide.is_empty(), "{too_wide:?}");
        lines.join("\n")
    }

    #[test]
    fn the_tree_at_eighty_columns() {
        insta::assert_snapshot!(drawn(80, 24), @"
        ✓ preflight       14 checks                                              0.4 s
        ✓ resource group  rg-aks-istio-gateway-demo, created                     0.3 s
        ✓ key vault       kv-aks-istio-6743 in eastus, changed                   0.2 s
        ⠸ certificate     ForbiddenByRbac, retrying                              1.4 s
        ⠴ cluster ready   Creating ━━━━━╸────────────── 83 s of about 280 s      1.6 s
        · istio           after cluster ready
        · TLS secret      after cluster ready, certificate
        · gateways        after istio, TLS secret
        · DNS             after gateways
        3 of 9 · about 5 s left · waiting for cluster ready → istio → gateways → DNS
        ");
    }

    #[test]
    fn the_tree_fits_a_narrow_terminal() {
        insta::assert_snapshot!(drawn(44, 24), @"
        ✓ preflight       14 checks          0.4 s
        ✓ resource group  created            0.3 s
        ✓ key vault       changed            0.2 s
        ⠸ certificate     ForbiddenByR…      1.4 s
        ⠴ cluster ready   Creating, 83…      1.6 s
        · istio           after cluster ready
        · TLS secret      after cluster ready, ce…
        · gateways        after istio, TLS secret
        · DNS             after gateways
        3 of 9 · about 5 s left · waiting for clu…
        ");
        insta::assert_snapshot!(drawn(24, 24), @"
        ✓ preflight      0.4 s
        ✓ resource group 0.3 s
        ✓ key vault      0.2 s
        ⠸ certificate    1.4 s
        ⠴ cluster ready  1.6 s
        · istio
        · TLS secret
        · gateways
        · DNS
        3 of 9 · about 5 s le…
        ");
    }

    #[test]
    fn on_a_short_terminal_the_waiting_steps_are_counted() {
        insta::assert_snapshot!(drawn(80, 8), @"
        ✓ preflight       14 checks                                              0.4 s
        ✓ resource group  rg-aks-istio-gateway-demo, created                     0.3 s
        ✓ key vault       kv-aks-istio-6743 in eastus, changed                   0.2 s
        ⠸ certificate     ForbiddenByRbac, retrying                              1.4 s
        ⠴ cluster ready   Creating ━━━━━╸────────────── 83 s of about 280 s      1.6 s
        · istio           after cluster ready
          … 3 more waiting
        3 of 9 · about 5 s left · waiting for cluster ready → istio → gateways → DNS
        ");
    }
}
