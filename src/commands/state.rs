//! `landfall state`: the journal in a storage account: prepares the account, moves the journal, lists environments.

mod init;

use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::{escape, stream, text},
    run::{self, store},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{self, Connection, Gateways},
};
use landfall_engine::{Holder, Journal, Moved, OpenError};
use landfall_steps::{BlobJournalStore, StoredEnvironment};
use serde_json::{Value, json};

/// What `state` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What there is to do with a journal in a storage account.
#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Create or check the storage account, its container, and your role there
    ///
    /// The account accepts no shared keys and has no public access. An existing account is checked, and not changed.
    Init(init::Args),
    /// Move the journal of this machine to the storage account
    ///
    /// The copy is verified before the file is retired. It is refused if there is another journal.
    Push(Shared),
    /// Move the journal from the storage account to this machine
    Pull(Shared),
    /// List the environments in the container, with the runs that hold them
    List(Shared),
}

/// What every action takes.
#[derive(clap::Args, Debug)]
struct Shared {
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let (setting_flags, doing) = match &args.action {
        Action::Init(args) => return init::run(cli_context, args).await,
        Action::Push(shared) => (&shared.setting_flags, "move the journal to a storage account"),
        Action::Pull(shared) => (&shared.setting_flags, "move the journal to the state folder"),
        Action::List(shared) => (&shared.setting_flags, "list the environments of a storage account"),
    };
    let config = cli_context.load_config(setting_flags, Mode::Inspect)?;
    store::state_config(&config, doing)?;
    let allowed = cli_context.allowed(&config.place)?;
    let (environment, gateways) = (&cli_context.environment, Gateways::WithoutTraffic);
    let connection =
        target::prepare(allowed, environment, &cli_context.sign_ins, &config.folder, gateways).await?;
    let result = match &args.action {
        Action::List(_) => list(cli_context, &config, &connection).await,
        Action::Push(_) => push(cli_context, &config, &connection).await,
        Action::Pull(_) | Action::Init(_) => pull(cli_context, &config, &connection).await,
    };
    connection.close().await;
    result
}

async fn push(
    cli_context: &CliContext,
    config: &LoadedConfig,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let (_, store) = store::store(connection, config)?;
    if let Some((key, _)) = run::in_folder(config)? {
        run::same_journal(config, &key)?;
    }
    let options = store::options(&cli_context.environment);
    let moved = Journal::push(&config.folder, &store, &options.lease_id).await;
    report(cli_context, config, moved)
}

async fn pull(
    cli_context: &CliContext,
    config: &LoadedConfig,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let (_, store) = store::store(connection, config)?;
    let options = store::options(&cli_context.environment);
    let moved = Journal::pull(&store, &config.folder, &options.lease_id).await;
    report(cli_context, config, moved)
}

fn report(
    cli_context: &CliContext,
    config: &LoadedConfig,
    moved: Result<Moved, OpenError>,
) -> Result<Exit, Failure> {
    let moved = moved.map_err(|error| Failure::of_journal(&error))?;
    let name = &config.settings.environment;
    if cli_context.is_json() {
        stream::out().json(&json!({ "environment": name, "lines": moved.lines, "to": moved.to }));
    }
    let lines = text::count(moved.lines, "line");
    cli_context.say(&format!("The journal of environment {name} is in {} now, with {lines}.", moved.to));
    match moved.damage {
        Some(damage) => Err(Failure::of_journal(&damage)),
        None => Ok(Exit::Success),
    }
}

/// An environment with the run that holds it.
struct Listed {
    stored: StoredEnvironment,
    holder: Option<Holder>,
}

async fn list(
    cli_context: &CliContext,
    config: &LoadedConfig,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let state = store::state_config(config, "list the environments of a storage account")?;
    let container = connection.container(state)?;
    let stored = BlobJournalStore::list(&container, &state.prefix).await;
    let stored = stored.map_err(|error| Failure::of_store(&error))?;
    let mut listed = Vec::new();
    for stored in stored {
        let holder = match stored.leased {
            true => {
                let store = BlobJournalStore::new(container.clone(), &state.prefix, &stored.name);
                Journal::read_remote(&store).await.ok().flatten().and_then(|content| content.holder)
            }
            false => None,
        };
        listed.push(Listed { stored, holder });
    }
    match cli_context.is_json() {
        true => {
            stream::out().json(&json!({ "environments": listed.iter().map(document).collect::<Vec<_>>() }))
        }
        false => stream::out().line(&table(&listed)),
    }
    Ok(Exit::Success)
}

fn document(listed: &Listed) -> Value {
    let Listed { stored, holder } = listed;
    json!({
        "environment": stored.name, "bytes": stored.bytes, "modified": stored.modified, "held": stored.leased,
        "holder": holder, "moved_to": stored.moved_to,
    })
}

/// Formats one line for each environment.
fn table(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "No environment has its journal here.".to_owned();
    }
    let width = listed.iter().map(|one| one.stored.name.len()).max().unwrap_or(0);
    let line = |one: &Listed| {
        let Listed { stored, holder } = one;
        let state = match (&stored.moved_to, stored.leased, holder) {
            (Some(to), ..) => format!("moved to {}", escape::inline(to)),
            (None, true, Some(holder)) => format!("held by {}", escape::inline(&holder.to_string())),
            (None, true, None) => "held".to_owned(),
            (None, false, _) => "free".to_owned(),
        };
        let name = escape::inline(&stored.name);
        format!("{name:<width$}  {}  {state}", escape::inline(&stored.modified))
    };
    listed.iter().map(line).collect::<Vec<_>>().join("\n")
}
