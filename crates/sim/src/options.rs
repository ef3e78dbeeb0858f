//! The options of the simulated cloud.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::acme::CaName;
use crate::clock::{Speed, Timing};
use crate::dns_server::NameServers;
use crate::registration::RegistrationOptions;

/// The options for opening a simulated cloud. Seed, features and providers apply only to a new one.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time scale.
    pub speed: Speed,
    /// The seed of all ids; random if `None`.
    pub seed: Option<u64>,
    /// Faults in the form `name[@METHOD path-part][#n][*times]`; see the table in `fault`.
    pub faults: Vec<String>,
    /// DNS zones to create, in the group `rg-dns`.
    pub zones: Vec<String>,
    /// The available regions.
    pub locations: Vec<String>,
    /// Provider namespaces that are not registered yet.
    pub unregistered: Vec<String>,
    /// Preview features that still exist, as `Microsoft.ContainerService/Name`. After general availability a
    /// feature no longer exists and its URL returns 404.
    pub preview_features: Vec<String>,
    /// The lifetime of access tokens in real seconds.
    pub token_lifetime_real: f64,
    /// A kubeconfig that clusters return instead of their own: it replaces the simulated API server by
    /// another one.
    pub kubeconfig: Option<String>,
    /// The programs of this machine that stand for images, by the repository of the image. Pods of such images really run;
    /// see `docs/simulator.md`.
    pub images: BTreeMap<String, PathBuf>,
    /// True if the gateways' addresses are served.
    pub traffic: bool,
    /// The port to serve on; `None` selects the previous one, or another if that is taken.
    pub port: Option<u16>,
    /// The name of the program, for error messages of other processes that find the lock held.
    pub by: String,
    /// The registration for other processes; `None` if only this process uses the cloud.
    pub registration: Option<RegistrationOptions>,
}

impl Default for Options {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            speed: Speed::Times(60.0),
            seed: None,
            faults: Vec::new(),
            zones: Vec::new(),
            locations: list(&[
                "eastus",
                "eastus2",
                "westus3",
                "centralus",
                "northeurope",
                "westeurope",
                "uksouth",
                "swedencentral",
            ]),
            unregistered: Vec::new(),
            preview_features: Vec::new(),
            token_lifetime_real: crate::durations::TOKEN_LIFETIME_REAL,
            kubeconfig: None,
            images: BTreeMap::new(),
            traffic: false,
            port: None,
            by: "landfall".to_owned(),
            registration: None,
        }
    }
}

/// The addresses and credentials of the simulated cloud. It contains secrets: a file with it must be readable
/// only by its owner.
#[derive(Clone, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// The port of all services, on 127.0.0.1.
    pub port: u16,
    /// The sign-in authority, `https://login.landfall.localhost:{port}`.
    pub login: String,
    /// Resource Manager, `https://management.landfall.localhost:{port}`.
    pub arm: String,
    /// The audience of tokens for Resource Manager.
    pub arm_audience: String,
    /// The host suffix after a vault's name.
    pub vault_suffix: String,
    /// The audience of tokens for vaults.
    pub vault_audience: String,
    /// The host suffix after the name of a storage account.
    #[serde(default)]
    pub blob_suffix: String,
    /// The CA certificate of the simulated cloud, PEM.
    pub ca_pem: String,
    /// The id of the tenant.
    pub tenant: String,
    /// The id of the subscription.
    pub subscription: String,
    /// The application id of the service principal that owns the subscription.
    pub client_id: String,
    /// The client secret of the service principal.
    pub client_secret: String,
    /// The object id of the service principal.
    pub object_id: String,
    /// The sign-in name of the user who also owns the subscription.
    pub user_name: String,
    /// The password of the user.
    pub user_password: String,
    /// The key of the admin API, for the header [`KEY_HEADER`](crate::admin_api::KEY_HEADER).
    #[serde(default)]
    pub admin_key: String,
    /// The ACME directory of the CA that is like a production one.
    #[serde(default)]
    pub acme_directory: String,
    /// The ACME directory of the staging CA.
    #[serde(default)]
    pub acme_staging: String,
    /// The root certificate to which the certificates of the production CA lead, PEM. That of staging is not trusted.
    #[serde(default)]
    pub acme_roots: Vec<String>,
    /// The addresses of the name servers, for UDP and TCP.
    #[serde(default)]
    pub name_servers: NameServers,
    /// The lead of the cloud's clock over the system's, in milliseconds.
    #[serde(default)]
    pub clock_ahead_ms: i64,
    /// The programs that stand for images, by the repository of the image.
    #[serde(default)]
    pub images: BTreeMap<String, PathBuf>,
    /// The seed of all ids.
    pub seed: u64,
    /// The speed factor; infinite at instant speed, which is null in JSON.
    #[serde(with = "time_scale")]
    #[serde(rename = "pace")]
    pub time_scale: f64,
}

/// The speed factor in JSON, which has no infinity.
mod time_scale {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(time_scale: &f64, to: S) -> Result<S::Ok, S::Error> {
        time_scale.is_finite().then_some(*time_scale).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

impl ConnectionInfo {
    /// Derives the addresses and credentials from the state; `ca_pem` is the CA certificate.
    pub(crate) fn of(state: &CloudState, timing: &Timing, ca_pem: &str, name_servers: NameServers) -> Self {
        let directory = |ca: CaName| format!("{}/directory", state.origin(ca.host()));
        Self {
            port: state.port,
            login: state.origin("login"),
            arm: state.arm_origin(),
            arm_audience: state.arm_audience(),
            vault_suffix: format!("vault.{DOMAIN}"),
            vault_audience: state.vault_audience(),
            blob_suffix: format!("blob.{DOMAIN}"),
            ca_pem: ca_pem.to_owned(),
            tenant: state.directory.tenant.clone(),
            subscription: state.subscription.clone(),
            client_id: state.directory.owner().client_id.clone(),
            client_secret: state.directory.owner_secret().to_owned(),
            object_id: state.directory.owner().object_id.clone(),
            user_name: state.directory.user().sign_in_name.clone().unwrap_or_default(),
            user_password: state.directory.user_password().to_owned(),
            admin_key: state.admin_key.clone(),
            acme_directory: directory(CaName::Production),
            acme_staging: directory(CaName::Staging),
            acme_roots: vec![state.acme.root_pem(CaName::Production).to_owned()],
            name_servers,
            clock_ahead_ms: state.clock_offset_ms,
            images: BTreeMap::new(),
            seed: state.seed,
            time_scale: timing.speed.factor(),
        }
    }
}

impl std::fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("arm", &self.arm)
            .field("tenant", &self.tenant)
            .field("subscription", &self.subscription)
            .field("client_id", &self.client_id)
            .field("seed", &self.seed)
            .field("pace", &self.time_scale)
            .finish_non_exhaustive()
    }
}
