//! Output of a fleet's run: a grid on a terminal, lines in a pipe, JSON events, and the summary.

pub mod grid;
pub mod json;
pub mod lines;
pub mod live;
pub mod progress;
pub mod status;
pub mod summary;

use crate::fleet::runner::FleetEvent;
use std::time::SystemTime;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval},
};

/// A display of a fleet's run.
pub trait FleetDisplay {
    /// Handles an event.
    fn show(&mut self, event: &FleetEvent, now: SystemTime);
    /// Prints a sentence of the program itself.
    fn say(&mut self, sentence: &str, now: SystemTime);
    /// Updates the display to this time.
    fn tick(&mut self, now: SystemTime);
    /// Ends the display and restores the screen.
    fn close(&mut self);
}

/// Feeds a display until the events end.
pub async fn drive(
    display: &mut dyn FleetDisplay,
    mut events: UnboundedReceiver<FleetEvent>,
    mut sentences: UnboundedReceiver<String>,
) {
    let mut ticks = interval(super::TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            Some(sentence) = sentences.recv() => display.say(&sentence, SystemTime::now()),
            event = events.recv() => match event {
                Some(event) => display.show(&event, SystemTime::now()),
                None => break,
            },
            _ = ticks.tick() => display.tick(SystemTime::now()),
        }
    }
    display.close();
}

/// A display without output, for --quiet.
pub struct Silent;

impl FleetDisplay for Silent {
    fn show(&mut self, _: &FleetEvent, _: SystemTime) {}
    fn say(&mut self, _: &str, _: SystemTime) {}
    fn tick(&mut self, _: SystemTime) {}
    fn close(&mut self) {}
}
