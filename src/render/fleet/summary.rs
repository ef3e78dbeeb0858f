//! The text after a fleet's run: the counts, the failures by cause with one remedy each, and the next command.

use crate::{
    fleet::{
        causes::Cause,
        result::{EnvironmentOutcome, EnvironmentResult},
        runner::FleetOutcome,
        waves::Wave,
    },
    render::{style::Styler, text},
};

/// The environments that a cause names.
const NAMED_MAX: usize = 8;
/// The causes that are printed.
const CAUSES_MAX: usize = 20;
/// The environments among the slowest.
const SLOWEST_MAX: usize = 5;
/// The number of environments from which the slowest are printed.
const SLOWEST_FROM: usize = 10;

/// The data of the summary.
pub struct FleetSummary<'a> {
    /// The command, `up`.
    pub command: &'a str,
    /// The command line that calls the command again, `landfall fleet up`.
    pub again: &'a str,
    /// The selected environments.
    pub selected: usize,
    /// The waves.
    pub waves: &'a [Wave],
    /// The outcome.
    pub outcome: &'a FleetOutcome,
    /// The failures by cause.
    pub causes: &'a [Cause],
    /// The results of this run, slowest first.
    pub slowest: &'a [(&'a str, &'a EnvironmentResult)],
}

/// Returns the text.
pub fn text(summary: &FleetSummary<'_>, style: Styler) -> String {
    let mut parts = vec![headline(summary, style)];
    if summary.slowest.len() >= SLOWEST_FROM {
        parts.push(slowest(summary));
    }
    parts.extend(summary.causes.iter().take(CAUSES_MAX).map(|one| cause(one, style)));
    if summary.causes.len() > CAUSES_MAX {
        let more = text::count(summary.causes.len() - CAUSES_MAX, "more cause");
        parts.push(format!("{more}; --report csv lists every environment."));
    }
    if let Some(wave) = summary.outcome.stopped_in {
        let waiting = summary.selected - summary.outcome.results.len();
        let name = &summary.waves[wave].name;
        let not_run = match waiting {
            0 => String::new(),
            _ => format!(" {} did not run.", text::count(waiting, "environment")),
        };
        let line = format!(
            "Wave {name} has more failures than it may have (max_failures), so nothing new was started.{not_run}"
        );
        parts.push(text::wrap("", &line, text::COLUMNS));
    }
    parts.extend(next(summary));
    parts.join("\n\n")
}

fn headline(summary: &FleetSummary<'_>, style: Styler) -> String {
    let outcome = summary.outcome;
    let number = |wanted: EnvironmentOutcome| {
        outcome.results.values().filter(|result| result.outcome == wanted).count()
    };
    let (ready, unchanged) = match summary.command {
        "plan" => ("with changes", "in sync"),
        "verify" => ("verified", "verified"),
        "down" => ("deleted", "with nothing to delete"),
        "renew" => ("renewed", "not due"),
        _ => ("ready", "unchanged"),
    };
    let counted = [
        (number(EnvironmentOutcome::Ready), ready),
        (number(EnvironmentOutcome::Unchanged), unchanged),
        (number(EnvironmentOutcome::Failed), "failed"),
        (number(EnvironmentOutcome::Refused), "refused"),
        (number(EnvironmentOutcome::Interrupted), "interrupted"),
        (summary.selected - outcome.results.len(), "not run"),
    ];
    let counted = counted.iter().filter(|(number, _)| *number > 0);
    let counted: Vec<String> = counted.map(|(number, what)| format!("{number} {what}")).collect();
    let requests: u64 = outcome.results.values().map(|result| result.requests).sum();
    let all = text::count(summary.selected, "environment");
    let first = format!("{all} in {}", text::duration(outcome.elapsed));
    let is_good = outcome.results.len() == summary.selected
        && outcome.results.values().all(|result| result.outcome.is_good());
    let first = if is_good { style.good(&first) } else { style.bad(&first) };
    format!("{first}: {} · {requests} requests", counted.join(", "))
}

fn slowest(summary: &FleetSummary<'_>) -> String {
    let rows = summary.slowest.iter().take(SLOWEST_MAX);
    let rows: Vec<String> = rows
        .map(|(name, result)| {
            format!("  {} {}", text::pad(&text::cut(name, 40), 40), text::duration(result.elapsed()))
        })
        .collect();
    format!("Slowest\n{}", rows.join("\n"))
}

fn cause(cause: &Cause, style: Styler) -> String {
    let (error, number) = (&cause.error, cause.environments.len());
    let code = error.code.as_ref().map(|code| format!("{code} · ")).unwrap_or_default();
    let first = style.bad(&format!("{number} × "));
    let mut lines = vec![text::wrap(&first, &format!("{code}failed to {}", error.message), text::COLUMNS)];
    if let Some(step) = &error.step {
        lines.push(text::wrap("  in: ", &text::name(step), text::COLUMNS));
    }
    lines.extend(error.causes.iter().take(2).map(|cause| text::wrap("  ", cause, text::COLUMNS)));
    let mut names: Vec<String> = cause.environments.iter().take(NAMED_MAX).cloned().collect();
    if number > NAMED_MAX {
        names.push(format!("{} more", number - NAMED_MAX));
    }
    lines.push(text::wrap("  environments: ", &text::list(&names), text::COLUMNS));
    let hint = format!("{} ", style.warn("hint:"));
    lines.extend(error.hint.as_ref().map(|text| text::wrap(&hint, text, text::COLUMNS)));
    lines.join("\n")
}

/// Returns the command that continues, if something is left to do.
fn next(summary: &FleetSummary<'_>) -> Option<String> {
    let FleetSummary { command, again, outcome, .. } = summary;
    let line = if outcome.interrupted {
        format!("To continue, run `{again}` again.")
    } else if outcome.results.values().any(|result| result.outcome.is_failure()) {
        match *command {
            "up" | "renew" | "down" => {
                format!("Fix this, then run `{again} --only-failed`.")
            }
            _ => return None,
        }
    } else {
        return None;
    };
    Some(text::wrap("", &line, text::COLUMNS))
}
