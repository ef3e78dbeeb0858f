//! Facts about the cluster that its controllers depend on, and their access to its vaults.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::SimTime;

/// The properties of the managed cluster on which the objects inside it depend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterInfo {
    /// The name of the managed cluster.
    pub cluster: String,
    /// The region, `eastus`.
    pub location: String,
    /// The subscription id.
    pub subscription: String,
    /// The tenant id.
    pub tenant: String,
    /// The node resource group, `MC_<group>_<cluster>_<region>`.
    pub node_resource_group: String,
    /// The full version of the control plane, `1.34.2`.
    pub kubernetes_version: String,
    /// The number of nodes in all pools.
    pub nodes: u32,
    /// The name of the node pool.
    pub node_pool: String,
    /// The VM size of the nodes.
    pub vm_size: String,
    /// The address range of the nodes' subnet in CIDR notation.
    pub subnet: String,
    /// True if the managed Gateway API installation is enabled (`ingressProfile.gatewayAPI.installation`).
    pub gateway_api: bool,
    /// True if the Istio implementation of application routing is enabled
    /// (`webAppRouting.gatewayAPIImplementations`).
    pub istio: bool,
    /// True if workload identity is enabled (`securityProfile.workloadIdentity`).
    pub workload_identity: bool,
    /// The operator of application routing (`webAppRouting.enabled`); `None` if it is disabled.
    pub app_routing: Option<AppRouting>,
    /// The Key Vault secrets provider add-on; `None` if it is disabled.
    pub csi: Option<Csi>,
    /// The client id of the kubelet identity, which the nodes have besides that of the add-on.
    pub kubelet_client_id: Option<String>,
    /// The DNS suffix of the vaults, without a leading dot.
    pub vault_suffix: String,
    /// The maximum number of public addresses for load balancers; `None` for no limit.
    pub public_ip_quota: Option<u32>,
    /// The repositories of images whose containers a runtime outside of the simulation runs. They are known only while it
    /// runs.
    #[serde(skip)]
    pub images: BTreeSet<String>,
}

impl Default for ClusterInfo {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            location: String::new(),
            subscription: String::new(),
            tenant: String::new(),
            node_resource_group: String::new(),
            kubernetes_version: "1.34.2".into(),
            nodes: 0,
            node_pool: "nodepool1".into(),
            vm_size: "Standard_D2s_v5".into(),
            subnet: "10.224.0.0/16".into(),
            gateway_api: false,
            istio: false,
            workload_identity: false,
            app_routing: None,
            csi: None,
            kubelet_client_id: None,
            vault_suffix: "vault.azure.net".into(),
            public_ip_quota: None,
            images: BTreeSet::new(),
        }
    }
}

impl ClusterInfo {
    /// Returns the minor version, 34 for `1.34.2`; 34 if the version is malformed.
    pub fn minor(&self) -> u32 {
        self.kubernetes_version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(34)
    }
}

/// The settings of the application routing operator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppRouting {
    /// The type of the NGINX that the add-on creates (`nginx.defaultIngressControllerType`).
    pub default_nginx: String,
    /// The id of the cluster, from which the owner ids of records derive.
    pub owner_id: String,
}

/// The Key Vault secrets provider add-on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Csi {
    /// The client id of the add-on's identity.
    pub client_id: String,
    /// The object id of that identity, for role assignments.
    pub object_id: String,
    /// The resource id of that identity.
    pub identity_resource_id: String,
    /// The rotation poll interval in seconds of cloud time; `None` if rotation is disabled.
    pub rotation_seconds: Option<f64>,
}

/// One version of an object from the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultObject {
    /// The version of the object, 32 hexadecimal digits.
    pub version: String,
    /// The content type of a secret, `application/x-pkcs12` or `application/x-pem-file`; empty otherwise.
    pub content_type: String,
    /// The value. Of a secret: its text as documented for the REST API (a PFX in base64, or PEM). Of a
    /// certificate: the leaf in DER. Of a key: its SubjectPublicKeyInfo in DER.
    pub value: Vec<u8>,
}

/// An error response of the vault. Status 0 means that its name does not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultReadError {
    /// The HTTP status.
    pub status: u16,
    /// The `error.code` of the response.
    pub code: String,
    /// The body of the response.
    pub body: String,
}

/// The sign-in of a pod as an identity: the claims of its service account's token, and the identity.
#[derive(Debug, Clone, Copy)]
pub struct TokenExchange<'a> {
    /// The tenant that is asked.
    pub tenant: &'a str,
    /// The client id of the identity.
    pub client_id: &'a str,
    /// The issuer of the token.
    pub issuer: &'a str,
    /// The subject of the token, `system:serviceaccount:<namespace>:<name>`.
    pub subject: &'a str,
    /// The audience of the token.
    pub audience: &'a str,
}

/// An error response of the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenExchangeError {
    /// The address of the endpoint.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The body of the response.
    pub body: String,
}

/// Access of a cluster's nodes to the token endpoint and to the vaults.
pub trait VaultReader {
    /// Exchanges a token that this cluster issued for one of an identity.
    ///
    /// # Errors
    /// The error response of the token endpoint.
    fn exchange(&self, at: SimTime, wanted: TokenExchange<'_>) -> Result<(), TokenExchangeError>;

    /// Reads an object with the identity of that client id, at that time.
    ///
    /// `object_type` is `secret`, `cert` or `key`; without `version` it reads the current one.
    ///
    /// # Errors
    /// The error response of the data plane.
    fn read(
        &self,
        at: SimTime,
        vault: &str,
        client_id: &str,
        object_type: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<VaultObject, VaultReadError>;

    /// Returns the next time after `after` at which a response may change on its own: a role assignment or a
    /// federated credential takes effect.
    fn grant_due(&self, after: SimTime) -> Option<SimTime>;

    /// Returns the time up to which nothing outside of the cluster changes, if it is known to be later than now.
    fn quiet_until(&self) -> Option<SimTime> {
        None
    }
}
