//! The journal in a storage account: its store, and the run that opens it there.

use super::{journal::same_journal, open::warn_about_clock};
use crate::{
    cli_context::CliContext,
    endpoint_consent::Allowed,
    exit::Exit,
    failure::Failure,
    settings::{LoadedConfig, checks::state::StateConfig, sources::Environment},
    target::{self, Connection, Gateways, Target},
};
use landfall_cloud::blob::BlobContainer;
use landfall_engine::{EnvironmentKey, Journal, JournalState, RemoteOptions};
use landfall_steps::BlobJournalStore;
use std::sync::Arc;

/// Returns the place of the journal in a storage account.
///
/// # Errors
/// Exit 2 if the journal is in the state folder.
pub fn state_config<'a>(config: &'a LoadedConfig, doing: &str) -> Result<&'a StateConfig, Failure> {
    config.place.state.as_ref().ok_or_else(|| {
        Failure::new(Exit::Input, doing)
            .cause("no storage account is configured: the journal is in the state folder of this machine")
            .hint("set [state] in landfall.toml, or LANDFALL_STATE=https://ACCOUNT.blob.core.windows.net/CONTAINER")
    })
}

/// Returns the container of the journal, and the journal of the environment in it.
pub fn store(
    connection: &Connection,
    config: &LoadedConfig,
) -> Result<(BlobContainer, BlobJournalStore), Failure> {
    let state = state_config(config, "open the journal in a storage account")?;
    let container = connection.container(state)?;
    let store = BlobJournalStore::new(container.clone(), &state.prefix, &config.settings.environment);
    Ok((container, store))
}

/// Reads the journal, without its lease.
pub async fn read(
    connection: &Connection,
    config: &LoadedConfig,
) -> Result<Option<(EnvironmentKey, JournalState)>, Failure> {
    let (_, store) = store(connection, config)?;
    let read = Journal::read_remote(&store).await.map_err(|error| Failure::of_journal(&error))?;
    Ok(read.map(|content| (content.key, content.journal_state)))
}

/// Returns the options of this process for a journal in a store.
pub fn options(environment: &Environment) -> RemoteOptions {
    let get = |name: &str| environment.get(name).map(str::to_owned);
    let github = || {
        let (server, repository) = (get("GITHUB_SERVER_URL")?, get("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", get("GITHUB_RUN_ID")?))
    };
    RemoteOptions {
        user: get("USER"),
        run: github().or_else(|| get("BUILD_BUILDURI")),
        ..RemoteOptions::new(uuid::Uuid::new_v4().to_string())
    }
}

/// Opens journal and cloud, in the order that refuses a second run before it changes anything.
pub async fn open(
    cli_context: &CliContext,
    config: &LoadedConfig,
    command: &str,
    allowed: Allowed<'_>,
    gateways: Gateways,
) -> Result<(Arc<Journal>, Target), Failure> {
    let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
    let connection = target::prepare(allowed, environment, sign_ins, &config.folder, gateways).await?;
    let opened = open_known(cli_context, config, command, &connection).await;
    let (store, known, early) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            connection.close().await;
            return Err(failure);
        }
    };
    let target = connection.into_target(known.as_ref().map(|key| key.subscription.as_str())).await?;
    let key = EnvironmentKey {
        cloud: target.cloud.to_owned(),
        subscription: target.clients.azure.id().to_owned(),
        environment: config.settings.environment.clone(),
    };
    let journal = match early {
        Some(journal) if *journal.environment() == key => Ok(journal),
        // The journal belongs to another subscription; opening it reports that.
        Some(journal) => {
            journal.close().await;
            drop(journal);
            take(cli_context, config, command, store, &key).await
        }
        None => take(cli_context, config, command, store, &key).await,
    };
    match journal {
        Ok(journal) => {
            cli_context.share_journal(&journal);
            target.guard_writes(&journal);
            Ok((journal, target))
        }
        Err(failure) => {
            target.close().await;
            Err(failure)
        }
    }
}

type Opened = (BlobJournalStore, Option<EnvironmentKey>, Option<Arc<Journal>>);

/// Opens the journal if there is one.
async fn open_known(
    cli_context: &CliContext,
    config: &LoadedConfig,
    command: &str,
    connection: &Connection,
) -> Result<Opened, Failure> {
    let (_, store) = store(connection, config)?;
    let known = read(connection, config).await?.map(|(key, journal_state)| {
        warn_about_clock(cli_context, &journal_state);
        key
    });
    let Some(key) = known else { return Ok((store, None, None)) };
    same_journal(config, &key)?;
    let journal = take(cli_context, config, command, store.clone(), &key).await?;
    Ok((store, Some(key), Some(journal)))
}

async fn take(
    cli_context: &CliContext,
    config: &LoadedConfig,
    command: &str,
    store: BlobJournalStore,
    key: &EnvironmentKey,
) -> Result<Arc<Journal>, Failure> {
    let options = RemoteOptions { is_alone: cli_context.is_alone, ..options(&cli_context.environment) };
    let version = env!("CARGO_PKG_VERSION");
    let opened = Journal::open_remote(Arc::new(store), &config.folder, command, key, version, options).await;
    opened.map(Arc::new).map_err(|error| Failure::of_journal(&error))
}
