//! The grid on a terminal: failures scroll away above it.

use super::{FleetDisplay, grid, progress::FleetProgress};
use crate::{
    fleet::runner::FleetEvent,
    render::{progress_tree::Size, region::Region, style::Styler, text},
};
use std::{io::Write, time::SystemTime};

/// The display.
pub struct Live<W: Write + Send, S: Fn() -> Size + Send> {
    progress: FleetProgress,
    style: Styler,
    region: Region<W, S>,
}

impl<W: Write + Send, S: Fn() -> Size + Send> Live<W, S> {
    /// Creates a display that writes to a terminal of that size.
    pub fn new(progress: FleetProgress, to: W, size: S, style: Styler) -> Self {
        Self { progress, style, region: Region::new(to, size) }
    }

    fn say_wrapped(&mut self, text: &str) {
        let columns = self.region.size().columns.saturating_sub(1);
        self.region.push(self.style.warn(&text::wrap(" ! ", text, columns)));
    }
}

impl<W: Write + Send, S: Fn() -> Size + Send> FleetDisplay for Live<W, S> {
    fn show(&mut self, event: &FleetEvent, now: SystemTime) {
        self.progress.take(event, now);
        if let FleetEvent::WaveEnded { wave, failures, stopped: true } = event {
            let name = self.progress.waves[*wave].name.clone();
            let failed = text::count(*failures, "failure");
            self.say_wrapped(&format!(
                "Wave {name} has {failed}, more than it may have: nothing new starts."
            ));
        }
    }

    fn say(&mut self, sentence: &str, _: SystemTime) {
        self.say_wrapped(sentence);
    }

    fn tick(&mut self, now: SystemTime) {
        let lines = grid::region(&self.progress, now, self.region.size(), self.style);
        self.region.draw(&lines);
    }

    fn close(&mut self) {
        // The last grid stays on the screen, with the summary below it.
        let columns = self.region.size().columns.saturating_sub(1);
        for line in grid::cells(&self.progress, columns, self.style) {
            self.region.push(line);
        }
        self.region.close();
    }
}
