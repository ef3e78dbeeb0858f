//! `landfall unlock`: ends the lease of another run on a journal in a storage account.

use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::{escape, stream},
    run::store,
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{self, Connection, Gateways},
};
use landfall_engine::Journal;
use serde_json::json;
use std::time::Duration;

/// The time in which the other run can end regularly: longer than the interval at which it renews its lease.
const PERIOD: Duration = Duration::from_secs(30);

/// What `unlock` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// End it at once: the other run cannot write its last lines
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    store::state_config(&config, "unlock the environment").map_err(|failure| {
        failure.cause("the lock of a state folder ends with its process, however that ends")
    })?;
    let allowed = cli_context.allowed(&config.place)?;
    let (environment, gateways) = (&cli_context.environment, Gateways::WithoutTraffic);
    let connection =
        target::prepare(allowed, environment, &cli_context.sign_ins, &config.folder, gateways).await?;
    let result = unlock(cli_context, args, &config, &connection).await;
    connection.close().await;
    result
}

async fn unlock(
    cli_context: &CliContext,
    args: &Args,
    config: &LoadedConfig,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let (_, store) = store::store(connection, config)?;
    let period = if args.now { Duration::ZERO } else { PERIOD };
    let unlocked = Journal::unlock(&store, period).await.map_err(|error| Failure::of_journal(&error))?;
    let name = &config.settings.environment;
    let Some(unlocked) = unlocked else {
        if cli_context.is_json() {
            stream::out().json(&json!({ "environment": name, "held": false }));
        }
        cli_context.say(&format!("No run holds environment {name}."));
        return Ok(Exit::Success);
    };
    let holder = unlocked.holder.as_ref();
    if cli_context.is_json() {
        let free = unlocked.free_in.as_secs();
        stream::out()
            .json(&json!({ "environment": name, "held": true, "holder": holder, "free_in_s": free }));
    }
    let who = holder.map_or("a run that has written nothing yet".to_owned(), ToString::to_string);
    let when = match unlocked.free_in {
        Duration::ZERO => "is free now".to_owned(),
        free => format!("is free in {} s; that run ends regularly until then", free.as_secs()),
    };
    cli_context.say(&format!("Environment {name} was held by {}. It {when}.", escape::inline(&who)));
    Ok(Exit::Success)
}
