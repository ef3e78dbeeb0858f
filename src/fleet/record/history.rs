//! The lines of the fleet's journal, and the past that they tell.

use super::FORMAT;
use crate::{exit::Exit, failure::Failure, fleet::result::EnvironmentResult};
use jiff::Timestamp;
use landfall_engine::Holder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) entry: Entry,
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
        /// The same with its machine, if the journal is in a store.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Holder>,
        /// The id of the run, if it is outside of that process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
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
    /// The ids of its parts outside of the commands' processes.
    pub runs: Vec<String>,
    /// The time at which each wave ended, and whether something was changed in it.
    pub waves: BTreeMap<String, (Timestamp, bool)>,
}

impl History {
    /// Returns the last result of an environment, of one of these commands.
    pub fn of(&self, environment: &str, commands: &[&str]) -> Option<(&str, &Ended)> {
        let of = |command: &&str| {
            let key = ((*command).to_owned(), environment.to_owned());
            self.last.get_key_value(&key).map(|((command, _), ended)| (command.as_str(), ended))
        };
        commands.iter().filter_map(of).max_by_key(|(_, ended)| ended.at)
    }

    /// Parses a journal; also returns the length of its whole lines. `shown` names it in messages.
    ///
    /// # Errors
    /// Exit code 2 if a newer version wrote it.
    pub(super) fn parse(shown: &str, bytes: &[u8]) -> Result<(Self, u64), Failure> {
        let (mut history, mut good_bytes) = (Self::default(), 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            good_bytes += line.len() as u64;
            match serde_json::from_slice::<Line>(line) {
                Ok(Line { entry: Entry::Opened { format, .. }, .. }) if format > FORMAT => {
                    return Err(Failure::new(Exit::Input, format!("read {shown}"))
                        .cause(format!(
                            "it has format {format}; this version supports formats up to {FORMAT}"
                        ))
                        .hint("use the newer landfall that wrote it"));
                }
                Ok(line) => history.apply(line),
                // An unknown line of a later version, or a damaged one, costs one more check.
                Err(_) => {}
            }
        }
        Ok((history, good_bytes))
    }

    fn apply(&mut self, line: Line) {
        let Line { at, entry } = line;
        match entry {
            Entry::Opened { command, run, .. } => {
                // A run that continues an unfinished one of the same command keeps what that one has done.
                let same = self.unfinished.take().filter(|unfinished| unfinished.command == command);
                let (ended, waves) = (BTreeMap::new(), BTreeMap::new());
                let new = || Unfinished { command, ended, runs: Vec::new(), waves };
                let mut unfinished = same.unwrap_or_else(new);
                unfinished.runs.extend(run);
                self.unfinished = Some(unfinished);
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
