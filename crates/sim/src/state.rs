//! The whole state of the simulated cloud as one value, and its changes over time.
//!
//! Nothing runs in the background: an operation stores its end time. Before a request is handled,
//! [`CloudState::advance_to`] applies every due change, in order of the due times and with them as timestamps. So the
//! state does not depend on whether a server ran in between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::acme::{self, CaName};
use crate::admin_api;
use crate::arm::operation::Operation;
use crate::arm::provider::PROVIDERS;
use crate::arm::{
    self, clusters, dns, features, groups, locks, policies, provider_registration, quota, resource_type,
    roles, vaults,
};
use crate::blob;
use crate::clock::{Clock, SimTime, Timing};
use crate::entra::{self, Directory};
use crate::fault::{self, Faults, RequestContext};
use crate::graph;
use crate::migration::FORMAT;
use crate::options::Options;
use crate::request::{Reply, Request};
use crate::vault;

/// The parent domain of all names in the simulated cloud (RFC 6761 keeps `localhost` on the loopback).
pub const DOMAIN: &str = "landfall.localhost";

/// The state of the cloud.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    #[serde(default = "admin_api::new_key")]
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
    pub groups: BTreeMap<String, groups::Group>,
    /// Operations by id.
    pub operations: BTreeMap<String, Operation>,
    /// Registration of resource providers.
    pub providers: provider_registration::Providers,
    /// Preview features.
    pub features: features::Features,
    /// Role assignments.
    pub roles: roles::Roles,
    /// Management locks.
    #[serde(default)]
    pub locks: locks::Locks,
    /// The resources of the types that are declared as data.
    #[serde(default)]
    pub tracked: resource_type::Resources,
    /// The data of the storage accounts.
    #[serde(default)]
    pub storage: blob::store::Accounts,
    /// DNS zones.
    pub dns: dns::Zones,
    /// The publication of the zones on their name servers.
    #[serde(default)]
    pub publication: dns::publication::Publication,
    /// The certificate authorities with ACME.
    #[serde(default)]
    pub acme: acme::Servers,
    /// Key vaults.
    pub vaults: vaults::Vaults,
    /// Managed clusters.
    pub clusters: clusters::Clusters,
    /// The quota of the subscription.
    #[serde(default)]
    pub limits: quota::Limits,
    /// The policies of the organisation.
    #[serde(default)]
    pub policies: policies::Policies,
    /// The policy definitions and assignments that clients created.
    #[serde(default)]
    pub assigned_policies: policies::Assigned,
    /// The armed faults.
    pub faults: Faults,
    /// The time source.
    #[serde(skip)]
    pub clock: Clock,
    /// The current delays.
    #[serde(default)]
    #[serde(rename = "lags")]
    pub delays: fault::Delays,
    /// While time advances: the time up to which only the inside of clusters changes. Repeated polls that find
    /// nothing are skipped up to it.
    #[serde(skip)]
    pub quiet_until: Option<SimTime>,
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

    /// Creates a new state at `now`.
    pub fn new(options: &Options, seed: u64, now: SimTime) -> Self {
        let mut state = Self {
            format: FORMAT,
            seed,
            drawn: 0,
            port: 0,
            admin_key: admin_api::new_key(),
            clock_offset_ms: 0,
            locations: options.locations.clone(),
            directory: Directory::default(),
            subscription: String::new(),
            disabled: false,
            groups: BTreeMap::new(),
            operations: BTreeMap::new(),
            providers: provider_registration::Providers::new(&options.unregistered),
            features: features::Features::new(&options.preview_features),
            roles: roles::Roles::default(),
            locks: locks::Locks::default(),
            tracked: resource_type::Resources::default(),
            storage: blob::store::Accounts::default(),
            dns: dns::Zones::default(),
            publication: dns::publication::Publication::default(),
            acme: acme::Servers::default(),
            vaults: vaults::Vaults::default(),
            clusters: clusters::Clusters::default(),
            limits: quota::Limits::default(),
            policies: policies::Policies::default(),
            assigned_policies: policies::Assigned::default(),
            faults: Faults::default(),
            clock: Clock::Wall,
            delays: fault::Delays::default(),
            quiet_until: None,
            touched: true,
        };
        state.subscription = state.uuid("subscription");
        state.directory = Directory::new(&mut state, options.token_lifetime_real);
        let (owner, user) =
            (state.directory.owner().object_id.clone(), state.directory.user().object_id.clone());
        roles::own_subscription(&mut state, &owner, now);
        roles::own_subscription(&mut state, &user, now);
        state
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
        PROVIDERS.iter().filter_map(|provider| (provider.next_due)(self)).min()
    }

    /// Returns the time of the earliest pending change outside of the clusters' contents.
    fn next_outside_change(&self) -> Option<SimTime> {
        let others = PROVIDERS.iter().filter(|provider| provider.name != clusters::PROVIDER.name);
        others.filter_map(|provider| (provider.next_due)(self)).chain(clusters::next_operation(self)).min()
    }

    /// Applies all changes due at or before `now`, in order; returns whether there was one.
    pub fn advance_to(&mut self, now: SimTime, timing: &Timing) -> bool {
        let mut rounds_at_one_instant = 0;
        let mut last = None;
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.quiet_until = Some(self.next_outside_change().map_or(now, |change| change.min(now)));
            rounds_at_one_instant = if last == Some(due) { rounds_at_one_instant + 1 } else { 0 };
            assert!(rounds_at_one_instant < 10_000, "a family's settle made the change it announced");
            for provider in PROVIDERS {
                if (provider.next_due)(self).is_some_and(|own| own <= due) {
                    (provider.advance_to)(self, due, timing);
                }
            }
            last = Some(due);
        }
        self.quiet_until = None;
        last.is_some()
    }

    /// Answers a request, with fault injection. All due changes must have been applied.
    pub fn handle(&mut self, request: &Request, now: SimTime, timing: &Timing) -> Reply {
        let context = RequestContext { request, now, timing };
        fault::inject(self, &context, |state, context| {
            state.serve(context.request, context.now, context.timing)
        })
    }

    /// Returns whether a request is for Resource Manager.
    pub(crate) fn is_resource_manager(request: &Request) -> bool {
        let host = request.host.strip_suffix(DOMAIN).and_then(|host| host.strip_suffix('.'));
        host == Some("management") && kubernetes_path(&request.path).is_none()
    }

    /// Answers a request without fault injection.
    pub(crate) fn serve(&mut self, request: &Request, now: SimTime, timing: &Timing) -> Reply {
        let host =
            request.host.strip_suffix(DOMAIN).and_then(|host| host.strip_suffix('.')).unwrap_or_default();
        if let Some((uid, below)) = kubernetes_path(&request.path) {
            let below = Request { path: below, ..request.clone() };
            return clusters::serve_kubernetes(self, &uid, &below, now, timing);
        }
        match host.split_once('.') {
            None if host == "login" => entra::serve(self, request, now),
            None if host == "management" => arm::serve(self, request, now, timing),
            None if host == "graph" => graph::serve(self, request, now),
            None if host == acme::PRODUCTION_HOST => {
                acme::serve(self, CaName::Production, request, now, timing)
            }
            None if host == acme::STAGING_HOST => acme::serve(self, CaName::Staging, request, now, timing),
            Some((_, "oic")) => clusters::serve_issuer(self, request),
            Some((name, "blob")) => blob::serve(self, name, request, now),
            Some((name, "vault")) => vault::serve(self, name, request, now, timing),
            _ => Reply::text(404, format!("nothing of this cloud is called {}\n", request.host)),
        }
    }
}

/// Splits `/kubernetes/{uid}/below` into the cluster's UID and the path below.
fn kubernetes_path(path: &str) -> Option<(String, String)> {
    let rest = path.strip_prefix("/kubernetes/")?;
    let (uid, below) = rest.split_once('/').unwrap_or((rest, ""));
    Some((uid.to_owned(), format!("/{below}")))
}

/// Derives a version 4 UUID from the seed, so that ids have Azure's format and are reproducible.
pub fn uuid_from(seed: u64, purpose: &str, number: u64) -> String {
    let text = format!("{seed}/{purpose}/{number}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
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
