use super::*;
use crate::{
    error::{Kind, Leftover, StepError},
    step_types::{How, Outcome, UndoOutcome},
};
use serde_json::{Value, json};
use std::fs;

fn key(environment: &str) -> EnvironmentKey {
    EnvironmentKey { cloud: "fake".into(), subscription: "0f3a".into(), environment: environment.into() }
}

fn open(dir: &Path) -> Result<Journal, OpenError> {
    Journal::open(dir, "up", &key("default"), "0.1.0")
}

/// One of each entry.
fn entries() -> Vec<Entry> {
    let step = || "lake".to_owned();
    vec![
        Entry::Started {
            step: step(),
            attempt: 1,
            creating: true,
            planned_name: Some(json!({"name": "lake-ä"})),
        },
        Entry::Ticket { step: step(), ticket: json!({"operation": "ä/1"}), undoes: false },
        Entry::Failed {
            step: step(),
            error: StepError::new(Kind::Failed, "fill it").leftover(Leftover::Something),
        },
        Entry::Started { step: step(), attempt: 2, creating: false, planned_name: None },
        Entry::Ticket { step: step(), ticket: Value::Null, undoes: false },
        Entry::Finished { step: step(), how: How::Created, output: json!("lake-7") },
        Entry::Ticket { step: step(), ticket: json!(2), undoes: true },
        Entry::Undone { step: step(), undone: UndoOutcome::Kept { why: "it has fish".into() } },
        Entry::Closed { outcome: Outcome::Ready },
    ]
}

#[test]
fn the_next_process_reads_the_written_state() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("deep/default");
    let journal = open(&dir).unwrap();
    entries().into_iter().for_each(|entry| journal.append(entry).unwrap());
    let journal_state = journal.journal_state();
    drop(journal);
    assert_eq!(open(&dir).unwrap().journal_state(), journal_state);
    assert_eq!(Journal::read(&dir).unwrap(), Some((key("default"), journal_state)));
}

/// Checks that a journal is refused because it lost its beginning, and is left unchanged.
fn assert_lost(dir: &Path, when: &str) {
    let path = dir.join(JOURNAL);
    let before = fs::read(&path).ok();
    for refused in [open(dir).map(drop), Journal::read(dir).map(drop)] {
        assert!(matches!(refused, Err(OpenError::Lost { .. })), "{when}: {refused:?}");
    }
    assert_eq!(fs::read(&path).ok(), before, "{when}: it was touched");
}

#[test]
fn a_journal_torn_at_any_byte_keeps_the_lines_before_it_and_accepts_appends() {
    // It is opened a thousand times, so it is in memory if such a folder exists.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let dir = dir.path();
    let journal = open(dir).unwrap();
    // The state after each whole line, by the length of the file.
    let path = dir.join(JOURNAL);
    let length = || usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    let mut stages = vec![(length(), journal.journal_state())];
    for entry in entries() {
        journal.append(entry).unwrap();
        stages.push((length(), journal.journal_state()));
    }
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        // The length on disk at that time: that of the last whole line, or of the one before it.
        let reached = stages.iter().filter(|(length, _)| *length <= cut).count();
        set_length(dir, &whole[..cut], reached.saturating_sub(1 + cut % 2).max(1));
        if cut < stages[0].0 {
            assert_lost(dir, &format!("cut at {cut}"));
            continue;
        }
        let (_, mut expected) = stages.iter().rev().find(|(length, _)| *length <= cut).unwrap().clone();
        assert_eq!(Journal::read(dir).unwrap().unwrap().1, expected, "cut at {cut}");
        let journal = open(dir).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        // A new run has started and cannot revoke the claims of the previous one.
        expected.apply("", &opened());
        assert_eq!(journal.journal_state(), expected, "cut at {cut}");
        let started = Entry::Started { step: "lake".into(), attempt: 9, creating: false, planned_name: None };
        journal.append(started).unwrap();
        drop(journal);
        let (_, journal_state) = Journal::read(dir).unwrap().expect("a header was written");
        assert_eq!(journal_state.step_state("lake").unwrap().attempts, 9, "cut at {cut}");
    }
}

/// Writes the length file of a journal with that many lines.
fn set_length(dir: &Path, journal: &[u8], lines: usize) {
    let bytes: usize = journal.split_inclusive(|byte| *byte == b'\n').take(lines).map(<[u8]>::len).sum();
    let last = journal[..bytes].split_inclusive(|byte| *byte == b'\n').next_back();
    let Some(line) = last.and_then(|line| serde_json::from_slice::<Value>(line).ok()) else { return };
    let sum = seal::Sum::parse(line["sum"].as_str().unwrap()).unwrap();
    let chain = seal::Chain { seq: line["seq"].as_u64().unwrap(), sum };
    length_record::remove(dir).unwrap();
    Length::open(dir, Last { bytes: bytes as u64, chain }).unwrap();
}

fn opened() -> Entry {
    let (command, landfall) = ("up".into(), "0.1.0".into());
    Entry::Opened { format: FORMAT, command, environment: key("default"), landfall, holder: None }
}

#[test]
fn a_missing_journal_is_not_mistaken_for_a_new_environment() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir).unwrap());
    fs::remove_file(dir.join(JOURNAL)).unwrap();
    assert_lost(dir, "gone");
    // A deliberate removal includes the lock file.
    fs::remove_file(dir.join(lock::LOCK)).unwrap();
    assert_eq!(Journal::read(dir).unwrap(), None);
    drop(open(dir).unwrap());
}

#[test]
fn a_first_run_that_crashed_before_its_journal_existed_lost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(lock::Lock::take(dir, "up").unwrap());
    fs::write(dir.join("journal.new"), "{\"at\":\"2026").unwrap();
    assert_eq!(Journal::read(dir).unwrap(), None);
    drop(open(dir).unwrap());
    assert!(!dir.join("journal.new").exists());
}

#[test]
fn an_unlocked_lock_file_can_be_taken_whatever_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir).unwrap());
    let whole = fs::read(dir.join(lock::LOCK)).unwrap();
    for left in [b"".as_slice(), b"\0\xff gibberish", b"{\"pid\":1}", &whole[..whole.len() / 2]] {
        fs::write(dir.join(lock::LOCK), left).unwrap();
        drop(open(dir).unwrap());
        assert_eq!(fs::read(dir.join(lock::LOCK)).unwrap().len(), whole.len(), "ours is in it again");
    }
}

#[test]
fn a_holder_without_a_written_name_still_holds_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let held = open(dir).unwrap();
    for written in ["", "{\"pid\":7"] {
        fs::write(dir.join(lock::LOCK), written).unwrap();
        let Err(error) = open(dir) else { panic!("not refused") };
        assert!(matches!(error, OpenError::Locked { holder: None }), "{error}");
        assert_eq!(error.to_string(), "lock the journal: another process holds it");
    }
    drop(held);
    drop(open(dir).unwrap());
}

#[test]
fn an_unknown_entry_kind_is_refused_and_never_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir).unwrap());
    let path = dir.join(JOURNAL);
    let header = fs::read_to_string(&path).unwrap();
    let unknown = "{\"at\":\"2026-11-23T09:00:00.000Z\",\"entry\":\"paused\",\"step\":\"lake\"}\n";
    for text in [format!("{header}{unknown}"), format!("{header}{unknown}{header}")] {
        fs::write(&path, &text).unwrap();
        let Err(error) = open(dir) else { panic!("not refused") };
        let message = "read line 2 of the journal: unknown entry \"paused\"";
        assert_eq!(error.to_string(), message);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it was not touched");
    }
}

#[test]
fn a_complete_last_line_that_is_no_entry_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir).unwrap());
    let path = dir.join(JOURNAL);
    let header = fs::read_to_string(&path).unwrap();
    for unknown in ["{}", "{\"at\":\"x\",\"entry\":\"started\"}", "{\"entry\":\"closed\"}"] {
        fs::write(&path, format!("{header}{unknown}\n")).unwrap();
        assert!(matches!(open(dir), Err(OpenError::Corrupt { line: 2 })), "{unknown}");
    }
}

#[test]
fn garbage_is_torn_at_the_end_and_corrupt_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir).unwrap());
    let path = dir.join(JOURNAL);
    let header = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{header}\u{0}\u{0}\u{0}\n")).unwrap();
    drop(open(dir).unwrap());
    fs::write(&path, format!("{header}gibberish\n{header}")).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(open(dir), Err(OpenError::Corrupt { line: 2 })));
    assert_eq!(fs::read(&path).unwrap(), before, "nothing is overwritten");
    fs::write(
        &path,
        "{\"at\":\"2026-11-23T09:00:00.000Z\",\"entry\":\"closed\",\"outcome\":\"ready\"}\n{}\n",
    )
    .unwrap();
    assert!(matches!(open(dir), Err(OpenError::Corrupt { line: 1 })), "the first line is a header");
}

#[test]
fn a_second_open_is_refused_and_reports_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path()).unwrap();
    let Err(OpenError::Locked { holder: Some(holder) }) = open(dir.path()) else { panic!("not refused") };
    assert_eq!((holder.pid, holder.command.as_str()), (std::process::id(), "up"));
    assert!(!holder.host.is_empty());
    drop(held);
    open(dir.path()).expect("free again");
}

#[test]
fn the_journal_of_another_environment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let refused = Journal::open(dir.path(), "up", &key("other"), "0.1.0");
    let Err(OpenError::OtherEnvironment { is, wanted }) = refused else { panic!("not refused") };
    assert_eq!((*is, *wanted), (key("default"), key("other")));
    let before = fs::read(dir.path().join(JOURNAL)).unwrap();
    for other in [
        EnvironmentKey { cloud: "real".into(), ..key("default") },
        EnvironmentKey { subscription: "9999".into(), ..key("default") },
    ] {
        let refused = Journal::open(dir.path(), "up", &other, "0.1.0");
        assert!(matches!(refused, Err(OpenError::OtherEnvironment { .. })));
    }
    assert_eq!(fs::read(dir.path().join(JOURNAL)).unwrap(), before, "it was not touched");
}

#[test]
fn a_newer_format_is_refused_whatever_its_header_contains() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(JOURNAL);
    let header = "{\"entry\":\"opened\",\"format\":3,\"where\":[],\"landfall\":\"3.1.0\"}";
    fs::write(&path, format!("{header}\n{{\"what\":1}}\n")).unwrap();
    let Err(error) = open(dir.path()) else { panic!("not refused") };
    let message =
        "read a journal of format 3, written by version 3.1.0: this version supports formats up to 2";
    assert_eq!(error.to_string(), message);
    assert!(fs::read_to_string(&path).unwrap().contains("what"), "it was not touched");
}

#[test]
fn unknown_fields_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(JOURNAL);
    let mut text = format!(
        "{}\n",
        json!({ "at": "2026-11-23T09:00:00.000Z", "entry": "opened", "format": 1,
        "command": "up", "environment": key("default"), "landfall": "0.1.0", "shape": "round" })
    );
    text.push_str("{\"at\":\"2026-11-23T09:00:00.000Z\",\"entry\":\"started\",\"step\":\"a\",\"attempt\":3,\"making\":true,\"colour\":\"red\"}\n");
    fs::write(&path, text).unwrap();
    assert_eq!(open(dir.path()).unwrap().step_state("a").attempts, 3);
}

#[test]
fn a_line_is_one_json_object_that_starts_with_its_time() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let text = fs::read_to_string(dir.path().join(JOURNAL)).unwrap();
    let line: Value = serde_json::from_str(&text).unwrap();
    let at = line["at"].as_str().unwrap();
    assert_eq!((at.len(), at.ends_with('Z')), ("2026-11-23T09:00:00.000Z".len(), true));
    assert_eq!(line["entry"], "opened");
    assert_eq!(line["format"], FORMAT);
}

#[test]
fn a_journal_writes_nothing_after_a_failed_write() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    // An unwritable handle replaces a full disk.
    let path = dir.path().join(JOURNAL);
    let writable = std::mem::replace(&mut journal.lock().folder().file, fs::File::open(&path).unwrap());
    let entry = || Entry::Started { step: "a".into(), attempt: 1, creating: true, planned_name: None };
    let error = journal.append(entry()).unwrap_err();
    assert_eq!(error.path, path);
    journal.lock().folder().file = writable;
    journal.append(entry()).expect_err("broken for good");
    assert_eq!(journal.journal_state(), JournalState::default());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    journal.lock().folder().file = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = journal.append(opened()).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().ends_with(JOURNAL), "{error}");
}

#[cfg(unix)]
#[test]
fn the_folder_and_its_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join(".state/default");
    drop(open(&dir).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(JOURNAL)), 0o600);
    assert_eq!(mode(&dir.join("journal.lock")), 0o600);
}

/// A step whose creation breaks its journal, and which may or may not detect this.
struct Breaks {
    journal: Arc<Journal>,
    saves_ticket: bool,
}

impl crate::Step for Breaks {
    type Input = ();
    type Output = ();
    fn title(&self) -> String {
        "the disk".into()
    }
    fn deadline(&self) -> std::time::Duration {
        std::time::Duration::from_secs(60)
    }
    async fn check(&self, _: &crate::Context, _: &()) -> Result<crate::Check<()>, StepError> {
        Ok(crate::Check::Missing)
    }
    async fn apply(&self, cx: &crate::Context, _: &()) -> Result<(), StepError> {
        let read_only = fs::File::open(&self.journal.path).unwrap();
        self.journal.lock().folder().file = read_only;
        if self.saves_ticket { cx.save_ticket(&1) } else { Ok(()) }
    }
    async fn undo(&self, _: &crate::Context, _: ()) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::Deleted)
    }
}

#[tokio::test]
async fn a_run_ends_when_its_journal_cannot_be_written() {
    for saves_ticket in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(open(dir.path()).unwrap());
        let mut graph = crate::Graph::new();
        graph.add("disk", Breaks { journal: journal.clone(), saves_ticket }, ());
        let (events, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let run =
            crate::Run { journal, time_scale: crate::TimeScale::REAL, stop: crate::Stop::new(), events };
        let error = crate::up(&graph, &run).await.unwrap_err();
        assert_eq!(error.path, dir.path().join(JOURNAL));
        while let Ok(event) = receiver.try_recv() {
            use crate::EventKind::{Closed, Failed, Finished};
            assert!(
                !matches!(event.what, Finished { .. } | Failed { .. } | Closed { .. }),
                "told, but not on disk"
            );
        }
    }
}
