//! `describe`: the description of each kind, with its events.

use crate::fixture::Fixture;
use crate::manifest::{SYNC, WEB};

/// Asserts that a description contains these lines, with runs of blanks counted as one.
#[track_caller]
fn has(description: &str, lines: &[&str]) {
    let normalized: Vec<String> =
        description.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in lines {
        assert!(normalized.iter().any(|normalized| normalized.contains(line)), "{line}\n{description}");
    }
}

#[tokio::test]
async fn the_objects_of_a_gateway_can_be_described() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    let describe = async |what: &str| fixture.kubectl(&format!("describe {what}")).await.fine().to_owned();
    has(
        &describe("gateway web -n demo").await,
        &["Gateway Class Name: approuting-istio", "Type: Programmed", "Attached Routes: 1", "Events: <none>"],
    );
    has(&describe("gatewayclass approuting-istio").await, &["Message: Handled by Istio controller"]);
    has(&describe("httproute web -n demo").await, &["Message: Route was valid", "web.example.test"]);
    has(
        &describe("deployment web -n demo").await,
        &[
            "Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
            "Progressing True NewReplicaSetAvailable",
            "deployment-controller Scaled up replica set web-",
        ],
    );
    // For several objects at once, newer versions of kubectl print no events.
    let pods = fixture.kubectl("get pods -n demo -l app=web -o name").await;
    let pod = pods.fine().lines().next().unwrap_or_default();
    has(
        &describe(&format!("{pod} -n demo")).await,
        &[
            "Status: Running",
            "Controlled By: ReplicaSet/web-",
            "default-scheduler Successfully assigned demo/web-",
        ],
    );
    has(
        &describe("service web-approuting-istio -n demo").await,
        &["LoadBalancer Ingress: 127.0.0.11", "Endpoints: 10.244.", "Normal EnsuredLoadBalancer"],
    );
    has(
        &describe("hpa -n demo").await,
        &[
            "resource cpu on pods (as a percentage of request): 3% (3m) / 80%",
            "ScalingActive True ValidMetricFound",
        ],
    );
    has(&describe("pdb -n demo").await, &["Min available: 1", "Allowed disruptions: 1"]);
    has(
        &describe("nodes").await,
        &["HolderIdentity: aks-nodepool1-", "KubeletReady", "demo web-approuting-istio-"],
    );
}

#[tokio::test]
async fn a_pod_that_cannot_mount_reports_why() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl("create ns demo").await.fine();
    fixture.kubectl_with("apply -f -", SYNC).await.fine();
    assert_eq!(
        fixture.kubectl("get pods -n demo").await.rows(),
        ["NAME | READY | STATUS | RESTARTS | AGE", "holder | 0/1 | ContainerCreating | 0 | *"]
    );
    let pod = fixture.kubectl("describe pod holder -n demo").await;
    has(
        pod.fine(),
        &[
            "Status: Pending",
            "Reason: ContainerCreating",
            "Warning FailedMount",
            "Driver: secrets-store.csi.k8s.io",
        ],
    );
    let class = fixture.kubectl("describe secretproviderclass tls -n demo").await;
    has(class.fine(), &["Provider: azure", "Secret Name: tls", "Type: kubernetes.io/tls"]);
    let log = fixture.kubectl("logs holder -n demo").await;
    assert_eq!(
        log.refused(),
        "Error from server (BadRequest): container \"pause\" in pod \"holder\" is waiting to start: ContainerCreating\n"
    );
    let log = fixture.kubectl("logs -n kube-system -l app=secrets-store-provider-azure").await;
    assert!(log.fine().contains("failed to mount secrets store objects for pod demo/holder"), "{}", log.out);
}
