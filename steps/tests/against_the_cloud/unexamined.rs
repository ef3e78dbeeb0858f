//! Guards of `down` that cannot complete their check: the decision is "keep".

use crate::{
    bench::{Bench, Told},
    waits,
};
use landfall_engine::{Outcome, Undone};
use serde_json::{Value, json};

const FOREIGN: &str = "/api/v1/namespaces/default/configmaps/theirs";

fn kept<'a>(told: &'a Told, step: &str) -> &'a str {
    match told.undone(step) {
        Some(Undone::Kept { why }) => why,
        other => panic!("{step} was not kept: {other:?}"),
    }
}

fn calm(bench: &Bench) {
    bench.sim.change(|world, _| world.faults.armed.clear()).unwrap();
}

async fn put_foreign_object(bench: &Bench) {
    let metadata = json!({ "name": "theirs", "namespace": "default" });
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    bench.kubectl().await.apply(FOREIGN, &object).await;
}

#[tokio::test]
async fn a_foreign_object_keeps_the_cluster_while_an_aggregated_api_is_down() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    waits::arm(&bench, "aggregated-api-down");
    put_foreign_object(&bench).await;
    let survey = bench.survey().await;
    assert_eq!(survey.in_cluster, ["ConfigMap default/theirs"]);
    assert_eq!(survey.cluster_unexamined, None);
    assert!(survey.unseen[0].contains("metrics.k8s.io/v1beta1 (served by kube-system/metrics-server)"));
    let told = bench.down_ready().await;
    assert_eq!(kept(&told, "cluster"), "it contains foreign resources: ConfigMap default/theirs");
    assert!(told.notes("cluster").iter().any(|note| note.contains("metrics.k8s.io/v1beta1")));
    bench.kubectl().await.delete(FOREIGN).await;
    // It contains nothing else, and a broken metrics-server does not keep it for ever.
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn cluster_scoped_objects_and_registrations_of_people_keep_the_cluster() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
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
    let theirs = ["APIService v1.packages.example.com", "ClusterRole shop-reader"];
    assert_eq!(bench.survey().await.in_cluster, theirs);
    let told = bench.down_ready().await;
    assert_eq!(kept(&told, "cluster"), format!("it contains foreign resources: {}", theirs.join(", ")));
}

#[tokio::test]
async fn a_cluster_that_cannot_be_listed_completely_is_kept_and_the_next_down_deletes_it() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    // One kind of many is refused.
    waits::arm(&bench, "server-error@GET /api/v1/serviceaccounts*9999");
    assert!(bench.survey().await.cluster_unexamined.is_some());
    let told = bench.down_ready().await;
    assert!(kept(&told, "cluster").starts_with("it could not be examined for foreign objects"));
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
    calm(&bench);
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
}

#[tokio::test]
async fn a_cluster_whose_api_server_is_silent_is_kept_unless_the_person_agrees() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    put_foreign_object(&bench).await;
    waits::arm(&bench, "unavailable@/kubernetes/*99999");
    assert!(bench.survey().await.cluster_unexamined.is_some());
    let told = bench.down_ready().await;
    assert!(kept(&told, "cluster").starts_with("it could not be examined for foreign objects"));
    bench.teardown.with_strangers = true;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
}

#[tokio::test]
async fn a_cluster_that_is_stopped_is_kept_unless_the_person_agrees() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    let stop = format!("{}/stop", bench.cluster_id());
    bench.clouds.azure.arm().post(&stop, landfall_cloud::arm::cluster::API, None).await.unwrap();
    assert!(bench.survey().await.cluster_unexamined.unwrap().contains("az aks start"));
    let told = bench.down_ready().await;
    assert!(kept(&told, "cluster").starts_with("it could not be examined for foreign objects"));
    assert!(kept(&told, "apps").contains("which is kept"));
    bench.teardown.with_strangers = true;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("apps"), Some(&Undone::GoesWithParent));
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn a_cluster_that_does_not_let_us_in_is_kept() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    waits::arm(&bench, "token-expired@/kubernetes/*999");
    let survey = bench.survey().await;
    assert!(survey.cluster_unexamined.is_some(), "{survey:?}");
    bench.down().await;
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn a_cluster_whose_creation_never_succeeded_is_deleted_without_an_examination() {
    let bench = Bench::instant().await;
    waits::arm(&bench, "operation-failed@PUT managedclusters/aks-demo");
    assert_eq!(bench.up().await.report.outcome, Outcome::Failed);
    assert_eq!(bench.survey().await.cluster_unexamined, None);
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), Some(&Undone::Deleted));
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn locks_that_cannot_be_listed_are_told() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    waits::arm(&bench, "server-error@GET microsoft.authorization/locks*99");
    let survey = bench.survey().await;
    assert!(survey.locks_unread.is_some_and(|unread| !unread.forbidden));
}

#[tokio::test]
async fn a_group_whose_contents_cannot_be_listed_is_kept() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    waits::arm(&bench, "server-error@GET /resourcegroups/rg-demo/resources*99");
    assert!(bench.survey().await.group_unexamined.is_some());
    let told = bench.down().await;
    assert!(told.error("resource-group").hint.is_some());
    assert_ne!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
    calm(&bench);
    bench.down_ready().await;
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn a_network_that_cannot_be_read_is_kept() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    waits::arm(&bench, "server-error@GET virtualnetworks/vnet-demo*999");
    assert!(bench.survey().await.peerings_unread.is_some());
    assert_eq!(bench.down().await.report.outcome, Outcome::Failed);
    calm(&bench);
    assert_ne!(bench.get(&bench.network_id()).await, Value::Null);
    bench.down_ready().await;
}

#[tokio::test]
async fn records_that_cannot_be_listed_are_kept_with_the_gateways_they_lead_to() {
    let bench = Bench::instant().await;
    let group = bench.path("/resourceGroups/rg-names");
    bench.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", crate::settings::DOMAIN);
    bench.put(&zone, json!({ "location": "global" })).await;
    bench.up_ready().await;
    waits::arm(&bench, "server-error@GET dnszones/*999");
    let told = bench.down().await;
    assert!(told.error("dns").hint.is_some());
    assert_eq!(told.undone("gateways"), None);
    calm(&bench);
    assert_ne!(bench.get(&format!("{zone}/A/echo")).await, Value::Null);
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
    bench.down_ready().await;
    assert_eq!(bench.get(&format!("{zone}/A/echo")).await, Value::Null);
}

#[tokio::test]
async fn a_vault_whose_deleted_state_cannot_be_read_is_not_purged() {
    let mut bench = Bench::without_cluster().await;
    bench.up_ready().await;
    bench.teardown.purge = true;
    waits::arm(&bench, "server-error@GET deletedvaults/*999");
    let told = bench.down().await;
    assert!(told.error("key-vault").hint.is_some());
    assert_eq!(bench.writes_at(0, "/purge"), [""; 0]);
    calm(&bench);
    bench.down_ready().await;
    assert_eq!(bench.writes_at(0, "/purge").len(), 1);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_read_is_kept_as_it_is() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    std::fs::write(&bench.wish.kubeconfig, "not: [a kubeconfig").unwrap();
    let told = bench.down().await;
    assert!(told.error("kubeconfig").hint.is_some());
    assert_eq!(std::fs::read_to_string(&bench.wish.kubeconfig).unwrap(), "not: [a kubeconfig");
}

#[tokio::test]
async fn networks_that_are_peered_in_either_direction_are_named() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let peered_with =
        |id: &str| json!([{ "name": "peer", "properties": { "remoteVirtualNetwork": { "id": id } } }]);
    let hub = bench.path("/resourceGroups/rg-hub");
    bench.put(&hub, json!({ "location": "eastus" })).await;
    let spoke = format!("{hub}/providers/Microsoft.Network/virtualNetworks/vnet-spoke");
    let space = json!({ "addressPrefixes": ["10.9.0.0/16"] });
    let properties =
        json!({ "addressSpace": space, "virtualNetworkPeerings": peered_with(&bench.network_id()) });
    bench.put(&spoke, json!({ "location": "eastus", "properties": properties })).await;
    let mut ours = bench.get(&bench.network_id()).await;
    let away = format!("{hub}/providers/Microsoft.Network/virtualNetworks/vnet-hub");
    ours["properties"]["virtualNetworkPeerings"] = peered_with(&away);
    bench.put(&bench.network_id(), ours).await;
    assert_eq!(bench.survey().await.peered, ["vnet-hub in rg-hub", "vnet-spoke in rg-hub"]);
}

#[tokio::test]
async fn purge_protection_ends_the_purge_and_not_the_run() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    let mut vault = bench.get(&bench.vault_id()).await;
    vault["properties"]["enablePurgeProtection"] = json!(true);
    vault["properties"].as_object_mut().unwrap().remove("provisioningState");
    bench.put(&bench.vault_id(), vault).await;
    let survey = bench.survey().await;
    assert_eq!((survey.vault.protected, survey.vault.days), (true, Some(90)));
    bench.teardown.purge = true;
    let told = bench.down_ready().await;
    assert_eq!(told.undone("key-vault"), Some(&Undone::Deleted));
    let notes = told.notes("key-vault");
    assert!(notes.iter().any(|note| note.contains("retains it until 20")), "{notes:?}");
    assert_eq!(bench.writes_at(0, "/purge"), [""; 0]);
    assert_eq!(bench.get(&bench.path("/resourceGroups/rg-demo")).await, Value::Null);
}
