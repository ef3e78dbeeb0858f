//! The commands, one file each: arguments and implementation.

pub mod completions;
pub mod doctor;
pub mod down;
pub mod fleet;
pub mod graph;
pub mod init;
pub mod man;
pub mod plan;
pub mod renew;
pub mod report;
pub mod rotate;
pub mod schema;
pub mod sim;
pub mod state;
pub mod status;
pub mod unlock;
pub mod up;
pub mod verify;

use crate::{
    cli::{Cli, Command},
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::{escape::Escaping, stream},
    runtime, telemetry,
};
use std::future::Future;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Runs the command of that name and reports its failure.
pub fn run(cli: Cli, name: &str) -> Exit {
    let cli_context = CliContext::new(cli.global);
    trace(cli_context.global.verbose);
    let style = cli_context.terminal.err;
    let telemetry = telemetry::start(&cli_context.environment, name, &cli_context.global.environment);
    let checked = cli_context.environment.check().map_err(Failure::of_config_errors);
    let exit = match checked.and_then(|()| dispatch(cli_context, cli.command)) {
        Ok(exit) => exit,
        Err(failure) => {
            stream::err().line(&failure.text(style));
            failure.exit
        }
    };
    telemetry.finish(exit);
    exit
}

fn dispatch(cli_context: CliContext, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Up(args) => wait(&cli_context, up::run(&cli_context, &args)),
        Command::Plan(args) => wait(&cli_context, plan::run(&cli_context, &args)),
        Command::Status(args) => wait(&cli_context, status::run(&cli_context, &args)),
        Command::Verify(args) => wait(&cli_context, verify::run(&cli_context, &args)),
        Command::Doctor(args) => wait(&cli_context, doctor::run(&cli_context, &args)),
        Command::Renew(args) => wait(&cli_context, renew::run(&cli_context, &args)),
        Command::Report(args) => wait(&cli_context, report::run(&cli_context, &args)),
        Command::Rotate(args) => wait(&cli_context, rotate::run(&cli_context, &args)),
        Command::Down(args) => wait(&cli_context, down::run(&cli_context, &args)),
        // Its environments run on threads of their own, which share the context.
        Command::Fleet(args) => block(fleet::run(cli_context, *args)),
        Command::State(args) => wait(&cli_context, state::run(&cli_context, &args)),
        Command::Unlock(args) => wait(&cli_context, unlock::run(&cli_context, &args)),
        Command::Sim(args) => wait(&cli_context, sim::run(&cli_context, &args)),
        Command::Init(args) => init::run(&cli_context, &args),
        Command::Graph(args) => graph::run(&cli_context, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Schema(args) => schema::run(&args),
    }
}

/// Runs an asynchronous command to its end, and closes its journals.
fn wait(
    cli_context: &CliContext,
    command: impl Future<Output = Result<Exit, Failure>>,
) -> Result<Exit, Failure> {
    block(async {
        let ended = command.await;
        match cli_context.close_journals().await {
            Some(lost) => Err(lost),
            None => ended,
        }
    })
}

/// Runs a future to its end.
fn block(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = runtime::start()?;
    let ended = runtime.block_on(command);
    // Tasks that were left running on purpose, such as an abandoned request, must not delay the exit.
    runtime.shutdown_background();
    ended
}

/// Writes traces to standard error, at the requested verbosity.
fn trace(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => Targets::new()
            .with_default(LevelFilter::WARN)
            .with_target("landfall", LevelFilter::DEBUG)
            .with_target("landfall_sim", LevelFilter::WARN),
        _ => Targets::new()
            .with_default(LevelFilter::INFO)
            .with_target("landfall", LevelFilter::TRACE)
            .with_target("landfall_sim", LevelFilter::DEBUG),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Escaping(std::io::stderr()))
        .with_ansi(false)
        .log_internal_errors(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
