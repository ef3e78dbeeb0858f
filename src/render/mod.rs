//! Events in, text out.
//!
//! `board` folds the events of a run into what is known of each step; `live` (which paints the `tree`), `line` and `json` show it while it
//! happens; `summary`, `trouble`, `status`, `verify`, `teardown` and `graph` are what is said once. All of them are plain
//! functions from values to text: only `stream` knows that there is a terminal.

pub mod board;
pub mod doctor;
pub mod escape;
pub mod estimate;
pub mod expiry;
#[cfg(test)]
mod fixture;
pub mod going;
pub mod graph;
pub mod json;
pub mod line;
pub mod live;
pub mod paint;
pub mod plan;
pub mod present;
pub mod rotation;
pub mod status;
pub mod stream;
pub mod summary;
pub mod teardown;
pub mod tree;
pub mod trouble;
pub mod verify;
pub mod words;

use landfall_engine::Event;
use std::time::{Duration, SystemTime};
use tokio::{sync::mpsc::UnboundedReceiver, time::MissedTickBehavior};

/// How often a display may draw itself anew.
const TICK: Duration = Duration::from_millis(100);

/// Something that shows a run.
pub trait Display: Send {
    /// Takes an event.
    fn show(&mut self, event: &Event);
    /// Says a sentence of the program's own, about Ctrl-C for instance.
    fn say(&mut self, sentence: &str);
    /// Time has passed.
    fn tick(&mut self, now: SystemTime);
    /// The run is over: leaves the screen as one wants to find it.
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
