//! The inside of a new cluster, written while the cluster is created.
//!
//! AKS starts the control plane and the system pods during the creation. Here their objects are written at half of it, as
//! they are at its end, and appear when it ends. So the first request after the creation does not wait for them.

use serde_json::json;

use super::cluster_info::{cluster_info, key_vault_identity};
use super::features::KEY_VAULT_ADDON;
use super::store::{ManagedCluster, Prepared, Work};
use crate::aks::{self, ClusterInfo};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

/// Returns the time at which the objects of a cluster are written, if it is being created.
pub(super) fn next_due(cluster: &ManagedCluster) -> Option<SimTime> {
    let pending = cluster.pending.as_ref().filter(|pending| pending.kind == Work::Create)?;
    cluster.prepare_at.filter(|at| cluster.prepared.is_none() && *at < pending.due)
}

/// Writes the objects of a cluster that is being created.
pub(super) fn prepare(state: &mut CloudState, key: &str, timing: &Timing) {
    let Some(cluster) = state.clusters.all.get(key) else { return };
    let Some(at) = cluster.pending.as_ref().map(|pending| pending.due) else { return };
    let mut expected = cluster.clone();
    let addon = &mut expected.resource["properties"]["addonProfiles"][KEY_VAULT_ADDON];
    if addon["enabled"] == true && state.clusters.withheld == 0 {
        addon["identity"] = json!({ "resourceId": key_vault_identity(state, cluster) });
    }
    let cluster_info = cluster_info(state, &expected);
    expected.trust_issuer();
    let ManagedCluster { mut store, mut controllers, .. } = expected;
    aks::bootstrap(&mut store, &mut controllers, &cluster_info, at, timing);
    if let Some(cluster) = state.clusters.all.get_mut(key) {
        cluster.prepared = Some(Box::new(Prepared { store, controllers, cluster_info, at }));
    }
}

/// Gives a cluster whose creation has ended its objects: those that were prepared, unless other facts were expected.
pub(super) fn start(cluster: &mut ManagedCluster, cluster_info: &ClusterInfo, at: SimTime, timing: &Timing) {
    let prepared = cluster.prepared.take();
    if let Some(prepared) = prepared.filter(|one| one.at == at && one.cluster_info == *cluster_info) {
        cluster.store = prepared.store;
        cluster.controllers = prepared.controllers;
    }
    aks::bootstrap(&mut cluster.store, &mut cluster.controllers, cluster_info, at, timing);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::{body, put};
    use super::*;
    use crate::test_cloud::TestCloud;

    fn cluster(cloud: &mut TestCloud) -> &mut ManagedCluster {
        cloud.state.clusters.all.values_mut().next().expect("a cluster")
    }

    fn objects(cloud: &mut TestCloud) -> Value {
        let store = serde_json::to_value(&cluster(cloud).store).expect("a state");
        assert!(store["objects"].to_string().len() > 100_000);
        json!([store["objects"], store["revision"], store["addresses"]])
    }

    #[test]
    fn a_cluster_starts_with_the_objects_that_were_prepared() {
        let [mut prepared, mut plain] = [TestCloud::new(), TestCloud::new()];
        for cloud in [&mut prepared, &mut plain] {
            assert_eq!(put(cloud, &body()).status, 201);
        }
        cluster(&mut plain).prepare_at = None;
        for cloud in [&mut prepared, &mut plain] {
            cloud.advance(141.0);
        }
        assert!(cluster(&mut plain).prepared.is_none());
        let waiting = cluster(&mut prepared);
        let expected = waiting.prepared.as_ref().expect("half of the creation is over").cluster_info.clone();
        assert!(
            waiting.cluster_info.is_none() && waiting.store.list("namespaces", None).is_empty(),
            "nothing is visible before"
        );
        for cloud in [&mut prepared, &mut plain] {
            cloud.advance(140.0);
        }
        let mut known = cluster(&mut prepared).cluster_info.clone().expect("it runs");
        (known.public_ip_quota, known.authority_host) = (None, String::new());
        assert_eq!(known, expected, "the facts were foreseen");
        assert_eq!(objects(&mut prepared), objects(&mut plain));
    }

    #[test]
    fn a_cluster_with_other_facts_than_expected_gets_new_objects() {
        let mut cloud = TestCloud::new();
        assert_eq!(put(&mut cloud, &body()).status, 201);
        cloud.advance(141.0);
        assert!(cluster(&mut cloud).prepared.is_some());
        cloud.state.clusters.withhold_identity();
        cloud.advance(140.0);
        let cluster = cluster(&mut cloud);
        assert!(
            cluster.prepared.is_none()
                && cluster.cluster_info.as_ref().is_some_and(|info| info.csi.is_none())
        );
        let drivers = cluster.store.list("daemonsets.apps", Some("kube-system"));
        let is_driver =
            |one: &Value| one["metadata"]["name"].as_str().is_some_and(|name| name.contains("csi-driver"));
        assert_eq!(drivers.iter().filter(|one| is_driver(one)).count(), 0);
    }
}
