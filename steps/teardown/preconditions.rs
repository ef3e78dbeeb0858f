//! The read-only survey before a teardown: locks, and foreign resources in what is to be deleted. It names
//! what it could not examine, and the caller keeps that; each step checks again when its turn comes.

use crate::{
    Clients,
    cluster::body as cluster_body,
    cluster_access, cluster_ready,
    graph::Records,
    key_vault::Retention,
    names,
    network::body::{peer_name, peers},
    network::is_subnet_alone,
    objects::{
        Applied,
        foreign::{self, Foreign},
    },
    resource_spec::Resources,
    settings::Settings,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Lock, State, SubscriptionClient},
};
use landfall_engine::{JournalState, RecordOf, StepState};
use serde_json::Value;
use std::collections::BTreeSet;

/// The result of the survey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeardownPreconditions {
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
    pub locks_failure: Option<ReadFailure>,
    /// The networks that are peered with the owned one in either direction, if it is to be deleted.
    pub peered: Vec<String>,
    /// The reason why the peerings could not be listed, if the network is to be deleted.
    pub peerings_failure: Option<String>,
    /// The retention of the vault, if it is to be deleted.
    pub vault: Retention,
    /// The resources that could not be examined, one sentence each.
    pub unseen: Vec<String>,
}

/// The reason why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFailure {
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

/// Surveys the resources of the steps in `steps`; the settings contain the names that were created, and the
/// steps of `resources` were wired with them.
pub async fn preconditions(
    clients: &Clients,
    settings: &Settings,
    resources: &Resources,
    journal_state: &JournalState,
    steps: &[&str],
) -> TeardownPreconditions {
    let scope = TeardownScope { clients, settings, resources, journal_state, steps };
    let mut result = TeardownPreconditions::default();
    let (locks, group, cluster, peered, vault) = futures::join!(
        clients.azure.locks(&settings.resource_group),
        scope.in_group(),
        scope.in_cluster(),
        scope.peered(),
        scope.vault()
    );
    match locks {
        Ok(locks) => result.locks = scope.locked(locks),
        Err(error) => {
            let forbidden = matches!(error.kind, ApiErrorKind::Forbidden | ApiErrorKind::Unauthorized);
            result.locks_failure = Some(ReadFailure { why: error.message.clone(), forbidden });
        }
    }
    match group {
        Ok(names) => result.in_group = names,
        Err(why) => result.group_unexamined = Some(why),
    }
    match cluster {
        Ok(Foreign { names, unavailable }) => {
            result.in_cluster = names;
            let unresponsive =
                |api: String| format!("{api} does not answer: what it serves was not examined");
            result.unseen.extend(unavailable.into_iter().map(unresponsive));
        }
        Err(why) => result.cluster_unexamined = Some(why),
    }
    match peered {
        Ok((names, incomplete)) => {
            result.peered = names;
            if incomplete {
                result
                    .unseen
                    .push("networks of others that are peered with ours may not be listed".to_owned());
            }
        }
        Err(why) => result.peerings_failure = Some(why),
    }
    match vault {
        Ok(retention) => result.vault = retention,
        Err(why) => result.unseen.push(why),
    }
    result
}

struct TeardownScope<'a> {
    clients: &'a Clients,
    settings: &'a Settings,
    resources: &'a Resources,
    journal_state: &'a JournalState,
    steps: &'a [&'a str],
}

impl TeardownScope<'_> {
    fn deletes<T>(&self, step: RecordOf<T>) -> bool {
        self.steps.contains(&step.id())
    }

    fn step_state(&self, step: &str) -> StepState {
        self.journal_state.step_state(step).cloned().unwrap_or_default()
    }

    fn records(&self) -> &Records {
        &self.resources.records
    }

    fn azure(&self) -> &SubscriptionClient {
        &self.clients.azure
    }

    fn locked(&self, locks: Vec<Lock>) -> Vec<Locked> {
        let keeps = |lock: &Lock| -> Vec<String> {
            let kept = self.steps.iter().filter(|step| self.keeps(lock, step));
            kept.map(|step| (*step).to_owned()).collect()
        };
        let with_steps = locks.into_iter().map(|lock| Locked { steps: keeps(&lock), lock });
        with_steps.filter(|locked| !locked.steps.is_empty()).collect()
    }

    /// Returns whether a lock prevents the deletion of a step's resource. A part of a deleted resource is
    /// deleted with it, and needs no check of its own.
    fn keeps(&self, lock: &Lock, step: &str) -> bool {
        let Some(one) = self.resources.get(step) else { return false };
        let goes_with_parent = one.parent.is_some_and(|parent| self.steps.contains(&parent));
        let scopes = one.spec.lock_scopes(&self.step_state(step));
        !goes_with_parent && scopes.iter().any(|scope| scope.is_stopped_by(lock))
    }

    async fn in_group(&self) -> Result<Vec<String>, String> {
        if !self.deletes(self.records().group) {
            return Ok(Vec::new());
        }
        let group = &self.settings.resource_group;
        let contents = match self.azure().resources_in(group).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("its contents could not be listed: {}", error.message)),
            Ok(contents) => contents,
        };
        let owned = self.resources.all().iter().filter(|one| self.step_state(one.id).owned);
        let owned: Vec<&String> = owned.filter_map(|one| one.spec.arm_id.as_ref()).collect();
        let is_owned = |id: &str| owned.iter().any(|known| known.eq_ignore_ascii_case(id));
        let foreign = contents.iter().filter(|one| !one["id"].as_str().is_some_and(is_owned));
        Ok(foreign.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }

    /// Returns the networks that the owned one is peered with, and those that are peered with it. Also
    /// returns whether the latter are incomplete because the identity may not read other networks.
    async fn peered(&self) -> Result<(Vec<String>, bool), String> {
        let network = self.records().network;
        if !self.deletes(network) || is_subnet_alone(&self.step_state(network.id())) {
            return Ok((Vec::new(), false));
        }
        let (group, name) = (&self.settings.resource_group, &self.settings.network.name);
        let read_failure =
            |error: landfall_cloud::ApiError| format!("its peerings could not be listed: {}", error.message);
        let (owned, all) = futures::join!(self.azure().network(group, name), self.azure().networks());
        let Some(owned) = owned.map_err(read_failure)? else { return Ok((Vec::new(), false)) };
        let id = self.azure().network_id(group, name);
        let (all, incomplete) = match all {
            Err(error) if error.kind == ApiErrorKind::Forbidden => (Vec::new(), true),
            all => (all.map_err(read_failure)?, false),
        };
        let peers_with_owned = |network: &&Value| peers(network).any(|peer| peer.eq_ignore_ascii_case(&id));
        let peered_from = all.iter().filter(peers_with_owned).filter_map(|network| network["id"].as_str());
        let mut names: Vec<String> = peers(&owned).chain(peered_from).map(peer_name).collect();
        names.sort();
        names.dedup();
        Ok((names, incomplete))
    }

    /// Returns whether the vault may be purged, and its retention otherwise.
    async fn vault(&self) -> Result<Retention, String> {
        if !self.deletes(self.records().vault) {
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
        if !self.deletes(self.records().accepted) {
            return Ok(Foreign::default());
        }
        let (group, name) = (&self.settings.resource_group, &self.settings.cluster.name);
        let body = match self.azure().cluster(group, name).await {
            Ok(None) => return Ok(Foreign::default()),
            Ok(Some(body)) if State::of(&body) == State::Deleting => return Ok(Foreign::default()),
            Ok(Some(body)) => body,
            Err(error) => return Err(format!("Azure does not say how it is: {}", error.message)),
        };
        let recorded = self.journal_state.output_of(self.records().cluster);
        let Some(ready) = cluster_ready::created(&body, name, recorded) else {
            return Ok(Foreign::default());
        };
        if cluster_body::is_stopped(&body) {
            return Err(format!("it is stopped; to start it: az aks start -g {group} -n {name}"));
        }
        let session = match self.clients.clusters.open(&ready).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(Foreign::default()),
            session => session.map_err(|error| cluster_access::why(&error))?,
        };
        let cluster_adopted = self.step_state(self.resources.cluster_step()).adopted;
        let with_found = |step: &str| self.step_state(step).adopted || cluster_adopted;
        let owned = self.resources.owned_objects(|step| self.step_state(step), with_found);
        // A run that died during the apply has not recorded all names: marked objects are owned nevertheless.
        let found = if cluster_adopted { BTreeSet::new() } else { self.found() };
        let result = foreign::in_cluster(&session.api, |object| {
            owned.owns(object) || (foreign::is_marked(object) && !foreign::is_among(&found, object))
        });
        result.await.map_err(|error| cluster_access::why(&error))
    }

    /// Returns the objects that existed before, from outputs and tickets.
    fn found(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for one in self.resources.of_objects() {
            let step_state = self.step_state(one.id);
            let values = [step_state.output.as_ref(), step_state.ticket.as_ref()];
            for applied in
                values.into_iter().flatten().filter_map(Applied::read).filter(|_| !step_state.adopted)
            {
                found.extend(applied.found);
            }
        }
        found
    }
}
