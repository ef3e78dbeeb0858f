//! Details of a journal line that only reports read. A line without them, or with unreadable ones, is complete.

use super::entry::Entry;
use crate::activity::StepActivity;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The field with the activity of a step.
const ACTIVITY: &str = "activity";
/// The field with the summary of a run.
const SUMMARY: &str = "summary";

/// The details of a line.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Details {
    /// The activity of the turn that this line ends.
    pub activity: Option<StepActivity>,
    /// The summary of the run that this line ends.
    pub summary: Option<RunSummary>,
}

/// The summary of a run, in real time.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// The duration of the run, in milliseconds.
    pub elapsed_ms: u64,
    /// The duration of the ideal run, in milliseconds: only the cloud's time along the longest path.
    pub critical_path_ms: u64,
    /// The steps of that path, in their order.
    pub critical_path: Vec<CriticalStep>,
    /// The number of requests of all steps.
    pub requests: u64,
    /// The steps that did not run because of a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<BlockedStep>,
    /// The steps during which the run was stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interrupted: Vec<String>,
}

/// A step on the longest path.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CriticalStep {
    /// The step.
    pub step: String,
    /// The time that the cloud needed for it, in milliseconds.
    pub cloud_ms: u64,
}

/// A step that did not run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockedStep {
    /// The step.
    pub step: String,
    /// The failed dependency, direct or indirect.
    pub by: String,
}

impl Details {
    /// Returns the details of a turn's end.
    pub(crate) fn of_turn(activity: StepActivity) -> Self {
        Self { activity: Some(activity), summary: None }
    }

    /// Returns the details of a run's end.
    pub(crate) fn of_run(summary: RunSummary) -> Self {
        Self { activity: None, summary: Some(summary) }
    }

    /// Adds the fields to a line.
    pub(super) fn write(&self, line: &mut Map<String, Value>) -> serde_json::Result<()> {
        if let Some(activity) = &self.activity {
            line.insert(ACTIVITY.into(), serde_json::to_value(activity)?);
        }
        if let Some(summary) = &self.summary {
            line.insert(SUMMARY.into(), serde_json::to_value(summary)?);
        }
        Ok(())
    }

    /// Takes the fields out of a line. An unreadable field counts as missing: nothing but a report needs it.
    pub(super) fn take(line: &mut Map<String, Value>) -> Self {
        fn taken<T: DeserializeOwned>(line: &mut Map<String, Value>, field: &str) -> Option<T> {
            // A list would be read as the fields in their order.
            serde_json::from_value(line.remove(field).filter(Value::is_object)?).ok()
        }
        Self { activity: taken(line, ACTIVITY), summary: taken(line, SUMMARY) }
    }
}

/// An entry with its details.
#[derive(Debug, Clone)]
pub struct DetailedEntry {
    pub(super) entry: Entry,
    pub(super) details: Details,
}

impl From<Entry> for DetailedEntry {
    fn from(entry: Entry) -> Self {
        Self { entry, details: Details::default() }
    }
}

impl Entry {
    /// Adds details to an entry.
    pub(crate) fn with(self, details: Details) -> DetailedEntry {
        DetailedEntry { entry: self, details }
    }
}
