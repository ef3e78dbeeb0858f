//! The output of a fleet's run: heading, display, summary, report and exit code.

use super::{
    arguments::RunArgs,
    file::Fleet,
    report::{self, FleetReport, ReportFormat},
    result::EnvironmentOutcome,
    runner::FleetOutcome,
    waves::Wave,
};
use crate::{
    cli::Format,
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::{
        fleet::{
            self as display, FleetDisplay, json::FleetJson, lines::Lines, live::Live,
            progress::FleetProgress, summary,
        },
        stream,
    },
};
use std::{io::BufRead, sync::Arc, time::SystemTime};

/// Refuses a report that would mix with the events on standard output.
pub fn check_report(cli_context: &CliContext, run: &RunArgs) -> Result<(), Failure> {
    if run.report.is_some() && run.report_file.is_none() && cli_context.is_json() {
        return Err(Failure::new(Exit::Input, "print a report")
            .cause("with --format json, standard output contains the events")
            .hint("write it to a file: --report-file FILE"));
    }
    match &run.report_file {
        Some(path) if run.report.or(ReportFormat::of_file(path)).is_none() => {
            Err(Failure::new(Exit::Input, format!("write the report {}", path.display()))
                .cause("its extension is none of json, csv and xml")
                .hint("name the format: --report json"))
        }
        _ => Ok(()),
    }
}

/// Returns the first line of a run.
pub fn heading(
    cli_context: &CliContext,
    fleet: &Fleet,
    command: &str,
    all: usize,
    continues: bool,
) -> String {
    let style = cli_context.terminal.err;
    let first = format!(
        "landfall fleet {command} · {} · {}",
        fleet.name,
        crate::render::text::count(all, "environment")
    );
    let continues = if continues { "\nContinuing the interrupted run." } else { "" };
    format!("{}{continues}\n", style.strong(&first))
}

/// Returns the display of a run.
pub fn display_of(
    cli_context: &CliContext,
    fleet: &Arc<Fleet>,
    waves: &[Wave],
    progress: FleetProgress,
) -> Box<dyn FleetDisplay> {
    match cli_context.format() {
        Format::Json => Box::new(FleetJson::new(fleet.clone(), waves.to_vec())),
        _ if cli_context.global.quiet => Box::new(display::Silent),
        Format::Line => Box::new(Lines::new(progress, std::io::stderr())),
        Format::Live => {
            let style = cli_context.terminal.err;
            Box::new(Live::new(progress, std::io::stderr(), crate::cli_context::size, style))
        }
    }
}

/// Prints the summary of a run.
pub fn print_outcome(
    cli_context: &CliContext,
    fleet: &Arc<Fleet>,
    waves: &[Wave],
    command: &str,
    platform: Option<&str>,
    outcome: &FleetOutcome,
) {
    let selected = report::count(waves);
    let results = outcome.results.iter().map(|(at, result)| (&fleet.environments[*at], result));
    let causes = crate::fleet::causes::causes(results);
    if cli_context.is_json() {
        let line = display::json::summary(SystemTime::now(), fleet, selected, outcome, &causes);
        stream::out().json(&line);
        return;
    }
    let mut slowest: Vec<_> =
        outcome.results.iter().map(|(at, result)| (fleet.environments[*at].name.as_str(), result)).collect();
    slowest.sort_by_key(|(_, result)| std::cmp::Reverse(result.elapsed_ms));
    let on = platform.map(|platform| format!(" --on {platform}")).unwrap_or_default();
    let again = format!("{} {command}{on}", cli_context.fleet_program());
    let text = summary::text(
        &summary::FleetSummary {
            command,
            again: &again,
            selected,
            waves,
            outcome,
            causes: &causes,
            slowest: &slowest,
        },
        cli_context.terminal.err,
    );
    match outcome.results.values().any(|result| result.outcome.is_failure()) {
        true => stream::err().line(&format!("\n{text}")),
        false => cli_context.say(&format!("\n{text}")),
    }
}

/// Writes the requested report.
pub fn write_report(run: &RunArgs, report: &FleetReport<'_>) -> Result<(), Failure> {
    let format = run.report.or_else(|| ReportFormat::of_file(run.report_file.as_deref()?));
    let Some(format) = format else { return Ok(()) };
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, "write the report")
            .caused_by(&error)
            .hint("use a file in an existing, writable folder")
    };
    let text = report.text(format).map_err(failed)?;
    match &run.report_file {
        Some(path) => std::fs::write(path, text).map_err(failed),
        None => {
            stream::out().write(&text);
            Ok(())
        }
    }
}

/// Asks for consent to delete, unless --yes was given.
pub fn confirm(cli_context: &CliContext, fleet: &Fleet, selected: usize) -> Result<(), Failure> {
    if cli_context.global.yes {
        return Ok(());
    }
    if !cli_context.terminal.answers {
        return Err(Failure::new(Exit::Input, "ask for confirmation of the deletion")
            .cause("no terminal is available for the answer")
            .hint("confirm with --yes; nothing was changed"));
    }
    let all = crate::render::text::count(selected, "environment");
    stream::err().write(&format!(
        "Everything that landfall created in {all} of fleet {0} will be deleted. `landfall --environment NAME down` shows \
         the list of one.\nType the name of the fleet to continue ({0}).\nFleet: ",
        fleet.name
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.is_ok() && answer.trim() == fleet.name {
        true => Ok(()),
        false => Err(Failure::new(Exit::Input, "delete the environments").cause(format!(
            "the typed name \"{}\" is not the fleet {}; nothing was changed",
            answer.trim(),
            fleet.name
        ))),
    }
}

/// Returns the exit code of a run.
pub fn exit_of(outcome: &FleetOutcome) -> Exit {
    let failures = || outcome.results.values().filter(|result| result.outcome.is_failure());
    match failures().next() {
        _ if outcome.interrupted => Exit::Interrupted,
        None => Exit::Success,
        Some(_) if failures().all(|result| result.outcome == EnvironmentOutcome::Refused) => Exit::Refused,
        Some(_) => Exit::Failed,
    }
}

/// Returns whether an environment has changes.
pub fn has_changes(outcome: &FleetOutcome) -> bool {
    outcome.results.values().any(|result| result.outcome == EnvironmentOutcome::Ready)
}
