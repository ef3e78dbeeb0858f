//! The wiring: every step and its dependencies. This screen is the program's structure.

use crate::{
    Clouds,
    apps::Apps,
    certificate::{Certificate, HeldCertificate},
    cluster::Cluster,
    cluster_ready::{ClusterReady, ReadyCluster},
    dns::{Dns, Published},
    features::Features,
    gateways::{Gateways, ProgrammedGateways},
    istio::Istio,
    key_vault::KeyVault,
    kubeconfig::{Kubeconfig, Merged},
    network::Network,
    preflight::Preflight,
    resource_group::ResourceGroup,
    settings::{Settings, Teardown},
    subnet_role::SubnetRole,
    tls_secret::TlsSecret,
    vault_access::VaultAccess,
    vault_officer::VaultOfficer,
};
use landfall_engine::{Graph, Handle};

/// The handles to the outputs that the commands read.
pub struct Handles {
    pub(crate) domain: String,
    pub(crate) cluster: Handle<ReadyCluster>,
    pub(crate) certificate: Handle<HeldCertificate>,
    pub(crate) kubeconfig: Handle<Merged>,
    pub(crate) gateways: Handle<ProgrammedGateways>,
    pub(crate) dns: Handle<Published>,
}

impl Handles {
    /// Returns the handle to the cluster.
    #[must_use]
    pub fn cluster(&self) -> Handle<ReadyCluster> {
        self.cluster
    }

    /// Returns the handle to the certificate in the vault.
    #[must_use]
    pub fn certificate(&self) -> Handle<HeldCertificate> {
        self.certificate
    }
}

/// Wires the steps of an environment. It sends no request and creates nothing.
#[must_use]
#[rustfmt::skip]
pub fn deployment(c: &Clouds, s: &Settings, teardown: &Teardown) -> (Graph, Handles) {
    let mut g = Graph::default();
    let clear    = g.add("preflight",      Preflight::new(c, s),             ());
    let features = g.add("features",       Features::new(c),                 clear.done());
    let group    = g.add("resource-group", ResourceGroup::new(c, s, teardown),        clear.done());
    let subnet   = g.add("network",        Network::new(c, s),               group);
    let vault    = g.add("key-vault",      KeyVault::new(c, s, teardown),    group);
    let officer  = g.add("vault-officer",  VaultOfficer::new(c),             vault);
    let cert     = g.add("certificate",    Certificate::new(c, s),           (vault, officer.done()));
    let accepted = g.add("cluster",        Cluster::new(c, s, teardown),             (subnet, clear, features.done()));
    let _grant   = g.add("subnet-role",    SubnetRole::new(c),               (accepted, subnet));
    let cluster  = g.add("cluster-ready",  ClusterReady::new(c, s),          accepted);
    let access   = g.add("vault-access",   VaultAccess::new(c),              (cluster, vault));
    let config   = g.add("kubeconfig",     Kubeconfig::new(c, s),            cluster);
    let istio    = g.add("istio",          Istio::new(c),                    cluster);
    let secret   = g.add("tls-secret",     TlsSecret::new(c, s),             (cluster, cert, vault, access.done()));
    let apps     = g.add("apps",           Apps::new(c, s),                  cluster);
    let gateways = g.add("gateways",       Gateways::new(c, s),              (cluster, istio.done(), secret.done(), apps.done()));
    let dns      = g.add("dns",            Dns::new(c, s),                   gateways);
    let handles  = Handles { domain: s.domain.clone(), cluster, certificate: cert, kubeconfig: config, gateways, dns };
    (g, handles)
}
