//! landfall: parses arguments, prints results and returns an exit code.

mod cli;
mod cli_context;
mod commands;
mod deployment;
mod endpoint_consent;
mod exit;
mod failure;
mod fleet;
mod journal_clock_check;
mod proxy_check;
mod render;
mod report;
mod request_attribution;
mod run;
mod runtime;
mod settings;
mod signals;
mod sim_target;
mod target;
mod teardown_guards;
mod telemetry;
mod up_options;

use render::{escape, stream};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One TLS provider for every client and server in the process, selected before its first use.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    installed.expect("nobody has chosen a provider before the first line of main");
    match cli::parse() {
        Ok((cli, command)) => commands::run(cli, &command).into(),
        Err(error) => print_usage_error(&error),
    }
}

/// Prints help, the version, or the error in the arguments; control characters in arguments are escaped.
fn print_usage_error(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !text.contains(|letter| letter != '\n' && letter != '\t' && escape::is_deceptive(letter)) {
        error.exit();
    }
    stream::err().write(&text);
    exit::Exit::Input.into()
}
