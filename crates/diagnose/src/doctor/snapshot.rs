//! The snapshot of the environment, read concurrently and with timeouts.

use super::{DoctorContext, gateway_responses::ProbeResult, http_probe};
use crate::{
    snapshot::{self, ClusterSnapshot, Unread},
    {object_fields::text, route_model::Route},
};
use jiff::Timestamp;
use landfall_cloud::{
    AddOnIdentity, ApiError, ApiErrorKind, ReadyCluster,
    arm::{
        Assignment, FederatedCredential, Lock, Record, Registration, State, Subscription, SubscriptionClient,
        Usage, Zone, cluster, identity as arm_identity,
    },
    environment_description::{Environment, PublishedRecords},
    kubernetes::DynamicObject,
    vault::{CertificateVersion, PendingCertificate, StoredCertificate},
};
use serde_json::Value;
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// The resource provider of clusters.
const PROVIDER: &str = "Microsoft.ContainerService";
/// Preview features that a subscription must register while its region still requires them.
const FLAGS: [&str; 2] = ["ManagedGatewayAPIPreview", "AppRoutingIstioGatewayAPIPreview"];

/// The result of a read; the error is a sentence.
pub(super) type Read<T> = Result<T, String>;

/// The data that was read.
pub(super) struct Snapshot<'a> {
    pub(super) environment: &'a Environment,
    pub(super) now: Timestamp,
    pub(super) vaults: &'a landfall_cloud::Vaults,
    pub(super) subscription: Read<Option<Subscription>>,
    pub(super) providers: Read<Vec<(String, Registration)>>,
    pub(super) features: Read<Vec<(String, Registration)>>,
    /// The management locks at the resource group, above it and below it.
    pub(super) locks: Read<Vec<Lock>>,
    pub(super) group: Read<Option<Value>>,
    pub(super) cluster: Read<Option<Value>>,
    pub(super) vault: Read<Option<Value>>,
    /// The managed identity that reads the vault, and its federated credentials; `None` if it does not exist, or the
    /// add-on's identity reads the vault.
    pub(super) identity: Read<Option<ManagedIdentity>>,
    /// The role assignments at the vault.
    pub(super) assignments: Read<Vec<Assignment>>,
    /// The public IP addresses and their limits in the region.
    pub(super) addresses: Read<Vec<Usage>>,
    /// The versions of the certificate. The vault's error is kept, because its code identifies the failed
    /// check.
    pub(super) versions: Option<Result<Vec<CertificateVersion>, ApiError>>,
    pub(super) stored: Read<Option<StoredCertificate>>,
    /// The pending operation of the certificate.
    pub(super) pending: Read<Option<PendingCertificate>>,
    /// The recorded zone and its DNS records; `None` inside if the zone no longer exists.
    pub(super) names: Names,
    group_id: String,
    cluster_objects: Option<Result<ClusterSnapshot, Unread>>,
    pub(super) external: Vec<ProbeResult>,
}

/// Reads with a timeout.
async fn read<T>(
    what: &str,
    at_most: Duration,
    request: impl Future<Output = Result<T, ApiError>>,
) -> Read<T> {
    snapshot::read(what, Some(at_most), request).await.map_err(|unread| unread.description())
}

/// Converts "not found" to `None`.
fn absent<T>(read: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl<'a> Snapshot<'a> {
    /// Reads Resource Manager, then the vault and the cluster, then the gateways from outside.
    pub(super) async fn take(context: &DoctorContext<'a>) -> Self {
        let DoctorContext { clients, environment, address_map, timeouts, now, .. } = *context;
        let (azure, max) = (&clients.azure, timeouts.cloud);
        let group = &environment.resource_group;
        let (subscription, providers, found, cluster, vault, addresses, locks, names, identity) = futures::join!(
            read("the subscription", max, azure.arm().subscription(azure.id())),
            read("the resource providers", max, azure.providers()),
            read("the resource group", max, azure.group(group)),
            read("the cluster", max, azure.cluster(group, &environment.cluster_name)),
            read("the vault", max, azure.vault(group, &environment.vault_name)),
            read("the region's limits", max, azure.network_usages(&environment.location)),
            read("the locks", max, azure.locks(group)),
            zone(azure, environment.published.clone(), max),
            read("the managed identity", max, managed_identity(azure, environment)),
        );
        let mut snapshot = Self {
            environment,
            now,
            vaults: &clients.vaults,
            subscription,
            providers,
            features: Ok(Vec::new()),
            locks,
            group_id: azure.group_id(group),
            group: found,
            cluster,
            vault,
            identity,
            assignments: Ok(Vec::new()),
            addresses,
            versions: None,
            stored: Ok(None),
            pending: Ok(None),
            names,
            cluster_objects: None,
            external: Vec::new(),
        };
        let ((assignments, versions, stored, pending), cluster_objects, features) = futures::join!(
            snapshot.vault_contents(context),
            snapshot.read_cluster_objects(context),
            snapshot.flags(context)
        );
        (snapshot.assignments, snapshot.versions) = (assignments, versions);
        (snapshot.stored, snapshot.pending) = (stored, pending);
        (snapshot.cluster_objects, snapshot.features) = (cluster_objects, features);
        if let (Some(address_map), Some(cluster_objects)) = (address_map, snapshot.cluster_objects()) {
            snapshot.external =
                http_probe::all(&snapshot, cluster_objects, address_map, timeouts.external).await;
        }
        snapshot
    }

    /// Reads the vault's content and its role assignments.
    async fn vault_contents(
        &self,
        context: &DoctorContext<'_>,
    ) -> (
        Read<Vec<Assignment>>,
        Option<Result<Vec<CertificateVersion>, ApiError>>,
        Read<Option<StoredCertificate>>,
        Read<Option<PendingCertificate>>,
    ) {
        let Ok(Some(body)) = &self.vault else { return (Ok(Vec::new()), None, Ok(None), Ok(None)) };
        let (max, name) = (context.timeouts.cloud, &self.environment.certificate_name);
        let uri = text(body, "/properties/vaultUri");
        let late = || ApiError::new(ApiErrorKind::Transport, "no response in time");
        let versions = async {
            let request = async { context.clients.vaults.at(uri)?.versions(name).await };
            timeout(max, request).await.unwrap_or_else(|_| Err(late()))
        };
        let stored = async { context.clients.vaults.at(uri)?.certificate(name).await };
        let pending = async { context.clients.vaults.at(uri)?.pending(name).await };
        let (assignments, versions, stored, pending) = futures::join!(
            read(
                "the role assignments at the vault",
                max,
                context.clients.azure.assignments_at(text(body, "/id"))
            ),
            versions,
            read("the certificate in the vault", max, stored),
            read("the pending operation in the vault", max, pending),
        );
        (assignments, Some(versions), stored, pending)
    }

    async fn read_cluster_objects(
        &self,
        context: &DoctorContext<'_>,
    ) -> Option<Result<ClusterSnapshot, Unread>> {
        let Ok(Some(body)) = &self.cluster else { return None };
        let responds = !cluster::is_stopped(body)
            && State::of(body) != State::Deleting
            && text(body, "/properties/provisioningState") != "Creating";
        if !responds {
            return None;
        }
        let (max, ready) = (context.timeouts.cloud, ready(body));
        let open = context.clients.clusters.open(&ready);
        let session = snapshot::read("the objects in the cluster", Some(max), open).await;
        Some(match session {
            Ok(session) => Ok(ClusterSnapshot::of_environment(&session, self.environment, max).await),
            Err(why) => Err(why),
        })
    }

    /// Reads the preview flags. They matter only until a cluster exists.
    async fn flags(&self, context: &DoctorContext<'_>) -> Read<Vec<(String, Registration)>> {
        if !matches!(self.cluster, Ok(None)) {
            return Ok(Vec::new());
        }
        let read_flag = |flag: &'static str| async move {
            let request = context.clients.azure.feature(PROVIDER, flag);
            let state = read(&format!("the preview feature {flag}"), context.timeouts.cloud, request).await?;
            Ok::<_, String>(state.map(|state| (format!("{PROVIDER}/{flag}"), state)))
        };
        let flags = futures::future::try_join_all(FLAGS.map(read_flag)).await?;
        Ok(flags.into_iter().flatten().collect())
    }

    /// Returns the id of the resource group.
    pub(super) fn group_id(&self) -> String {
        self.group_id.clone()
    }

    /// Returns the error of opening the cluster.
    pub(super) fn cluster_error(&self) -> Option<&Unread> {
        self.cluster_objects.as_ref()?.as_ref().err()
    }

    /// Returns the objects in the cluster, if it could be opened.
    pub(super) fn cluster_objects(&self) -> Option<&ClusterSnapshot> {
        self.cluster_objects.as_ref()?.as_ref().ok()
    }

    /// Returns the desired gateways.
    pub(super) fn gateways(&self) -> impl Iterator<Item = &DynamicObject> {
        self.wanted("Gateway")
    }

    /// Returns the hosts of the desired routes.
    pub(super) fn hosts(&self) -> Vec<String> {
        let routes = self.wanted("HTTPRoute").map(Route::read);
        let mut hosts: Vec<String> =
            routes.flat_map(|route| route.plain_hosts().cloned().collect::<Vec<_>>()).collect();
        hosts.dedup();
        hosts
    }

    /// Returns the desired objects of a Gateway API kind.
    pub(super) fn wanted(&self, kind: &'static str) -> impl Iterator<Item = &DynamicObject> {
        let objects = self.environment.gateways.iter().map(|manifest| &manifest.object);
        objects.filter(move |object| object.types.as_ref().is_some_and(|types| types.kind == kind))
    }

    /// Returns the reads that failed, each once.
    pub(super) fn failed_reads(&self) -> Vec<String> {
        let of = |read: Option<&String>| read.cloned();
        let mut failed_reads: Vec<String> = [
            of(self.subscription.as_ref().err()),
            of(self.providers.as_ref().err()),
            of(self.group.as_ref().err()),
            of(self.cluster.as_ref().err()),
            of(self.vault.as_ref().err()),
            of(self.identity.as_ref().err()),
            of(self.assignments.as_ref().err()),
            of(self.addresses.as_ref().err()),
            of(self.stored.as_ref().err()),
            of(self.features.as_ref().err()),
            of(self.locks.as_ref().err()),
            self.unread_versions(),
            of(self.names.as_ref().and_then(|(_, _, records)| records.as_ref().err())),
        ]
        .into_iter()
        .flatten()
        .collect();
        match &self.cluster_objects {
            Some(Ok(cluster_objects)) => {
                failed_reads.extend(cluster_objects.unread().map(Unread::description))
            }
            Some(Err(unread)) => failed_reads.push(unread.description()),
            None => {}
        }
        failed_reads
    }

    /// Returns the failed read of the versions, unless the certificate itself could not be read either.
    fn unread_versions(&self) -> Option<String> {
        let error = self.versions.as_ref()?.as_ref().err().filter(|_| self.stored.is_ok())?;
        Some(format!("could not read the versions of the certificate: {error}"))
    }

    /// Returns the failed reads that the checks of the certificate need.
    pub(super) fn unread_certificate(&self) -> Vec<String> {
        let failed = [self.vault.as_ref().err().cloned(), self.stored.as_ref().err().cloned()];
        failed.into_iter().chain([self.unread_versions()]).flatten().collect()
    }

    /// Returns the failed reads in the cluster that `select` chooses. If the cluster was not opened, that is the
    /// one.
    pub(super) fn unread_objects<'s>(
        &'s self,
        select: impl Fn(&'s ClusterSnapshot) -> Vec<Option<&'s Unread>>,
    ) -> Vec<String> {
        match (&self.cluster_objects, &self.cluster) {
            (Some(Ok(objects)), _) => {
                select(objects).into_iter().flatten().map(Unread::description).collect()
            }
            (Some(Err(unread)), _) => vec![unread.description()],
            (None, Err(why)) => vec![why.clone()],
            (None, Ok(_)) => vec!["the API server of the cluster was not asked".to_owned()],
        }
    }

    /// Returns the number of objects read, by kind.
    pub(super) fn read_counts(&self) -> Vec<(usize, &'static str)> {
        let mut read_counts = vec![(
            [self.group.is_ok(), self.cluster.is_ok(), self.vault.is_ok(), self.stored.is_ok()]
                .iter()
                .filter(|is| **is)
                .count(),
            "resource",
        )];
        if let Some(cluster_objects) = self.cluster_objects() {
            read_counts.extend(cluster_objects.counts());
        }
        read_counts.push((self.external.len(), "request from outside"));
        if let Some((published, _, Ok(Some(_)))) = &self.names {
            read_counts.push((published.records.len(), "DNS record"));
        }
        read_counts.retain(|(count, _)| *count > 0);
        read_counts
    }
}

/// A managed identity, and the service accounts that it trusts.
pub(super) struct ManagedIdentity {
    pub(super) name: String,
    /// The principal of its role assignments.
    pub(super) object_id: String,
    /// The id in a SecretProviderClass.
    pub(super) client_id: String,
    pub(super) credentials: Vec<FederatedCredential>,
}

async fn managed_identity(
    azure: &SubscriptionClient,
    environment: &Environment,
) -> Result<Option<ManagedIdentity>, ApiError> {
    let Some(name) = &environment.identity_name else { return Ok(None) };
    let id = azure.identity_id(&environment.resource_group, name);
    let (body, credentials) =
        futures::join!(azure.arm().get(&id, arm_identity::API), azure.federated_credentials(&id));
    let Some(body) = body? else { return Ok(None) };
    Ok(Some(ManagedIdentity {
        name: name.clone(),
        object_id: text(&body, "/properties/principalId").to_owned(),
        client_id: text(&body, "/properties/clientId").to_owned(),
        credentials: absent(credentials)?.unwrap_or_default(),
    }))
}

/// The published records, the zone, and its current records.
pub(super) type Names = Option<(PublishedRecords, Zone, Read<Option<Vec<Record>>>)>;

async fn zone(azure: &SubscriptionClient, published: Option<PublishedRecords>, max: Duration) -> Names {
    let published = published?;
    let zone = published.zone.clone()?;
    let request = async { absent(azure.records(&zone).await) };
    let records = read(&format!("the zone {}", zone.name), max, request).await;
    Some((published, zone, records))
}

/// Returns the fields of the cluster that opening it needs, without a check of its health.
fn ready(body: &Value) -> ReadyCluster {
    let properties = &body["properties"];
    let fqdn = text(properties, "/fqdn").to_owned();
    let identity = &properties["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"];
    ReadyCluster {
        id: text(body, "/id").to_owned(),
        name: text(body, "/name").to_owned(),
        uid: properties["resourceUID"].as_str().map_or_else(|| fqdn.clone(), str::to_owned),
        fqdn,
        version: text(properties, "/currentKubernetesVersion").to_owned(),
        secrets: AddOnIdentity {
            client_id: text(identity, "/clientId").to_owned(),
            object_id: text(identity, "/objectId").to_owned(),
        },
    }
}
