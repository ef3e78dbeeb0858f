//! The command line: types and help text only.

use crate::{commands, render::stream::Colour};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Creates a working HTTPS gateway on AKS in an Azure subscription, and resumes or repairs an unfinished run.
///
/// Without --cloud azure, everything runs in a simulated cloud inside this program, and nothing is created in
/// Azure.
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

/// Parses the arguments of the process; also returns the name of the command.
///
/// # Errors
/// Help, the version, or the mistake in the arguments, as text.
pub fn parse() -> Result<(Cli, String), clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let name = matches.subcommand_name().unwrap_or_default().to_owned();
    Ok((Cli::from_arg_matches(&matches)?, name))
}

const EXIT_CODES: &str = "\
Exit codes:
    0  success
    1  a step failed; run again to resume
    2  invalid input; nothing was changed
    3  refused by the cloud: sign-in, rights, policy, quota
    4  another run holds the lock
   10  plan --detailed-exitcode: there are changes
  130  interrupted; run again to resume";

/// Options of every command.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Settings file [default: ./landfall.toml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of the environment
    #[arg(long, global = true, value_name = "NAME", default_value = "default")]
    pub environment: String,
    /// Folder of all environments' state
    #[arg(long, global = true, value_name = "DIR", default_value = ".landfall")]
    pub state_dir: PathBuf,
    /// Target cloud: sim or azure [default: sim] [env: LANDFALL_CLOUD]
    #[arg(long, global = true, value_name = "CLOUD")]
    pub cloud: Option<String>,
    /// Output format of a run [default: live on a terminal, line otherwise]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Use of colour; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
    /// Print more: -v every request, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// The output format of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A tree that is redrawn.
    Live,
    /// A line for every event.
    Line,
    /// A JSON object for every event, on standard output.
    Json,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create or repair the environment; run it again after any failure to resume
    Up(Box<commands::up::Args>),
    /// Show what up would change, field by field, without changes
    Plan(Box<commands::plan::Args>),
    /// Show the journal's state: steps, gateways, certificate, DNS records
    Status(Box<commands::status::Args>),
    /// Verify from outside: redirects, certificate, weights, headers, paths, DNS records
    ///
    /// Sends requests to the gateways' addresses, with the right name in TLS and Host, so that it needs no
    /// DNS. The checks are derived from the Gateways and HTTPRoutes. Exit code 0 only if every check passes.
    Verify(Box<commands::verify::Args>),
    /// Find the root cause of a problem, with evidence and a fix
    ///
    /// Checks everything between the subscription and the responses of the gateways, and changes nothing.
    /// Exit code 0 without a finding, 1 with one.
    Doctor(Box<commands::doctor::Args>),
    /// Replace the certificate, and wait until the cluster has the new one
    ///
    /// Without a PFX file, it creates a new self-signed certificate for the same names; it replaces only a
    /// certificate that landfall signed. With a PFX file, from --pfx or the settings, it imports that one,
    /// unless the vault has it already.
    ///
    /// It runs every step as `up` does, so it also repairs other drift. It waits until the cluster's Secret
    /// contains the certificate and every listener is programmed. It resumes an interrupted rotation, and
    /// creates no second version.
    Rotate(Box<commands::rotate::Args>),
    /// Renew the certificate when it is due, and wait until the gateways serve it
    ///
    /// For scheduled jobs: it needs no state folder. With an ACME server, the server's suggestion decides when it is
    /// due, else its lifetime. Exit code 0 if it is not due, or renewed; 1 after a failure, with the time of the next
    /// attempt. --print writes such a job.
    Renew(Box<commands::renew::Args>),
    /// Write a recorded run as one HTML page: timeline, critical path, requests, topology, errors
    ///
    /// The page is self-contained: it loads nothing and contains no script. It comes from the journal alone, so it
    /// needs no sign-in, and also shows a run that was killed.
    Report(Box<commands::report::Args>),
    /// Delete what this environment created, and nothing else
    Down(Box<commands::down::Args>),
    /// Keep the journal in a storage account that several people or machines share
    State(Box<commands::state::Args>),
    /// Take an environment over from another run that holds its journal in a storage account
    ///
    /// The other run starts nothing more and ends within 30 seconds. Prints who held it and since when.
    Unlock(Box<commands::unlock::Args>),
    /// Create, check or delete many environments from fleet.toml, in waves
    ///
    /// fleet.toml, or the file that --config names, contains the settings of every environment. An environment that
    /// fails stops no other one of its wave, but the next wave. Exit code 0 if every environment is as desired, 1 if one
    /// failed, 2 for a mistake in the file, 3 if the cloud refused every one that failed.
    Fleet(Box<commands::fleet::Args>),
    /// Serve the simulated cloud in the foreground: for az, kubectl, curl, a browser, and all other commands
    ///
    /// It serves the environment's own simulated cloud, on the same port as before, until Ctrl-C. While it
    /// runs, every other command of the environment uses it, its gateways serve requests, and a page shows
    /// its activity. Its state is saved when it ends, and the next command continues from it; nothing is
    /// lost, however it ends.
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

    #[test]
    fn the_command_line_is_sound_and_takes_no_password() {
        let command = Cli::command();
        command.clone().debug_assert();
        let flags = command.get_subcommands().flat_map(|command| command.get_arguments());
        assert!(flags.into_iter().all(|flag| !flag.get_id().as_str().contains("password")));
    }
}
