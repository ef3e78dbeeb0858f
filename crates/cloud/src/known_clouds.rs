//! The public and sovereign Azure clouds, with the endpoints that Microsoft documents for each.
//!
//! Sources: <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>,
//! <https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure> and
//! <https://learn.microsoft.com/azure/china/resources-developer-guide>.

use url::Url;

/// One Azure cloud: its sign-in, its resource manager, its vaults, and the audiences of their tokens.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownCloud {
    /// The common name.
    pub name: &'static str,
    /// The hosts of the sign-in authority; the first one is the current name.
    pub login: &'static [&'static str],
    /// The host of Azure Resource Manager.
    pub arm: &'static str,
    /// The audiences of Resource Manager tokens, without a trailing slash.
    pub arm_audiences: &'static [&'static str],
    /// The domain that contains every vault.
    pub vault_suffix: &'static str,
    /// The audience of vault tokens, without a trailing slash.
    pub vault_audience: &'static str,
    /// The domain that contains the blob service of every storage account.
    pub storage_suffix: &'static str,
}

/// Every cloud that needs no consent.
pub const KNOWN_CLOUDS: [KnownCloud; 3] = [
    KnownCloud {
        name: "public Azure",
        login: &["login.microsoftonline.com", "login.windows.net", "login.microsoft.com"],
        arm: "management.azure.com",
        arm_audiences: &["https://management.azure.com", "https://management.core.windows.net"],
        vault_suffix: "vault.azure.net",
        vault_audience: "https://vault.azure.net",
        storage_suffix: "blob.core.windows.net",
    },
    KnownCloud {
        name: "Azure US Government",
        login: &["login.microsoftonline.us"],
        arm: "management.usgovcloudapi.net",
        arm_audiences: &["https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net"],
        vault_suffix: "vault.usgovcloudapi.net",
        vault_audience: "https://vault.usgovcloudapi.net",
        storage_suffix: "blob.core.usgovcloudapi.net",
    },
    KnownCloud {
        name: "Azure China",
        login: &["login.chinacloudapi.cn", "login.partner.microsoftonline.cn"],
        arm: "management.chinacloudapi.cn",
        arm_audiences: &["https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"],
        vault_suffix: "vault.azure.cn",
        vault_audience: "https://vault.azure.cn",
        storage_suffix: "blob.core.chinacloudapi.cn",
    },
];

/// The party that an endpoint belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointOwner {
    /// A known Azure cloud.
    Known(&'static KnownCloud),
    /// This machine: `127.0.0.0/8`, `::1`, `localhost` and every name below it.
    Loopback,
    /// A server that landfall does not know.
    Custom,
}

impl EndpointOwner {
    /// Returns the owner of a sign-in authority.
    pub fn of_login(url: &Url) -> Self {
        Self::of_url(url, |cloud, host| cloud.login.contains(&host))
    }

    /// Returns the owner of a resource manager.
    pub fn of_arm(url: &Url) -> Self {
        Self::of_url(url, |cloud, host| cloud.arm == host)
    }

    /// Returns the owner of the vaults below a domain.
    pub fn of_vaults(suffix: &str) -> Self {
        if crate::resolve::is_localhost(suffix) {
            return Self::Loopback;
        }
        let known = KNOWN_CLOUDS.iter().find(|cloud| cloud.vault_suffix.eq_ignore_ascii_case(suffix));
        known.map_or(Self::Custom, Self::Known)
    }

    /// Returns the owner of a storage account, by the address of its blob service.
    pub fn of_storage(url: &Url) -> Self {
        if crate::resolve::is_loopback_host(url) {
            return Self::Loopback;
        }
        let host = url.host_str().unwrap_or_default();
        let is_account = |suffix: &str| {
            let account = host.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.'));
            account.is_some_and(|account| !account.is_empty() && !account.contains('.'))
        };
        let plain = url.scheme() == "https" && url.port().is_none();
        let known = KNOWN_CLOUDS.iter().find(|cloud| plain && is_account(cloud.storage_suffix));
        known.map_or(Self::Custom, Self::Known)
    }

    fn of_url(url: &Url, is_host: impl Fn(&KnownCloud, &str) -> bool) -> Self {
        if crate::resolve::is_loopback_host(url) {
            return Self::Loopback;
        }
        let host = url.host_str().unwrap_or_default();
        // A known host at another port is another server.
        let plain = url.scheme() == "https" && url.port().is_none();
        let known = KNOWN_CLOUDS.iter().find(|cloud| plain && is_host(cloud, host));
        known.map_or(Self::Custom, Self::Known)
    }

    /// Returns the name that a message gives the owner.
    pub fn name(self) -> &'static str {
        match self {
            Self::Known(cloud) => cloud.name,
            Self::Loopback => "this machine",
            Self::Custom => "a server that landfall does not know",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> EndpointOwner {
        EndpointOwner::of_login(&Url::parse(text).expect("a test's own address"))
    }

    #[test]
    fn a_host_similar_to_a_known_one_is_custom() {
        for text in [
            "https://login.microsoftonline.com.evil.example",
            "https://login.microsoftonline.com:8443",
            "https://evil.example/login.microsoftonline.com",
            "https://login.microsoftonline.com@evil.example",
            "https://127.0.0.1.evil.example",
            "https://localhost.evil.example",
            "https://10.0.0.1",
        ] {
            assert_eq!(login(text), EndpointOwner::Custom, "{text}");
        }
        assert_eq!(EndpointOwner::of_vaults("evil.vault.azure.net"), EndpointOwner::Custom);
        assert_eq!(EndpointOwner::of_vaults("azure.net"), EndpointOwner::Custom);
    }

    #[test]
    fn an_account_is_one_label_below_the_domain_of_its_cloud() {
        let owner = |text: &str| EndpointOwner::of_storage(&Url::parse(text).expect("a test's own address"));
        assert_eq!(owner("https://acct.blob.core.windows.net"), EndpointOwner::Known(&KNOWN_CLOUDS[0]));
        assert_eq!(owner("https://127.0.0.1:10000/devstoreaccount1"), EndpointOwner::Loopback);
        for text in [
            "https://blob.core.windows.net",
            "https://a.b.blob.core.windows.net",
            "https://acct.blob.core.windows.net:8443",
            "http://acct.blob.core.windows.net",
            "https://acct.blob.core.windows.net.evil.example",
        ] {
            assert_eq!(owner(text), EndpointOwner::Custom, "{text}");
        }
    }

    #[test]
    fn every_form_of_loopback_is_this_machine() {
        for text in ["https://127.8.9.1:1", "https://[::1]:1", "https://localhost", "https://a.b.localhost:1"]
        {
            assert_eq!(login(text), EndpointOwner::Loopback, "{text}");
        }
        assert_eq!(EndpointOwner::of_vaults("vault.landfall.localhost"), EndpointOwner::Loopback);
    }

    #[test]
    fn every_known_cloud_recognizes_its_own_endpoints() {
        for cloud in &KNOWN_CLOUDS {
            let url = |host: &str| Url::parse(&format!("https://{host}/")).expect("a constant that parses");
            for host in cloud.login {
                assert_eq!(EndpointOwner::of_login(&url(host)), EndpointOwner::Known(cloud));
            }
            assert_eq!(EndpointOwner::of_arm(&url(cloud.arm)), EndpointOwner::Known(cloud));
            assert_eq!(EndpointOwner::of_vaults(cloud.vault_suffix), EndpointOwner::Known(cloud));
        }
    }
}
