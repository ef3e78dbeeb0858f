//! The steps before the cluster: their tests need no wait for a cluster.

use crate::bench::Bench;
use landfall_engine::Graph;
use landfall_steps::{
    certificate::Certificate, features::Features, key_vault::KeyVault, network::Network,
    preflight::Preflight, resource_group::ResourceGroup, vault_officer::VaultOfficer,
};

/// The number of these steps.
pub const STEPS: u32 = 7;

/// Wires the steps before the cluster, with the ids of the whole graph.
#[rustfmt::skip]
pub fn without_cluster(bench: &Bench) -> Graph {
    let (c, s, t) = (&bench.clouds, &bench.wish, &bench.teardown);
    let mut g = Graph::default();
    let clear     = g.add("preflight",      Preflight::new(c, s),     ());
    let _features = g.add("features",       Features::new(c),         clear.done());
    let group     = g.add("resource-group", ResourceGroup::new(c, s, t), clear.done());
    let _subnet   = g.add("network",        Network::new(c, s),       group);
    let vault     = g.add("key-vault",      KeyVault::new(c, s, t),   group);
    let officer   = g.add("vault-officer",  VaultOfficer::new(c),     vault);
    let _cert     = g.add("certificate",    Certificate::new(c, s),   (vault, officer.done()));
    g
}
