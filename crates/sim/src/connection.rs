//! The addresses and credentials that the clients of the simulated cloud need.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::acme::ca::CaName;
use crate::clock::Timing;
use crate::dns_server::NameServers;
use crate::names::DOMAIN;
use crate::state::CloudState;

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
