//! `landfall up`: brings the environment to ready, or resumes after the last run.

use super::verify;
use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    render::{
        self, doctor, escape, failure, json, progress_state::ProgressState, stream, summary,
        verify as verify_output,
    },
    settings::{LoadedConfig, Mode, file::CloudName, flags::SettingFlags},
    signals,
    target::{self, Gateways, Target},
    up_options::UpOptions,
};
use jiff::Timestamp;
use landfall_cloud::AddressMap;
use landfall_diagnose::{
    doctor::Diagnosis,
    verify::{Verdict, VerifyTimeouts},
};
use landfall_engine::{
    EnvironmentKey, Journal, JournalState, OpenError, Outcome, Report, Run, Stop, StopLevel,
};
use landfall_steps::{preflight, settings::Teardown};
use serde_json::Value;
use std::{sync::Arc, time::SystemTime};
use tokio::sync::mpsc;

/// A field of the last line of JSON, and its value.
type Field = Option<(&'static str, Value)>;

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

impl<'a> RunOutput<'a> {
    /// Returns the output for an environment that is ready.
    fn of_up(cli_context: &'a CliContext) -> Self {
        let program = cli_context.program();
        let again = format!("{program} up");
        let text = move |result: &RunResult<'_>| {
            let output_context = summary::OutputContext {
                program: &program,
                caution: result.target.caution,
                takes_time: !result.target.time_scale.is_instant(),
                address_map: result.address_map,
                now: Timestamp::now(),
            };
            let facts = result.deployment.facts(result.journal_state);
            summary::text(
                &facts,
                result.report,
                result.target.requests(),
                output_context,
                cli_context.terminal.err,
            )
        };
        Self { again, text: Box::new(text), field: Box::new(verified) }
    }
}

/// What `up` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    up_options: UpOptions,
    /// Verify from outside when everything is ready, as `verify` does
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    journal: AcceptJournal,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// The way out of a journal that is not as it was written.
#[derive(clap::Args, Debug)]
pub struct AcceptJournal {
    /// Take a damaged journal as it stands, and keep a copy of the file beside it
    #[arg(long)]
    accept_journal: bool,
}

impl AcceptJournal {
    /// Accepts the damaged journal, if that was requested and there is damage.
    pub fn apply(&self, cli_context: &CliContext, config: &LoadedConfig) -> Result<(), Failure> {
        let refuse = |error: OpenError| Failure::of_journal(&error);
        if !self.accept_journal {
            return Ok(());
        }
        let Some(salvaged) = Journal::salvage(&config.folder).map_err(refuse)? else { return Ok(()) };
        same_journal(config, &salvaged.key)?;
        if let Some(taken) = Journal::accept(&config.folder, env!("CARGO_PKG_VERSION")).map_err(refuse)? {
            cli_context.say(&format!(
                "The journal is accepted with {} lines that can be read, because of: {}. The file as it was is {}.",
                taken.lines,
                taken.damage,
                taken.kept.display()
            ));
        }
        Ok(())
    }
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Apply)?;
    args.journal.apply(cli_context, &config)?;
    args.up_options.apply(&mut config.settings)?;
    let (journal, target) = open(cli_context, &config, "up", gateways(args)).await?;
    cli_context.say(&heading(cli_context, "up", &target));
    if let Some(warning) = preflight::readable_kubeconfig_warning(&config.settings.kubeconfig) {
        cli_context.say(&format!("Warning: {warning}."));
    }
    let result = match same_environment(cli_context, &config, &journal.journal_state(), &target) {
        Ok(()) => {
            let run_output = RunOutput::of_up(cli_context);
            run_steps(cli_context, &config, journal, &target, &run_output, args.verify).await
        }
        Err(refused) => Err(refused),
    };
    target.close().await;
    result
}

/// A verification sends requests to the gateways.
fn gateways(args: &Args) -> Gateways {
    if args.verify { Gateways::WithTraffic } else { Gateways::WithoutTraffic }
}

/// Opens journal and cloud, in the order that refuses a second run before it changes anything.
pub async fn open(
    cli_context: &CliContext,
    config: &LoadedConfig,
    command: &str,
    gateways: Gateways,
) -> Result<(Journal, Target), Failure> {
    let allowed = cli_context.allowed(&config.place)?;
    let refuse = |error: OpenError| Failure::of_journal(&error);
    for path in Journal::secure(&config.folder).map_err(refuse)? {
        cli_context.say(&format!(
            "{} was accessible to other users; its permissions are now restricted to you.",
            path.display()
        ));
    }
    let known = recorded_state(config)?.map(|(key, _)| key);
    if let Some(key) = &known {
        same_journal(config, key)?;
    }
    let take = |key: &EnvironmentKey| {
        Journal::open(&config.folder, command, key, env!("CARGO_PKG_VERSION"))
            .map_err(|error| Failure::of_journal(&error))
    };
    let early = known.as_ref().map(take).transpose()?;
    let before = known.as_ref().map(|key| key.subscription.as_str());
    let target = target::connect(allowed, &cli_context.environment, &config.folder, before, gateways).await?;
    let key = EnvironmentKey {
        cloud: target.cloud.to_owned(),
        subscription: target.clients.azure.id().to_owned(),
        environment: config.settings.environment.clone(),
    };
    match early {
        Some(journal) if *journal.environment() == key => Ok((journal, target)),
        // The journal belongs to another subscription; opening it reports that.
        Some(journal) => {
            drop(journal);
            let refused = take(&key);
            target.close().await;
            let why = || Failure::new(Exit::Input, "use the journal of another subscription");
            Err(refused.err().unwrap_or_else(why))
        }
        None => match take(&key) {
            Ok(journal) => Ok((journal, target)),
            Err(failure) => {
                target.close().await;
                Err(failure)
            }
        },
    }
}

/// Reads the journal. The owner is checked first: a journal of another environment is refused by its name,
/// damaged or not.
pub fn recorded_state(config: &LoadedConfig) -> Result<Option<(EnvironmentKey, JournalState)>, Failure> {
    Journal::read(&config.folder).map_err(|error| {
        let salvaged = match error {
            OpenError::Damaged { .. } => Journal::salvage(&config.folder).ok().flatten(),
            _ => None,
        };
        let other = salvaged.and_then(|salvaged| same_journal(config, &salvaged.key).err());
        other.unwrap_or_else(|| Failure::of_journal(&error))
    })
}

/// Refuses the journal of another environment as early as possible: before the sign-in.
pub fn same_journal(config: &LoadedConfig, key: &EnvironmentKey) -> Result<(), Failure> {
    let place = &config.place;
    let cloud = target::name(place.cloud);
    // The simulated cloud has its own subscription, whatever is configured.
    let subscription = place.subscription.as_ref().filter(|_| place.cloud == CloudName::Azure);
    let wanted = EnvironmentKey {
        cloud: cloud.to_owned(),
        subscription: match subscription {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&key.subscription) => wanted.clone(),
            None if key.cloud != cloud => "separate".to_owned(),
            _ => key.subscription.clone(),
        },
        environment: config.settings.environment.clone(),
    };
    match wanted == *key {
        true => Ok(()),
        false => {
            let (is, wanted) = (Box::new(key.clone()), Box::new(wanted));
            Err(Failure::of_journal(&OpenError::OtherEnvironment { is, wanted }))
        }
    }
}

/// Returns the first lines of a run.
pub fn heading(cli_context: &CliContext, command: &str, target: &Target) -> String {
    let style = cli_context.terminal.err;
    let first = format!("landfall {command} · {} · {}", cli_context.global.environment, target.text);
    let remark = target.remark.as_ref().map(|remark| format!("\n{remark}")).unwrap_or_default();
    format!("{}{remark}\n", style.strong(&first))
}

/// Refuses to create resources under other names: the recorded ones would be forgotten.
pub fn same_environment(
    cli_context: &CliContext,
    config: &LoadedConfig,
    journal_state: &JournalState,
    target: &Target,
) -> Result<(), Failure> {
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let subscription = target.clients.azure.id();
    let renamed = deployment.resources().renamed_settings(&config.settings, journal_state, subscription);
    if renamed.is_empty() {
        return Ok(());
    }
    let name = &cli_context.global.environment;
    let refused = Failure::new(Exit::Input, format!("use environment {name} with other names"));
    let failure = renamed.iter().fold(refused, |failure, one| {
        failure.cause(format!("{} is {}, but was created as {}", one.setting, one.configured, one.recorded))
    });
    Err(failure.hint(format!(
        "set it back, delete the environment first, or use a separate environment: {} --environment NAME up",
        cli_context.program()
    )))
}

/// Runs every step, and reports the result.
pub async fn bring_up(
    cli_context: &CliContext,
    config: &LoadedConfig,
    journal: Journal,
    target: &Target,
    run_output: &RunOutput<'_>,
) -> Result<Exit, Failure> {
    run_steps(cli_context, config, journal, target, run_output, false).await
}

/// Like [`bring_up`], with a verification at the end if it is requested.
async fn run_steps(
    cli_context: &CliContext,
    config: &LoadedConfig,
    journal: Journal,
    target: &Target,
    run_output: &RunOutput<'_>,
    verify: bool,
) -> Result<Exit, Failure> {
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let before = journal.journal_state();
    let journal = Arc::new(journal);
    let time_scale = target.time_scale;
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    let stop = Stop::new();
    let run = Run { journal: journal.clone(), time_scale, stop: stop.clone(), events };
    signals::listen(stop.clone(), say);
    let mut display = cli_context.display(ProgressState::default(), target.cloud, time_scale);
    let running = async {
        let report = landfall_engine::up(&deployment.graph, &run).await;
        // The display ends when the last sender is dropped.
        drop(run);
        report
    };
    let (report, ()) = tokio::join!(running, render::drive(&mut *display, seen, sentences));
    let report = report.map_err(|error| Failure::of_journal_write(&error))?;
    let journal_state = journal.journal_state();
    let address_map = target.address_map().await;
    let verification = match verify && report.outcome == Outcome::Ready {
        true => Some(run_verification(cli_context, config, &journal_state, target, &stop).await),
        false => None,
    };
    let verdict = verification.as_ref().and_then(|verification| verification.as_ref().ok());
    let diagnosis = match report.outcome {
        Outcome::Failed => super::doctor::root_cause_note(target, config, &journal_state).await,
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
fn verified(result: &RunResult<'_>) -> Field {
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
    if report.outcome == Outcome::Ready {
        cli_context.say(&format!("\n{}", (run_output.text)(result)));
        return;
    }
    let mut failure = failure::errors(report, cli_context.terminal.err);
    failure.extend(
        diagnosis.and_then(|diagnosis| doctor::root_cause_note(diagnosis, report, &cli_context.program())),
    );
    let has_operations_in_flight = failure::has_operations_in_flight(journal_state);
    failure.push(failure::next_steps(
        report,
        &deployment.graph.steps(),
        &run_output.again,
        has_operations_in_flight,
    ));
    stream::err().line(&format!("\n{}", failure.join("\n\n")));
}
