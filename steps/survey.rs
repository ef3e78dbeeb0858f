//! The read-only survey before a teardown: locks, and foreign resources in what is to be deleted. It names
//! what it could not examine, and the caller keeps that; each step checks again when its turn comes.

use crate::{
    Clouds, cluster_body, cluster_ready,
    deployment::Records,
    key_vault::Retention,
    names,
    network::is_subnet_alone,
    network_parts::{peer_name, peers},
    objects::{
        Applied,
        strangers::{self, Foreign},
    },
    reach,
    resource::Resources,
    settings::Settings,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Azure, Lock, State},
};
use landfall_engine::{Memory, Past, RecordOf};
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

/// Surveys the resources of the steps in `going`; the settings contain the names that were created, and the
/// steps of `resources` were wired with them.
pub async fn survey(
    clouds: &Clouds,
    settings: &Settings,
    resources: &Resources,
    memory: &Memory,
    going: &[&str],
) -> Survey {
    let here = Here { clouds, settings, resources, memory, going };
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
    resources: &'a Resources,
    memory: &'a Memory,
    going: &'a [&'a str],
}

impl Here<'_> {
    fn goes<T>(&self, step: RecordOf<T>) -> bool {
        self.going.contains(&step.id())
    }

    fn past(&self, step: &str) -> Past {
        self.memory.past(step).cloned().unwrap_or_default()
    }

    fn records(&self) -> &Records {
        &self.resources.records
    }

    fn azure(&self) -> &Azure {
        &self.clouds.azure
    }

    fn locked(&self, locks: Vec<Lock>) -> Vec<Locked> {
        let keeps = |lock: &Lock| -> Vec<String> {
            let kept = self.going.iter().filter(|step| self.keeps(lock, step));
            kept.map(|step| (*step).to_owned()).collect()
        };
        let with_steps = locks.into_iter().map(|lock| Locked { steps: keeps(&lock), lock });
        with_steps.filter(|locked| !locked.steps.is_empty()).collect()
    }

    /// Returns whether a lock prevents the deletion of a step's resource. A part of a deleted resource is
    /// deleted with it, and needs no check of its own.
    fn keeps(&self, lock: &Lock, step: &str) -> bool {
        let Some(one) = self.resources.get(step) else { return false };
        let goes_with_parent = one.parent.is_some_and(|parent| self.going.contains(&parent));
        let scopes = one.spec.lock_scopes(&self.past(step));
        !goes_with_parent && scopes.iter().any(|scope| scope.is_stopped_by(lock))
    }

    async fn in_group(&self) -> Result<Vec<String>, String> {
        if !self.goes(self.records().group) {
            return Ok(Vec::new());
        }
        let group = &self.settings.resource_group;
        let inside = match self.azure().resources_in(group).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("its contents could not be listed: {}", error.message)),
            Ok(inside) => inside,
        };
        let owned = self.resources.all().iter().filter(|one| self.past(one.id).ours);
        let owned: Vec<&String> = owned.filter_map(|one| one.spec.arm_id.as_ref()).collect();
        let is_ours = |id: &str| owned.iter().any(|known| known.eq_ignore_ascii_case(id));
        let theirs = inside.iter().filter(|one| !one["id"].as_str().is_some_and(is_ours));
        Ok(theirs.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }

    /// Returns the networks that the owned one is peered with, and those that are peered with it. Also
    /// returns whether the latter are incomplete because the identity may not read other networks.
    async fn peered(&self) -> Result<(Vec<String>, bool), String> {
        let network = self.records().network;
        if !self.goes(network) || is_subnet_alone(&self.past(network.id())) {
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
        if !self.goes(self.records().vault) {
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
        if !self.goes(self.records().accepted) {
            return Ok(Foreign::default());
        }
        let (group, name) = (&self.settings.resource_group, &self.settings.cluster.name);
        let body = match self.azure().cluster(group, name).await {
            Ok(None) => return Ok(Foreign::default()),
            Ok(Some(body)) if State::of(&body) == State::Deleting => return Ok(Foreign::default()),
            Ok(Some(body)) => body,
            Err(error) => return Err(format!("Azure does not say how it is: {}", error.message)),
        };
        let remembered = self.memory.output_of(self.records().cluster);
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
        let cluster_adopted = self.past(self.resources.cluster_step()).adopted;
        let with_found = |step: &str| self.past(step).adopted || cluster_adopted;
        let ours = self.resources.owned_objects(|step| self.past(step), with_found);
        // A run that died during the apply has not recorded all names: marked objects are owned nevertheless.
        let found = if cluster_adopted { BTreeSet::new() } else { self.found() };
        let seen = strangers::in_cluster(&opened.api, |object| {
            strangers::is_among(&ours, object)
                || (strangers::is_marked(object) && !strangers::is_among(&found, object))
        });
        seen.await.map_err(|error| reach::why(&error))
    }

    /// Returns the objects that existed before, from outputs and tickets.
    fn found(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for one in self.resources.of_objects() {
            let past = self.past(one.id);
            let values = [past.output.as_ref(), past.ticket.as_ref()];
            for applied in values.into_iter().flatten().filter_map(Applied::read).filter(|_| !past.adopted) {
                found.extend(applied.found);
            }
        }
        found
    }
}
