//! The options of the simulated cloud.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::clock::Speed;
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
    /// False if the name servers are needed only for zones that exist: they hold two sockets each.
    pub name_servers: bool,
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
            name_servers: true,
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
