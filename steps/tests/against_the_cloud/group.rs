//! The resource group.

use crate::{bench::Bench, settings};
use landfall_engine::{How, Kind, Undone};
use serde_json::json;

#[tokio::test]
async fn a_group_in_another_region_is_refused_and_nothing_is_made() {
    let bench = Bench::without_cluster().await;
    bench.make_group("westeurope").await;
    let mark = bench.mark();
    let told = bench.up().await;
    assert_eq!(told.error("resource-group").kind, Kind::Foreign);
    assert!(told.error("resource-group").causes[0].contains("westeurope"));
    assert_eq!(bench.writes(mark), [""; 0]);
    assert!(bench.down_ready().await.report.undone.is_empty());
    assert_eq!(bench.writes(mark), [""; 0]);
}

#[tokio::test]
async fn a_group_that_is_going_away_is_waited_for_and_made_anew() {
    let bench = Bench { whole: false, ..Bench::at_speed(60.0).await };
    let id = bench.make_group("westeurope").await;
    bench
        .put(
            &bench.network_id(),
            json!({
                "location": "westeurope",
                "properties": { "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } },
            }),
        )
        .await;
    bench.delete(&id).await;
    assert_eq!(bench.get(&id).await["properties"]["provisioningState"], "Deleting");
    let mark = bench.mark();
    let told = bench.up_until(|step| step == "network").await;
    assert_eq!(told.how("resource-group"), Some(How::Created));
    assert!(told.notes("resource-group").iter().any(|note| note.contains("Deleting")));
    let puts: Vec<_> = bench.writes(mark).into_iter().filter(|line| line.ends_with("/rg-demo")).collect();
    assert_eq!(puts.len(), 1, "{puts:?}");
    assert!(puts[0].starts_with("PUT 201"));
    assert_eq!(bench.get(&id).await["location"], "eastus");
}

#[tokio::test]
async fn tags_of_our_own_group_are_mended_and_a_strangers_tag_stays() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    let id = bench.path(&format!("/resourceGroups/{}", settings::GROUP));
    bench.put(&id, json!({ "location": "eastus", "tags": { "Environment": "Prod", "Team": "other" } })).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("resource-group"), Some(How::Changed));
    assert_eq!(bench.writes(mark).len(), 1, "{:?}", bench.writes(mark));
    let tags = &bench.get(&id).await["tags"];
    assert_eq!(tags, &json!({ "Environment": "Demo", "Team": "other", "ManagedBy": "landfall" }));
}

#[tokio::test]
async fn tags_of_a_group_that_is_not_ours_are_left_alone() {
    let bench = Bench::without_cluster().await;
    let id = bench.make_group("East US").await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("resource-group"), Some(How::Found));
    assert_eq!(bench.get(&id).await["tags"], json!({ "Team": "other" }));
    let told = bench.down_ready().await;
    assert_eq!(told.undone("resource-group"), None);
    assert_eq!(bench.get(&id).await["tags"], json!({ "Team": "other" }));
    assert_eq!(bench.get(&bench.network_id()).await, json!(null));
}

#[tokio::test]
async fn a_group_with_a_strangers_resource_in_it_is_kept() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    let stranger = bench.id("Microsoft.Network/virtualNetworks/vnet-stranger");
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.200.0.0/16"] } });
    bench.put(&stranger, json!({ "location": "eastus", "properties": space })).await;
    let told = bench.down_ready().await;
    let Some(Undone::Kept { why }) = told.undone("resource-group") else {
        panic!("{:?}", told.report.undone)
    };
    assert!(why.contains("vnet-stranger"), "{why}");
    assert_ne!(bench.get(&stranger).await, json!(null));

    // A second run only reads the group again, and it is still kept.
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.report.undone.len(), 1, "{:?}", told.report.undone);
    assert_eq!(bench.writes(mark), [""; 0]);
    bench.delete(&stranger).await;
    assert_eq!(bench.down_ready().await.undone("resource-group"), Some(&Undone::Deleted));
}
