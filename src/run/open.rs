//! The frame of a run: it opens journal and cloud, prints the heading, and compares the names.

use super::{
    journal::{in_folder, same_journal},
    store,
};
use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    endpoint_consent::Allowed,
    exit::Exit,
    failure::Failure,
    journal_clock_check,
    settings::LoadedConfig,
    target::{self, Gateways, Target},
};
use jiff::Timestamp;
use landfall_engine::{EnvironmentKey, Journal, JournalState};
use landfall_steps::{
    Records, identity_mode,
    settings::{Settings, Teardown},
};
use std::sync::Arc;

/// Prints a warning for each fault in the chain of the given certificate. It works without, but clients that do
/// not know the intermediate refuse it.
pub fn warn_about_chain(cli_context: &CliContext, settings: &Settings) {
    let faults = settings.certificate.given.as_ref().map(|given| given.chain_faults(Timestamp::now()));
    for fault in faults.unwrap_or_default() {
        cli_context.warn(&format!("{fault}; {}.", fault.hint()));
    }
}

/// Prints a warning if this machine's clock is behind the journal.
pub fn warn_about_clock(cli_context: &CliContext, journal_state: &JournalState) {
    if let Some(warning) = journal_clock_check::warning(journal_state, Timestamp::now()) {
        cli_context.say(&warning);
    }
}

/// Opens journal and cloud, in the order that refuses a second run before it changes anything.
pub async fn open(
    cli_context: &CliContext,
    config: &LoadedConfig,
    command: &str,
    gateways: Gateways,
) -> Result<(Arc<Journal>, Target), Failure> {
    let allowed = cli_context.allowed(&config.place)?;
    let secured = match cli_context.is_alone {
        true => Journal::secure_alone(&config.folder),
        false => Journal::secure(&config.folder),
    };
    for path in secured.map_err(|error| Failure::of_journal(&error))? {
        cli_context.say(&format!(
            "{} was accessible to other users; its permissions are now restricted to you.",
            path.display()
        ));
    }
    match config.place.state {
        Some(_) => store::open(cli_context, config, command, allowed, gateways).await,
        None => open_in_folder(cli_context, config, command, allowed, gateways).await,
    }
}

async fn open_in_folder(
    cli_context: &CliContext,
    config: &LoadedConfig,
    command: &str,
    allowed: Allowed<'_>,
    gateways: Gateways,
) -> Result<(Arc<Journal>, Target), Failure> {
    let known = in_folder(config)?.map(|(key, journal_state)| {
        warn_about_clock(cli_context, &journal_state);
        key
    });
    if let Some(key) = &known {
        same_journal(config, key)?;
    }
    let take = |key: &EnvironmentKey| {
        Journal::open(&config.folder, command, key, env!("CARGO_PKG_VERSION"))
            .map(Arc::new)
            .map_err(|error| Failure::of_journal(&error))
    };
    let early = known.as_ref().map(take).transpose()?;
    let before = known.as_ref().map(|key| key.subscription.as_str());
    let (environment, sign_ins) = (&cli_context.environment, &cli_context.sign_ins);
    let target = target::connect(allowed, environment, sign_ins, &config.folder, before, gateways).await?;
    let key = EnvironmentKey {
        cloud: target.cloud.to_owned(),
        subscription: target.clients.azure.id().to_owned(),
        environment: config.settings.environment.clone(),
    };
    let opened = match early {
        Some(journal) if *journal.environment() == key => Ok(journal),
        // The journal belongs to another subscription; opening it reports that.
        Some(journal) => {
            drop(journal);
            let refused = take(&key);
            let why = || Failure::new(Exit::Input, "use the journal: it belongs to another subscription");
            Err(refused.err().unwrap_or_else(why))
        }
        None => take(&key),
    };
    match opened {
        Ok(journal) => {
            // The gate holds back every request whose record is not on disk.
            target.guard_writes(&journal);
            journal.sync_in_background();
            Ok((journal, target))
        }
        Err(failure) => {
            target.close().await;
            Err(failure)
        }
    }
}

/// Returns the first lines of a run.
pub fn heading(cli_context: &CliContext, command: &str, target: &Target) -> String {
    let style = cli_context.terminal.err;
    let first = format!("landfall {command} · {} · {}", cli_context.global.environment, target.text);
    let remark = target.remark.as_ref().map(|remark| format!("\n{remark}")).unwrap_or_default();
    format!("{}{remark}\n", style.strong(&first))
}

/// Decides with which identity the certificate is read from the vault, if the settings do not: an existing environment
/// keeps its own.
///
/// # Errors
/// Fails if the settings contradict a class among the manifests.
pub async fn resolve_identity(
    config: &mut LoadedConfig,
    journal_state: &JournalState,
    target: &Target,
) -> Result<(), Failure> {
    if let Some(why) = identity_mode::contradiction(&config.settings) {
        return Err(Failure::new(Exit::Input, "choose the identity that reads the vault")
            .cause(why)
            .hint("remove identity from the settings, and the one that fits is used"));
    }
    let records = Records::default();
    let mode = identity_mode::resolve(&target.clients, &config.settings, &records, journal_state).await;
    config.settings.identity = Some(mode);
    Ok(())
}

/// Refuses to create resources under other names: the recorded ones would be forgotten.
pub fn same_environment(
    cli_context: &CliContext,
    config: &LoadedConfig,
    journal_state: &JournalState,
    target: &Target,
) -> Result<(), Failure> {
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let subscription = target.clients.azure.id();
    let renamed = deployment.resources().renamed_settings(&config.settings, journal_state, subscription);
    if renamed.is_empty() {
        return Ok(());
    }
    let name = &cli_context.global.environment;
    let refused = Failure::new(Exit::Input, format!("use environment {name} with other names"));
    let failure = renamed.iter().fold(refused, |failure, one| {
        failure.cause(format!("{} is {}, but was created as {}", one.setting, one.configured, one.recorded))
    });
    Err(failure.hint(format!(
        "set it back, delete the environment first, or use a separate environment: {} --environment NAME up",
        cli_context.program()
    )))
}
