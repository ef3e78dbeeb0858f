//! `landfall schema`: the JSON Schema of landfall.toml, for editors.

use crate::{exit::Exit, failure::Failure, render::stream, settings::schema};

/// Arguments of `schema`.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args) -> Result<Exit, Failure> {
    stream::out().line(&format!("{:#}", schema::schema()));
    Ok(Exit::Success)
}
