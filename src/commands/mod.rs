//! The commands, one file each: arguments and implementation.

pub mod completions;
pub mod doctor;
pub mod down;
pub mod graph;
pub mod init;
pub mod man;
pub mod plan;
pub mod rotate;
pub mod schema;
pub mod sim;
pub mod status;
pub mod up;
pub mod verify;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
    failure::Failure,
    render::{escape::Escaping, stream},
    session::Session,
};
use std::future::Future;

/// Runs a command and reports its failure.
pub fn run(cli: Cli) -> Exit {
    let session = Session::new(cli.global);
    trace(session.global.verbose);
    let checked = session.environment.check().map_err(Failure::of_mistakes);
    match checked.and_then(|()| dispatch(&session, cli.command)) {
        Ok(exit) => exit,
        Err(failure) => {
            stream::err().line(&failure.text(session.terminal.err));
            failure.exit
        }
    }
}

fn dispatch(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Up(args) => wait(up::run(session, &args)),
        Command::Plan(args) => wait(plan::run(session, &args)),
        Command::Status(args) => wait(status::run(session, &args)),
        Command::Verify(args) => wait(verify::run(session, &args)),
        Command::Doctor(args) => wait(doctor::run(session, &args)),
        Command::Rotate(args) => wait(rotate::run(session, &args)),
        Command::Down(args) => wait(down::run(session, &args)),
        Command::Sim(args) => wait(sim::run(session, &args)),
        Command::Init(args) => init::run(session, &args),
        Command::Graph(args) => graph::run(session, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Schema(args) => schema::run(&args),
    }
}

/// Runs an asynchronous command to its end.
fn wait(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Runtime::new();
    let runtime =
        runtime.map_err(|error| Failure::new(Exit::Failed, "start the runtime").caused_by(&error))?;
    let ended = runtime.block_on(command);
    // Tasks that were left running on purpose, such as an abandoned request, must not delay the exit.
    runtime.shutdown_background();
    ended
}

/// Writes traces to standard error, at the requested verbosity.
fn trace(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => {
            "landfall=debug,landfall_steps=debug,landfall_engine=debug,landfall_cloud=debug,landfall_sim=warn,warn"
        }
        _ => {
            "landfall=trace,landfall_steps=trace,landfall_engine=trace,landfall_cloud=trace,landfall_sim=debug,info"
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Escaping(std::io::stderr()))
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
}
