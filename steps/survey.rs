//! A look around before anything is taken down: locks, and what others have put into what is to go. It changes
//! nothing, and what it could not see it says; each step looks again when its turn comes.

use crate::{
    clouds::Clouds,
    cluster_ready::ReadyCluster,
    dns::Published,
    grant::Granted,
    names,
    network::Subnet,
    objects::{Applied, strangers},
    settings::Settings,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Azure, Lock},
};
use landfall_engine::Memory;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The locks on what is to go.
    pub locks: Vec<Locked>,
    /// What others have put into the cluster, when that is to go: `Deployment shop/web`.
    pub in_cluster: Vec<String>,
    /// The names of what is in the resource group and not ours, when the group is to go.
    pub in_group: Vec<String>,
    /// What could not be looked at, a sentence each.
    pub unseen: Vec<String>,
}

/// A lock, and the steps whose things it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The lock.
    pub lock: Lock,
    /// The ids of the steps.
    pub steps: Vec<String>,
}

/// Looks around for the steps that are `going`; the settings bear the names of what was made.
pub async fn survey(clouds: &Clouds, settings: &Settings, memory: &Memory, going: &[&str]) -> Survey {
    let here = Here { clouds, settings, memory, going };
    let mut seen = Survey::default();
    let (locks, group, cluster) =
        futures::join!(clouds.azure.locks(&settings.resource_group), here.in_group(), here.in_cluster());
    match locks {
        Ok(locks) => seen.locks = here.locked(locks),
        Err(error) => seen.unseen.push(format!("locks could not be looked for: {}", error.message)),
    }
    seen.in_group = group.unwrap_or_else(|why| {
        seen.unseen.push(why);
        Vec::new()
    });
    seen.in_cluster = cluster.unwrap_or_else(|why| {
        seen.unseen.push(why);
        Vec::new()
    });
    seen
}

struct Here<'a> {
    clouds: &'a Clouds,
    settings: &'a Settings,
    memory: &'a Memory,
    going: &'a [&'a str],
}

impl Here<'_> {
    fn goes(&self, step: &str) -> bool {
        self.going.contains(&step)
    }

    fn output<T: DeserializeOwned>(&self, step: &str) -> Option<T> {
        serde_json::from_value(self.memory.past(step)?.output.clone()?).ok()
    }

    fn azure(&self) -> &Azure {
        &self.clouds.azure
    }

    fn vault_id(&self) -> String {
        self.azure().vault_id(&self.settings.resource_group, &names::vault(self.settings, self.azure().id()))
    }

    fn locked(&self, locks: Vec<Lock>) -> Vec<Locked> {
        let keeps = |lock: &Lock| -> Vec<String> {
            let kept = self.going.iter().filter(|step| self.keeps(lock, step));
            kept.map(|step| (*step).to_owned()).collect()
        };
        let with_steps = locks.into_iter().map(|lock| Locked { steps: keeps(&lock), lock });
        with_steps.filter(|locked| !locked.steps.is_empty()).collect()
    }

    /// Tells whether a lock keeps a step's thing from being taken away.
    fn keeps(&self, lock: &Lock, step: &str) -> bool {
        let (azure, made) = (self.azure(), self.settings);
        let group = &made.resource_group;
        match step {
            "resource-group" => lock.keeps(&azure.group_id(group)),
            "network" => {
                let id = azure.network_id(group, &made.network.name);
                let adopted = self.memory.past(step).is_some_and(|past| past.adopted);
                let joined = self.output::<Subnet>(step).is_some_and(|subnet| subnet.joined);
                // From a network that stays a subnet is taken by writing the network.
                if joined && !adopted { lock.freezes(&id) } else { lock.keeps(&id) }
            }
            "cluster" => {
                let nodes = azure.group_id(&made.node_resource_group);
                lock.keeps(&azure.cluster_id(group, &made.cluster.name)) || lock.keeps(&nodes)
            }
            "key-vault" => lock.keeps(&self.vault_id()),
            "dns" => {
                self.output::<Published>(step).and_then(|published| published.zone).is_some_and(|zone| {
                    lock.covers(&zone.id)
                        || lock
                            .scope
                            .to_ascii_lowercase()
                            .starts_with(&format!("{}/a/", zone.id.to_ascii_lowercase()))
                })
            }
            // What is granted at a thing that goes is no hindrance of its own.
            "subnet-role" if self.goes("network") => false,
            "vault-access" | "vault-officer" if self.goes("key-vault") => false,
            "subnet-role" | "vault-access" | "vault-officer" => {
                self.output::<Granted>(step).is_some_and(|granted| lock.covers(&granted.scope))
            }
            _ => false,
        }
    }

    async fn in_group(&self) -> Result<Vec<String>, String> {
        if !self.goes("resource-group") {
            return Ok(Vec::new());
        }
        let group = &self.settings.resource_group;
        let inside = match self.azure().resources_in(group).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("{group} could not be looked into: {}", error.message)),
            Ok(inside) => inside,
        };
        let ours = [
            ("network", self.azure().network_id(group, &self.settings.network.name)),
            ("cluster", self.azure().cluster_id(group, &self.settings.cluster.name)),
            ("key-vault", self.vault_id()),
        ];
        let is_ours = |id: &str| {
            ours.iter().any(|(step, known)| {
                known.eq_ignore_ascii_case(id) && self.memory.past(step).is_some_and(|past| past.ours)
            })
        };
        let theirs = inside.iter().filter(|one| !one["id"].as_str().is_some_and(is_ours));
        Ok(theirs.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }

    async fn in_cluster(&self) -> Result<Vec<String>, String> {
        let Some(ready) = self.output::<ReadyCluster>("cluster-ready").filter(|_| self.goes("cluster"))
        else {
            return Ok(Vec::new());
        };
        let closed = |why: &str| {
            format!("cluster {} could not be looked into, and what is in it goes with it: {why}", ready.name)
        };
        let opened = match self.clouds.clusters.open(&ready).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened.map_err(|error| closed(&error.message))?,
        };
        let output = |step: &str| self.memory.past(step)?.output.clone();
        let adopted = self.memory.past("cluster").is_some_and(|past| past.adopted);
        let mut ours = strangers::ours(output, adopted);
        ours.extend(strangers::ours(|step| self.memory.past(step)?.ticket.clone(), adopted));
        // A run that died among the objects has not named them: those that bear our mark are ours all the same.
        let found: BTreeSet<String> = if adopted { BTreeSet::new() } else { self.found() };
        let seen = strangers::in_cluster(&opened.api, |object| {
            strangers::is_among(&ours, object)
                || (strangers::is_marked(object) && !strangers::is_among(&found, object))
        });
        seen.await.map_err(|error| closed(&error.message))
    }

    /// The objects that were there before us, as outputs and tickets tell.
    fn found(&self) -> BTreeSet<String> {
        let told = |step: &str| {
            let past = self.memory.past(step);
            let values = past.map(|past| [past.output.clone(), past.ticket.clone()]);
            values.into_iter().flatten().flatten()
        };
        let set = |mut value: Value| {
            let applied = if value["applied"].is_object() { value["applied"].take() } else { value };
            serde_json::from_value::<Applied>(applied).ok()
        };
        let sets = ["apps", "gateways", "tls-secret"].into_iter().flat_map(told).filter_map(set);
        sets.flat_map(|applied| applied.found).collect()
    }
}
