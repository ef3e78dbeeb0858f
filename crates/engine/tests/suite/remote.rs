//! A journal in a remote store: one line is written once and before its act, whatever happens to the process, its
//! requests and its lease.

use crate::{
    cloud::{Cloud, Runner, drop_run, on, root},
    memory_store::{Fault, MemoryStore},
};
use landfall_engine::{
    Entry, EnvironmentKey, Event, Graph, Journal, JournalError, LeaseEnd, OpenError, Outcome, RemoteLog,
    RemoteOptions, Report, Run, Stop, TimeScale, moved_to, up,
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::yield_now, time::sleep};

fn key() -> EnvironmentKey {
    EnvironmentKey { cloud: "toy".into(), subscription: "none".into(), environment: "default".into() }
}

fn lease_id() -> String {
    let drawn = || format!("{:08x}", fastrand::u32(..));
    format!("{}-0000-4000-8000-{}0000", drawn(), drawn())
}

/// A machine: a state folder of its own.
struct Machine {
    folder: tempfile::TempDir,
    appends_max: u32,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), appends_max: 40_000 }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn open(&self, store: &MemoryStore) -> Result<Arc<Journal>, OpenError> {
        let options = RemoteOptions { appends_max: self.appends_max, ..RemoteOptions::new(lease_id()) };
        let store = Arc::new(store.clone());
        Journal::open_remote(store, self.path(), "up", &key(), "0.1.0", options).await.map(Arc::new)
    }

    async fn run(&self, store: &MemoryStore) -> (Run, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let journal = self.open(store).await.unwrap();
        (Run { journal, time_scale: TimeScale::REAL, stop: Stop::new(), events }, receiver)
    }

    async fn up(&self, graph: &Graph, store: &MemoryStore) -> Result<Report, JournalError> {
        let (run, _events) = self.run(store).await;
        let report = up(graph, &run).await;
        run.journal.close().await;
        drop_run(run).await;
        report
    }

    /// Runs until a fault stops the process, and drops everything, as a death does. Returns whether it was stopped.
    async fn up_until_stopped(&self, graph: &Graph, store: &MemoryStore) -> bool {
        let opened = tokio::select! {
            biased;
            () = store.stopped() => return true,
            opened = self.run(store) => opened,
        };
        let (run, _events) = opened;
        let stopped = tokio::select! {
            biased;
            () = store.stopped() => true,
            ended = up(graph, &run) => { ended.unwrap(); false }
        };
        drop_run(run).await;
        stopped
    }
}

fn graph(cloud: &Cloud) -> Graph {
    let mut graph = Graph::new();
    let hill = root(&mut graph, cloud, "hill");
    let lake = on(&mut graph, cloud, "lake", hill);
    on(&mut graph, cloud, "boat", lake);
    on(&mut graph, cloud, "mill", hill);
    graph
}

/// Returns each change that was made more than once.
fn repeated(cloud: &Cloud) -> Vec<String> {
    let changes = cloud.changes();
    let is_repeated = |change: &&String| changes.iter().filter(|other| other == change).count() > 1;
    changes.iter().filter(is_repeated).cloned().collect()
}

async fn assert_sound(store: &MemoryStore) {
    let content = Journal::read_remote(store).await.unwrap().unwrap();
    assert_eq!(content.journal_state.0.len(), 4, "{}", store.text());
    assert!(content.journal_state.0.values().all(|step| step.owned && step.output.is_some()));
    assert_eq!((content.holder, content.leased), (None, false));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_creates_nothing_twice_and_forgets_nothing() {
    let (store, cloud) = (MemoryStore::default(), Cloud::default());
    store.fault(usize::MAX, Fault::Busy);
    Machine::new().up(&graph(&cloud), &store).await.unwrap();
    let appends = store.appends();
    assert!(appends >= 6, "{appends}");
    for same_machine in [true, false] {
        for append in 1..=appends {
            for fault in [Fault::StopBefore, Fault::StopAfter] {
                let (store, cloud, first) = (MemoryStore::default(), Cloud::default(), Machine::new());
                let graph = graph(&cloud);
                store.fault(append, fault);
                first.up_until_stopped(&graph, &store).await;
                let other = Machine::new();
                let machine = if same_machine { &first } else { &other };
                if !same_machine {
                    let refused = machine.open(&store).await.map(drop);
                    assert!(
                        matches!(refused, Err(OpenError::Leased { .. })),
                        "{append} {fault:?}: {refused:?}"
                    );
                    sleep(Duration::from_secs(61)).await;
                }
                let report = machine.up(&graph, &store).await.unwrap();
                assert_eq!(report.outcome, Outcome::Ready, "{append} {fault:?}");
                assert_eq!(repeated(&cloud), [""; 0], "{append} {fault:?}");
                assert_sound(&store).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_a_busy_store_and_an_expired_lease_are_survived() {
    for fault in [Fault::AnswerLost, Fault::Busy, Fault::Expired] {
        for append in 1..=6 {
            let (store, cloud) = (MemoryStore::default(), Cloud::default());
            store.fault(append, fault);
            let report = Machine::new().up(&graph(&cloud), &store).await.unwrap();
            assert_eq!((report.outcome, report.created), (Outcome::Ready, 4), "{append} {fault:?}");
            assert_sound(&store).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_taken_lease_ends_the_run_and_nothing_more_is_created() {
    for append in 2..=5 {
        let (store, cloud) = (MemoryStore::default(), Cloud::default());
        store.fault(append, Fault::Taken);
        let machine = Machine::new();
        let (run, _events) = machine.run(&store).await;
        let error = up(&graph(&cloud), &run).await.unwrap_err();
        assert!(error.lease_lost, "{error:?}");
        assert_eq!(run.journal.lease_end(), Some(LeaseEnd::Lost));
        let created = cloud.changes().len();
        run.journal.append(Entry::Closed { outcome: Outcome::Failed }).expect_err("broken for good");
        assert!(run.journal.permit().await.is_err(), "no request may change anything");
        assert!(created < 4, "{append}: {created}");
        run.journal.close().await;
        drop_run(run).await;
        sleep(Duration::from_secs(61)).await;
        assert_eq!(machine.up(&graph(&cloud), &store).await.unwrap().outcome, Outcome::Ready);
        assert_eq!(repeated(&cloud), [""; 0], "{append}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_person_ended_stops_the_run_and_lets_it_close_the_journal() {
    let (store, cloud) = (MemoryStore::default(), Cloud::default());
    let machine = Machine::new();
    let journal = machine.open(&store).await.unwrap();
    let unlocked = Journal::unlock(&store, Duration::from_secs(30)).await.unwrap().unwrap();
    assert_eq!(unlocked.holder.unwrap().command, "up");
    journal.lease_ended().await;
    assert_eq!(journal.lease_end(), Some(LeaseEnd::Ended));
    journal.append(Entry::Closed { outcome: Outcome::Interrupted }).unwrap();
    journal.flushed().await.unwrap();
    drop(journal);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(Machine::new().up(&graph(&cloud), &store).await.unwrap().outcome, Outcome::Ready);
    assert_eq!(Journal::unlock(&store, Duration::ZERO).await.unwrap(), None, "no process holds it");
}

#[tokio::test(start_paused = true)]
async fn a_holder_keeps_its_lease_and_names_itself() {
    let (store, machine, other) = (MemoryStore::default(), Machine::new(), Machine::new());
    let journal = machine.open(&store).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    let refused = other.open(&store).await.map(drop).unwrap_err();
    let OpenError::Leased { holder: Some(holder), .. } = &refused else { panic!("{refused:?}") };
    assert!(holder.is_this_process() && holder.command == "up", "{holder}");
    let refused = machine.open(&store).await.map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "a second process of this machine");
    journal.permit().await.unwrap();
    journal.close().await;
    other.open(&store).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lines_that_wait_go_out_together() {
    let (store, machine) = (MemoryStore::default(), Machine::new());
    let journal = machine.open(&store).await.unwrap();
    store.fault(usize::MAX, Fault::Busy);
    store.slow(Duration::from_millis(10));
    for attempt in 1..=50 {
        let entry = Entry::Started { step: "lake".into(), attempt, creating: true, planned_name: None };
        journal.append(entry).unwrap();
        yield_now().await;
    }
    journal.flushed().await.unwrap();
    assert_eq!(store.appends(), 2, "the first line, and the others");
    assert_eq!(store.text().lines().count(), 51);
    journal.close().await;
    drop(journal);
    assert_eq!(machine.open(&store).await.unwrap().step_state("lake").attempts, 50);
}

#[tokio::test(start_paused = true)]
async fn a_full_part_is_continued_in_the_next_one_at_any_crash() {
    let few = || Machine { appends_max: 4, ..Machine::new() };
    let (store, cloud) = (MemoryStore::default(), Cloud::default());
    store.fault(usize::MAX, Fault::Busy);
    few().up(&graph(&cloud), &store).await.unwrap();
    let appends = store.appends();
    let (parts, sealed) = store.parts();
    assert!(parts > 2 && sealed == parts - 1, "{parts} {sealed}");
    assert_sound(&store).await;
    for append in 1..=appends {
        for fault in [Fault::StopBefore, Fault::StopAfter, Fault::AnswerLost] {
            let (store, cloud, machine) = (MemoryStore::default(), Cloud::default(), few());
            store.fault(append, fault);
            machine.up_until_stopped(&graph(&cloud), &store).await;
            assert_eq!(
                machine.up(&graph(&cloud), &store).await.unwrap().outcome,
                Outcome::Ready,
                "{append} {fault:?}"
            );
            assert_eq!(repeated(&cloud), [""; 0], "{append} {fault:?}");
            assert_sound(&store).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_of_another_program_ends_the_run() {
    let (store, machine) = (MemoryStore::default(), Machine::new());
    let journal = machine.open(&store).await.unwrap();
    store.write("{}\n");
    journal.append(Entry::Closed { outcome: Outcome::Ready }).unwrap();
    let error = journal.flushed().await.unwrap_err();
    assert!(!error.lease_lost && error.source.to_string().contains("without the lease"), "{error:?}");
    drop(journal);
    let refused = machine.open(&store).await.map(drop);
    assert!(matches!(refused, Err(OpenError::Corrupt { line: 2 })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_journal_is_accepted_in_the_next_part_and_stays() {
    let graph_of = |cloud: &Cloud| graph(cloud);
    // Without a fault, and with the death of the process at each append.
    for fault in [None, Some(Fault::StopBefore), Some(Fault::StopAfter)] {
        let (store, cloud, machine) = (MemoryStore::default(), Cloud::default(), Machine::new());
        machine.up(&graph_of(&cloud), &store).await.unwrap();
        assert!(Journal::salvage_remote(&store).await.unwrap().is_none(), "it is sound");
        let lines = store.text().lines().count();
        store.write("{}\n");
        let damaged = store.text();
        let accept = async |machine: &Machine| {
            let id = lease_id();
            tokio::select! {
                biased;
                () = store.stopped() => None,
                accepted = Journal::accept_remote(&store, machine.path(), "0.1.0", &id) => Some(accepted.unwrap()),
            }
        };
        if let Some(fault) = fault {
            store.fault(1, fault);
            assert!(accept(&machine).await.is_none(), "{fault:?}");
            assert_eq!(store.part_text(1), damaged);
            let refused = machine.open(&store).await.map(drop);
            assert!(matches!(refused, Err(OpenError::Corrupt { .. })), "{fault:?} {refused:?}");
        }
        let salvaged = Journal::salvage_remote(&store).await.unwrap().unwrap();
        assert_eq!(salvaged.key, key());
        let accepted = accept(&machine).await.unwrap().unwrap();
        assert_eq!((accepted.lines, accepted.kept.to_str()), (lines, Some("memory/journal-1")));
        assert!(matches!(accepted.damage, OpenError::Corrupt { .. }), "{:?}", accepted.damage);
        assert_eq!(store.part_text(1), damaged, "the damaged bytes stay");
        assert_eq!(store.parts(), (2, 1));
        assert!(accept(&machine).await.unwrap().is_none(), "nothing is wrong with it now");
        let again = Machine::new().up(&graph_of(&cloud), &store).await.unwrap();
        assert_eq!((again.outcome, again.created), (Outcome::Ready, 0));
        assert_sound(&store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_moved_journal_is_at_one_place_at_any_instant() {
    let (store, cloud, runner) = (MemoryStore::default(), Cloud::default(), Runner::new());
    let graph = graph(&cloud);
    runner.up(&graph).await;
    let before = runner.journal_state();
    let moved = Journal::push(runner.path(), &store, &lease_id()).await.unwrap();
    assert_eq!(moved.lines, store.text().lines().count());
    assert_eq!(moved_to(runner.path()).as_deref(), Some("memory/journal-1"));
    assert!(matches!(Journal::read(runner.path()), Err(OpenError::Moved { .. })));
    let again = Journal::push(runner.path(), &store, &lease_id()).await;
    assert!(matches!(again, Err(OpenError::Moved { .. })), "{again:?}");
    assert_eq!(Journal::read_remote(&store).await.unwrap().unwrap().journal_state, before);

    let other = Machine::new();
    assert_eq!(other.up(&graph, &store).await.unwrap().found, 4);
    let pulled = Journal::pull(&store, runner.path(), &lease_id()).await.unwrap();
    assert_eq!(pulled.lines, store.text().lines().count());
    assert!(matches!(Journal::read_remote(&store).await, Err(OpenError::Moved { .. })));
    assert!(matches!(other.open(&store).await.map(drop), Err(OpenError::Moved { .. })));
    assert_eq!(runner.up(&graph).await.report.found, 4);
    Journal::push(runner.path(), &store, &lease_id()).await.unwrap();
    assert_eq!(other.up(&graph, &store).await.unwrap().found, 4);
    assert_eq!(repeated(&cloud), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_journals_of_one_environment_are_refused() {
    let (store, cloud, runner) = (MemoryStore::default(), Cloud::default(), Runner::new());
    let graph = graph(&cloud);
    runner.up(&graph).await;
    Machine::new().up(&graph, &store).await.unwrap();
    let text = store.text();
    let pushed = Journal::push(runner.path(), &store, &lease_id()).await;
    assert!(matches!(pushed, Err(OpenError::TwoJournals { .. })), "{pushed:?}");
    let pulled = Journal::pull(&store, runner.path(), &lease_id()).await;
    assert!(matches!(pulled, Err(OpenError::TwoJournals { .. })), "{pulled:?}");
    let options = RemoteOptions::new(lease_id());
    let opened =
        Journal::open_remote(Arc::new(store.clone()), runner.path(), "up", &key(), "0.1.0", options).await;
    assert!(matches!(opened, Err(OpenError::TwoJournals { .. })), "{opened:?}");
    assert_eq!(store.text(), text);
    assert!(Journal::read(runner.path()).unwrap().is_some(), "both are as they were");
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_stored_under_the_lease_and_needs_no_line() {
    let store = MemoryStore::default();
    let (one, two) = (Machine::new(), Machine::new());
    let journal = one.open(&store).await.unwrap();
    let before = journal.bytes();
    assert!(journal.set_summary("ready").await);
    assert_eq!((journal.bytes(), store.summary(1).as_deref()), (before, Some("ready")));
    // A process that was replaced changes nothing any more.
    Journal::unlock(&store, Duration::ZERO).await.unwrap();
    let other = two.open(&store).await.unwrap();
    assert!(!journal.set_summary("failed").await);
    assert_eq!(store.summary(1).as_deref(), Some("ready"));
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_has_one_writer_at_a_time_and_a_lost_answer_writes_nothing_twice() {
    let store = MemoryStore::default();
    let (one, two) = (Machine::new(), Machine::new());
    let open =
        async |machine: &Machine| RemoteLog::open(Arc::new(store.clone()), machine.path(), &lease_id()).await;
    let (log, content) = open(&one).await.unwrap();
    assert_eq!(content, b"");
    store.fault(1, Fault::AnswerLost);
    log.append(b"a\n".to_vec()).await.unwrap();
    log.append(b"b\n".to_vec()).await.unwrap();
    assert!(matches!(open(&two).await, Err(OpenError::Leased { holder: None, .. })));
    assert_eq!(RemoteLog::read(&store).await.unwrap().unwrap(), b"a\nb\n");

    // A dead process of the same machine is replaced at once, one of another machine after its lease.
    drop(log);
    let (log, content) = open(&one).await.unwrap();
    assert_eq!(content, b"a\nb\n");
    drop(log);
    assert!(open(&two).await.is_err());
    sleep(landfall_engine::LEASE + Duration::from_secs(1)).await;
    let (log, _) = open(&two).await.unwrap();

    // A process whose lease another one took writes nothing.
    Journal::unlock(&store, Duration::ZERO).await.unwrap();
    let (other, _) = open(&one).await.unwrap();
    log.append(b"late\n".to_vec()).await.unwrap_err();
    log.lease_ended().await;
    assert_eq!(log.lease_end(), Some(LeaseEnd::Lost));
    other.append(b"c\n".to_vec()).await.unwrap();
    other.close().await;
    assert_eq!(RemoteLog::read(&store).await.unwrap().unwrap(), b"a\nb\nc\n");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn on_a_machine_without_other_users_the_folders_above_are_not_checked() {
    use std::{fs, os::unix::fs::PermissionsExt};

    let store = MemoryStore::default();
    let machine = Machine::new();
    let volume = machine.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
    let state = volume.join("state");
    let open = async |is_alone: bool| {
        let options = RemoteOptions { is_alone, ..RemoteOptions::new(lease_id()) };
        Journal::open_remote(Arc::new(store.clone()), &state, "up", &key(), "0.1.0", options).await
    };
    assert!(matches!(open(false).await, Err(OpenError::Unsafe { .. })));
    let journal = open(true).await.unwrap();
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    journal.close().await;
}
