//! An environment as plain data: the names and objects that its settings select, and the resources that its
//! journal records. A diagnosis compares it with the live state.

use crate::{ReadyCluster, Roots, arm::Zone, kubernetes::manifest::Manifest};

/// The description of an environment.
#[derive(Clone)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// The Azure region in its programmatic name.
    pub location: String,
    /// The resource group.
    pub resource_group: String,
    /// The name of the cluster.
    pub cluster_name: String,
    /// The name of the vault.
    pub vault_name: String,
    /// The name of the certificate in the vault.
    pub certificate_name: String,
    /// The name of the managed identity that reads the vault; `None` if the add-on's identity reads it.
    pub identity_name: Option<String>,
    /// The resource providers that its resources need.
    pub providers: Vec<String>,
    /// The key of the ownership mark in the metadata of a DNS record.
    pub owner_key: String,
    /// The TLS Secret that landfall syncs from the vault.
    pub tls_secret: ObjectKey,
    /// The desired workloads.
    pub apps: Vec<Manifest>,
    /// The desired Gateways and HTTPRoutes.
    pub gateways: Vec<Manifest>,
    /// The desired SecretProviderClass and sync workload; empty until cluster, vault and certificate are
    /// recorded.
    pub tls: Vec<Manifest>,
    /// True if the journal records a resource or an accepted operation.
    pub is_recorded: bool,
    /// The recorded cluster.
    pub cluster: Option<ReadyCluster>,
    /// The recorded vault.
    pub vault: Option<VaultRef>,
    /// The recorded certificate.
    pub certificate: Option<CertificateRef>,
    /// The authorities to which the certificate must lead; `None` if only the vault vouches for it.
    pub certificate_roots: Option<Roots>,
    /// The recorded DNS records.
    pub published: Option<PublishedRecords>,
}

/// The namespace and the name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A reference to a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRef {
    /// Its name.
    pub name: String,
    /// The URI of its data plane.
    pub uri: String,
    /// The tenant whose identities it trusts.
    pub tenant: String,
}

/// A reference to a version of a certificate in a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRef {
    /// Its name in the vault.
    pub name: String,
    /// The vault's version, 32 hex digits.
    pub version: String,
}

/// DNS records that landfall published or printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedRecords {
    /// The zone of the records; `None` if landfall manages no zone.
    pub zone: Option<Zone>,
    /// Every host with its address.
    pub records: Vec<(String, String)>,
}
