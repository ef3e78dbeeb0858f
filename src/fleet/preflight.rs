//! The preflight of a fleet, before its first wave: limits that its new environments exceed only together.
//!
//! Each environment has its own preflight, which sees what is in use at its turn. It would refuse the last of 40 clusters,
//! when 39 exist.

use super::{
    file::{Fleet, FleetEnvironment},
    journal_facts::{self, JournalFacts},
    state::FleetState,
};
use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::text,
    settings::file_schema::CloudName,
    target::{self, Gateways},
    up_options::UpOptions,
};
use landfall_steps::{
    preflight::{PreflightCheckId, SharedLimit, shared_limits},
    settings::Settings,
};
use std::collections::BTreeMap;

/// The environments that a message names.
const NAMED_MAX: usize = 3;

/// Refuses a run whose new environments exceed a limit of their subscription in a region together. A limit that cannot be
/// read is left to the preflight of each environment.
///
/// # Errors
/// Exit code 3, with one cause for each limit.
pub async fn check(
    cli_context: &CliContext,
    fleet: &Fleet,
    selected: &[usize],
    state: &FleetState,
    up_options: &UpOptions,
) -> Result<(), Failure> {
    let facts = journal_facts::read(fleet, selected, state).await?;
    let is_new = |facts: &Result<JournalFacts, Failure>| !facts.as_ref().is_ok_and(|facts| facts.has_cluster);
    let environments = selected.iter().map(|at| &fleet.environments[*at]).zip(&facts);
    let new = environments.filter(|(_, facts)| is_new(facts)).map(|(environment, _)| environment);
    let in_azure = new.filter(|environment| environment.config.place.cloud == CloudName::Azure);
    let mut regions: BTreeMap<(&str, &str), Vec<&FleetEnvironment>> = BTreeMap::new();
    for environment in in_azure {
        let key = (environment.subscription(), environment.config.settings.location.as_str());
        regions.entry(key).or_default().push(environment);
    }
    let mut refused: Option<Failure> = None;
    for ((_, location), environments) in regions.into_iter().filter(|(_, all)| all.len() > 1) {
        for limit in limits(cli_context, location, &environments, up_options).await? {
            let failure = refused.take().unwrap_or_else(|| {
                Failure::new(Exit::Refused, "allocate what the new environments need together")
            });
            refused = Some(failure.cause(described(&limit, location)));
        }
    }
    let Some(refused) = refused else { return Ok(()) };
    Err(refused.cause("nothing was changed").hint(format!(
        "request a quota increase (https://aka.ms/quota), set a lower cluster.nodes_max, spread the environments over \
         more subscriptions or regions, or start fewer with --select; --skip-preflight {} starts them anyway",
        PreflightCheckId::Quota.name()
    )))
}

async fn limits(
    cli_context: &CliContext,
    location: &str,
    environments: &[&FleetEnvironment],
    up_options: &UpOptions,
) -> Result<Vec<SharedLimit>, Failure> {
    let mut settings: Vec<(&str, Settings)> = Vec::new();
    for environment in environments {
        let mut of = environment.config.settings.clone();
        up_options.apply(&mut of)?;
        settings.push((environment.name.as_str(), of));
    }
    let Some(first) = environments.first() else { return Ok(Vec::new()) };
    let connected = target::connect(
        cli_context.allowed(&first.config.place)?,
        &cli_context.environment,
        &cli_context.sign_ins,
        &first.config.folder,
        None,
        Gateways::WithoutTraffic,
    );
    let target = connected.await?;
    let named: Vec<(&str, &Settings)> = settings.iter().map(|(name, settings)| (*name, settings)).collect();
    let limits = shared_limits(&target.clients.azure, location, &named).await;
    target.close().await;
    Ok(limits.unwrap_or_default())
}

fn described(limit: &SharedLimit, location: &str) -> String {
    let SharedLimit { label, limit: allowed, used, needed, environments, .. } = limit;
    let mut names: Vec<String> = environments.iter().take(NAMED_MAX).cloned().collect();
    if environments.len() > NAMED_MAX {
        names.push(format!("{} more", environments.len() - NAMED_MAX));
    }
    format!(
        "{label} in {location} allows {allowed} with {used} in use, but {needed} are needed for {}",
        text::list(&names)
    )
}
