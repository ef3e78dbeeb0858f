//! `landfall completions`: completions for a shell.

use crate::{cli::Cli, exit::Exit, failure::Failure, render::stream};
use clap::CommandFactory;

/// What `completions` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "landfall", &mut text);
    stream::out().raw(&String::from_utf8_lossy(&text));
    Ok(Exit::Success)
}
