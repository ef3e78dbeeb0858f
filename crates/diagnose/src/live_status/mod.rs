//! Live status of an environment: the output of the article's "Poking around", in one call.
//!
//! It changes nothing. Every read starts as soon as its address is known, and a failed read is reported
//! beside the results.

mod cluster;
mod gateway;
mod route;
mod secret;

pub use cluster::{ClusterStatus, ControlPlane};
pub use gateway::{Autoscaler, Budget, CreatedObjects, GatewayStatus};
pub use route::{Backend, Parent, RouteStatus};
pub use secret::SecretCertificate;

use crate::snapshot::{ClusterSnapshot, Objects};
use landfall_cloud::{ApiError, Clients, environment_description::Environment, vault::StoredCertificate};

/// The live status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveStatus {
    /// The cluster, as Resource Manager shows it.
    pub cluster: Option<ClusterStatus>,
    /// The controller of the gateways.
    pub control_plane: Option<ControlPlane>,
    /// The gateways, by namespace and name, each with its objects.
    pub gateways: Vec<GatewayStatus>,
    /// The routes, by namespace and name.
    pub routes: Vec<RouteStatus>,
    /// The vault's newest version of the certificate.
    pub certificate: Option<StoredCertificate>,
    /// The certificate in the Secret.
    pub secret: Option<SecretCertificate>,
    /// The A records of the zone for the published hosts: host, desired and actual addresses.
    pub records: Vec<RecordStatus>,
    /// The reads that failed, a sentence each.
    pub failed_reads: Vec<String>,
}

/// The record of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordStatus {
    /// The host.
    pub host: String,
    /// The gateway's address.
    pub wanted: String,
    /// The addresses in the zone; empty if there is no record.
    pub actual: Vec<String>,
}

impl LiveStatus {
    /// Returns whether all reads succeeded and everything is in sync.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let same = |secret: &SecretCertificate| {
            self.certificate.as_ref().is_some_and(|held| held.thumbprint_sha1_hex == secret.thumbprint)
        };
        self.failed_reads.is_empty()
            && self.cluster.as_ref().is_some_and(ClusterStatus::is_healthy)
            && self.control_plane.as_ref().is_some_and(ControlPlane::is_healthy)
            && !self.gateways.is_empty()
            && self.gateways.iter().all(GatewayStatus::is_healthy)
            && self.routes.iter().all(RouteStatus::is_healthy)
            && self.secret.as_ref().is_some_and(same)
            && self.records.iter().all(|record| record.actual == [record.wanted.clone()])
    }
}

/// Reads all resources that the journal records as created.
pub async fn read(clients: &Clients, environment: &Environment) -> LiveStatus {
    let reader = Reader { clients, environment };
    let (cluster, certificate, records) =
        futures::join!(reader.cluster(), reader.certificate(), reader.records());
    let mut status = LiveStatus::default();
    let mut note =
        |what: &str, error: &ApiError| status.failed_reads.push(format!("{what}: {}", error.message));
    match certificate {
        Ok(certificate) => status.certificate = certificate,
        Err(error) => note("the vault's certificate could not be read", &error),
    }
    match records {
        Ok(records) => status.records = records,
        Err(error) => note("the zone's records could not be read", &error),
    }
    match cluster {
        Ok(Some((running, list_results))) => {
            status.cluster = running;
            if let Some(list_results) = list_results {
                status.add(list_results);
            }
        }
        Ok(None) => {}
        Err(error) => note("the cluster could not be read", &error),
    }
    status
}

struct Reader<'a> {
    clients: &'a Clients,
    environment: &'a Environment,
}

impl Reader<'_> {
    async fn cluster(&self) -> Result<Option<(Option<ClusterStatus>, Option<ClusterSnapshot>)>, ApiError> {
        let Some(ready) = &self.environment.cluster else { return Ok(None) };
        let (body, session) =
            futures::join!(self.clients.clusters.body(ready), self.clients.clusters.open(ready));
        let running = body?.map(|body| ClusterStatus::read(&ready.name, &body));
        // A stopped or failed cluster does not respond; its state in Resource Manager is then the status.
        let closed = running.as_ref().is_none_or(|running| !running.is_healthy());
        let list_results = match session {
            Ok(session) => Some(ClusterSnapshot::of_cluster(&session, &self.environment.tls_secret).await),
            Err(_) if closed => None,
            Err(error) => return Err(error),
        };
        Ok(Some((running, list_results)))
    }

    async fn certificate(&self) -> Result<Option<StoredCertificate>, ApiError> {
        let (Some(vault), Some(held)) = (&self.environment.vault, &self.environment.certificate) else {
            return Ok(None);
        };
        self.clients.vaults.at(&vault.uri)?.certificate(&held.name).await
    }

    async fn records(&self) -> Result<Vec<RecordStatus>, ApiError> {
        let Some(published) = self.environment.published.clone() else { return Ok(Vec::new()) };
        let Some(published_zone) = published.zone else { return Ok(Vec::new()) };
        let zones = self.clients.azure.zones().await?;
        let zone = zones.iter().find(|zone| zone.id.eq_ignore_ascii_case(&published_zone.id));
        let actual_records = match zone {
            Some(zone) => self.clients.azure.records(zone).await?,
            None => Vec::new(),
        };
        let below = format!(".{}", published_zone.name);
        let named = |(host, wanted): (String, String)| {
            let name = host.strip_suffix(&below).unwrap_or("@");
            let actual = actual_records.iter().find(|record| record.name.eq_ignore_ascii_case(name));
            RecordStatus {
                actual: actual.map(|record| record.addresses.clone()).unwrap_or_default(),
                host,
                wanted,
            }
        };
        Ok(published.records.into_iter().map(named).collect())
    }
}

impl LiveStatus {
    /// Adds the objects in the cluster, and the reads that failed.
    fn add(&mut self, snapshot: ClusterSnapshot) {
        let mut read = |list: Objects| {
            list.unwrap_or_else(|unread| {
                self.failed_reads.push(format!("{} could not be listed: {}", unread.what, unread.message()));
                Vec::new()
            })
        };
        let (classes, gateways) = (read(snapshot.classes), read(snapshot.gateways));
        let routes = read(snapshot.routes);
        let created = gateway::ObjectLists {
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
        self.gateways = gateways.iter().map(|gateway| GatewayStatus::read(gateway, &created)).collect();
        let services = &created.services;
        self.routes = routes.iter().map(|route| RouteStatus::read(route, services, &pods)).collect();
        for secret in snapshot.secrets.into_values() {
            match secret {
                Ok(secret) => self.secret = secret.as_ref().and_then(SecretCertificate::read),
                Err(unread) => {
                    self.failed_reads.push(format!("the TLS Secret could not be read: {}", unread.message()));
                }
            }
        }
    }
}
