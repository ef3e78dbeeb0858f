//! The clients of one run, and the clusters that it has opened.

use crate::{
    ApiError, Clock, Endpoints, RequestCounter, Secret, Transport,
    acme::Acme,
    arm::{self, SubscriptionClient},
    kubernetes::{Cluster, ClusterOrigin, Connection, ProxyRules},
    sync_diagnosis::SyncDiagnosis,
    vault::Vaults,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

/// All clients that a step or a diagnosis may need.
#[derive(Clone)]
pub struct Clients {
    /// Azure Resource Manager, with the selected subscription.
    pub azure: SubscriptionClient,
    /// The data planes of the vaults.
    pub vaults: Vaults,
    /// The ACME servers, and the name servers in which they validate.
    pub acme: Acme,
    /// The Kubernetes APIs of the clusters.
    pub clusters: Clusters,
    /// The diagnosis of a stalled certificate sync.
    pub sync_diagnosis: Arc<dyn SyncDiagnosis>,
}

impl Clients {
    /// Returns the clock of the cloud.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.acme.clock()
    }
}

/// A usable cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyCluster {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The UID that distinguishes it from an earlier cluster of the same name.
    pub uid: String,
    /// The host name of its API.
    pub fqdn: String,
    /// The patch version it runs.
    pub version: String,
    /// The identity of the Secrets Store add-on.
    pub secrets: AddOnIdentity,
}

/// The managed identity that AKS created for an add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddOnIdentity {
    /// The id by which the CSI driver refers to it.
    pub client_id: String,
    /// The principal of its role assignments.
    pub object_id: String,
}

/// The Kubernetes APIs, opened on first use with the credential that Azure returns.
///
/// The credential stays in memory. Landfall's requests never use the user's kubeconfig, so its current
/// context has no effect.
#[derive(Clone)]
pub struct Clusters {
    azure: SubscriptionClient,
    transport: Option<Arc<dyn Transport>>,
    request_counter: RequestCounter,
    time_scale: f64,
    proxies: ProxyRules,
    /// The open clusters by UID: a recreated cluster with the same name is a different one.
    open: Arc<Mutex<HashMap<String, ClusterSession>>>,
}

/// An open cluster.
#[derive(Clone)]
pub struct ClusterSession {
    /// Its API.
    pub api: Cluster,
    /// The kubeconfig that Azure returned.
    pub kubeconfig: Arc<Secret<String>>,
    /// The UID of `kube-system`, which distinguishes clusters with the same name.
    pub uid: String,
}

impl Clusters {
    /// Returns an empty set; `endpoints` contains the transport to clusters and the time scale.
    #[must_use]
    pub fn new(azure: SubscriptionClient, endpoints: &Endpoints, request_counter: RequestCounter) -> Self {
        let transport = endpoints.transport.clone();
        // As for Resource Manager: no proxy reaches a cloud on this machine.
        let proxies = match endpoints.is_loopback() {
            true => ProxyRules::default(),
            false => ProxyRules::from_environment(),
        };
        let (time_scale, open) = (endpoints.time_scale, Arc::default());
        Self { azure, transport, request_counter, time_scale, proxies, open }
    }

    /// Returns the cluster from Resource Manager; `None` if it does not exist.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn body(&self, cluster: &ReadyCluster) -> Result<Option<Value>, ApiError> {
        self.azure.arm().get(&cluster.id, arm::cluster::API).await
    }

    /// Opens a cluster, or returns the open one. Concurrent callers share one sign-in.
    ///
    /// # Errors
    /// Returns the error of the credential request or of the first request to the cluster.
    pub async fn open(&self, cluster: &ReadyCluster) -> Result<ClusterSession, ApiError> {
        let mut open = self.open.lock().await;
        if let Some(session) = open.get(&cluster.uid) {
            return Ok(session.clone());
        }
        let kubeconfig = self.azure.cluster_credential(&cluster.id).await?;
        let connection = Connection {
            transport: self.transport.clone(),
            proxies: self.proxies.clone(),
            origin: Some(ClusterOrigin::new(&self.azure, &cluster.id)),
        };
        let api =
            Cluster::connect_over(&kubeconfig, connection, &self.request_counter, self.time_scale).await?;
        let uid = api.uid().await?;
        let session = ClusterSession { api, kubeconfig: Arc::new(kubeconfig), uid };
        open.insert(cluster.uid.clone(), session.clone());
        Ok(session)
    }
}
