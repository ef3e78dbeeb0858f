//! Lines for pipes and CI: one for the beginning and one for the end of each environment, and for each wave.

use super::{
    FleetDisplay, grid,
    progress::{CellState, FleetProgress},
};
use crate::{
    fleet::{result::EnvironmentResult, runner::FleetEvent},
    render::{escape, stream::Stream, text},
};
use std::{
    io::Write,
    time::{Duration, SystemTime},
};

/// The maximum silence, in real time: a supervisor takes a long silence for a hang.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The environments that a line about a wait names.
const NAMED_MAX: usize = 3;

/// The display.
pub struct Lines<W: Write + Send> {
    progress: FleetProgress,
    to: Stream<W>,
    last: SystemTime,
    /// The wave whose soak time was reported.
    soaking: Option<usize>,
}

impl<W: Write + Send> Lines<W> {
    /// Creates a display that writes to `to`.
    pub fn new(progress: FleetProgress, to: W) -> Self {
        let last = progress.began;
        Self { progress, to: Stream::new(to), last, soaking: None }
    }

    fn put(&mut self, now: SystemTime, what: &str, subject: &str, rest: &str) {
        self.last = now;
        let line = format!("{} {what:<8} {subject:<24} {rest}", text::time_of_day(now));
        self.to.line(escape::inline(line.trim_end()).as_ref());
    }

    fn end(&mut self, now: SystemTime, name: &str, result: &EnvironmentResult, earlier: bool) {
        if earlier {
            self.put(now, "earlier", name, "done by the interrupted run");
            return;
        }
        let detail = match &result.error {
            Some(error) => {
                let step = error.step.as_ref().map(|step| format!("{}: ", text::name(step)));
                let code = error.code.as_ref().map(|code| format!(" ({code})"));
                let (step, code) = (step.unwrap_or_default(), code.unwrap_or_default());
                let cause = error.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
                format!("{step}failed to {}{cause}{code}", error.message)
            }
            None => result.text(),
        };
        self.put(now, result.outcome.name(), name, &detail);
    }
}

impl<W: Write + Send> FleetDisplay for Lines<W> {
    fn show(&mut self, event: &FleetEvent, now: SystemTime) {
        self.progress.take(event, now);
        match event {
            FleetEvent::WaveBegun { wave } => {
                let wave = &self.progress.waves[*wave];
                let (name, number) = (wave.name.clone(), text::count(wave.environments.len(), "environment"));
                self.put(now, "wave", &name, &number);
            }
            FleetEvent::Started { environment } => {
                let name = self.progress.name(*environment).to_owned();
                self.put(now, "start", &name, "");
            }
            FleetEvent::Step { .. } => {}
            FleetEvent::Ended { environment, result, earlier } => {
                let name = self.progress.name(*environment).to_owned();
                self.end(now, &name, result, *earlier);
            }
            FleetEvent::WaveEnded { wave, failures, stopped } => {
                let name = self.progress.waves[*wave].name.clone();
                let failed = text::count(*failures, "failure");
                let rest = match (stopped, failures) {
                    (true, _) => format!("{failed}, more than it may have: nothing new starts"),
                    (false, 0) => "complete".to_owned(),
                    (false, _) => format!("complete, {failed}"),
                };
                self.put(now, "wave", &name, &rest);
            }
            FleetEvent::Soaking { wave, left } => {
                let is_due = now.duration_since(self.last).unwrap_or_default() >= SILENCE_MAX;
                if is_due || self.soaking.replace(*wave) != Some(*wave) {
                    let name = self.progress.waves[*wave].name.clone();
                    self.put(now, "soak", &name, &format!("next wave in {}", text::duration(*left)));
                }
            }
        }
    }

    fn say(&mut self, sentence: &str, now: SystemTime) {
        self.put(now, "note", "", sentence);
    }

    fn tick(&mut self, now: SystemTime) {
        if now.duration_since(self.last).unwrap_or_default() < SILENCE_MAX {
            return;
        }
        let running = self.progress.cells.iter().filter_map(|cell| match &cell.state {
            CellState::Running { step, .. } => Some((self.progress.name(cell.environment), step)),
            _ => None,
        });
        let named: Vec<String> =
            running.take(NAMED_MAX).map(|(name, step)| format!("{name} ({step})")).collect();
        let rest = format!("{}; {}", grid::headline(&self.progress, now).trim(), named.join(", "));
        self.put(now, "alive", "", &rest);
    }

    fn close(&mut self) {}
}
