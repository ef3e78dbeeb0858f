//! Tests of every error that a client must handle, with the server's own messages.

use http::Method;
use serde_json::{Value, json};

use super::dispatch::{ANONYMOUS, serve};
use super::fixture::{CONFIG_MAPS, Cluster, DEPLOYMENTS, GATEWAYS, config_map, deployment, gateway};
use crate::request::{Reply, Request};

fn status_of(reply: &Reply) -> (u16, String, String) {
    let body = reply.value();
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    (reply.status.as_u16(), text("reason"), text("message"))
}

fn status_error(code: u16, reason: &str, message: &str) -> (u16, String, String) {
    (code, reason.to_owned(), message.to_owned())
}

#[test]
fn missing_objects_kinds_and_paths_have_distinct_errors() {
    let mut cluster = Cluster::new();
    let missing = cluster.get(&format!("{CONFIG_MAPS}/nope"));
    assert_eq!(status_of(&missing), status_error(404, "NotFound", "configmaps \"nope\" not found"));
    assert_eq!(missing.value()["details"], json!({"name": "nope", "kind": "configmaps"}));
    let grouped = cluster.get(&format!("{GATEWAYS}/nope")).value();
    assert_eq!(
        grouped["details"],
        json!({"name": "nope", "group": "gateway.networking.k8s.io", "kind": "gateways"})
    );
    let namespace = cluster.apply("/api/v1/namespaces/nons/configmaps/a", "x", &config_map("a", json!({})));
    assert_eq!(status_of(&namespace), status_error(404, "NotFound", "namespaces \"nons\" not found"));
    let path = cluster.get("/apis/nope.io/v1/things");
    assert_eq!((path.status.as_u16(), &path.body[..]), (404, b"404 page not found\n".as_slice()));
    let resource = cluster.get("/api/v1/namespaces/demo/things");
    assert_eq!(
        status_of(&resource),
        status_error(404, "NotFound", "the server could not find the requested resource")
    );
}

#[test]
fn subresources_that_need_a_running_program_are_refused_by_name() {
    let mut cluster = Cluster::new();
    let pod =
        json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    assert_eq!(cluster.post("/api/v1/namespaces/demo/pods", &pod).status, 201);
    for (method, path, part) in [
        (Method::POST, "pods/web/exec?command=sh&stdin=true", "pods/exec"),
        (Method::GET, "pods/web/exec?command=sh", "pods/exec"),
        (Method::POST, "pods/web/attach", "pods/attach"),
        (Method::GET, "pods/web/portforward", "pods/portforward"),
        (Method::GET, "pods/web/proxy/healthz/ready", "pods/proxy"),
    ] {
        let target = format!("/api/v1/namespaces/demo/{path}");
        let refused = cluster.send(method, &target, "application/json", &Value::Null);
        let message = format!("{part} is not available in the simulated cluster; see docs/kubectl.md");
        assert_eq!(status_of(&refused), status_error(405, "MethodNotAllowed", &message), "{path}");
    }
    let missing = cluster.post("/api/v1/namespaces/demo/pods/none/exec", &Value::Null);
    assert_eq!(status_of(&missing), status_error(404, "NotFound", "pods \"none\" not found"));
    let anonymous = Request::new(Method::POST, "c", "/api/v1/namespaces/demo/pods/web/exec");
    let forbidden = serve(&mut cluster.store, &anonymous, ANONYMOUS, cluster.now).reply;
    assert_eq!(forbidden.status, 403);
    let message = forbidden.value()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("cannot create resource \"pods/exec\""), "{message}");
}

#[test]
fn an_object_that_the_state_file_cannot_hold_is_refused() {
    let mut cluster = Cluster::new();
    let kind = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    assert_eq!(cluster.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &kind).status, 201);
    cluster.now = cluster.now.plus_ms(60_000);
    cluster.store.advance_to(cluster.now);
    let thing = |name: &str, levels: usize| {
        let deep = (0..levels).fold(json!("x"), |inner, _| json!({ "a": inner }));
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name}, "spec": deep})
    };
    let things = "/apis/example.com/v1/namespaces/demo/things";
    assert_eq!(cluster.post(things, &thing("shallow", 50)).status, 201);
    assert_eq!(cluster.post(things, &thing("deep", 110)).status, 400);
    let stored = serde_json::to_string(&cluster.store).unwrap();
    assert!(serde_json::from_str::<Value>(&format!("{}{stored}{}", "[".repeat(6), "]".repeat(6))).is_ok());
}

#[test]
fn conflicts_have_distinct_errors() {
    let mut cluster = Cluster::new();
    let body = config_map("p1", json!({"a": "1"}));
    cluster.post(CONFIG_MAPS, &body);
    let again = cluster.post(CONFIG_MAPS, &body);
    assert_eq!(status_of(&again), status_error(409, "AlreadyExists", "configmaps \"p1\" already exists"));
    let mut stale = body.clone();
    stale["metadata"]["resourceVersion"] = json!("1");
    let modified = status_error(
        409,
        "Conflict",
        "Operation cannot be fulfilled on configmaps \"p1\": the object has been modified; please apply your changes to the latest version and try again",
    );
    let target = format!("{CONFIG_MAPS}/p1");
    let put = cluster.send(Method::PUT, &target, "application/json", &stale);
    assert_eq!(status_of(&put), modified);
    assert_eq!(put.value()["details"], json!({"name": "p1", "kind": "configmaps"}));
    assert_eq!(status_of(&cluster.apply(&target, "x", &stale)), modified);
    let wrong = json!({"preconditions": {"uid": "other"}});
    let deleted = cluster.send(Method::DELETE, &target, "application/json", &wrong);
    assert_eq!(deleted.status, 409);
    let mut new = config_map("p2", json!({}));
    new["metadata"]["uid"] = json!("some");
    let created = cluster.apply(&format!("{CONFIG_MAPS}/p2"), "x", &new);
    assert!(status_of(&created).2.contains("no existing object was found"), "{created:?}");
}

#[test]
fn schema_violations_are_invalid() {
    let mut cluster = Cluster::new();
    let mut bad = gateway(json!([{"name": "http", "port": 0, "protocol": "HTTP"}]));
    bad["metadata"]["name"] = json!("bad");
    let one = cluster.apply(&format!("{GATEWAYS}/bad"), "x", &bad);
    assert_eq!(
        one.value(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Gateway.gateway.networking.k8s.io \"bad\" is invalid: spec.listeners[0].port: Invalid value: 0: spec.listeners[0].port in body should be greater than or equal to 1",
            "reason": "Invalid",
            "details": {
                "name": "bad", "group": "gateway.networking.k8s.io", "kind": "Gateway",
                "causes": [{
                    "reason": "FieldValueInvalid", "field": "spec.listeners[0].port",
                    "message": "Invalid value: 0: spec.listeners[0].port in body should be greater than or equal to 1",
                }],
            },
            "code": 422,
        })
    );
    let mut several = deployment();
    several["metadata"]["name"] = json!("Bad_Name");
    several["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    let status_name = status_of(&cluster.post(DEPLOYMENTS, &several));
    assert_eq!((status_name.0, status_name.1.as_str()), (422, "Invalid"));
    assert!(status_name.2.starts_with("Deployment.apps \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain"));
    several["metadata"]["name"] = json!("web");
    several["spec"]["template"]["spec"]["containers"][0].as_object_mut().map(|map| map.shift_remove("image"));
    let two = cluster.post(DEPLOYMENTS, &several).value();
    assert_eq!(two["details"]["causes"].as_array().map(Vec::len), Some(2), "{two}");
    assert!(
        two["message"]
            .as_str()
            .is_some_and(|text| text.contains("is invalid: [spec.template.metadata.labels"))
    );
}

#[test]
fn rules_over_time_and_between_fields_hold() {
    let mut cluster = Cluster::new();
    let target = format!("{DEPLOYMENTS}/web");
    cluster.apply(&target, "x", &deployment());
    let mut other = deployment();
    other["spec"]["selector"] = json!({"matchLabels": {"app": "web", "v": "2"}});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "web", "v": "2"});
    assert!(status_of(&cluster.apply(&target, "x", &other)).2.ends_with("field is immutable"));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": "x"},
    });
    let half = status_of(&cluster.post("/api/v1/namespaces/demo/secrets", &secret));
    assert_eq!(half, status_error(422, "Invalid", "Secret \"t\" is invalid: data[tls.key]: Required value"));
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]},
    });
    let services = "/api/v1/namespaces/demo/services";
    assert_eq!(cluster.post(services, &service).status, 201);
    let moved = cluster.merge(&format!("{services}/s"), &json!({"spec": {"clusterIP": "10.0.0.1"}}));
    assert!(status_of(&moved).2.contains("may not change once set"), "{moved:?}");
}

#[test]
fn unknown_fields_are_errors_or_warnings() {
    let mut cluster = Cluster::new();
    let mut body = config_map("u", json!({}));
    body["bogus"] = json!(1);
    let strict = cluster.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), &body);
    assert_eq!(
        status_of(&strict),
        status_error(
            400,
            "BadRequest",
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"bogus\""
        )
    );
    let warned = cluster.post(CONFIG_MAPS, &body);
    assert_eq!(warned.status, 201);
    assert_eq!(
        warned.headers.get("warning").and_then(|value| value.to_str().ok()),
        Some("299 - \"unknown field \\\"bogus\\\"\"")
    );
    assert_eq!(warned.value().get("bogus"), None);
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    cluster.post(GATEWAYS, &gateway(listeners));
    let target = format!("{GATEWAYS}/gw?fieldValidation=Strict");
    let patched = cluster.merge(&target, &json!({"spec": {"bogus": 1}}));
    let (code, reason, message) = status_of(&patched);
    assert_eq!((code, reason.as_str()), (422, "Invalid"));
    assert!(message.contains("patch: Invalid value") && message.contains("unknown field \"spec.bogus\""));
}

#[test]
fn malformed_requests_are_bad_requests() {
    let mut cluster = Cluster::new();
    let target = format!("{CONFIG_MAPS}/a");
    let no_manager =
        cluster.send(Method::PATCH, &target, "application/apply-patch+yaml", &config_map("a", json!({})));
    assert_eq!(
        status_of(&no_manager),
        status_error(
            422,
            "Invalid",
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        )
    );
    let mut owned = config_map("a", json!({}));
    owned["metadata"]["managedFields"] = json!([]);
    let owned = cluster.apply(&target, "x", &owned);
    assert_eq!(status_of(&owned), status_error(400, "BadRequest", "metadata.managedFields must be nil"));
    assert_eq!(cluster.apply(&target, "x", &config_map("b", json!({}))).status, 400);
    let cases = [
        format!("{CONFIG_MAPS}?labelSelector=a%20b"),
        format!("{CONFIG_MAPS}?fieldSelector=data.k%3Dv"),
        format!("{CONFIG_MAPS}?resourceVersion=abc"),
        format!("{CONFIG_MAPS}?continue=xyz"),
    ];
    for case in cases {
        assert_eq!(cluster.get(&case).status, 400, "{case}");
    }
    let protobuf = cluster.send(Method::POST, CONFIG_MAPS, "application/vnd.kubernetes.protobuf", &json!({}));
    assert_eq!((protobuf.status.as_u16(), status_of(&protobuf).1.as_str()), (400, "BadRequest"));
    let strategic = "application/strategic-merge-patch+json";
    let custom = cluster.send(Method::PATCH, &format!("{GATEWAYS}/gw"), strategic, &json!({}));
    assert_eq!(custom.status, 415);
    assert!(status_of(&custom).2.contains("application/json-patch+json, application/merge-patch+json"));
    let accept = Request::new(Method::GET, "c", CONFIG_MAPS).with_header("accept", "text/html");
    assert_eq!(status_of(&cluster.send_request(&accept).reply).1, "NotAcceptable");
    let method = cluster.send(Method::POST, &target, "application/json", &config_map("a", json!({})));
    assert_eq!(status_of(&method).1, "MethodNotAllowed");
}

#[test]
fn a_list_at_a_future_revision_times_out() {
    let mut cluster = Cluster::new();
    let reply =
        cluster.get(&format!("{CONFIG_MAPS}?resourceVersion=99999&resourceVersionMatch=NotOlderThan"));
    assert_eq!((reply.status.as_u16(), status_of(&reply).1.as_str()), (504, "Timeout"));
    assert_eq!(reply.headers.get("retry-after").and_then(|value| value.to_str().ok()), Some("1"));
    assert_eq!(reply.value()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[test]
fn anonymous_requests_may_read_only_health_and_version() {
    let mut cluster = Cluster::new();
    let now = cluster.now;
    let mut send_request = |path: &str| -> Reply {
        serve(&mut cluster.store, &Request::new(Method::GET, "c", path), ANONYMOUS, now).reply
    };
    assert_eq!(
        status_of(&send_request("/api/v1/namespaces")),
        status_error(
            403,
            "Forbidden",
            "namespaces is forbidden: User \"system:anonymous\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope"
        )
    );
    assert!(status_of(&send_request(&format!("{DEPLOYMENTS}/web"))).2.ends_with("in the namespace \"demo\""));
    assert_eq!(
        (send_request("/version").status.as_u16(), send_request("/readyz").status.as_u16()),
        (200, 200)
    );
    assert_eq!(send_request("/apis").status, 403);
    assert_eq!(status_of(&super::unauthorized()), status_error(401, "Unauthorized", "Unauthorized"));
}

#[test]
fn delete_returns_success_or_the_terminating_object() {
    let mut cluster = Cluster::new();
    cluster.apply(&format!("{DEPLOYMENTS}/web"), "x", &deployment());
    let target = format!("{DEPLOYMENTS}/web");
    let owner = cluster.get(&target).value()["metadata"]["uid"].clone();
    let mut child = config_map("child", json!({}));
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner,
    }]);
    child["metadata"]["finalizers"] = json!(["test/hold"]);
    cluster.post(CONFIG_MAPS, &child);
    let policy = json!({"propagationPolicy": "Foreground"});
    let marked = cluster.send(Method::DELETE, &target, "application/json", &policy).value();
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert_eq!(
        (marked["metadata"]["generation"].as_i64(), marked["kind"].as_str()),
        (Some(2), Some("Deployment"))
    );
    assert_eq!(cluster.get(&target).status, 200, "the child still holds it");
    let held = cluster
        .merge(&format!("{CONFIG_MAPS}/child"), &json!({"metadata": {"finalizers": ["test/hold", "more"]}}));
    assert_eq!(status_of(&held).1, "Invalid");
    cluster.merge(&format!("{CONFIG_MAPS}/child"), &json!({"metadata": {"finalizers": null}}));
    assert_eq!(cluster.get(&target).status, 404);
    cluster.post(CONFIG_MAPS, &config_map("z", json!({})));
    let deleted_status =
        cluster.send(Method::DELETE, &format!("{CONFIG_MAPS}/z"), "application/json", &Value::Null).value();
    assert_eq!(
        (deleted_status["status"].as_str(), deleted_status["details"]["kind"].as_str()),
        (Some("Success"), Some("configmaps"))
    );
    let terminating =
        cluster.send(Method::DELETE, "/api/v1/namespaces/demo", "application/json", &Value::Null);
    assert_eq!(terminating.value()["status"]["phase"], "Terminating");
}

#[test]
fn a_dry_run_returns_the_result_and_stores_nothing() {
    let mut cluster = Cluster::new();
    let before = cluster.store.revision();
    let reply = cluster.post(&format!("{CONFIG_MAPS}?dryRun=All"), &config_map("d", json!({})));
    assert_eq!(reply.status, 201);
    let metadata = reply.value()["metadata"].clone();
    assert!(metadata["uid"].is_string() && metadata.get("resourceVersion").is_none());
    assert_eq!(cluster.store.revision(), before);
}
