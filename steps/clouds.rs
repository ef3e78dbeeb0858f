//! The clients of the steps, created once per run.

use landfall_cloud::{
    ApiError, Carrier, Endpoints, Meter, Secret, arm::Azure, kubernetes::Cluster, vault::Vaults,
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

use crate::cluster_ready::ReadyCluster;

/// All clients that a step may need.
#[derive(Clone)]
pub struct Clouds {
    /// Azure Resource Manager, with the selected subscription.
    pub azure: Azure,
    /// The data planes of the vaults.
    pub vaults: Vaults,
    /// The Kubernetes APIs of the clusters.
    pub clusters: Clusters,
}

/// The Kubernetes APIs, opened on first use with the credential that Azure returns.
///
/// The credential stays in memory. Landfall's requests never use the user's kubeconfig, so its current
/// context has no effect.
#[derive(Clone)]
pub struct Clusters {
    azure: Azure,
    carrier: Option<Arc<dyn Carrier>>,
    meter: Meter,
    pace: f64,
    /// The open clusters by UID: a recreated cluster with the same name is a different one.
    open: Arc<Mutex<HashMap<String, Opened>>>,
}

/// An open cluster.
#[derive(Clone)]
pub struct Opened {
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
    pub fn new(azure: Azure, endpoints: &Endpoints, meter: Meter) -> Self {
        let carrier = endpoints.carrier.clone();
        Self { azure, carrier, meter, pace: endpoints.pace, open: Arc::default() }
    }

    /// Returns the cluster from Resource Manager; `None` if it does not exist.
    pub(crate) async fn body(&self, cluster: &ReadyCluster) -> Result<Option<Value>, ApiError> {
        self.azure.arm().get(&cluster.id, landfall_cloud::arm::cluster::API).await
    }

    /// Opens a cluster, or returns the open one. Concurrent callers share one sign-in.
    ///
    /// # Errors
    /// Returns the error of the credential request or of the first request to the cluster.
    pub async fn open(&self, cluster: &ReadyCluster) -> Result<Opened, ApiError> {
        let mut open = self.open.lock().await;
        if let Some(opened) = open.get(&cluster.uid) {
            return Ok(opened.clone());
        }
        let kubeconfig = self.azure.cluster_credential(&cluster.id).await?;
        let api = Cluster::connect(&kubeconfig, self.carrier.clone(), &self.meter, self.pace).await?;
        let uid = api.uid().await?;
        let opened = Opened { api, kubeconfig: Arc::new(kubeconfig), uid };
        open.insert(cluster.uid.clone(), opened.clone());
        Ok(opened)
    }
}
