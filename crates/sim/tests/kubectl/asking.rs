//! Queries of kubectl to the server itself: identity, available kinds, missing objects.

use crate::bench::Bench;

#[tokio::test]
async fn somebody_is_known_and_may_do_everything() {
    let Some(bench) = Bench::open().await else { return };
    assert_eq!(
        bench.kubectl("auth whoami").await.rows(),
        ["ATTRIBUTE | VALUE", "Username | masterclient", "Groups | [system:masters system:authenticated]"]
    );
    assert_eq!(bench.kubectl("auth can-i create pods").await.fine(), "yes\n");
    assert_eq!(
        bench.kubectl("auth can-i delete gateways.gateway.networking.k8s.io -n demo").await.fine(),
        "yes\n"
    );
    assert_eq!(bench.kubectl("auth can-i get /healthz").await.fine(), "yes\n");
    assert!(bench.kubectl("auth can-i --list").await.fine().contains("*.*"));
    let config = std::fs::read_to_string(bench.kubeconfig()).unwrap_or_default();
    let stranger: String = config
        .lines()
        .map(|line| match line.split_once("token: ") {
            Some((before, _)) => format!("{before}token: nobody\n"),
            None => format!("{line}\n"),
        })
        .collect();
    bench.write("stranger", &stranger);
    let refused = bench.kubectl("get pods --kubeconfig=stranger").await;
    assert!(refused.refused().contains("You must be logged in to the server"), "{}", refused.err);
}

#[tokio::test]
async fn the_server_tells_what_it_is_and_what_it_serves() {
    let Some(bench) = Bench::open().await else { return };
    let version = bench.kubectl("version -o json").await;
    assert!(version.fine().contains("\"gitVersion\": \"v1.34."), "{}", version.out);
    let info = bench.kubectl("cluster-info").await;
    for part in ["control plane is running at", "CoreDNS is running at", "Metrics-server is running at"] {
        assert!(
            info.fine().replace("\u{1b}[0;32m", "").replace("\u{1b}[0m", "").contains(part),
            "{}",
            info.out
        );
    }
    let resources = bench.kubectl("api-resources --no-headers").await.rows();
    for row in [
        "gateways | gtw | gateway.networking.k8s.io/v1 | true | Gateway",
        "endpointslices | discovery.k8s.io/v1 | true | EndpointSlice",
        "selfsubjectreviews | authentication.k8s.io/v1 | false | SelfSubjectReview",
    ] {
        assert!(resources.contains(&row.to_owned()), "{row}\n{}", resources.join("\n"));
    }
    let versions = bench.kubectl("api-versions").await;
    assert!(versions.fine().contains("gateway.networking.k8s.io/v1beta1\n"));
    let explained = bench.kubectl("explain gateway.spec.listeners").await;
    assert!(explained.fine().contains("port\t<integer> -required-"), "{}", explained.out);
    bench.kubectl("explain deployment --recursive").await.fine();
}

#[tokio::test]
async fn what_is_not_there_is_said_not_to_be() {
    let Some(bench) = Bench::open().await else { return };
    assert_eq!(bench.kubectl("top pods").await.refused(), "error: Metrics API not available\n");
    let unknown = bench.kubectl("get ingresses").await;
    assert_eq!(unknown.refused(), "error: the server doesn't have a resource type \"ingresses\"\n");
    let job = bench.kubectl("create job j --image=nginx").await;
    assert!(job.refused().contains("the server could not find the requested resource"), "{}", job.err);
}
