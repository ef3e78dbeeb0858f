//! `landfall fleet`: one command for many environments.

mod sim;

use crate::{
    cli_context::CliContext,
    commands::renew::RenewOptions,
    exit::Exit,
    failure::Failure,
    fleet::{
        arguments::{RunArgs, SelectArgs},
        command::{self, Requested},
        environment_run::Task,
        kubernetes::{management_cluster::Platform, render::RenderOptions},
        one::{self, ListedTask, OneArgs},
    },
    run::TeardownOptions,
    settings::Mode,
    telemetry,
    up_options::UpOptions,
};
use clap::{Parser as _, Subcommand};
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
    /// Print the Kubernetes manifests of up: a Job for each wave
    Render(RenderArgs),
    /// Run one environment of a rendered list, in a pod of such a Job
    One(OneArgs),
    /// Serve the simulated clouds of the environments in one process, until Ctrl-C
    Sim(sim::SimArgs),
}

/// The command in a list: the arguments of `fleet` as a person would type them.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
struct ListedCommand {
    #[command(subcommand)]
    command: FleetCommand,
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
    /// Run the environments in pods: kubernetes, or kubernetes=CONTEXT of the kubeconfig; see the table kubernetes of fleet.toml
    #[arg(long, value_name = "PLATFORM", value_parser = Platform::parse)]
    on: Option<Platform>,
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
    /// Run the environments in pods: kubernetes, or kubernetes=CONTEXT of the kubeconfig; see the table kubernetes of fleet.toml
    #[arg(long, value_name = "PLATFORM", value_parser = Platform::parse)]
    on: Option<Platform>,
}

#[derive(clap::Args, Debug)]
struct RenderArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    up_options: UpOptions,
    /// Verify each environment from outside when it is ready
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    options: RenderOptions,
}

/// Runs it.
pub async fn run(cli_context: CliContext, args: Args) -> Result<Exit, Failure> {
    if cli_context.global.environment != "default" {
        return Err(Failure::new(Exit::Input, "use --environment with a fleet")
            .cause("fleet.toml names the environments")
            .hint(format!("select one: --select {}", cli_context.global.environment)));
    }
    telemetry::without_steps();
    match args.command {
        FleetCommand::Status(args) => command::print_status(&cli_context, &args.select).await,
        FleetCommand::Sim(args) => sim::serve(&cli_context, &args).await,
        FleetCommand::One(args) => one::run(cli_context, &args, listed_task).await,
        FleetCommand::Render(RenderArgs { run, up_options, verify, options }) => {
            let task = Task::Up { up_options: Arc::new(up_options), verify };
            command::render(&cli_context, &Requested::new(task, run, Mode::Inspect), &options).await
        }
        other => match requested(other) {
            Some(requested) => command::run(cli_context, requested).await,
            None => Ok(Exit::Success),
        },
    }
}

/// Returns the run that a command requests; `None` for one that runs nothing.
fn requested(command: FleetCommand) -> Option<Requested> {
    Some(match command {
        FleetCommand::Status(_) | FleetCommand::One(_) | FleetCommand::Render(_) | FleetCommand::Sim(_) => {
            return None;
        }
        FleetCommand::Up(UpArgs { run, up_options, verify, from_start, on }) => {
            let task = Task::Up { up_options: Arc::new(up_options), verify };
            Requested { from_start, on, ..Requested::new(task, run, Mode::Apply) }
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
        FleetCommand::Down(DownArgs { run, purge, with_foreign, on }) => {
            let options = TeardownOptions { purge, with_foreign, ..TeardownOptions::default() };
            Requested { on, ..Requested::new(Task::Down(options), run, Mode::Inspect) }
        }
    })
}

/// Parses the command in a list.
fn listed_task(arguments: &[String]) -> Result<ListedTask, Failure> {
    let refused = || Failure::new(Exit::Input, "run the command of the list");
    let parsed = ListedCommand::try_parse_from(arguments).map_err(|error| {
        let text = error.render().to_string();
        refused()
            .cause(text.lines().next().unwrap_or_default().trim_start_matches("error: "))
            .hint("use the same version of landfall for the list and for the image")
    })?;
    let requested = requested(parsed.command).ok_or_else(|| refused().cause("it runs nothing"))?;
    Ok(ListedTask {
        task: requested.task,
        setting_flags: requested.run.select.setting_flags,
        mode: requested.mode,
    })
}
