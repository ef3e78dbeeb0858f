//! The read-only survey before a teardown: locks, and foreign resources in what is to be deleted. It names
//! what it could not examine, and the caller keeps that; each step checks again when its turn comes.

use crate::{
    Clouds, cluster_body,
    cluster_ready::{self, ReadyCluster},
    dns::Published,
    grant::Granted,
    key_vault::Retention,
    names,
    network::Subnet,
    network_parts::{peer_name, peers},
    objects::{
        Applied,
        strangers::{self, Foreign},
    },
    reach,
    settings::Settings,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Azure, Lock, State},
};
use landfall_engine::Memory;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

/// The result of the survey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The locks on resources to delete.
    pub locks: Vec<Locked>,
    /// The foreign objects in the cluster, if it is to be deleted: `Deployment shop/web`.
    pub in_cluster: Vec<String>,
    /// The reason why the cluster could not be examined for foreign objects, if it is to be deleted.
    pub cluster_unexamined: Option<String>,
    /// The names of foreign resources in the resource group, if it is to be deleted.
    pub in_group: Vec<String>,
    /// The reason why the contents of the resource group could not be listed, if it is to be deleted.
    pub group_unexamined: Option<String>,
    /// The reason why the locks could not be listed.
    pub locks_unread: Option<Unread>,
    /// The networks that are peered with the owned one in either direction, if it is to be deleted.
    pub peered: Vec<String>,
    /// The reason why the peerings could not be listed, if the network is to be deleted.
    pub peerings_unread: Option<String>,
    /// The retention of the vault, if it is to be deleted.
    pub vault: Retention,
    /// The resources that could not be examined, one sentence each.
    pub unseen: Vec<String>,
}

/// The reason why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The cause.
    pub why: String,
    /// True if the identity lacks the right to read it, so that a retry is refused as well.
    pub forbidden: bool,
}

/// A lock, and the steps whose resources it protects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The lock.
    pub lock: Lock,
    /// The ids of the steps.
    pub steps: Vec<String>,
}

/// Surveys the resources of the steps in `going`; the settings contain the names that were created.
pub async fn survey(clouds: &Clouds, settings: &Settings, memory: &Memory, going: &[&str]) -> Survey {
    let here = Here { clouds, settings, memory, going };
    let mut seen = Survey::default();
    let (locks, group, cluster, peered, vault) = futures::join!(
        clouds.azure.locks(&settings.resource_group),
        here.in_group(),
        here.in_cluster(),
        here.peered(),
        here.vault()
    );
    match locks {
        Ok(locks) => seen.locks = here.locked(locks),
        Err(error) => {
            let forbidden = matches!(error.kind, ApiErrorKind::Forbidden | ApiErrorKind::Unauthorized);
            seen.locks_unread = Some(Unread { why: error.message.clone(), forbidden });
        }
    }
    match group {
        Ok(names) => seen.in_group = names,
        Err(why) => seen.group_unexamined = Some(why),
    }
    match cluster {
        Ok(Foreign { names, unavailable }) => {
            seen.in_cluster = names;
            let silent = |api: String| format!("{api} does not answer: what it serves was not examined");
            seen.unseen.extend(unavailable.into_iter().map(silent));
        }
        Err(why) => seen.cluster_unexamined = Some(why),
    }
    match peered {
        Ok((names, partly)) => {
            seen.peered = names;
            if partly {
                seen.unseen.push("networks of others that are peered with ours may not be listed".to_owned());
            }
        }
        Err(why) => seen.peerings_unread = Some(why),
    }
    match vault {
        Ok(retention) => seen.vault = retention,
        Err(why) => seen.unseen.push(why),
    }
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

    /// Returns whether a lock prevents the deletion of a step's resource.
    fn keeps(&self, lock: &Lock, step: &str) -> bool {
        let (azure, made) = (self.azure(), self.settings);
        let group = &made.resource_group;
        match step {
            "resource-group" => lock.keeps(&azure.group_id(group)),
            "network" => {
                let id = azure.network_id(group, &made.network.name);
                let adopted = self.memory.past(step).is_some_and(|past| past.adopted);
                let joined = self.output::<Subnet>(step).is_some_and(|subnet| subnet.joined);
                // The removal of a subnet from a network that stays is a write of the network.
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
            // Assignments at a deleted resource are deleted with it and need no check of their own.
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
            Err(error) => return Err(format!("its contents could not be listed: {}", error.message)),
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

    /// Returns the networks that the owned one is peered with, and those that are peered with it. Also
    /// returns whether the latter are incomplete because the identity may not read other networks.
    async fn peered(&self) -> Result<(Vec<String>, bool), String> {
        let adopted = self.memory.past("network").is_some_and(|past| past.adopted);
        let stays = self.output::<Subnet>("network").is_some_and(|subnet| subnet.joined) && !adopted;
        if !self.goes("network") || stays {
            return Ok((Vec::new(), false));
        }
        let (group, name) = (&self.settings.resource_group, &self.settings.network.name);
        let unread =
            |error: landfall_cloud::ApiError| format!("its peerings could not be listed: {}", error.message);
        let (ours, all) = futures::join!(self.azure().network(group, name), self.azure().networks());
        let Some(ours) = ours.map_err(unread)? else { return Ok((Vec::new(), false)) };
        let id = self.azure().network_id(group, name);
        let (all, partly) = match all {
            Err(error) if error.kind == ApiErrorKind::Forbidden => (Vec::new(), true),
            all => (all.map_err(unread)?, false),
        };
        let leads_here = |network: &&Value| peers(network).any(|peer| peer.eq_ignore_ascii_case(&id));
        let there = all.iter().filter(leads_here).filter_map(|network| network["id"].as_str());
        let mut names: Vec<String> = peers(&ours).chain(there).map(peer_name).collect();
        names.sort();
        names.dedup();
        Ok((names, partly))
    }

    /// Returns whether the vault may be purged, and its retention otherwise.
    async fn vault(&self) -> Result<Retention, String> {
        if !self.goes("key-vault") {
            return Ok(Retention::default());
        }
        let name = names::vault(self.settings, self.azure().id());
        match self.azure().vault(&self.settings.resource_group, &name).await {
            Ok(body) => Ok(body.as_ref().map(Retention::of).unwrap_or_default()),
            Err(error) => Err(format!("key vault {name} could not be read: {}", error.message)),
        }
    }

    /// Examines the cluster; the error is the reason why that failed.
    async fn in_cluster(&self) -> Result<Foreign, String> {
        if !self.goes("cluster") {
            return Ok(Foreign::default());
        }
        let (group, name) = (&self.settings.resource_group, &self.settings.cluster.name);
        let body = match self.azure().cluster(group, name).await {
            Ok(None) => return Ok(Foreign::default()),
            Ok(Some(body)) if State::of(&body) == State::Deleting => return Ok(Foreign::default()),
            Ok(Some(body)) => body,
            Err(error) => return Err(format!("Azure does not say how it is: {}", error.message)),
        };
        let remembered = self.output::<ReadyCluster>("cluster-ready");
        let Some(ready) = cluster_ready::created(&body, name, remembered) else {
            return Ok(Foreign::default());
        };
        if cluster_body::is_stopped(&body) {
            return Err(format!("it is stopped; to start it: az aks start -g {group} -n {name}"));
        }
        let opened = match self.clouds.clusters.open(&ready).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(Foreign::default()),
            opened => opened.map_err(|error| reach::why(&error))?,
        };
        let output = |step: &str| self.memory.past(step)?.output.clone();
        let adopted = |step: &str| self.memory.past(step).is_some_and(|past| past.adopted);
        let mut ours = strangers::ours(output, adopted);
        ours.extend(strangers::ours(|step| self.memory.past(step)?.ticket.clone(), adopted));
        // A run that died during the apply has not recorded all names: marked objects are owned nevertheless.
        let found: BTreeSet<String> = if adopted("cluster") { BTreeSet::new() } else { self.found() };
        let seen = strangers::in_cluster(&opened.api, |object| {
            strangers::is_among(&ours, object)
                || (strangers::is_marked(object) && !strangers::is_among(&found, object))
        });
        seen.await.map_err(|error| reach::why(&error))
    }

    /// Returns the objects that existed before, from outputs and tickets.
    fn found(&self) -> BTreeSet<String> {
        let told = |step: &str| {
            let past = self.memory.past(step).filter(|past| !past.adopted);
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
