//! The resource group.

use crate::{fixture::Fixture, settings};
use landfall_engine::{How, Kind, UndoOutcome};
use serde_json::json;

#[tokio::test]
async fn a_group_in_another_region_is_refused_and_nothing_is_created() {
    let fixture = Fixture::without_cluster().await;
    fixture.create_group("westeurope").await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_eq!(result.error("resource-group").kind, Kind::Foreign);
    assert!(result.error("resource-group").causes[0].contains("westeurope"));
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert!(fixture.down_ready().await.report.undone.is_empty());
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn a_group_in_deletion_is_waited_for_and_recreated() {
    let fixture = Fixture { whole: false, ..Fixture::at_speed(20.0).await };
    let id = fixture.create_group("westeurope").await;
    fixture
        .put(
            &fixture.network_id(),
            json!({
                "location": "westeurope",
                "properties": { "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } },
            }),
        )
        .await;
    fixture.delete(&id).await;
    assert_eq!(fixture.get(&id).await["properties"]["provisioningState"], "Deleting");
    let mark = fixture.mark();
    let result = fixture.up_until(|step| step == "network").await;
    assert_eq!(result.how("resource-group"), Some(How::Created));
    assert!(result.notes("resource-group").iter().any(|note| note.contains("Deleting")));
    let puts: Vec<_> = fixture.writes(mark).into_iter().filter(|line| line.ends_with("/rg-demo")).collect();
    assert_eq!(puts.len(), 1, "{puts:?}");
    assert!(puts[0].starts_with("PUT 201"));
    assert_eq!(fixture.get(&id).await["location"], "eastus");
}

#[tokio::test]
async fn tags_of_an_owned_group_are_corrected_and_a_foreign_tag_stays() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    let id = fixture.path(&format!("/resourceGroups/{}", settings::GROUP));
    fixture
        .put(&id, json!({ "location": "eastus", "tags": { "Environment": "Prod", "Team": "other" } }))
        .await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("resource-group"), Some(How::Changed));
    assert_eq!(fixture.writes(mark).len(), 1, "{:?}", fixture.writes(mark));
    let tags = &fixture.get(&id).await["tags"];
    assert_eq!(tags, &json!({ "Environment": "Demo", "Team": "other", "ManagedBy": "landfall" }));
}

#[tokio::test]
async fn tags_of_a_foreign_group_are_unchanged() {
    let fixture = Fixture::without_cluster().await;
    let id = fixture.create_group("East US").await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("resource-group"), Some(How::Found));
    assert_eq!(fixture.get(&id).await["tags"], json!({ "Team": "other" }));
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("resource-group"), None);
    assert_eq!(fixture.get(&id).await["tags"], json!({ "Team": "other" }));
    assert_eq!(fixture.get(&fixture.network_id()).await, json!(null));
}

#[tokio::test]
async fn a_group_with_a_foreign_resource_is_kept() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    let foreign = fixture.id("Microsoft.Network/virtualNetworks/vnet-stranger");
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.200.0.0/16"] } });
    fixture.put(&foreign, json!({ "location": "eastus", "properties": space })).await;
    let result = fixture.down_ready().await;
    let Some(UndoOutcome::Kept { why }) = result.undone("resource-group") else {
        panic!("{:?}", result.report.undone)
    };
    assert!(why.contains("vnet-stranger"), "{why}");
    assert_ne!(fixture.get(&foreign).await, json!(null));

    // A second run only reads the group again, and it is still kept.
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.report.undone.len(), 1, "{:?}", result.report.undone);
    assert_eq!(fixture.writes(mark), [""; 0]);
    fixture.delete(&foreign).await;
    assert_eq!(fixture.down_ready().await.undone("resource-group"), Some(&UndoOutcome::Deleted));
}
