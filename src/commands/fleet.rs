//! `landfall fleet`: one command for many environments.

use crate::{
    cli_context::CliContext,
    commands::renew::RenewOptions,
    exit::Exit,
    failure::Failure,
    fleet::{
        arguments::{RunArgs, SelectArgs},
        command::{self, Requested},
        environment_run::Task,
    },
    run::TeardownOptions,
    settings::Mode,
    telemetry,
    up_options::UpOptions,
};
use clap::Subcommand;
use landfall_diagnose::verify::VerifyTimeouts;
use std::{sync::Arc, time::Duration};

/// What `fleet` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: FleetCommand,
}

/// The commands of a fleet.
#[derive(Subcommand, Debug)]
enum FleetCommand {
    /// Create or repair every environment, wave by wave; run it again to continue
    Up(UpArgs),
    /// Show what up would change
    Plan(PlanArgs),
    /// Show the state of every environment by the journals
    Status(StatusArgs),
    /// Verify every environment from outside
    Verify(VerifyArgs),
    /// Renew the certificates that are due, wave by wave
    Renew(RenewArgs),
    /// Delete what the environments created, and nothing else
    Down(DownArgs),
}

#[derive(clap::Args, Debug)]
struct UpArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    up_options: UpOptions,
    /// Verify each environment from outside when it is ready; a failed check is a failure of its wave
    #[arg(long)]
    verify: bool,
    /// Check every environment, also those that an interrupted run has completed
    #[arg(long)]
    from_start: bool,
}

#[derive(clap::Args, Debug)]
struct PlanArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    up_options: UpOptions,
    /// Exit with 10 if there are changes, with 0 if there are none
    #[arg(long)]
    detailed_exitcode: bool,
}

#[derive(clap::Args, Debug)]
struct StatusArgs {
    #[command(flatten)]
    select: SelectArgs,
}

#[derive(clap::Args, Debug)]
struct VerifyArgs {
    #[command(flatten)]
    run: RunArgs,
    /// How long to retry a failed check
    #[arg(long = "patience", value_name = "SECONDS", default_value_t = VerifyTimeouts::default().retry_timeout.as_secs())]
    retry_timeout: u64,
}

#[derive(clap::Args, Debug)]
struct RenewArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Only report which are due
    #[arg(long)]
    dry_run: bool,
    /// Renew them although they are not due
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
}

#[derive(clap::Args, Debug)]
struct DownArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Also purge the vaults, so that nothing in them can be recovered
    #[arg(long)]
    purge: bool,
    /// Delete clusters that landfall created even if they contain foreign objects
    #[arg(long = "with-strangers")]
    with_foreign: bool,
}

/// Runs it.
pub async fn run(cli_context: CliContext, args: Args) -> Result<Exit, Failure> {
    if cli_context.global.environment != "default" {
        return Err(Failure::new(Exit::Input, "use --environment with a fleet")
            .cause("fleet.toml names the environments")
            .hint(format!("select one: --select {}", cli_context.global.environment)));
    }
    telemetry::without_steps();
    let requested = match args.command {
        FleetCommand::Status(args) => return command::print_status(&cli_context, &args.select),
        FleetCommand::Up(UpArgs { run, up_options, verify, from_start }) => {
            let task = Task::Up { up_options: Arc::new(up_options), verify };
            Requested { from_start, ..Requested::new(task, run, Mode::Apply) }
        }
        FleetCommand::Plan(PlanArgs { run, up_options, detailed_exitcode }) => {
            let task = Task::Plan { up_options: Arc::new(up_options) };
            Requested { detailed_exitcode, ..Requested::new(task, run, Mode::Apply) }
        }
        FleetCommand::Verify(VerifyArgs { run, retry_timeout }) => {
            let retry_timeout = Duration::from_secs(retry_timeout);
            let task = Task::Verify(VerifyTimeouts { retry_timeout, ..VerifyTimeouts::default() });
            Requested::new(task, run, Mode::Inspect)
        }
        FleetCommand::Renew(RenewArgs { run, dry_run, force }) => {
            Requested::new(Task::Renew(RenewOptions { dry_run, force }), run, Mode::Apply)
        }
        FleetCommand::Down(DownArgs { run, purge, with_foreign }) => {
            let options = TeardownOptions { purge, with_foreign, ..TeardownOptions::default() };
            Requested::new(Task::Down(options), run, Mode::Inspect)
        }
    };
    command::run(cli_context, requested).await
}
