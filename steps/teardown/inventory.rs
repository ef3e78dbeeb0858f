//! The teardown inventory: the resources of an environment that can be deleted, according to the journal.

use crate::resource_spec::{Declared, Listed, ListedResource, Resources};
use landfall_engine::{Graph, JournalState};
use std::{cmp::Reverse, collections::BTreeMap, path::PathBuf};

/// The resources of some steps. Resources without a recorded output are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeardownInventory {
    /// The number of objects of each kind, sorted by kind.
    pub objects: BTreeMap<String, usize>,
    /// The cluster that they are in.
    pub cluster: String,
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
    /// The Azure resources in the group, dependents first.
    pub in_group: Vec<ListedResource>,
    /// The resource group.
    pub group: Option<String>,
}

impl TeardownInventory {
    fn add(&mut self, listed: Listed, parent_goes: bool) {
        match listed {
            Listed::Objects { cluster, kinds } => {
                self.cluster = cluster;
                for (kind, number) in kinds {
                    *self.objects.entry(kind).or_default() += number;
                }
            }
            Listed::Records { zone, hosts } => {
                self.hosts.extend(hosts);
                self.zone = Some(zone);
            }
            Listed::Context { file, context } => self.context = Some((file, context)),
            Listed::RoleAssignments(_) | Listed::Certificate(_) if parent_goes => {}
            Listed::RoleAssignments(number) => self.roles += number,
            Listed::Certificate(name) => self.certificate = Some(name),
            Listed::InGroup(resource) => self.in_group.push(resource),
            Listed::Group(name) => self.group = Some(name),
        }
    }
}

/// Keeps everything connected with a step's resource: its dependencies, its dependents, and what it serves.
///
/// An environment without its cluster's vault, records or gateways is useless, so it is deleted or kept as a
/// whole.
pub fn keep_connected(graph: &mut Graph, step: &str, why: &str) -> bool {
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

impl Resources {
    /// Returns the steps that found some or all of their resources: the ones that an adoption makes owned.
    #[must_use]
    pub fn adoptable(&self, journal_state: &JournalState) -> Vec<String> {
        let found = journal_state.0.iter().filter(|(step, step_state)| {
            let parts = || self.get(step).is_some_and(|one| one.spec.has_found_parts(step_state));
            self.is_deletable(step)
                && !step_state.adopted
                && step_state.output.is_some()
                && (!step_state.owned || parts())
        });
        found.map(|(step, _)| step.clone()).collect()
    }

    /// Keeps a step's resource during a teardown, together with all its dependencies.
    ///
    /// Returns whether the step exists.
    pub fn keep(&self, graph: &mut Graph, step: &str, why: &str) -> bool {
        let known = graph.keep(step, why);
        for one in self.all() {
            let Some(needed_by) = one.spec.needed_by else { continue };
            if known && graph.kept().contains_key(needed_by) && !graph.kept().contains_key(one.id) {
                graph.keep(one.id, &format!("the {needed_by} depends on it and is kept"));
            }
        }
        known
    }

    /// Returns the resources of the steps in `steps`, under the names with which the steps were wired.
    #[must_use]
    pub fn inventory(&self, journal_state: &JournalState, steps: &[&str]) -> TeardownInventory {
        let mut deleted: Vec<&Declared> = self.all().iter().filter(|one| steps.contains(&one.id)).collect();
        deleted.sort_by_key(|one| Reverse(one.depth));
        let mut held = TeardownInventory::default();
        for one in deleted {
            let step_state = journal_state.step_state(one.id).cloned().unwrap_or_default();
            let parent_goes = one.parent.is_some_and(|parent| steps.contains(&parent));
            if let Some(listed) = one.spec.list(&step_state) {
                held.add(listed, parent_goes);
            }
        }
        held
    }
}
