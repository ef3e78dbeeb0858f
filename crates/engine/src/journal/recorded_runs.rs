//! The runs that a journal records, for reports. Reading needs no lock and works during a run.

use super::{
    Details, Entry, EnvironmentKey, JOURNAL, Journal, JournalState, OpenError,
    file::{self, Readable},
    length_record::KnownLength,
    lock::{self, Holder},
    remote::{Located, RemoteStore, locate},
};
use std::path::Path;

/// The command of the opening that seals an accepted journal again. It is no run.
const ACCEPTANCE: &str = "accept-journal";

/// The readable runs of a journal.
#[derive(Debug)]
pub struct RecordedRuns {
    /// The environment that owns the journal.
    pub key: EnvironmentKey,
    /// The runs, oldest first.
    pub runs: Vec<RecordedRun>,
    /// The first damage; `None` if the journal is sound.
    pub damage: Option<OpenError>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RecordedRun {
    /// The number of the run in this journal, from 1.
    pub number: usize,
    /// Its command, such as `up`.
    pub command: String,
    /// The version of the program that ran.
    pub landfall: String,
    /// Its beginning, RFC 3339.
    pub began: String,
    /// Its lines after the first one.
    pub lines: Vec<RecordedLine>,
    /// The state of all steps before this run.
    pub before: JournalState,
    /// The state of all steps after the last of these lines.
    pub after: JournalState,
}

/// One line of a run.
#[derive(Debug, Clone)]
pub struct RecordedLine {
    /// The time at which it was written, RFC 3339.
    pub at: String,
    /// The entry.
    pub entry: Entry,
    /// The details.
    pub details: Details,
}

/// The readable runs of a journal in a remote store.
#[derive(Debug)]
pub struct RemoteRuns {
    /// The runs.
    pub recorded: RecordedRuns,
    /// True if a process holds the lease.
    pub is_held: bool,
}

impl RecordedRuns {
    /// Groups the lines of a journal by run.
    fn of(readable: Readable) -> Self {
        let Readable { key, lines, damage, .. } = readable;
        let mut runs: Vec<RecordedRun> = Vec::new();
        let mut journal_state = JournalState::default();
        for line in lines {
            match &line.entry {
                Entry::Opened { command, .. } if command == ACCEPTANCE => continue,
                Entry::Opened { command, landfall, .. } => runs.push(RecordedRun {
                    number: runs.len() + 1,
                    command: command.clone(),
                    landfall: landfall.clone(),
                    began: line.at.clone(),
                    lines: Vec::new(),
                    before: journal_state.clone(),
                    after: JournalState::default(),
                }),
                _ => {}
            }
            journal_state.apply(&line.at, &line.entry);
            let Some(run) = runs.last_mut() else { continue };
            run.after = journal_state.clone();
            if !matches!(line.entry, Entry::Opened { .. }) {
                run.lines.push(RecordedLine { at: line.at, entry: line.entry, details: line.details });
            }
        }
        Self { key, runs, damage }
    }
}

impl Journal {
    /// Reads the runs of the journal in `dir`, however damaged; `None` if there is no journal.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::salvage`].
    pub fn runs(dir: &Path) -> Result<Option<RecordedRuns>, OpenError> {
        let known = KnownLength::read(dir, lock::length_recorded(dir)).map_err(OpenError::io(dir))?;
        let path = dir.join(JOURNAL);
        match file::read_damaged(&path, known)? {
            Some(readable) => Ok(Some(RecordedRuns::of(readable))),
            None if lock::journal_recorded(dir) => Err(OpenError::missing(&path)),
            None => Ok(None),
        }
    }

    /// Reads the runs of a journal in a remote store, without its lease; `None` if there is no journal.
    ///
    /// # Errors
    ///
    /// Fails if the store cannot be reached or refuses, and if the journal was moved.
    pub async fn remote_runs(store: &dyn RemoteStore) -> Result<Option<RemoteRuns>, OpenError> {
        let Some(Located { part, content }) = locate(store).await? else { return Ok(None) };
        let address = store.address(part);
        if let Some(to) = content.moved_to {
            return Err(OpenError::Moved { from: address, to });
        }
        if content.bytes.is_empty() {
            return Ok(None);
        }
        // A new part has all lines of the one before it.
        let readable = file::parse_damaged(Path::new(&address), &content.bytes, KnownLength::Nothing)?;
        Ok(Some(RemoteRuns { recorded: RecordedRuns::of(readable), is_held: content.leased }))
    }

    /// Returns the process that holds the journal in `dir` now; `None` if none does.
    pub fn holder(dir: &Path) -> Option<Holder> {
        lock::holder(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        activity::StepActivity,
        journal::details::{CriticalStep, RunSummary},
        step_types::{How, Outcome},
    };
    use serde_json::json;
    use tempfile::TempDir;

    fn key() -> EnvironmentKey {
        EnvironmentKey { cloud: "toy".into(), subscription: "none".into(), environment: "default".into() }
    }

    fn open(folder: &TempDir) -> Journal {
        Journal::open(folder.path(), "up", &key(), "0.1.0").unwrap()
    }

    fn finished(step: &str) -> Entry {
        Entry::Finished { step: step.into(), how: How::Created, output: json!("made") }
    }

    fn summary() -> RunSummary {
        let critical_path = vec![CriticalStep { step: "a".into(), cloud_ms: 3 }];
        RunSummary { elapsed_ms: 9, critical_path_ms: 3, critical_path, requests: 2, ..RunSummary::default() }
    }

    #[test]
    fn runs_are_numbered_and_have_their_details_and_states() {
        let folder = TempDir::new().unwrap();
        assert!(Journal::runs(folder.path()).unwrap().is_none());
        let journal = open(&folder);
        let activity = StepActivity { elapsed_ms: 7, requests: 2, ..StepActivity::default() };
        journal.append(finished("a").with(Details::of_turn(activity.clone()))).unwrap();
        journal.append(Entry::Closed { outcome: Outcome::Ready }.with(Details::of_run(summary()))).unwrap();
        drop(journal);
        let journal = open(&folder);
        journal.append(finished("b")).unwrap();
        let held = Journal::holder(folder.path());
        assert_eq!(held.map(|holder| holder.pid), Some(std::process::id()));
        drop(journal);
        assert_eq!(Journal::holder(folder.path()), None);

        let recorded = Journal::runs(folder.path()).unwrap().unwrap();
        let [first, second] = &recorded.runs[..] else { panic!("{recorded:?}") };
        assert_eq!((first.number, second.number), (1, 2));
        assert_eq!(first.lines[0].details.activity, Some(activity));
        assert_eq!(first.lines[1].details.summary, Some(summary()));
        assert_eq!(second.lines[0].details, Details::default());
        assert!(first.before.0.is_empty() && first.after == second.before);
        assert!(first.after.step_state("b").is_none() && second.after.step_state("b").is_some());
        assert!(recorded.damage.is_none());
        let (_, journal_state) = Journal::read(folder.path()).unwrap().unwrap();
        assert_eq!(journal_state, second.after, "a report and a run read the same state");
    }

    #[test]
    fn unreadable_details_count_as_missing() {
        let folder = TempDir::new().unwrap();
        let line = |text: &str| format!("{text}\n");
        let opened = r#"{"at":"2026-11-23T09:00:00.000Z","entry":"opened","format":1,"command":"up","environment":{"cloud":"toy","subscription":"none","environment":"default"},"landfall":"0.0.1"}"#;
        let closed = r#"{"at":"2026-11-23T09:00:01.000Z","entry":"closed","outcome":"ready","summary":"fast","activity":[1]}"#;
        std::fs::write(folder.path().join(JOURNAL), line(opened) + &line(closed)).unwrap();
        let recorded = Journal::runs(folder.path()).unwrap().unwrap();
        assert_eq!(recorded.runs[0].lines.len(), 1);
        assert_eq!(recorded.runs[0].lines[0].details, Details::default());
    }

    #[test]
    fn a_damaged_journal_gives_its_readable_runs() {
        let folder = TempDir::new().unwrap();
        open(&folder).append(finished("a")).unwrap();
        let path = folder.path().join(JOURNAL);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("made", "MADE")).unwrap();
        let recorded = Journal::runs(folder.path()).unwrap().unwrap();
        assert_eq!(recorded.runs[0].lines.len(), 1);
        assert!(recorded.damage.is_some());
    }
}
