//! Output: converts events and results to text.
//!
//! `progress_state` folds the events of a run into the state of each step. `live_display` (which paints the
//! `progress_tree`), `line_display` and `json` display it during the run. `summary`, `failed_run`, `status`, `verify`, `teardown` and `graph`
//! are printed once. All of them are plain functions from values to text: only `stream` knows the terminal.

pub mod doctor;
pub mod escape;
pub mod estimate;
pub mod expiry;
pub mod failed_run;
#[cfg(test)]
pub mod fixture;
pub mod fleet;
pub mod graph;
pub mod json;
pub mod line_display;
pub mod live_display;
pub mod live_status;
pub mod plan;
pub mod progress_state;
pub mod progress_tree;
pub mod region;
pub mod report;
pub mod rotation;
pub mod status;
pub mod stream;
pub mod style;
pub mod summary;
pub mod teardown;
pub mod teardown_preview;
pub mod text;
pub mod verify;

use landfall_engine::Event;
use std::time::{Duration, SystemTime};
use tokio::{sync::mpsc::UnboundedReceiver, time::MissedTickBehavior};

/// The minimum interval between two redraws of a display.
const TICK: Duration = Duration::from_millis(100);

/// A display of a run.
pub trait Display: Send {
    /// Handles an event.
    fn show(&mut self, event: &Event);
    /// Prints a sentence of the program itself, for example about Ctrl-C.
    fn say(&mut self, sentence: &str);
    /// Updates the display to this time.
    fn tick(&mut self, now: SystemTime);
    /// Ends the display and restores the screen.
    fn close(&mut self);
}

/// Feeds a display until the events end.
pub async fn drive(
    display: &mut dyn Display,
    mut events: UnboundedReceiver<Event>,
    mut sentences: UnboundedReceiver<String>,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            Some(sentence) = sentences.recv() => display.say(&sentence),
            event = events.recv() => match event {
                Some(event) => display.show(&event),
                None => break,
            },
            _ = ticks.tick() => display.tick(SystemTime::now()),
        }
    }
    display.close();
}
