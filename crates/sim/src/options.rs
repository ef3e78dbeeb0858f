//! How a world is opened, and what one must know to talk to it.

use serde::{Deserialize, Serialize};

use crate::clock::{Speed, Timing};
use crate::serving::Served;
use crate::world::{DOMAIN, World};

/// How a world is opened. What is about its making (seed, features, providers) counts only when it is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much faster than life it is.
    pub speed: Speed,
    /// Where every id comes from; drawn when `None`.
    pub seed: Option<u64>,
    /// Faults in the form `name[@METHOD path-part][*times]`; see the table in `fault`.
    pub faults: Vec<String>,
    /// The regions it offers.
    pub locations: Vec<String>,
    /// Provider namespaces that the subscription has not registered yet.
    pub unregistered: Vec<String>,
    /// Preview features that still exist, as `Microsoft.ContainerService/Name`; after general availability
    /// a feature is gone and asking for it answers 404.
    pub preview_features: Vec<String>,
    /// How long access tokens last, in real seconds.
    pub token_lifetime_real: f64,
    /// The kubeconfig that clusters hand out instead of their own: another API server in the place of the simulated one,
    /// with everything else around it as it is.
    pub kubeconfig: Option<String>,
    /// Whether the gateways' addresses answer while the world is open.
    pub traffic: bool,
    /// The port to serve on; none takes the one the world had, or another when that is taken.
    pub port: Option<u16>,
    /// Who opens it, as a person would call it, for those who find it held.
    pub by: String,
    /// Whether other processes are to use it while it is open, and what they should know.
    pub served: Option<Served>,
}

impl Default for Options {
    fn default() -> Self {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            speed: Speed::Times(60.0),
            seed: None,
            faults: Vec::new(),
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
            traffic: false,
            port: None,
            by: "landfall".to_owned(),
            served: None,
        }
    }
}

/// Where a world is and who may sign in to it. It has secrets: what it is written to must be its owner's alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct Facts {
    /// The port of everything, on 127.0.0.1.
    pub port: u16,
    /// The sign-in authority, `https://login.landfall.localhost:{port}`.
    pub login: String,
    /// Resource Manager, `https://management.landfall.localhost:{port}`.
    pub arm: String,
    /// What tokens for Resource Manager are for.
    pub arm_audience: String,
    /// What follows a vault's name in its host.
    pub vault_suffix: String,
    /// What tokens for vaults are for.
    pub vault_audience: String,
    /// The certificate of the world's own authority, PEM.
    pub ca_pem: String,
    /// The directory's id.
    pub tenant: String,
    /// The subscription's id.
    pub subscription: String,
    /// The application id of the service principal that owns the subscription.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Its object id.
    pub object_id: String,
    /// The sign-in name of the person who owns it as well.
    pub user_name: String,
    /// That person's password.
    pub user_password: String,
    /// The seed of the world.
    pub seed: u64,
    /// How much faster than life it is; infinite at instant speed, which JSON writes as null.
    #[serde(with = "pace")]
    pub pace: f64,
}

/// A pace in JSON, which has no infinity.
mod pace {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(pace: &f64, to: S) -> Result<S::Ok, S::Error> {
        pace.is_finite().then_some(*pace).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
    }
}

impl Facts {
    /// Reads them off a world; `ca_pem` is whom to trust.
    pub(crate) fn of(world: &World, timing: &Timing, ca_pem: &str) -> Self {
        Self {
            port: world.port,
            login: world.origin("login"),
            arm: world.arm_origin(),
            arm_audience: world.arm_audience(),
            vault_suffix: format!("vault.{DOMAIN}"),
            vault_audience: world.vault_audience(),
            ca_pem: ca_pem.to_owned(),
            tenant: world.directory.tenant.clone(),
            subscription: world.subscription.clone(),
            client_id: world.directory.owner().client_id.clone(),
            client_secret: world.directory.owner_secret().to_owned(),
            object_id: world.directory.owner().object_id.clone(),
            user_name: world.directory.user().sign_in_name.clone().unwrap_or_default(),
            user_password: world.directory.user_password().to_owned(),
            seed: world.seed,
            pace: timing.speed.factor(),
        }
    }
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("arm", &self.arm)
            .field("tenant", &self.tenant)
            .field("subscription", &self.subscription)
            .field("client_id", &self.client_id)
            .field("seed", &self.seed)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
