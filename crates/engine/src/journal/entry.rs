//! What a line of the journal says.

use super::seal::Chain;
use crate::{error::ErrorReport, run::Outcome, step::Undone};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, io};

/// The format this program writes, and the newest it reads. Format 2 has sealed lines.
pub const FORMAT: u32 = 2;

/// The first format whose lines are sealed.
const SEALED: u32 = 2;

/// One line of the journal. A step is named by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run begins. The first line of a journal is one of these.
    Opened {
        /// The version of the format from here on.
        format: u32,
        /// What the run does, such as `up`.
        command: String,
        /// Whom the journal belongs to; another environment is refused.
        environment: EnvironmentKey,
        /// The version of the program.
        landfall: String,
    },
    /// A step is about to change something.
    Started {
        /// The step.
        step: String,
        /// Which attempt this is, over all runs; the first is 1.
        attempt: u32,
        /// There was nothing there, so what comes is ours, whether or not we live to see it.
        making: bool,
        /// The names it is begun under, where the step has some to tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        named: Option<Value>,
    },
    /// The cloud took the work, and this is how to ask after it; null when the ticket expired.
    Ticket {
        /// The step.
        step: String,
        /// Whatever the step can ask with.
        ticket: Value,
        /// The work takes the thing away, where others make it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undoes: bool,
    },
    /// The step has its output.
    Finished {
        /// The step.
        step: String,
        /// How it came to it.
        how: How,
        /// Names and ids for later steps and later runs.
        output: Value,
    },
    /// The step did not reach its end.
    Failed {
        /// The step.
        step: String,
        /// Why, and what was left behind.
        error: ErrorReport,
    },
    /// What the step found is from now on ours to take away, because somebody said so.
    Adopted {
        /// The step.
        step: String,
    },
    /// What the step had made is dealt with.
    Undone {
        /// The step.
        step: String,
        /// What became of it.
        undone: Undone,
    },
    /// A run ended by itself.
    Closed {
        /// How.
        outcome: Outcome,
    },
}

/// Every word that `entry` may be in this format.
const KINDS: [&str; 8] = ["opened", "started", "ticket", "finished", "failed", "adopted", "undone", "closed"];

/// How a step came to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was there.
    Found,
    /// This run made it, or saw to its end what an earlier run had begun to make.
    Created,
    /// It was there and is now as wanted.
    Changed,
}

/// Whom a journal belongs to. A journal of one is refused for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentKey {
    /// Which cloud.
    pub cloud: String,
    /// Which account in it.
    pub subscription: String,
    /// The name of the environment.
    pub environment: String,
}

impl fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (subscription {}, cloud {})", self.environment, self.subscription, self.cloud)
    }
}

/// An entry and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// RFC 3339 with milliseconds.
    pub(super) at: String,
    pub(super) entry: Entry,
}

impl Line {
    pub(super) fn now(entry: Entry) -> Self {
        Self { at: format!("{:.3}", jiff::Timestamp::now()), entry }
    }

    /// One JSON object and a line feed: the time first, then the entry's own fields, then the seal. Returns the chain
    /// after it too.
    pub(super) fn sealed(&self, chain: Chain) -> io::Result<(Vec<u8>, Chain)> {
        let Value::Object(fields) = serde_json::to_value(&self.entry)? else {
            unreachable!("a tagged enum of structs is an object");
        };
        let mut line = serde_json::Map::new();
        line.insert("at".into(), self.at.clone().into());
        line.extend(fields);
        chain.seal(line)
    }

    /// Reads a line; fields that are not known are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Unreadable> {
        let mut value: Value = serde_json::from_slice(bytes).map_err(|_| Unreadable::Torn)?;
        if !value.is_object() {
            return Err(Unreadable::Torn);
        }
        // A newer format may have changed anything but the field that names it.
        if value["entry"] == "opened"
            && let Some(format) = value["format"].as_u64()
            && format > u64::from(FORMAT)
        {
            let landfall = value["landfall"].as_str().map(str::to_owned);
            return Err(Unreadable::Newer(u32::try_from(format).unwrap_or(u32::MAX), landfall));
        }
        let kind = value["entry"].as_str().map(str::to_owned);
        let strange = || match kind {
            Some(kind) if !KINDS.contains(&kind.as_str()) => Unreadable::Unknown(kind),
            _ => Unreadable::Foreign,
        };
        let at = value.as_object_mut().and_then(|fields| fields.remove("at"));
        let (seq, has_sum) = (value["seq"].as_u64(), value.get("sum").is_some());
        match (at, serde_json::from_value(value)) {
            (Some(Value::String(at)), Ok(entry)) => Ok(Parsed { line: Self { at, entry }, seq, has_sum }),
            _ => Err(strange()),
        }
    }
}

/// A line with what its seal says; the seal is not checked yet.
pub(super) struct Parsed {
    pub(super) line: Line,
    /// The number that it was written under.
    pub(super) seq: Option<u64>,
    has_sum: bool,
}

impl Parsed {
    /// Tells whether lines are sealed from this one on: by its format or by a checksum of its own.
    pub(super) fn begins_seals(&self) -> bool {
        let by_format = matches!(&self.line.entry, Entry::Opened { format, .. } if *format >= SEALED);
        by_format || self.has_sum
    }
}

/// Why a line is no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no whole object: the process, or the machine, died while it was written.
    Torn,
    /// It is a whole object, and none that this program writes.
    Foreign,
    /// It is an entry of a kind that this program does not know.
    Unknown(String),
    /// It begins a newer format, written by this version of the program.
    Newer(u32, Option<String>),
}
