//! `landfall verify`: checks the served behavior from outside, against the gateways' addresses.

use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    render::{stream, verify},
    run::{self, Recorded},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{Gateways, Target},
};
use landfall_diagnose::verify::{CheckId, ReadError, ReadFailure, Verdict, Verification, VerifyTimeouts};
use landfall_engine::{JournalState, Kind, Leftover, StepError};
use landfall_steps::settings::Settings;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What `verify` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write a JUnit report as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How long to retry a failed check: changes reach the gateways with a delay
    #[arg(long = "patience", value_name = "SECONDS", default_value_t = VerifyTimeouts::default().retry_timeout.as_secs())]
    retry_timeout: u64,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it. The journal is read without its lock and not written.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let timeouts = VerifyTimeouts {
        retry_timeout: Duration::from_secs(args.retry_timeout),
        ..VerifyTimeouts::default()
    };
    let Verified { verdict, cloud, .. } = verify_environment(cli_context, &mut config, timeouts).await?;
    match cli_context.is_json() {
        true => stream::out().json(&verify::document(&verdict, &cli_context.global.environment, cloud)),
        false => {
            stream::out().line(&verify::text(&verdict, &cli_context.program(), cli_context.terminal.out))
        }
    }
    if let Some(path) = &args.junit {
        report(&verdict, &cli_context.global.environment, path)?;
    }
    Ok(exit_of(&verdict))
}

/// The result of a verification.
pub struct Verified {
    /// The result of each check.
    pub verdict: Verdict,
    /// The cloud.
    pub cloud: &'static str,
    /// The number of requests to the cloud, without those to the gateways.
    pub requests: u64,
}

/// Verifies an environment under its recorded names. The journal is read without its lock and not written.
pub async fn verify_environment(
    cli_context: &CliContext,
    config: &mut LoadedConfig,
    timeouts: VerifyTimeouts,
) -> Result<Verified, Failure> {
    let (known, connection) = Recorded::read(cli_context, config, Gateways::WithTraffic).await?.into_parts();
    let Some((key, journal_state)) = known else { return Err(nothing_created(cli_context)) };
    run::same_journal(config, &key)?;
    let deployment = Deployment::offline(&key.subscription, &config.settings)?;
    if !deployment.has_cluster(&journal_state) {
        return Err(nothing_created(cli_context));
    }
    config.settings = deployment.resources().with_recorded_names(&config.settings, &journal_state);
    let subscription = Some(key.subscription.as_str());
    let gateways = Gateways::WithTraffic;
    let target = Recorded::connect(connection, cli_context, config, subscription, gateways).await?;
    cli_context.say(&run::heading(cli_context, "verify", &target));
    let verification =
        run_verification(cli_context, &config.settings, &journal_state, &target, timeouts).await;
    let (cloud, requests) = (target.cloud, target.requests());
    target.close().await;
    Ok(Verified { verdict: verification?, cloud, requests })
}

/// Checks everything that the settings configure.
pub async fn run_verification(
    cli_context: &CliContext,
    settings: &Settings,
    journal_state: &JournalState,
    target: &Target,
    timeouts: VerifyTimeouts,
) -> Result<Verdict, Failure> {
    let clients = &target.clients;
    let environment = landfall_steps::description(clients, settings, journal_state);
    let verification = Verification::new(clients, &environment, timeouts);
    let verification = verification.ok_or_else(|| nothing_created(cli_context))?;
    let print_pending = |pending: &[_], since| cli_context.say(&verify::waiting(pending, since));
    verification.run(async || target.address_map().await, &print_pending).await.map_err(read_failure)
}

/// Checks only the served certificate.
pub async fn run_certificate_check(
    cli_context: &CliContext,
    settings: &Settings,
    journal_state: &JournalState,
    target: &Target,
    timeouts: VerifyTimeouts,
) -> Result<Verdict, Failure> {
    let clients = &target.clients;
    let environment = landfall_steps::description(clients, settings, journal_state);
    let verification = Verification::new(clients, &environment, timeouts);
    let verification = verification.ok_or_else(|| nothing_created(cli_context))?.only(CheckId::Certificate);
    let print_pending = |pending: &[_], since| cli_context.say(&verify::waiting(pending, since));
    verification.run(async || target.address_map().await, &print_pending).await.map_err(read_failure)
}

/// Returns the exit code of a verification.
pub fn exit_of(verdict: &Verdict) -> Exit {
    if verdict.passes() { Exit::Success } else { Exit::Failed }
}

/// Converts the error of a read-only query, which leaves nothing behind.
fn read_failure(error: ReadError) -> Failure {
    let failed = |what| StepError::new(Kind::Failed, what).leftover(Leftover::Nothing);
    let error = match &error.why {
        ReadFailure::Api(api) => landfall_steps::step_error(error.what, api),
        ReadFailure::CertificateMissing => failed(error.what)
            .cause("it no longer exists")
            .hint("run landfall up: it imports a certificate into the vault"),
        ReadFailure::Unreadable(certificate) => failed(error.what).caused_by(certificate),
    };
    let failure = Failure::new(exit::of_kind(error.kind), error.message.clone());
    let failure = error.causes.iter().fold(failure, |failure, cause| failure.cause(cause));
    failure.hint(crate::failure::hint(&error))
}

fn nothing_created(cli_context: &CliContext) -> Failure {
    let environment = &cli_context.global.environment;
    Failure::new(Exit::Input, format!("verify environment {environment}"))
        .cause("no gateway is created yet")
        .hint(format!("create the environment first: {} up", cli_context.program()))
}

fn report(verdict: &Verdict, environment: &str, path: &Path) -> Result<(), Failure> {
    let written = verify::junit(verdict, environment).and_then(|text| std::fs::write(path, text));
    written.map_err(|error| {
        Failure::new(Exit::Failed, format!("write the report {}", path.display()))
            .caused_by(&error)
            .hint("use a file in an existing, writable folder")
    })
}
