//! Tests of the fleet's journal in a folder.

use super::*;
use crate::{
    exit::Exit,
    fleet::result::{EnvironmentOutcome, EnvironmentResult},
};
use std::{io::Write as _, path::Path};

async fn open(folder: &Path, name: &str, from_start: bool) -> Result<(Record, History), Failure> {
    let place = RecordPlace { folder: folder.to_owned(), store: None };
    let (holder, lease_id) = (Holder::of_this_process(name), String::new());
    Record::open(&place, RecordedCommand { name, from_start, holder, lease_id, run: None }).await
}

fn ended(environment: &str, outcome: EnvironmentOutcome) -> Entry {
    let result = EnvironmentResult::new(outcome);
    Entry::EnvironmentEnded { environment: environment.into(), settings: "1".into(), result }
}

#[tokio::test]
async fn an_unfinished_run_is_continued_and_a_finished_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("prod");
    let (record, history) = open(&folder, "up", false).await.ok().unwrap();
    assert!(history.unfinished.is_none());
    record.append(ended("a", EnvironmentOutcome::Ready)).await.ok().unwrap();
    record.append(Entry::WaveEnded { wave: "canary".into(), changed: true }).await.ok().unwrap();
    assert_eq!(open(&folder, "up", false).await.err().unwrap().exit, Exit::Locked);
    drop(record);

    let path = folder.join(folder::FILE);
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();
    let (record, history) = open(&folder, "up", false).await.ok().unwrap();
    let unfinished = history.unfinished.unwrap();
    assert_eq!(unfinished.ended.keys().collect::<Vec<_>>(), ["a"]);
    assert!(unfinished.waves["canary"].1);
    record.append(ended("b", EnvironmentOutcome::Failed)).await.ok().unwrap();
    record.append(Entry::Closed { complete: true }).await.ok().unwrap();
    drop(record);

    let (_, history) = open(&folder, "up", false).await.ok().unwrap();
    assert!(history.unfinished.is_none());
    let of = |name: &str| history.of(name, &["up", "down"]).unwrap().1.result.outcome;
    assert_eq!((of("a"), of("b")), (EnvironmentOutcome::Ready, EnvironmentOutcome::Failed));
}

#[tokio::test]
async fn another_command_or_a_run_from_the_start_ends_an_unfinished_run() {
    let folder = tempfile::tempdir().unwrap();
    for (command, from_start) in [("down", false), ("up", true)] {
        let folder = folder.path().join(command);
        let (record, _) = open(&folder, "up", false).await.ok().unwrap();
        record.append(ended("a", EnvironmentOutcome::Ready)).await.ok().unwrap();
        drop(record);
        let (_, history) = open(&folder, command, from_start).await.ok().unwrap();
        assert!(history.unfinished.is_none());
    }
}
