//! The place that a report reads journals from: the state folder, or a storage account.

use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    run::store,
    settings::LoadedConfig,
    target::{self, Connection, Gateways},
};
use landfall_engine::{Journal, RecordedRuns, RemoteRuns, RemoteStore as _};
use landfall_steps::BlobJournalStore;

/// The place of the journals.
pub enum JournalSource {
    /// The state folder of this machine.
    Folder,
    /// A storage account.
    Account(Box<Connection>),
}

impl JournalSource {
    /// Opens the place that the settings name. Only a storage account needs a sign-in.
    pub async fn open(cli_context: &CliContext, config: &LoadedConfig) -> Result<Self, Failure> {
        if config.place.state.is_none() {
            return Ok(Self::Folder);
        }
        let allowed = cli_context.allowed(&config.place)?;
        let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
        let without = Gateways::WithoutTraffic;
        let connection = target::prepare(allowed, environment, sign_ins, &config.folder, without).await?;
        Ok(Self::Account(Box::new(connection)))
    }

    /// Reads the runs of an environment, and returns whether a process holds its journal.
    ///
    /// # Errors
    /// Exit 2 if nothing ran yet.
    pub async fn read(&self, config: &LoadedConfig) -> Result<(RecordedRuns, bool), Failure> {
        let (runs, place) = match self {
            Self::Folder => {
                let runs = Journal::runs(&config.folder).map_err(|error| Failure::of_journal(&error))?;
                let is_held = Journal::holder(&config.folder).is_some();
                (runs.map(|runs| (runs, is_held)), config.folder.display().to_string())
            }
            Self::Account(connection) => {
                let (_, store) = store::store(connection, config)?;
                (read_stored(&store).await?, store.address(1))
            }
        };
        runs.filter(|(recorded, _)| !recorded.runs.is_empty()).ok_or_else(|| {
            Failure::new(Exit::Input, format!("report on environment {}", config.settings.environment))
                .cause(format!("nothing ran yet: {place} records no run"))
                .hint("run landfall up first, or select an environment with --environment NAME")
        })
    }

    /// Ends the connection.
    pub async fn close(self) {
        if let Self::Account(connection) = self {
            connection.close().await;
        }
    }
}

/// Reads the runs of a journal in a storage account, and whether a process holds it.
pub async fn read_stored(store: &BlobJournalStore) -> Result<Option<(RecordedRuns, bool)>, Failure> {
    let read = Journal::remote_runs(store).await.map_err(|error| Failure::of_journal(&error))?;
    Ok(read.map(|RemoteRuns { recorded, is_held }| (recorded, is_held)))
}
