//! Modified journals: each is refused, left unchanged, and can be accepted by a person.

use super::*;
use crate::{
    error::{Kind, Leftover, StepError},
    step_types::How,
};
use serde_json::json;
use std::fs;

fn key() -> EnvironmentKey {
    EnvironmentKey { cloud: "fake".into(), subscription: "0f3a".into(), environment: "default".into() }
}

fn open(dir: &Path) -> Result<Journal, OpenError> {
    Journal::open(dir, "up", &key(), "0.1.0")
}

fn started(step: &str, attempt: u32) -> Entry {
    Entry::Started { step: step.into(), attempt, creating: true, planned_name: None }
}

/// A journal of six lines, closed.
fn written(dir: &Path) -> Vec<u8> {
    let journal = open(dir).unwrap();
    for (step, attempt) in [("hill", 1), ("lake", 1), ("lake", 2), ("wood", 1), ("sail", 1)] {
        journal.append(started(step, attempt)).unwrap();
    }
    drop(journal);
    fs::read(dir.join(JOURNAL)).unwrap()
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// Checks that each entry point refuses a modified journal with this reason and writes nothing.
fn assert_refused(dir: &Path, bytes: &[u8], wanted: Damage) {
    let path = dir.join(JOURNAL);
    fs::write(&path, bytes).unwrap();
    let before = fs::read(dir.join(LENGTH)).ok();
    for found in [open(dir).map(drop), Journal::read(dir).map(drop)] {
        match found {
            Err(OpenError::Damaged { how, .. }) => assert_eq!(how, wanted),
            other => panic!("{wanted:?}: {other:?}"),
        }
    }
    assert_eq!(fs::read(&path).unwrap(), bytes, "{wanted:?}: it was touched");
    assert_eq!(fs::read(dir.join(LENGTH)).ok(), before, "{wanted:?}: its length was touched");
}

#[test]
fn a_journal_truncated_at_a_line_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let all = lines(&whole);
    for kept in 1..all.len() {
        let cut = Damage::Cut { line: kept as u64 + 1, last: all.len() as u64 };
        assert_refused(dir.path(), &all[..kept].concat(), cut);
        // A torn line after the cut does not hide it.
        assert_refused(dir.path(), &[&all[..kept].concat(), &all[kept][..9]].concat(), cut);
    }
    fs::write(dir.path().join(JOURNAL), &whole).unwrap();
    open(dir.path()).expect("the whole one is sound");
}

#[test]
fn a_journal_with_a_removed_moved_or_duplicated_line_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let all = lines(&whole);
    let of = |order: &[usize]| order.iter().map(|at| all[*at]).collect::<Vec<_>>().concat();
    for (order, line, was) in [
        (&[0, 2, 3, 4, 5][..], 2, 3),
        (&[1, 2, 3, 4, 5], 1, 2),
        (&[0, 2, 1, 3, 4, 5], 2, 3),
        (&[0, 1, 1, 2, 3, 4, 5], 3, 2),
        (&[0, 1, 2, 3, 4, 5, 5], 7, 6),
        (&[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], 7, 1),
    ] {
        assert_refused(dir.path(), &of(order), Damage::Moved { line, was });
    }
}

#[test]
fn a_journal_with_any_changed_byte_is_refused() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let whole = written(dir.path());
    let sound = Journal::read(dir.path()).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(dir.path().join(JOURNAL), &changed).unwrap();
        if let Ok(read) = Journal::read(dir.path()) {
            panic!(
                "byte {at} was changed and {}",
                if read == sound { "did not show" } else { "was believed" }
            );
        }
    }
}

#[test]
fn an_edited_line_and_an_added_line_are_distinguished() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let text = String::from_utf8(whole.clone()).unwrap();
    let edited = text.replacen("\"attempt\":2", "\"attempt\":7", 1);
    assert_refused(dir.path(), edited.as_bytes(), Damage::Altered { line: 4 });
    let added = "{\"at\":\"2026-11-23T09:00:00.000Z\",\"entry\":\"started\",\"step\":\"x\",\"attempt\":1,\"making\":true}\n";
    assert_refused(dir.path(), &[&whole, added.as_bytes()].concat(), Damage::Unsealed { line: 7 });
    // The claim of an unsealed format does not help.
    assert_refused(
        dir.path(),
        text.replace("\"format\":2", "\"format\":1").as_bytes(),
        Damage::Altered { line: 1 },
    );
}

#[test]
fn another_journal_with_sound_seals_is_refused_by_its_length() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    written(dir.path());
    let journal = open(other.path()).unwrap();
    (1..9).for_each(|attempt| journal.append(started("lake", attempt)).unwrap());
    let other_journal = fs::read(other.path().join(JOURNAL)).unwrap();
    assert_refused(dir.path(), &other_journal, Damage::Replaced { line: 6 });
    // Without any seal it is not landfall's either.
    let plain: Vec<u8> = lines(&other_journal).iter().flat_map(|line| unsealed(line)).collect();
    assert_refused(dir.path(), &plain, Damage::Replaced { line: 6 });
}

/// Returns the line as an earlier version wrote it.
fn unsealed(line: &[u8]) -> Vec<u8> {
    let mut line: serde_json::Value = serde_json::from_slice(line).unwrap();
    let fields = line.as_object_mut().unwrap();
    fields.retain(|name, _| name != "seq" && name != "sum");
    if let Some(format) = fields.get_mut("format") {
        *format = 1.into();
    }
    format!("{line}\n").into_bytes()
}

#[test]
fn a_missing_or_unreadable_length_is_refused_if_there_was_one() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    fs::write(dir.path().join(LENGTH), "not a record\n").unwrap();
    assert_refused(dir.path(), &whole, Damage::LengthLost);
    fs::remove_file(dir.path().join(LENGTH)).unwrap();
    assert_refused(dir.path(), &whole, Damage::LengthLost);
    // A journal that was copied alone has neither lock nor length.
    fs::remove_file(dir.path().join(lock::LOCK)).unwrap();
    drop(open(dir.path()).unwrap());
    assert!(dir.path().join(LENGTH).exists());
}

#[test]
fn a_torn_length_record_leaves_the_previous_one() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let record = fs::read(dir.path().join(LENGTH)).unwrap();
    let at = 0;
    for torn in 1..30 {
        let mut left = record.clone();
        left[at..at + torn].fill(b'9');
        fs::write(dir.path().join(LENGTH), &left).unwrap();
        drop(open(dir.path()).unwrap_or_else(|error| panic!("torn at {torn}: {error}")));
        fs::write(dir.path().join(JOURNAL), &whole).unwrap();
        let five = lines(&whole)[..4].concat();
        fs::write(dir.path().join(LENGTH), &left).unwrap();
        assert_refused(dir.path(), &five, Damage::Cut { line: 5, last: 5 });
        fs::write(dir.path().join(JOURNAL), &whole).unwrap();
    }
}

#[test]
fn a_length_that_lags_by_a_line_is_updated() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    journal.append(started("hill", 1)).unwrap();
    let lagging = fs::read(dir.path().join(LENGTH)).unwrap();
    journal.append(started("lake", 1)).unwrap();
    drop(journal);
    fs::write(dir.path().join(LENGTH), lagging).unwrap();
    let journal = open(dir.path()).unwrap();
    assert!(journal.step_state("lake").owned && journal.step_state("hill").owned);
    drop(journal);
    let whole = fs::read(dir.path().join(JOURNAL)).unwrap();
    assert_refused(dir.path(), &lines(&whole)[..3].concat(), Damage::Cut { line: 4, last: 4 });
}

#[test]
fn a_journal_of_an_earlier_version_is_sealed_from_its_next_line_on() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let plain: Vec<u8> = lines(&whole).iter().flat_map(|line| unsealed(line)).collect();
    for file in [LENGTH, lock::LOCK] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    fs::write(dir.path().join(JOURNAL), &plain).unwrap();
    let before = Journal::read(dir.path()).unwrap();
    let journal = open(dir.path()).unwrap();
    journal.append(started("new", 1)).unwrap();
    drop(journal);
    let after = fs::read(dir.path().join(JOURNAL)).unwrap();
    assert!(after.starts_with(&plain), "what was there is not rewritten");
    assert!(before.is_some() && Journal::read(dir.path()).unwrap().unwrap().1.step_state("new").is_some());
    // The first seal covers the unsealed lines before it.
    let edited = String::from_utf8(after.clone()).unwrap().replacen("\"attempt\":2", "\"attempt\":7", 1);
    assert_refused(dir.path(), edited.as_bytes(), Damage::Altered { line: 7 });
    let all = lines(&after);
    let taken_out = [&all[..1], &all[2..]].concat().concat();
    assert_refused(dir.path(), &taken_out, Damage::Moved { line: 6, was: 7 });
    assert_refused(dir.path(), &all[..6].concat(), Damage::Cut { line: 7, last: 8 });
}

#[test]
fn a_damaged_journal_is_readable_and_accepted_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let all = lines(&whole);
    let damaged = [all[0], all[2], b"gibberish\n", all[4]].concat();
    let path = dir.path().join(JOURNAL);
    fs::write(&path, &damaged).unwrap();
    open(dir.path()).unwrap_err();
    let salvaged = Journal::salvage(dir.path()).unwrap().unwrap();
    assert_eq!(salvaged.key, key());
    let known = |journal_state: &JournalState| journal_state.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(known(&salvaged.journal_state), ["lake", "wood"]);
    assert!(matches!(
        salvaged.damage,
        Some(OpenError::Damaged { how: Damage::Moved { line: 2, was: 3 }, .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), damaged, "reading writes nothing");

    let accepted = Journal::accept(dir.path(), "0.1.0").unwrap().unwrap();
    assert_eq!((fs::read(&accepted.kept).unwrap(), accepted.lines), (damaged, 3));
    let journal = open(dir.path()).unwrap();
    assert_eq!(known(&journal.journal_state()), ["lake", "wood"]);
    drop(journal);
    assert!(Journal::accept(dir.path(), "0.1.0").unwrap().is_none(), "nothing is wrong with it now");
    assert!(Journal::salvage(dir.path()).unwrap().unwrap().damage.is_none());
}

#[test]
fn a_failed_length_write_ends_the_run_and_never_leads() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    journal.append(started("hill", 1)).unwrap();
    let read_only = fs::File::open(dir.path().join(LENGTH)).unwrap();
    match &mut journal.lock().folder().sync {
        SyncMode::Immediate(length) => length.replace(read_only),
        SyncMode::Background(_) => unreachable!("the journal was opened without it"),
    }
    let error = journal.append(started("lake", 1)).unwrap_err();
    assert!(error.path.ends_with(LENGTH), "{error}");
    journal.append(started("wood", 1)).expect_err("broken for good");
    assert!(!journal.step_state("lake").owned, "it was not told as remembered");
    drop(journal);
    assert!(
        open(dir.path()).unwrap().step_state("lake").owned,
        "its line was on disk, so it is not forgotten"
    );
}

#[test]
fn a_step_failure_is_recorded_with_its_seal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let error =
        StepError::new(Kind::Failed, "fill \"it\"").leftover(Leftover::Something).cause("a } and a \u{202e}");
    journal
        .append(Entry::Finished { step: "a".into(), how: How::Found, output: json!({"sum": "x", "seq": 9}) })
        .unwrap();
    journal.append(Entry::Failed { step: "a".into(), error: error.clone() }).unwrap();
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().step_state("a").error, Some(error));
}
