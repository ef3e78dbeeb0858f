//! landfall: arguments in, words and an exit code out.

mod cli;
mod commands;
mod deployment;
mod exit;
mod extent;
mod failure;
mod interrupt;
mod rehearsal;
mod render;
mod session;
mod settings;
mod target;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS provider for every client and server in the process, chosen before any of them asks.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    installed.expect("nobody has chosen a provider before the first line of main");
    commands::run(cli::Cli::parse()).into()
}
