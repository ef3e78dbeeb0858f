//! The content of a journal line.

use super::{
    Holder,
    details::{DetailedEntry, Details},
    seal::Chain,
};
use crate::{
    error::ErrorReport,
    step_types::{How, Outcome, UndoOutcome},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, io};

/// The format that this program writes, and the newest that it reads. Format 2 has sealed lines.
pub const FORMAT: u32 = 2;

/// The first format whose lines are sealed.
const SEALED: u32 = 2;

/// One line of the journal. A step is named by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run starts. The first line of a journal is one of these.
    Opened {
        /// The version of the format from here on.
        format: u32,
        /// The command of the run, such as `up`.
        command: String,
        /// The owner of the journal; another environment is refused.
        environment: EnvironmentKey,
        /// The version of the program.
        landfall: String,
        /// The process, in a journal that several machines share.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Box<Holder>>,
    },
    /// A step is about to change something.
    Started {
        /// The step.
        step: String,
        /// The number of the attempt over all runs, from 1.
        attempt: u32,
        /// The resource did not exist, so it is owned from here on, even if the process dies.
        #[serde(rename = "making")]
        creating: bool,
        /// The names under which it is created, if the step provides them.
        #[serde(rename = "named", default, skip_serializing_if = "Option::is_none")]
        planned_name: Option<Value>,
    },
    /// The cloud accepted the work, and this is how to poll it; null after the ticket expired.
    Ticket {
        /// The step.
        step: String,
        /// The data with which the step polls.
        ticket: Value,
        /// The work deletes the resource; other tickets create it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        undoes: bool,
    },
    /// The step has its output.
    Finished {
        /// The step.
        step: String,
        /// The way in which it got its output.
        how: How,
        /// Names and ids for later steps and later runs.
        output: Value,
    },
    /// The step failed.
    Failed {
        /// The step.
        step: String,
        /// The cause, and the leftover.
        error: ErrorReport,
    },
    /// A person adopted what the step found: from now on it is owned and may be deleted.
    Adopted {
        /// The step.
        step: String,
    },
    /// The step's resource was undone.
    #[serde(rename = "undone")]
    Undone {
        /// The step.
        step: String,
        /// The outcome.
        undone: UndoOutcome,
    },
    /// A run ended regularly.
    Closed {
        /// Its outcome.
        outcome: Outcome,
    },
}

/// Every value of `entry` in this format.
const KINDS: [&str; 8] = ["opened", "started", "ticket", "finished", "failed", "adopted", "undone", "closed"];

/// The owner of a journal. A journal of one owner is refused for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentKey {
    /// The cloud.
    pub cloud: String,
    /// The account in it.
    pub subscription: String,
    /// The name of the environment.
    pub environment: String,
}

impl fmt::Display for EnvironmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (subscription {}, cloud {})", self.environment, self.subscription, self.cloud)
    }
}

/// An entry and the time at which it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// RFC 3339 with milliseconds.
    pub(super) at: String,
    pub(super) entry: Entry,
    pub(super) details: Details,
}

impl Line {
    pub(super) fn now(entry: impl Into<DetailedEntry>) -> Self {
        let DetailedEntry { entry, details } = entry.into();
        Self { at: format!("{:.3}", jiff::Timestamp::now()), entry, details }
    }

    /// Returns one JSON object and a line feed: first the time, then the entry's own fields, its
    /// details, and the seal.
    /// Also returns the chain after it.
    pub(super) fn sealed(&self, chain: Chain) -> io::Result<(Vec<u8>, Chain)> {
        let Value::Object(fields) = serde_json::to_value(&self.entry)? else {
            unreachable!("a tagged enum of structs is an object");
        };
        let mut line = serde_json::Map::new();
        line.insert("at".into(), self.at.clone().into());
        line.extend(fields);
        self.details.write(&mut line)?;
        chain.seal(line)
    }

    /// Parses a line; unknown fields are skipped.
    pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Unreadable> {
        let mut value: Value = serde_json::from_slice(bytes).map_err(|_| Unreadable::Torn)?;
        if !value.is_object() {
            return Err(Unreadable::Torn);
        }
        // A newer format may have changed everything except the field that names it.
        if value["entry"] == "opened"
            && let Some(format) = value["format"].as_u64()
            && format > u64::from(FORMAT)
        {
            let landfall = value["landfall"].as_str().map(str::to_owned);
            return Err(Unreadable::Newer(u32::try_from(format).unwrap_or(u32::MAX), landfall));
        }
        let kind = value["entry"].as_str().map(str::to_owned);
        let unreadable = || match kind {
            Some(kind) if !KINDS.contains(&kind.as_str()) => Unreadable::Unknown(kind),
            _ => Unreadable::NotAnEntry,
        };
        let fields = value.as_object_mut().map(|fields| (fields.remove("at"), Details::take(fields)));
        let (at, details) = fields.unwrap_or_default();
        let (seq, has_sum) = (value["seq"].as_u64(), value.get("sum").is_some());
        match (at, serde_json::from_value(value)) {
            (Some(Value::String(at)), Ok(entry)) => {
                Ok(Parsed { line: Self { at, entry, details }, seq, has_sum })
            }
            _ => Err(unreadable()),
        }
    }
}

/// A line with the content of its seal, which is not checked yet.
pub(super) struct Parsed {
    pub(super) line: Line,
    /// The line number that was written.
    pub(super) seq: Option<u64>,
    has_sum: bool,
}

impl Parsed {
    /// Returns whether lines are sealed from this one on: by its format or by its own checksum.
    pub(super) fn begins_seals(&self) -> bool {
        let by_format = matches!(&self.line.entry, Entry::Opened { format, .. } if *format >= SEALED);
        by_format || self.has_sum
    }
}

/// The reason why a line is not an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not a complete object: the process, or the machine, died during the write.
    Torn,
    /// It is a complete object that this program does not write.
    NotAnEntry,
    /// It is an entry of an unknown kind.
    Unknown(String),
    /// It starts a newer format, written by this version of the program.
    Newer(u32, Option<String>),
}
