//! The journal of a run: its owner, its recorded state, and the acceptance of a damaged one.

use super::store;
use crate::{
    cli_context::CliContext,
    failure::Failure,
    settings::{LoadedConfig, file_schema::CloudName},
    target::{self, Connection, Gateways, Target},
};
use landfall_engine::{Accepted, EnvironmentKey, Journal, JournalState, OpenError};

/// The way out of a journal that is not as it was written.
#[derive(clap::Args, Debug)]
pub struct AcceptJournal {
    /// Take a damaged journal as it stands, and keep a copy of it
    #[arg(long)]
    accept_journal: bool,
}

impl AcceptJournal {
    /// Accepts the damaged journal, if that was requested and there is damage.
    pub async fn apply(&self, cli_context: &CliContext, config: &LoadedConfig) -> Result<(), Failure> {
        let refuse = |error: OpenError| Failure::of_journal(&error);
        if !self.accept_journal {
            return Ok(());
        }
        if config.place.state.is_some() {
            return in_store(cli_context, config).await;
        }
        let Some(salvaged) = Journal::salvage(&config.folder).map_err(refuse)? else { return Ok(()) };
        same_journal(config, &salvaged.key)?;
        if let Some(taken) = Journal::accept(&config.folder, env!("CARGO_PKG_VERSION")).map_err(refuse)? {
            say_accepted(cli_context, &taken, "file");
        }
        Ok(())
    }
}

fn say_accepted(cli_context: &CliContext, taken: &Accepted, what: &str) {
    cli_context.say(&format!(
        "The journal is accepted with {} lines that can be read, because of: {}. The {what} as it was is {}.",
        taken.lines,
        taken.damage,
        taken.kept.display()
    ));
}

/// Accepts the damaged journal in a storage account.
async fn in_store(cli_context: &CliContext, config: &LoadedConfig) -> Result<(), Failure> {
    let allowed = cli_context.allowed(&config.place)?;
    let (environment, sign_ins, gateways) =
        (&cli_context.environment, &cli_context.sign_ins, Gateways::WithoutTraffic);
    let connection = target::prepare(allowed, environment, sign_ins, &config.folder, gateways).await?;
    let accepted = accept_stored(cli_context, config, &connection).await;
    connection.close().await;
    if let Some(taken) = accepted? {
        say_accepted(cli_context, &taken, "blob");
    }
    Ok(())
}

async fn accept_stored(
    cli_context: &CliContext,
    config: &LoadedConfig,
    connection: &Connection,
) -> Result<Option<Accepted>, Failure> {
    let refuse = |error: OpenError| Failure::of_journal(&error);
    let (_, store) = store::store(connection, config)?;
    let Some(salvaged) = Journal::salvage_remote(&store).await.map_err(refuse)? else { return Ok(None) };
    same_journal(config, &salvaged.key)?;
    let (version, lease_id) = (env!("CARGO_PKG_VERSION"), store::options(&cli_context.environment).lease_id);
    Journal::accept_remote(&store, &config.folder, version, &lease_id).await.map_err(refuse)
}

/// A journal that was read without its lock, and the connection that this needed.
pub struct Recorded {
    /// The owner and the state; `None` if there is no journal.
    pub state: Option<(EnvironmentKey, JournalState)>,
    connection: Option<Connection>,
}

impl Recorded {
    /// Reads the journal. The owner is checked first: a journal of another environment is refused by its name, damaged
    /// or not.
    pub async fn read(
        cli_context: &CliContext,
        config: &LoadedConfig,
        gateways: Gateways,
    ) -> Result<Self, Failure> {
        if config.place.state.is_none() {
            return Ok(Self { state: in_folder(config)?, connection: None });
        }
        let allowed = cli_context.allowed(&config.place)?;
        let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
        let connection = target::prepare(allowed, environment, sign_ins, &config.folder, gateways).await?;
        match store::read(&connection, config).await {
            Ok(state) => Ok(Self { state, connection: Some(connection) }),
            Err(failure) => {
                connection.close().await;
                Err(failure)
            }
        }
    }

    /// Connects to the cloud, over the connection that exists already if there is one.
    pub async fn connect(
        connection: Option<Connection>,
        cli_context: &CliContext,
        config: &LoadedConfig,
        subscription: Option<&str>,
        gateways: Gateways,
    ) -> Result<Target, Failure> {
        match connection {
            Some(connection) => connection.into_target(subscription).await,
            None => {
                let allowed = cli_context.allowed(&config.place)?;
                let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
                let folder = &config.folder;
                target::connect(allowed, environment, sign_ins, folder, subscription, gateways).await
            }
        }
    }

    /// Splits it into the state and the connection.
    pub fn into_parts(self) -> (Option<(EnvironmentKey, JournalState)>, Option<Connection>) {
        (self.state, self.connection)
    }

    /// Returns the state, and closes the connection.
    pub async fn into_state(self) -> Option<(EnvironmentKey, JournalState)> {
        if let Some(connection) = self.connection {
            connection.close().await;
        }
        self.state
    }
}

/// Reads the journal of the state folder.
pub fn in_folder(config: &LoadedConfig) -> Result<Option<(EnvironmentKey, JournalState)>, Failure> {
    Journal::read(&config.folder).map_err(|error| {
        let salvaged = match error {
            OpenError::Damaged { .. } => Journal::salvage(&config.folder).ok().flatten(),
            _ => None,
        };
        let other = salvaged.and_then(|salvaged| same_journal(config, &salvaged.key).err());
        other.unwrap_or_else(|| Failure::of_journal(&error))
    })
}

/// Refuses the journal of another environment as early as possible: before the sign-in.
pub fn same_journal(config: &LoadedConfig, key: &EnvironmentKey) -> Result<(), Failure> {
    let place = &config.place;
    let cloud = target::name(place.cloud);
    // The simulated cloud has its own subscription, whatever is configured.
    let subscription = place.subscription.as_ref().filter(|_| place.cloud == CloudName::Azure);
    let wanted = EnvironmentKey {
        cloud: cloud.to_owned(),
        subscription: match subscription {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&key.subscription) => wanted.clone(),
            None if key.cloud != cloud => "separate".to_owned(),
            _ => key.subscription.clone(),
        },
        environment: config.settings.environment.clone(),
    };
    match wanted == *key {
        true => Ok(()),
        false => {
            let (is, wanted) = (Box::new(key.clone()), Box::new(wanted));
            Err(Failure::of_journal(&OpenError::OtherEnvironment { is, wanted }))
        }
    }
}
