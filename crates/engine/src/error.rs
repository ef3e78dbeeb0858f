//! What a step may say went wrong, in a form that survives the process.

use serde::{Deserialize, Serialize};
use std::error::Error;

/// What sort of failure it is, for the program: exit codes hang on it, words do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Something did not work; running again may go on.
    Failed,
    /// The cloud refuses: sign-in, rights, policy, quota. Somebody must change something there.
    Refused,
    /// What was asked for makes no sense; nothing was touched.
    Input,
    /// A named bound passed.
    TimedOut,
    /// The run was asked to end while this was under way. Not a failure: the ticket stays.
    Interrupted,
    /// The name is taken by something that is not ours.
    Foreign,
    /// This program is wrong.
    Bug,
}

/// What a failure left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residue {
    /// Certainly nothing: the request was refused, or never sent.
    Nothing,
    /// Something is there now.
    Something,
    /// It cannot be known from here, for instance after a lost answer.
    Unknown,
}

impl Residue {
    /// What two acts left behind together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Something, _) | (_, Self::Something) => Self::Something,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

/// Why a step did not reach its end.
///
/// It is plain data, so that the journal and every display can carry it: the causes are told, not
/// downcast. The message is a lowercase fragment that fits after "failed to" and names the thing;
/// causes go into [`StepError::cause`], never into the message, or they would be printed twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// For the program.
    pub kind: Kind,
    /// For the reader; fits after "failed to".
    pub message: String,
    /// The service's own word for it, such as `QuotaExceeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What lies underneath, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is left behind.
    pub residue: Residue,
    /// What the service's operators can find the request by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
}

/// The form of a [`StepError`] in the journal and in events. It is the error itself.
pub type ErrorReport = StepError;

impl StepError {
    /// Returns an error without causes or hint, and with an unknown residue: claiming that nothing
    /// was left behind takes knowledge, so it must be said.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            causes: Vec::new(),
            hint: None,
            residue: Residue::Unknown,
            request_id: None,
        }
    }

    /// Adds the service's own word for it.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds one cause below those already told.
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

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what is left behind.
    #[must_use]
    pub fn residue(mut self, residue: Residue) -> Self {
        self.residue = residue;
        self
    }

    /// Adds what the service's operators can find the request by.
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
    fn an_error_read_back_is_the_error_that_was_written() {
        let error = StepError::new(Kind::Refused, "create the cluster")
            .code("QuotaExceeded")
            .cause("16 are needed, 10 allowed")
            .hint("ask for more")
            .residue(Residue::Nothing)
            .request_id("7a1c");
        let line = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<StepError>(&line).unwrap(), error);
    }

    #[test]
    fn a_chain_of_sources_is_told_nearest_first() {
        let torn = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset");
        let error = StepError::new(Kind::Failed, "read it").caused_by(&torn);
        assert_eq!(error.causes, ["connection reset"]);
        assert_eq!(error.to_string(), "read it");
    }
}
