//! Views of generated runs, which the tests of the pages use too.

use super::*;
use crate::render::fixture;
use landfall_engine::{BlockedStep, CriticalStep, Details, JournalState, StepActivity};
use serde_json::json;

/// The beginning of every generated run.
pub const BEGAN: &str = "2026-11-23T09:00:00.000Z";

pub fn key() -> EnvironmentKey {
    EnvironmentKey {
        cloud: "sim".into(),
        subscription: "00000000-0000-0000-0000-000000000001".into(),
        environment: "default".into(),
    }
}

/// Returns a time so many milliseconds after the beginning.
pub fn at(ms: i64) -> Timestamp {
    BEGAN.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_millis(ms)
}

pub fn line(ms: i64, entry: Entry, details: Details) -> RecordedLine {
    RecordedLine { at: format!("{:.3}", at(ms)), entry, details }
}

fn started(step: &str) -> Entry {
    Entry::Started { step: step.into(), attempt: 2, creating: true, planned_name: None }
}

fn finished(step: &str, how: How) -> Entry {
    Entry::Finished { step: step.into(), how, output: json!("made") }
}

fn turn(elapsed_ms: u64) -> Details {
    let activity = StepActivity {
        elapsed_ms,
        requests: 3,
        retries: vec![RetryCount { because: "HTTP 429".into(), count: 2 }],
        waits: vec![WaitSpan { what: "the cluster to be ready".into(), start_ms: 10, elapsed_ms: 30 }],
    };
    Details { activity: Some(activity), summary: None }
}

pub fn run(lines: Vec<RecordedLine>) -> RecordedRun {
    RecordedRun {
        number: 3,
        command: "up".into(),
        landfall: "0.1.0".into(),
        began: BEGAN.into(),
        lines,
        before: JournalState::default(),
        after: JournalState::default(),
    }
}

/// Returns the lines of a failed run, with or without the details that this version writes.
fn failed_lines(details: bool) -> Vec<RecordedLine> {
    let turn = |ms| if details { turn(ms) } else { Details::default() };
    let summary = RunSummary {
        elapsed_ms: 905,
        critical_path_ms: 700,
        critical_path: vec![CriticalStep { step: "cluster-ready".into(), cloud_ms: 700 }],
        requests: 9,
        blocked: vec![BlockedStep { step: "istio".into(), by: "cluster-ready".into() }],
        interrupted: vec!["certificate".into()],
    };
    let summary = details.then_some(summary);
    vec![
        line(100, finished("preflight", How::Found), turn(90)),
        line(110, started("resource-group"), Details::default()),
        line(200, finished("resource-group", How::Created), turn(95)),
        line(210, started("cluster-ready"), Details::default()),
        line(900, Entry::Failed { step: "cluster-ready".into(), error: fixture::error() }, turn(695)),
        line(904, Entry::Closed { outcome: Outcome::Failed }, Details { activity: None, summary }),
    ]
}

/// Returns the view of a failed run.
pub fn failed() -> RunView {
    RunView::new(&key(), &run(failed_lines(true)), &fixture::steps(), at(5_000), false)
}

fn step<'a>(view: &'a RunView, id: &str) -> &'a StepView {
    view.steps.iter().find(|step| step.id == id).unwrap()
}

#[test]
fn a_recorded_run_has_the_recorded_times_and_results() {
    let view = failed();
    assert_eq!((view.state, view.elapsed_ms, view.requests), (RunState::Failed, 905, Some(9)));
    assert_eq!(step(&view, "preflight").span, Some((10, 100)));
    let cluster = step(&view, "cluster-ready");
    assert_eq!((cluster.span, cluster.acting, cluster.attempt), (Some((205, 900)), Some(210), Some(2)));
    assert_eq!((cluster.waits[0].start_ms, cluster.critical), (215, Some(700)));
    assert_eq!(view.retries(), 6);
    assert_eq!(step(&view, "istio").result, StepResult::Blocked("cluster-ready".into()));
    assert_eq!(step(&view, "certificate").result, StepResult::Cut);
    assert_eq!(step(&view, "dns").result, StepResult::NotReached);
    assert_eq!(view.errors().count(), 1);
    assert_eq!(view.slowest().unwrap().id, "cluster-ready");
    assert!(!view.is_path_estimated);
}

#[test]
fn a_run_of_an_earlier_version_has_estimated_times() {
    let view = RunView::new(&key(), &run(failed_lines(false)), &fixture::steps(), at(5_000), false);
    assert_eq!((view.state, view.elapsed_ms, view.requests), (RunState::Failed, 904, None));
    assert_eq!(step(&view, "cluster-ready").span, Some((200, 900)), "it begins after its dependency");
    assert_eq!(step(&view, "preflight").span, Some((0, 100)));
    assert!(view.is_path_estimated);
    let path: Vec<(&str, u64)> = view.critical_path.iter().map(|(step, ms)| (step.as_str(), *ms)).collect();
    assert_eq!(path, [("preflight", 100), ("resource-group", 100), ("cluster-ready", 700)]);
}

#[test]
fn a_run_without_an_end_is_active_or_was_killed() {
    let mut lines = failed_lines(true);
    lines.truncate(4);
    let view = |is_active| RunView::new(&key(), &run(lines.clone()), &fixture::steps(), at(5_000), is_active);
    let (active, killed) = (view(true), view(false));
    assert_eq!((active.state, active.elapsed_ms), (RunState::Running, 5_000));
    assert_eq!(step(&active, "cluster-ready").span, Some((200, 5_000)));
    assert_eq!(step(&active, "cluster-ready").result, StepResult::Running);
    assert_eq!((killed.state, killed.elapsed_ms), (RunState::NoEnd, 210));
    assert_eq!(step(&killed, "cluster-ready").result, StepResult::Cut);
    assert_eq!(killed.requests, Some(6));
}

#[test]
fn a_step_that_this_version_does_not_have_is_shown_by_its_id() {
    let lines = vec![line(50, finished("log-workspace", How::Changed), turn(40))];
    let view = RunView::new(&key(), &run(lines), &fixture::steps(), at(5_000), false);
    assert_eq!((step(&view, "log-workspace").title.as_str(), view.done(How::Changed)), ("", 1));
}

#[test]
fn a_teardown_shows_what_it_undid() {
    let undone = |step: &str, undone| Entry::Undone { step: step.into(), undone };
    let lines = vec![
        line(
            10,
            Entry::Ticket { step: "cluster-ready".into(), ticket: json!(1), undoes: true },
            Details::default(),
        ),
        line(90, undone("cluster-ready", UndoOutcome::Deleted), turn(85)),
        line(95, undone("dns", UndoOutcome::Kept { why: "it was found".into() }), Details::default()),
        line(99, Entry::Closed { outcome: Outcome::Ready }, Details::default()),
    ];
    let view = RunView::new(
        &key(),
        &RecordedRun { command: "down".into(), ..run(lines) },
        &fixture::steps(),
        at(5_000),
        false,
    );
    assert_eq!(view.steps.len(), 2);
    let cluster = step(&view, "cluster-ready");
    assert_eq!((cluster.span, cluster.acting), (Some((5, 90)), Some(10)));
    assert_eq!(cluster.result, StepResult::Undone(UndoOutcome::Deleted));
}
