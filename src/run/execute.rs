//! The run of all steps, the verification after it, and its report.

use crate::{
    cli_context::CliContext,
    commands::verify,
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    render::{
        self, doctor, escape, failed_run, json, progress_state::ProgressState, stream, summary,
        verify as verify_output,
    },
    settings::LoadedConfig,
    signals,
    target::Target,
    telemetry,
};
use landfall_cloud::AddressMap;
use landfall_diagnose::{
    doctor::Diagnosis,
    verify::{Verdict, VerifyTimeouts},
};
use landfall_engine::{Event, Graph, Journal, JournalState, Outcome, Report, Run, Stop, StopLevel};
use landfall_steps::settings::Teardown;
use serde_json::Value;
use std::{sync::Arc, time::SystemTime};
use tokio::sync::mpsc::{self, UnboundedSender};

/// A field of the last line of JSON, and its value.
pub type Field = Option<(&'static str, Value)>;

/// The command-specific output of a walk.
pub struct RunOutput<'a> {
    /// The command to repeat after a failure.
    pub again: String,
    /// The text after a walk that brought everything to ready.
    pub text: Box<dyn Fn(&RunResult<'_>) -> String + 'a>,
    /// The additional field in the last line of JSON.
    pub field: Box<dyn Fn(&RunResult<'_>) -> Field + 'a>,
}

/// The result of a walk.
pub struct RunResult<'a> {
    /// The environment.
    pub deployment: &'a Deployment,
    /// The recorded state before it.
    pub before: &'a JournalState,
    /// The recorded state now.
    pub journal_state: &'a JournalState,
    /// The report.
    pub report: &'a Report,
    /// The cloud.
    pub target: &'a Target,
    /// The address map of the gateways.
    pub address_map: &'a AddressMap,
    /// The result of the verification, if there was one.
    pub verdict: Option<&'a Verdict>,
}

/// Controls a walk over the graph: what stops it, and what receives its events. It prints nothing.
pub struct RunControl {
    /// The stop request.
    pub stop: Stop,
    /// The receiver of the events. It ends with the walk.
    pub events: UnboundedSender<Event>,
}

impl RunControl {
    /// Returns the context of a walk.
    fn of(self, journal: &Arc<Journal>, target: &Target) -> Run {
        let RunControl { stop, events } = self;
        Run { journal: journal.clone(), time_scale: target.time_scale, stop, events }
    }

    /// Runs every step of a graph.
    ///
    /// # Errors
    /// Fails if the journal cannot be written.
    pub async fn up(self, graph: &Graph, journal: &Arc<Journal>, target: &Target) -> Result<Report, Failure> {
        let report = landfall_engine::up(graph, &self.of(journal, target)).await;
        report.map_err(|error| Failure::of_journal_write(&error))
    }

    /// Undoes every owned step of a graph.
    ///
    /// # Errors
    /// Fails if the journal cannot be written.
    pub async fn down(
        self,
        graph: &Graph,
        journal: &Arc<Journal>,
        target: &Target,
    ) -> Result<Report, Failure> {
        let report = landfall_engine::down(graph, &self.of(journal, target)).await;
        report.map_err(|error| Failure::of_journal_write(&error))
    }
}

/// Displays a walk while it runs, and lets Ctrl-C stop it.
pub async fn displayed(
    cli_context: &CliContext,
    progress_state: ProgressState,
    target: &Target,
    stop: &Stop,
    walk: impl AsyncFnOnce(RunControl) -> Result<Report, Failure>,
) -> Result<Report, Failure> {
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    signals::listen(stop.clone(), say);
    let mut display = cli_context.display(progress_state, target.cloud, target.time_scale);
    // The display ends when the last sender is dropped, at the end of the walk.
    let running = walk(RunControl { stop: stop.clone(), events });
    let (report, ()) = tokio::join!(running, render::drive(&mut *display, seen, sentences));
    report
}

/// Runs every step, with a verification at the end if `verify` is true, and reports the result.
///
/// # Errors
/// Fails if the journal cannot be written, or the verification cannot run.
pub async fn run_steps(
    cli_context: &CliContext,
    config: &LoadedConfig,
    journal: Arc<Journal>,
    target: &Target,
    run_output: &RunOutput<'_>,
    verify: bool,
) -> Result<Exit, Failure> {
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let before = journal.journal_state();
    let stop = Stop::new();
    let report = displayed(cli_context, ProgressState::default(), target, &stop, async |control| {
        control.up(&deployment.graph, &journal, target).await
    })
    .await?;
    telemetry::completed(&report);
    let journal_state = journal.journal_state();
    let address_map = target.address_map().await;
    let verification = match verify && report.outcome == Outcome::Ready {
        true => Some(run_verification(cli_context, config, &journal_state, target, &stop).await),
        false => None,
    };
    let verdict = verification.as_ref().and_then(|verification| verification.as_ref().ok());
    let diagnosis = match report.outcome {
        Outcome::Failed => crate::commands::doctor::root_cause_note(target, config, &journal_state).await,
        _ => None,
    };
    let (before, journal_state, report) = (&before, &journal_state, &report);
    let result = RunResult {
        deployment: &deployment,
        before,
        journal_state,
        report,
        target,
        address_map: &address_map,
        verdict,
    };
    print_report(cli_context, &result, run_output, diagnosis.as_ref());
    match verification {
        Some(verification) => Ok(verify::exit_of(&verification?)),
        None => Ok(exit::of_report(report)),
    }
}

/// Verifies the environment. It is read-only, so the first stop request ends it at once.
async fn run_verification(
    cli_context: &CliContext,
    config: &LoadedConfig,
    journal_state: &JournalState,
    target: &Target,
    stop: &Stop,
) -> Result<Verdict, Failure> {
    cli_context.say("\nEverything is ready; verifying from outside.");
    let interrupted = || {
        Failure::new(Exit::Interrupted, "verify the environment")
            .cause("interrupted; the environment is complete")
            .hint(format!("verify it later: {} verify", cli_context.program()))
    };
    tokio::select! {
        verification = verify::run_verification(cli_context, &config.settings, journal_state, target, VerifyTimeouts::default()) => verification,
        () = stop.requested(StopLevel::Graceful) => Err(interrupted()),
    }
}

/// Returns the verification's field in the last line of JSON.
pub fn verified(result: &RunResult<'_>) -> Field {
    result.verdict.map(|verdict| ("verified", verdict.passes().into()))
}

fn print_report(
    cli_context: &CliContext,
    result: &RunResult<'_>,
    run_output: &RunOutput<'_>,
    diagnosis: Option<&Diagnosis>,
) {
    let RunResult { deployment, journal_state, report, target, .. } = result;
    if let Some(verdict) = result.verdict {
        let text = match cli_context.is_json() {
            true => escape::json(&json::verified(SystemTime::now(), verify_output::fields(verdict))),
            false => format!(
                "\n{}",
                verify_output::text(verdict, &cli_context.program(), cli_context.terminal.out)
            ),
        };
        stream::out().line(&text);
    }
    if cli_context.is_json() {
        let facts = deployment.facts(journal_state);
        let mut line = json::summary(SystemTime::now(), report, &facts, target.requests());
        if let Some((name, value)) = (run_output.field)(result) {
            line[name] = value;
        }
        stream::out().json(&line);
    }
    if let Some(warnings) = summary::warnings(report, cli_context.terminal.err) {
        cli_context.say(&format!("\n{warnings}"));
    }
    if report.outcome == Outcome::Ready {
        cli_context.say(&format!("\n{}", (run_output.text)(result)));
        return;
    }
    let mut failure = failed_run::errors(report, cli_context.terminal.err);
    failure.extend(
        diagnosis.and_then(|diagnosis| doctor::root_cause_note(diagnosis, report, &cli_context.program())),
    );
    let has_operations_in_flight = failed_run::has_operations_in_flight(journal_state);
    failure.push(failed_run::next_steps(
        report,
        &deployment.graph.enabled_steps(),
        &run_output.again,
        has_operations_in_flight,
    ));
    stream::err().line(&format!("\n{}", failure.join("\n\n")));
}
