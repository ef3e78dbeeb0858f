//! The journals of a fleet: in the state folder, or in a container of a storage account.

use super::{
    file::{Fleet, FleetEnvironment},
    record::{RecordPlace, RecordedCommand},
};
use crate::{
    cli_context::CliContext,
    failure::Failure,
    run::store,
    target::{self, Gateways},
};
use landfall_cloud::blob::BlobContainer;
use landfall_engine::Holder;
use landfall_steps::{BlobJournalStore, StoredEnvironment};
use std::collections::BTreeMap;

/// The folder of the fleets' own journals, beside those of the environments.
const FLEETS: &str = "_fleet";

/// The place of a fleet's journals. All requests share one client, and one token.
pub enum FleetState {
    /// The state folder.
    Folder,
    /// A container.
    Account {
        /// Its client.
        container: BlobContainer,
        /// The path in it above the environments.
        prefix: String,
    },
}

impl FleetState {
    /// Prepares the client of the storage account, without a request.
    ///
    /// # Errors
    /// Fails if the sign-in of the first environment cannot be prepared.
    pub async fn of(cli_context: &CliContext, fleet: &Fleet) -> Result<Self, Failure> {
        let (Some(state), Some(first)) = (&fleet.state, fleet.environments.first()) else {
            return Ok(Self::Folder);
        };
        let allowed = cli_context.allowed(&first.config.place)?;
        let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
        let connected =
            target::prepare(allowed, environment, sign_ins, &first.config.folder, Gateways::WithoutTraffic);
        let connection = connected.await?;
        let container = connection.container(state);
        connection.close().await;
        Ok(Self::Account { container: container?, prefix: state.prefix.clone() })
    }

    /// Returns the place of the fleet's own journal.
    pub fn record(&self, fleet: &Fleet) -> RecordPlace {
        let store = match self {
            Self::Folder => None,
            Self::Account { container, prefix } => {
                let name = format!("{FLEETS}/{}", fleet.name);
                Some(BlobJournalStore::new(container.clone(), prefix, &name))
            }
        };
        RecordPlace { folder: fleet.folder.clone(), store }
    }

    /// Returns this process as the next one that writes the fleet's journal.
    pub fn command<'a>(cli_context: &CliContext, name: &'a str, from_start: bool) -> RecordedCommand<'a> {
        let options = store::options(&cli_context.environment);
        let holder = Holder {
            user: options.user,
            run: options.run,
            ..Holder::of_this_process(&format!("fleet {name}"))
        };
        RecordedCommand { name, from_start, holder, lease_id: options.lease_id, run: None }
    }

    /// Returns the journal of an environment in the account; `None` for the state folder.
    pub fn journal(&self, environment: &FleetEnvironment) -> Option<BlobJournalStore> {
        match self {
            Self::Folder => None,
            Self::Account { container, prefix } => {
                Some(BlobJournalStore::new(container.clone(), prefix, &environment.name))
            }
        }
    }

    /// Lists the journals of the account by environment, with one request for 5,000; empty for the state folder.
    ///
    /// # Errors
    /// Fails if the account cannot be reached, or refuses.
    pub async fn list(&self) -> Result<BTreeMap<String, StoredEnvironment>, Failure> {
        let Self::Account { container, prefix } = self else { return Ok(BTreeMap::new()) };
        let listed = BlobJournalStore::list(container, prefix).await;
        let listed = listed.map_err(|error| Failure::of_store(&error))?;
        Ok(listed.into_iter().map(|stored| (stored.name.clone(), stored)).collect())
    }
}
