//! `landfall.toml`: its structure, without the meaning of its values.
//!
//! The doc comments are the descriptions in the JSON Schema that `landfall schema` prints. A step may declare a table
//! of its own, which is no field here: see [`landfall_steps::StepTables`].

use super::defaults;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Settings of one landfall environment. All are optional.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
#[schemars(title = "landfall.toml", deny_unknown_fields)]
pub struct File {
    /// The target cloud: the simulated cloud or Azure.
    #[schemars(extend("default" = "sim"))]
    pub cloud: Option<CloudName>,
    /// The subscription's id; by default that of the sign-in.
    pub subscription: Option<String>,
    /// The tenant's id; by default that of the sign-in.
    pub tenant: Option<String>,
    /// The sign-in method for Azure.
    #[schemars(extend("default" = "auto"))]
    pub auth: Option<AuthName>,
    /// The parent domain of the gateways' host names.
    #[schemars(extend("default" = defaults::DOMAIN))]
    pub domain: Option<String>,
    /// The Azure region, by its programmatic name.
    #[schemars(extend("default" = defaults::LOCATION))]
    pub location: Option<String>,
    /// The resource group of everything that landfall creates.
    #[schemars(extend("default" = defaults::RESOURCE_GROUP))]
    pub resource_group: Option<String>,
    /// The resource group that AKS creates for the nodes; by default the resource group's name and `-nodes`.
    pub node_resource_group: Option<String>,
    /// The identity with which the certificate is read from the vault: a managed identity that only the sync workload
    /// can use, or that of the Secrets Store add-on, which every pod on the nodes can use. By default, a new environment
    /// has the first, and an existing one keeps its own.
    #[schemars(extend("default" = "workload"))]
    pub identity: Option<IdentityName>,
    /// The name of the managed identity, for identity = "workload"; by default `id-` and the cluster's name.
    pub identity_name: Option<String>,
    /// Tags of all resources that support tags; they replace the default ones.
    pub tags: Option<BTreeMap<String, String>>,
    /// The kubeconfig to add the cluster to; relative to this file.
    pub kubeconfig: Option<String>,
    /// A folder of manifests that replace the built-in ones; relative to this file.
    pub manifests: Option<String>,
    /// The virtual network.
    pub network: Network,
    /// The key vault.
    pub key_vault: KeyVault,
    /// The certificate that the gateways serve.
    pub certificate: Certificate,
    /// The AKS cluster.
    pub cluster: Cluster,
    /// The DNS zone of the records.
    pub dns: Dns,
    /// The split between the two versions of echo.
    pub canary: Canary,
    /// The place of the journal, for environments that several people or machines share. By default it is in the state
    /// folder of this machine. LANDFALL_STATE, an address, replaces the whole table.
    pub state: State,
    /// The simulated cloud.
    pub sim: Sim,
    /// Endpoints other than those of public Azure, for a sovereign or private cloud. Only with cloud = "azure".
    /// Servers that belong to no Azure cloud receive credentials only when the file is named with --config, or after a yes.
    pub endpoints: Endpoints,
}

/// The target cloud.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum CloudName {
    Sim,
    Azure,
}

/// The sign-in method for Azure.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AuthName {
    Auto,
    Cli,
    ServicePrincipal,
    WorkloadIdentity,
    ManagedIdentity,
}

/// The identity with which the certificate is read from the vault.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum IdentityName {
    Workload,
    AddOn,
}

/// The virtual network.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Network {
    /// Its name.
    #[schemars(extend("default" = defaults::NETWORK))]
    pub name: Option<String>,
    /// The name of the nodes' subnet.
    #[schemars(extend("default" = defaults::SUBNET))]
    pub subnet: Option<String>,
    /// The network's range.
    #[schemars(extend("default" = defaults::ADDRESS_SPACE))]
    pub address_space: Option<String>,
    /// The subnet's range, inside the network's, with 31 addresses per node.
    #[schemars(extend("default" = defaults::SUBNET_PREFIX))]
    pub subnet_prefix: Option<String>,
}

/// The key vault.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct KeyVault {
    /// Its name, unique in all of Azure; by default derived from subscription and resource group.
    pub name: Option<String>,
}

/// The certificate that the gateways serve.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Certificate {
    /// Its name in the vault.
    #[schemars(extend("default" = defaults::CERTIFICATE))]
    pub name: Option<String>,
    /// Your own PFX file, relative to this file; by default a self-signed certificate is created.
    pub pfx: Option<String>,
    /// The PFX file's password; prefer SSL_PFX_PASSWORD or the prompt.
    pub password: Option<String>,
    /// Days before expiry from which `up` renews a certificate that landfall issued, "30d" or 30; by default never for a
    /// self-signed one, and at a third of its lifetime for one by ACME.
    pub renew_before: Option<Written>,
    /// The issuer, if there is no PFX file: landfall itself, or an ACME server whose certificates browsers trust.
    #[schemars(extend("default" = "self-signed"))]
    pub issuer: Option<IssuerName>,
    /// The ACME server and the order; only with issuer = "acme".
    pub acme: Acme,
}

/// The issuer of the certificate.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum IssuerName {
    SelfSigned,
    Acme,
}

/// The ACME server and the order; only with issuer = "acme".
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Acme {
    /// The server: "production" (Let's Encrypt), "staging", or the https address of a directory.
    #[schemars(extend("default" = "production"))]
    pub directory: Option<String>,
    /// A PEM file with the authorities of a private server, for its own TLS and for its certificates; relative to this
    /// file.
    pub root: Option<String>,
    /// The profile of the certificate, such as "tlsserver" or "shortlived"; by default the server's.
    pub profile: Option<String>,
    /// The names of the certificate; by default the domain and its wildcard.
    pub names: Option<Vec<String>>,
    /// The address for messages of the authority.
    pub email: Option<String>,
    /// The key id of an external account binding, which some authorities require.
    pub eab_kid: Option<String>,
    /// The key of the binding, in base64url; prefer ACME_EAB_KEY or a file.
    pub eab_key: Option<String>,
    /// A file with the key of the binding; relative to this file.
    pub eab_key_file: Option<String>,
    /// The wait for the DNS records: "600s" asks the name servers at most this long, "wait 120s" only waits.
    #[schemars(extend("default" = "600s"))]
    pub propagation: Option<String>,
    /// Run the first order at the staging server before the real one; by default only for "production".
    pub rehearse: Option<bool>,
    /// The place of the private key: "vault", which it never leaves, or "local", for vaults that create none.
    #[schemars(extend("default" = "vault"))]
    pub key: Option<KeyPlaceName>,
}

/// The place of the private key.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum KeyPlaceName {
    Vault,
    Local,
}

/// The AKS cluster.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Cluster {
    /// Its name.
    #[schemars(extend("default" = defaults::CLUSTER))]
    pub name: Option<String>,
    /// The Kubernetes version, "1.35" or "1.35.2"; by default the newest that the region offers.
    pub version: Option<String>,
    /// The initial number of nodes.
    #[schemars(extend("default" = defaults::NODES))]
    pub nodes: Option<u32>,
    /// The nodes' virtual machine size.
    #[schemars(extend("default" = defaults::NODE_SIZE))]
    pub node_size: Option<String>,
    /// The autoscaler's lower bound.
    #[schemars(extend("default" = defaults::NODES_MIN))]
    pub nodes_min: Option<u32>,
    /// The autoscaler's upper bound.
    #[schemars(extend("default" = defaults::NODES_MAX))]
    pub nodes_max: Option<u32>,
    /// The services' range, outside the network's.
    #[schemars(extend("default" = defaults::SERVICE_CIDR))]
    pub service_cidr: Option<String>,
    /// The cluster DNS's address, inside the services' range and not its first.
    #[schemars(extend("default" = defaults::DNS_SERVICE_IP))]
    pub dns_service_ip: Option<String>,
}

/// The DNS zone of the records.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Dns {
    /// The zone; by default the domain's, searched for in the whole subscription.
    pub zone: Option<String>,
    /// The zone's resource group, required if several zones have this name.
    pub resource_group: Option<String>,
    /// The publisher of the records: "landfall", "operator" for ExternalDNS in the cluster, or "table", which only prints
    /// the records to enter.
    #[schemars(extend("default" = "landfall"))]
    pub publish: Option<PublisherName>,
}

/// The publisher of the records.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum PublisherName {
    Landfall,
    Operator,
    Table,
}

/// The split between the two versions of echo; the sum is 100.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Canary {
    /// Percentage of requests to the stable version.
    #[schemars(extend("default" = defaults::STABLE))]
    pub stable: Option<u32>,
    /// Percentage of requests to the canary.
    #[schemars(extend("default" = defaults::CANARY))]
    pub canary: Option<u32>,
}

/// The place of the journal.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct State {
    /// The storage account; with cloud = "sim" an account of the simulated cloud.
    pub account: Option<String>,
    /// The container in it.
    #[schemars(extend("default" = "landfall"))]
    pub container: Option<String>,
    /// The path in the container above the environments, so that several teams can share it.
    pub prefix: Option<String>,
    /// The address of the blob service, in place of the account's usual one: `https://127.0.0.1:10000/devstoreaccount1`.
    pub endpoint: Option<String>,
    /// A PEM file with the only authorities to trust for that address; relative to this file.
    pub ca_file: Option<String>,
}

/// The simulated cloud.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Sim {
    /// The time scale: 1 for real time, 60 for sixty times faster, "instant" for no waiting.
    #[schemars(extend("default" = defaults::SPEED))]
    pub speed: Option<Written>,
    /// The seed of all randomness; by default a random one, which is printed.
    pub seed: Option<u64>,
    /// Faults to inject.
    pub faults: Option<Vec<String>>,
    /// DNS zones to create, so that names can be published and validated: "example.com".
    pub zones: Option<Vec<String>>,
    /// Programs of this machine that stand for images, so that pods of them really run: "registry.example/app=/usr/bin/app".
    /// Read only from a file that is named with --config.
    pub images: Option<Vec<String>>,
    /// The environment whose simulated cloud is used, while `landfall sim` serves it; by default the own one.
    pub environment: Option<String>,
}

/// Endpoints other than those of public Azure.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Endpoints {
    /// The sign-in authority, `https://login.microsoftonline.us`.
    pub login: Option<String>,
    /// The resource manager, `https://management.usgovcloudapi.net`.
    pub arm: Option<String>,
    /// The audience of resource manager tokens; by default the resource manager's address.
    pub arm_audience: Option<String>,
    /// The suffix of vault host names, `vault.usgovcloudapi.net`.
    pub vault_suffix: Option<String>,
    /// The audience of vault tokens; by default `https://` and the suffix.
    pub vault_audience: Option<String>,
    /// A PEM file with the only authorities to trust; relative to this file.
    pub ca_file: Option<String>,
}

/// A number or a string, stored as written and parsed by the sources: `60` or `instant`, `30` or `30d`.
pub struct Written(pub String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(from)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            other => Ok(Self(other.to_string())),
        }
    }
}

impl JsonSchema for Written {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Written".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"] })
    }
}
