//! Fuzz target: the journal, with any bytes. Opening never panics, loses no complete entry, and writes
//! nothing to a file that it rejects. A second opening gives the same state. A crash loses at most the torn
//! last line. Any changed byte or missing line of a sealed journal is refused.

use landfall_engine::{Entry, EnvironmentKey, Journal, JournalState, OpenError};
use serde_json::Value;
use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

thread_local! {
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// Checks one journal.
pub fn check(data: &[u8]) {
    FOLDER.with_borrow_mut(|folder| {
        let dir = folder.get_or_insert_with(crate::folder).path();
        opening(dir, data);
        tearing(dir, data);
        damaging(dir, data);
    });
}

fn key(environment: &str) -> EnvironmentKey {
    EnvironmentKey { cloud: "sim".into(), subscription: "s".into(), environment: environment.into() }
}

/// Writes a journal to a folder without a record of an earlier one.
fn place(dir: &Path, data: &[u8]) -> PathBuf {
    for side_file in ["journal.lock", "journal.length"] {
        let _ = fs::remove_file(dir.join(side_file));
    }
    let file = dir.join("journal.jsonl");
    fs::write(&file, data).expect("the folder is ours");
    file
}

fn opening(dir: &Path, data: &[u8]) {
    let file = place(dir, data);
    let read = Journal::read(dir);
    assert_eq!(fs::read(&file).expect("just written"), data, "reading writes nothing");
    let (owner, known) = match &read {
        Ok(Some((owner, journal_state))) => (owner.clone(), journal_state.clone()),
        _ => (key("fuzz"), JournalState::default()),
    };
    if let Ok(Some((owner, _))) = &read {
        let other = EnvironmentKey { environment: format!("{}x", owner.environment), ..owner.clone() };
        let refused = Journal::open(dir, "up", &other, "0").map(drop);
        assert!(matches!(refused, Err(OpenError::OtherEnvironment { .. })), "{refused:?}");
        assert_eq!(fs::read(&file).expect("still there"), data, "a refused journal is not written to");
    }
    let journal = match Journal::open(dir, "up", &owner, "0") {
        Ok(journal) => journal,
        Err(error) => {
            assert!(read.is_err(), "what can be read can be opened: {error}");
            assert!(!error.to_string().is_empty());
            assert_eq!(fs::read(&file).expect("still there"), data, "a refused journal is not written to");
            return;
        }
    };
    assert!(read.is_ok(), "what can be opened can be read");
    assert_eq!(as_text(&journal.journal_state()), as_text(&known));
    let opened = fs::read(&file).expect("it is open");
    let kept = opened.iter().zip(data).take_while(|(is, was)| is == was).count();
    for line in data[line_start(data, kept)..].split_inclusive(|byte| *byte == b'\n') {
        assert!(!is_entry(line), "a whole entry was cut off: {}", String::from_utf8_lossy(line));
    }
    let entry = Entry::Started { step: "fuzz".into(), attempt: 1, creating: true, planned_name: None };
    journal.append(entry).expect("it can be appended to");
    let now = journal.journal_state();
    drop(journal);
    let again = Journal::open(dir, "up", &owner, "0").expect("what we wrote we can open");
    assert_eq!(as_text(&again.journal_state()), as_text(&now), "opening again remembers the same");
    drop(again);
    assert!(fs::read(&file).expect("it was open").starts_with(&opened), "nothing of ours is ever rewritten");
}

/// Checks that a journal with a changed byte or line is refused.
fn damaging(dir: &Path, data: &[u8]) {
    let file = place(dir, data);
    let Ok(known) = Journal::read(dir) else { return };
    let owner = known.map_or_else(|| key("fuzz"), |(owner, _)| owner);
    // A file that is not a journal cannot be opened.
    let Ok(journal) = Journal::open(dir, "up", &owner, "0") else { return };
    for attempt in 1..4 {
        let entry = Entry::Started { step: "fuzz".into(), attempt, creating: true, planned_name: None };
        journal.append(entry).expect("it can be appended to");
    }
    drop(journal);
    let whole = fs::read(&file).expect("it was open");
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let drawn = data.iter().fold(7, |sum: usize, byte| sum.wrapping_mul(33).wrapping_add(usize::from(*byte)));
    let mut changed = whole.clone();
    changed[drawn % whole.len()] ^= 1;
    let removed = drawn % lines.len();
    let without: Vec<u8> = lines
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != removed)
        .flat_map(|(_, line)| *line)
        .copied()
        .collect();
    for damaged in [changed, without] {
        fs::write(&file, &damaged).expect("the folder is ours");
        assert!(Journal::read(dir).is_err(), "{}", String::from_utf8_lossy(&damaged));
        let refused = Journal::open(dir, "up", &owner, "0").map(drop);
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(fs::read(&file).expect("still there"), damaged, "a refused journal is not written to");
    }
}

/// Checks the journal of a crashed process, whose last line is torn anywhere.
fn tearing(dir: &Path, data: &[u8]) {
    let file = place(dir, data);
    if Journal::read(dir).is_err() {
        return;
    }
    let cut = data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let cut = cut % (data.len() + 1);
    fs::write(&file, &data[..cut]).expect("the folder is ours");
    let torn = Journal::read(dir);
    if !data[..cut].contains(&b'\n') {
        // The first line identifies the journal's environment, and is written completely or not at all.
        assert!(matches!(torn, Ok(None) | Err(OpenError::Lost { .. })), "torn in its first line: {torn:?}");
        return;
    }
    assert!(torn.is_ok(), "a journal torn at {cut} is refused: {torn:?}");
}

/// Formats a journal state without the claims of its process: a new process has none.
fn as_text(journal_state: &JournalState) -> String {
    format!("{journal_state:?}").replace("claimed: true", "claimed: false")
}

/// Returns the start of the line that contains byte `at`.
fn line_start(data: &[u8], at: usize) -> usize {
    data[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// Returns whether a line with its end is an entry that this program knows.
fn is_entry(line: &[u8]) -> bool {
    let value: Option<Value> = line.ends_with(b"\n").then(|| serde_json::from_slice(line).ok()).flatten();
    let Some(Value::Object(mut fields)) = value else { return false };
    fields.remove("at").is_some_and(|at| at.is_string())
        && serde_json::from_value::<Entry>(Value::Object(fields)).is_ok()
}
