//! Waits: poll times, events and ends. The clock is tokio's own.

use crate::cloud::{Cloud, Creating, RunResult, Runner, TestStep};
use futures::future::BoxFuture;
use landfall_engine::{
    Check, Context, EventKind, Graph, Kind, Leftover, Outcome, Poll, StatusCell, Step, StepError, TimeScale,
    UndoOutcome, Wait, up,
};
use serde::{Deserialize, Serialize};
use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

type StepFn = Box<dyn for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync>;

/// A step with a closure as its apply.
struct ClosureStep(StepFn);

impl Step for ClosureStep {
    type Input = ();
    type Output = ();
    fn title(&self) -> String {
        "the lake".into()
    }
    fn deadline(&self) -> Duration {
        seconds(3600)
    }
    async fn check(&self, _: &Context, _: &()) -> Result<Check<()>, StepError> {
        Ok(Check::Missing)
    }
    async fn apply(&self, cx: &Context, _: &()) -> Result<(), StepError> {
        (self.0)(cx).await
    }
    async fn undo(&self, _: &Context, _: ()) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::Deleted)
    }
}

fn closure_step(
    action: impl for<'a> Fn(&'a Context) -> BoxFuture<'a, Result<(), StepError>> + Send + Sync + 'static,
) -> Graph {
    let mut graph = Graph::new();
    graph.add("lake", ClosureStep(Box::new(action)), ());
    graph
}

/// Returns the times of the polls of a wait; `look` returns the result of each.
async fn polls(
    time_scale: TimeScale,
    wait: Wait,
    poll: impl Fn(Duration) -> Poll<()> + Send + Sync + 'static,
) -> (Vec<Duration>, RunResult) {
    let runner = Runner::new();
    let polled = Arc::new(Mutex::new(Vec::new()));
    let (saved, poll) = (polled.clone(), Arc::new(poll));
    let graph = closure_step(move |cx| {
        let (saved, poll) = (saved.clone(), poll.clone());
        Box::pin(async move {
            let began = Instant::now();
            cx.wait_until(wait, async || {
                saved.lock().unwrap().push(began.elapsed());
                Ok(poll(began.elapsed()))
            })
            .await
        })
    });
    let (mut run, mut receiver) = runner.run();
    run.time_scale = time_scale;
    let report = up(&graph, &run).await.unwrap();
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event.what);
    }
    let polled = polled.lock().unwrap().clone();
    (polled, RunResult { report, events })
}

fn notes(result: &RunResult) -> Vec<(&str, Duration)> {
    let note = |what| match what {
        &EventKind::Note { ref text, progress: Some(progress), .. } => Some((text.as_str(), progress.so_far)),
        _ => None,
    };
    result.events.iter().filter_map(note).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_poll_is_immediate_and_the_typical_end_is_detected_within_a_second() {
    let wait = Wait::new("it to fill", seconds(280), seconds(900));
    let end = Duration::from_millis(271_300);
    let filling = move |at| if at < end { Poll::not_yet("Filling") } else { Poll::Ready(()) };
    let (polls, result) = polls(TimeScale::REAL, wait, filling).await;
    assert_eq!(result.report.outcome, Outcome::Ready);
    assert_eq!(polls[0], Duration::ZERO);
    let noticed = *polls.last().unwrap();
    assert!(noticed - end <= seconds(1), "noticed at {noticed:?}");
    assert!(polls.len() < 60, "{} looks", polls.len());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_sent_every_second_and_counts_cloud_time() {
    let wait = Wait::new("it to fill", seconds(280), seconds(900));
    let end = Duration::from_millis(3500);
    let filling = move |at| if at < end { Poll::not_yet("Filling") } else { Poll::Ready(()) };
    let (_, result) = polls(TimeScale::new(60.0), wait, filling).await;
    let notes = notes(&result);
    assert_eq!(notes[0].0, "Filling, 0 s of about 280 s");
    assert_eq!(notes.len(), 4, "one with the first state, then one a second");
    assert_eq!(notes[3], ("Filling, 180 s of about 280 s", seconds(180)));
}

#[tokio::test(start_paused = true)]
async fn a_new_state_is_reported_immediately() {
    let wait = Wait::new("it to fill", seconds(8), seconds(900));
    let state = |at: Duration| match at.as_secs() {
        0 => Poll::not_yet("Digging"),
        1 => Poll::not_yet("Filling"),
        _ => Poll::Ready(()),
    };
    let (polls, result) = polls(TimeScale::REAL, wait, state).await;
    assert_eq!(polls, [seconds(0), seconds(1), seconds(2)]);
    let result: Vec<&str> = notes(&result).into_iter().map(|(text, _)| text).collect();
    assert!(result.contains(&"Digging, 0 s of about 8 s") && result.contains(&"Filling, 1 s of about 8 s"));
}

#[tokio::test(start_paused = true)]
async fn no_poll_precedes_the_minimum_delay_of_the_cloud() {
    let wait = Wait::new("it to fill", seconds(10), seconds(100));
    let (polls, result) =
        polls(TimeScale::REAL, wait, |_| Poll::not_before("Filling", Some(seconds(30)))).await;
    assert_eq!(polls, [0, 30, 60, 90].map(seconds), "and not at the bound either");
    let error = &result.report.errors[0].1;
    assert_eq!(
        (error.kind, error.message.as_str()),
        (Kind::TimedOut, "wait for it to fill: Filling after 100 s")
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_timeout_it_polls_once_more_and_reports_the_last_state() {
    let wait = Wait::new("it to fill", seconds(40), seconds(100));
    let (polls, result) = polls(TimeScale::REAL, wait, |_| Poll::not_yet("Leaking")).await;
    assert_eq!(*polls.last().unwrap(), seconds(100));
    let error = &result.report.errors[0].1;
    assert_eq!(error.message, "wait for it to fill: Leaking after 100 s");
    assert_eq!((error.kind, error.leftover), (Kind::TimedOut, Leftover::Unknown));
}

#[tokio::test(start_paused = true)]
async fn polls_are_at_least_five_milliseconds_apart() {
    let wait = Wait::new("it to fill", seconds(280), seconds(900));
    let end = Duration::from_millis(50);
    let filling = move |at| if at < end { Poll::not_yet("Filling") } else { Poll::Ready(()) };
    let (polls, _) = polls(TimeScale::new(f64::INFINITY), wait, filling).await;
    assert_eq!(polls.len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_step_after_its_deadline_ends_with_its_last_state() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    graph.add("lake", TestStep::<()>::new(&cloud, "lake").creating(Creating::Slow), ());
    let report = runner.up(&graph).await.report;
    let (_, error) = &report.errors[0];
    assert_eq!((error.kind, error.message.as_str()), (Kind::TimedOut, "finish the lake within 600 s"));
    assert_eq!(error.causes, ["last seen: Some(Creating)"]);
    assert_eq!(error.leftover, Leftover::Something, "its ticket is kept");
    assert!(runner.journal_state().step_state("lake").unwrap().ticket.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_watch_has_a_timeout_and_heartbeats_like_any_wait() {
    let runner = Runner::new();
    let graph = closure_step(|cx| {
        Box::pin(async move {
            let status = StatusCell::new();
            let watch = async {
                status.set("0 of 2 ready");
                tokio::time::sleep(seconds(3)).await;
                status.set("1 of 2 ready");
                pending().await
            };
            cx.wait_for(Wait::new("the boats to float", seconds(5), seconds(20)), &status, watch).await
        })
    });
    let result = runner.up(&graph).await;
    let error = &result.report.errors[0].1;
    assert_eq!(error.message, "wait for the boats to float: 1 of 2 ready after 20 s");
    let notes = notes(&result);
    assert!(notes.iter().any(|(text, _)| *text == "0 of 2 ready, 0 s of about 5 s"));
    assert!(notes.iter().any(|(text, _)| *text == "1 of 2 ready, 3 s of about 5 s"));
    assert!(notes.len() >= 20, "{} notes in 20 s", notes.len());
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_run_is_stopped() {
    let runner = Runner::new();
    let stop = runner.stop.clone();
    let graph = closure_step(move |cx| {
        let stop = stop.clone();
        Box::pin(async move {
            let watch = async {
                stop.graceful();
                pending().await
            };
            cx.wait_for(Wait::new("the boats to float", seconds(5), seconds(20)), &StatusCell::new(), watch)
                .await
        })
    });
    assert_eq!(runner.up(&graph).await.report.outcome, Outcome::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_wait_counts_from_the_time_of_the_ticket() {
    #[derive(Serialize, Deserialize)]
    struct Operation(u32);
    let runner = Runner::new();
    let saved = jiff::Timestamp::try_from(SystemTime::now() - seconds(200)).unwrap();
    let path = runner.path().join("journal.jsonl");
    // A journal of the version before the seals can be written by hand.
    let mut text = include_str!("../fixtures/format-1.jsonl").lines().next().unwrap().to_owned() + "\n";
    text += &format!("{{\"at\":\"{saved:.3}\",\"entry\":\"ticket\",\"step\":\"lake\",\"ticket\":7}}\n");
    std::fs::write(&path, text).unwrap();
    let graph = closure_step(|cx| {
        Box::pin(async move {
            assert_eq!(cx.ticket::<Operation>().map(|operation| operation.0), Some(7));
            let (wait, polled) = (Wait::new("it to fill", seconds(280), seconds(900)), Mutex::new(false));
            cx.wait_until(wait, async || {
                let first = !std::mem::replace(&mut *polled.lock().unwrap(), true);
                Ok(if first { Poll::not_yet("Filling") } else { Poll::Ready(()) })
            })
            .await
        })
    });
    let result = runner.up(&graph).await;
    assert!(notes(&result)[0].1 >= seconds(200));
}

/// A step whose check waits for a minute until the cloud answers it.
struct WaitingCheck;

impl Step for WaitingCheck {
    type Input = ();
    type Output = ();
    fn title(&self) -> String {
        "the gate".into()
    }
    fn deadline(&self) -> Duration {
        seconds(3600)
    }
    async fn check(&self, cx: &Context, _: &()) -> Result<Check<()>, StepError> {
        let open_at = Instant::now() + seconds(60);
        cx.wait_until(Wait::new("the gate to open", seconds(60), seconds(600)), async || {
            Ok(if Instant::now() >= open_at { Poll::Ready(()) } else { Poll::not_yet("closed") })
        })
        .await?;
        Ok(Check::Missing)
    }
    async fn apply(&self, _: &Context, _: &()) -> Result<(), StepError> {
        tokio::time::sleep(seconds(5)).await;
        Ok(())
    }
    async fn undo(&self, _: &Context, _: ()) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::Deleted)
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_the_check_is_time_of_the_cloud() {
    let mut graph = Graph::new();
    graph.add("gate", WaitingCheck, ());
    let ideal = Runner::new().up(&graph).await.report.critical_path;
    assert!(ideal >= seconds(65), "{ideal:?}");
}

#[tokio::test(start_paused = true)]
async fn the_critical_path_ends_at_the_time_that_the_cloud_reports() {
    let runner = Runner::new();
    let graph = closure_step(|cx| {
        Box::pin(async move {
            tokio::time::sleep(seconds(10)).await;
            cx.ended_at(SystemTime::now() - seconds(4));
            Ok(())
        })
    });
    let report = runner.up(&graph).await.report;
    assert_eq!(report.elapsed, seconds(10));
    let ideal = report.critical_path;
    assert!(ideal <= seconds(6), "noticed four seconds late: {ideal:?}");
}
