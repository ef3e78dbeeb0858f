//! The cluster client against an HTTPS API server: its requests on the wire, and its handling of the answers.

mod api_server;

use std::sync::atomic::{AtomicUsize, Ordering};

use api_server::{ApiServer, End, Reply, Seen, failure};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Force, Kind, Selection};
use landfall_cloud::{ApiErrorKind, Meter, Sent};
use serde_json::{Value, json};

/// Connects with a time scale at which pauses take no time.
async fn connect(server: &ApiServer) -> (Cluster, Meter) {
    let meter = Meter::new();
    let cluster = Cluster::connect(&server.kubeconfig(), None, &meter, f64::INFINITY).await;
    (cluster.expect("the kubeconfig is good"), meter)
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
    let server = ApiServer::start(|seen| match seen.path.as_str() {
        "/api/v1/namespaces/kube-system" => {
            Reply::Json(200, json!({"metadata": {"name": "kube-system", "uid": "u-1"}}))
        }
        _ => failure(404, "NotFound", "no"),
    })
    .await;
    for (host, token) in [("127.0.0.1", None), ("api.landfall.localhost", Some("t0ken"))] {
        let meter = Meter::new();
        let cluster = Cluster::connect(&server.kubeconfig_by(host, token), None, &meter, 1.0).await.unwrap();
        assert_eq!(meter.requests(), 0, "connecting sends nothing");
        assert_eq!(cluster.uid().await.unwrap(), "u-1");
        assert_eq!(meter.requests(), 1);
        let seen = server.seen();
        let shown = seen.last().unwrap().headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(shown, token.map(|_| "Bearer t0ken"));
    }
}

#[tokio::test]
async fn an_apply_is_strict_ours_and_forced_only_when_asked_for() {
    let server = ApiServer::start(|seen| Reply::Json(201, seen.body.clone())).await;
    let (cluster, _) = connect(&server).await;
    cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap();
    cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::Yes).await.unwrap();
    let [first, second]: [Seen; 2] = server.seen().try_into().unwrap();
    assert_eq!(
        (first.method.as_str(), first.path.as_str()),
        ("PATCH", "/api/v1/namespaces/demo/configmaps/a")
    );
    assert_eq!(first.headers["content-type"], "application/apply-patch+yaml");
    assert!(
        first.asks("fieldManager=landfall")
            && first.asks("fieldValidation=Strict")
            && !first.query.contains("force")
    );
    assert!(second.asks("force=true"));
    let sent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "demo"}, "data": {"k": "v"}});
    assert_eq!(first.body, sent, "without managedFields");
}

#[tokio::test]
async fn a_mistake_in_a_manifest_is_sent_once_although_it_is_answered_by_500() {
    let told = "failed to create typed patch object (demo/a; /v1, Kind=ConfigMap): .dataa: field not declared in schema";
    let server = ApiServer::start(move |_| failure(500, "", told)).await;
    let (cluster, meter) = connect(&server).await;
    let error = cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap_err();
    assert_eq!((error.kind, error.status, meter.requests()), (ApiErrorKind::Invalid, Some(500), 1));
    assert!(error.message.contains(".dataa"), "{}", error.message);
    assert_eq!(error.url, "/api/v1/namespaces/demo/configmaps/a");
}

#[tokio::test]
async fn passing_troubles_are_passed_over_and_each_attempt_is_counted() {
    let server = ApiServer::start(|seen| match seen.number {
        0 => Reply::HangUp,
        1 => Reply::With(429, vec![("retry-after-ms", "1"), ("retry-after", "60")], "slow down".to_owned()),
        2 => failure(503, "ServiceUnavailable", "the server is starting"),
        3 => {
            failure(409, "Conflict", "Operation cannot be fulfilled: the object has been modified; try again")
        }
        _ => Reply::Json(200, seen.body.clone()),
    })
    .await;
    let (cluster, meter) = connect(&server).await;
    cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap();
    assert_eq!((server.seen().len(), meter.requests()), (5, 5));
}

#[tokio::test]
async fn an_answer_cut_short_is_asked_for_again() {
    let server = ApiServer::start(|seen| match seen.number {
        0 => Reply::Events(vec![json!({"metadata": {"name": "a"}})], End::Broken),
        _ => Reply::Json(200, json!({"metadata": {"name": "b"}})),
    })
    .await;
    let (cluster, meter) = connect(&server).await;
    let read = cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap().unwrap();
    assert_eq!((read.metadata.name.as_deref(), meter.requests()), (Some("b"), 2));
}

#[tokio::test]
async fn a_write_of_the_api_server_with_an_unreadable_success_counts_as_accepted() {
    let server = ApiServer::start(|seen| match seen.number {
        0 => Reply::Json(200, json!("no object")),
        _ => Reply::Events(vec![json!({"metadata": {"name": "a"}})], End::Broken),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    for kind in [ApiErrorKind::Protocol, ApiErrorKind::Transport] {
        let error = cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap_err();
        assert_eq!((error.kind, error.sent, error.status), (kind, Sent::Accepted, Some(200)), "{error}");
    }
}

#[tokio::test]
async fn trouble_that_does_not_pass_is_told_after_a_bounded_number_of_attempts() {
    let server = ApiServer::start(|_| Reply::HangUp).await;
    let (cluster, meter) = connect(&server).await;
    let error = cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, Sent::Unknown));
    assert_eq!(meter.requests(), 6);

    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let kubeconfig = format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    let nobody = Cluster::connect(&landfall_cloud::Secret::new(kubeconfig), None, &meter, f64::INFINITY)
        .await
        .unwrap();
    let error = nobody.uid().await.unwrap_err();
    assert_eq!((error.kind, error.sent), (ApiErrorKind::Transport, Sent::Never));
}

#[tokio::test]
async fn a_refusal_is_final() {
    let server = ApiServer::start(|seen| match seen.method.as_str() {
        "GET" => failure(403, "Forbidden", "pods \"a\" is forbidden: User \"dev\" cannot get resource"),
        _ => failure(422, "Invalid", "ConfigMap \"a\" is invalid"),
    })
    .await;
    let (cluster, meter) = connect(&server).await;
    let error = cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Forbidden, Some("Forbidden")));
    let error = cluster.apply(&Kind::CONFIG_MAP, &config_map(), Force::No).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Invalid);
    assert_eq!(meter.requests(), 2);
}

#[tokio::test]
async fn what_is_not_there_is_nothing_whoever_says_so() {
    let server = ApiServer::start(|seen| match seen.number {
        0 => failure(404, "NotFound", "pods \"a\" not found"),
        _ => Reply::With(404, vec![], "404 page not found\n".to_owned()),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    assert!(cluster.get(&Kind::POD, Some("demo"), "a").await.unwrap().is_none());
    assert!(cluster.get(&Kind::GATEWAY, Some("demo"), "gw").await.unwrap().is_none());
}

#[tokio::test]
async fn a_deletion_says_whether_there_was_something_to_delete() {
    let server =
        ApiServer::start(|seen| match (seen.path.rsplit('/').next().unwrap_or_default(), seen.number) {
            ("there", _) => Reply::Json(200, json!({"kind": "Status", "status": "Success"})),
            ("in-doubt", 2) => Reply::HangUp,
            ("another", _) => failure(
                409,
                "Conflict",
                "Precondition failed: UID in precondition: u-1, UID in object meta: u-2",
            ),
            ("ending", _) => {
                failure(409, "Conflict", "The system is ensuring all content is removed from this namespace.")
            }
            ("held", _) => failure(409, "Conflict", "somebody holds it"),
            _ => failure(404, "NotFound", "not found"),
        })
        .await;
    let (cluster, _) = connect(&server).await;
    let delete = async |name: &str| cluster.delete(&Kind::SERVICE, Some("demo"), name, Some("u-1")).await;
    assert!(delete("there").await.unwrap());
    assert!(!delete("missing").await.unwrap());
    assert!(delete("in-doubt").await.unwrap(), "the attempt without an answer may have been the one");
    assert!(!delete("another").await.unwrap());
    assert!(delete("ending").await.unwrap());
    assert_eq!(delete("held").await.unwrap_err().kind, ApiErrorKind::Conflict);
    let first = &server.seen()[0];
    assert_eq!(
        (first.method.as_str(), first.path.as_str()),
        ("DELETE", "/api/v1/namespaces/demo/services/there")
    );
    assert_eq!(first.body["preconditions"]["uid"], "u-1");
    assert_eq!(first.body["propagationPolicy"], "Background");
}

#[tokio::test]
async fn a_long_list_is_read_to_its_end_and_its_items_say_what_they_are() {
    let page = |name: &str, next: &str| {
        let items = [json!({"metadata": {"name": name}})];
        Reply::Json(
            200,
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next, "resourceVersion": "7"}, "items": items}),
        )
    };
    let server = ApiServer::start(move |seen| {
        assert!(seen.asks("labelSelector=app%3Da") && seen.asks("limit=500"));
        match seen.number {
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
    let asked: Vec<bool> = server.seen().iter().map(|seen| seen.asks("continue=more")).collect();
    assert_eq!(asked, [false, true, false, true]);
}

#[tokio::test]
async fn a_state_that_is_there_already_needs_no_watch() {
    let server = ApiServer::start(|_| list(5, &[gateway(5, true)])).await;
    let (cluster, meter) = connect(&server).await;
    assert_eq!(watch(&cluster).await, "5");
    assert_eq!(meter.requests(), 1);
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/apis/gateway.networking.k8s.io/v1/namespaces/demo/gateways");
    assert!(seen.asks("fieldSelector=metadata.name%3Dgw"), "{}", seen.query);
}

#[tokio::test]
async fn a_stream_that_ends_in_turn_is_taken_up_where_it_stopped() {
    let server = ApiServer::start(|seen| match seen.number {
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
    let seen = server.seen();
    let from: Vec<_> = ["5", "6", "9", "9"].map(|version| format!("resourceVersion={version}")).into();
    assert_eq!(seen.len(), 5);
    for (seen, from) in seen[1..].iter().zip(from) {
        assert!(
            seen.is_watch() && seen.asks(&from) && seen.asks("allowWatchBookmarks=true"),
            "{}",
            seen.query
        );
    }
}

#[tokio::test]
async fn whatever_breaks_a_watch_leads_back_to_the_list() {
    let expired = json!({"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old resource version: 1 (273)", "code": 410});
    let watches = AtomicUsize::new(0);
    let server = ApiServer::start(move |seen| {
        if !seen.is_watch() {
            return list(seen.number as u64, &[gateway(3, false)]);
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
    let (cluster, meter) = connect(&server).await;
    assert_eq!(watch(&cluster).await, "11");
    let watches: Vec<bool> = server.seen().iter().map(Seen::is_watch).collect();
    let expected = [false, true, false, true, false, true, false, true, false, true, true];
    assert_eq!(watches, expected);
    assert_eq!(meter.requests(), 11);
}

#[tokio::test]
async fn a_kind_that_the_cluster_does_not_know_yet_is_waited_for() {
    let server = ApiServer::start(|seen| match seen.number {
        0..=2 => Reply::With(404, vec![], "404 page not found\n".to_owned()),
        _ => list(5, &[gateway(5, true)]),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let mut shown = Vec::new();
    let look = |objects: &[DynamicObject]| {
        shown.push(objects.len());
        is_ready(objects)
    };
    cluster.watch_until(&Kind::GATEWAY, Some("demo"), Selection::All, look).await.unwrap();
    assert_eq!(shown, [0, 0, 0, 1]);
}

#[tokio::test]
async fn what_is_deleted_is_no_longer_shown() {
    let server = ApiServer::start(|seen| match seen.number {
        0 => list(5, &[gateway(3, false), json!({"metadata": {"name": "other", "namespace": "demo"}})]),
        _ => Reply::Events(vec![event("DELETED", gateway(6, false))], End::Never),
    })
    .await;
    let (cluster, _) = connect(&server).await;
    let look = |objects: &[DynamicObject]| (objects.len() == 1).then(|| objects[0].metadata.name.clone());
    let left =
        cluster.watch_until(&Kind::GATEWAY, Some("demo"), Selection::Labels("app=a"), look).await.unwrap();
    assert_eq!(left.as_deref(), Some("other"));
    assert!(server.seen()[1].asks("labelSelector=app%3Da"));
}

#[tokio::test]
async fn every_request_can_be_made_on_another_task() {
    let server = ApiServer::start(|seen| match seen.method.as_str() {
        "GET" if seen.path.ends_with("/gw") => Reply::Json(200, gateway(5, true)),
        "GET" => list(5, &[gateway(5, true)]),
        _ => Reply::Json(200, seen.body.clone()),
    })
    .await;
    let (cluster, meter) = connect(&server).await;
    let task = tokio::spawn(async move {
        let gateway = cluster.get(&Kind::GATEWAY, Some("demo"), "gw").await?.expect("it is there");
        cluster.kind_of(&gateway).await?;
        cluster.apply(&Kind::GATEWAY, &gateway, Force::No).await?;
        cluster.watch_until(&Kind::GATEWAY, None, Selection::All, is_ready).await?;
        cluster.delete(&Kind::GATEWAY, Some("demo"), "gw", None).await
    });
    assert!(task.await.unwrap().unwrap());
    assert_eq!(meter.requests(), 4);
}

#[tokio::test]
async fn a_watch_that_is_refused_ends() {
    let server = ApiServer::start(|_| failure(403, "Forbidden", "no")).await;
    let (cluster, meter) = connect(&server).await;
    let error = cluster.watch_until(&Kind::GATEWAY, None, Selection::All, is_ready).await.unwrap_err();
    assert_eq!((error.kind, meter.requests()), (ApiErrorKind::Forbidden, 1));
}

#[tokio::test]
async fn unknown_kinds_are_discovered_once_and_absent_ones_asked_for_again() {
    let server = ApiServer::start(|seen| match (seen.path.as_str(), seen.number) {
        ("/apis/example.com/v1", 1..) => Reply::Json(
            200,
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.com/v1", "resources": [
                {"name": "oddities", "singularName": "", "namespaced": true, "kind": "Oddity", "verbs": ["get"]},
                {"name": "oddities/status", "singularName": "", "namespaced": true, "kind": "Oddity", "verbs": ["get"]}]}),
        ),
        _ => Reply::With(404, vec![], "404 page not found\n".to_owned()),
    })
    .await;
    let (cluster, meter) = connect(&server).await;
    let odd = object(json!({"apiVersion": "example.com/v1", "kind": "Oddity", "metadata": {"name": "o"}}));
    assert_eq!(cluster.kind_of(&odd).await.unwrap(), None, "its CRD may be on its way");
    let kind = cluster.kind_of(&odd).await.unwrap().expect("now it is served");
    assert_eq!((kind.plural.as_ref(), kind.namespaced), ("oddities", true));
    assert_eq!(cluster.clone().kind_of(&odd).await.unwrap(), Some(kind));
    assert_eq!(cluster.kind_of(&config_map()).await.unwrap(), Some(Kind::CONFIG_MAP));
    assert_eq!(meter.requests(), 2);
}

#[tokio::test]
async fn an_answer_without_end_is_bounded_and_says_so() {
    for status in [200, 201, 500] {
        let server = ApiServer::start(move |_| Reply::Endless(status)).await;
        let (cluster, _) = connect(&server).await;
        let error = cluster.list(&Kind::GATEWAY, Some("demo"), None).await.expect_err("it has no end");
        if status < 300 {
            assert_eq!(error.kind, ApiErrorKind::Protocol, "{error:?}");
            assert_eq!(error.message, "the answer of the API server is larger than 64 MiB");
            assert_eq!(error.sent, Sent::Unknown);
        }
    }
}

#[tokio::test]
async fn a_line_of_a_watch_without_end_is_bounded_and_says_so() {
    let server = ApiServer::start(|seen| match seen.is_watch() {
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
