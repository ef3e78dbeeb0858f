//! The queries of all checks, sent concurrently, and their responses.

use super::{Concern, policy, ranges, remembered::Remembered, vault_name};
use crate::{
    Clouds,
    key_vault::KeyVault,
    resource::Resources,
    settings::{Settings, Teardown},
};
use landfall_cloud::{
    ApiError,
    arm::{Azure, MachineSize, Offered, Permissions, Registration, Subscription, Usage},
};
use landfall_engine::Context;
use serde_json::Value;
use std::future::Future;

/// The response to a query; `None` if it was not sent.
pub(super) type Answer<T> = Option<Result<T, ApiError>>;

/// The responses to all queries.
pub(super) struct Answers {
    pub(super) versions: Result<Vec<Offered>, ApiError>,
    pub(super) subscription: Answer<Option<Subscription>>,
    pub(super) locations: Answer<Vec<String>>,
    pub(super) providers: Answer<Vec<(String, Registration)>>,
    /// The rights in the group; `None` inside if the group does not exist.
    pub(super) group_rights: Answer<Option<Permissions>>,
    pub(super) rights: Answer<Permissions>,
    pub(super) vault_name: Answer<vault_name::Standing>,
    pub(super) sizes: Answer<Vec<MachineSize>>,
    pub(super) cores: Answer<Vec<Usage>>,
    pub(super) addresses: Answer<Vec<Usage>>,
    pub(super) network: Answer<Option<Value>>,
    pub(super) policies: Answer<Vec<policy::Denied>>,
}

/// The input of the queries.
pub(super) struct Round {
    azure: Azure,
    settings: Settings,
    vault: KeyVault,
    resources: Resources,
}

async fn when<T>(wanted: bool, ask: impl Future<Output = Result<T, ApiError>>) -> Answer<T> {
    if wanted { Some(ask.await) } else { None }
}

impl Round {
    pub(super) fn new(c: &Clouds, s: &Settings, resources: &Resources) -> Self {
        let vault = KeyVault::new(c, s, &Teardown::default(), &resources.records);
        Self { azure: c.azure.clone(), settings: s.clone(), vault, resources: resources.clone() }
    }

    pub(super) fn resources(&self) -> &Resources {
        &self.resources
    }

    pub(super) fn azure(&self) -> &Azure {
        &self.azure
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns whether a check is enabled.
    pub(super) fn wants(&self, concern: Concern) -> bool {
        !self.settings.skip_preflight.contains(&concern)
    }

    /// Sends all necessary queries concurrently.
    pub(super) async fn ask(&self, cx: &Context, made: &Remembered) -> Answers {
        let (azure, s) = (&self.azure, &self.settings);
        let (location, group) = (&s.location, &s.resource_group);
        let wants = |concern| self.wants(concern);
        let makes = !made.everything();
        let cores = !made.cluster && (wants(Concern::Quota) || wants(Concern::RegionalQuota));
        let sizes = cores || (!made.cluster && wants(Concern::NodeSize));
        let providers = !made.providers && wants(Concern::Providers);
        let grants = !made.grants && wants(Concern::RoleGrants);
        let rights = grants || (makes && wants(Concern::Rights));
        let answers = tokio::join!(
            azure.kubernetes_versions(location),
            when(makes && wants(Concern::Subscription), azure.arm().subscription(azure.id())),
            when(!made.group && wants(Concern::Location), azure.locations()),
            when(providers, azure.providers()),
            when(rights, azure.permissions_in(group)),
            when(rights || providers, azure.permissions()),
            when(!made.vault && wants(Concern::VaultName), vault_name::ask(cx, azure, s, &self.vault)),
            when(sizes, azure.machine_sizes(location)),
            when(cores, azure.core_usages(location)),
            when(!made.cluster && wants(Concern::Addresses), azure.network_usages(location)),
            when(!made.network && wants(Concern::Ranges), ranges::ask(azure, s)),
            when(makes && wants(Concern::Policy), policy::ask(cx, azure, &self.resources, group)),
        );
        let (versions, subscription, locations, providers, group_rights, rights, ..) = answers;
        let (.., vault_name, sizes, cores, addresses, network, policies) = answers;
        Answers {
            versions,
            subscription,
            locations,
            providers,
            group_rights,
            rights,
            vault_name,
            sizes,
            cores,
            addresses,
            network,
            policies,
        }
    }
}
