//! The queries of all checks, sent concurrently, and their responses.

use super::{
    PreflightCheckId, PreflightOutput, access_restrictions, already_created::AlreadyCreated, policy, ranges,
    vault_name,
};
use crate::{
    Clients, Clusters,
    cluster::body as cluster_body,
    key_vault::KeyVault,
    manifests::Manifests,
    resource_spec::Resources,
    settings::{Settings, Teardown},
};
use landfall_cloud::{
    ApiError, Vaults,
    arm::{
        KubernetesVersion, MachineSize, Permissions, Registration, State, Subscription, SubscriptionClient,
        Usage,
    },
};
use landfall_engine::Context;
use serde_json::Value;
use std::future::Future;

/// The response to a query; `None` if it was not sent.
pub(super) type QueryResult<T> = Option<Result<T, ApiError>>;

/// The responses to all queries.
pub(super) struct QueryResults {
    /// The versions that the region offers.
    pub(super) versions: QueryResult<Vec<KubernetesVersion>>,
    pub(super) subscription: QueryResult<Option<Subscription>>,
    pub(super) locations: QueryResult<Vec<String>>,
    pub(super) providers: QueryResult<Vec<(String, Registration)>>,
    /// The rights in the group; `None` inside if the group does not exist.
    pub(super) group_rights: QueryResult<Option<Permissions>>,
    pub(super) rights: QueryResult<Permissions>,
    pub(super) vault_name: QueryResult<vault_name::NameState>,
    pub(super) sizes: QueryResult<Vec<MachineSize>>,
    pub(super) cores: QueryResult<Vec<Usage>>,
    pub(super) addresses: QueryResult<Vec<Usage>>,
    pub(super) network: QueryResult<Option<Value>>,
    pub(super) policies: QueryResult<Vec<policy::Denied>>,
    pub(super) access: Option<access_restrictions::AccessResults>,
}

/// The input of the queries.
pub(super) struct Queries {
    azure: SubscriptionClient,
    settings: Settings,
    vault: KeyVault,
    resources: Resources,
    clusters: Clusters,
    vaults: Vaults,
    manifests: Manifests,
}

async fn when<T>(wanted: bool, query: impl Future<Output = Result<T, ApiError>>) -> QueryResult<T> {
    if wanted { Some(query.await) } else { None }
}

impl Queries {
    pub(super) fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        let vault = KeyVault::new(c, s, &Teardown::default(), &resources.records);
        Self {
            azure: c.azure.clone(),
            settings: s.clone(),
            vault,
            resources: resources.clone(),
            clusters: c.clusters.clone(),
            vaults: c.vaults.clone(),
            manifests: Manifests::new(s),
        }
    }

    pub(super) fn resources(&self) -> &Resources {
        &self.resources
    }

    pub(super) fn azure(&self) -> &SubscriptionClient {
        &self.azure
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns whether a check is enabled.
    pub(super) fn is_enabled(&self, check_id: PreflightCheckId) -> bool {
        !self.settings.skip_preflight.contains(&check_id)
    }

    /// Sends all necessary queries concurrently.
    pub(super) async fn query(&self, cx: &Context, existing: &AlreadyCreated) -> QueryResults {
        let (azure, s) = (&self.azure, &self.settings);
        let (location, group) = (&s.location, &s.resource_group);
        let is_enabled = |check_id| self.is_enabled(check_id);
        let creates = !existing.has_all_resources();
        let cores = !existing.cluster
            && (is_enabled(PreflightCheckId::Quota) || is_enabled(PreflightCheckId::RegionalQuota));
        let sizes = cores || (!existing.cluster && is_enabled(PreflightCheckId::NodeSize));
        let providers = !existing.providers && is_enabled(PreflightCheckId::Providers);
        let grants = !existing.grants && is_enabled(PreflightCheckId::RoleGrants);
        let rights = grants || (creates && is_enabled(PreflightCheckId::Rights));
        let results = tokio::join!(
            self.versions(cx, existing),
            when(creates && is_enabled(PreflightCheckId::Subscription), azure.arm().subscription(azure.id())),
            when(!existing.group && is_enabled(PreflightCheckId::Location), azure.locations()),
            when(providers, azure.providers()),
            when(rights, azure.permissions_in(group)),
            when(rights || providers, azure.permissions()),
            when(
                !existing.vault && is_enabled(PreflightCheckId::VaultName),
                vault_name::query(cx, azure, s, &self.vault)
            ),
            when(sizes, azure.machine_sizes(location)),
            when(cores, azure.core_usages(location)),
            when(
                !existing.cluster && is_enabled(PreflightCheckId::Addresses),
                azure.network_usages(location)
            ),
            when(!existing.network && is_enabled(PreflightCheckId::Ranges), ranges::query(azure, s)),
            when(
                creates && is_enabled(PreflightCheckId::Policy),
                policy::query(cx, azure, &self.resources, group)
            ),
            self.access(is_enabled(PreflightCheckId::Access)),
        );
        let (versions, subscription, locations, providers, group_rights, rights, ..) = results;
        let (.., vault_name, sizes, cores, addresses, network, policies, access) = results;
        QueryResults {
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
            access,
        }
    }

    /// Queries the versions for a new cluster. A recorded cluster that works keeps its own.
    async fn versions(&self, cx: &Context, existing: &AlreadyCreated) -> QueryResult<Vec<KubernetesVersion>> {
        let recorded = cx.last_output::<PreflightOutput>();
        let is_chosen = recorded.is_some_and(|output| !output.version.is_empty());
        let is_needed = !(existing.cluster && is_chosen && self.has_working_cluster().await);
        when(is_needed, self.azure.kubernetes_versions(&self.settings.location)).await
    }

    /// Returns whether the cluster exists in a state in which no step recreates it. Other checks read it too.
    async fn has_working_cluster(&self) -> bool {
        let s = &self.settings;
        let found = self.azure.recent_cluster(&s.resource_group, &s.cluster.name).await;
        let works = |body: &Value| {
            matches!(State::of(body), State::Succeeded) && cluster_body::failed_pool(body).is_none()
        };
        found.ok().flatten().as_ref().is_some_and(works)
    }

    /// Queries the access to existing resources.
    async fn access(&self, wanted: bool) -> Option<access_restrictions::AccessResults> {
        let subject = access_restrictions::Subject {
            azure: &self.azure,
            clusters: &self.clusters,
            vaults: &self.vaults,
            settings: &self.settings,
            manifests: &self.manifests,
        };
        if wanted { Some(access_restrictions::query(&subject).await) } else { None }
    }
}
