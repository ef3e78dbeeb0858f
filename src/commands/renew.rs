//! `landfall renew`: renews the certificate when it is due. It needs no state folder, so that a scheduled job may run
//! anywhere.

use crate::{
    cli_context::CliContext,
    endpoint_consent,
    exit::{self, Exit},
    failure::Failure,
    render::{escape, failed_run, progress_state::ProgressState, stream, text, verify as verify_output},
    run::{self, RunControl},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{self, Gateways, Target},
};
use clap::ValueEnum;
use jiff::Timestamp;
use landfall_diagnose::verify::{CheckId, State, Verdict, VerifyTimeouts};
use landfall_engine::{EnvironmentKey, Graph, Journal, JournalState, Outcome, Report, StepError, Stop};
use landfall_steps::{RenewalState, RenewalTarget};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};

/// The maximum time until the gateways serve a new version, in real time: the add-on polls the vault every two minutes.
const SERVED_WITHIN: Duration = Duration::from_secs(600);

/// The arguments of `renew`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only report whether it is due
    #[arg(long)]
    dry_run: bool,
    /// Renew it although it is not due
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// Print a scheduled job that renews it, and do nothing else
    #[arg(long, value_name = "PLATFORM")]
    print: Option<Platform>,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// The platform of a scheduled job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// A workflow of GitHub Actions.
    Github,
    /// A pipeline of Azure DevOps.
    AzureDevops,
    /// A CronJob in a cluster.
    KubernetesCronjob,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    if let Some(platform) = args.print {
        stream::out().write(&job(cli_context, platform));
        return Ok(Exit::Success);
    }
    let config = cli_context.load_config(&args.setting_flags, Mode::Apply)?;
    let allowed = cli_context.allowed(&config.place)?;
    let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
    let target =
        target::connect(allowed, environment, sign_ins, &config.folder, None, Gateways::WithTraffic).await?;
    let result = renew(cli_context, args, &config, &target).await;
    target.close().await;
    result
}

/// What a renewal does.
#[derive(Clone, Copy, Debug, Default)]
pub struct RenewOptions {
    /// Only report whether it is due.
    pub dry_run: bool,
    /// Renew although it is not due.
    pub force: bool,
}

/// The result of a renewal.
pub enum Renewed {
    /// Nothing was done: it is not due, or that was the question.
    NotDue(RenewalState),
    /// The steps ended; no gateway serves a new version yet.
    Ended(Report),
    /// The gateways were checked for the new version.
    Served(Report, Verdict),
}

async fn renew(
    cli_context: &CliContext,
    args: &Args,
    config: &LoadedConfig,
    target: &Target,
) -> Result<Exit, Failure> {
    let options = RenewOptions { dry_run: args.dry_run, force: args.force };
    let renewed = run_renewal(cli_context, options, config, target, async |graph, journal| {
        let walk = async |control: RunControl| control.up(graph, journal, target).await;
        let report =
            run::displayed(cli_context, ProgressState::default(), target, &Stop::new(), walk).await?;
        if report.outcome == Outcome::Failed {
            let errors = failed_run::errors(&report, cli_context.terminal.err);
            stream::err().line(&format!("\n{}", errors.join("\n\n")));
        }
        Ok(report)
    });
    match renewed.await? {
        Renewed::NotDue(state) => {
            print_state(cli_context, &state);
            Ok(Exit::Success)
        }
        Renewed::Ended(report) => Ok(exit::of_report(&report)),
        Renewed::Served(_, verdict) => {
            let passed = is_served(&verdict);
            print_served(cli_context, &verdict, passed);
            Ok(if passed { Exit::Success } else { Exit::Failed })
        }
    }
}

/// Renews the certificate if it is due; `walk` runs the steps.
pub async fn run_renewal(
    cli_context: &CliContext,
    options: RenewOptions,
    config: &LoadedConfig,
    target: &Target,
    walk: impl AsyncFnOnce(&Graph, &Arc<Journal>) -> Result<Report, Failure>,
) -> Result<Renewed, Failure> {
    let found =
        RenewalTarget::find(&target.clients, &config.settings).await.map_err(|error| failure(&error))?;
    if let Some(url) = found.directory_of_tag() {
        endpoint_consent::ask_for_directory(url, &cli_context.terminal)?;
    }
    let state = found.state(&target.clients).await;
    if options.dry_run || !(state.is_due || options.force) {
        return Ok(Renewed::NotDue(state));
    }
    if let Some(until) = state.not_before.filter(|_| !options.force) {
        let failure = Failure::new(Exit::Failed, "renew the certificate")
            .cause(format!("the last {} failed", text::count(state.failures, "attempt")));
        let failure = state.error.iter().fold(failure, |failure, cause| failure.cause(cause));
        return Err(failure.hint(format!("the next attempt is due at {}; --force tries it now", time(until))));
    }
    cli_context.say(&run::heading(cli_context, "renew", target));
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::new(Exit::Failed, "create a folder for the progress of the renewal").caused_by(&error)
    })?;
    let graph = found.graph(&target.clients, state.has_cluster);
    let journal = Arc::new(temporary_journal(config, target, folder.path())?);
    let report = walk(&graph, &journal).await?;
    let journal_state = journal.journal_state();
    if let Some((_, error)) = report.errors.first().filter(|_| report.outcome == Outcome::Failed) {
        let named = not_before(&journal_state);
        match found.record_failure(&target.clients, error, named).await {
            Ok(next) => cli_context.say(&format!("\nThe next attempt is due at {}.", time(next))),
            Err(error) => {
                cli_context.warn(&format!("the failure is not recorded in the vault: {}", error.message));
            }
        }
    }
    if report.outcome != Outcome::Ready || !state.has_cluster {
        return Ok(Renewed::Ended(report));
    }
    cli_context.say("\nThe vault has the new certificate; waiting until the gateways serve it.");
    let timeouts = VerifyTimeouts { retry_timeout: SERVED_WITHIN, ..VerifyTimeouts::default() };
    let settings = found.settings();
    let verdict =
        super::verify::run_certificate_check(cli_context, settings, &journal_state, target, timeouts).await?;
    Ok(Renewed::Served(report, verdict))
}

/// Opens a journal that ends with this process.
fn temporary_journal(config: &LoadedConfig, target: &Target, folder: &Path) -> Result<Journal, Failure> {
    let key = EnvironmentKey {
        cloud: target.cloud.to_owned(),
        subscription: target.clients.azure.id().to_owned(),
        environment: config.settings.environment.clone(),
    };
    let journal = Journal::open(&folder.join("renew"), "renew", &key, env!("CARGO_PKG_VERSION"));
    journal.map_err(|error| Failure::of_journal(&error))
}

/// Returns whether the gateways serve the new version.
pub fn is_served(verdict: &Verdict) -> bool {
    let certificate = verdict.checks.iter().find(|check| check.check == CheckId::Certificate);
    certificate.is_none_or(|check| matches!(check.state, State::Ok | State::Skipped))
}

fn print_served(cli_context: &CliContext, verdict: &Verdict, passed: bool) {
    match cli_context.is_json() {
        true => stream::out().json(&json!({ "renewed": true, "served": passed })),
        false => {
            stream::out().line(&verify_output::text(
                verdict,
                &cli_context.program(),
                cli_context.terminal.out,
            ));
        }
    }
}

fn failure(error: &StepError) -> Failure {
    let failure = Failure::new(exit::of_kind(error.kind), error.message.clone());
    let failure = error.causes.iter().fold(failure, |failure, cause| failure.cause(cause));
    failure.hint(crate::failure::hint(error))
}

/// Returns the time before which the server refuses, from the ticket of the interrupted order.
fn not_before(journal_state: &JournalState) -> Option<Timestamp> {
    let ticket = journal_state.0.get("certificate")?.ticket.as_ref()?;
    ticket["not_before"][0].as_str()?.parse().ok()
}

fn print_state(cli_context: &CliContext, state: &RenewalState) {
    if cli_context.is_json() {
        stream::out().json(&json!({
            "due": state.is_due,
            "not_before": state.due_at.to_string(),
            "reason": state.reason,
            "not_after": state.not_after.to_string(),
            "days_left": state.days_left,
        }));
        return;
    }
    let left = text::count(usize::try_from(state.days_left).unwrap_or_default(), "day");
    let first = match state.is_due {
        true => format!("Due now: {}.", state.reason),
        false => format!("Not due until {}: {}.", time(state.due_at), state.reason),
    };
    stream::out().line(&escape::visible(&format!(
        "{first} Valid until {}, {left} left.",
        state.not_after.strftime("%Y-%m-%d")
    )));
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns the scheduled job: twice a day, at a minute that differs between environments.
fn job(cli_context: &CliContext, platform: Platform) -> String {
    let template = match platform {
        Platform::Github => include_str!("../../templates/renew/github.yml"),
        Platform::AzureDevops => include_str!("../../templates/renew/azure-devops.yml"),
        Platform::KubernetesCronjob => include_str!("../../templates/renew/kubernetes-cronjob.yaml"),
    };
    let environment = &cli_context.global.environment;
    let config = cli_context.global.config.as_deref().unwrap_or(Path::new("landfall.toml"));
    let mix = environment.bytes().fold(7_u32, |mix, byte| mix.wrapping_mul(31).wrapping_add(u32::from(byte)));
    // Authorities ask for an odd minute, because most jobs of the world start at a full hour.
    let (minute, hour) = (1 + 2 * (mix % 29), mix / 29 % 12);
    template
        .replace("__MINUTE__", &minute.to_string())
        .replace("__HOUR_LATER__", &(hour + 12).to_string())
        .replace("__HOUR__", &hour.to_string())
        .replace("__CONFIG__", &config.display().to_string())
        .replace("__ENVIRONMENT__", environment)
}
