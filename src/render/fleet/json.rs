//! JSON events of a fleet's run, one object a line on stdout; each event of an environment contains its name.

use super::FleetDisplay;
use crate::{
    fleet::{
        causes::Cause,
        file::Fleet,
        result::EnvironmentResult,
        runner::{FleetEvent, FleetOutcome},
        waves::Wave,
    },
    render::{
        json::{Json, stamped},
        stream::{self, Stream},
    },
};
use landfall_engine::EventKind;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{self, Stdout},
    sync::Arc,
    time::SystemTime,
};

/// The display on standard output.
pub struct FleetJson {
    to: Stream<Stdout>,
    fleet: Arc<Fleet>,
    waves: Vec<Wave>,
    /// The display of each running environment, which leaves out repeated notes.
    running: HashMap<usize, Json<Stdout>>,
}

impl FleetJson {
    /// Creates a display.
    pub fn new(fleet: Arc<Fleet>, waves: Vec<Wave>) -> Self {
        Self { to: stream::out(), fleet, waves, running: HashMap::new() }
    }

    fn put(&mut self, name: &str, now: SystemTime, fields: Value) {
        self.to.json(&stamped(name, now, fields));
    }
}

impl FleetDisplay for FleetJson {
    fn show(&mut self, event: &FleetEvent, now: SystemTime) {
        match event {
            FleetEvent::WaveBegun { wave } => {
                let wave = &self.waves[*wave];
                let number = wave.environments.len();
                let fields = json!({ "wave": wave.name, "state": "started", "environments": number });
                self.put("wave", now, fields);
            }
            // The first event of its run says that it has started.
            FleetEvent::Started { .. } => {}
            FleetEvent::Step { environment, event } => {
                let one = &self.fleet.environments[*environment];
                let cloud = crate::target::name(one.config.place.cloud);
                let display = self
                    .running
                    .entry(*environment)
                    .or_insert_with(|| Json::of_environment(io::stdout(), cloud, &one.name));
                crate::render::Display::show(display, event);
                if matches!(event.what, EventKind::Closed { .. }) {
                    self.running.remove(environment);
                }
            }
            FleetEvent::Ended { environment, result, earlier } => {
                self.running.remove(environment);
                let name = &self.fleet.environments[*environment].name;
                let mut fields = of_result(name, result);
                fields["earlier"] = (*earlier).into();
                self.put("environment", now, fields);
            }
            FleetEvent::WaveEnded { wave, failures, stopped } => {
                let state = if *stopped { "stopped" } else { "ended" };
                let fields = json!({ "wave": self.waves[*wave].name, "state": state, "failed": failures });
                self.put("wave", now, fields);
            }
            FleetEvent::Soaking { wave, left } => {
                let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                let fields = json!({ "wave": self.waves[*wave].name, "state": "soaking", "left_ms": left });
                self.put("wave", now, fields);
            }
        }
    }

    fn say(&mut self, sentence: &str, now: SystemTime) {
        self.put("message", now, json!({ "text": sentence }));
    }

    fn tick(&mut self, _: SystemTime) {}

    fn close(&mut self) {}
}

/// Returns the fields of an environment's result.
pub fn of_result(name: &str, result: &EnvironmentResult) -> Value {
    let mut fields = json!({
        "environment": name, "outcome": result.outcome.name(), "elapsed_ms": result.elapsed_ms,
        "requests": result.requests, "found": result.steps.found, "created": result.steps.created,
        "changed": result.steps.changed, "deleted": result.steps.deleted,
    });
    if let Some(error) = &result.error {
        for (key, value) in [
            ("step", json!(error.step)),
            ("code", json!(error.code)),
            ("message", json!(error.message)),
            ("causes", json!(error.causes)),
            ("hint", json!(error.hint)),
            ("request_id", json!(error.request_id)),
        ] {
            fields[key] = value;
        }
    }
    fields
}

/// Returns the last line: the summary of the fleet.
pub fn summary(
    now: SystemTime,
    fleet: &Fleet,
    selected: usize,
    outcome: &FleetOutcome,
    causes: &[Cause],
) -> Value {
    let number = |wanted: fn(&EnvironmentResult) -> bool| {
        outcome.results.values().filter(|result| wanted(result)).count()
    };
    let unchanged = number(|result| result.outcome.name() == "unchanged");
    let causes: Vec<Value> = causes
        .iter()
        .map(|cause| {
            json!({
                "code": cause.error.code, "count": cause.environments.len(), "reason": cause.error.reason(),
                "hint": cause.error.hint, "environments": cause.environments,
            })
        })
        .collect();
    stamped(
        "fleet",
        now,
        json!({
            "fleet": fleet.name, "environments": selected,
            "ready": number(|result| result.outcome.is_good()), "unchanged": unchanged,
            "failed": number(|result| result.outcome.is_failure()),
            "refused": number(|result| result.outcome.name() == "refused"),
            "interrupted": number(|result| result.outcome.name() == "interrupted"),
            "not_run": selected - outcome.results.len(),
            "requests": outcome.results.values().map(|result| result.requests).sum::<u64>(),
            "elapsed_ms": u64::try_from(outcome.elapsed.as_millis()).unwrap_or(u64::MAX),
            "causes": causes,
        }),
    )
}
