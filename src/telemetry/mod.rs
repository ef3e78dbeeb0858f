//! Traces and metrics of a command, for an OpenTelemetry collector.
//!
//! Off, unless the standard variables name a collector; see [`config`]. The root span is the command, its children are
//! the steps, and theirs the waits and requests. Everything comes from what the program already has: the events of a
//! run and the requests that [`RequestCounter`] counts. Nothing here changes a result, an exit code or standard output.

mod config;
mod export;
mod recorder;
mod requests;
mod run_display;

use crate::{
    exit::Exit,
    render::{Display, stream},
    request_attribution,
    settings::sources::Environment,
};
use export::Export;
use landfall_cloud::RequestCounter;
use landfall_engine::{Event, Report};
use recorder::Recorder;
pub use requests::Requests;
use std::sync::{Arc, OnceLock};

/// The recorder of this process, if a collector is named. Requests are counted in clients that know no command.
static RECORDER: OnceLock<Arc<Recorder>> = OnceLock::new();

/// The telemetry of one command.
pub struct Telemetry(Option<(Export, Arc<Recorder>)>);

/// Starts the telemetry of a command, before the asynchronous runtime: the exporter has a thread and a client of its
/// own, which block.
pub fn start(environment: &Environment, command: &str, name: &str) -> Telemetry {
    let config = match config::read(environment) {
        Ok(Some(config)) => config,
        Ok(None) => return Telemetry(None),
        Err(why) => {
            stream::err().line(&format!("Warning: no telemetry is sent: {why}."));
            return Telemetry(None);
        }
    };
    match Export::start(&config) {
        Ok(export) => {
            let recorder = Arc::new(Recorder::new(&export, &config, command, name));
            // One command per process; a second start keeps the first recorder.
            let _ = RECORDER.set(recorder.clone());
            Telemetry(Some((export, recorder)))
        }
        Err(why) => {
            stream::err().line(&format!("Warning: no telemetry is sent: {why}."));
            Telemetry(None)
        }
    }
}

impl Telemetry {
    /// Ends the root span and sends what is left, within a bound. Call it after the runtime has ended.
    pub fn finish(self, exit: Exit) {
        if let Some((export, recorder)) = self.0 {
            recorder.finish(exit);
            export.shut_down();
        }
    }
}

/// Returns the counter of a run's requests, which traces them if a collector is named.
pub fn request_counter() -> RequestCounter {
    request_attribution::counter(RECORDER.get().cloned().map(Requests::new))
}

/// Returns a display that also records the events of the run, if a collector is named.
pub fn observed(display: Box<dyn Display>) -> Box<dyn Display> {
    match RECORDER.get() {
        Some(recorder) => Box::new(run_display::RunDisplay::new(display, recorder.clone())),
        None => display,
    }
}

/// Records an event of a run that has no display of its own, if a collector is named.
pub fn record(event: &Event) {
    if let Some(recorder) = RECORDER.get() {
        run_display::record(recorder, event);
    }
}

/// Makes every request a child of the command. The environments of a fleet have steps of the same names.
pub fn without_steps() {
    if let Some(recorder) = RECORDER.get() {
        recorder.without_steps();
    }
}

/// Records the duration of a run, and its overhead over the time that the cloud needed.
pub fn completed(report: &Report) {
    if let Some(recorder) = RECORDER.get() {
        recorder.completed(report);
    }
}
