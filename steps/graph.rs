//! The wiring: every step and its dependencies. This screen is the program's structure.

use crate::{
    Clients,
    apps::Apps,
    certificate::{Certificate, VaultCertificate},
    cluster::{AcceptedCluster, Cluster},
    cluster_ready::{ClusterReady, ReadyCluster},
    dns::{Dns, Published},
    federated_credential::FederatedCredentials,
    gateways::{Gateways, ProgrammedGateways},
    graph_builder::{Unwrapped, Wiring, Wrap},
    identity::{Identity, UserAssignedIdentity},
    istio::Istio,
    key_vault::{KeyVault, Vault},
    kubeconfig::{Kubeconfig, Merged},
    network::{Network, Subnet},
    objects::Applied,
    operator::{
        GatewayTable,
        certificate::{OperatorCertificate, ProvidedCertificate},
        external_dns::{ExternalDns, RunningExternalDns},
        zone_access::ZoneAccess,
    },
    preflight::Preflight,
    provider_registration::Features,
    resource_group::{Group, ResourceGroup},
    resource_spec::Resources,
    role_assignment::{RoleAssignment, RoleAssignments},
    settings::{Settings, Teardown},
    tls_secret::{SyncedSecret, TlsSecret},
};
use landfall_engine::{Graph, RecordOf};
use schemars::JsonSchema;
use serde::Deserialize;

/// The tables of `landfall.toml` that steps declare in their own files, one field each. The schema, the checks of
/// the file, `landfall init` and the settings follow from the declaration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StepTables {
    /// The gateways.
    pub gateway: GatewayTable,
}

/// Typed references to the records that other steps and the commands read. They are no dependencies.
#[derive(Clone, Copy)]
pub struct Records {
    pub(crate) group: RecordOf<Group>,
    pub(crate) network: RecordOf<Subnet>,
    pub(crate) vault: RecordOf<Vault>,
    pub(crate) certificate: RecordOf<VaultCertificate>,
    pub(crate) identity: RecordOf<UserAssignedIdentity>,
    pub(crate) accepted: RecordOf<AcceptedCluster>,
    pub(crate) cluster: RecordOf<ReadyCluster>,
    pub(crate) add_on_access: RecordOf<RoleAssignments>,
    pub(crate) kubeconfig: RecordOf<Merged>,
    pub(crate) secret: RecordOf<SyncedSecret>,
    pub(crate) provided: RecordOf<ProvidedCertificate>,
    pub(crate) apps: RecordOf<Applied>,
    pub(crate) gateways: RecordOf<ProgrammedGateways>,
    pub(crate) external_dns: RecordOf<RunningExternalDns>,
    pub(crate) dns: RecordOf<Published>,
}

impl Records {
    /// Announces the references to a graph, which checks their types when the steps are added.
    #[rustfmt::skip]
    fn of(g: &mut Graph) -> Self {
        Self {
            group:       g.record_of("resource-group"),
            network:     g.record_of("network"),
            vault:       g.record_of("key-vault"),
            certificate: g.record_of("certificate"),
            identity:    g.record_of("identity"),
            accepted:    g.record_of("cluster"),
            cluster:     g.record_of("cluster-ready"),
            add_on_access: g.record_of("vault-access"),
            kubeconfig:  g.record_of("kubeconfig"),
            secret:      g.record_of("tls-secret"),
            provided:    g.record_of("operator-certificate"),
            apps:        g.record_of("apps"),
            gateways:    g.record_of("gateways"),
            external_dns: g.record_of("external-dns"),
            dns:         g.record_of("dns"),
        }
    }
}

impl Records {
    /// Returns the reference to the record of the ready cluster.
    #[must_use]
    pub fn cluster(&self) -> RecordOf<ReadyCluster> {
        self.cluster
    }

    /// Returns the reference to the record of the certificate in the vault.
    #[must_use]
    pub fn certificate(&self) -> RecordOf<VaultCertificate> {
        self.certificate
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::of(&mut Graph::default())
    }
}

/// Wires the steps of an environment, and returns what they own. It sends no request and creates nothing.
#[must_use]
pub fn deployment(c: &Clients, s: &Settings, teardown: &Teardown) -> (Graph, Resources) {
    deployment_with(c, s, teardown, &Unwrapped)
}

/// Like [`deployment`], with an adapter around every step.
#[must_use]
#[rustfmt::skip]
pub fn deployment_with(c: &Clients, s: &Settings, teardown: &Teardown, wrap: &impl Wrap) -> (Graph, Resources) {
    let mut graph = Graph::default();
    let r = Records::of(&mut graph);
    let o = Resources::new(r);
    let mut g = Wiring::new(graph, wrap);
    let preflight    = g.add("preflight",      Preflight::new(c, s, &o),         ());
    let features = g.add("features",       Features::new(c, &o),             preflight.done());
    let group    = g.add("resource-group", ResourceGroup::new(c, s, teardown, &o), preflight.done());
    let subnet   = g.add("network",        Network::new(c, s),               group);
    let vault    = g.add("key-vault",      KeyVault::new(c, s, teardown, &r), group);
    let vault_admin  = g.add("vault-officer",  RoleAssignment::for_caller(c, s, &r), vault);
    let cert     = g.add("certificate",    Certificate::new(c, s, &r),       (vault, vault_admin.done()));
    let (operator, workload) = (s.has_operator_tls(), s.uses_workload_identity());
    let identity = g.add_optional("identity", s.needs_identity(), Identity::new(c, s), group);
    let identity_access = g.add_optional("identity-access", workload, RoleAssignment::for_identity(c, &r), (identity, vault));
    let accepted = g.add("cluster",        Cluster::new(c, s, teardown, &o), (subnet, preflight, features.done()));
    let _grant   = g.add("subnet-role",    RoleAssignment::for_cluster(c, &r), (accepted, subnet));
    let cluster  = g.add("cluster-ready",  ClusterReady::new(c, s),          accepted);
    let credential = g.add_optional("identity-trust", s.needs_identity(), FederatedCredentials::new(c, s, &r), (identity, accepted));
    let access   = g.add_optional("vault-access", !workload, RoleAssignment::for_add_on(c, &r), (cluster, vault));
    let _config  = g.add("kubeconfig",     Kubeconfig::new(c, s),            cluster);
    let istio    = g.add("istio",          Istio::new(c),                    cluster);
    let readable = (access.done(), identity_access.done(), credential.done());
    let secret   = g.add_optional("tls-secret", !operator, TlsSecret::new(c, s, &o), (cluster, cert, vault, identity.if_enabled(), readable));
    let apps     = g.add("apps",           Apps::new(c, s, &o),              cluster);
    let gateways = g.add("gateways",       Gateways::new(c, s, &o),          (cluster, istio.done(), (secret.done(), readable), apps.done()));
    let provided = g.add_optional("operator-certificate", operator, OperatorCertificate::new(c, s), (cluster, cert, gateways.done()));
    let proven   = if operator { provided.done() } else { gateways.done() };
    g.retire_after(proven, &["vault-access", "identity-access", "tls-secret"]);
    let records  = s.has_operator_records();
    let zone     = g.add_optional("zone-access", records, ZoneAccess::new(c, s), identity);
    let external = g.add_optional("external-dns", records, ExternalDns::new(c, s, &o), (cluster, gateways.done(), (zone.done(), credential.done())));
    let names    = g.add("dns",            Dns::new(c, s, &o),               (gateways, external.done()));
    g.retire_after(names.done(), &["external-dns", "zone-access"]);
    g.retire_after(names.done(), &["identity", "identity-trust"]);
    let graph = g.finish(&o);
    (graph, o)
}
