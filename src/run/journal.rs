//! The journal of a run: its owner, its recorded state, and the acceptance of a damaged one.

use crate::{
    cli_context::CliContext,
    failure::Failure,
    settings::{LoadedConfig, file_schema::CloudName},
    target,
};
use landfall_engine::{EnvironmentKey, Journal, JournalState, OpenError};

/// The way out of a journal that is not as it was written.
#[derive(clap::Args, Debug)]
pub struct AcceptJournal {
    /// Take a damaged journal as it stands, and keep a copy of the file beside it
    #[arg(long)]
    accept_journal: bool,
}

impl AcceptJournal {
    /// Accepts the damaged journal, if that was requested and there is damage.
    pub fn apply(&self, cli_context: &CliContext, config: &LoadedConfig) -> Result<(), Failure> {
        let refuse = |error: OpenError| Failure::of_journal(&error);
        if !self.accept_journal {
            return Ok(());
        }
        let Some(salvaged) = Journal::salvage(&config.folder).map_err(refuse)? else { return Ok(()) };
        same_journal(config, &salvaged.key)?;
        if let Some(taken) = Journal::accept(&config.folder, env!("CARGO_PKG_VERSION")).map_err(refuse)? {
            cli_context.say(&format!(
                "The journal is accepted with {} lines that can be read, because of: {}. The file as it was is {}.",
                taken.lines,
                taken.damage,
                taken.kept.display()
            ));
        }
        Ok(())
    }
}

/// Reads the journal. The owner is checked first: a journal of another environment is refused by its name,
/// damaged or not.
pub fn recorded_state(config: &LoadedConfig) -> Result<Option<(EnvironmentKey, JournalState)>, Failure> {
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
