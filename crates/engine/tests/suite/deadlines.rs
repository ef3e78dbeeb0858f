//! Deadlines and heartbeats: nothing runs without a deadline or without events. The clock is tokio's own.

use crate::cloud::{Cloud, Creating, Deleting, RunResult, Runner, TestStep};
use landfall_engine::{
    Check, Context, EventKind, Graph, Kind, Outcome, Poll, Step, StepError, UndoOutcome, Wait, up,
};
use std::{future::pending, time::Duration};
use tokio::time::Instant;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The place where a step hangs.
#[derive(Clone, Copy, PartialEq)]
enum Hangs {
    Checking,
    Creating,
    Undoing,
    /// In a poll of a wait of ten seconds.
    Waiting,
}

struct Hanging(Hangs);

impl Step for Hanging {
    type Input = ();
    type Output = ();
    fn title(&self) -> String {
        "the lake".into()
    }
    fn deadline(&self) -> Duration {
        seconds(300)
    }
    fn typical_duration(&self) -> Duration {
        seconds(30)
    }
    async fn check(&self, _: &Context, (): &()) -> Result<Check<()>, StepError> {
        if self.0 == Hangs::Checking { pending().await } else { Ok(Check::Missing) }
    }
    async fn apply(&self, cx: &Context, (): &()) -> Result<(), StepError> {
        match self.0 {
            Hangs::Creating => pending().await,
            Hangs::Waiting => {
                let wait = Wait::new("it to fill", seconds(5), seconds(10));
                cx.wait_until(wait, pending::<Result<Poll<()>, StepError>>).await
            }
            Hangs::Checking | Hangs::Undoing => Ok(()),
        }
    }
    async fn undo(&self, _: &Context, (): ()) -> Result<UndoOutcome, StepError> {
        pending().await
    }
}

fn hanging(hangs: Hangs) -> Graph {
    let mut graph = Graph::new();
    graph.add("lake", Hanging(hangs), ());
    graph
}

fn notes(result: &RunResult) -> Vec<&str> {
    let mut notes = Vec::new();
    for what in &result.events {
        if let EventKind::Note { text, .. } = what {
            notes.push(text.as_str());
        }
    }
    notes
}

#[tokio::test(start_paused = true)]
async fn a_hanging_step_sends_heartbeats_and_times_out_with_its_activity() {
    for (hangs, shown, message, cause, after) in [
        (Hangs::Checking, "checking, 5 s", "finish the lake within 300 s", "it was checking", 300),
        (
            Hangs::Creating,
            "creating it, 5 s of about 30 s",
            "finish the lake within 300 s",
            "it was creating it",
            300,
        ),
        (Hangs::Undoing, "deleting it, 5 s", "delete the lake within 300 s", "it was deleting it", 300),
        (
            Hangs::Waiting,
            "waiting for it to fill, 1 s of about 5 s",
            "wait for it to fill: no state known",
            "",
            70,
        ),
    ] {
        let (runner, graph) = (Runner::new(), hanging(hangs));
        if hangs == Hangs::Undoing {
            runner.up(&graph).await;
        }
        let began = Instant::now();
        let result =
            if hangs == Hangs::Undoing { runner.down(&graph).await } else { runner.up(&graph).await };
        assert_eq!(began.elapsed(), seconds(after), "{shown}");
        let (_, error) = &result.report.errors[0];
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.message.starts_with(message), "{}", error.message);
        assert!(error.causes.iter().all(|result| result.starts_with(cause)), "{:?}", error.causes);
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("run the same command again")));
        let notes = notes(&result);
        assert!(notes.contains(&shown), "{notes:?}");
        let of_one_wait = notes.iter().all(|note| note.starts_with("waiting for it to fill"));
        assert_eq!(of_one_wait, hangs == Hangs::Waiting, "a wait has one text: {notes:?}");
        assert!(notes.len() as u64 >= after / 5 - 1, "{} notes in {after} s", notes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_ends_waits_and_a_second_stop_ends_hanging_steps() {
    for hangs in [Hangs::Checking, Hangs::Creating, Hangs::Waiting] {
        let (runner, graph) = (Runner::new(), hanging(hangs));
        let began = Instant::now();
        let (run, mut receiver) = runner.run();
        let press = async {
            while !matches!(receiver.recv().await.unwrap().what, EventKind::Checking { .. }) {}
            tokio::time::sleep(seconds(3)).await;
            runner.stop.graceful();
            tokio::time::sleep(seconds(3)).await;
            runner.stop.now();
        };
        let (report, ()) = tokio::join!(up(&graph, &run), press);
        assert_eq!(report.unwrap().outcome, Outcome::Interrupted);
        assert_eq!(began.elapsed(), seconds(6));
    }
}

#[tokio::test(start_paused = true)]
async fn identical_runs_emit_the_same_events_at_the_same_times() {
    async fn record_events() -> Vec<String> {
        let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
        let hill = graph.add("hill", TestStep::<()>::new(&cloud, "hill").creating(Creating::Brief), ());
        for id in ["lake", "mill", "wood", "road"] {
            let test_step =
                TestStep::<String>::new(&cloud, id).creating(Creating::Brief).deleting(Deleting::Deletes);
            graph.add(id, test_step, hill);
        }
        let began = Instant::now();
        let mut result = Vec::new();
        for bring_up in [true, true, false] {
            let (run, mut receiver) = runner.run();
            let walk = async {
                let walk = async {
                    if bring_up { up(&graph, &run).await } else { landfall_engine::down(&graph, &run).await }
                };
                walk.await.unwrap();
                drop(run);
            };
            let listen = async {
                while let Some(event) = receiver.recv().await {
                    let what = match event.what {
                        EventKind::Note { step, text, .. } => format!("{step}: {text}"),
                        EventKind::Finished { step, how, elapsed } => format!("{step}: {how:?} {elapsed:?}"),
                        what => format!("{what:?}"),
                    };
                    result.push(format!("{:?} {what}", began.elapsed()));
                }
            };
            tokio::join!(walk, listen);
        }
        result
    }
    let first = record_events().await;
    assert!(first.len() > 30);
    for _ in 0..5 {
        assert_eq!(record_events().await, first);
    }
}
