//! `landfall schema`: the JSON Schema of landfall.toml, for editors.

use crate::{
    failure::{Exit, Failure},
    render::stream,
    settings::schema,
};

/// What `schema` takes.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs it.
pub fn run(_: &Args) -> Result<Exit, Failure> {
    stream::out().line(&format!("{:#}", schema::schema()));
    Ok(Exit::Well)
}
