//! Conversion of errors to messages and exit codes; the only place that does so.

use crate::{
    exit::{self, Exit},
    render::{escape, paint::Paint, words},
    settings::mistake::{Mistake, Place},
};
use landfall_cloud::{ApiError, ApiErrorKind};
use landfall_engine::{JournalError, Kind, OpenError, Residue, StepError};
use landfall_sim::SimError;
use std::error::Error;

/// The failure of a command, ready to print.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Boxed, so that a `Result` stays small.
    told: Box<Told>,
}

/// The contents of a failure message.
#[derive(Debug, Default)]
struct Told {
    /// The failed operation; fits after "failed to".
    message: String,
    /// The steps in which it happened.
    steps: Vec<String>,
    causes: Vec<String>,
    left_behind: Option<Residue>,
    request_id: Option<String>,
    hint: Option<String>,
    /// The mistakes in the settings; printed in place of everything else.
    mistakes: Vec<Mistake>,
}

/// The hint for a damaged journal.
const DAMAGED: &str = "restore journal.jsonl and journal.length together from a backup; landfall status shows what can \
                       be read. If the change is meant, run up, down or rotate once with --accept-journal: it takes \
                       the lines as they stand and keeps a copy of the file";

impl Failure {
    /// Creates a failure; `message` fits after "failed to".
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, told: Box::new(Told { message: message.into(), ..Told::default() }) }
    }

    /// Adds a cause below the existing ones.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.told.causes.push(cause.into());
        self
    }

    /// Adds an error and its sources as causes.
    pub fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.told.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Sets the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.told.hint = Some(hint.into());
        self
    }

    /// Creates a failure from mistakes in the settings.
    pub fn of_mistakes(mistakes: Vec<Mistake>) -> Self {
        Self { exit: Exit::Input, told: Box::new(Told { mistakes, ..Told::default() }) }
    }

    /// Creates a failure from the error of one step, or of several with the same text.
    pub fn of_steps(steps: Vec<String>, error: &StepError) -> Self {
        let codes = error.code.iter().filter(|code| !error.causes.iter().any(|cause| cause.contains(*code)));
        let told = Told {
            message: error.message.clone(),
            steps,
            causes: error.causes.iter().chain(codes).cloned().collect(),
            left_behind: Some(error.residue),
            request_id: error.request_id.as_deref().map(str::to_owned),
            hint: Some(hint(error)),
            mistakes: Vec::new(),
        };
        Self { exit: exit::of_kind(error.kind), told: Box::new(told) }
    }

    /// Creates a failure from an error of a cloud client outside of any step.
    pub fn of_api(doing: &str, error: &ApiError) -> Self {
        let exit = match error.kind {
            ApiErrorKind::SignIn | ApiErrorKind::Unauthorized | ApiErrorKind::Forbidden => Exit::Refused,
            _ => Exit::Failed,
        };
        let mut failure = Self::new(exit, doing).cause(error.to_string());
        let details = error.details.iter().map(|(code, message)| format!("{code}: {message}"));
        failure.told.causes.extend(details.chain(error.causes()));
        failure.told.request_id = error.request_id.as_deref().map(str::to_owned);
        failure.hint(match error.kind {
            ApiErrorKind::SignIn | ApiErrorKind::Unauthorized => {
                "sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
            }
            ApiErrorKind::Forbidden => {
                "request the role that the message names; reading requires at least Reader"
            }
            ApiErrorKind::Throttled => "rate limited by the service; run again in a minute",
            ApiErrorKind::Unavailable | ApiErrorKind::Transport => {
                "nothing was changed; run again, and check network and proxy when it stays so"
            }
            _ => "check [endpoints], tenant and subscription; -v shows every request",
        })
    }

    /// Creates a failure from a journal that cannot be opened.
    pub fn of_journal(error: &OpenError) -> Self {
        match error {
            OpenError::Locked { holder } => {
                let failure = Self::new(Exit::Locked, "lock this environment");
                match holder {
                    Some(holder) => {
                        let holder = holder.to_string();
                        failure.cause(format!("another run holds it: {}", escape::inline(&holder)))
                    }
                    None => failure.cause("another run holds it"),
                }
                .hint("wait for it to end; the lock ends with the process, there is nothing to delete")
            }
            OpenError::OtherEnvironment { .. } => Self::new(Exit::Input, error.to_string())
                .hint("use a separate environment for the other cloud or subscription: --environment NAME"),
            OpenError::Newer { .. } | OpenError::Unknown { .. } => {
                Self::new(Exit::Input, error.to_string()).hint("use the newer landfall that wrote it")
            }
            OpenError::Lost { path, how } => {
                let folder = path.parent().unwrap_or(path).display();
                Self::new(Exit::Failed, "read the journal of this environment")
                    .cause(format!("{}: {how}", path.display()))
                    .cause("landfall no longer knows what it created for this environment")
                    .hint(format!(
                        "restore the file from a backup; or remove journal.jsonl and journal.lock from \
                         {folder} to start over: existing resources are then found, not owned, and landfall \
                         down does not delete them"
                    ))
            }
            OpenError::Unsafe { path, why } => {
                Self::new(Exit::Input, "keep the state in a folder that no other user can change")
                    .cause(format!("{}: {why}", path.display()))
                    .hint("fix that (chmod go-w for permissions), or choose another folder with --state-dir")
            }
            OpenError::Damaged { path, how } => {
                Self::new(Exit::Failed, "trust the journal of this environment")
                    .cause(format!("{}: {how}", path.display()))
                    .cause("it decides what is landfall's to delete, so nothing is done with it as it is")
                    .hint(DAMAGED)
            }
            OpenError::Corrupt { .. } => Self::new(Exit::Failed, error.to_string())
                .cause("something else wrote into the file")
                .hint(DAMAGED),
            OpenError::Io { source, .. } => Self::new(Exit::Failed, error.to_string())
                .caused_by(source)
                .hint("free disk space or fix the permissions, or choose another folder with --state-dir"),
        }
    }

    /// Creates a failure from a simulated cloud that cannot be opened.
    pub fn of_rehearsal(error: &SimError) -> Self {
        let mut failure = match error {
            SimError::Busy { .. } => Self::new(Exit::Locked, error.to_string())
                .hint("wait for it to end, or use another --environment"),
            SimError::Newer { .. } => {
                Self::new(Exit::Input, error.to_string()).hint("use the newer landfall that created it")
            }
            SimError::PortTaken { .. } => {
                Self::new(Exit::Input, error.to_string()).hint("choose another --port, or omit it")
            }
            SimError::Fault(_) => Self::new(Exit::Input, error.to_string())
                .hint("a fault is written name[@METHOD path-part][*times]"),
            _ => Self::new(Exit::Failed, error.to_string())
                .hint("free disk space or fix the permissions, or choose another folder with --state-dir"),
        };
        if let Some(source) = error.source() {
            failure = failure.caused_by(source);
        }
        failure
    }

    /// Creates a failure from a journal that cannot be written.
    pub fn of_writing(error: &JournalError) -> Self {
        Self::new(Exit::Failed, error.to_string()).cause(error.source.to_string()).hint(
            "landfall does nothing that it cannot record; free disk space or fix the permissions, then \
                   run again",
        )
    }

    /// Returns the message text.
    pub fn text(&self, paint: Paint) -> String {
        const COLUMNS: usize = 80;
        let told = &*self.told;
        let error = paint.bad("error:");
        if !told.mistakes.is_empty() {
            return mistakes(&told.mistakes, paint);
        }
        let mut lines =
            vec![words::wrap(&format!("{error} "), &format!("failed to {}", told.message), COLUMNS)];
        let mut causes = told.causes.iter();
        if !told.steps.is_empty() {
            lines.push(words::wrap("  in: ", &told.steps.join(", "), COLUMNS));
        }
        lines.extend(causes.next().map(|cause| words::wrap("  ", cause, COLUMNS)));
        lines.extend(causes.map(|cause| words::wrap("  caused by: ", cause, COLUMNS)));
        lines.extend(told.left_behind.map(|residue| {
            let left = match residue {
                Residue::Nothing => "nothing",
                Residue::Something => "something; the next run checks it",
                Residue::Unknown => "unknown; the next run checks it",
            };
            format!("  left behind: {left}")
        }));
        lines.extend(told.request_id.as_ref().map(|id| format!("  request id: {id}")));
        let hint = format!("{} ", paint.warn("hint:"));
        lines.extend(told.hint.as_ref().map(|text| words::wrap(&hint, text, COLUMNS)));
        lines.join("\n")
    }
}

/// Returns the hint for a step's error: the step's own, or the one for its kind.
pub fn hint(error: &StepError) -> String {
    let by_kind = match error.kind {
        Kind::Failed => "run again to resume; -v shows every request",
        Kind::Refused => "request the right or quota from an administrator, then run again",
        Kind::Input => "change the setting that the message names",
        Kind::TimedOut => "run again to resume the wait",
        Kind::Interrupted => "run again to resume",
        Kind::Foreign => "choose another name, or delete the foreign resource yourself",
        Kind::Bug => "this is a bug in landfall: report it with the output of -vv",
    };
    error.hint.clone().unwrap_or_else(|| by_kind.to_owned())
}

fn mistakes(mistakes: &[Mistake], paint: Paint) -> String {
    let told = mistakes.iter().map(|mistake| {
        // A variable or a line does not always contain the setting's name; a flag does.
        let named = mistake.key.is_empty() || matches!(mistake.place, Place::Flag(_));
        let setting = if named { String::new() } else { format!(" ({})", mistake.key) };
        let line = format!("{} {}: {}{setting}", paint.bad("error:"), mistake.place, mistake.message);
        format!("{line}\n  {} {}", paint.warn("hint:"), mistake.hint)
    });
    let all = words::count(mistakes.len(), "mistake");
    format!("{}\n\n{all}; nothing was changed.", told.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_together_with_their_places() {
        let file = Place::File { file: "landfall.toml".into(), line: Some(12) };
        let told = Failure::of_mistakes(vec![
            Mistake {
                place: Place::Flag("domain"),
                key: "domain",
                message: "\"x\" is not a domain: it has only one label".into(),
                hint: "use a name with a dot".into(),
            },
            Mistake::at(file, "unknown key `domian`").hint("did you mean `domain`?"),
        ]);
        insta::assert_snapshot!(told.text(Paint::PLAIN), @r#"
        error: --domain: "x" is not a domain: it has only one label
          hint: use a name with a dot
        error: landfall.toml:12: unknown key `domian`
          hint: did you mean `domain`?

        2 mistakes; nothing was changed.
        "#);
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let failure = Failure::of_journal(&OpenError::Locked { holder: None });
        assert_eq!(failure.exit, Exit::Locked);
        insta::assert_snapshot!(failure.text(Paint::PLAIN), @"
        error: failed to lock this environment
          another run holds it
        hint: wait for it to end; the lock ends with the process, there is nothing to
              delete
        ");
    }

    #[test]
    fn a_damaged_journal_is_told_with_the_line_and_the_ways_on() {
        let path = "/home/ada/.landfall/default/journal.jsonl".into();
        let how = landfall_engine::Damage::Cut { line: 9, last: 12 };
        let failure = Failure::of_journal(&OpenError::Damaged { path, how });
        assert_eq!(failure.exit, Exit::Failed);
        let text = failure.text(Paint::PLAIN).replace("\n      ", " ");
        for word in ["lines 9 to 12 were on disk", "from a backup", "landfall status", "--accept-journal"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn a_journal_that_lost_its_beginning_is_told_with_the_ways_on() {
        let path = "/home/ada/.landfall/default/journal.jsonl".into();
        let failure = Failure::of_journal(&OpenError::Lost { path, how: "it is empty" });
        assert_eq!(failure.exit, Exit::Failed);
        let text = failure.text(Paint::PLAIN);
        for word in ["journal.jsonl: it is empty", "from a backup", "journal.lock", "start over"] {
            assert!(text.replace("\n      ", " ").contains(word), "{word}: {text}");
        }
    }
}
