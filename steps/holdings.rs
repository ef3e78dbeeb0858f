//! The teardown inventory: the resources of an environment that can be deleted, according to the journal.

use crate::{
    certificate::HeldCertificate,
    dns::{self, Published},
    gateways::ProgrammedGateways,
    grant::Granted,
    kubeconfig::Merged,
    names,
    network::Subnet,
    objects::Applied,
    settings::Settings,
};
use landfall_engine::{Graph, Memory};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, path::PathBuf};

/// Steps that only read, or whose resource belongs to the whole subscription: nothing of them is ever
/// deleted.
const STAYING: [&str; 2] = ["preflight", "features"];
/// The steps that apply objects.
const OBJECTS: [&str; 3] = ["tls-secret", "apps", "gateways"];
/// The steps that assign roles, and the step whose resource is the scope.
const ROLES: [(&str, &str); 3] =
    [("subnet-role", "network"), ("vault-access", "key-vault"), ("vault-officer", "key-vault")];

/// The resources of some steps. Resources without a recorded output are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The number of objects of each kind, sorted by kind.
    pub objects: BTreeMap<String, usize>,
    /// The cluster that they are in.
    pub cluster: String,
    /// True if the cluster itself is deleted.
    pub has_cluster: bool,
    /// The published hosts, and their zone.
    pub hosts: Vec<String>,
    /// The zone's name; `None` if the records are entered by hand.
    pub zone: Option<String>,
    /// The kubeconfig file and the context in it.
    pub context: Option<(PathBuf, String)>,
    /// The number of role assignments on resources that stay.
    pub roles: usize,
    /// The certificate in a vault that stays.
    pub certificate: Option<String>,
    /// The virtual network, and the subnet alone if the network stays.
    pub network: Option<(String, Option<String>)>,
    /// The vault.
    pub vault: Option<String>,
    /// The resource group.
    pub group: Option<String>,
}

/// Returns whether a step has a resource that can be deleted.
#[must_use]
pub fn is_thing(step: &str) -> bool {
    !STAYING.contains(&step)
}

/// Returns the steps that found some or all of their resources: the ones that an adoption makes owned.
#[must_use]
pub fn adoptable(memory: &Memory) -> Vec<String> {
    let found = memory.0.iter().filter(|(step, past)| {
        is_thing(step) && !past.adopted && past.output.is_some() && (!past.ours || has_found(memory, step))
    });
    found.map(|(step, _)| step.clone()).collect()
}

/// Returns whether an owned step also has resources that existed before.
fn has_found(memory: &Memory, step: &str) -> bool {
    match step {
        "network" => output::<Subnet>(memory, step).is_some_and(|subnet| subnet.joined),
        // Only the cloud shows the owner of a record or an assignment.
        "dns" | "subnet-role" | "vault-access" | "vault-officer" => true,
        _ => applied(memory, step).is_some_and(|applied| !applied.found.is_empty()),
    }
}

/// Keeps a step's resource during a teardown, together with all its dependencies.
///
/// Returns whether the step exists.
pub fn keep(graph: &mut Graph, step: &str, why: &str) -> bool {
    let known = graph.keep(step, why);
    if known && graph.kept().contains_key("cluster") && !graph.kept().contains_key("subnet-role") {
        graph.keep("subnet-role", "the cluster depends on it and is kept");
    }
    known
}

/// Keeps everything connected with a step's resource: its dependencies, its dependents, and what it serves.
///
/// An environment without its cluster's vault, records or gateways is useless, so it is deleted or kept as a
/// whole.
pub fn keep_whole(graph: &mut Graph, step: &str, why: &str) -> bool {
    if !graph.keep(step, why) {
        return false;
    }
    for info in graph.steps() {
        if !graph.kept().contains_key(info.id) {
            graph.keep(info.id, &format!("it stays with the {step}"));
        }
    }
    true
}

/// Returns the resources of the steps in `going`; the settings contain the names that were created.
#[must_use]
pub fn holdings(settings: &Settings, memory: &Memory, subscription: &str, going: &[&str]) -> Holdings {
    let goes = |step: &str| going.contains(&step);
    let mut held = Holdings {
        cluster: settings.cluster.name.clone(),
        has_cluster: goes("cluster"),
        ..Holdings::default()
    };
    for applied in OBJECTS.into_iter().filter(|step| goes(step)).filter_map(|step| applied(memory, step)) {
        for object in applied.made() {
            *held.objects.entry(object.kind.clone()).or_default() += 1;
        }
    }
    if let Some(published) = output::<Published>(memory, "dns").filter(|_| goes("dns"))
        && let Some(zone) = published.zone
    {
        let inside = published.records.into_iter().map(|(host, _)| host);
        held.hosts = inside.filter(|host| dns::relative(host, &zone.name).is_some()).collect();
        held.zone = Some(zone.name);
    }
    if let Some(merged) = output::<Merged>(memory, "kubeconfig").filter(|_| goes("kubeconfig")) {
        held.context = Some((merged.file, merged.added.context));
    }
    let stays = |(step, on): &&(&str, &str)| goes(step) && !goes(on);
    let granted = ROLES.iter().filter(stays).filter_map(|(step, _)| output::<Granted>(memory, step));
    held.roles = granted.map(|granted| granted.assignments.len()).sum();
    if goes("certificate") && !goes("key-vault") {
        held.certificate = output::<HeldCertificate>(memory, "certificate").map(|held| held.name);
    }
    if goes("network") {
        let past = memory.past("network");
        let joined = output::<Subnet>(memory, "network").is_some_and(|subnet| subnet.joined)
            && !past.is_some_and(|past| past.adopted);
        let subnet = joined.then(|| settings.network.subnet.clone());
        held.network = Some((settings.network.name.clone(), subnet));
    }
    held.vault = goes("key-vault").then(|| names::vault(settings, subscription));
    held.group = goes("resource-group").then(|| settings.resource_group.clone());
    held
}

fn applied(memory: &Memory, step: &str) -> Option<Applied> {
    let applied = match step {
        "gateways" => output::<ProgrammedGateways>(memory, step).map(|made| made.applied),
        _ => output::<Applied>(memory, step),
    }?;
    let adopted = memory.past(step).is_some_and(|past| past.adopted);
    Some(if adopted { Applied { found: Vec::new(), ..applied } } else { applied })
}

fn output<T: DeserializeOwned>(memory: &Memory, step: &str) -> Option<T> {
    serde_json::from_value(memory.past(step)?.output.clone()?).ok()
}
