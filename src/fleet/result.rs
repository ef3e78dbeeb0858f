//! The result of one environment of a fleet.

use crate::{
    exit::{self, Exit},
    failure::{self, Failure},
    render::text,
};
use landfall_engine::{Outcome, Report, StepError, UndoOutcome};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The code of an error: another run holds the environment.
pub const LOCKED: &str = "Locked";
/// The code of an error: the settings are wrong.
pub const INVALID_INPUT: &str = "InvalidInput";

/// The outcome of one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentOutcome {
    /// It is as desired now, and something was changed for it; of a plan: there are changes to apply.
    Ready,
    /// It was as desired already.
    Unchanged,
    /// A step or a check failed.
    Failed,
    /// The cloud refused: sign-in, rights, policy, quota.
    Refused,
    /// The run was stopped.
    Interrupted,
}

impl EnvironmentOutcome {
    /// Returns whether the environment is as desired.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Ready | Self::Unchanged)
    }

    /// Returns whether it counts as a failure of its wave.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Refused)
    }

    /// Returns its name in JSON and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The result of one environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentResult {
    /// The outcome.
    pub outcome: EnvironmentOutcome,
    /// The real time that it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The number of its requests.
    pub requests: u64,
    /// The numbers of steps by result.
    #[serde(default)]
    pub steps: StepCounts,
    /// Its first error; one that the cloud refused comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<EnvironmentError>,
}

/// The numbers of steps by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepCounts {
    /// The resource existed.
    pub found: u32,
    /// The resource was created; of a plan: it is missing.
    pub created: u32,
    /// The resource was updated; of a plan: it has drifted.
    pub changed: u32,
    /// The resource was deleted.
    pub deleted: u32,
}

/// The error of one environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentError {
    /// The step, if it happened in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The service's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The message; fits after "failed to".
    pub message: String,
    /// The causes, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The id by which the service's operators find the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl EnvironmentError {
    /// Returns the error of a step.
    pub fn of_step(step: &str, error: &StepError) -> Self {
        Self {
            step: Some(step.to_owned()),
            code: error.code.clone(),
            message: error.message.clone(),
            causes: error.causes.clone(),
            hint: Some(failure::hint(error)),
            request_id: error.request_id.as_deref().map(str::to_owned),
        }
    }

    /// Returns the first cause, or the message.
    pub fn reason(&self) -> &str {
        self.causes.first().unwrap_or(&self.message)
    }
}

impl EnvironmentResult {
    /// Returns the result without numbers of steps.
    pub fn new(outcome: EnvironmentOutcome) -> Self {
        Self { outcome, elapsed_ms: 0, requests: 0, steps: StepCounts::default(), error: None }
    }

    /// Returns the result of a run or a teardown.
    pub fn of_report(report: &Report) -> Self {
        let undone = |wanted: fn(&UndoOutcome) -> bool| {
            let number = report.undone.iter().filter(|(_, undone)| wanted(undone)).count();
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        let steps = StepCounts {
            found: report.found,
            created: report.created,
            changed: report.changed,
            deleted: undone(|undone| *undone == UndoOutcome::Deleted),
        };
        let changes = steps.created + steps.changed + steps.deleted;
        let outcome = match (report.outcome, exit::of_report(report)) {
            (Outcome::Ready, _) if changes > 0 => EnvironmentOutcome::Ready,
            (Outcome::Ready, _) => EnvironmentOutcome::Unchanged,
            (Outcome::Interrupted, _) => EnvironmentOutcome::Interrupted,
            (Outcome::Failed, Exit::Refused) => EnvironmentOutcome::Refused,
            (Outcome::Failed, _) => EnvironmentOutcome::Failed,
        };
        let refused = report.errors.iter().find(|(_, error)| exit::of_kind(error.kind) == Exit::Refused);
        let error =
            refused.or(report.errors.first()).map(|(step, error)| EnvironmentError::of_step(step, error));
        Self { steps, error, ..Self::new(outcome) }
    }

    /// Returns the result of a run that did not get to its steps.
    pub fn of_failure(failure: &Failure) -> Self {
        let outcome = match failure.exit {
            Exit::Refused => EnvironmentOutcome::Refused,
            Exit::Interrupted => EnvironmentOutcome::Interrupted,
            _ => EnvironmentOutcome::Failed,
        };
        let (message, causes, hint) = failure.parts();
        let code = match failure.exit {
            Exit::Locked => Some(LOCKED.to_owned()),
            Exit::Input => Some(INVALID_INPUT.to_owned()),
            _ => None,
        };
        let error = EnvironmentError { code, message, causes, hint, ..EnvironmentError::default() };
        Self { error: Some(error), ..Self::new(outcome) }
    }

    /// Returns the result without a number of created resources that do not count.
    pub fn without_created(mut self, number: u32) -> Self {
        self.steps.created = self.steps.created.saturating_sub(number);
        let StepCounts { created, changed, deleted, .. } = self.steps;
        if self.outcome == EnvironmentOutcome::Ready && created + changed + deleted == 0 {
            self.outcome = EnvironmentOutcome::Unchanged;
        }
        self
    }

    /// Sets the time and the number of requests.
    pub fn with(self, elapsed: Duration, requests: u64) -> Self {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Self { elapsed_ms, requests, ..self }
    }

    /// Returns the time that it took.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }

    /// Returns what was done, `3 created, 1 changed in 4.2 s`.
    pub fn text(&self) -> String {
        let StepCounts { found, created, changed, deleted } = self.steps;
        let counted = [(created, "created"), (changed, "changed"), (deleted, "deleted"), (found, "found")];
        let counted = counted.iter().filter(|(number, _)| *number > 0);
        let counted: Vec<String> = counted.map(|(number, how)| format!("{number} {how}")).collect();
        let took = text::duration(self.elapsed());
        match counted.is_empty() {
            true => format!("in {took}"),
            false => format!("{} in {took}", counted.join(", ")),
        }
    }
}
