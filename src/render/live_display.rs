//! The tree on a terminal: finished lines scroll away, the region below them is redrawn several times a
//! second.
//!
//! The `progress_tree` module formats it, the `region` module replaces its previous output.

use super::{
    Display,
    progress_state::{ProgressState, State},
    progress_tree::{Size, TreeStyle},
    region::Region,
    text,
};
use landfall_engine::Event;
use std::{io::Write, time::SystemTime};

/// The display.
pub struct Live<W: Write + Send, S: Fn() -> Size + Send> {
    progress_state: ProgressState,
    tree_style: TreeStyle,
    region: Region<W, S>,
}

impl<W: Write + Send, S: Fn() -> Size + Send> Live<W, S> {
    /// Creates a display that writes to a terminal of that size.
    pub fn new(progress_state: ProgressState, to: W, size: S, tree_style: TreeStyle) -> Self {
        Self { progress_state, tree_style, region: Region::new(to, size) }
    }
}

impl<W: Write + Send, S: Fn() -> Size + Send> Display for Live<W, S> {
    fn show(&mut self, event: &Event) {
        let Some(at) = self.progress_state.take(event) else { return };
        let row = &self.progress_state.rows[at];
        // A blocked step is reported once, below the error that blocks it.
        if row.state.is_over() && !matches!(row.state, State::Blocked) {
            let columns = self.region.size().columns.saturating_sub(1);
            self.region.push(self.tree_style.completed_line(&self.progress_state, row, columns));
        }
    }

    fn say(&mut self, sentence: &str) {
        let columns = self.region.size().columns.saturating_sub(1);
        self.region.push(self.tree_style.style.warn(&text::wrap(" ! ", sentence, columns)));
    }

    fn tick(&mut self, now: SystemTime) {
        if self.progress_state.rows.is_empty() && !self.region.has_new_lines() {
            return;
        }
        let lines = match self.progress_state.rows.is_empty() {
            true => Vec::new(),
            false => self.tree_style.region(&self.progress_state, now, self.region.size()),
        };
        self.region.draw(&lines);
    }

    fn close(&mut self) {
        self.region.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{escape, fixture, style::Styler};
    use landfall_engine::TimeScale;

    fn wide(columns: usize, rows: usize) -> impl Fn() -> Size + Send {
        move || Size { columns, rows }
    }

    #[test]
    fn the_region_is_replaced_and_the_cursor_restored() {
        let mut written = Vec::new();
        {
            let tree_style = TreeStyle { style: Styler::PLAIN, time_scale: TimeScale::new(60.0) };
            let mut live = Live::new(ProgressState::default(), &mut written, wide(80, 24), tree_style);
            fixture::events().iter().for_each(|event| live.show(event));
            live.tick(fixture::now());
            live.say("Stopping.");
            live.tick(fixture::now());
            live.close();
        }
        let written = String::from_utf8(written).unwrap();
        let region = 7;
        assert_eq!(written.matches("\x1b[?25l").count(), 1);
        assert!(written.ends_with("\x1b[?25h"), "{written:?}");
        assert_eq!(written.matches(&format!("\x1b[{region}A")).count(), 2, "{written:?}");
        assert_eq!(written.matches("Stopping.").count(), 1);
    }

    #[test]
    fn an_injected_note_does_not_control_the_terminal() {
        let mut written = Vec::new();
        {
            let tree_style = TreeStyle { style: Styler::PLAIN, time_scale: TimeScale::new(60.0) };
            let mut live = Live::new(ProgressState::default(), &mut written, wide(80, 24), tree_style);
            fixture::events().iter().for_each(|event| live.show(event));
            let text = "a\x1b[2J\r\u{9b}2J\u{202e}\nb".to_owned();
            let what = landfall_engine::EventKind::Note { step: "cluster-ready", text, progress: None };
            live.show(&Event { at: fixture::now(), what });
            live.tick(fixture::now());
            live.say("\x1b[2J");
            live.close();
        }
        let written = String::from_utf8(written).unwrap();
        assert!(written.contains("a\\u{1b}[2J\\u{d}\\u{9b}2J\\u{202e}\\u{a}b"), "{written:?}");
        let sequences = ["\x1b[?25l", "\x1b[?25h", "\x1b[J", "\x1b[7A", "\r", "\n"];
        let rest = sequences.iter().fold(written, |rest, sequence| rest.replace(sequence, ""));
        assert!(!rest.contains(escape::is_deceptive), "{rest:?}");
    }

    #[test]
    fn a_narrower_terminal_is_cleared_including_rewrapped_lines() {
        let columns = std::sync::atomic::AtomicUsize::new(80);
        let mut written = Vec::new();
        {
            let size = || Size { columns: columns.load(std::sync::atomic::Ordering::Relaxed), rows: 24 };
            let tree_style = TreeStyle { style: Styler::PLAIN, time_scale: TimeScale::new(60.0) };
            let mut live = Live::new(ProgressState::default(), &mut written, size, tree_style);
            fixture::events().iter().for_each(|event| live.show(event));
            live.tick(fixture::now());
            columns.store(40, std::sync::atomic::Ordering::Relaxed);
            live.tick(fixture::now());
        }
        let written = String::from_utf8(written).unwrap();
        // All but two of the seven lines are wider than 40 columns and take two rows each.
        assert!(written.contains("\x1b[12A"), "{written:?}");
    }
}
