//! Queries of kubectl to the server itself: identity, available kinds, missing objects.

use crate::fixture::Fixture;

#[tokio::test]
async fn the_user_is_known_and_may_do_everything() {
    let Some(fixture) = Fixture::open().await else { return };
    assert_eq!(
        fixture.kubectl("auth whoami").await.rows(),
        ["ATTRIBUTE | VALUE", "Username | masterclient", "Groups | [system:masters system:authenticated]"]
    );
    assert_eq!(fixture.kubectl("auth can-i create pods").await.fine(), "yes\n");
    assert_eq!(
        fixture.kubectl("auth can-i delete gateways.gateway.networking.k8s.io -n demo").await.fine(),
        "yes\n"
    );
    assert_eq!(fixture.kubectl("auth can-i get /healthz").await.fine(), "yes\n");
    assert!(fixture.kubectl("auth can-i --list").await.fine().contains("*.*"));
    let config = std::fs::read_to_string(fixture.kubeconfig()).unwrap_or_default();
    let invalid: String = config
        .lines()
        .map(|line| match line.split_once("token: ") {
            Some((before, _)) => format!("{before}token: nobody\n"),
            None => format!("{line}\n"),
        })
        .collect();
    fixture.write("stranger", &invalid);
    let refused = fixture.kubectl("get pods --kubeconfig=stranger").await;
    assert!(refused.refused().contains("You must be logged in to the server"), "{}", refused.err);
}

#[tokio::test]
async fn the_server_reports_its_version_and_resources() {
    let Some(fixture) = Fixture::open().await else { return };
    let version = fixture.kubectl("version -o json").await;
    assert!(version.fine().contains("\"gitVersion\": \"v1."), "{}", version.out);
    let info = fixture.kubectl("cluster-info").await;
    for part in ["control plane is running at", "CoreDNS is running at", "Metrics-server is running at"] {
        assert!(
            info.fine().replace("\u{1b}[0;32m", "").replace("\u{1b}[0m", "").contains(part),
            "{}",
            info.out
        );
    }
    let resources = fixture.kubectl("api-resources --no-headers").await.rows();
    for row in [
        "gateways | gtw | gateway.networking.k8s.io/v1 | true | Gateway",
        "endpointslices | discovery.k8s.io/v1 | true | EndpointSlice",
        "selfsubjectreviews | authentication.k8s.io/v1 | false | SelfSubjectReview",
    ] {
        assert!(resources.contains(&row.to_owned()), "{row}\n{}", resources.join("\n"));
    }
    let versions = fixture.kubectl("api-versions").await;
    assert!(versions.fine().contains("gateway.networking.k8s.io/v1beta1\n"));
    let explained = fixture.kubectl("explain gateway.spec.listeners").await;
    assert!(explained.fine().contains("port\t<integer> -required-"), "{}", explained.out);
    fixture.kubectl("explain deployment --recursive").await.fine();
}

#[tokio::test]
async fn missing_objects_are_reported_as_not_found() {
    let Some(fixture) = Fixture::open().await else { return };
    assert_eq!(fixture.kubectl("top pods").await.refused(), "error: Metrics API not available\n");
    let unknown = fixture.kubectl("get resourceclaims").await;
    assert_eq!(unknown.refused(), "error: the server doesn't have a resource type \"resourceclaims\"\n");
}
