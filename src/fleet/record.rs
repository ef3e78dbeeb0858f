//! The fleet's own journal: what ended, and how, so that the next command continues after an interruption or a kill.
//!
//! Each environment has its own journal, which decides what is created and deleted there. This one only decides what
//! need not run again: a lost line costs one more check.

use super::result::EnvironmentResult;
use crate::{exit::Exit, failure::Failure, settings::parse};
use jiff::Timestamp;
use landfall_engine::Journal;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Mutex,
};

const FILE: &str = "fleet.jsonl";
const LOCK: &str = "fleet.lock";
/// The format of the lines; a newer one is refused.
const FORMAT: u32 = 1;
/// The maximum size of a journal that is read.
const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: Timestamp,
    #[serde(flatten)]
    entry: Entry,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A command began.
    Opened {
        /// The format.
        format: u32,
        /// The command.
        command: String,
        /// The process that runs it.
        pid: u32,
    },
    /// A wave began.
    WaveBegun {
        /// The wave.
        wave: String,
    },
    /// An environment ended.
    EnvironmentEnded {
        /// The environment.
        environment: String,
        /// The digest of its settings.
        settings: String,
        /// The result.
        result: EnvironmentResult,
    },
    /// A wave ended without too many failures.
    WaveEnded {
        /// The wave.
        wave: String,
        /// True if something was changed in it, so that its soak time counts.
        changed: bool,
    },
    /// The command ended by itself.
    Closed {
        /// True if it was not stopped.
        complete: bool,
    },
}

/// The recorded past of a fleet.
#[derive(Debug, Default)]
pub struct History {
    /// The last result of each environment by command.
    pub last: BTreeMap<(String, String), Ended>,
    /// The last run, if it was interrupted or killed.
    pub unfinished: Option<Unfinished>,
}

/// The recorded end of an environment's run.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The digest of its settings.
    pub settings: String,
    /// The result.
    pub result: EnvironmentResult,
    /// The time.
    pub at: Timestamp,
}

/// A run that did not get to its end, and what it had done.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The command.
    pub command: String,
    /// The ended environments.
    pub ended: BTreeMap<String, Ended>,
    /// The time at which each wave ended, and whether something was changed in it.
    pub waves: BTreeMap<String, (Timestamp, bool)>,
}

impl History {
    /// Reads the journal in `folder`, without its lock; empty if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read, or a newer version wrote it.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let refused = |error: &io::Error| unreadable(&path, error);
        match File::open(&path) {
            Ok(mut file) => Ok(read(&path, &mut file)?.0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Returns the last result of an environment, of one of these commands.
    pub fn of(&self, environment: &str, commands: &[&str]) -> Option<(&str, &Ended)> {
        let of = |command: &&str| {
            let key = ((*command).to_owned(), environment.to_owned());
            self.last.get_key_value(&key).map(|((command, _), ended)| (command.as_str(), ended))
        };
        commands.iter().filter_map(of).max_by_key(|(_, ended)| ended.at)
    }

    fn apply(&mut self, line: Line) {
        let Line { at, entry } = line;
        match entry {
            Entry::Opened { command, .. } => {
                // A run that continues an unfinished one of the same command keeps what that one has done.
                let same = self.unfinished.take().filter(|unfinished| unfinished.command == command);
                let new = || Unfinished { command, ended: BTreeMap::new(), waves: BTreeMap::new() };
                self.unfinished = Some(same.unwrap_or_else(new));
            }
            Entry::WaveBegun { .. } => {}
            Entry::EnvironmentEnded { environment, settings, result } => {
                let ended = Ended { settings, result, at };
                if let Some(unfinished) = &mut self.unfinished {
                    unfinished.ended.insert(environment.clone(), ended.clone());
                    self.last.insert((unfinished.command.clone(), environment), ended);
                }
            }
            Entry::WaveEnded { wave, changed } => {
                if let Some(unfinished) = &mut self.unfinished {
                    unfinished.waves.insert(wave, (at, changed));
                }
            }
            Entry::Closed { complete } => {
                if complete {
                    self.unfinished = None;
                }
            }
        }
    }
}

/// The journal of a fleet, locked for as long as this lives.
pub struct Record {
    file: Mutex<File>,
    _lock: File,
}

impl Record {
    /// Takes the lock, reads the past and writes the first line of a run. With `from_start`, an unfinished run is not
    /// continued.
    ///
    /// # Errors
    /// Fails if another process holds the lock (exit code 4), and if the journal cannot be read or written.
    pub fn open(folder: &Path, command: &str, from_start: bool) -> Result<(Self, History), Failure> {
        Journal::secure(folder).map_err(|error| Failure::of_journal(&error))?;
        let lock = lock(folder, command)?;
        let path = folder.join(FILE);
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = opened.map_err(|error| unreadable(&path, &error))?;
        let (mut history, good_bytes) = read(&path, &mut file)?;
        // A line that a kill cut off: nothing has acted on it.
        file.set_len(good_bytes).map_err(|error| unwritable(&error))?;
        let record = Self { file: Mutex::new(file), _lock: lock };
        if from_start && history.unfinished.take().is_some() {
            record.append(Entry::Closed { complete: true })?;
        }
        record.append(Entry::Opened {
            format: FORMAT,
            command: command.to_owned(),
            pid: std::process::id(),
        })?;
        history.unfinished = history.unfinished.filter(|unfinished| unfinished.command == command);
        Ok((record, history))
    }

    /// Writes an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// Fails if the file system refuses.
    pub fn append(&self, entry: Entry) -> Result<(), Failure> {
        let line = Line { at: Timestamp::now(), entry };
        let mut bytes = serde_json::to_vec(&line).expect("plain values serialise");
        bytes.push(b'\n');
        let mut file = self.file.lock().expect("nothing panics while it is held");
        file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(|error| unwritable(&error))
    }
}

/// Returns the past, and the length of its whole lines.
fn read(path: &Path, file: &mut File) -> Result<(History, u64), Failure> {
    let mut bytes = Vec::new();
    let refused = |error: io::Error| unreadable(path, &error);
    file.seek(SeekFrom::Start(0)).map_err(refused)?;
    file.take(SIZE_MAX).read_to_end(&mut bytes).map_err(refused)?;
    let (mut history, mut good_bytes) = (History::default(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.last() != Some(&b'\n') {
            break;
        }
        good_bytes += line.len() as u64;
        match serde_json::from_slice::<Line>(line) {
            Ok(Line { entry: Entry::Opened { format, .. }, .. }) if format > FORMAT => {
                return Err(Failure::new(Exit::Input, format!("read {}", parse::shown(path)))
                    .cause(format!("it has format {format}; this version supports formats up to {FORMAT}"))
                    .hint("use the newer landfall that wrote it"));
            }
            Ok(line) => history.apply(line),
            // An unknown line of a later version, or a damaged one, costs one more check.
            Err(_) => {}
        }
    }
    Ok((history, good_bytes))
}

/// Takes the lock. The kernel frees it when the process ends, however it ends.
fn lock(folder: &Path, command: &str) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|error| unreadable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let holder = if holder.trim().is_empty() { "another process".into() } else { holder };
            return Err(Failure::new(Exit::Locked, "lock this fleet")
                .cause(format!("another run holds it: {}", holder.trim()))
                .hint("wait for that run to end; its lock ends with it, and there is no file to delete"));
        }
        Err(TryLockError::Error(error)) => return Err(unreadable(&path, &error)),
    }
    let holder = format!("`fleet {command}` (process {}, since {:.3})", std::process::id(), Timestamp::now());
    let written = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
    written.map_err(|error| unwritable(&error))?;
    Ok(file)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("open {}", path.display()))
        .caused_by(error)
        .hint(landfall_engine::file_remedy(error))
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, "write the journal of the fleet")
        .caused_by(error)
        .hint(landfall_engine::file_remedy(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::result::EnvironmentOutcome;

    fn ended(environment: &str, outcome: EnvironmentOutcome) -> Entry {
        let result = EnvironmentResult::new(outcome);
        Entry::EnvironmentEnded { environment: environment.into(), settings: "1".into(), result }
    }

    #[test]
    fn an_unfinished_run_is_continued_and_a_finished_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("prod");
        let (record, history) = Record::open(&folder, "up", false).ok().unwrap();
        assert!(history.unfinished.is_none());
        record.append(ended("a", EnvironmentOutcome::Ready)).ok().unwrap();
        record.append(Entry::WaveEnded { wave: "canary".into(), changed: true }).ok().unwrap();
        assert_eq!(Record::open(&folder, "up", false).err().unwrap().exit, Exit::Locked);
        drop(record);

        let path = folder.join(FILE);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();
        let (record, history) = Record::open(&folder, "up", false).ok().unwrap();
        let unfinished = history.unfinished.unwrap();
        assert_eq!(unfinished.ended.keys().collect::<Vec<_>>(), ["a"]);
        assert!(unfinished.waves["canary"].1);
        record.append(ended("b", EnvironmentOutcome::Failed)).ok().unwrap();
        record.append(Entry::Closed { complete: true }).ok().unwrap();
        drop(record);

        let (_, history) = Record::open(&folder, "up", false).ok().unwrap();
        assert!(history.unfinished.is_none());
        let of = |name: &str| history.of(name, &["up", "down"]).unwrap().1.result.outcome;
        assert_eq!((of("a"), of("b")), (EnvironmentOutcome::Ready, EnvironmentOutcome::Failed));
    }

    #[test]
    fn another_command_or_a_run_from_the_start_ends_an_unfinished_run() {
        let folder = tempfile::tempdir().unwrap();
        for (command, from_start) in [("down", false), ("up", true)] {
            let folder = folder.path().join(command);
            let (record, _) = Record::open(&folder, "up", false).ok().unwrap();
            record.append(ended("a", EnvironmentOutcome::Ready)).ok().unwrap();
            drop(record);
            let (_, history) = Record::open(&folder, command, from_start).ok().unwrap();
            assert!(history.unfinished.is_none());
        }
    }
}
