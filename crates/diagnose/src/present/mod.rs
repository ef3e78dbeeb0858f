//! Live status of an environment: the output of the article's "Poking around", in one call.
//!
//! It changes nothing. Every read starts as soon as its address is known, and a failed read is reported
//! beside the results.

mod cluster;
mod gateway;
mod route;
mod secret;

pub use cluster::{ControlPlane, Running};
pub use gateway::{Autoscaler, Budget, Made, Programmed};
pub use route::{Backend, Parent, Routed};
pub use secret::Carried;

use crate::snapshot::{ClusterSnapshot, Objects};
use landfall_cloud::{ApiError, Clouds, environment::Environment, vault::Stored};

/// The live status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// The cluster, as Resource Manager shows it.
    pub cluster: Option<Running>,
    /// The controller of the gateways.
    pub control_plane: Option<ControlPlane>,
    /// The gateways, by namespace and name, each with its objects.
    pub gateways: Vec<Programmed>,
    /// The routes, by namespace and name.
    pub routes: Vec<Routed>,
    /// The vault's newest version of the certificate.
    pub certificate: Option<Stored>,
    /// The certificate in the Secret.
    pub secret: Option<Carried>,
    /// The A records of the zone for the published hosts: host, desired and actual addresses.
    pub records: Vec<Named>,
    /// The reads that failed, a sentence each.
    pub unseen: Vec<String>,
}

/// The record of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The host.
    pub host: String,
    /// The gateway's address.
    pub wanted: String,
    /// The addresses in the zone; empty if there is no record.
    pub is: Vec<String>,
}

impl Present {
    /// Returns whether all reads succeeded and everything is in sync.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let same = |secret: &Carried| {
            self.certificate.as_ref().is_some_and(|held| held.thumbprint_sha1_hex == secret.thumbprint)
        };
        self.unseen.is_empty()
            && self.cluster.as_ref().is_some_and(Running::is_well)
            && self.control_plane.as_ref().is_some_and(ControlPlane::is_well)
            && !self.gateways.is_empty()
            && self.gateways.iter().all(Programmed::is_well)
            && self.routes.iter().all(Routed::is_well)
            && self.secret.as_ref().is_some_and(same)
            && self.records.iter().all(|record| record.is == [record.wanted.clone()])
    }
}

/// Reads all resources that the journal records as created.
pub async fn look(clouds: &Clouds, environment: &Environment) -> Present {
    let here = Here { clouds, environment };
    let (cluster, certificate, records) = futures::join!(here.cluster(), here.certificate(), here.records());
    let mut seen = Present::default();
    let mut note = |what: &str, error: &ApiError| seen.unseen.push(format!("{what}: {}", error.message));
    match certificate {
        Ok(certificate) => seen.certificate = certificate,
        Err(error) => note("the vault's certificate could not be read", &error),
    }
    match records {
        Ok(records) => seen.records = records,
        Err(error) => note("the zone's records could not be read", &error),
    }
    match cluster {
        Ok(Some((running, inside))) => {
            seen.cluster = running;
            if let Some(inside) = inside {
                seen.add(inside);
            }
        }
        Ok(None) => {}
        Err(error) => note("the cluster could not be read", &error),
    }
    seen
}

struct Here<'a> {
    clouds: &'a Clouds,
    environment: &'a Environment,
}

impl Here<'_> {
    async fn cluster(&self) -> Result<Option<(Option<Running>, Option<ClusterSnapshot>)>, ApiError> {
        let Some(ready) = &self.environment.cluster else { return Ok(None) };
        let (body, opened) =
            futures::join!(self.clouds.clusters.body(ready), self.clouds.clusters.open(ready));
        let running = body?.map(|body| Running::read(&ready.name, &body));
        // A stopped or failed cluster does not respond; its state in Resource Manager is then the status.
        let closed = running.as_ref().is_none_or(|running| !running.is_well());
        let inside = match opened {
            Ok(opened) => Some(ClusterSnapshot::of_cluster(&opened, &self.environment.tls_secret).await),
            Err(_) if closed => None,
            Err(error) => return Err(error),
        };
        Ok(Some((running, inside)))
    }

    async fn certificate(&self) -> Result<Option<Stored>, ApiError> {
        let (Some(vault), Some(held)) = (&self.environment.vault, &self.environment.certificate) else {
            return Ok(None);
        };
        self.clouds.vaults.at(&vault.uri)?.certificate(&held.name).await
    }

    async fn records(&self) -> Result<Vec<Named>, ApiError> {
        let Some(published) = self.environment.published.clone() else { return Ok(Vec::new()) };
        let Some(published_zone) = published.zone else { return Ok(Vec::new()) };
        let zones = self.clouds.azure.zones().await?;
        let zone = zones.iter().find(|zone| zone.id.eq_ignore_ascii_case(&published_zone.id));
        let there = match zone {
            Some(zone) => self.clouds.azure.records(zone).await?,
            None => Vec::new(),
        };
        let below = format!(".{}", published_zone.name);
        let named = |(host, wanted): (String, String)| {
            let name = host.strip_suffix(&below).unwrap_or("@");
            let is = there.iter().find(|record| record.name.eq_ignore_ascii_case(name));
            Named { is: is.map(|record| record.addresses.clone()).unwrap_or_default(), host, wanted }
        };
        Ok(published.records.into_iter().map(named).collect())
    }
}

impl Present {
    /// Adds the objects in the cluster, and the reads that failed.
    fn add(&mut self, snapshot: ClusterSnapshot) {
        let mut read = |list: Objects| {
            list.unwrap_or_else(|unread| {
                self.unseen.push(format!("{} could not be listed: {}", unread.what, unread.message()));
                Vec::new()
            })
        };
        let (classes, gateways) = (read(snapshot.classes), read(snapshot.gateways));
        let routes = read(snapshot.routes);
        let made = gateway::Around {
            deployments: read(snapshot.deployments),
            services: read(snapshot.services),
            autoscalers: read(snapshot.autoscalers),
            budgets: read(snapshot.budgets),
        };
        let (pods, nodes) = (read(snapshot.pods), read(snapshot.nodes));
        self.control_plane = Some(ControlPlane::read(&classes, &pods));
        if let Some(cluster) = &mut self.cluster {
            cluster.count(&nodes);
        }
        self.gateways = gateways.iter().map(|gateway| Programmed::read(gateway, &made)).collect();
        let services = &made.services;
        self.routes = routes.iter().map(|route| Routed::read(route, services, &pods)).collect();
        for secret in snapshot.secrets.into_values() {
            match secret {
                Ok(secret) => self.secret = secret.as_ref().and_then(Carried::read),
                Err(unread) => {
                    self.unseen.push(format!("the TLS Secret could not be read: {}", unread.message()));
                }
            }
        }
    }
}
