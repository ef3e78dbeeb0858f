//! Operations in the state.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::SimTime;

/// The headers by which a client polls an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// `Azure-AsyncOperation` only: always 200, with the state in the body.
    AsyncOperation,
    /// `Location` only: 202 until completion, then the response of the original request.
    Location,
    /// Both headers.
    Both,
}

/// The outcome of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The operation succeeded.
    Succeeded,
    /// The operation failed, with the status for `Location` and the error object for either header.
    Failed {
        /// The HTTP status of the `Location` response.
        status: u16,
        /// `{code, message, details?}`.
        error: Value,
    },
    /// A client aborted the operation.
    Canceled,
}

/// An operation, running or completed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    /// The id, a lower-case UUID.
    pub id: String,
    /// The id of the resource.
    pub resource: String,
    /// The provider's namespace.
    pub provider: String,
    /// The region.
    pub location: String,
    /// The internal name.
    pub name: String,
    /// The headers by which clients poll it.
    pub style: Style,
    /// The api-version of its URL.
    pub api_version: String,
    /// The `Retry-After` in seconds of cloud time.
    pub retry_after: Option<f64>,
    /// The signed parameters of its URL, or an empty string.
    pub signature: String,
    /// The start time.
    pub started: SimTime,
    /// The end time.
    pub ends: SimTime,
    /// The intermediate states by name, each from its instant on; before the first it is `InProgress`.
    pub stages: Vec<(SimTime, String)>,
    /// The outcome at its end.
    pub outcome: Outcome,
    /// The `Location` response after success: status and body.
    pub result: (u16, Option<Value>),
    /// Undocumented states for its next polls, one each, independent of its real state.
    #[serde(default)]
    #[serde(rename = "odd")]
    pub undocumented_states: Vec<String>,
}

impl Operation {
    /// Returns whether it has ended.
    pub fn is_over(&self, now: SimTime) -> bool {
        now >= self.ends
    }

    /// Returns the state that a caller sees: an intermediate one, `Succeeded`, `Failed` or `Canceled`.
    pub fn state(&self, now: SimTime) -> &str {
        if self.is_over(now) {
            return match self.outcome {
                Outcome::Succeeded => "Succeeded",
                Outcome::Failed { .. } => "Failed",
                Outcome::Canceled => "Canceled",
            };
        }
        let stage = self.stages.iter().rev().find(|(from, _)| *from <= now);
        stage.map_or("InProgress", |(_, state)| state.as_str())
    }

    /// Sets the outcome, and moves the end to `at` if that is earlier.
    pub fn end(&mut self, at: SimTime, outcome: Outcome) {
        self.ends = self.ends.min(at);
        self.outcome = outcome;
    }
}
