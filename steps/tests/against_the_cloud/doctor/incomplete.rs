//! Environments that are not completely created yet.

use super::{current_diagnosis, diagnose_until};
use crate::fixture::Fixture;
use landfall_sim::{Options, Speed};

/// Creates a cloud at real time, in which long operations visibly take minutes.
async fn slow(options: Options) -> Fixture {
    Fixture::with(Options { speed: Speed::Times(1.0), ..options }).await
}

#[tokio::test]
async fn an_environment_that_was_never_created_is_reported() {
    let fixture = Fixture::instant().await;
    let found = diagnose_until(&fixture, "ENVIRONMENT_NEVER_MADE").await.unwrap();
    assert!(found.not_created && found.findings.len() == 1, "{found:#?}");
    assert_eq!(found.root().unwrap().remedy, "landfall up");
}

#[tokio::test]
async fn a_preview_feature_in_registration_is_reported() {
    let preview_features = vec!["Microsoft.ContainerService/ManagedGatewayAPIPreview".to_owned()];
    let fixture = slow(Options { preview_features, ..Options::default() }).await;
    fixture.create_group("eastus").await;
    let azure = &fixture.clients.azure;
    azure.register_feature("Microsoft.ContainerService", "ManagedGatewayAPIPreview").await.unwrap();
    let found = diagnose_until(&fixture, "FEATURE_REGISTERING").await.unwrap();
    let root = found.root().unwrap();
    assert!(
        root.evidence[0].ends_with("is Registering") && root.remedy.contains("az feature show"),
        "{root:#?}"
    );
}

#[tokio::test]
async fn an_unregistered_or_registering_provider_is_reported() {
    let unregistered = vec!["Microsoft.ContainerService".to_owned()];
    let fixture = slow(Options { unregistered, ..Options::default() }).await;
    fixture.create_group("eastus").await;
    let found = diagnose_until(&fixture, "PROVIDER_NOT_REGISTERED").await.unwrap();
    assert!(found.root().unwrap().remedy.contains("az provider register"), "{found:#?}");
    fixture.clients.azure.register_provider("Microsoft.ContainerService").await.unwrap();
    diagnose_until(&fixture, "PROVIDER_REGISTERING").await.unwrap();
}

#[tokio::test]
async fn an_unreadable_resource_is_reported_and_is_no_cause() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    // A principal without read access to the vault's assignments, or a connection that fails repeatedly.
    crate::waits::arm(&fixture, "server-error@GET /roleassignments*20");
    let found = current_diagnosis(&fixture).await;
    assert!(
        found.failed_reads.iter().any(|why| why.starts_with("could not read the role assignments")),
        "{found:#?}"
    );
}
