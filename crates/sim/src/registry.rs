//! The resource families and types of the simulated cloud.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::aks::VaultReader;
use crate::arm::clusters::node_resources::SCALE_SET;
use crate::arm::resource_type::{self, ResourceType, handlers};
use crate::arm::{
    Provider, Registry, Route, clusters, dns, features, groups, identities, locks, networks, operation,
    policies, provider_registration, roles, storage, subscriptions, vaults,
};
use crate::state::CloudState;
use crate::vault::node_reader::NodeVaultReader;

/// The resource types that are declared as data, one row each; a child stands after its parent.
pub const TABLE: &[&ResourceType] = &[
    &networks::NETWORK,
    &networks::SUBNET,
    &networks::SECURITY_GROUP,
    &networks::PUBLIC_ADDRESS,
    &networks::LOAD_BALANCER,
    &networks::ROUTE_TABLE,
    &identities::IDENTITY,
    &identities::CREDENTIAL,
    &storage::ACCOUNT,
    &SCALE_SET,
    #[cfg(test)]
    &resource_type::tests::WIDGETS,
];

/// All families, in the order in which changes due at the same instant are applied.
pub const PROVIDERS: &[Provider] = &[
    Provider::stateless("subscriptions", subscriptions::routes),
    Provider::stateless("operations", operation::routes),
    provider_registration::PROVIDER,
    features::PROVIDER,
    roles::provider::PROVIDER,
    policies::provider::PROVIDER,
    locks::PROVIDER,
    Provider { routes: declared_routes, ..resource_type::provider::PROVIDER },
    networks::PROVIDER,
    storage::provider::PROVIDER,
    dns::provider::PROVIDER,
    vaults::provider::PROVIDER,
    clusters::provider::PROVIDER,
    groups::PROVIDER,
    // Delays end on their own.
    Provider {
        next_due: |state| state.delays.next_due(),
        advance_to: |state, due, _| state.delays.advance_to(due),
        ..Provider::stateless("lags", Vec::new)
    },
];

/// The order in which the members of a deleted group go: dependents before their dependencies.
const DELETION_ORDER: &[&Provider] = &[
    &clusters::provider::PROVIDER,
    &vaults::provider::PROVIDER,
    &dns::provider::PROVIDER,
    &resource_type::provider::PROVIDER,
];

/// The functions that the families share.
pub static REGISTRY: Registry = Registry {
    providers: PROVIDERS,
    deletion_order: DELETION_ORDER,
    types: TABLE,
    routes: || &ROUTES,
    vault_reader,
};

/// The route table. The patterns of declared types are formatted once per process.
static ROUTES: LazyLock<Vec<Route>> =
    LazyLock::new(|| PROVIDERS.iter().flat_map(|provider| (provider.routes)()).collect());

impl Serialize for CloudState {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for CloudState {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut state = Self::deserialize(from)?;
        state.registry = &REGISTRY;
        Ok(state)
    }
}

fn declared_routes() -> Vec<Route> {
    TABLE.iter().flat_map(|declared| handlers::routes(declared)).collect()
}

fn vault_reader(state: &CloudState) -> Box<dyn VaultReader + '_> {
    Box::new(NodeVaultReader(state))
}
