//! JSON output, one object a line on stdout. The structure is a contract; readers ignore unknown fields.

use super::{Display, stream::Stream, summary::Summary, text};
use crate::failure;
use landfall_engine::{Event, EventKind, How, Outcome, Report, UndoOutcome};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    time::{Duration, SystemTime},
};

/// The minimum time between two notes of a step about one state, in real time.
const SAME_STATE_EVERY: Duration = Duration::from_secs(10);

/// The display.
pub struct Json<W: Write + Send> {
    to: Stream<W>,
    cloud: &'static str,
    /// The environment in each event of a fleet's run.
    environment: Option<String>,
    /// The state in each step's last note, and its time.
    noted: BTreeMap<&'static str, (String, SystemTime)>,
}

impl<W: Write + Send> Json<W> {
    /// Creates a display that writes to `to`.
    pub fn new(to: W, cloud: &'static str) -> Self {
        Self { to: Stream::new(to), cloud, environment: None, noted: BTreeMap::new() }
    }

    /// Creates a display of one environment of several, whose name each event contains.
    pub fn of_environment(to: W, cloud: &'static str, environment: &str) -> Self {
        Self { environment: Some(environment.to_owned()), ..Self::new(to, cloud) }
    }

    /// Returns whether an event is a note that only repeats the previous state, too soon after it.
    fn repeats(&mut self, event: &Event) -> bool {
        let EventKind::Note { step, text, .. } = &event.what else { return false };
        let state = text::wait_state(text);
        if let Some((last, at)) = self.noted.get(step)
            && last == state
            && event.at.duration_since(*at).unwrap_or_default() < SAME_STATE_EVERY
        {
            return true;
        }
        self.noted.insert(step, (state.to_owned(), event.at));
        false
    }
}

impl<W: Write + Send> Display for Json<W> {
    fn show(&mut self, event: &Event) {
        if self.repeats(event) {
            return;
        }
        if let Some(mut object) = object(event, self.cloud) {
            if let Some(environment) = &self.environment {
                object["environment"] = environment.as_str().into();
            }
            self.to.json(&object);
        }
    }

    fn say(&mut self, sentence: &str) {
        self.to.json(&json!({ "event": "message", "at": text::time(SystemTime::now()), "text": sentence }));
    }

    fn tick(&mut self, _: SystemTime) {}

    fn close(&mut self) {}
}

/// Returns an event's object. The events of a check's start and of the close have none, because later ones
/// contain the result.
fn object(event: &Event, cloud: &str) -> Option<Value> {
    let (name, fields) = match &event.what {
        EventKind::Opened { environment, steps } => {
            let steps: Vec<&str> = steps.iter().map(|step| step.id).collect();
            ("opened", json!({ "environment": environment, "cloud": cloud, "steps": steps }))
        }
        EventKind::Checking { .. } | EventKind::Closed { .. } => return None,
        EventKind::Started { step, title, creating, attempt } => {
            ("started", json!({ "step": step, "title": title, "making": creating, "attempt": attempt }))
        }
        EventKind::Note { step, text, .. } => ("note", json!({ "step": step, "text": text })),
        EventKind::Retrying { step, because, wait } => {
            ("retrying", json!({ "step": step, "because": because, "wait_ms": ms(*wait) }))
        }
        EventKind::Finished { step, how, elapsed } => {
            ("finished", json!({ "step": step, "how": text::how(*how), "elapsed_ms": ms(*elapsed) }))
        }
        EventKind::Failed { step, error, elapsed } => (
            "failed",
            json!({
                "step": step, "code": error.code, "message": error.message, "causes": error.causes,
                "hint": failure::hint(error), "residue": text::leftover(error.leftover), "request_id": error.request_id,
                "elapsed_ms": ms(*elapsed),
            }),
        ),
        EventKind::Blocked { step, by } => ("blocked", json!({ "step": step, "by": by })),
        EventKind::Interrupted { step } => ("interrupted", json!({ "step": step })),
        EventKind::Undone { step, title, undone } => {
            let why = if let UndoOutcome::Kept { why } = undone { Some(why) } else { None };
            ("undone", json!({ "step": step, "title": title, "how": text::undone(undone), "why": why }))
        }
    };
    Some(stamped(name, event.at, fields))
}

/// Returns an object with the event's name and time.
pub fn stamped(name: &str, at: SystemTime, fields: Value) -> Value {
    let mut object = Map::new();
    object.insert("event".into(), name.into());
    object.insert("at".into(), text::time(at).into());
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object)
}

fn ms(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the last line of an `up`.
pub fn summary(at: SystemTime, report: &Report, facts: &Summary, requests: u64) -> Value {
    let outcome = match report.outcome {
        Outcome::Ready => "ready",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    stamped(
        "summary",
        at,
        json!({
            "outcome": outcome, "found": report.found, "created": report.created, "changed": report.changed,
            "failed": report.failed, "blocked": report.blocked, "elapsed_ms": ms(report.elapsed),
            "critical_path_ms": ms(report.critical_path), "requests": requests, "gateways": gateways(facts),
        }),
    )
}

/// Returns the line of the verification at the end of `up`.
pub fn verified(at: SystemTime, verification: Value) -> Value {
    stamped("verified", at, verification)
}

/// Returns the line of the preview of `down`.
pub fn plan(at: SystemTime, preview: Value) -> Value {
    stamped("plan", at, preview)
}

/// Returns the last line of a `down`.
pub fn farewell(at: SystemTime, report: &Report, requests: u64) -> Value {
    let in_progress = report.undone.iter().any(|(_, undone)| *undone == UndoOutcome::InProgress);
    let outcome = match report.outcome {
        Outcome::Ready if in_progress => "going",
        Outcome::Ready => "gone",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    let number =
        |wanted: &str| report.undone.iter().filter(|(_, undone)| text::undone(undone) == wanted).count();
    let left_behind = report
        .left_behind
        .iter()
        .map(|left| json!({ "step": left.step, "output": left.output, "named": left.planned_name }));
    stamped(
        "summary",
        at,
        json!({
            "outcome": outcome, "deleted": number("deleted"), "already_gone": number("already-gone"),
            "gone_with_parent": number("goes-with-parent"), "kept": number("kept"), "underway": number("underway"),
            "waiting": report.waiting, "failed": report.failed,
            "blocked": report.blocked, "elapsed_ms": ms(report.elapsed),
            "critical_path_ms": ms(report.critical_path), "requests": requests,
            "left_behind": left_behind.collect::<Vec<_>>(),
        }),
    )
}

/// Returns the gateways by name.
pub fn gateways(facts: &Summary) -> Value {
    let gateways =
        facts.gateways.iter().map(|gateway| (gateway.name.clone(), gateway.address.clone().into()));
    Value::Object(gateways.collect())
}

/// Returns the way in which a recorded step got its output.
pub fn how(how: Option<How>) -> Value {
    how.map_or(Value::Null, |how| text::how(how).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{fixture, summary};

    #[test]
    fn every_line_is_an_event() {
        let mut written = Vec::new();
        let mut json = Json::new(&mut written, "sim");
        fixture::events()[..5].iter().chain(&fixture::events()[12..]).for_each(|event| json.show(event));
        fixture::failure().iter().for_each(|event| json.show(event));
        insta::assert_snapshot!(String::from_utf8(written).unwrap(), @r#"
        {"event":"opened","at":"2026-11-23T09:31:02.000Z","environment":"default","cloud":"sim","steps":["preflight","resource-group","key-vault","certificate","cluster-ready","istio","tls-secret","gateways","dns"]}
        {"event":"finished","at":"2026-11-23T09:31:02.412Z","step":"preflight","how":"found","elapsed_ms":411}
        {"event":"started","at":"2026-11-23T09:31:02.420Z","step":"resource-group","title":"resource group rg-aks-istio-gateway-demo","making":true,"attempt":1}
        {"event":"retrying","at":"2026-11-23T09:31:03.000Z","step":"certificate","because":"ForbiddenByRbac","wait_ms":2000}
        {"event":"note","at":"2026-11-23T09:31:04.120Z","step":"cluster-ready","text":"Creating, 83 s of about 280 s"}
        {"event":"failed","at":"2026-11-23T09:31:04.400Z","step":"cluster-ready","code":"QuotaExceeded","message":"create cluster aks-istio-gateway-demo","causes":["quota exceeded for Standard DSv5 Family vCPUs in eastus (need 16, limit 10)","PUT /subscriptions/…/managedClusters/aks-istio-gateway-demo returned 409 QuotaExceeded"],"hint":"set nodes_max = 2 under [cluster] in landfall.toml, or request a quota increase: https://aka.ms/quota","residue":"nothing","request_id":"7a1c0b7e-0000-4000-8000-000000000001","elapsed_ms":192000}
        {"event":"blocked","at":"2026-11-23T09:31:04.401Z","step":"istio","by":"cluster-ready"}
        {"event":"interrupted","at":"2026-11-23T09:31:04.402Z","step":"certificate"}
        "#);
    }

    #[test]
    fn one_state_of_a_wait_is_noted_at_most_every_ten_seconds() {
        let mut written = Vec::new();
        let mut json = Json::new(&mut written, "sim");
        let note = |seconds: u64, text: String| Event {
            at: fixture::now() + Duration::from_secs(seconds),
            what: EventKind::Note { step: "cluster-ready", text, progress: None },
        };
        (0..=25).for_each(|at| json.show(&note(at, format!("Creating, {at} s of about 280 s"))));
        json.show(&note(26, "Updating, 1 s".into()));
        json.show(&note(27, "Updating, 2 s".into()));
        let written = String::from_utf8(written).unwrap();
        let texts: Vec<String> = written
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
            .collect();
        let wanted = [
            "Creating, 0 s of about 280 s",
            "Creating, 10 s of about 280 s",
            "Creating, 20 s of about 280 s",
            "Updating, 1 s",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn the_last_line_is_the_summary() {
        let line = super::summary(fixture::now(), &summary::tests::report(), &summary::tests::facts(), 71);
        insta::assert_snapshot!(line.to_string(), @r#"{"event":"summary","at":"2026-11-23T09:31:04.300Z","outcome":"ready","found":1,"created":16,"changed":0,"failed":0,"blocked":0,"elapsed_ms":6900,"critical_path_ms":6700,"requests":71,"gateways":{"httpbin-gateway":"127.0.0.11","echo-gateway":"127.0.0.12"}}"#);
    }
}
