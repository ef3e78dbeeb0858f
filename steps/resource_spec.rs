//! The declaration of what a step owns: one [`ResourceSpec`] per step, in the step's own file.
//!
//! Everything that has to know the resources of all steps folds over these declarations: preflight, the
//! registered providers, the recorded names, the teardown's inventory, preconditions and preview. The wiring
//! collects them ([`crate::wiring`]), so a new step needs no entry elsewhere.

use crate::{
    graph::Records,
    objects::{Applied, foreign::OwnedObjects},
    settings::Settings,
};
use landfall_cloud::arm::Lock;
use landfall_engine::{Context, JournalState, Step, StepState};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

/// The type of resource groups.
pub(crate) const RESOURCE_GROUP: &str = "Microsoft.Resources/subscriptions/resourceGroups";
/// The type of virtual networks.
pub(crate) const VIRTUAL_NETWORK: &str = "Microsoft.Network/virtualNetworks";
/// The type of key vaults.
pub(crate) const KEY_VAULT: &str = "Microsoft.KeyVault/vaults";
/// The type of AKS clusters.
pub(crate) const MANAGED_CLUSTER: &str = "Microsoft.ContainerService/managedClusters";
/// The type of role assignments.
pub(crate) const ROLE_ASSIGNMENT: &str = "Microsoft.Authorization/roleAssignments";
/// The type of resource provider registrations.
pub(crate) const PROVIDER: &str = "Microsoft.Resources/providers";

/// The providers that every subscription has: they need no registration.
const BUILT_IN: [&str; 2] = ["Microsoft.Resources", "Microsoft.Authorization"];

/// A step that declares what it owns. Every step of the wiring implements it.
pub(crate) trait Resource: Step {
    /// The settings that choose the names of the resource; a resource that an earlier run created keeps its
    /// recorded names.
    const NAMES: &'static [NameSetting] = &[];

    /// Returns the declaration.
    fn resource(&self) -> ResourceSpec;
}

/// The declaration of the resource that a step owns. Steps build it with [`ResourceSpec::new`] or [`ResourceSpec::undeletable`] and the
/// methods below.
pub(crate) struct ResourceSpec {
    /// The kind for display: `key vault`.
    pub(crate) noun: &'static str,
    /// The name for display; empty if the resource has none.
    pub(crate) name: String,
    /// False if the step only reads, or its resource belongs to the whole subscription: nothing of it is ever
    /// deleted.
    pub(crate) deletable: bool,
    /// The Azure resource type, if any: `Microsoft.KeyVault/vaults`.
    pub(crate) resource_type: Option<&'static str>,
    /// The resource id, if it is an Azure resource in the resource group, or the group itself.
    pub(crate) arm_id: Option<String>,
    /// The resource providers that it needs besides that of its type.
    pub(crate) more_providers: &'static [&'static str],
    /// The rights that its creation needs.
    pub(crate) rights: &'static [Right],
    /// The resource as policies evaluate it.
    pub(crate) policy: Option<PolicySubject>,
    /// True if the step applies objects to the cluster, so that its output and ticket contain an [`Applied`].
    pub(crate) applies_objects: bool,
    /// The step that depends on the resource without taking a value from it: a kept one keeps it too.
    pub(crate) needed_by: Option<&'static str>,
    inventory: Box<OfPast<Option<Listed>>>,
    lock_scopes: Box<OfPast<Vec<LockScope>>>,
    found_parts: Box<OfPast<bool>>,
}

type OfPast<T> = dyn Fn(&StepState) -> T + Send + Sync;

/// A right that the creation of a resource needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    /// The act for display: `create key vaults`.
    pub(crate) act: &'static str,
    /// The action: `Microsoft.KeyVault/vaults/write`.
    pub(crate) action: &'static str,
}

/// A desired resource in the form that policies evaluate; its type is that of the spec.
pub(crate) struct PolicySubject {
    /// The kind for display.
    pub(crate) noun: &'static str,
    /// The request body.
    pub(crate) body: Value,
}

/// A setting that chooses a name of a resource.
pub(crate) struct NameSetting {
    /// The setting, as `landfall.toml` spells it.
    pub(crate) setting: &'static str,
    /// The key of the name in [`Step::planned_name`].
    pub(crate) key: &'static str,
    /// Reads the name; the second argument is the subscription.
    pub(crate) get: fn(&Settings, &str) -> String,
    /// Replaces the name; with `None` it removes an optional one.
    pub(crate) set: fn(&mut Settings, Option<String>),
    /// Reads the name from the recorded output.
    pub(crate) recorded: fn(&StepState) -> Option<String>,
    /// False if the name may be changed once the step is complete. The name of an interrupted step is always
    /// fixed, because its resource can only be found under that name.
    pub(crate) fixed: bool,
    /// True if the name may be absent.
    pub(crate) optional: bool,
}

/// A resource as the preview of `down` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The number of objects of each kind in a cluster.
    Objects { cluster: String, kinds: BTreeMap<String, usize> },
    /// DNS records in a zone.
    Records { zone: String, hosts: Vec<String> },
    /// A context in a kubeconfig.
    Context { file: PathBuf, context: String },
    /// The number of role assignments; not listed if they are deleted with their scope.
    RoleAssignments(usize),
    /// A certificate in a vault; not listed if it is deleted with the vault.
    Certificate(String),
    /// An Azure resource in the group.
    InGroup(ListedResource),
    /// The resource group.
    Group(String),
}

/// An Azure resource in the group, in the preview of `down`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedResource {
    /// The resource for display: `cluster aks-demo`.
    pub text: String,
    /// True if it is soft-deleted, so that it can be recovered for some time.
    pub recoverable: bool,
}

/// A scope whose locks stop a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockScope {
    /// The resource is deleted with everything below it.
    Deletion(String),
    /// The resource is written.
    Write(String),
    /// Something at the scope is deleted; locks below it do not matter.
    At(String),
    /// Something below the scope is deleted, such as the record sets of a zone; locks there matter.
    Below(String),
}

impl LockScope {
    /// Returns whether the lock stops the deletion.
    pub(crate) fn is_stopped_by(&self, lock: &Lock) -> bool {
        match self {
            Self::Deletion(id) => lock.blocks_deletion(id),
            Self::Write(id) => lock.blocks_writes(id),
            Self::At(id) => lock.covers(id),
            Self::Below(id) => {
                lock.scope.to_ascii_lowercase().starts_with(&format!("{}/", id.to_ascii_lowercase()))
            }
        }
    }
}

impl ResourceSpec {
    /// Declares a resource that can be deleted.
    pub(crate) fn new(noun: &'static str, name: impl Into<String>) -> Self {
        Self {
            noun,
            name: name.into(),
            deletable: true,
            resource_type: None,
            arm_id: None,
            more_providers: &[],
            rights: &[],
            policy: None,
            applies_objects: false,
            needed_by: None,
            inventory: Box::new(|_| None),
            lock_scopes: Box::new(|_| Vec::new()),
            found_parts: Box::new(|_| false),
        }
    }

    /// Declares a step that only reads, or whose resource belongs to the whole subscription.
    pub(crate) fn undeletable(noun: &'static str) -> Self {
        Self { deletable: false, ..Self::new(noun, "") }
    }

    /// Sets the Azure resource type.
    pub(crate) fn of_type(self, resource_type: &'static str) -> Self {
        Self { resource_type: Some(resource_type), ..self }
    }

    /// Sets the resource id of an Azure resource in the group; a lock on it, in it or above it stops the
    /// deletion.
    pub(crate) fn with_id(self, arm_id: String) -> Self {
        let scope = arm_id.clone();
        Self { arm_id: Some(arm_id), ..self }.locked_at(move |_| vec![LockScope::Deletion(scope.clone())])
    }

    /// Lists the resource under its noun and name, whatever is recorded.
    pub(crate) fn listed_in_group(self, recoverable: bool) -> Self {
        let listed = ListedResource { text: format!("{} {}", self.noun, self.name), recoverable };
        self.listed(move |_| Some(Listed::InGroup(listed.clone())))
    }

    /// Sets what the preview of `down` lists.
    pub(crate) fn listed(self, list: impl Fn(&StepState) -> Option<Listed> + Send + Sync + 'static) -> Self {
        Self { inventory: Box::new(list), ..self }
    }

    /// Sets the scopes whose locks stop the deletion.
    pub(crate) fn locked_at(
        self,
        scopes: impl Fn(&StepState) -> Vec<LockScope> + Send + Sync + 'static,
    ) -> Self {
        Self { lock_scopes: Box::new(scopes), ..self }
    }

    /// Sets whether an owned resource also has parts that existed before.
    pub(crate) fn with_found_parts(self, has: impl Fn(&StepState) -> bool + Send + Sync + 'static) -> Self {
        Self { found_parts: Box::new(has), ..self }
    }

    /// Sets the providers that the resource needs besides that of its type.
    pub(crate) fn needs_providers(self, more_providers: &'static [&'static str]) -> Self {
        Self { more_providers, ..self }
    }

    /// Declares that the step applies objects to the cluster.
    pub(crate) fn applying_objects(self) -> Self {
        Self { applies_objects: true, ..self }
    }

    /// Sets the step that depends on the resource without taking a value from it.
    pub(crate) fn needed_by(self, needed_by: Option<&'static str>) -> Self {
        Self { needed_by, ..self }
    }

    /// Sets the rights that the creation needs.
    pub(crate) fn needs(self, rights: &'static [Right]) -> Self {
        Self { rights, ..self }
    }

    /// Sets the body that policies evaluate.
    pub(crate) fn judged_by_policy(self, noun: &'static str, body: Value) -> Self {
        Self { policy: Some(PolicySubject { noun, body }), ..self }
    }
}

/// The declaration of a wired step.
pub(crate) struct Declared {
    /// The step's id.
    pub(crate) id: &'static str,
    /// False if a setting switches the step off: its resource is only ever deleted.
    pub(crate) enabled: bool,
    /// The step whose resource contains this one's.
    pub(crate) parent: Option<&'static str>,
    /// The length of the longest path of dependencies.
    pub(crate) depth: usize,
    /// The settings of the names.
    pub(crate) names: &'static [NameSetting],
    /// The declaration.
    pub(crate) spec: ResourceSpec,
}

/// The declarations of all wired steps, in the order of the wiring. A step may hold a clone: it is filled when
/// the wiring is complete.
#[derive(Clone, Default)]
pub struct Resources {
    pub(crate) records: Records,
    declared: Arc<OnceLock<Vec<Declared>>>,
}

impl Resources {
    pub(crate) fn new(records: Records) -> Self {
        Self { records, declared: Arc::default() }
    }

    /// Records the declarations, once.
    pub(crate) fn fill(&self, declared: Vec<Declared>) {
        assert!(self.declared.set(declared).is_ok(), "a wiring is completed once");
    }

    pub(crate) fn all(&self) -> &[Declared] {
        self.declared.get().map_or(&[], Vec::as_slice)
    }

    /// Returns the declarations of the steps that are not switched off: the desired resources.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = &Declared> {
        self.all().iter().filter(|declared| declared.enabled)
    }

    pub(crate) fn get(&self, step: &str) -> Option<&Declared> {
        self.all().iter().find(|declared| declared.id == step)
    }

    /// Returns whether a step has a resource that can be deleted. The resource of an unknown step counts.
    #[must_use]
    pub fn is_deletable(&self, step: &str) -> bool {
        self.get(step).is_none_or(|declared| declared.spec.deletable)
    }

    /// Returns whether the preview of `down` can name a step's resource, from its output or the settings.
    #[must_use]
    pub fn is_identified(&self, step: &str, journal_state: &JournalState) -> bool {
        let step_state = journal_state.step_state(step).cloned().unwrap_or_default();
        step_state.output.is_some() || self.get(step).is_some_and(|one| one.spec.list(&step_state).is_some())
    }

    /// Returns the references to the records that the commands read.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Returns the id of the step that creates the resource group.
    #[must_use]
    pub fn group_step(&self) -> &'static str {
        self.records.group.id()
    }

    /// Returns the id of the step that creates the network.
    #[must_use]
    pub fn network_step(&self) -> &'static str {
        self.records.network.id()
    }

    /// Returns the id of the step that publishes the DNS records.
    #[must_use]
    pub fn dns_step(&self) -> &'static str {
        self.records.dns.id()
    }

    /// Returns the id of the step that creates the cluster.
    #[must_use]
    pub fn cluster_step(&self) -> &'static str {
        self.records.accepted.id()
    }

    /// Returns the resource providers of the desired resources: those of the resource types, then the further
    /// ones.
    pub(crate) fn providers(&self) -> Vec<&'static str> {
        let types = self.enabled().filter_map(|one| one.spec.resource_type);
        let of_types = types.filter_map(|one| one.split('/').next()).filter(|one| !BUILT_IN.contains(one));
        let first: BTreeSet<&str> = of_types.collect();
        let more: BTreeSet<&str> = self.enabled().flat_map(|one| one.spec.more_providers).copied().collect();
        let more: Vec<&str> = more.difference(&first).copied().collect();
        first.into_iter().chain(more).collect()
    }

    /// Returns the declarations of the steps that apply objects to the cluster.
    pub(crate) fn of_objects(&self) -> impl Iterator<Item = &Declared> {
        self.all().iter().filter(|one| one.spec.applies_objects)
    }

    /// Returns the owned objects, as `past` records them in outputs and tickets; for the steps for which
    /// `with_found` holds, the found objects too.
    pub(crate) fn owned_objects(
        &self,
        step_state: impl Fn(&str) -> StepState,
        with_found: impl Fn(&str) -> bool,
    ) -> OwnedObjects {
        let mut owned = OwnedObjects::default();
        for one in self.of_objects() {
            let (step_state, with_found) = (step_state(one.id), with_found(one.id));
            let ticket = step_state.ticket.as_ref().filter(|_| !step_state.ticket_undoes);
            for applied in
                [step_state.output.as_ref(), ticket].into_iter().flatten().filter_map(Applied::read)
            {
                owned.add(&applied, with_found);
            }
        }
        owned
    }

    /// Returns whether the journal records a resource of this type.
    pub(crate) fn is_recorded(&self, cx: &Context, resource_type: &str) -> bool {
        let of_type = |one: &&Declared| one.spec.resource_type == Some(resource_type);
        self.all().iter().filter(of_type).any(|one| cx.past_of(one.id).output.is_some())
    }
}

impl ResourceSpec {
    /// Returns what the preview of `down` lists.
    pub(crate) fn list(&self, step_state: &StepState) -> Option<Listed> {
        (self.inventory)(step_state)
    }

    /// Returns the scopes whose locks stop the deletion.
    pub(crate) fn lock_scopes(&self, step_state: &StepState) -> Vec<LockScope> {
        (self.lock_scopes)(step_state)
    }

    /// Returns whether an owned resource also has parts that existed before.
    pub(crate) fn has_found_parts(&self, step_state: &StepState) -> bool {
        (self.found_parts)(step_state)
    }
}
