//! The recorded names of an environment: those with which it was created, or with which an interrupted run
//! began. Teardown and resume use these names, whatever the settings contain now.

use crate::{
    certificate::HeldCertificate, cluster::AcceptedCluster, key_vault::Vault, kubeconfig::Merged, names,
    network::Subnet, resource_group::Group, settings::Settings,
};
use landfall_engine::Memory;
use serde::de::DeserializeOwned;

/// A resource whose recorded name differs from the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The setting, as `landfall.toml` spells it.
    pub setting: &'static str,
    /// The recorded name.
    pub made: String,
    /// The name in the settings.
    pub wished: String,
}

/// Returns the settings with every recorded name.
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
    if let Some(held) = output::<HeldCertificate>(memory, "certificate") {
        made.certificate.name = held.name;
    }
    if let Some(merged) = output::<Merged>(memory, "kubeconfig") {
        made.kubeconfig = merged.file;
    }
    as_begun(&mut made, memory);
    made
}

/// Applies the names of attempts that have not ended: they are newer than any output.
fn as_begun(made: &mut Settings, memory: &Memory) {
    for (step, key, name) in [
        ("resource-group", "name", &mut made.resource_group),
        ("resource-group", "location", &mut made.location),
        ("network", "name", &mut made.network.name),
        ("network", "subnet", &mut made.network.subnet),
        ("cluster", "name", &mut made.cluster.name),
        ("certificate", "name", &mut made.certificate.name),
        ("dns", "domain", &mut made.domain),
    ] {
        if let Some(begun) = begun(memory, step, key) {
            *name = begun;
        }
    }
    if let Some(vault) = begun(memory, "key-vault", "name") {
        made.key_vault = Some(vault);
    }
    if let Some(file) = begun(memory, "kubeconfig", "file") {
        made.kubeconfig = file.into();
    }
    if begun(memory, "dns", "domain").is_some() {
        made.dns.zone = begun(memory, "dns", "zone");
    }
}

/// Lists the owned resources whose recorded name differs from the settings. A run would create a second
/// resource beside the first, and lose track of the first.
#[must_use]
pub fn renamed(settings: &Settings, memory: &Memory, subscription: &str) -> Vec<Renamed> {
    let made = as_made(settings, memory);
    let ours = |step: &str| memory.past(step).is_some_and(|past| past.ours);
    // These may move after completion. An interrupted one can only be found under its recorded name.
    let unfinished = |step: &str| memory.past(step).is_some_and(|past| past.named.is_some());
    let held = |step: &str| ours(step) && (!matches!(step, "kubeconfig" | "dns") || unfinished(step));
    let file = |settings: &Settings| settings.kubeconfig.display().to_string();
    let zone = |settings: &Settings| settings.dns.zone.clone().unwrap_or_default();
    [
        ("resource-group", "resource_group", made.resource_group.clone(), settings.resource_group.clone()),
        ("resource-group", "location", made.location.clone(), settings.location.clone()),
        ("network", "network.name", made.network.name.clone(), settings.network.name.clone()),
        ("network", "network.subnet", made.network.subnet.clone(), settings.network.subnet.clone()),
        (
            "key-vault",
            "key_vault.name",
            names::vault(&made, subscription),
            names::vault(settings, subscription),
        ),
        ("certificate", "certificate.name", made.certificate.name.clone(), settings.certificate.name.clone()),
        ("cluster", "cluster.name", made.cluster.name.clone(), settings.cluster.name.clone()),
        ("kubeconfig", "kubeconfig", file(&made), file(settings)),
        ("dns", "domain", made.domain.clone(), settings.domain.clone()),
        ("dns", "dns.zone", zone(&made), zone(settings)),
    ]
    .into_iter()
    .filter(|(step, _, made, wished)| held(step) && !made.eq_ignore_ascii_case(wished))
    .map(|(_, setting, made, wished)| Renamed { setting, made, wished })
    .collect()
}

/// Returns the recorded name of an attempt that has not ended.
fn begun(memory: &Memory, step: &str, key: &str) -> Option<String> {
    Some(memory.past(step)?.named.as_ref()?.get(key)?.as_str()?.to_owned())
}

fn output<T: DeserializeOwned>(memory: &Memory, step: &str) -> Option<T> {
    serde_json::from_value(memory.past(step)?.output.clone()?).ok()
}

fn last(id: &str) -> String {
    id.rsplit('/').next().unwrap_or_default().to_owned()
}
