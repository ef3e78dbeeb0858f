//! The one place that turns errors into words and exit codes.

use crate::{
    render::{paint::Paint, words},
    settings::mistake::{Mistake, Place},
};
use landfall_cloud::{ApiError, ApiErrorKind};
use landfall_engine::{JournalError, Kind, OpenError, Outcome, Report, Residue, StepError};
use landfall_sim::SimError;
use std::{error::Error, process::ExitCode};

/// How the program ends. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All well.
    Well = 0,
    /// A step failed; running again goes on.
    Failed = 1,
    /// Wrong input; nothing was touched.
    Input = 2,
    /// The cloud refuses: sign-in, rights, policy, quota.
    Refused = 3,
    /// Another run holds the lock.
    Locked = 4,
    /// Interrupted; running again goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command ends early, ready to be told.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was being done; fits after "failed to".
    message: String,
    /// The steps it happened in.
    steps: Vec<String>,
    causes: Vec<String>,
    left_behind: Option<Residue>,
    request_id: Option<String>,
    hint: Option<String>,
    /// What is wrong with the settings; told instead of all the others.
    mistakes: Vec<Mistake>,
}

impl Failure {
    /// Makes a failure; `message` fits after "failed to".
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            steps: Vec::new(),
            causes: Vec::new(),
            left_behind: None,
            request_id: None,
            hint: None,
            mistakes: Vec::new(),
        }
    }

    /// Adds a cause below those already told.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds an error and its sources as causes.
    pub fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Takes what is wrong with the settings.
    pub fn of_mistakes(mistakes: Vec<Mistake>) -> Self {
        Self { mistakes, ..Self::new(Exit::Input, "read the settings") }
    }

    /// Takes an error that one step met, or several in the same words.
    pub fn of_steps(steps: Vec<String>, error: &StepError) -> Self {
        let codes = error.code.iter().filter(|code| !error.causes.iter().any(|cause| cause.contains(*code)));
        Self {
            steps,
            causes: error.causes.iter().chain(codes).cloned().collect(),
            left_behind: Some(error.residue),
            request_id: error.request_id.as_deref().map(str::to_owned),
            hint: error.hint.clone(),
            ..Self::new(exit_of(error.kind), error.message.clone())
        }
    }

    /// Takes an error of a cloud client met outside of any step.
    pub fn of_api(doing: &str, error: &ApiError) -> Self {
        let exit = match error.kind {
            ApiErrorKind::SignIn | ApiErrorKind::Unauthorized | ApiErrorKind::Forbidden => Exit::Refused,
            _ => Exit::Failed,
        };
        let mut causes = vec![error.to_string()];
        let details = error.details.iter().map(|(code, message)| format!("{code}: {message}"));
        causes.extend(details.chain(error.causes()));
        let hint = (error.kind == ApiErrorKind::SignIn).then(|| {
            "sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
                .to_owned()
        });
        Self { causes, request_id: error.request_id.clone(), hint, ..Self::new(exit, doing) }
    }

    /// Takes the journal's refusal to open.
    pub fn of_journal(error: &OpenError) -> Self {
        match error {
            OpenError::Locked { holder } => {
                let failure = Self::new(Exit::Locked, "take the lock of this environment");
                match holder {
                    Some(holder) => failure.cause(format!("another run holds it: {holder}")),
                    None => failure.cause("another run holds it"),
                }
                .hint("wait for it to end; the lock goes with the process, there is nothing to delete")
            }
            OpenError::OtherEnvironment { .. } => Self::new(Exit::Input, error.to_string())
                .hint("give the other cloud or subscription an environment of its own: --environment NAME"),
            OpenError::Newer { .. } => {
                Self::new(Exit::Input, error.to_string()).hint("use the newer landfall that wrote it")
            }
            OpenError::Corrupt { .. } => Self::new(Exit::Failed, error.to_string())
                .hint("something else wrote into the file; put that line back or take it out"),
            OpenError::Io { source, .. } => Self::new(Exit::Failed, error.to_string()).caused_by(source),
        }
    }

    /// Takes the simulated cloud's refusal to open.
    pub fn of_rehearsal(error: &SimError) -> Self {
        let mut failure = match error {
            SimError::Busy { .. } => Self::new(Exit::Locked, error.to_string())
                .hint("wait for it to end, or take another --environment"),
            SimError::Newer { .. } => {
                Self::new(Exit::Input, error.to_string()).hint("use the newer landfall that made it")
            }
            SimError::Fault(_) => Self::new(Exit::Input, error.to_string()),
            _ => Self::new(Exit::Failed, error.to_string()),
        };
        if let Some(source) = error.source() {
            failure = failure.caused_by(source);
        }
        failure
    }

    /// Takes a journal that could not be written.
    pub fn of_writing(error: &JournalError) -> Self {
        Self::new(Exit::Failed, error.to_string())
            .cause(error.source.to_string())
            .hint("what is not remembered must not be done; make room or mend the rights, and run it again")
    }

    /// Returns the words.
    pub fn text(&self, paint: Paint) -> String {
        const COLUMNS: usize = 80;
        let error = paint.bad("error:");
        if !self.mistakes.is_empty() {
            return mistakes(&self.mistakes, paint);
        }
        let mut lines =
            vec![words::wrap(&format!("{error} "), &format!("failed to {}", self.message), COLUMNS)];
        let mut causes = self.causes.iter();
        if !self.steps.is_empty() {
            lines.push(words::wrap("  in: ", &self.steps.join(", "), COLUMNS));
        }
        lines.extend(causes.next().map(|cause| words::wrap("  ", cause, COLUMNS)));
        lines.extend(causes.map(|cause| words::wrap("  caused by: ", cause, COLUMNS)));
        lines.extend(self.left_behind.map(|residue| {
            let left = match residue {
                Residue::Nothing => "nothing",
                Residue::Something => "something; the next run looks at it",
                Residue::Unknown => "unknown; the next run looks",
            };
            format!("  left behind: {left}")
        }));
        lines.extend(self.request_id.as_ref().map(|id| format!("  request id: {id}")));
        let hint = format!("{} ", paint.warn("hint:"));
        lines.extend(self.hint.as_ref().map(|text| words::wrap(&hint, text, COLUMNS)));
        lines.join("\n")
    }
}

fn mistakes(mistakes: &[Mistake], paint: Paint) -> String {
    let told = mistakes.iter().map(|mistake| {
        // A variable or a line does not always bear the setting's name; a flag does.
        let named = mistake.key.is_empty() || matches!(mistake.place, Place::Flag(_));
        let setting = if named { String::new() } else { format!(" ({})", mistake.key) };
        let line = format!("{} {}: {}{setting}", paint.bad("error:"), mistake.place, mistake.message);
        let hint = mistake.hint.as_ref().map(|hint| format!("\n  {} {hint}", paint.warn("hint:")));
        line + &hint.unwrap_or_default()
    });
    let all = words::count(mistakes.len(), "mistake");
    format!("{}\n\n{all}; nothing was touched.", told.collect::<Vec<_>>().join("\n"))
}

fn exit_of(kind: Kind) -> Exit {
    match kind {
        Kind::Refused => Exit::Refused,
        Kind::Input => Exit::Input,
        Kind::Interrupted => Exit::Interrupted,
        Kind::Failed | Kind::TimedOut | Kind::Foreign | Kind::Bug => Exit::Failed,
    }
}

/// Returns how the program ends after a run: of several failures the one that only a person can mend decides.
pub fn exit(report: &Report) -> Exit {
    let kinds = || report.errors.iter().map(|(_, error)| exit_of(error.kind));
    match report.outcome {
        Outcome::Ready => Exit::Well,
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
            elapsed: Duration::ZERO,
            critical_path: Duration::ZERO,
            errors: kinds.iter().map(|kind| ("step".to_owned(), StepError::new(*kind, "do it"))).collect(),
        }
    }

    #[test]
    fn the_exit_code_tells_who_has_to_act() {
        assert_eq!(exit(&report(&[Kind::Failed])), Exit::Failed);
        assert_eq!(exit(&report(&[Kind::Failed, Kind::Refused])), Exit::Refused);
        assert_eq!(exit(&report(&[Kind::Input])), Exit::Input);
        assert_eq!(exit(&report(&[Kind::Input, Kind::Bug])), Exit::Failed);
        assert_eq!(
            exit(&Report { outcome: Outcome::Interrupted, ..report(&[Kind::Failed]) }),
            Exit::Interrupted
        );
        assert_eq!(exit(&Report { outcome: Outcome::Ready, ..report(&[]) }), Exit::Well);
    }

    #[test]
    fn mistakes_are_told_together_with_their_places() {
        let file = Place::File { file: "landfall.toml".into(), line: Some(12) };
        let told = Failure::of_mistakes(vec![
            Mistake {
                place: Place::Flag("domain"),
                key: "domain",
                message: "\"x\" is not a domain: it has one label only".into(),
                hint: Some("give a name with a dot".into()),
            },
            Mistake::at(file, "unknown key `domian`"),
        ]);
        insta::assert_snapshot!(told.text(Paint::PLAIN), @r#"
        error: --domain: "x" is not a domain: it has one label only
          hint: give a name with a dot
        error: landfall.toml:12: unknown key `domian`

        2 mistakes; nothing was touched.
        "#);
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let failure = Failure::of_journal(&OpenError::Locked { holder: None });
        assert_eq!(failure.exit, Exit::Locked);
        insta::assert_snapshot!(failure.text(Paint::PLAIN), @"
        error: failed to take the lock of this environment
          another run holds it
        hint: wait for it to end; the lock goes with the process, there is nothing to
              delete
        ");
    }
}
