//! The command line: types and help text only.

use crate::{commands, render::stream::Colour};
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Brings an Azure subscription to a working HTTPS gateway on AKS, and repairs a half-finished run.
///
/// Without --cloud azure everything happens in a simulated cloud inside this program, and nothing is made in Azure.
#[derive(Parser, Debug)]
#[command(name = "landfall", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  all well
    1  a step failed; running again goes on
    2  wrong input; nothing was touched
    3  the cloud refuses: sign-in, rights, policy, quota
    4  another run holds the lock
   10  plan --detailed-exitcode: there is something to do
  130  interrupted; running again goes on";

/// Options of every command.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Settings file [default: ./landfall.toml when it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the environment
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    pub environment: String,
    /// Folder of all environments' state
    #[arg(long, global = true, value_name = "DIR", default_value = ".landfall")]
    pub state_dir: PathBuf,
    /// Where to make things: sim or azure [default: sim] [env: LANDFALL_CLOUD]
    #[arg(long, global = true, value_name = "CLOUD")]
    pub cloud: Option<String>,
    /// How to show a run [default: live on a terminal, line otherwise]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
    /// Say more: -v every request, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Answer yes where a question would be asked
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// The output format of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A tree that is drawn anew.
    Live,
    /// A line for every event.
    Line,
    /// A JSON object for every event, on standard output.
    Json,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Bring the environment to ready; run it again after any failure and it goes on
    Up(Box<commands::up::Args>),
    /// Show what up would do, field by field, and do nothing
    Plan(Box<commands::plan::Args>),
    /// Show what is remembered: steps, gateways, certificate, names
    Status(Box<commands::status::Args>),
    /// Prove the promise from outside: redirects, certificate, weights, headers, paths, names
    ///
    /// Asks the gateways by address, with the right name in TLS and Host, so that it needs no DNS. What is asked is derived
    /// from the Gateways and HTTPRoutes. Exits with 0 only when everything holds.
    Verify(Box<commands::verify::Args>),
    /// Find the one cause when something does not work, with what shows it and what mends it
    ///
    /// It looks at everything between the subscription and the answers of the gateways, and changes nothing. Exit 0 when
    /// nothing is wrong, 1 with a finding.
    Doctor(Box<commands::doctor::Args>),
    /// Put a new certificate in the place of the old one, and wait until the cluster carries it
    ///
    /// Without a PFX it makes a new self-signed certificate, for the same names, in the place of one that landfall has
    /// signed itself. With one, from --pfx or the settings, it imports that, unless the vault holds it already.
    ///
    /// It goes through every step as `up` does, so what else is out of order is mended on the way, and it waits until the
    /// cluster's Secret carries the certificate and every listener is programmed. A rotation that died is gone on with:
    /// it makes no other version.
    Rotate(Box<commands::rotate::Args>),
    /// Take away what this environment made, and nothing else
    Down(Box<commands::down::Args>),
    /// Serve the simulated cloud in the foreground: for az, kubectl, curl, a browser, and every other command
    ///
    /// It serves the environment's own world, at the port it had before, until Ctrl-C. While it runs, every other command
    /// of the environment uses it, its gateways answer, and a page shows what happens in it. The world rests when it
    /// ends and goes on with the next command; nothing of it is lost, however it ends.
    Sim(Box<commands::sim::Args>),
    /// Write a commented landfall.toml
    Init(commands::init::Args),
    /// Print the steps and their edges as Mermaid or DOT
    Graph(Box<commands::graph::Args>),
    /// Print completions for a shell
    Completions(commands::completions::Args),
    /// Print the man page
    Man(commands::man::Args),
    /// Print the JSON Schema of landfall.toml
    Schema(commands::schema::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_takes_no_password() {
        let command = Cli::command();
        command.clone().debug_assert();
        let flags = command.get_subcommands().flat_map(|command| command.get_arguments());
        assert!(flags.into_iter().all(|flag| !flag.get_id().as_str().contains("password")));
    }
}
