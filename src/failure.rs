//! Conversion of errors to messages and exit codes; the only place that does so.

use crate::{
    exit::{self, Exit},
    render::{escape, style::Styler, text},
    settings::config_error::{ConfigError, Place},
};
use landfall_cloud::ApiError;
use landfall_engine::{
    Holder, JournalError, Kind, LeaseEnd, Leftover, OpenError, StepError, StoreError, StoreErrorKind,
};
use landfall_sim::SimError;
use std::{error::Error, io, sync::Arc};

/// The failure of a command, ready to print.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Boxed, so that a `Result` stays small.
    content: Box<Content>,
}

/// The contents of a failure message.
#[derive(Debug, Default)]
struct Content {
    /// The failed operation; fits after "failed to".
    message: String,
    /// The steps in which it happened.
    steps: Vec<String>,
    causes: Vec<String>,
    left_behind: Option<Leftover>,
    request_id: Option<String>,
    hint: Option<String>,
    /// The mistakes in the settings; printed in place of everything else.
    config_errors: Vec<ConfigError>,
}

/// The hint for a damaged journal.
const DAMAGED: &str = "restore journal.jsonl and journal.length together from a backup; landfall status shows what can \
                       be read. If the change is meant, run up, down or rotate once with --accept-journal: it takes \
                       the lines as they stand and keeps a copy";

impl Failure {
    /// Creates a failure; `message` fits after "failed to".
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, content: Box::new(Content { message: message.into(), ..Content::default() }) }
    }

    /// Adds a cause below the existing ones.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.content.causes.push(cause.into());
        self
    }

    /// Adds an error and its sources as causes.
    pub fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.content.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Sets the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.content.hint = Some(hint.into());
        self
    }

    /// Creates a failure from mistakes in the settings.
    pub fn of_config_errors(config_errors: Vec<ConfigError>) -> Self {
        Self { exit: Exit::Input, content: Box::new(Content { config_errors, ..Content::default() }) }
    }

    /// Creates a failure from the error of one step, or of several with the same text.
    pub fn of_steps(steps: Vec<String>, error: &StepError) -> Self {
        let codes = error.code.iter().filter(|code| !error.causes.iter().any(|cause| cause.contains(*code)));
        let content = Content {
            message: error.message.clone(),
            steps,
            causes: error.causes.iter().chain(codes).cloned().collect(),
            left_behind: Some(error.leftover),
            request_id: error.request_id.as_deref().map(str::to_owned),
            hint: Some(hint(error)),
            config_errors: Vec::new(),
        };
        Self { exit: exit::of_kind(error.kind), content: Box::new(content) }
    }

    /// Creates a failure from an error of a cloud client outside of any step. No write was sent, so nothing
    /// is left behind.
    pub fn of_api(what: &str, error: &ApiError) -> Self {
        let mut failure = Self::of_steps(Vec::new(), &landfall_steps::step_error(what, error));
        failure.content.left_behind = None;
        failure
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
                .hint("wait for that run to end; its lock ends with it, and there is no file to delete")
            }
            OpenError::Leased { address, holder } => {
                let failure = Self::new(Exit::Locked, "lock this environment");
                let holder = holder.as_ref().map_or("another run".to_owned(), ToString::to_string);
                failure.cause(format!("{} holds the lease of {address}", escape::inline(&holder))).hint(
                    "wait for that run to end; the lease of a dead process ends within a minute. `landfall unlock` \
                     asks a living one to stop",
                )
            }
            OpenError::Store { source } => Self::of_store(source),
            OpenError::TwoJournals { .. } => Self::new(Exit::Input, error.to_string())
                .cause("each of them knows resources that the other one may not know")
                .hint("keep one: `landfall state push` moves the local one if the other one is empty; else remove \
                       one of them, after a look at both with `landfall status`"),
            OpenError::Moved { .. } => Self::new(Exit::Input, error.to_string()).hint(
                "set [state] or LANDFALL_STATE to that place, or move the journal back with `landfall state pull`",
            ),
            OpenError::NothingToMove { .. } => Self::new(Exit::Input, error.to_string())
                .hint("check --environment, --state-dir and [state]"),
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
            OpenError::Damaged { path, how } => Self::new(
                Exit::Failed,
                "trust the journal of this environment",
            )
            .cause(format!("{}: {how}", path.display()))
            .cause("the journal decides what landfall may delete, so landfall does not use a damaged one")
            .hint(DAMAGED),
            OpenError::Corrupt { .. } => Self::new(Exit::Failed, error.to_string())
                .cause("something else wrote into the file")
                .hint(DAMAGED),
            OpenError::Io { source, .. } => {
                Self::new(Exit::Failed, error.to_string()).caused_by(source).hint(file_hint(source))
            }
        }
    }

    /// Creates a failure from a refused request to the store of a journal.
    pub fn of_store(error: &StoreError) -> Self {
        let exit = match error.kind {
            StoreErrorKind::LeaseLost => return Self::of_lost_lease(LeaseEnd::Lost, None),
            StoreErrorKind::LeaseBroken => return Self::of_lost_lease(LeaseEnd::Ended, None),
            StoreErrorKind::Forbidden => Exit::Refused,
            StoreErrorKind::LeaseHeld => Exit::Locked,
            _ => Exit::Failed,
        };
        let mut failure = Self::new(exit, error.message.clone());
        if let Some(cause) = &error.cause {
            failure = failure.caused_by(&**cause);
        }
        failure.hint(error.hint.as_deref().unwrap_or("run again; -v shows every request"))
    }

    /// Creates a failure from a lease that ended in the middle of a run.
    pub fn of_lost_lease(end: LeaseEnd, holder: Option<&Holder>) -> Self {
        let failure = Self::new(Exit::Locked, "keep the lock of this environment");
        let failure = match (end, holder) {
            (LeaseEnd::Ended, _) => failure.cause("someone took it over with `landfall unlock`"),
            (LeaseEnd::Lost, Some(holder)) if !holder.is_this_process() => {
                let holder = holder.to_string();
                failure.cause(format!("another run holds it now: {}", escape::inline(&holder)))
            }
            (LeaseEnd::Lost, _) => failure.cause("it ended, and another run may hold it at any time"),
        };
        failure
            .cause("landfall started nothing more; everything that it created until then is in the journal")
            .hint("wait for the other run to end, then run again to resume")
    }

    /// Creates a failure from a simulated cloud that cannot be opened.
    pub fn of_sim_error(error: &SimError) -> Self {
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
            _ => {
                let file = error.source().and_then(|source| source.downcast_ref::<io::Error>());
                let hint = file.map_or_else(|| "choose another folder with --state-dir".into(), file_hint);
                Self::new(Exit::Failed, error.to_string()).hint(hint)
            }
        };
        if let Some(source) = error.source() {
            failure = failure.caused_by(source);
        }
        failure
    }

    /// Creates a failure from a journal that cannot be written.
    pub fn of_journal_write(error: &JournalError) -> Self {
        if let Some(store) = error.source.get_ref().and_then(|inner| inner.downcast_ref::<Arc<StoreError>>())
        {
            return Self::of_store(store);
        }
        let remedy = landfall_engine::file_remedy(&error.source);
        Self::new(Exit::Failed, error.to_string())
            .cause(error.source.to_string())
            .hint(format!("landfall does nothing that it cannot record; {remedy}, then run again"))
    }

    /// Returns message, causes and hint; mistakes in the settings are causes.
    pub fn parts(&self) -> (String, Vec<String>, Option<String>) {
        let content = &*self.content;
        let mistakes = &content.config_errors;
        if let Some(first) = mistakes.first() {
            let causes = mistakes.iter().map(|mistake| format!("{}: {}", mistake.place, mistake.message));
            return ("use the settings".to_owned(), causes.collect(), Some(first.hint.clone()));
        }
        (content.message.clone(), content.causes.clone(), content.hint.clone())
    }

    /// Returns the message text.
    pub fn text(&self, style: Styler) -> String {
        let content = &*self.content;
        let error = style.bad("error:");
        if !content.config_errors.is_empty() {
            return config_errors(&content.config_errors, style);
        }
        let mut lines =
            vec![text::wrap(&format!("{error} "), &format!("failed to {}", content.message), text::COLUMNS)];
        let mut causes = content.causes.iter();
        if !content.steps.is_empty() {
            lines.push(text::wrap("  in: ", &content.steps.join(", "), text::COLUMNS));
        }
        lines.extend(causes.next().map(|cause| text::wrap("  ", cause, text::COLUMNS)));
        lines.extend(causes.map(|cause| text::wrap("  caused by: ", cause, text::COLUMNS)));
        lines.extend(content.left_behind.map(|leftover| {
            let left = match leftover {
                Leftover::Nothing => "nothing",
                Leftover::Something => "a resource, perhaps incomplete; the next run checks it",
                Leftover::Unknown => "unknown; the next run checks it",
            };
            format!("  left behind: {left}")
        }));
        lines.extend(content.request_id.as_ref().map(|id| format!("  request id: {id}")));
        let hint = format!("{} ", style.warn("hint:"));
        lines.extend(content.hint.as_ref().map(|text| text::wrap(&hint, text, text::COLUMNS)));
        lines.join("\n")
    }
}

/// Returns the hint for an error of a file in the state folder.
fn file_hint(error: &io::Error) -> String {
    format!("{}; or choose another folder with --state-dir", landfall_engine::file_remedy(error))
}

/// Returns the hint for a step's error: the step's own, or the one for its kind.
pub fn hint(error: &StepError) -> String {
    let by_kind = match error.kind {
        Kind::Failed => "run again to resume; -v shows every request",
        Kind::Refused => "request the right or quota from an administrator, then run again",
        Kind::Input => "change the setting that the message names",
        Kind::TimedOut => "run again to resume the wait",
        Kind::Interrupted => "run again to resume",
        Kind::Foreign => {
            "choose another name, or delete the existing resource, which landfall did not create"
        }
        Kind::Bug => "this is a bug in landfall: report it with the output of -vv",
    };
    error.hint.clone().unwrap_or_else(|| by_kind.to_owned())
}

fn config_errors(config_errors: &[ConfigError], style: Styler) -> String {
    let content = config_errors.iter().map(|config_error| {
        // A variable or a line does not always contain the setting's name; a flag does.
        let named = config_error.key.is_empty() || matches!(config_error.place, Place::Flag(_));
        let setting = if named { String::new() } else { format!(" ({})", config_error.key) };
        let line =
            format!("{} {}: {}{setting}", style.bad("error:"), config_error.place, config_error.message);
        format!("{line}\n  {} {}", style.warn("hint:"), config_error.hint)
    });
    let all = text::count(config_errors.len(), "mistake");
    format!("{}\n\n{all}; nothing was changed.", content.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_errors_are_listed_with_their_sources() {
        let file = Place::File { file: "landfall.toml".into(), line: Some(12) };
        let content = Failure::of_config_errors(vec![
            ConfigError {
                place: Place::Flag("domain"),
                key: "domain",
                message: "\"x\" is not a domain: it has only one label".into(),
                hint: "use a name with a dot".into(),
            },
            ConfigError::at(file, "unknown key `domian`").hint("did you mean `domain`?"),
        ]);
        insta::assert_snapshot!(content.text(Styler::PLAIN), @r#"
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
        insta::assert_snapshot!(failure.text(Styler::PLAIN), @"
        error: failed to lock this environment
          another run holds it
        hint: wait for that run to end; its lock ends with it, and there is no file to
              delete
        ");
    }

    #[test]
    fn a_damaged_journal_is_reported_with_line_and_remedies() {
        let path = "/home/ada/.landfall/default/journal.jsonl".into();
        let how = landfall_engine::Damage::Cut { line: 9, last: 12 };
        let failure = Failure::of_journal(&OpenError::Damaged { path, how });
        assert_eq!(failure.exit, Exit::Failed);
        let text = failure.text(Styler::PLAIN).replace("\n      ", " ");
        for word in ["lines 9 to 12 were on disk", "from a backup", "landfall status", "--accept-journal"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn a_truncated_journal_is_reported_with_remedies() {
        let path = "/home/ada/.landfall/default/journal.jsonl".into();
        let failure = Failure::of_journal(&OpenError::Lost { path, how: "it is empty" });
        assert_eq!(failure.exit, Exit::Failed);
        let text = failure.text(Styler::PLAIN);
        for word in ["journal.jsonl: it is empty", "from a backup", "journal.lock", "start over"] {
            assert!(text.replace("\n      ", " ").contains(word), "{word}: {text}");
        }
    }
}
