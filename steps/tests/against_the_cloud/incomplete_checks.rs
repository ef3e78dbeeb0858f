//! Guards of `down` that cannot complete their check: the decision is "keep".

use crate::{
    fixture::{Fixture, RunResult},
    waits,
};
use landfall_engine::{Outcome, UndoOutcome};
use serde_json::{Value, json};

const FOREIGN: &str = "/api/v1/namespaces/default/configmaps/theirs";

fn kept_reason<'a>(result: &'a RunResult, step: &str) -> &'a str {
    match result.undone(step) {
        Some(UndoOutcome::Kept { why }) => why,
        other => panic!("{step} was not kept: {other:?}"),
    }
}

fn clear_faults(fixture: &Fixture) {
    fixture.sim.change(|state, _| state.faults.armed.clear()).unwrap();
}

async fn create_foreign_object(fixture: &Fixture) {
    let metadata = json!({ "name": "theirs", "namespace": "default" });
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    fixture.kubectl().await.apply(FOREIGN, &object).await;
}

#[tokio::test]
async fn a_foreign_object_keeps_the_cluster_while_an_aggregated_api_is_down() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    waits::arm(&fixture, "aggregated-api-down");
    create_foreign_object(&fixture).await;
    let preconditions = fixture.preconditions().await;
    assert_eq!(preconditions.in_cluster, ["ConfigMap default/theirs"]);
    assert_eq!(preconditions.cluster_unexamined, None);
    assert!(
        preconditions.unseen[0].contains("metrics.k8s.io/v1beta1 (served by kube-system/metrics-server)")
    );
    let result = fixture.down_ready().await;
    assert_eq!(kept_reason(&result, "cluster"), "it contains foreign resources: ConfigMap default/theirs");
    assert!(result.notes("cluster").iter().any(|note| note.contains("metrics.k8s.io/v1beta1")));
    fixture.kubectl().await.delete(FOREIGN).await;
    // It contains nothing else, and a broken metrics-server does not keep it for ever.
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn foreign_cluster_scoped_objects_and_api_services_keep_the_cluster() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "shop-reader" }, "rules": [],
    });
    kubectl.apply("/apis/rbac.authorization.k8s.io/v1/clusterroles/shop-reader", &role).await;
    let registration = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": { "name": "v1.packages.example.com" },
        "spec": {
            "group": "packages.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1,
            "service": { "namespace": "default", "name": "packages", "port": 443 },
        },
    });
    let at = "/apis/apiregistration.k8s.io/v1/apiservices/v1.packages.example.com";
    kubectl.apply(at, &registration).await;
    let foreign = ["APIService v1.packages.example.com", "ClusterRole shop-reader"];
    assert_eq!(fixture.preconditions().await.in_cluster, foreign);
    let result = fixture.down_ready().await;
    assert_eq!(
        kept_reason(&result, "cluster"),
        format!("it contains foreign resources: {}", foreign.join(", "))
    );
}

#[tokio::test]
async fn a_cluster_that_cannot_be_listed_completely_is_kept_and_the_next_down_deletes_it() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    // One kind of many is refused.
    waits::arm(&fixture, "server-error@GET /api/v1/serviceaccounts*9999");
    assert!(fixture.preconditions().await.cluster_unexamined.is_some());
    let result = fixture.down_ready().await;
    assert!(kept_reason(&result, "cluster").starts_with("it could not be examined for foreign objects"));
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null);
    clear_faults(&fixture);
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
}

#[tokio::test]
async fn a_cluster_with_an_unreachable_api_server_is_kept_unless_the_user_agrees() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    create_foreign_object(&fixture).await;
    waits::arm(&fixture, "unavailable@/kubernetes/*99999");
    assert!(fixture.preconditions().await.cluster_unexamined.is_some());
    let result = fixture.down_ready().await;
    assert!(kept_reason(&result, "cluster").starts_with("it could not be examined for foreign objects"));
    fixture.teardown.with_foreign = true;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
}

#[tokio::test]
async fn a_stopped_cluster_is_kept_unless_the_user_agrees() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let stop = format!("{}/stop", fixture.cluster_id());
    fixture.clients.azure.arm().post(&stop, landfall_cloud::arm::cluster::API, None).await.unwrap();
    assert!(fixture.preconditions().await.cluster_unexamined.unwrap().contains("az aks start"));
    let result = fixture.down_ready().await;
    assert!(kept_reason(&result, "cluster").starts_with("it could not be examined for foreign objects"));
    assert!(kept_reason(&result, "apps").contains("which is kept"));
    fixture.teardown.with_foreign = true;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("apps"), Some(&UndoOutcome::DeletedWithParent));
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn a_cluster_that_denies_access_is_kept() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    waits::arm(&fixture, "token-expired@/kubernetes/*999");
    let preconditions = fixture.preconditions().await;
    assert!(preconditions.cluster_unexamined.is_some(), "{preconditions:?}");
    fixture.down().await;
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn a_cluster_whose_creation_never_succeeded_is_deleted_unchecked() {
    let fixture = Fixture::instant().await;
    waits::arm(&fixture, "operation-failed@PUT managedclusters/aks-demo");
    assert_eq!(fixture.up().await.report.outcome, Outcome::Failed);
    assert_eq!(fixture.preconditions().await.cluster_unexamined, None);
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn locks_that_cannot_be_listed_are_reported() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    waits::arm(&fixture, "server-error@GET microsoft.authorization/locks*99");
    let preconditions = fixture.preconditions().await;
    assert!(preconditions.locks_failure.is_some_and(|unread| !unread.forbidden));
}

#[tokio::test]
async fn a_group_whose_contents_cannot_be_listed_is_kept() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    waits::arm(&fixture, "server-error@GET /resourcegroups/rg-demo/resources*99");
    assert!(fixture.preconditions().await.group_unexamined.is_some());
    let result = fixture.down().await;
    assert!(result.error("resource-group").hint.is_some());
    assert_ne!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
    clear_faults(&fixture);
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn a_network_that_cannot_be_read_is_kept() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    waits::arm(&fixture, "server-error@GET virtualnetworks/vnet-demo*999");
    assert!(fixture.preconditions().await.peerings_failure.is_some());
    assert_eq!(fixture.down().await.report.outcome, Outcome::Failed);
    clear_faults(&fixture);
    assert_ne!(fixture.get(&fixture.network_id()).await, Value::Null);
    fixture.down_ready().await;
}

#[tokio::test]
async fn records_that_cannot_be_listed_are_kept_with_their_gateways() {
    let fixture = Fixture::instant().await;
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", crate::settings::DOMAIN);
    fixture.put(&zone, json!({ "location": "global" })).await;
    fixture.up_ready().await;
    waits::arm(&fixture, "server-error@GET dnszones/*999");
    let result = fixture.down().await;
    assert!(result.error("dns").hint.is_some());
    assert_eq!(result.undone("gateways"), None);
    clear_faults(&fixture);
    assert_ne!(fixture.get(&format!("{zone}/A/echo")).await, Value::Null);
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null);
    fixture.down_ready().await;
    assert_eq!(fixture.get(&format!("{zone}/A/echo")).await, Value::Null);
}

#[tokio::test]
async fn a_vault_whose_deleted_state_cannot_be_read_is_not_purged() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    fixture.teardown.purge = true;
    waits::arm(&fixture, "server-error@GET deletedvaults/*999");
    let result = fixture.down().await;
    assert!(result.error("key-vault").hint.is_some());
    assert_eq!(fixture.writes_at(0, "/purge"), [""; 0]);
    clear_faults(&fixture);
    fixture.down_ready().await;
    assert_eq!(fixture.writes_at(0, "/purge").len(), 1);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_read_is_kept_as_it_is() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    std::fs::write(&fixture.settings.kubeconfig, "not: [a kubeconfig").unwrap();
    let result = fixture.down().await;
    assert!(result.error("kubeconfig").hint.is_some());
    assert_eq!(std::fs::read_to_string(&fixture.settings.kubeconfig).unwrap(), "not: [a kubeconfig");
}

#[tokio::test]
async fn networks_peered_in_either_direction_are_reported() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let peered_with =
        |id: &str| json!([{ "name": "peer", "properties": { "remoteVirtualNetwork": { "id": id } } }]);
    let hub = fixture.path("/resourceGroups/rg-hub");
    fixture.put(&hub, json!({ "location": "eastus" })).await;
    let peer_id = format!("{hub}/providers/Microsoft.Network/virtualNetworks/vnet-spoke");
    let space = json!({ "addressPrefixes": ["10.9.0.0/16"] });
    let properties =
        json!({ "addressSpace": space, "virtualNetworkPeerings": peered_with(&fixture.network_id()) });
    fixture.put(&peer_id, json!({ "location": "eastus", "properties": properties })).await;
    let mut owned = fixture.get(&fixture.network_id()).await;
    let away = format!("{hub}/providers/Microsoft.Network/virtualNetworks/vnet-hub");
    owned["properties"]["virtualNetworkPeerings"] = peered_with(&away);
    fixture.put(&fixture.network_id(), owned).await;
    assert_eq!(fixture.preconditions().await.peered, ["vnet-hub in rg-hub", "vnet-spoke in rg-hub"]);
}

#[tokio::test]
async fn purge_protection_skips_the_purge_and_the_run_succeeds() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let mut vault = fixture.get(&fixture.vault_id()).await;
    vault["properties"]["enablePurgeProtection"] = json!(true);
    vault["properties"].as_object_mut().unwrap().remove("provisioningState");
    fixture.put(&fixture.vault_id(), vault).await;
    let preconditions = fixture.preconditions().await;
    assert_eq!((preconditions.vault.protected, preconditions.vault.days), (true, Some(90)));
    fixture.teardown.purge = true;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("key-vault"), Some(&UndoOutcome::Deleted));
    let notes = result.notes("key-vault");
    assert!(notes.iter().any(|note| note.contains("retains it until 20")), "{notes:?}");
    assert_eq!(fixture.writes_at(0, "/purge"), [""; 0]);
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}
