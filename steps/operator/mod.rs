//! Operator mode: the operator of application routing provides the certificates of listeners (`gateway.tls`) or
//! publishes the records of the gateways (`dns.publish`).
//!
//! It runs outside of the cluster and writes no status, so that its readiness shows in its objects, in what the gateways
//! serve, and in the zone. It signs in with landfall's managed identity, through an annotated service account.

pub mod certificate;
pub mod external_dns;
pub(crate) mod listeners;
pub(crate) mod switch;
pub mod zone_access;

use schemars::JsonSchema;
use serde::Deserialize;

/// The gateways.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct GatewayTable {
    /// The provider of the listeners' certificate: "landfall", or "operator" for the operator of application routing,
    /// which reads it from the vault with a managed identity.
    #[schemars(with = "String", extend("default" = "landfall", "enum" = ["landfall", "operator"]))]
    pub tls: ListenerTls,
}

/// The provider of the listeners' certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerTls {
    /// A SecretProviderClass and a sync workload of landfall.
    #[default]
    Landfall,
    /// The operator of application routing.
    Operator,
}
