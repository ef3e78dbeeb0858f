//! Providers and preview features.

use crate::fixture::{Fixture, STEPS};
use landfall_engine::How;
use landfall_sim::{Options, Speed};

#[tokio::test]
async fn a_provider_that_is_not_registered_is_registered_once() {
    let unregistered = vec!["Microsoft.ContainerService".to_owned(), "Microsoft.KeyVault".to_owned()];
    let options = Options { speed: Speed::Instant, unregistered, ..Options::default() };
    let fixture = Fixture { whole: false, ..Fixture::with(options).await };
    let result = fixture.up_ready().await;
    // The registration is not owned, although landfall requested it: it serves the whole subscription.
    assert_eq!(result.how("features"), Some(How::Found));
    assert_eq!(fixture.writes_at(0, "/register").len(), 2);
    let output = fixture.journal_state().step_state("features").unwrap().output.clone().unwrap();
    let all = ["ContainerService", "KeyVault", "ManagedIdentity", "Network", "Compute"];
    assert_eq!(output["providers"], serde_json::json!(all.map(|name| format!("Microsoft.{name}"))));
    assert_eq!(fixture.up_ready().await.counts(), (STEPS, 0, 0));
}

#[tokio::test]
async fn a_preview_feature_that_the_service_requires_is_registered() {
    let flags = ["ManagedGatewayAPIPreview", "AppRoutingIstioGatewayAPIPreview"];
    let preview_features = flags.map(|flag| format!("Microsoft.ContainerService/{flag}")).to_vec();
    let fixture =
        Fixture::with(Options { speed: Speed::Instant, preview_features, ..Options::default() }).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Created));
    for flag in flags {
        assert_eq!(fixture.writes_at(0, &format!("{flag}/register")).len(), 1);
        assert!(
            result.notes("cluster").iter().any(|note| note.contains(flag)),
            "{:?}",
            result.notes("cluster")
        );
    }
    let puts = fixture.writes_at(0, "managedClusters/aks-demo");
    let puts: Vec<_> = puts.iter().filter(|line| line.starts_with("PUT")).map(|line| &line[4..7]).collect();
    assert_eq!(puts, ["400", "400", "201"]);
}
