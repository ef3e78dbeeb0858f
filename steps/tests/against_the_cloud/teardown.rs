//! Teardown deletes exactly the owned resources, in foreign or owned surroundings.

use crate::{fixture::Fixture, objects::OWN, settings};
use landfall_engine::UndoOutcome;
use landfall_steps::identity_mode::IdentityMode;
use serde_json::{Value, json};

/// Runs `up`, then removes the ownership of the cluster and its content from the journal: it is foreign now.
async fn foreign_cluster() -> Fixture {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests =
        settings::manifests("{apiVersion: v1, kind: ConfigMap, metadata: {name: first}}");
    fixture.up_ready().await;
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    fixture
}

#[tokio::test]
async fn down_leaves_nothing_and_a_second_one_has_nothing_to_do() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let result = fixture.down_ready().await;
    for step in ["tls-secret", "apps", "gateways"] {
        assert_eq!(result.undone(step), Some(&UndoOutcome::Deleted), "{step}");
    }
    for step in ["subnet-role", "identity-access", "identity-trust", "certificate"] {
        assert_eq!(result.undone(step), Some(&UndoOutcome::DeletedWithParent), "{step}");
    }
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo-nodes")).await, Value::Null);
    assert!(!fixture.settings.kubeconfig.exists());
    let mark = fixture.mark();
    assert!(fixture.down_ready().await.report.undone.is_empty());
    assert_eq!(fixture.sim.request_log().len(), mark, "not even a look");
}

#[tokio::test]
async fn objects_of_an_owned_cluster_are_deleted_with_it_despite_a_foreign_vault() {
    let fixture = Fixture::instant().await;
    // The group is owned, and a foreign vault in it keeps it.
    fixture.up_until(|step| step == "resource-group").await;
    fixture.create_group("eastus").await;
    let properties = json!({
        "tenantId": fixture.sim.connection().tenant, "sku": { "family": "A", "name": "standard" },
        "enableRbacAuthorization": true, "accessPolicies": [],
    });
    fixture.put(&fixture.vault_id(), json!({ "location": "eastus", "properties": properties })).await;
    fixture.up_ready().await;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("tls-secret"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("apps"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("identity-access"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("certificate"), Some(&UndoOutcome::Deleted));
    assert!(
        matches!(result.undone("resource-group"), Some(UndoOutcome::Kept { .. })),
        "{:?}",
        result.report.undone
    );
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    let left: Vec<_> = result.report.undone.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(left, ["resource-group"], "it is kept, and says so again");
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn in_a_foreign_cluster_only_owned_objects_are_deleted() {
    let mut fixture = foreign_cluster().await;
    let kubectl = fixture.kubectl().await;
    let shared = "/api/v1/namespaces/default/configmaps/shared";
    let foreign = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shared", "namespace": "default" },
        "data": { "colour": "red" },
    });
    let before = kubectl.apply(shared, &foreign).await;
    fixture.settings.manifests = settings::manifests(OWN);
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.up_ready().await;
    assert_eq!(kubectl.get(shared).await["data"]["colour"], "blue", "what the person asked for wins");
    assert_eq!(fixture.up_ready().await.counts(), (17, 0, 0));
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), None);
    assert_eq!(result.undone("apps"), Some(&UndoOutcome::Deleted));
    assert_eq!(kubectl.get("/api/v1/namespaces/default/configmaps/shop").await, Value::Null);
    assert_eq!(kubectl.get(shared).await["metadata"]["uid"], before["metadata"]["uid"]);
    assert_ne!(kubectl.get("/api/v1/namespaces/default/configmaps/first").await, Value::Null);
    let deleted = fixture.writes_at(mark, "/configmaps/");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(fixture.down_ready().await.report.undone.is_empty());
}

#[tokio::test]
async fn a_run_that_crashed_in_a_foreign_cluster_leaves_no_owned_object() {
    let mut fixture = foreign_cluster().await;
    let kubectl = fixture.kubectl().await;
    let shared = "/api/v1/namespaces/default/configmaps/shared";
    let foreign = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shared", "namespace": "default" },
        "data": { "colour": "blue" },
    });
    kubectl.apply(shared, &foreign).await;
    fixture.settings.manifests = settings::manifests(OWN);
    // The objects are applied, and the run crashes before it can record that: only the ticket shows it.
    let broken = fixture.sim.change(|state, _| {
        let fault = landfall_sim::fault::Armed::read("server-error@PATCH configmaps/shop*9").unwrap();
        state.faults.armed.push(fault);
    });
    broken.unwrap();
    let result = fixture.up().await;
    assert!(result.report.failed > 0, "{:?}", result.report);
    fixture.sim.change(|state, _| state.faults.armed.clear()).unwrap();
    fixture.up_until(|step| step == "apps").await;
    let result = fixture.down_ready().await;
    assert!(result.undone("apps").is_some(), "{:?}", result.report.undone);
    assert_eq!(kubectl.get("/api/v1/namespaces/default/configmaps/shop").await, Value::Null);
    assert_ne!(kubectl.get(shared).await, Value::Null);
}

#[tokio::test]
async fn an_existing_kubeconfig_is_restored() {
    let fixture = Fixture::instant().await;
    let before =
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n";
    std::fs::write(&fixture.settings.kubeconfig, before).unwrap();
    fixture.up_ready().await;
    assert!(std::fs::read_to_string(&fixture.settings.kubeconfig).unwrap().contains(settings::CLUSTER));
    fixture.down_ready().await;
    assert!(!std::fs::read_to_string(&fixture.settings.kubeconfig).unwrap().contains(settings::CLUSTER));
}
