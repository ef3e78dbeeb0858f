//! Long-running operations, from the first answer to the result.

use crate::cloud::{ARM, Cloud, finish, reply};
use landfall_cloud::{
    ApiErrorKind, SendStatus,
    arm::{Condition, Operation, Progress, Style, WriteResult},
};
use serde_json::{Value, json};
use std::time::Duration;

const CLUSTER: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c";
const STATUS: &str = "/subscriptions/s/providers/Microsoft.ContainerService/operations/1";
const API: &str = "2026-06-01";

fn cluster(state: &str) -> Value {
    json!({"name": "c", "properties": {"provisioningState": state}})
}

fn accepted(result: WriteResult) -> Operation {
    match result {
        WriteResult::Accepted { operation, .. } => operation,
        WriteResult::Done(value) => panic!("done at once: {value:?}"),
    }
}

async fn put(cloud: &Cloud) -> Operation {
    accepted(cloud.arm().put(CLUSTER, API, &json!({}), Condition::None).await.expect("accepted"))
}

#[tokio::test]
async fn a_status_document_is_followed_through_unknown_states_to_the_resource() {
    let cloud = Cloud::start().await;
    let status = cloud.url(ARM, &format!("{STATUS}?api-version=2025-03-01&t=1&s=a%2Fb"));
    cloud.on(
        "PUT",
        ARM,
        CLUSTER,
        [reply(201).header("azure-asyncoperation", status).json(cluster("Creating"))],
    );
    let times = json!({"startTime": "2026-11-23T08:00:00Z", "endTime": "2026-11-23T08:04:40Z", "status": "Succeeded"});
    cloud.on(
        "GET",
        ARM,
        STATUS,
        [
            reply(200)
                .json(json!({"status": "InProgress", "percentComplete": 10.0}))
                .header("retry-after-ms", "5"),
            reply(200).json(json!({"status": "ReconcilingAddons"})),
            reply(503).json(json!({"error": {"code": "ServiceUnavailable", "message": "later"}})),
            reply(200).json(times),
        ],
    );
    cloud.on("GET", ARM, CLUSTER, [reply(200).json(cluster("Succeeded"))]);
    let arm = cloud.arm();
    let operation = put(&cloud).await;
    assert_eq!(operation.style, Style::AsyncOperation);
    let Ok(Progress::Running { state, percent, not_before }) = arm.poll(&operation).await else {
        panic!("it runs")
    };
    assert_eq!((state.as_str(), percent), ("InProgress", Some(10.0)));
    assert_eq!(not_before, Some(Duration::from_millis(5)));
    let Ok(Progress::Succeeded { value, started_at, ended_at }) = finish(&arm, &operation).await else {
        panic!("it ends well")
    };
    assert_eq!(value, Some(cluster("Succeeded")));
    let span = ended_at.expect("told").duration_since(started_at.expect("told")).expect("in order");
    assert_eq!(span, Duration::from_secs(280));
    // The address is polled as it was written, with its signature.
    let polls: Vec<_> = cloud.requests().into_iter().filter(|received| received.path == STATUS).collect();
    assert_eq!(polls.len(), 4);
    assert!(polls.iter().all(|poll| poll.query == "api-version=2025-03-01&t=1&s=a%2Fb"));
}

#[tokio::test]
async fn a_stored_operation_is_resumed_by_another_client_without_a_second_put() {
    let cloud = Cloud::start().await;
    let status = cloud.url(ARM, STATUS);
    cloud.on(
        "PUT",
        ARM,
        CLUSTER,
        [reply(201).header("azure-asyncoperation", status).json(cluster("Creating"))],
    );
    cloud.on("GET", ARM, STATUS, [reply(200).json(json!({"status": "Succeeded"}))]);
    cloud.on("GET", ARM, CLUSTER, [reply(200).json(cluster("Succeeded"))]);
    let ticket = serde_json::to_string(&put(&cloud).await).expect("plain data");
    let operation: Operation = serde_json::from_str(&ticket).expect("what was written");
    let ended = finish(&cloud.arm(), &operation).await.expect("it ends well");
    assert!(matches!(ended, Progress::Succeeded { value: Some(_), .. }));
    assert_eq!(cloud.requests().iter().filter(|received| received.method == "PUT").count(), 1);
}

#[tokio::test]
async fn a_location_returns_202_until_it_has_the_result() {
    let cloud = Cloud::start().await;
    let results = "/subscriptions/s/operationresults/1";
    for end in [reply(200).json(json!({"kept": true})), reply(204)] {
        let wanted = if cloud.requests().is_empty() { Some(json!({"kept": true})) } else { None };
        cloud.on("DELETE", ARM, CLUSTER, [reply(202).header("location", cloud.url(ARM, results))]);
        cloud.on("GET", ARM, results, [reply(202), reply(202).header("retry-after-ms", "1"), end]);
        let arm = cloud.arm();
        let operation = accepted(arm.delete(CLUSTER, API).await.expect("accepted"));
        assert_eq!(operation.style, Style::Location);
        let Ok(Progress::Succeeded { value, .. }) = finish(&arm, &operation).await else {
            panic!("it ends well")
        };
        assert_eq!(value, wanted);
    }
}

#[tokio::test]
async fn a_resource_without_headers_is_read_until_its_state_is_final() {
    let cloud = Cloud::start().await;
    cloud.on("PUT", ARM, CLUSTER, [reply(200).json(cluster("RegisteringDns"))]);
    let states = ["RegisteringDns", "SomethingNew", "sUCCEEDED"].map(|state| reply(200).json(cluster(state)));
    cloud.on("GET", ARM, CLUSTER, states);
    let operation = put(&cloud).await;
    assert_eq!(operation.style, Style::ProvisioningState);
    let ended = finish(&cloud.arm(), &operation).await.expect("it ends well");
    assert!(matches!(ended, Progress::Succeeded { value: Some(value), .. } if value == cluster("sUCCEEDED")));
}

#[tokio::test]
async fn a_failure_inside_a_200_is_the_operations_error() {
    let cloud = Cloud::start().await;
    let status = cloud.url(ARM, STATUS);
    cloud.on(
        "PUT",
        ARM,
        CLUSTER,
        [reply(201).header("azure-asyncoperation", status).json(cluster("Creating"))],
    );
    let failed = json!({"status": "Failed", "error": {"code": "SkuNotAvailable", "message": "The size is not there."}});
    cloud.on("GET", ARM, STATUS, [reply(200).json(failed).header("x-ms-request-id", "r1")]);
    let error = finish(&cloud.arm(), &put(&cloud).await).await.expect_err("it failed");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Failed, Some("SkuNotAvailable")));
    assert_eq!((error.status, error.message.as_str()), (Some(200), "The size is not there."));
    assert_eq!((error.method, error.url.as_str()), ("GET", STATUS));
}

#[tokio::test]
async fn an_unknown_operation_has_expired() {
    let cloud = Cloud::start().await;
    let status = cloud.url(ARM, STATUS);
    cloud.on(
        "PUT",
        ARM,
        CLUSTER,
        [reply(201).header("azure-asyncoperation", status).json(cluster("Creating"))],
    );
    cloud.on(
        "GET",
        ARM,
        STATUS,
        [reply(404).json(json!({"error": {"code": "NotFound", "message": "gone"}}))],
    );
    assert_eq!(cloud.arm().poll(&put(&cloud).await).await.expect("an answer"), Progress::Expired);
}

#[tokio::test]
async fn an_address_on_a_foreign_server_is_refused_and_gets_no_token() {
    let (cloud, foreign) = (Cloud::start().await, Cloud::start().await);
    let there = foreign.url(ARM, STATUS);
    cloud.on(
        "PUT",
        ARM,
        CLUSTER,
        [reply(201).header("azure-asyncoperation", there).json(cluster("Creating"))],
    );
    let error = cloud.arm().put(CLUSTER, API, &json!({}), Condition::None).await.expect_err("refused");
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Protocol, SendStatus::Accepted));
    assert!(foreign.requests().is_empty());
}

#[tokio::test]
async fn a_stored_operation_with_a_foreign_url_is_refused_before_any_request() {
    let (cloud, foreign) = (Cloud::start().await, Cloud::start().await);
    let status = cloud.url(ARM, STATUS);
    cloud.on(
        "PUT",
        ARM,
        CLUSTER,
        [reply(201).header("azure-asyncoperation", status).json(cluster("Creating"))],
    );
    let mut operation = put(&cloud).await;
    let before = cloud.requests().len();
    let host = format!("//{ARM}:{}{STATUS}", foreign.port);
    for tampered in [foreign.url(ARM, STATUS), host.clone(), host.replace("//", "/\\")] {
        operation.path_and_query = tampered;
        let error = cloud.arm().poll(&operation).await.expect_err("refused");
        assert_eq!((error.kind, error.sent), (ApiErrorKind::Protocol, SendStatus::Never));
    }
    assert!(foreign.requests().is_empty());
    assert_eq!(cloud.requests().len(), before);
}
