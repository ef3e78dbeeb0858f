//! Endpoints of a cloud: the only difference between one cloud and another.

use crate::{Clock, EndpointOwner, KNOWN_CLOUDS, Transport, http_client::ConnectionPool};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use url::Url;

/// The scope of tokens for the API servers of AKS clusters with Entra integration. The application has the same id
/// in every cloud and tenant. <https://learn.microsoft.com/azure/aks/kubelogin-authentication>
pub(crate) const CLUSTER_SCOPE: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";

/// The scope of tokens for storage accounts.
const STORAGE_SCOPE: &str = "https://storage.azure.com/.default";

/// The addresses and names of one cloud.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Microsoft Entra's authority, `https://login.microsoftonline.com`.
    pub login: Url,
    /// Azure Resource Manager, `https://management.azure.com`.
    pub arm: Url,
    /// The audience of Resource Manager's tokens, without a trailing slash.
    pub arm_audience: String,
    /// The domain below which every vault lives, without a leading dot.
    pub vault_suffix: String,
    /// The audience of the vaults' tokens, without a trailing slash.
    pub vault_audience: String,
    /// The certificate authorities that may sign the certificates of these servers.
    pub roots: Roots,
    /// The time scale: how many times faster than Azure this cloud runs. 1 for Azure, infinite for "at once".
    pub time_scale: f64,
    /// The transport that replaces HTTPS over the network, if there is one.
    pub transport: Option<Arc<dyn Transport>>,
    /// The directory of the default ACME server, whose certificates clients trust.
    pub acme_directory: Url,
    /// The directory of the ACME server for trial orders.
    pub acme_staging: Url,
    /// The authorities to which the certificates of the default ACME server lead.
    pub acme_roots: Roots,
    /// The addresses (UDP and TCP) of name servers by host name, in lower case without the trailing dot. The names of
    /// others are resolved, and answer at port 53.
    pub name_servers: BTreeMap<String, SocketAddr>,
    /// The clock of the cloud.
    pub clock: Clock,
    /// The open connections; all clients of these endpoints and their clones share them.
    pub connections: ConnectionPool,
}

/// The certificate authorities to trust.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The trust store of the operating system.
    System,
    /// These PEM certificates and nothing else.
    Only(Vec<String>),
}

impl Endpoints {
    /// Returns the Azure public cloud.
    ///
    /// ```
    /// let endpoints = landfall_cloud::Endpoints::public();
    /// assert_eq!(endpoints.arm_scope(), "https://management.azure.com/.default");
    /// assert!(!endpoints.is_loopback());
    /// ```
    pub fn public() -> Self {
        let fixed = |text: &str| Url::parse(text).expect("a constant that parses");
        Self {
            login: fixed("https://login.microsoftonline.com"),
            arm: fixed("https://management.azure.com"),
            arm_audience: "https://management.azure.com".to_owned(),
            vault_suffix: "vault.azure.net".to_owned(),
            vault_audience: "https://vault.azure.net".to_owned(),
            roots: Roots::System,
            time_scale: 1.0,
            transport: None,
            acme_directory: fixed("https://acme-v02.api.letsencrypt.org/directory"),
            acme_staging: fixed("https://acme-staging-v02.api.letsencrypt.org/directory"),
            acme_roots: Roots::System,
            name_servers: BTreeMap::new(),
            clock: Clock::default(),
            connections: ConnectionPool::default(),
        }
    }

    /// Returns the scope of Resource Manager tokens.
    pub fn arm_scope(&self) -> String {
        scope(&self.arm_audience)
    }

    /// Returns the scope of vault tokens.
    pub fn vault_scope(&self) -> String {
        scope(&self.vault_audience)
    }

    /// Returns the scope of tokens for storage accounts, which is the same in every cloud. Such a token is only sent to
    /// the account of the settings; see [`EndpointOwner::of_storage`].
    /// <https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory>
    pub fn storage_scope(&self) -> String {
        STORAGE_SCOPE.to_owned()
    }

    /// Returns the domain of the storage accounts of this cloud, `blob.core.windows.net`; that of public Azure for a cloud
    /// that landfall does not know.
    pub fn storage_suffix(&self) -> &'static str {
        match EndpointOwner::of_arm(&self.arm) {
            EndpointOwner::Known(cloud) => cloud.storage_suffix,
            EndpointOwner::Loopback | EndpointOwner::Custom => KNOWN_CLOUDS[0].storage_suffix,
        }
    }

    /// Returns the scope of tokens for clusters' API servers, which Resource Manager names; `None` if sign-in and
    /// Resource Manager belong to different parties. Its audience is the same in every cloud, so such a token
    /// would be valid for clusters of the cloud of the sign-in.
    pub(crate) fn cluster_scope(&self) -> Option<&'static str> {
        let known = |owner| match owner {
            EndpointOwner::Known(cloud) => Some(cloud),
            EndpointOwner::Loopback | EndpointOwner::Custom => None,
        };
        let (login, arm) = (EndpointOwner::of_login(&self.login), EndpointOwner::of_arm(&self.arm));
        (known(login) == known(arm)).then_some(CLUSTER_SCOPE)
    }

    /// Returns whether every server is on this machine, where no proxy can reach it.
    pub fn is_loopback(&self) -> bool {
        [&self.login, &self.arm].iter().all(|url| crate::resolve::is_loopback_host(url))
            && crate::resolve::is_localhost(&self.vault_suffix)
    }
}

/// Returns the scope of an audience: v2.0 token requests name every permission as `/.default`.
fn scope(audience: &str) -> String {
    format!("{}/.default", audience.trim_end_matches('/'))
}

/// Converts a duration of cloud time to real time; zero at an infinite time scale.
pub(crate) fn real(cloud: Duration, time_scale: f64) -> Duration {
    if time_scale > 0.0 {
        Duration::try_from_secs_f64(cloud.as_secs_f64() / time_scale).unwrap_or(cloud)
    } else {
        cloud
    }
}

/// Returns path and query of a URL. Only these are stored, since the origin comes from the settings.
pub(crate) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_one_slash_however_the_audience_is_written() {
        let mut endpoints = Endpoints::public();
        endpoints.arm_audience.push('/');
        assert_eq!(endpoints.arm_scope(), "https://management.azure.com/.default");
        assert_eq!(endpoints.vault_scope(), "https://vault.azure.net/.default");
    }

    #[test]
    fn a_token_for_clusters_never_leaves_the_cloud_of_the_sign_in() {
        let mut endpoints = Endpoints::public();
        assert_eq!(endpoints.cluster_scope(), Some(CLUSTER_SCOPE));
        endpoints.arm = Url::parse("https://management.landfall.localhost:1").unwrap();
        assert_eq!(endpoints.cluster_scope(), None);
        endpoints.login = Url::parse("https://login.landfall.localhost:1").unwrap();
        assert_eq!(endpoints.cluster_scope(), Some(CLUSTER_SCOPE));
    }

    #[test]
    fn cloud_time_is_scaled_and_zero_at_an_infinite_scale() {
        assert_eq!(real(Duration::from_secs(60), 60.0), Duration::from_secs(1));
        assert_eq!(real(Duration::from_secs(60), f64::INFINITY), Duration::ZERO);
    }

    #[test]
    fn the_public_cloud_is_not_loopback() {
        assert!(!Endpoints::public().is_loopback());
    }
}
