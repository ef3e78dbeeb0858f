//! The virtual network.

use crate::{
    bench::{Bench, STEPS},
    cluster, waits,
};
use landfall_engine::{How, Kind, Undone};
use landfall_sim::{Options, Speed};
use landfall_steps::preflight::Concern;
use serde_json::{Value, json};

async fn make(bench: &Bench, subnet: &str, range: &str) {
    bench.make_group("eastus").await;
    let body = json!({
        "location": "eastus",
        "tags": { "Environment": "Prod" },
        "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": subnet, "properties": { "addressPrefix": range } }],
        },
    });
    bench.put(&bench.network_id(), body).await;
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
async fn a_network_without_our_subnet_gets_it_and_keeps_everything_else() {
    let bench = Bench::instant().await;
    make(&bench, "snet-db", "10.0.9.0/24").await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("network"), Some(How::Created), "the subnet is ours, the network is not");
    let network = bench.get(&bench.network_id()).await;
    assert_eq!(subnets(&network), [("snet-db", "10.0.9.0/24"), ("snet-aks", "10.0.0.0/22")]);
    assert_eq!(network["tags"], json!({ "Environment": "Prod" }), "a stranger's tags are a stranger's");
    assert_eq!(
        bench
            .writes_at(mark, "virtualNetworks/vnet-demo")
            .iter()
            .filter(|w| w.starts_with("PUT") && !w.contains("roleAssignments"))
            .count(),
        1
    );
    let told = bench.down_ready().await;
    assert_eq!(told.undone("network"), Some(&Undone::Deleted));
    assert!(matches!(told.undone("subnet-role"), Some(Undone::Deleted)), "{:?}", told.report.undone);
    let network = bench.get(&bench.network_id()).await;
    assert_eq!(subnets(&network), [("snet-db", "10.0.9.0/24")]);
    assert_eq!(network["tags"], json!({ "Environment": "Prod" }));
}

#[tokio::test]
async fn a_subnet_with_another_range_is_refused() {
    let mut bench = Bench::without_cluster().await;
    // The step must repeat preflight's check: the conflict may have appeared since.
    bench.wish.skip_preflight.insert(Concern::Ranges);
    make(&bench, "snet-aks", "10.0.64.0/24").await;
    let mark = bench.mark();
    let told = bench.up().await;
    let error = told.error("network");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("10.0.64.0/24"), "{error:?}");
    assert_eq!(bench.writes_at(mark, "virtualNetworks"), [""; 0]);
    assert_eq!(bench.get(&bench.cluster_id()).await, Value::Null, "blocked by the network");
}

#[tokio::test]
async fn a_network_of_ours_with_a_strangers_subnet_is_kept() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    let mut body = bench.get(&bench.network_id()).await;
    let stranger = json!({ "name": "snet-db", "properties": { "addressPrefix": "10.0.9.0/24" } });
    body["properties"]["subnets"].as_array_mut().unwrap().push(stranger);
    bench.put(&bench.network_id(), body).await;
    assert_eq!(bench.up_ready().await.counts(), (STEPS, 0, 0), "another subnet is no drift");
    let told = bench.down_ready().await;
    let Some(Undone::Kept { why }) = told.undone("network") else { panic!("{:?}", told.report.undone) };
    assert!(why.contains("snet-db"));
    let Some(Undone::Kept { why }) = told.undone("resource-group") else {
        panic!("{:?}", told.report.undone)
    };
    assert!(why.contains("vnet-demo"));
    assert_eq!(subnets(&bench.get(&bench.network_id()).await).len(), 2);
}

#[tokio::test]
async fn a_lost_answer_to_a_change_of_the_network_is_no_conflict() {
    let faults = vec!["reset-after@PUT virtualNetworks/vnet-demo*2".to_owned()];
    let options = Options { speed: Speed::Instant, faults, ..Options::default() };
    let bench = Bench { whole: false, ..Bench::with(options).await };
    // The first fault hits the out-of-band creation of the network, the second the step that changes it.
    make(&bench, "snet-db", "10.0.9.0/24").await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("network"), Some(How::Created));
    assert_eq!(subnets(&bench.get(&bench.network_id()).await).len(), 2);
}

#[tokio::test]
async fn a_subnet_of_ours_that_somebody_uses_is_kept_with_the_reason() {
    let bench = Bench::without_cluster().await;
    make(&bench, "snet-db", "10.0.9.0/24").await;
    bench.up_ready().await;
    let theirs = bench.id("Microsoft.ContainerService/managedClusters/aks-theirs");
    bench.put(&theirs, cluster::body(&format!("{}/subnets/snet-aks", bench.network_id()), false)).await;
    let mark = bench.mark();
    let told = bench.down_ready().await;
    let Some(Undone::Kept { why }) = told.undone("network") else { panic!("{:?}", told.report.undone) };
    assert!(why.contains("snet-aks") && why.contains("in use"), "{why}");
    assert_eq!(subnets(&bench.get(&bench.network_id()).await).len(), 2);
    assert_eq!(bench.writes_at(mark, "virtualNetworks/vnet-demo"), [""; 0]);
}

#[tokio::test]
async fn a_lost_answer_while_our_subnet_is_taken_away_takes_nothing_else() {
    let bench = Bench::without_cluster().await;
    make(&bench, "snet-db", "10.0.9.0/24").await;
    bench.up_ready().await;
    waits::arm(&bench, "reset-after@PUT virtualNetworks/vnet-demo");
    assert_eq!(bench.down_ready().await.undone("network"), Some(&Undone::Deleted));
    assert_eq!(subnets(&bench.get(&bench.network_id()).await), [("snet-db", "10.0.9.0/24")]);
}
