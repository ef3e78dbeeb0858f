//! AKS clusters, their credentials, and the Kubernetes versions that a region offers.

use super::{Condition, SubscriptionClient, WriteResult};
use crate::{ApiError, ApiErrorKind, Secret};
use base64::Engine;
use serde_json::Value;

/// The api-version of managed clusters; the Gateway API fields are stable from 2026-02-01 on.
pub const API: &str = "2026-06-01";

/// A minor version that a region offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesVersion {
    /// `1.36`.
    pub version: String,
    /// Every plan that supports it; `KubernetesOfficial` means any tier may use it.
    pub plans: Vec<String>,
    /// The version that the region uses if the request names none.
    pub is_default: bool,
    /// A preview version, not for production.
    pub is_preview: bool,
    /// Its patches, `1.36.2`.
    pub patches: Vec<String>,
}

impl KubernetesVersion {
    /// Returns whether clusters of every tier may run this version.
    #[must_use]
    pub fn is_community(&self) -> bool {
        self.plans.iter().any(|plan| plan == "KubernetesOfficial")
    }

    /// Returns the minor version as a number: 36 of `1.36`.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
    }

    fn from_body(body: &Value) -> Option<Self> {
        let plans = body["capabilities"]["supportPlan"].as_array();
        Some(Self {
            version: body["version"].as_str()?.to_owned(),
            plans: plans.into_iter().flatten().filter_map(|p| p.as_str().map(str::to_owned)).collect(),
            is_default: body["isDefault"].as_bool().unwrap_or_default(),
            is_preview: body["isPreview"].as_bool().unwrap_or_default(),
            patches: body["patchVersions"]
                .as_object()
                .map(|patches| patches.keys().cloned().collect())
                .unwrap_or_default(),
        })
    }
}

impl SubscriptionClient {
    /// Returns a cluster's id.
    #[must_use]
    pub fn cluster_id(&self, group: &str, name: &str) -> String {
        self.resource(group, "Microsoft.ContainerService/managedClusters", name)
    }

    /// Reads a cluster; `None` if it does not exist.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn cluster(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get(&self.cluster_id(group, name), API).await
    }

    /// Like [`SubscriptionClient::cluster`], for a check, see [`ArmClient::get_recent`](super::ArmClient::get_recent).
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn recent_cluster(&self, group: &str, name: &str) -> Result<Option<Value>, ApiError> {
        self.arm().get_recent(&self.cluster_id(group, name), API).await
    }

    /// Starts the creation or update of a cluster. An update must read the existing cluster, change it and
    /// put it whole: omitted blocks can be reset.
    /// <https://learn.microsoft.com/rest/api/aks/managed-clusters/create-or-update>
    ///
    /// # Errors
    /// 409 while another operation runs, 412 when the condition does not hold, 400 for what AKS refuses.
    pub async fn put_cluster(
        &self,
        group: &str,
        name: &str,
        body: &Value,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        self.arm().put(&self.cluster_id(group, name), API, body, condition).await
    }

    /// Starts the deletion of a cluster and of its node resource group.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn delete_cluster(&self, group: &str, name: &str) -> Result<WriteResult, ApiError> {
        self.arm().delete(&self.cluster_id(group, name), API).await
    }

    /// Fetches the user kubeconfig of a cluster.
    ///
    /// # Errors
    /// Any error of the request, and `Protocol` if the answer contains no kubeconfig.
    pub async fn cluster_credential(&self, id: &str) -> Result<Secret<String>, ApiError> {
        let path = format!("{id}/listClusterUserCredential");
        let kubeconfig = self.arm().query(&path, API, None).await?.as_ref().and_then(decode);
        kubeconfig.ok_or_else(|| ApiError::new(ApiErrorKind::Protocol, "the response contains no kubeconfig"))
    }

    /// Lists the Kubernetes versions a region offers, newest first.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn kubernetes_versions(&self, location: &str) -> Result<Vec<KubernetesVersion>, ApiError> {
        let path = self
            .path(&format!("/providers/Microsoft.ContainerService/locations/{location}/kubernetesVersions"));
        let response = self.arm().get(&path, API).await?.unwrap_or_default();
        let mut offered: Vec<KubernetesVersion> = response["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(KubernetesVersion::from_body)
            .collect();
        offered.sort_by_key(|version| std::cmp::Reverse(version.minor()));
        Ok(offered)
    }
}

/// Returns the first failed node pool. A cluster can be `Succeeded` in spite of one.
#[must_use]
pub fn failed_pool(body: &Value) -> Option<String> {
    let pools = body["properties"]["agentPoolProfiles"].as_array()?;
    pools.iter().find_map(|pool| {
        let state = pool["provisioningState"].as_str()?;
        let failed = ["Failed", "Canceled"].iter().any(|known| known.eq_ignore_ascii_case(state));
        failed.then(|| format!("its node pool {} is {state}", pool["name"].as_str().unwrap_or_default()))
    })
}

/// Returns whether the cluster is stopped: its API does not respond, and it rejects every change.
/// <https://learn.microsoft.com/azure/aks/start-stop-cluster>
#[must_use]
pub fn is_stopped(body: &Value) -> bool {
    body["properties"]["powerState"]["code"].as_str() == Some("Stopped")
}

fn decode(response: &Value) -> Option<Secret<String>> {
    let encoded = response["kubeconfigs"][0]["value"].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok().map(Secret::new)
}
