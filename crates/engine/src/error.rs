//! The error of a step, in a form that can be stored in the journal.

use serde::{Deserialize, Serialize};
use std::error::Error;

/// The kind of a failure, for the program: exit codes depend on it, and not on the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A failure; another run may continue.
    Failed,
    /// The cloud refused: sign-in, permissions, policy, quota. The user must change something there.
    Refused,
    /// The input is invalid; nothing was changed.
    Input,
    /// A timeout.
    TimedOut,
    /// The run was stopped during this step. Not a failure: the ticket is kept.
    Interrupted,
    /// The name belongs to a foreign resource.
    Foreign,
    /// A bug of this program.
    Bug,
}

/// The leftover of a failure in the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leftover {
    /// Nothing for certain: the request was refused, or never sent.
    Nothing,
    /// Something exists now.
    Something,
    /// Unknown, for example after a lost response.
    Unknown,
}

impl Leftover {
    /// Combines the leftovers of two actions.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Something, _) | (_, Self::Something) => Self::Something,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// The error of a step.
///
/// It is plain data, so that the journal and every display can contain it: the causes are text, not error
/// types. The message is a lowercase fragment that fits after "failed to" and names the resource. Causes
/// belong in [`StepError::cause`], never in the message, or they would be printed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// The kind, for the program.
    pub kind: Kind,
    /// The message, for the user; fits after "failed to".
    pub message: String,
    /// The service's error code, such as `QuotaExceeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The causes, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The leftover.
    #[serde(rename = "residue")]
    pub leftover: Leftover,
    /// The id by which the service's operators find the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
}

/// The form of a [`StepError`] in the journal and in events. It is the error itself.
pub type ErrorReport = StepError;

impl StepError {
    /// Returns an error without causes or hint. Its leftover is unknown: a claim that nothing was left needs
    /// evidence, so callers set it explicitly.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            causes: Vec::new(),
            hint: None,
            leftover: Leftover::Unknown,
            request_id: None,
        }
    }

    /// Sets the service's error code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds one cause below the existing ones.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds an error and all its sources as causes.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Sets the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the leftover.
    #[must_use]
    pub fn leftover(mut self, leftover: Leftover) -> Self {
        self.leftover = leftover;
        self
    }

    /// Sets the id by which the service's operators find the request.
    #[must_use]
    pub fn request_id(mut self, request_id: impl Into<Box<str>>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_survives_a_json_round_trip() {
        let error = StepError::new(Kind::Refused, "create the cluster")
            .code("QuotaExceeded")
            .cause("16 are needed, 10 allowed")
            .hint("ask for more")
            .leftover(Leftover::Nothing)
            .request_id("7a1c");
        let line = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<StepError>(&line).unwrap(), error);
    }

    #[test]
    fn error_sources_become_causes_nearest_first() {
        let torn = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset");
        let error = StepError::new(Kind::Failed, "read it").caused_by(&torn);
        assert_eq!(error.causes, ["connection reset"]);
        assert_eq!(error.to_string(), "read it");
    }
}
