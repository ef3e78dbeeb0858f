//! The validated settings: the types guarantee their validity.
//!
//! `src/settings` layers flags, environment, file and defaults into this; the steps only read it.

use crate::{
    certificate::certificate_hosts, graph::StepTables, identity_mode::IdentityMode, operator::ListenerTls,
    preflight::PreflightCheckId,
};
use ipnet::Ipv4Net;
use landfall_cloud::{certificate::Material, kubernetes::manifest::Manifest};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::PathBuf,
    sync::Arc,
};

/// The settings of one environment.
#[derive(Clone)]
pub struct Settings {
    /// The environment's name: it names the state folder and is part of the journal's key.
    pub environment: String,
    /// The parent domain of every host name, lower case, without a trailing dot.
    pub domain: String,
    /// An Azure region in its programmatic name, `eastus`.
    pub location: String,
    /// The resource group, 1–90 characters.
    pub resource_group: String,
    /// The resource group that AKS creates for the nodes, at most 80 characters and not the resource group.
    pub node_resource_group: String,
    /// The tags of all resources that support tags.
    pub tags: BTreeMap<String, String>,
    /// The network.
    pub network: Network,
    /// The vault's name; derived from subscription and group if it is not configured.
    pub key_vault: Option<String>,
    /// The identity with which the sync workload reads the vault; `None` if it is not configured: see
    /// [`identity_mode::resolve`](crate::identity_mode::resolve). Without a decision it is the default.
    pub identity: Option<IdentityMode>,
    /// The name of the managed identity; derived from the cluster's name if it is not configured.
    pub identity_name: Option<String>,
    /// The certificate.
    pub certificate: Certificate,
    /// The cluster.
    pub cluster: Cluster,
    /// The DNS zone of the records.
    pub dns: Dns,
    /// The split between the two echo versions.
    pub canary: Canary,
    /// The kubeconfig file to merge into.
    pub kubeconfig: PathBuf,
    /// The environment's state folder, which contains the files of steps beside the journal.
    pub state_folder: PathBuf,
    /// The manifests to apply, `__DOMAIN_NAME__` not yet filled in; `None` means the built-in set.
    pub manifests: Option<Arc<Vec<Manifest>>>,
    /// The skipped preflight checks.
    pub skip_preflight: BTreeSet<PreflightCheckId>,
    /// The objects that are deleted and recreated if an immutable field must change.
    pub replace_objects: Vec<ObjectName>,
    /// The tables that the steps declare.
    pub tables: StepTables,
}

/// The name of an object in the cluster, in the command-line syntax: `deployment/web`, or
/// `deployment/shop/web` with its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    kind: String,
    namespace: String,
    name: String,
}

impl ObjectName {
    /// Returns the name of an object; one without a namespace counts as one of `default`.
    #[must_use]
    pub fn new(kind: &str, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.unwrap_or("default").to_owned();
        Self { kind: kind.to_ascii_lowercase(), namespace, name: name.to_owned() }
    }

    /// Parses `KIND/NAME` or `KIND/NAMESPACE/NAME`; the kind's case does not matter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            _ if parts.iter().any(|part| part.is_empty()) => None,
            [kind, name] => Some(Self::new(kind, None, name)),
            [kind, namespace, name] => Some(Self::new(kind, Some(namespace), name)),
            _ => None,
        }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "default" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.kind, self.name),
        }
    }
}

/// The virtual network and the subnet of the nodes.
#[derive(Clone, Debug)]
pub struct Network {
    /// 2–64 characters.
    pub name: String,
    /// 1–80 characters.
    pub subnet: String,
    /// The network's range.
    pub address_space: Ipv4Net,
    /// The subnet's range, inside the network's.
    pub subnet_prefix: Ipv4Net,
}

/// The certificate that the gateways serve.
#[derive(Clone)]
pub struct Certificate {
    /// Its name in the vault, 1–127 of `[0-9A-Za-z-]`.
    pub name: String,
    /// The user's PFX, opened and checked; `None` means self-signed for the domain and `*.domain`.
    pub given: Option<Arc<Material>>,
    /// The settings of an ACME server; `None` if no server issues the certificate.
    pub acme: Option<Arc<crate::certificate::acme::Acme>>,
    /// The renewal of a certificate that is still valid; `None` means never.
    pub renewal: Option<Renewal>,
}

/// The condition under which an owned, still valid certificate is replaced. A given PFX decides by itself: it
/// is imported if it differs from the vault's certificate, and never if it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Immediately: a rotation is requested.
    Now,
    /// If fewer days than this are left. Only landfall's own self-signed certificates can be renewed like
    /// this.
    WhenLeft(i64),
}

/// The AKS cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// 1–63 characters.
    pub name: String,
    /// `1.35` or `1.35.2`; `None` means the newest that the region offers.
    pub version: Option<String>,
    /// The initial number of nodes.
    pub nodes: u32,
    /// The virtual machine size.
    pub node_size: String,
    /// The autoscaler's lower bound.
    pub nodes_min: u32,
    /// The autoscaler's upper bound.
    pub nodes_max: u32,
    /// The services' range, outside the network's.
    pub service_cidr: Ipv4Net,
    /// The cluster DNS's address, inside the services' range and not its first.
    pub dns_service_ip: Ipv4Addr,
    /// True if an owned cluster that cannot be repaired is recreated, unless it contains foreign objects.
    pub replace: bool,
}

/// The DNS zone.
#[derive(Clone, Debug)]
pub struct Dns {
    /// The zone; `None` means the domain, or the nearest zone above it in the subscription.
    pub zone: Option<String>,
    /// The zone's resource group, if several zones have the name.
    pub resource_group: Option<String>,
    /// The publisher of the records.
    pub publish: Publisher,
}

/// The party that publishes the records of the gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publisher {
    /// Landfall itself.
    #[default]
    Landfall,
    /// ExternalDNS in the cluster, which the operator of application routing runs.
    Operator,
    /// The user, from the printed table.
    Table,
}

/// The split of `echo.<domain>`; the two add up to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Percentage of requests to the stable version.
    pub stable: u8,
    /// Percentage of requests to the canary.
    pub canary: u8,
}

impl Settings {
    /// Returns whether the operator of application routing provides the certificates of the listeners.
    pub(crate) fn has_operator_tls(&self) -> bool {
        self.tables.gateway.tls == ListenerTls::Operator
    }

    /// Returns whether ExternalDNS publishes the records.
    pub(crate) fn has_operator_records(&self) -> bool {
        self.dns.publish == Publisher::Operator
    }

    /// Returns whether the environment needs a managed identity.
    pub(crate) fn needs_identity(&self) -> bool {
        self.uses_workload_identity() || self.has_operator_records()
    }

    /// Returns whether the sync workload, or the operator in its place, reads the vault with an identity of its own.
    pub(crate) fn uses_workload_identity(&self) -> bool {
        self.has_operator_tls() || self.identity.unwrap_or_default() == IdentityMode::Workload
    }

    /// Returns the hosts that the certificate must cover, in display order.
    pub fn hosts(&self) -> Vec<String> {
        Self::hosts_of(&self.domain, self.manifests.as_deref().map(Vec::as_slice))
    }

    /// Returns the same for a domain and a folder, to check a certificate before there are settings. Without a
    /// folder it is the built-in set.
    pub fn hosts_of(domain: &str, manifests: Option<&[Manifest]>) -> Vec<String> {
        certificate_hosts(&crate::manifests::filled(domain, manifests))
    }
}

/// The extent of `down`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Teardown {
    /// Purges the deleted vault too, which is irreversible.
    pub purge: bool,
    /// Starts the long deletions and leaves their end to a later run.
    pub no_wait: bool,
    /// Deletes an owned cluster together with its foreign objects.
    pub with_foreign: bool,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A whole environment, for tests of derived values.
    pub(crate) fn settings() -> Settings {
        Settings {
            environment: "default".to_owned(),
            domain: "demo.example.com".to_owned(),
            location: "eastus".to_owned(),
            resource_group: "rg-demo".to_owned(),
            node_resource_group: "rg-demo-nodes".to_owned(),
            tags: BTreeMap::new(),
            network: Network {
                name: "vnet-demo".to_owned(),
                subnet: "snet-aks".to_owned(),
                address_space: "10.0.0.0/16".parse().unwrap(),
                subnet_prefix: "10.0.0.0/22".parse().unwrap(),
            },
            key_vault: None,
            identity: None,
            identity_name: None,
            certificate: Certificate {
                name: "gateway-tls-cert".to_owned(),
                given: None,
                acme: None,
                renewal: None,
            },
            cluster: Cluster {
                name: "aks-demo".to_owned(),
                version: None,
                nodes: 2,
                node_size: "Standard_D4s_v5".to_owned(),
                nodes_min: 1,
                nodes_max: 3,
                service_cidr: "10.1.0.0/16".parse().unwrap(),
                dns_service_ip: "10.1.0.10".parse().unwrap(),
                replace: false,
            },
            dns: Dns { zone: None, resource_group: None, publish: Publisher::Landfall },
            canary: Canary { stable: 90, canary: 10 },
            kubeconfig: PathBuf::from("kubeconfig"),
            state_folder: PathBuf::from("state"),
            manifests: None,
            skip_preflight: BTreeSet::new(),
            replace_objects: Vec::new(),
            tables: StepTables::default(),
        }
    }

    #[test]
    fn an_object_is_named_by_kind_namespace_and_name() {
        let parse = |text: &str| ObjectName::parse(text).map(|name| name.to_string());
        assert_eq!(parse("Deployment/web").as_deref(), Some("deployment/web"));
        assert_eq!(parse("deployment/default/web").as_deref(), Some("deployment/web"));
        assert_eq!(parse("Job/shop/seed").as_deref(), Some("job/shop/seed"));
        for wrong in ["web", "/web", "deployment/", "a/b/c/d", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_hosts_of_the_built_in_set_are_below_the_domain() {
        let hosts =
            ["httpbin", "echo", "echo-headers", "app"].map(|label| format!("{label}.demo.example.com"));
        assert_eq!(settings().hosts(), hosts);
    }
}
