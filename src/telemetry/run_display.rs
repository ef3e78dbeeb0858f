//! A display that also records the events of a run.

use super::recorder::{Recorder, StepEnd};
use crate::render::Display;
use landfall_engine::{Event, EventKind, How};
use opentelemetry::KeyValue;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Records the events, and passes them on.
pub struct RunDisplay {
    display: Box<dyn Display>,
    recorder: Arc<Recorder>,
}

impl RunDisplay {
    /// Wraps a display.
    pub fn new(display: Box<dyn Display>, recorder: Arc<Recorder>) -> Self {
        Self { display, recorder }
    }
}

impl Display for RunDisplay {
    fn show(&mut self, event: &Event) {
        record(&self.recorder, event);
        self.display.show(event);
    }

    fn say(&mut self, sentence: &str) {
        self.display.say(sentence);
    }

    fn tick(&mut self, now: SystemTime) {
        self.display.tick(now);
    }

    fn close(&mut self) {
        self.display.close();
    }
}

/// Records an event.
pub fn record(recorder: &Recorder, event: &Event) {
    let at = event.at;
    let end = |step, outcome, error: Option<&str>, elapsed| {
        recorder.step_ended(step, at, &StepEnd { outcome, error, elapsed });
    };
    match &event.what {
        EventKind::Opened { .. } | EventKind::Closed { .. } => {}
        EventKind::Checking { step } => recorder.step_began(step, at),
        EventKind::Started { step, attempt, creating, .. } => {
            let attributes = vec![
                KeyValue::new("landfall.attempt", i64::from(*attempt)),
                KeyValue::new("landfall.creating", *creating),
            ];
            recorder.step_attributes(step, at, attributes);
        }
        EventKind::Note { step, text, progress } => recorder.noted(step, at, text, progress.is_some()),
        EventKind::Retrying { step, because, .. } => recorder.retrying(step, at, because),
        EventKind::Finished { step, how, elapsed } => {
            let outcome = match how {
                How::Found => "found",
                How::Created => "created",
                How::Changed => "changed",
            };
            end(step, outcome, None, *elapsed);
        }
        EventKind::Failed { step, error, elapsed } => {
            end(step, "failed", Some(&error.to_string()), *elapsed);
        }
        EventKind::Blocked { step, .. } => end(step, "blocked", None, Duration::ZERO),
        EventKind::Interrupted { step } => end(step, "interrupted", None, Duration::ZERO),
        EventKind::Undone { step, undone, .. } => {
            let outcome = if undone.is_deleted() { "deleted" } else { "kept" };
            end(step, outcome, None, Duration::ZERO);
        }
    }
}
