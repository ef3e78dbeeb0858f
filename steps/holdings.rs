//! What an environment has that can be taken away, as the journal tells it: for saying before what will go.

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

/// Steps that only look around, or whose thing belongs to the whole subscription: nothing of theirs is ever taken away.
const STAYING: [&str; 2] = ["preflight", "features"];
/// The steps that apply objects.
const OBJECTS: [&str; 3] = ["tls-secret", "apps", "gateways"];
/// The steps that grant roles, and the step at whose thing they grant them.
const ROLES: [(&str, &str); 3] =
    [("subnet-role", "network"), ("vault-access", "key-vault"), ("vault-officer", "key-vault")];

/// What some steps hold. What no output tells of is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// How many objects of each kind, in the order of the kinds' names.
    pub objects: BTreeMap<String, usize>,
    /// The cluster that they are in.
    pub cluster: String,
    /// Whether it goes itself.
    pub has_cluster: bool,
    /// The hosts that are published, and their zone.
    pub hosts: Vec<String>,
    /// The zone's name; none when the records are entered by hand.
    pub zone: Option<String>,
    /// The kubeconfig file and the context in it.
    pub context: Option<(PathBuf, String)>,
    /// How many roles are granted on things that stay.
    pub roles: usize,
    /// The certificate in a vault that stays.
    pub certificate: Option<String>,
    /// The virtual network, and the subnet alone when the network stays.
    pub network: Option<(String, Option<String>)>,
    /// The vault.
    pub vault: Option<String>,
    /// The resource group.
    pub group: Option<String>,
}

/// Tells whether a step has a thing that could be taken away at all.
#[must_use]
pub fn is_thing(step: &str) -> bool {
    !STAYING.contains(&step)
}

/// Returns the steps that have found what they gave, and made none of it or only some: what adopting makes ours.
#[must_use]
pub fn adoptable(memory: &Memory) -> Vec<String> {
    let found = memory.0.iter().filter(|(step, past)| {
        is_thing(step) && !past.adopted && past.output.is_some() && (!past.ours || has_found(memory, step))
    });
    found.map(|(step, _)| step.clone()).collect()
}

/// Tells whether a step that is ours holds something besides that was there before.
fn has_found(memory: &Memory, step: &str) -> bool {
    match step {
        "network" => output::<Subnet>(memory, step).is_some_and(|subnet| subnet.joined),
        // Whose a record, or an assignment, is shows only where it is.
        "dns" | "subnet-role" | "vault-access" | "vault-officer" => true,
        _ => applied(memory, step).is_some_and(|applied| !applied.found.is_empty()),
    }
}

/// Has a step's thing stay when the rest is taken away, with everything that it stands on and needs.
///
/// Returns whether there is such a step.
pub fn keep(graph: &mut Graph, step: &str, why: &str) -> bool {
    let known = graph.keep(step, why);
    if known && graph.kept().contains_key("cluster") && !graph.kept().contains_key("subnet-role") {
        graph.keep("subnet-role", "the cluster depends on it and is kept");
    }
    known
}

/// Has everything stay with a step's thing: what it stands on, what needs it, and what it serves.
///
/// An environment without its cluster's vault, records or gateways serves nobody, so it goes or stays as a whole.
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

/// Returns what the steps that are `going` hold; the settings bear the names of what was made.
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
