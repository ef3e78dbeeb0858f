//! The virtual network.

use crate::{
    cluster,
    fixture::{Fixture, STEPS},
    waits,
};
use landfall_engine::{How, Kind, UndoOutcome};
use landfall_sim::{Options, Speed};
use landfall_steps::preflight::PreflightCheckId;
use serde_json::{Value, json};

async fn create_network(fixture: &Fixture, subnet: &str, range: &str) {
    fixture.create_group("eastus").await;
    let body = json!({
        "location": "eastus",
        "tags": { "Environment": "Prod" },
        "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": subnet, "properties": { "addressPrefix": range } }],
        },
    });
    fixture.put(&fixture.network_id(), body).await;
}

fn subnets(network: &Value) -> Vec<(&str, &str)> {
    let each = |subnet: &'_ Value| subnet["name"].is_string();
    let all = network["properties"]["subnets"].as_array().unwrap();
    all.iter()
        .filter(|subnet| each(subnet))
        .map(|s| (s["name"].as_str().unwrap(), s["properties"]["addressPrefix"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_foreign_network_gets_the_subnet_and_keeps_everything_else() {
    let fixture = Fixture::instant().await;
    create_network(&fixture, "snet-db", "10.0.9.0/24").await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("network"), Some(How::Created), "the subnet is ours, the network is not");
    let network = fixture.get(&fixture.network_id()).await;
    assert_eq!(subnets(&network), [("snet-db", "10.0.9.0/24"), ("snet-aks", "10.0.0.0/22")]);
    assert_eq!(network["tags"], json!({ "Environment": "Prod" }), "a stranger's tags are a stranger's");
    assert_eq!(
        fixture
            .writes_at(mark, "virtualNetworks/vnet-demo")
            .iter()
            .filter(|w| w.starts_with("PUT") && !w.contains("roleAssignments"))
            .count(),
        1
    );
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("network"), Some(&UndoOutcome::Deleted));
    assert!(matches!(result.undone("subnet-role"), Some(UndoOutcome::Deleted)), "{:?}", result.report.undone);
    let network = fixture.get(&fixture.network_id()).await;
    assert_eq!(subnets(&network), [("snet-db", "10.0.9.0/24")]);
    assert_eq!(network["tags"], json!({ "Environment": "Prod" }));
}

#[tokio::test]
async fn a_subnet_with_another_prefix_is_refused() {
    let mut fixture = Fixture::without_cluster().await;
    // The step must repeat preflight's check: the conflict may have appeared since.
    fixture.settings.skip_preflight.insert(PreflightCheckId::Ranges);
    create_network(&fixture, "snet-aks", "10.0.64.0/24").await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    let error = result.error("network");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("10.0.64.0/24"), "{error:?}");
    assert_eq!(fixture.writes_at(mark, "virtualNetworks"), [""; 0]);
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null, "blocked by the network");
}

#[tokio::test]
async fn an_owned_network_with_a_foreign_subnet_is_kept() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    let mut body = fixture.get(&fixture.network_id()).await;
    let foreign = json!({ "name": "snet-db", "properties": { "addressPrefix": "10.0.9.0/24" } });
    body["properties"]["subnets"].as_array_mut().unwrap().push(foreign);
    fixture.put(&fixture.network_id(), body).await;
    assert_eq!(fixture.up_ready().await.counts(), (STEPS, 0, 0), "another subnet is no drift");
    let result = fixture.down_ready().await;
    let Some(UndoOutcome::Kept { why }) = result.undone("network") else {
        panic!("{:?}", result.report.undone)
    };
    assert!(why.contains("snet-db"));
    let Some(UndoOutcome::Kept { why }) = result.undone("resource-group") else {
        panic!("{:?}", result.report.undone)
    };
    assert!(why.contains("vnet-demo"));
    assert_eq!(subnets(&fixture.get(&fixture.network_id()).await).len(), 2);
}

#[tokio::test]
async fn a_lost_response_to_a_network_update_is_no_conflict() {
    let faults = vec!["reset-after@PUT virtualNetworks/vnet-demo*2".to_owned()];
    let options = Options { speed: Speed::Instant, faults, ..Options::default() };
    let fixture = Fixture { whole: false, ..Fixture::with(options).await };
    // The first fault hits the out-of-band creation of the network, the second the step that changes it.
    create_network(&fixture, "snet-db", "10.0.9.0/24").await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("network"), Some(How::Created));
    assert_eq!(subnets(&fixture.get(&fixture.network_id()).await).len(), 2);
}

#[tokio::test]
async fn an_owned_subnet_in_foreign_use_is_kept_with_the_reason() {
    let fixture = Fixture::without_cluster().await;
    create_network(&fixture, "snet-db", "10.0.9.0/24").await;
    fixture.up_ready().await;
    let foreign = fixture.id("Microsoft.ContainerService/managedClusters/aks-theirs");
    fixture.put(&foreign, cluster::body(&format!("{}/subnets/snet-aks", fixture.network_id()), false)).await;
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    let Some(UndoOutcome::Kept { why }) = result.undone("network") else {
        panic!("{:?}", result.report.undone)
    };
    assert!(why.contains("snet-aks") && why.contains("in use"), "{why}");
    assert_eq!(subnets(&fixture.get(&fixture.network_id()).await).len(), 2);
    assert_eq!(fixture.writes_at(mark, "virtualNetworks/vnet-demo"), [""; 0]);
}

#[tokio::test]
async fn a_lost_response_to_the_subnet_deletion_deletes_nothing_else() {
    let fixture = Fixture::without_cluster().await;
    create_network(&fixture, "snet-db", "10.0.9.0/24").await;
    fixture.up_ready().await;
    waits::arm(&fixture, "reset-after@PUT virtualNetworks/vnet-demo");
    assert_eq!(fixture.down_ready().await.undone("network"), Some(&UndoOutcome::Deleted));
    assert_eq!(subnets(&fixture.get(&fixture.network_id()).await), [("snet-db", "10.0.9.0/24")]);
}

#[tokio::test]
async fn a_delegated_subnet_is_refused_before_anything_is_created() {
    let mut fixture = Fixture::instant().await;
    create_network(&fixture, "snet-aks", "10.0.0.0/22").await;
    let mut body = fixture.get(&fixture.network_id()).await;
    body["properties"]["subnets"][0]["properties"]["delegations"] =
        json!([{ "name": "0", "properties": { "serviceName": "Microsoft.Web/serverFarms" } }]);
    body["properties"].as_object_mut().unwrap().remove("provisioningState");
    fixture.put(&fixture.network_id(), body).await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    let error = result.error("preflight");
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("SubnetIsDelegated")));
    assert!(
        error.causes[0].contains("subnet snet-aks of vnet-demo is delegated to Microsoft.Web/serverFarms")
    );
    assert!(error.hint.as_deref().unwrap().contains("set network.subnet"), "{error:?}");
    assert_eq!(fixture.writes(mark), [""; 0]);

    fixture.settings.skip_preflight = [PreflightCheckId::Ranges].into();
    let result = fixture.up().await;
    let error = result.error("network");
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("SubnetIsDelegated")));
    assert_eq!(fixture.writes_at(mark, "managedClusters"), [""; 0]);
    assert_eq!(fixture.writes_at(mark, "virtualNetworks"), [""; 0]);
}
