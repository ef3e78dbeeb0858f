//! Providers and preview features.

use crate::bench::{Bench, STEPS};
use landfall_engine::How;
use landfall_sim::{Options, Speed};

#[tokio::test]
async fn a_provider_that_is_not_registered_is_registered_once() {
    let unregistered = vec!["Microsoft.ContainerService".to_owned(), "Microsoft.KeyVault".to_owned()];
    let options = Options { speed: Speed::Instant, unregistered, ..Options::default() };
    let bench = Bench { whole: false, ..Bench::with(options).await };
    let told = bench.up_ready().await;
    // The registration is not owned, although landfall requested it: it serves the whole subscription.
    assert_eq!(told.how("features"), Some(How::Found));
    assert_eq!(bench.writes_at(0, "/register").len(), 2);
    let output = bench.memory().past("features").unwrap().output.clone().unwrap();
    let all = ["ContainerService", "KeyVault", "Network", "Compute", "ManagedIdentity"];
    assert_eq!(output["providers"], serde_json::json!(all.map(|name| format!("Microsoft.{name}"))));
    assert_eq!(bench.up_ready().await.counts(), (STEPS, 0, 0));
}

#[tokio::test]
async fn a_preview_feature_that_the_service_still_asks_for_is_registered() {
    let flags = ["ManagedGatewayAPIPreview", "AppRoutingIstioGatewayAPIPreview"];
    let preview_features = flags.map(|flag| format!("Microsoft.ContainerService/{flag}")).to_vec();
    let bench = Bench::with(Options { speed: Speed::Instant, preview_features, ..Options::default() }).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Created));
    for flag in flags {
        assert_eq!(bench.writes_at(0, &format!("{flag}/register")).len(), 1);
        assert!(told.notes("cluster").iter().any(|note| note.contains(flag)), "{:?}", told.notes("cluster"));
    }
    let puts = bench.writes_at(0, "managedClusters/aks-demo");
    let puts: Vec<_> = puts.iter().filter(|line| line.starts_with("PUT")).map(|line| &line[4..7]).collect();
    assert_eq!(puts, ["400", "400", "201"]);
}
