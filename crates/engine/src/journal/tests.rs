use super::*;
use crate::{
    error::{Kind, Residue, StepError},
    run::Outcome,
    step::Undone,
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
fn story() -> Vec<Entry> {
    let step = || "lake".to_owned();
    vec![
        Entry::Started { step: step(), attempt: 1, making: true },
        Entry::Ticket { step: step(), ticket: json!({"operation": "ä/1"}), undoes: false },
        Entry::Failed {
            step: step(),
            error: StepError::new(Kind::Failed, "fill it").residue(Residue::Something),
        },
        Entry::Started { step: step(), attempt: 2, making: false },
        Entry::Ticket { step: step(), ticket: Value::Null, undoes: false },
        Entry::Finished { step: step(), how: How::Created, output: json!("lake-7") },
        Entry::Ticket { step: step(), ticket: json!(2), undoes: true },
        Entry::Undone { step: step(), undone: Undone::Kept { why: "it has fish".into() } },
        Entry::Closed { outcome: Outcome::Ready },
    ]
}

#[test]
fn what_was_written_is_remembered_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("deep/default");
    let journal = open(&dir).unwrap();
    story().into_iter().for_each(|entry| journal.append(entry).unwrap());
    let memory = journal.memory();
    drop(journal);
    assert_eq!(open(&dir).unwrap().memory(), memory);
    assert_eq!(Journal::read(&dir).unwrap(), Some((key("default"), memory)));
}

#[test]
fn a_journal_torn_at_any_byte_remembers_the_whole_lines_and_can_be_written_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let journal = open(dir).unwrap();
    // The memory after each whole line, by the length of the file.
    let path = dir.join(JOURNAL);
    let length = || usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    let mut stages = vec![(0, Memory::default()), (length(), journal.memory())];
    for entry in story() {
        journal.append(entry).unwrap();
        stages.push((length(), journal.memory()));
    }
    drop(journal);
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let journal = open(dir).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let (_, expected) = stages.iter().rev().find(|(length, _)| *length <= cut).unwrap();
        assert_eq!(&journal.memory(), expected, "cut at {cut}");
        journal.append(Entry::Started { step: "lake".into(), attempt: 9, making: false }).unwrap();
        drop(journal);
        let (_, memory) = Journal::read(dir).unwrap().expect("a header was written");
        assert_eq!(memory.past("lake").unwrap().attempts, 9, "cut at {cut}");
    }
}

#[test]
fn garbage_at_the_end_is_torn_and_in_the_middle_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(open(dir).unwrap());
    let path = dir.join(JOURNAL);
    let header = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{header}\u{0}\u{0}\u{0}\n")).unwrap();
    drop(open(dir).unwrap());
    fs::write(&path, format!("{header}gibberish\n{header}")).unwrap();
    assert!(matches!(open(dir), Err(OpenError::Corrupt { line: 2 })));
    fs::write(
        &path,
        "{\"at\":\"2026-11-23T09:00:00.000Z\",\"entry\":\"closed\",\"outcome\":\"ready\"}\n{}\n",
    )
    .unwrap();
    assert!(matches!(open(dir), Err(OpenError::Corrupt { line: 1 })), "the first line is a header");
}

#[test]
fn a_second_opening_is_refused_and_told_who_holds_it() {
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
}

#[test]
fn a_newer_format_is_refused_whatever_else_its_header_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(JOURNAL);
    fs::write(&path, "{\"entry\":\"opened\",\"format\":2,\"where\":[]}\n{\"what\":1}\n").unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Newer { format: 2 })));
    assert!(fs::read_to_string(&path).unwrap().contains("what"), "it was not touched");
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let path = dir.path().join(JOURNAL);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"at\":\"2026-11-23T09:00:00.000Z\",\"entry\":\"started\",\"step\":\"a\",\"attempt\":3,\"making\":true,\"colour\":\"red\"}\n");
    fs::write(&path, text).unwrap();
    assert_eq!(open(dir.path()).unwrap().past("a").attempts, 3);
}

#[test]
fn a_line_is_one_object_with_its_time_first() {
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
fn a_journal_that_failed_once_writes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    // A handle that cannot be written stands in for a full disk.
    let path = dir.path().join(JOURNAL);
    let writable = std::mem::replace(&mut journal.lock().file, fs::File::open(&path).unwrap());
    let entry = || Entry::Started { step: "a".into(), attempt: 1, making: true };
    let error = journal.append(entry()).unwrap_err();
    assert_eq!(error.path, path);
    journal.lock().file = writable;
    journal.append(entry()).expect_err("broken for good");
    assert_eq!(journal.memory(), Memory::default());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join(".state/default");
    drop(open(&dir).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(JOURNAL)), 0o600);
    assert_eq!(mode(&dir.join("journal.lock")), 0o600);
}

/// A step whose making breaks the journal it is written to, and then may or may not notice.
struct Breaks {
    journal: Arc<Journal>,
    keeps: bool,
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
        self.journal.lock().file = read_only;
        if self.keeps { cx.keep(&1) } else { Ok(()) }
    }
    async fn undo(&self, _: &crate::Context, _: ()) -> Result<Undone, StepError> {
        Ok(Undone::Deleted)
    }
}

#[tokio::test]
async fn a_run_ends_when_its_journal_cannot_be_written() {
    for keeps in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(open(dir.path()).unwrap());
        let mut graph = crate::Graph::new();
        graph.add("disk", Breaks { journal: journal.clone(), keeps }, ());
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let run = crate::Run { journal, pace: crate::Pace::REAL, stop: crate::Stop::new(), events };
        let error = crate::up(&graph, &run).await.unwrap_err();
        assert_eq!(error.path, dir.path().join(JOURNAL));
        while let Ok(event) = heard.try_recv() {
            use crate::What::{Closed, Failed, Finished};
            assert!(
                !matches!(event.what, Finished { .. } | Failed { .. } | Closed { .. }),
                "told, but not on disk"
            );
        }
    }
}
