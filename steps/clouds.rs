//! The clients that the steps work with, made once per run.

use landfall_cloud::{
    ApiError, Carrier, Endpoints, Meter, Secret, arm::Azure, kubernetes::Cluster, vault::Vaults,
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

use crate::cluster_ready::ReadyCluster;

/// Every client a step may need.
#[derive(Clone)]
pub struct Clouds {
    /// Azure Resource Manager, with the subscription chosen.
    pub azure: Azure,
    /// The data planes of the vaults.
    pub vaults: Vaults,
    /// The Kubernetes APIs of the clusters.
    pub clusters: Clusters,
}

/// The Kubernetes APIs, opened on first use with the credential that Azure hands out.
///
/// The credential stays in memory: the user's own kubeconfig is never read for landfall's work, so
/// whatever its current context is, nothing is sent there.
#[derive(Clone)]
pub struct Clusters {
    azure: Azure,
    carrier: Option<Arc<dyn Carrier>>,
    meter: Meter,
    pace: f64,
    /// By the cluster's own UID: a cluster made anew under the same name is another one.
    open: Arc<Mutex<HashMap<String, Opened>>>,
}

/// An opened cluster.
#[derive(Clone)]
pub struct Opened {
    /// Its API.
    pub api: Cluster,
    /// The kubeconfig as handed out.
    pub kubeconfig: Arc<Secret<String>>,
    /// The UID of `kube-system`, which tells clusters apart that bear one name.
    pub uid: String,
}

impl Clusters {
    /// Returns no open cluster yet; `endpoints` say how clusters are reached and how fast the cloud is.
    #[must_use]
    pub fn new(azure: Azure, endpoints: &Endpoints, meter: Meter) -> Self {
        let carrier = endpoints.carrier.clone();
        Self { azure, carrier, meter, pace: endpoints.pace, open: Arc::default() }
    }

    /// Returns what Azure says of a cluster; `None` when it is gone.
    pub(crate) async fn body(&self, cluster: &ReadyCluster) -> Result<Option<Value>, ApiError> {
        self.azure.arm().get(&cluster.id, landfall_cloud::arm::cluster::API).await
    }

    /// Opens a cluster, or returns the one that is open. Concurrent callers share one sign-in.
    ///
    /// # Errors
    /// Whatever the credential request or the first look at the cluster ran into.
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
