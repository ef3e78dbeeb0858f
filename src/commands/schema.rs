//! `landfall schema`: the JSON Schema of landfall.toml or fleet.toml, for editors.

use crate::{exit::Exit, failure::Failure, fleet::file, render::stream, settings::schema};

/// Arguments of `schema`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the schema of fleet.toml
    #[arg(long)]
    fleet: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let schema = if args.fleet { file::schema() } else { schema::schema() };
    stream::out().line(&format!("{schema:#}"));
    Ok(Exit::Success)
}
