//! `landfall graph`: the steps and their edges.

use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{graph, stream},
    session::Session,
    settings::{Purpose, flags::Wishes},
    target,
};
use landfall_steps::settings::Teardown;

/// Arguments of `graph`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Output language
    #[arg(long = "as", value_name = "LANGUAGE", default_value = "mermaid")]
    language: Language,
    #[command(flatten)]
    wishes: Wishes,
}

/// The output language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    Mermaid,
    Dot,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let wished = session.wished(&args.wishes, Purpose::Remember)?;
    let clouds = target::offline(wished.place.subscription.as_deref().unwrap_or_default())?;
    let steps = Deployment::new(&clouds, &wished.settings, Teardown::default()).graph.enabled_steps();
    let text = match args.language {
        Language::Mermaid => graph::mermaid(&steps),
        Language::Dot => graph::dot(&steps),
    };
    stream::out().write(&text);
    Ok(Exit::Well)
}
