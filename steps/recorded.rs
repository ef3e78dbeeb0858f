//! The names under which an environment was made. What is taken down, or gone on with, is what was made, whatever
//! the settings say by now.

use crate::{
    cluster::AcceptedCluster, key_vault::Vault, kubeconfig::Merged, names, network::Subnet,
    resource_group::Group, settings::Settings,
};
use landfall_engine::Memory;
use serde::de::DeserializeOwned;

/// One name that was made otherwise than the settings say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The setting, as `landfall.toml` spells it.
    pub setting: &'static str,
    /// The name of what was made.
    pub made: String,
    /// The name that is wished for now.
    pub wished: String,
}

/// Returns the settings with every name as it was made.
#[must_use]
pub fn as_made(settings: &Settings, memory: &Memory) -> Settings {
    let mut made = settings.clone();
    if let Some(group) = output::<Group>(memory, "resource-group") {
        made.resource_group = group.name;
        made.location = group.location;
    }
    if let Some(subnet) = output::<Subnet>(memory, "network") {
        made.network.name = subnet.network;
        made.network.subnet = last(&subnet.id);
    }
    if let Some(vault) = output::<Vault>(memory, "key-vault") {
        made.key_vault = Some(vault.name);
    }
    if let Some(cluster) = output::<AcceptedCluster>(memory, "cluster") {
        made.cluster.name = cluster.name;
    }
    if let Some(merged) = output::<Merged>(memory, "kubeconfig") {
        made.kubeconfig = merged.file;
    }
    made
}

/// Lists the things of ours that bear another name than the settings say: to go on would make a second one beside
/// the first, and forget the first.
#[must_use]
pub fn renamed(settings: &Settings, memory: &Memory, subscription: &str) -> Vec<Renamed> {
    let made = as_made(settings, memory);
    let ours = |step: &str| memory.past(step).is_some_and(|past| past.ours);
    [
        ("resource-group", "resource_group", &made.resource_group, &settings.resource_group),
        ("resource-group", "location", &made.location, &settings.location),
        ("network", "network.name", &made.network.name, &settings.network.name),
        ("network", "network.subnet", &made.network.subnet, &settings.network.subnet),
        (
            "key-vault",
            "key_vault.name",
            &names::vault(&made, subscription),
            &names::vault(settings, subscription),
        ),
        ("cluster", "cluster.name", &made.cluster.name, &settings.cluster.name),
    ]
    .into_iter()
    .filter(|(step, _, made, wished)| ours(step) && !made.eq_ignore_ascii_case(wished))
    .map(|(_, setting, made, wished)| Renamed { setting, made: made.clone(), wished: wished.clone() })
    .collect()
}

fn output<T: DeserializeOwned>(memory: &Memory, step: &str) -> Option<T> {
    serde_json::from_value(memory.past(step)?.output.clone()?).ok()
}

fn last(id: &str) -> String {
    id.rsplit('/').next().unwrap_or_default().to_owned()
}
