//! The grid: one character for each environment, the counts, what runs, and the failures by cause.

use super::progress::{CellState, FleetProgress};
use crate::{
    fleet::{causes::Cause, result::EnvironmentOutcome},
    render::{progress_tree::Size, style::Styler, text},
};
use std::time::SystemTime;

/// The lines for the running environments.
const RUNNING_MAX: usize = 5;
/// The lines for the causes of failures during the run.
const CAUSES_MAX: usize = 4;
/// The columns before a cell's details.
const NAME: usize = 26;

/// Returns the character of a cell.
pub fn glyph(state: &CellState, style: Styler) -> String {
    match state {
        CellState::Waiting => style.dim("·"),
        CellState::Running { .. } => style.busy("▸"),
        CellState::Ended { result, .. } => outcome(result.outcome, style),
    }
}

/// Returns the character of an outcome.
pub fn outcome(outcome: EnvironmentOutcome, style: Styler) -> String {
    match outcome {
        EnvironmentOutcome::Ready => style.good("✓"),
        EnvironmentOutcome::Unchanged => style.good("="),
        EnvironmentOutcome::Failed => style.bad("✗"),
        EnvironmentOutcome::Refused => style.bad("!"),
        EnvironmentOutcome::Interrupted => style.warn("-"),
    }
}

/// Returns the region of the screen, in at most the terminal's rows.
pub fn region(progress: &FleetProgress, now: SystemTime, size: Size, style: Styler) -> Vec<String> {
    let columns = size.columns.saturating_sub(1).max(20);
    // So many rows stay free that the cursor never starts at the top of the screen.
    let rows = size.rows.saturating_sub(4).max(1);
    let mut lines = cells(progress, columns, style);
    lines.push(String::new());
    let last = headline(progress, now);
    let running = running(progress, now, style);
    let causes: Vec<String> =
        progress.causes().iter().take(CAUSES_MAX).map(|one| cause(one, style)).collect();
    for line in running.into_iter().chain(causes) {
        lines.push(text::cut(&line, columns));
    }
    lines.push(text::cut(&last, columns));
    // A short terminal shows the end, which changes most.
    let from = lines.len().saturating_sub(rows);
    lines.split_off(from)
}

/// Returns the cells, a wave after the other.
pub fn cells(progress: &FleetProgress, columns: usize, style: Styler) -> Vec<String> {
    let mut lines = Vec::new();
    let mut cells = progress.cells.iter();
    let width = progress.waves.iter().map(|wave| text::width(&wave.name)).max().unwrap_or(0).min(NAME);
    for wave in &progress.waves {
        let glyphs: Vec<String> =
            cells.by_ref().take(wave.environments.len()).map(|cell| glyph(&cell.state, style)).collect();
        for (row, glyphs) in glyphs.chunks(columns.saturating_sub(width + 3).max(1)).enumerate() {
            let name = if row == 0 { wave.name.as_str() } else { "" };
            lines.push(format!(" {} {}", text::pad(&text::cut(name, width), width), glyphs.concat()));
        }
    }
    lines
}

/// Returns the counts, the throughput and the time left.
pub fn headline(progress: &FleetProgress, now: SystemTime) -> String {
    let counts = progress.counts();
    let mut parts = vec![format!("{} of {}", counts.ended(), progress.cells.len()), counts.text()];
    if let Some(left) = progress.soak_left {
        parts.push(format!("next wave in {}", text::duration(left)));
        return format!(" {}", parts.join(" · "));
    }
    parts.extend(progress.per_minute(now).map(|rate| format!("{rate:.0} a minute")));
    if counts.waiting + counts.running > 0 {
        parts.extend(progress.time_left().map(|left| format!("about {} left", text::roughly(left))));
    }
    format!(" {}", parts.join(" · "))
}

/// Returns the environments that have run longest.
fn running(progress: &FleetProgress, now: SystemTime, style: Styler) -> Vec<String> {
    let running = progress.cells.iter().filter_map(|cell| match &cell.state {
        CellState::Running { since, step } => Some((*since, progress.name(cell.environment), step)),
        _ => None,
    });
    let mut running: Vec<_> = running.collect();
    running.sort_by_key(|(since, ..)| *since);
    let line = |(since, name, step): (SystemTime, &str, &String)| {
        let took = text::duration(now.duration_since(since).unwrap_or_default());
        format!(" {} {} {took:>7}  {step}", style.busy("▸"), text::pad(&text::cut(name, NAME), NAME))
    };
    running.into_iter().take(RUNNING_MAX).map(line).collect()
}

/// Returns a cause in one line, `37 × QuotaExceeded: …`.
pub fn cause(cause: &Cause, style: Styler) -> String {
    let number = style.bad(&format!("{} ×", cause.environments.len()));
    let code = cause.error.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
    format!(" {number} {code}{}", cause.error.reason().replace('\n', " "))
}
