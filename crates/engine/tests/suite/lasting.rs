//! Deadlines and heartbeats: nothing runs without a deadline or without events. The clock is tokio's own.

use crate::world::{Desk, Making, Thing, Told, Unmaking, World};
use landfall_engine::{Check, Context, Graph, Kind, Look, Outcome, Step, StepError, Undone, Wait, What, up};
use std::{future::pending, time::Duration};
use tokio::time::Instant;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The place where a step hangs.
#[derive(Clone, Copy, PartialEq)]
enum Hangs {
    Looking,
    Making,
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
    fn usual(&self) -> Duration {
        seconds(30)
    }
    async fn check(&self, _: &Context, (): &()) -> Result<Check<()>, StepError> {
        if self.0 == Hangs::Looking { pending().await } else { Ok(Check::Missing) }
    }
    async fn apply(&self, cx: &Context, (): &()) -> Result<(), StepError> {
        match self.0 {
            Hangs::Making => pending().await,
            Hangs::Waiting => {
                let wait = Wait::new("it to fill", seconds(5), seconds(10));
                cx.wait_until(wait, pending::<Result<Look<()>, StepError>>).await
            }
            Hangs::Looking | Hangs::Undoing => Ok(()),
        }
    }
    async fn undo(&self, _: &Context, (): ()) -> Result<Undone, StepError> {
        pending().await
    }
}

fn hanging(hangs: Hangs) -> Graph {
    let mut graph = Graph::new();
    graph.add("lake", Hanging(hangs), ());
    graph
}

fn notes(told: &Told) -> Vec<&str> {
    let mut notes = Vec::new();
    for what in &told.events {
        if let What::Note { text, .. } = what {
            notes.push(text.as_str());
        }
    }
    notes
}

#[tokio::test(start_paused = true)]
async fn whatever_a_step_hangs_in_it_is_shown_and_ended_and_the_error_says_where() {
    for (hangs, shown, message, cause, after) in [
        (Hangs::Looking, "checking, 5 s", "finish the lake within 300 s", "it was checking", 300),
        (
            Hangs::Making,
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
        let (desk, graph) = (Desk::new(), hanging(hangs));
        if hangs == Hangs::Undoing {
            desk.up(&graph).await;
        }
        let began = Instant::now();
        let told = if hangs == Hangs::Undoing { desk.down(&graph).await } else { desk.up(&graph).await };
        assert_eq!(began.elapsed(), seconds(after), "{shown}");
        let (_, error) = &told.report.errors[0];
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(error.message.starts_with(message), "{}", error.message);
        assert!(error.causes.iter().all(|told| told.starts_with(cause)), "{:?}", error.causes);
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("run the same command again")));
        let notes = notes(&told);
        assert!(notes.contains(&shown), "{notes:?}");
        let of_one_wait = notes.iter().all(|note| note.starts_with("waiting for it to fill"));
        assert_eq!(of_one_wait, hangs == Hangs::Waiting, "a wait has one text: {notes:?}");
        assert!(notes.len() as u64 >= after / 5 - 1, "{} notes in {after} s", notes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_gentle_stop_ends_whatever_does_not_hang_and_a_second_one_whatever_does() {
    for hangs in [Hangs::Looking, Hangs::Making, Hangs::Waiting] {
        let (desk, graph) = (Desk::new(), hanging(hangs));
        let began = Instant::now();
        let (run, mut heard) = desk.run();
        let press = async {
            while !matches!(heard.recv().await.unwrap().what, What::Looking { .. }) {}
            tokio::time::sleep(seconds(3)).await;
            desk.stop.gently();
            tokio::time::sleep(seconds(3)).await;
            desk.stop.now();
        };
        let (report, ()) = tokio::join!(up(&graph, &run), press);
        assert_eq!(report.unwrap().outcome, Outcome::Interrupted);
        assert_eq!(began.elapsed(), seconds(6));
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_alike_tell_the_same_events_at_the_same_moments() {
    async fn tell() -> Vec<String> {
        let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
        let hill = graph.add("hill", Thing::<()>::new(&world, "hill").making(Making::Brief), ());
        for id in ["lake", "mill", "wood", "road"] {
            let thing = Thing::<String>::new(&world, id).making(Making::Brief).unmaking(Unmaking::Deletes);
            graph.add(id, thing, hill);
        }
        let began = Instant::now();
        let mut told = Vec::new();
        for bring_up in [true, true, false] {
            let (run, mut heard) = desk.run();
            let walk = async {
                let walk = async {
                    if bring_up { up(&graph, &run).await } else { landfall_engine::down(&graph, &run).await }
                };
                walk.await.unwrap();
                drop(run);
            };
            let listen = async {
                while let Some(event) = heard.recv().await {
                    let what = match event.what {
                        What::Note { step, text, .. } => format!("{step}: {text}"),
                        What::Finished { step, how, elapsed } => format!("{step}: {how:?} {elapsed:?}"),
                        what => format!("{what:?}"),
                    };
                    told.push(format!("{:?} {what}", began.elapsed()));
                }
            };
            tokio::join!(walk, listen);
        }
        told
    }
    let first = tell().await;
    assert!(first.len() > 30);
    for _ in 0..5 {
        assert_eq!(tell().await, first);
    }
}
