//! `landfall graph`: the steps and their edges.

use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{graph, stream},
    settings::{Mode, flags::SettingFlags},
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
    setting_flags: SettingFlags,
}

/// The output language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    Mermaid,
    Dot,
}

/// Runs the command.
pub fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let clients = target::offline(config.place.subscription.as_deref().unwrap_or_default())?;
    let steps = Deployment::new(&clients, &config.settings, Teardown::default()).graph.enabled_steps();
    let text = match args.language {
        Language::Mermaid => graph::mermaid(&steps),
        Language::Dot => graph::dot(&steps),
    };
    stream::out().write(&text);
    Ok(Exit::Success)
}
