//! Exit codes, which scripts may rely on.

use landfall_engine::{Kind, Outcome, Report};
use std::process::ExitCode;

/// The exit code of the program. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// A step failed; another run continues.
    Failed = 1,
    /// The input is invalid; nothing was changed.
    Input = 2,
    /// The cloud refused: sign-in, permissions, policy, quota.
    Refused = 3,
    /// Another run holds the lock.
    Locked = 4,
    /// `plan --detailed-exitcode`: there are changes to apply.
    Changes = 10,
    /// Interrupted; another run continues.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Returns the exit code for the failure of one step.
pub fn of_kind(kind: Kind) -> Exit {
    match kind {
        Kind::Refused => Exit::Refused,
        Kind::Input => Exit::Input,
        Kind::Interrupted => Exit::Interrupted,
        Kind::Failed | Kind::TimedOut | Kind::Foreign | Kind::Bug => Exit::Failed,
    }
}

/// Returns the exit code of a run. Of several failures, the one that only the user can fix decides.
pub fn of_report(report: &Report) -> Exit {
    let kinds = || report.errors.iter().map(|(_, error)| of_kind(error.kind));
    match report.outcome {
        Outcome::Ready => Exit::Success,
        Outcome::Interrupted => Exit::Interrupted,
        Outcome::Failed if kinds().any(|exit| exit == Exit::Refused) => Exit::Refused,
        Outcome::Failed if !report.errors.is_empty() && kinds().all(|exit| exit == Exit::Input) => {
            Exit::Input
        }
        Outcome::Failed => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_engine::StepError;
    use std::time::Duration;

    fn report(kinds: &[Kind]) -> Report {
        Report {
            outcome: Outcome::Failed,
            found: 0,
            created: 0,
            changed: 0,
            failed: 0,
            blocked: 0,
            undone: Vec::new(),
            left_behind: Vec::new(),
            waiting: Vec::new(),
            elapsed: Duration::ZERO,
            critical_path: Duration::ZERO,
            errors: kinds.iter().map(|kind| ("step".to_owned(), StepError::new(*kind, "do it"))).collect(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_exit_code_depends_on_the_error_kinds() {
        assert_eq!(of_report(&report(&[Kind::Failed])), Exit::Failed);
        assert_eq!(of_report(&report(&[Kind::Failed, Kind::Refused])), Exit::Refused);
        assert_eq!(of_report(&report(&[Kind::Input])), Exit::Input);
        assert_eq!(of_report(&report(&[Kind::Input, Kind::Bug])), Exit::Failed);
        assert_eq!(
            of_report(&Report { outcome: Outcome::Interrupted, ..report(&[Kind::Failed]) }),
            Exit::Interrupted
        );
        assert_eq!(of_report(&Report { outcome: Outcome::Ready, ..report(&[]) }), Exit::Success);
    }
}
