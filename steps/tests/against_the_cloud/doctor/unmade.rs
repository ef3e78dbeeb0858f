//! Environments that are not completely created yet.

use super::{finds, look};
use crate::bench::Bench;
use landfall_sim::{Options, Speed};

/// Creates a cloud at real time, in which long operations visibly take minutes.
async fn slow(options: Options) -> Bench {
    Bench::with(Options { speed: Speed::Times(1.0), ..options }).await
}

#[tokio::test]
async fn an_environment_that_was_never_made_is_to_be_made() {
    let bench = Bench::instant().await;
    let found = finds(&bench, "ENVIRONMENT_NEVER_MADE").await.unwrap();
    assert!(found.unmade && found.findings.len() == 1, "{found:#?}");
    assert_eq!(found.root().unwrap().mend, "landfall up");
}

#[tokio::test]
async fn a_preview_feature_that_stays_registering_is_waited_for() {
    let preview_features = vec!["Microsoft.ContainerService/ManagedGatewayAPIPreview".to_owned()];
    let bench = slow(Options { preview_features, ..Options::default() }).await;
    bench.make_group("eastus").await;
    let azure = &bench.clouds.azure;
    azure.register_feature("Microsoft.ContainerService", "ManagedGatewayAPIPreview").await.unwrap();
    let found = finds(&bench, "FEATURE_REGISTERING").await.unwrap();
    let root = found.root().unwrap();
    assert!(
        root.evidence[0].ends_with("is Registering") && root.mend.contains("az feature show"),
        "{root:#?}"
    );
}

#[tokio::test]
async fn a_provider_that_is_not_registered_or_still_being_so_is_named() {
    let unregistered = vec!["Microsoft.ContainerService".to_owned()];
    let bench = slow(Options { unregistered, ..Options::default() }).await;
    bench.make_group("eastus").await;
    let found = finds(&bench, "PROVIDER_NOT_REGISTERED").await.unwrap();
    assert!(found.root().unwrap().mend.contains("az provider register"), "{found:#?}");
    bench.clouds.azure.register_provider("Microsoft.ContainerService").await.unwrap();
    finds(&bench, "PROVIDER_REGISTERING").await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_is_no_cause() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    // A principal without read access to the vault's assignments, or a connection that fails repeatedly.
    crate::waits::arm(&bench, "server-error@GET /roleassignments*20");
    let found = look(&bench).await;
    assert!(
        found.unseen.iter().any(|why| why.starts_with("could not read the role assignments")),
        "{found:#?}"
    );
}
