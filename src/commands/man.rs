//! `landfall man`: the man page of all commands.

use crate::{cli::Cli, exit::Exit, failure::Failure, render::stream};
use clap::CommandFactory;

/// What `man` takes.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs it.
pub fn run(_: &Args) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    command.build();
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut text);
    rendered.map_err(|error| Failure::new(Exit::Failed, "render the man page").caused_by(&error))?;
    stream::out().raw(&String::from_utf8_lossy(&text));
    Ok(Exit::Success)
}
