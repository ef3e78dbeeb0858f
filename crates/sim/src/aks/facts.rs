//! What the controllers must know about the cluster they live in, and how they reach its vaults.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// What Resource Manager decided about a cluster, as far as the inside of the cluster depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Name of the managed cluster.
    pub cluster: String,
    /// Region, `eastus`.
    pub location: String,
    /// Subscription id.
    pub subscription: String,
    /// Tenant id.
    pub tenant: String,
    /// The group AKS keeps the nodes in, `MC_<group>_<cluster>_<region>`.
    pub node_resource_group: String,
    /// Full version of the control plane, `1.34.2`.
    pub kubernetes_version: String,
    /// Number of nodes of all pools.
    pub nodes: u32,
    /// Name of the pool the nodes are in.
    pub node_pool: String,
    /// Size of the nodes' machines.
    pub vm_size: String,
    /// Address range of the nodes' subnet, in CIDR form.
    pub subnet: String,
    /// Is the managed Gateway API installation on (`ingressProfile.gatewayAPI.installation`)?
    pub gateway_api: bool,
    /// Is the Istio implementation of application routing on (`webAppRouting.gatewayAPIImplementations`)?
    pub istio: bool,
    /// The Key Vault secrets provider add-on; `None` when it is off.
    pub csi: Option<Csi>,
    /// Client id of the kubelet identity, which the nodes carry beside the add-on's.
    pub kubelet_client_id: Option<String>,
    /// DNS suffix of the vaults, without a leading dot.
    pub vault_suffix: String,
    /// How many public addresses load balancers may hold at once; `None` for no limit.
    pub public_ip_quota: Option<u32>,
}

impl Default for Facts {
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
            csi: None,
            kubelet_client_id: None,
            vault_suffix: "vault.azure.net".into(),
            public_ip_quota: None,
        }
    }
}

impl Facts {
    /// Returns the minor version, 34 for `1.34.2`; 34 when the version cannot be read.
    pub fn minor(&self) -> u32 {
        self.kubernetes_version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(34)
    }
}

/// The Key Vault secrets provider add-on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Csi {
    /// Client id of the identity the add-on brought.
    pub client_id: String,
    /// Object id of that identity: what roles are assigned to.
    pub object_id: String,
    /// Resource id of that identity.
    pub identity_resource_id: String,
    /// Cloud seconds between two looks for new versions; `None` when rotation is off.
    pub rotation_seconds: Option<f64>,
}

/// One version of an object as the vault hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultObject {
    /// Version of the object, 32 hexadecimal digits.
    pub version: String,
    /// Content type of a secret, `application/x-pkcs12` or `application/x-pem-file`; empty otherwise.
    pub content_type: String,
    /// A secret: its value as the REST page gives it (a PFX in base64, or PEM). A certificate: the leaf in DER.
    /// A key: its SubjectPublicKeyInfo in DER.
    pub value: Vec<u8>,
}

/// The vault's answer when it refuses. Status 0 means that its name does not resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRefusal {
    /// HTTP status.
    pub status: u16,
    /// `error.code` of the answer.
    pub code: String,
    /// The answer's body.
    pub body: String,
}

/// The vaults as the nodes of a cluster see them.
pub trait Vaults {
    /// Reads an object with the identity of that client id, as the vault would answer at that moment.
    ///
    /// `object_type` is `secret`, `cert` or `key`; no `version` asks for the current one.
    ///
    /// # Errors
    /// The refusal, as the data plane words it.
    fn read(
        &self,
        at: Moment,
        vault: &str,
        client_id: &str,
        object_type: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<VaultObject, VaultRefusal>;

    /// Returns the next moment after `after` at which an answer may change by itself: a role taking effect.
    fn grant_due(&self, after: Moment) -> Option<Moment>;
}
