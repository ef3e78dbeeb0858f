//! The cluster client against an HTTPS API server: its requests on the wire, and its handling of the answers.

mod api_server;

use std::sync::atomic::{AtomicUsize, Ordering};

use api_server::{ApiServer, End, PUBLIC_NAME, ReceivedRequest, Reply, failure};
use landfall_cloud::kubernetes::{Cluster, Connection, DynamicObject, Force, Kind, ProxyRules, Selection};
use landfall_cloud::{ApiErrorKind, RequestCounter, SendStatus};
use serde_json::{Value, json};

/// Connects with a time scale at which pauses take no time.
async fn connect(server: &ApiServer) -> (Cluster, RequestCounter) {
    let request_counter = RequestCounter::new();
    let cluster = Cluster::connect(&server.kubeconfig(), None, &request_counter, f64::INFINITY).await;
    (cluster.expect("the kubeconfig is good"), request_counter)
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("it is an object")
}

fn gateway(version: u64, ready: bool) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "demo", "resourceVersion": version.to_string()}, "ready": ready})
}

fn config_map() -> DynamicObject {
    object(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "demo", "managedFields": [{"manager": "x"}]}, "data": {"k": "v"}}))
}

fn list(version: u64, items: &[Value]) -> Reply {
    Reply::Json(
        200,
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string()}, "items": items}),
    )
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn is_ready(objects: &[DynamicObject]) -> Option<String> {
    let ready = objects.iter().find(|object| object.data["ready"] == true)?;
    ready.metadata.resource_version.clone()
}

async fn watch(cluster: &Cluster) -> String {
    cluster
        .watch_until(&Kind::GATEWAY, Some("demo"), Selection::Name("gw"), is_ready)
        .await
        .expect("it gets ready")
}

#[tokio::test]
async fn a_cluster_is_reached_below_a_path_and_by_names_under_localhost() {
    let server = ApiServer::start(|received| match received.path.as_str() {
        "/api/v1/namespaces/kube-system" => {
            Reply::Json(200, json!({"metadata": {"name": "kube-system", "uid": "u-1"}}))
        }
        _ => failure(404, "NotFound", "no"),
    })
    .await;
    for (host, token) in [("127.0.0.1", None), ("api.landfall.localhost", Some("t0ken"))] {
        let request_counter = RequestCounter::new();
        let cluster =
            Cluster::connect(&server.kubeconfig_by(host, token), None, &request_counter, 1.0).await.unwrap();
        assert_eq!(request_counter.requests(), 0, "connecting sends nothing");
        assert_eq!(cluster.uid().await.unwrap(), "u-1");
        assert_eq!(request_counter.requests(), 1);
        let received = server.received();
        let shown =
            received.last().unwrap().headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(shown, token.map(|_| "Bearer t0ken"));
    }
}

#[tokio::test]
async fn a_proxy_leads_to_every_server_that_no_proxy_does_not_name() {
    let server =
        ApiServer::start(|_| Reply::Json(200, json!({"metadata": {"name": "kube-system", "uid": "u-1"}})));
    let server = server.await;
    let (proxy, asked) = server.proxy().await;
    let connect = async |host: &str, no_proxy: &str| {
        let connection = Connection { proxies: ProxyRules::new(&proxy, no_proxy), ..Connection::default() };
        let kubeconfig = server.kubeconfig_by(host, None);
        Cluster::connect_over(&kubeconfig, connection, &RequestCounter::new(), f64::INFINITY).await.unwrap()
    };
    let through = connect(PUBLIC_NAME, "").await;
    assert_eq!(through.uid().await.unwrap(), "u-1");
    let head = asked.lock().unwrap().pop().unwrap();
    assert!(head.starts_with(&format!("CONNECT {PUBLIC_NAME}:")), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic "), "{head}");
    assert_eq!(connect("127.0.0.1", "").await.uid().await.unwrap(), "u-1");
    assert_eq!(asked.lock().unwrap().len(), 0, "no proxy reaches this machine");
    let broken = Connection { proxies: ProxyRules::new("http://127.0.0.1:1", ""), ..Connection::default() };
    let kubeconfig = server.kubeconfig_by(PUBLIC_NAME, None);
    let cluster =
        Cluster::connect_over(&kubeconfig, broken, &RequestCounter::new(), f64::INFINITY).await.unwrap();
    let error = cluster.uid().await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, SendStatus::Never));
    assert!(error.causes().iter().any(|cause| cause.contains("through the proxy 127.0.0.1:1")), "{error:?}");
}

#[tokio::test]
async fn an_apply_is_strict_has_the_field_manager_and_is_forced_only_on_request() {
    let server = ApiServer::start(|received| Reply::Json(201, received.body.clone())).await;
    let (cluster, _) = connect(&server).await;
    cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap();
    cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::Yes).await.unwrap();
    let [first, second]: [ReceivedRequest; 2] = server.received().try_into().unwrap();
    assert_eq!(
        (first.method.as_str(), first.path.as_str()),
        ("PATCH", "/api/v1/namespaces/demo/configmaps/a")
    );
    assert_eq!(first.headers["content-type"], "application/apply-patch+yaml");
    assert!(
        first.has_query("fieldManager=landfall")
            && first.has_query("fieldValidation=Strict")
            && !first.query.contains("force")
    );
    assert!(second.has_query("force=true"));
    let sent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "demo"}, "data": {"k": "v"}});
    assert_eq!(first.body, sent, "without managedFields");
}

#[tokio::test]
async fn an_invalid_manifest_is_sent_once_although_the_status_is_500() {
    let api_message = "failed to create typed patch object (demo/a; /v1, Kind=ConfigMap): .dataa: field not declared in schema";
    let server = ApiServer::start(move |_| failure(500, "", api_message)).await;
    let (cluster, request_counter) = connect(&server).await;
    let error = cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap_err();
    assert_eq!((error.kind, error.status, request_counter.requests()), (ApiErrorKind::Invalid, Some(500), 1));
    assert!(error.message.contains(".dataa"), "{}", error.message);
    assert_eq!(error.url, "/api/v1/namespaces/demo/configmaps/a");
}

#[tokio::test]
async fn transient_errors_are_retried_and_each_attempt_is_counted() {
    let server = ApiServer::start(|received| match received.number {
        0 => Reply::HangUp,
        1 => Reply::With(429, vec![("retry-after-ms", "1"), ("retry-after", "60")], "slow down".to_owned()),
        2 => failure(503, "ServiceUnavailable", "the server is starting"),
        3 => {
            failure(409, "Conflict", "Operation cannot be fulfilled: the object has been modified; try again")
        }
        _ => Reply::Json(200, received.body.clone()),
    })
    .await;
    let (cluster, request_counter) = connect(&server).await;
    cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap();
    assert_eq!((server.received().len(), request_counter.requests()), (5, 5));
}

#[tokio::test]
async fn a_truncated_response_is_requested_again() {
    let server = ApiServer::start(|received| match received.number {
        0 => Reply::Events(vec![json!({"metadata": {"name": "a"}})], End::Broken),
        _ => Reply::Json(200, json!({"metadata": {"name": "b"}})),
    })
    .await;
    let (cluster, request_counter) = connect(&server).await;
    let read = cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap().unwrap();
    assert_eq!((read.metadata.name.as_deref(), request_counter.requests()), (Some("b"), 2));
}

#[tokio::test]
async fn a_write_of_the_api_server_with_an_unreadable_success_counts_as_accepted() {
    let server = ApiServer::start(|received| match received.number {
        0 => Reply::Json(200, json!("no object")),
        _ => Reply::Events(vec![json!({"metadata": {"name": "a"}})], End::Broken),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    for kind in [ApiErrorKind::Protocol, ApiErrorKind::Transport] {
        let error = cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap_err();
        assert_eq!(
            (error.kind, error.sent, error.status),
            (kind, SendStatus::Accepted, Some(200)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_lasting_error_is_returned_after_the_maximum_of_attempts() {
    let server = ApiServer::start(|_| Reply::HangUp).await;
    let (cluster, request_counter) = connect(&server).await;
    let error = cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, SendStatus::Unknown));
    assert_eq!(request_counter.requests(), 6);

    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let kubeconfig = format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    let unauthenticated =
        Cluster::connect(&landfall_cloud::Secret::new(kubeconfig), None, &request_counter, f64::INFINITY)
            .await
            .unwrap();
    let error = unauthenticated.uid().await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, SendStatus::Never));
}

#[tokio::test]
async fn a_refusal_is_final() {
    let server = ApiServer::start(|received| match received.method.as_str() {
        "GET" => failure(403, "Forbidden", "pods \"a\" is forbidden: User \"dev\" cannot get resource"),
        _ => failure(422, "Invalid", "ConfigMap \"a\" is invalid"),
    })
    .await;
    let (cluster, request_counter) = connect(&server).await;
    let error = cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Forbidden, Some("Forbidden")));
    let error = cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Invalid);
    assert_eq!(request_counter.requests(), 2);
}

#[tokio::test]
async fn a_missing_object_or_kind_is_none() {
    let server = ApiServer::start(|received| match received.number {
        0 => failure(404, "NotFound", "pods \"a\" not found"),
        _ => Reply::With(404, vec![], "404 page not found\n".to_owned()),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    assert!(cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap().is_none());
    assert!(cluster.get(&Kind::GATEWAY, Some("demo"), "gw").await.unwrap().is_none());
}

#[tokio::test]
async fn a_deletion_returns_whether_the_object_existed() {
    let server = ApiServer::start(|received| {
        match (received.path.rsplit('/').next().unwrap_or_default(), received.number) {
            ("there", _) => Reply::Json(200, json!({"kind": "Status", "status": "Success"})),
            ("in-doubt", 2) => Reply::HangUp,
            ("another", _) => failure(
                409,
                "Conflict",
                "Operation cannot be fulfilled on Service \"another\": the UID in the precondition (u-1) does not \
                 match the UID in record (u-2). The object might have been deleted and then recreated",
            ),
            ("another-in-storage", _) => failure(
                409,
                "Conflict",
                "Precondition failed: UID in precondition: u-1, UID in object meta: u-2",
            ),
            ("ending", _) => {
                failure(409, "Conflict", "The system is ensuring all content is removed from this namespace.")
            }
            ("held", _) => failure(409, "Conflict", "somebody holds it"),
            _ => failure(404, "NotFound", "not found"),
        }
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let delete = async |name: &str| cluster.delete(&Kind::SERVICE, Some("demo"), name, Some("u-1")).await;
    assert!(delete("there").await.unwrap());
    assert!(!delete("missing").await.unwrap());
    assert!(delete("in-doubt").await.unwrap(), "the attempt without an answer may have been the one");
    assert!(!delete("another").await.unwrap());
    assert!(!delete("another-in-storage").await.unwrap());
    assert!(delete("ending").await.unwrap());
    assert_eq!(delete("held").await.unwrap_err().kind, ApiErrorKind::Conflict);
    let first = &server.received()[0];
    assert_eq!(
        (first.method.as_str(), first.path.as_str()),
        ("DELETE", "/api/v1/namespaces/demo/services/there")
    );
    assert_eq!(first.body["preconditions"]["uid"], "u-1");
    assert_eq!(first.body["propagationPolicy"], "Background");
}

#[tokio::test]
async fn a_long_list_is_read_completely_and_its_items_have_types() {
    let page = |name: &str, next: &str| {
        let items = [json!({"metadata": {"name": name}})];
        Reply::Json(
            200,
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next, "resourceVersion": "7"}, "items": items}),
        )
    };
    let server = ApiServer::start(move |received| {
        assert!(received.has_query("labelSelector=app%3Da") && received.has_query("limit=500"));
        match received.number {
            0 => page("a", "more"),
            // The continue token has expired: the list starts again.
            1 => failure(410, "Expired", "The provided continue parameter is too old"),
            2 => page("b", "more"),
            _ => page("c", ""),
        }
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let pods = cluster.list(&Kind::POD, None, Some("app=a")).await.unwrap();
    let names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(pods[0].types.as_ref().unwrap().kind, "Pod");
    let is_continued: Vec<bool> =
        server.received().iter().map(|received| received.has_query("continue=more")).collect();
    assert_eq!(is_continued, [false, true, false, true]);
}

#[tokio::test]
async fn a_condition_that_already_holds_needs_no_watch() {
    let server = ApiServer::start(|_| list(5, &[gateway(5, true)])).await;
    let (cluster, request_counter) = connect(&server).await;
    assert_eq!(watch(&cluster).await, "5");
    assert_eq!(request_counter.requests(), 1);
    let received = &server.received()[0];
    assert_eq!(received.path, "/apis/gateway.networking.k8s.io/v1/namespaces/demo/gateways");
    assert!(received.has_query("fieldSelector=metadata.name%3Dgw"), "{}", received.query);
}

#[tokio::test]
async fn a_stream_that_ends_regularly_is_resumed() {
    let server = ApiServer::start(|received| match received.number {
        0 => list(5, &[]),
        1 => Reply::Events(vec![event("ADDED", gateway(6, false))], End::InTurn),
        2 => {
            let bookmark =
                json!({"kind": "Gateway", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}});
            Reply::Events(vec![event("BOOKMARK", bookmark)], End::InTurn)
        }
        3 => Reply::Events(vec![], End::InTurn),
        _ => Reply::Events(vec![event("MODIFIED", gateway(10, true))], End::Never),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    assert_eq!(watch(&cluster).await, "10");
    let received = server.received();
    let from: Vec<_> = ["5", "6", "9", "9"].map(|version| format!("resourceVersion={version}")).into();
    assert_eq!(received.len(), 5);
    for (received, from) in received[1..].iter().zip(from) {
        assert!(
            received.is_watch()
                && received.has_query(&from)
                && received.has_query("allowWatchBookmarks=true"),
            "{}",
            received.query
        );
    }
}

#[tokio::test]
async fn a_broken_watch_lists_again() {
    let expired = json!({"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old resource version: 1 (273)", "code": 410});
    let watches = AtomicUsize::new(0);
    let server = ApiServer::start(move |received| {
        if !received.is_watch() {
            return list(received.number as u64, &[gateway(3, false)]);
        }
        match watches.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::Events(vec![event("ERROR", expired.clone())], End::InTurn),
            1 => failure(410, "Expired", "too old resource version"),
            2 => Reply::Events(vec![event("MODIFIED", gateway(6, false))], End::HalfLine),
            3 => Reply::Events(vec![event("MODIFIED", gateway(7, false))], End::Broken),
            4 => Reply::HangUp,
            _ => Reply::Events(vec![event("MODIFIED", gateway(11, true))], End::Never),
        }
    })
    .await;
    let (cluster, request_counter) = connect(&server).await;
    assert_eq!(watch(&cluster).await, "11");
    let watches: Vec<bool> = server.received().iter().map(ReceivedRequest::is_watch).collect();
    let expected = [false, true, false, true, false, true, false, true, false, true, true];
    assert_eq!(watches, expected);
    assert_eq!(request_counter.requests(), 11);
}

#[tokio::test]
async fn a_kind_that_the_cluster_does_not_know_yet_is_waited_for() {
    let server = ApiServer::start(|received| match received.number {
        0..=2 => Reply::With(404, vec![], "404 page not found\n".to_owned()),
        _ => list(5, &[gateway(5, true)]),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let mut shown = Vec::new();
    let evaluate = |objects: &[DynamicObject]| {
        shown.push(objects.len());
        is_ready(objects)
    };
    cluster.watch_until(&Kind::GATEWAY, Some("demo"), Selection::All, evaluate).await.unwrap();
    assert_eq!(shown, [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_deleted_object_is_removed_from_the_watch_state() {
    let server = ApiServer::start(|received| match received.number {
        0 => list(5, &[gateway(3, false), json!({"metadata": {"name": "other", "namespace": "demo"}})]),
        _ => Reply::Events(vec![event("DELETED", gateway(6, false))], End::Never),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let evaluate = |objects: &[DynamicObject]| (objects.len() == 1).then(|| objects[0].metadata.name.clone());
    let left = cluster
        .watch_until(&Kind::GATEWAY, Some("demo"), Selection::Labels("app=a"), evaluate)
        .await
        .unwrap();
    assert_eq!(left.as_deref(), Some("other"));
    assert!(server.received()[1].has_query("labelSelector=app%3Da"));
}

#[tokio::test]
async fn every_request_can_be_made_on_another_task() {
    let server = ApiServer::start(|received| match received.method.as_str() {
        "GET" if received.path.ends_with("/gw") => Reply::Json(200, gateway(5, true)),
        "GET" => list(5, &[gateway(5, true)]),
        _ => Reply::Json(200, received.body.clone()),
    })
    .await;
    let (cluster, request_counter) = connect(&server).await;
    let task = tokio::spawn(async move {
        let gateway = cluster.get(&Kind::GATEWAY, Some("demo"), "gw").await?.expect("it is there");
        cluster.kind_of(&gateway).await?;
        cluster.apply(&Kind::GATEWAY, &gateway, Force::No).await?;
        cluster.watch_until(&Kind::GATEWAY, None, Selection::All, is_ready).await?;
        cluster.delete(&Kind::GATEWAY, Some("demo"), "gw", None).await
    });
    assert!(task.await.unwrap().unwrap());
    assert_eq!(request_counter.requests(), 4);
}

#[tokio::test]
async fn a_watch_that_is_refused_ends() {
    let server = ApiServer::start(|_| failure(403, "Forbidden", "no")).await;
    let (cluster, request_counter) = connect(&server).await;
    let error = cluster.watch_until(&Kind::GATEWAY, None, Selection::All, is_ready).await.unwrap_err();
    assert_eq!((error.kind, request_counter.requests()), (ApiErrorKind::Forbidden, 1));
}

#[tokio::test]
async fn unknown_kinds_are_discovered_once_and_absent_ones_again() {
    let server = ApiServer::start(|received| match (received.path.as_str(), received.number) {
        ("/apis/example.com/v1", 1..) => Reply::Json(
            200,
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.com/v1", "resources": [
                {"name": "oddities", "singularName": "", "namespaced": true, "kind": "Oddity", "verbs": ["get"]},
                {"name": "oddities/status", "singularName": "", "namespaced": true, "kind": "Oddity", "verbs": ["get"]}]}),
        ),
        _ => Reply::With(404, vec![], "404 page not found\n".to_owned()),
    })
    .await;
    let (cluster, request_counter) = connect(&server).await;
    let odd = object(json!({"apiVersion": "example.com/v1", "kind": "Oddity", "metadata": {"name": "o"}}));
    assert_eq!(cluster.kind_of(&odd).await.unwrap(), None, "its CRD may be on its way");
    let kind = cluster.kind_of(&odd).await.unwrap().expect("now it is served");
    assert_eq!((kind.plural.as_ref(), kind.namespaced), ("oddities", true));
    assert_eq!(cluster.clone().kind_of(&odd).await.unwrap(), Some(kind));
    assert_eq!(cluster.kind_of(&config_map()).await.unwrap(), Some(Kind::CONFIG_MAP));
    assert_eq!(request_counter.requests(), 2);
}

#[tokio::test]
async fn an_endless_response_is_limited() {
    for status in [200, 201, 500] {
        let server = ApiServer::start(move |_| Reply::Endless(status)).await;
        let (cluster, _) = connect(&server).await;
        let error = cluster.list(&Kind::GATEWAY, Some("demo"), None).await.expect_err("it has no end");
        if status < 300 {
            assert_eq!(error.kind, ApiErrorKind::Protocol, "{error:?}");
            assert_eq!(error.message, "the answer of the API server is larger than 64 MiB");
            assert_eq!(error.sent, SendStatus::Unknown);
        }
    }
}

#[tokio::test]
async fn an_endless_watch_line_is_limited() {
    let server = ApiServer::start(|received| match received.is_watch() {
        true => Reply::Endless(200),
        false => list(1, &[gateway(1, false)]),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let watched = cluster.watch_until(&Kind::GATEWAY, Some("demo"), Selection::Name("gw"), is_ready).await;
    let error = watched.expect_err("the line has no end");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ApiErrorKind::Protocol, "the answer of the API server is larger than 16 MiB")
    );
}
