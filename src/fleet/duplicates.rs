//! The check that no two environments of a fleet use one resource.

use super::file::FleetEnvironment;
use crate::settings::config_error::ConfigError;
use std::collections::BTreeMap;

/// The number of environments that a message names.
const NAMED_MAX: usize = 3;

/// A value that only one environment may have.
struct Unique {
    setting: &'static str,
    value: String,
    /// What has to be different for the value to be allowed twice, as a clause; empty if nothing helps.
    within: String,
}

/// Returns one mistake for each value that several environments have, at the line of the second one.
pub fn errors(environments: &[FleetEnvironment]) -> Vec<ConfigError> {
    let mut owners: BTreeMap<(&'static str, String, String), Vec<usize>> = BTreeMap::new();
    for (at, environment) in environments.iter().enumerate() {
        for Unique { setting, value, within } in uniques(environment) {
            owners.entry((setting, value, within)).or_default().push(at);
        }
    }
    let clash = |((setting, value, within), owners): ((&str, String, String), Vec<usize>)| {
        let second = *owners.get(1)?;
        let named = owners.iter().take(NAMED_MAX).map(|at| environments[*at].name.as_str());
        let mut names = named.collect::<Vec<_>>().join(", ");
        if owners.len() > NAMED_MAX {
            names.push_str(&format!(" and {} more", owners.len() - NAMED_MAX));
        }
        let message = format!("{setting} is \"{value}\" in {} environments{within}: {names}", owners.len());
        let hint =
            format!("give each its own, or use its name in [defaults]: {setting} = {}", example(setting));
        Some(ConfigError::at(environments[second].place.clone(), message).hint(hint))
    };
    owners.into_iter().filter_map(clash).collect()
}

fn uniques(environment: &FleetEnvironment) -> Vec<Unique> {
    let settings = &environment.config.settings;
    let within = match environment.subscription() {
        "" => " of one subscription".to_owned(),
        subscription => format!(" of subscription {subscription}"),
    };
    let unique = |setting, value: &str| Unique { setting, value: value.to_owned(), within: within.clone() };
    let mut uniques = vec![
        unique("resource_group", &settings.resource_group.to_lowercase()),
        unique("domain", &settings.domain),
    ];
    if let Some(vault) = &settings.key_vault {
        uniques.push(Unique { setting: "key_vault.name", value: vault.clone(), within: String::new() });
    }
    let kubeconfig = format!(" with kubeconfig {}", settings.kubeconfig.display());
    uniques.push(Unique {
        setting: "cluster.name",
        value: settings.cluster.name.clone(),
        within: kubeconfig,
    });
    uniques
}

/// Returns a value with the environment's name.
fn example(setting: &str) -> &'static str {
    match setting {
        "resource_group" => "\"rg-{name}\"",
        "domain" => "\"{name}.example.com\"",
        "key_vault.name" => "\"kv-{name}\"",
        _ => "\"aks-{name}\"",
    }
}
