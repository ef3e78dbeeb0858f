//! Crashes at every request and at every journal entry.
//!
//! One run is recorded: the simulated cloud and all files, before and after each request and each journal
//! entry. A process that is killed leaves exactly the state at that time. So each snapshot is the state after
//! a crash, and a new run continues from it.

use crate::{
    environment::{Command, Environment, START_TIME, fresh, replayable},
    foreign_resources::ForeignResources,
    inventory,
    other_writer::{OtherWriter, write_killed_leftovers},
    snapshot::{Recorder, Recording, Snapshot},
};
use landfall_sim::{RequestRecord, Speed, state::CloudState};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Changes the settings, from the recorded run on.
pub type SettingsChange = fn(&mut Environment);

/// A recorded run, and its expected results.
pub struct RecordedRun {
    settings: SettingsChange,
    record: Recording,
    pub foreign_resources: ForeignResources,
    pub request_log: Vec<RequestRecord>,
    /// The inventories after `up` and after `down`.
    pub up: BTreeMap<String, Value>,
    down: BTreeMap<String, Value>,
}

/// Creates an environment among foreign resources and runs `before` with the first settings, then records
/// `filmed` with the second.
pub fn record(
    first: SettingsChange,
    before: &[Command],
    recorded: Command,
    settings: SettingsChange,
) -> RecordedRun {
    let run_before = async |env: &mut Environment| {
        for command in before {
            env.run_to_success(*command).await.unwrap();
        }
    };
    record_after(first, run_before, recorded, settings)
}

/// Like [`record`], with any preparation before the recorded run.
pub fn record_after(
    first: SettingsChange,
    before: impl AsyncFn(&mut Environment),
    recorded: Command,
    settings: SettingsChange,
) -> RecordedRun {
    replayable(1, async {
        let mut env = Environment::new(fresh(), START_TIME, Speed::Instant);
        first(&mut env);
        let foreign_resources = ForeignResources::create(&env).await;
        let down = inventory::collect(&env.sim.read(CloudState::clone));
        before(&mut env).await;
        settings(&mut env);
        let recorder = Recorder::on(&env, &env.transport);
        env.run_to_success(recorded).await.unwrap();
        let record = recorder.record(&env);
        let request_log = env.sim.request_log();
        if recorded == Command::Down {
            env.run_to_success(Command::Up).await.unwrap();
        }
        let up = inventory::collect(&env.sim.read(CloudState::clone));
        RecordedRun { settings, record, foreign_resources, request_log, up, down }
    })
}

impl RecordedRun {
    /// Returns the environment in the state of the crash.
    pub fn restore(&self, snapshot: &Snapshot) -> Environment {
        let mut env = Environment::from_snapshot(snapshot, Speed::Instant);
        (self.settings)(&mut env);
        env
    }
}

/// Continues from every snapshot, one per processor concurrently, and returns the failures with their places.
fn continue_all(
    recorded: &RecordedRun,
    check: impl Fn(&RecordedRun, &Snapshot) -> Vec<String> + Sync,
) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(snapshot) = recorded.record.snapshots.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let found = std::panic::catch_unwind(AssertUnwindSafe(|| check(recorded, snapshot)))
                        .unwrap_or_else(|_| vec!["panicked, see above".to_owned()]);
                    if !found.is_empty() {
                        let shown: Vec<String> =
                            found.iter().take(4).map(|one| one.chars().take(2400).collect()).collect();
                        let more = found.len() - shown.len();
                        let shown =
                            format!("killed {}, and {more} more:\n  {}", snapshot.label, shown.join("\n  "));
                        wrong.lock().unwrap().push(shown);
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// Lets another program change the kubeconfig during the runs. If the killed process may have been changing
/// it, its leftovers exist.
fn start_other_writer(env: &Environment, snapshot: &Snapshot) -> OtherWriter {
    if snapshot.may_hold_kubeconfig() {
        write_killed_leftovers(&env.settings.kubeconfig);
    }
    let writer = OtherWriter::new(env, snapshot.requests as u64);
    writer.join(env, false);
    writer
}

/// Runs `up` from a snapshot to the end: the environment is complete, with nothing created twice and no
/// foreign resource changed.
fn check_up(recorded: &RecordedRun, snapshot: &Snapshot) -> Vec<String> {
    replayable(2, async {
        let env = recorded.restore(snapshot);
        let writer = start_other_writer(&env, snapshot);
        if let Err(why) = env.run_to_success(Command::Up).await {
            return vec![why];
        }
        let mut wrong =
            inventory::differences(&recorded.up, &inventory::collect(&env.sim.read(CloudState::clone)));
        let request_log = env.sim.request_log();
        let lines = recorded
            .request_log
            .iter()
            .filter(|line| line.n as usize <= snapshot.requests)
            .chain(&request_log);
        wrong.extend(inventory::created_twice(lines));
        wrong.extend(writer.leave());
        wrong.extend(recorded.foreign_resources.changed(&env, true).await);
        wrong
    })
}

/// Runs `down` from a snapshot to the end: nothing owned is left, and no foreign resource is changed.
pub fn check_down(recorded: &RecordedRun, snapshot: &Snapshot) -> Vec<String> {
    replayable(3, async {
        let env = recorded.restore(snapshot);
        let writer = start_other_writer(&env, snapshot);
        let report = match env.run_to_success(Command::Down).await {
            Ok(report) => report,
            Err(why) => return vec![why],
        };
        let mut wrong =
            inventory::differences(&recorded.down, &inventory::collect(&env.sim.read(CloudState::clone)));
        wrong.retain(|line| !line.starts_with("vaults/deleted/"));
        wrong.extend(writer.leave());
        wrong.extend(recorded.foreign_resources.changed(&env, false).await);
        if !wrong.is_empty() {
            wrong.insert(0, format!("{:?} after {}", report.undone, snapshot.last_entries()));
        }
        wrong
    })
}

fn check_up_and_down(recorded: &RecordedRun, snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = check_up(recorded, snapshot);
    wrong.extend(check_down(recorded, snapshot).into_iter().map(|wrong| format!("then down: {wrong}")));
    wrong
}

fn sweep(name: &str, before: &[Command], recorded: Command) {
    sweep_recorded(name, "two", record(|_| {}, before, recorded, |_| {}), check_up_and_down);
}

/// Continues from every snapshot, and prints the result.
pub fn sweep_recorded(
    name: &str,
    runs: &str,
    recorded: RecordedRun,
    check: impl Fn(&RecordedRun, &Snapshot) -> Vec<String> + Sync,
) {
    let began = std::time::Instant::now();
    let wrong = continue_all(&recorded, check);
    println!(
        "{name}: {} instants, {} of them different, {runs} runs from each, {} wrong, {:.1} s",
        recorded.record.instants,
        recorded.record.snapshots.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn up_converges_after_a_crash_at_any_instant_of_the_first_run() {
    sweep("the first run", &[], Command::Up);
}

#[test]
fn up_converges_after_a_crash_at_any_instant_of_a_run_without_changes() {
    sweep("a run with nothing to do", &[Command::Up], Command::Up);
}

#[test]
fn both_commands_converge_after_a_crash_at_any_instant_of_down() {
    sweep("taking down", &[Command::Up], Command::Down);
}

#[test]
fn down_converges_after_a_crash_at_any_instant_while_an_aggregated_api_is_down() {
    let settings: SettingsChange = |env| env.arm(&["aggregated-api-down"]);
    let recorded = record(|_| {}, &[Command::Up], Command::Down, settings);
    sweep_recorded("taking down with an aggregated API down", "one", recorded, check_down);
}

#[test]
fn up_and_down_leave_foreign_resources_unchanged() {
    replayable(1, async {
        let env = Environment::new(fresh(), START_TIME, Speed::Instant);
        let foreign_resources = ForeignResources::create(&env).await;
        for command in [Command::Up, Command::Up, Command::Down] {
            env.run_to_success(command).await.unwrap();
        }
        assert_eq!(foreign_resources.changed(&env, false).await, [""; 0]);
    });
}
