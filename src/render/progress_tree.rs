//! The tree display of a run: a pure function of board, time and size.
//!
//! Each completed step is a permanent line. Below are the running steps, the waiting steps, and one line with
//! the remaining time.

use super::{
    estimate,
    progress_state::{ProgressState, Row, State},
    style::Styler,
    text,
};
use landfall_engine::{How, Progress, TimeScale, UndoOutcome};
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
pub struct TreeStyle {
    /// The colours.
    pub style: Styler,
    /// The time scale of the cloud.
    pub time_scale: TimeScale,
}

impl TreeStyle {
    /// Returns the permanent line of a completed step.
    pub fn completed_line(self, progress_state: &ProgressState, row: &Row, columns: usize) -> String {
        let name = text::name(row.info.id);
        let subject = text::subject(&row.info.title, &name);
        let (glyph, became, elapsed) = match &row.state {
            State::Finished(How::Found, elapsed) => (self.style.good("✓"), String::new(), Some(*elapsed)),
            State::Finished(how, elapsed) => {
                (self.style.good("✓"), text::how(*how).to_owned(), Some(*elapsed))
            }
            State::Failed(elapsed) => {
                let after = format!("failed after {}", text::duration(*elapsed));
                return line(progress_state, &self.style.bad("✗"), &name, &after, None, columns);
            }
            State::Interrupted { started } => {
                return line(
                    progress_state,
                    &self.style.warn("!"),
                    &name,
                    text::interrupted(*started),
                    None,
                    columns,
                );
            }
            State::Undone(UndoOutcome::Deleted, elapsed) => {
                (self.style.good("✓"), "deleted".to_owned(), Some(*elapsed))
            }
            State::Undone(UndoOutcome::AlreadyDeleted, _) => {
                (self.style.good("✓"), "did not exist".to_owned(), None)
            }
            State::Undone(UndoOutcome::DeletedWithParent, _) => {
                (self.style.good("✓"), "deleted with its parent".to_owned(), None)
            }
            State::Undone(UndoOutcome::InProgress, _) => {
                (self.style.warn("…"), "being deleted".to_owned(), None)
            }
            State::Undone(UndoOutcome::Kept { why }, _) => {
                (self.style.warn("!"), format!("kept: {why}"), None)
            }
            State::Blocked | State::Waiting | State::Checking | State::Working => return String::new(),
        };
        // If the space is short, the result matters more than the title.
        let room = detail_width(progress_state, columns) + if elapsed.is_none() { 1 + TIME_WIDTH } else { 0 };
        let kept = room.saturating_sub(text::width(&became) + 2);
        let subject = if kept < DETAIL_MIN && !became.is_empty() {
            String::new()
        } else {
            text::cut(subject, kept.max(1))
        };
        let subject = if became.is_empty() { text::subject(&row.info.title, &name) } else { &subject };
        line(progress_state, &glyph, &name, &text::joined(&[subject, &became]), elapsed, columns)
    }

    /// Returns the region below the permanent lines.
    pub fn region(self, progress_state: &ProgressState, now: SystemTime, size: Size) -> Vec<String> {
        // One column stays free, and so many rows that the cursor never starts at the top. An erase from the
        // top fills the history of some terminals with a full screen per frame.
        let (columns, rows) = (size.columns.saturating_sub(1), size.rows.saturating_sub(4).max(1));
        let running = progress_state.rows.iter().filter(|row| row.state.is_running());
        let mut lines: Vec<String> =
            running.map(|row| self.running(progress_state, row, now, columns)).collect();
        let waiting: Vec<&Row> =
            progress_state.rows.iter().filter(|row| matches!(row.state, State::Waiting)).collect();
        lines.truncate(rows);
        let room = rows - lines.len();
        let shown = if waiting.len() <= room { waiting.len() } else { room.saturating_sub(1) };
        for row in &waiting[..shown] {
            let awaited: Vec<String> = progress_state.awaited(row).into_iter().map(text::name).collect();
            let detail = match awaited.is_empty() {
                true => String::new(),
                false => format!("after {}", awaited.join(", ")),
            };
            let name = text::name(row.info.id);
            let text = line(progress_state, "·", &name, &detail, None, columns);
            lines.push(self.style.dim(&text));
        }
        if shown < waiting.len() && room > 0 {
            lines.push(
                self.style.dim(&text::cut(&format!("   … {} more waiting", waiting.len() - shown), columns)),
            );
        }
        lines.push(self.bottom(progress_state, now, columns));
        lines
    }

    fn running(self, progress_state: &ProgressState, row: &Row, now: SystemTime, columns: usize) -> String {
        let name = text::name(row.info.id);
        let elapsed =
            row.started_at.and_then(|started_at| now.duration_since(started_at).ok()).unwrap_or_default();
        let frame = usize::try_from(elapsed.as_millis() / 100).unwrap_or(0) % SPINNER.len();
        let room = detail_width(progress_state, columns);
        let detail = match (&row.note, row.progress, &row.state) {
            (Some(note), Some(progress), _) => self.progress(note, progress, room),
            (Some(note), None, _) => note.clone(),
            (None, _, State::Checking) => "checking".to_owned(),
            (None, ..) => text::subject(&row.info.title, &name).to_owned(),
        };
        line(progress_state, &self.style.busy(SPINNER[frame]), &name, &detail, Some(elapsed), columns)
    }

    /// Returns `Creating ━━━━╸──── 83 s of about 280 s`, with a bar as wide as the space allows.
    fn progress(self, note: &str, progress: Progress, room: usize) -> String {
        let Some((state, figures)) = note.rsplit_once(", ").filter(|(_, end)| end.contains(" of about "))
        else {
            return note.to_owned();
        };
        let width = room.saturating_sub(text::width(state) + text::width(figures) + 2).min(*BAR.end());
        if !BAR.contains(&width) {
            return note.to_owned();
        }
        let typical_duration = progress.typical_duration.as_secs_f64();
        let share = if typical_duration > 0.0 {
            (progress.so_far.as_secs_f64() / typical_duration).min(1.0)
        } else {
            1.0
        };
        let full = (share * width as f64) as usize;
        let tip = usize::from(full < width);
        let bar = format!("{}{}", "━".repeat(full), "╸".repeat(tip));
        let rest = "─".repeat(width - full - tip);
        format!("{state} {}{} {figures}", self.style.busy(&bar), self.style.dim(&rest))
    }

    fn bottom(self, progress_state: &ProgressState, now: SystemTime, columns: usize) -> String {
        let left = estimate::remaining(progress_state, self.time_scale, now);
        let mut text = format!(" {} of {}", progress_state.done(), progress_state.rows.len());
        if left.time >= Duration::from_secs(1) {
            text.push_str(&format!(" · about {} left", text::roughly(left.time)));
        }
        if !left.path.is_empty() {
            let path: Vec<String> = left.path.iter().map(|step| text::name(step)).collect();
            text.push_str(&format!(" · waiting for {}", path.join(" → ")));
        }
        self.style.strong(&text::cut(&text, columns))
    }
}

fn name_width(progress_state: &ProgressState) -> usize {
    let widest = progress_state.rows.iter().map(|row| text::width(&text::name(row.info.id))).max();
    widest.unwrap_or(0).min(NAME_MAX)
}

fn detail_width(progress_state: &ProgressState, columns: usize) -> usize {
    columns.saturating_sub(3 + name_width(progress_state) + 2 + TIME_WIDTH + 1)
}

fn line(
    progress_state: &ProgressState,
    glyph: &str,
    name: &str,
    detail: &str,
    elapsed: Option<Duration>,
    columns: usize,
) -> String {
    let head = format!(" {glyph} {}", text::pad(&text::cut(name, NAME_MAX), name_width(progress_state)));
    let room = detail_width(progress_state, columns);
    let time = elapsed.map(text::duration);
    if room < DETAIL_MIN {
        return text::cut(&format!("{head} {}", time.unwrap_or_default()), columns).trim_end().to_owned();
    }
    match time {
        Some(time) => format!("{head}  {} {time:>TIME_WIDTH$}", text::pad(&text::cut(detail, room), room)),
        // Without a duration, the detail uses its space.
        None => format!("{head}  {}", text::cut(detail, room + 1 + TIME_WIDTH)).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    fn drawn(columns: usize, rows: usize) -> String {
        let tree_style = TreeStyle { style: Styler::PLAIN, time_scale: TimeScale::new(60.0) };
        let mut progress_state = ProgressState::default();
        let mut lines = Vec::new();
        for event in fixture::events() {
            if let Some(at) = progress_state.take(&event)
                && progress_state.rows[at].state.is_over()
            {
                lines.push(tree_style.completed_line(&progress_state, &progress_state.rows[at], columns - 1));
            }
        }
        lines.extend(tree_style.region(&progress_state, fixture::now(), Size { columns, rows }));
        let too_wide: Vec<&String> = lines.iter().filter(|line| text::width(line) >= columns).collect();
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
