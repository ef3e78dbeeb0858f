//! The whole state of the simulated cloud as one value, and its changes over time.
//!
//! Nothing runs in the background: an operation stores its end time. Before a request is handled,
//! [`CloudState::advance_to`] applies every due change, in order of the due times and with them as timestamps. So the
//! state does not depend on whether a server ran in between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::acme::store::Servers;
use crate::arm::clusters::store::Clusters;
use crate::arm::dns::store::{Publication, Zones};
use crate::arm::features::store::Features;
use crate::arm::groups::store::Group;
use crate::arm::locks::store::Locks;
use crate::arm::operation::store::Operation;
use crate::arm::policies::store::{Assigned, Policies};
use crate::arm::provider::Registry;
use crate::arm::provider_registration::store::Providers;
use crate::arm::quota::Limits;
use crate::arm::resource_type::store::Resources;
use crate::arm::roles::store::Roles;
use crate::arm::storage::store::BlobServices;
use crate::arm::throttling::store::Throttling;
use crate::arm::vaults::store::Vaults;
use crate::blob::store::Accounts;
use crate::clock::{Clock, SimTime, Timing};
use crate::delays::Delays;
use crate::entra::directory::Directory;
use crate::fault::armed::Faults;
use crate::migration::FORMAT;
use crate::names::new_admin_key;

pub use crate::names::{DOMAIN, uuid_from};

/// The state of the cloud.
#[derive(Debug, Clone, Serialize, Deserialize)]
// The registry reads and writes it, so that a state from a file has one.
#[serde(remote = "Self")]
pub struct CloudState {
    /// The format version of its file.
    pub format: u32,
    /// The seed of all ids.
    pub seed: u64,
    /// The number of ids drawn so far.
    pub drawn: u64,
    /// The port of the server; 0 before the first start.
    pub port: u16,
    /// The key of the admin API.
    #[serde(default = "new_admin_key")]
    pub admin_key: String,
    /// The offset of its clock from the wall clock, in real milliseconds.
    #[serde(rename = "ahead_ms")]
    pub clock_offset_ms: i64,
    /// The available regions.
    pub locations: Vec<String>,
    /// Tenant, principals, and the key that signs tokens.
    pub directory: Directory,
    /// The id of the single subscription.
    pub subscription: String,
    /// True if the subscription is disabled: it is read-only.
    #[serde(default)]
    pub disabled: bool,
    /// Resource groups by lower-case name.
    pub groups: BTreeMap<String, Group>,
    /// Operations by id.
    pub operations: BTreeMap<String, Operation>,
    /// Registration of resource providers.
    pub providers: Providers,
    /// Preview features.
    pub features: Features,
    /// Role assignments.
    pub roles: Roles,
    /// Management locks.
    #[serde(default)]
    pub locks: Locks,
    /// The resources of the types that are declared as data.
    #[serde(default)]
    pub tracked: Resources,
    /// The data of the storage accounts.
    #[serde(default)]
    pub storage: Accounts,
    /// The settings of the blob services of the storage accounts.
    #[serde(default)]
    pub blob_services: BlobServices,
    /// DNS zones.
    pub dns: Zones,
    /// The publication of the zones on their name servers.
    #[serde(default)]
    pub publication: Publication,
    /// The certificate authorities with ACME.
    #[serde(default)]
    pub acme: Servers,
    /// Key vaults.
    pub vaults: Vaults,
    /// Managed clusters.
    pub clusters: Clusters,
    /// The quota of the subscription.
    #[serde(default)]
    pub limits: Limits,
    /// The request limits of Resource Manager and AKS.
    #[serde(default)]
    pub throttling: Throttling,
    /// The policies of the organisation.
    #[serde(default)]
    pub policies: Policies,
    /// The policy definitions and assignments that clients created.
    #[serde(default)]
    pub assigned_policies: Assigned,
    /// The armed faults.
    pub faults: Faults,
    /// The time source.
    #[serde(skip)]
    pub clock: Clock,
    /// The current delays.
    #[serde(default)]
    #[serde(rename = "lags")]
    pub delays: Delays,
    /// While time advances: the time up to which only the inside of clusters changes. Repeated polls that find
    /// nothing are skipped up to it.
    #[serde(skip)]
    pub quiet_until: Option<SimTime>,
    /// The functions and tables that the providers share.
    #[serde(skip, default = "Registry::empty")]
    pub registry: &'static Registry<Self>,
    /// True if the state changed since the last write to disk.
    #[serde(skip)]
    touched: bool,
}

impl CloudState {
    /// Calls a function with the state, in which no cluster has objects.
    pub(crate) fn without_objects<T>(&mut self, call: impl FnOnce(&Self) -> T) -> T {
        let mut objects = Vec::new();
        self.clusters.swap_objects(&mut objects);
        let result = call(self);
        self.clusters.swap_objects(&mut objects);
        result
    }

    /// Creates a state without anything in it.
    pub(crate) fn empty(registry: &'static Registry<Self>, seed: u64) -> Self {
        Self {
            format: FORMAT,
            seed,
            drawn: 0,
            port: 0,
            admin_key: new_admin_key(),
            clock_offset_ms: 0,
            locations: Vec::new(),
            directory: Directory::default(),
            subscription: String::new(),
            disabled: false,
            groups: BTreeMap::new(),
            operations: BTreeMap::new(),
            providers: Providers::default(),
            features: Features::default(),
            roles: Roles::default(),
            locks: Locks::default(),
            tracked: Resources::default(),
            storage: Accounts::default(),
            blob_services: BlobServices::default(),
            dns: Zones::default(),
            publication: Publication::default(),
            acme: Servers::default(),
            vaults: Vaults::default(),
            clusters: Clusters::default(),
            limits: Limits::default(),
            throttling: Throttling::default(),
            policies: Policies::default(),
            assigned_policies: Assigned::default(),
            faults: Faults::default(),
            clock: Clock::Wall,
            delays: Delays::default(),
            quiet_until: None,
            registry,
            touched: true,
        }
    }

    /// Replaces the armed faults; an empty list changes nothing.
    pub fn arm(&mut self, faults: Faults) {
        if !faults.armed.is_empty() {
            self.faults = faults;
        }
    }

    /// Marks the state as changed, for code that otherwise only reads.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Returns whether the state is marked as changed, and resets the mark.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Draws a new UUID; the same seed yields the same sequence.
    pub fn uuid(&mut self, purpose: &str) -> String {
        self.drawn += 1;
        uuid_from(self.seed, purpose, self.drawn)
    }

    /// Draws 32 hexadecimal digits.
    pub fn hex(&mut self, purpose: &str) -> String {
        self.uuid(purpose).replace('-', "")
    }

    /// Returns `https://management.landfall.localhost:{port}`.
    pub fn arm_origin(&self) -> String {
        self.origin("management")
    }

    /// Returns `https://{host}.landfall.localhost:{port}`, without the default port as in every normalised URL.
    pub fn origin(&self, host: &str) -> String {
        match self.port {
            443 => format!("https://{host}.{DOMAIN}"),
            port => format!("https://{host}.{DOMAIN}:{port}"),
        }
    }

    /// Returns the audience of tokens for Resource Manager.
    pub fn arm_audience(&self) -> String {
        format!("https://management.{DOMAIN}")
    }

    /// Returns the audience of tokens for vaults, which is also the resource in a vault's challenge.
    pub fn vault_audience(&self) -> String {
        format!("https://vault.{DOMAIN}")
    }

    /// Returns the audience of tokens for Microsoft Graph.
    pub fn graph_audience(&self) -> String {
        format!("https://graph.{DOMAIN}")
    }

    /// Returns the data plane URI of a vault, with the trailing slash of a complete vault.
    pub fn vault_uri(&self, name: &str) -> String {
        format!("https://{}.vault.{DOMAIN}:{}/", name.to_ascii_lowercase(), self.port)
    }

    /// Returns the current time: the clock plus its offset.
    pub fn now(&self) -> SimTime {
        self.clock.now().plus_ms(self.clock_offset_ms)
    }

    /// Returns the time of the earliest pending change.
    pub fn next_due(&self) -> Option<SimTime> {
        self.registry.providers.iter().filter_map(|provider| (provider.next_due)(self)).min()
    }

    /// Returns the time of the earliest pending change that the contents of clusters may see.
    fn next_visible_change(&self) -> Option<SimTime> {
        let providers = self.registry.providers.iter();
        providers.filter_map(|provider| provider.next_visible.unwrap_or(provider.next_due)(self)).min()
    }

    /// Applies all changes due at or before `now`, in order; returns whether there was one.
    pub fn advance_to(&mut self, now: SimTime, timing: &Timing) -> bool {
        let mut rounds_at_one_instant = 0;
        let mut last = None;
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.quiet_until = Some(self.next_visible_change().map_or(now, |change| change.min(now)));
            rounds_at_one_instant = if last == Some(due) { rounds_at_one_instant + 1 } else { 0 };
            assert!(rounds_at_one_instant < 10_000, "a family's settle made the change it announced");
            for provider in self.registry.providers {
                if (provider.next_due)(self).is_some_and(|own| own <= due) {
                    (provider.advance_to)(self, due, timing);
                }
            }
            last = Some(due);
        }
        self.quiet_until = None;
        last.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::TestCloud;
    use http::Method;
    use serde_json::{Value, json};

    fn busy() -> TestCloud {
        let mut cloud = TestCloud::new();
        let vnet = cloud.in_group("Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01");
        let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } });
        assert_eq!(cloud.put(&vnet, &json!({ "location": "eastus", "properties": space })).status, 201);
        let provider = cloud.path("/providers/Microsoft.Storage/unregister?api-version=2024-11-01");
        let request = cloud.request(Method::POST, &provider);
        assert_eq!(cloud.send(&request).status, 200);
        cloud.advance(2.0);
        let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
        assert_eq!(cloud.delete(&group).status, 202);
        cloud
    }

    /// Returns the state without secrets, which come from the system's random source; all else derives from
    /// the seed.
    fn comparable(cloud: &TestCloud) -> Value {
        let mut value = serde_json::to_value(&cloud.state).unwrap();
        value["directory"] = json!(cloud.state.directory.tenant);
        value["admin_key"] = Value::Null;
        value
    }

    #[test]
    fn the_number_of_reads_does_not_change_the_state() {
        let (mut watched, mut alone) = (busy(), busy());
        for _ in 0..1_000 {
            watched.advance(0.1);
        }
        alone.advance(100.0);
        assert_eq!(watched.now, alone.now);
        assert_eq!(comparable(&watched), comparable(&alone));
        assert!(alone.state.groups.is_empty());
        assert_eq!(alone.state.next_due(), None);
    }

    #[test]
    fn the_same_seed_draws_the_same_ids() {
        let (mut one, mut other) = (TestCloud::new().state, TestCloud::new().state);
        assert_eq!(one.subscription, other.subscription);
        assert_eq!(one.uuid("x"), other.uuid("x"));
        let (first, second) = (one.uuid("x"), one.uuid("x"));
        assert_ne!(first, second);
        assert_eq!(uuid::Uuid::parse_str(&first).unwrap().get_version_num(), 4);
    }

    #[test]
    fn the_state_survives_serialization() {
        let cloud = busy();
        let text = serde_json::to_string(&cloud.state).unwrap();
        let read: CloudState = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
