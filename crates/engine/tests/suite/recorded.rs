//! Recorded events are on disk, and only one process at a time writes there, until it exits.

use crate::cloud::{Cloud, Creating, Runner, TestStep, on, root};
use landfall_engine::{
    EnvironmentKey, EventKind, Graph, Journal, OpenError, Outcome, StepStatus, UndoOutcome, down, up,
};
use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Checks that the content of an event is on disk when the event is received.
fn assert_on_disk(runner: &Runner, what: &EventKind) {
    let step_state = |step: &str| runner.journal_state().step_state(step).cloned().unwrap_or_default();
    match what {
        EventKind::Started { step, attempt, creating, .. } => {
            assert!(step_state(step).attempts >= *attempt && step_state(step).owned >= *creating);
        }
        EventKind::Finished { step, .. } => assert!(step_state(step).output.is_some()),
        EventKind::Failed { step, .. } => assert_eq!(step_state(step).state, StepStatus::Failed),
        EventKind::Undone { step, undone: UndoOutcome::Deleted, .. } => assert!(!step_state(step).owned),
        EventKind::Closed { .. } => {
            let text = std::fs::read_to_string(runner.path().join("journal.jsonl")).unwrap();
            assert!(text.lines().last().unwrap().contains("\"closed\""));
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_event_is_sent_after_its_entry_is_on_disk() {
    let (runner, cloud, mut graph) = (Runner::new(), Cloud::default(), Graph::new());
    let hill = root(&mut graph, &cloud, "hill");
    let lake = on(&mut graph, &cloud, "lake", hill);
    graph.add("boat", TestStep::<String>::new(&cloud, "boat").creating(Creating::Panics), lake);
    for (bring_up, outcome) in [(true, Outcome::Failed), (false, Outcome::Ready)] {
        let (run, mut receiver) = runner.run();
        let listen = async {
            loop {
                let what = receiver.recv().await.unwrap().what;
                assert_on_disk(&runner, &what);
                if matches!(what, EventKind::Closed { .. }) {
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
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let holding = stdout.lines().map_while(Result::ok).any(|line| line.contains("holding"));
    assert!(holding, "the process ended without holding the journal");
    child
}

#[test]
fn a_second_process_reports_the_holder_and_gets_the_journal_after_its_death() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = holding_process(folder.path());
    let open = || Journal::open(folder.path(), "up", &key(), "0.1.0");
    let Err(error) = open() else { panic!("not refused") };
    let message = error.to_string();
    let OpenError::Locked { holder: Some(holder) } = error else { panic!("refused otherwise: {message}") };
    assert_eq!((holder.pid, holder.command.as_str()), (child.id(), "hold"));
    assert!(message.contains(&format!("`hold` (process {} on ", holder.pid)), "{message}");
    assert!(Journal::read(folder.path()).unwrap().is_some(), "reading needs no lock");

    child.kill().unwrap();
    child.wait().unwrap();
    open().expect("the lock died with its holder");
}
