//! Recorded events are on disk, and only one process at a time writes there, until it exits.

use crate::world::{Desk, Making, Thing, World, on, root};
use landfall_engine::{EnvironmentKey, Graph, Journal, OpenError, Outcome, State, Undone, What, down, up};
use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Checks that the content of an event is on disk when the event is received.
fn must_be_on_disk(desk: &Desk, what: &What) {
    let past = |step: &str| desk.memory().past(step).cloned().unwrap_or_default();
    match what {
        What::Started { step, attempt, making, .. } => {
            assert!(past(step).attempts >= *attempt && past(step).ours >= *making);
        }
        What::Finished { step, .. } => assert!(past(step).output.is_some()),
        What::Failed { step, .. } => assert_eq!(past(step).state, State::Failed),
        What::Undone { step, undone: Undone::Deleted, .. } => assert!(!past(step).ours),
        What::Closed { .. } => {
            let text = std::fs::read_to_string(desk.path().join("journal.jsonl")).unwrap();
            assert!(text.lines().last().unwrap().contains("\"closed\""));
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_event_goes_out_after_its_entry_is_on_disk() {
    let (desk, world, mut graph) = (Desk::new(), World::default(), Graph::new());
    let hill = root(&mut graph, &world, "hill");
    let lake = on(&mut graph, &world, "lake", hill);
    graph.add("boat", Thing::<String>::new(&world, "boat").making(Making::Panics), lake);
    for (bring_up, outcome) in [(true, Outcome::Failed), (false, Outcome::Ready)] {
        let (run, mut heard) = desk.run();
        let listen = async {
            loop {
                let what = heard.recv().await.unwrap().what;
                must_be_on_disk(&desk, &what);
                if matches!(what, What::Closed { .. }) {
                    return;
                }
            }
        };
        let walk = async { if bring_up { up(&graph, &run).await } else { down(&graph, &run).await } };
        let (report, ()) = tokio::join!(walk, listen);
        assert_eq!(report.unwrap().outcome, outcome);
    }
}

fn key() -> EnvironmentKey {
    EnvironmentKey { cloud: "toy".into(), subscription: "none".into(), environment: "default".into() }
}

/// Body of the child process that the test below starts; on its own it does nothing.
#[test]
fn hold_the_journal_until_killed() {
    let Some(folder) = env::var_os("JOURNAL_FOLDER") else { return };
    let _journal = Journal::open(Path::new(&folder), "hold", &key(), "0.1.0").unwrap();
    println!("holding");
    std::io::stdin().lines().for_each(drop);
}

fn holding_process(folder: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "recorded::hold_the_journal_until_killed", "--nocapture"])
        .env("JOURNAL_FOLDER", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap());
    let holding = told.lines().map_while(Result::ok).any(|line| line.contains("holding"));
    assert!(holding, "the process ended without holding the journal");
    child
}

#[test]
fn a_second_process_is_told_who_holds_the_journal_and_gets_it_when_that_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = holding_process(folder.path());
    let open = || Journal::open(folder.path(), "up", &key(), "0.1.0");
    let Err(error) = open() else { panic!("not refused") };
    let words = error.to_string();
    let OpenError::Locked { holder: Some(holder) } = error else { panic!("refused otherwise: {words}") };
    assert_eq!((holder.pid, holder.command.as_str()), (child.id(), "hold"));
    assert!(words.contains(&format!("`hold` (process {} on ", holder.pid)), "{words}");
    assert!(Journal::read(folder.path()).unwrap().is_some(), "reading needs no lock");

    child.kill().unwrap();
    child.wait().unwrap();
    open().expect("the lock died with its holder");
}
