//! Tests of watches, paged lists and discovery.

use http::Method;
use serde_json::{Value, json};

use super::fixture::{CONFIG_MAPS, Cluster, T0, config_map};
use super::store::Store;
use super::watch::Watch;
use crate::clock::SimTime;
use crate::request::Request;

impl Cluster {
    fn watch(&mut self, query: &str) -> Watch {
        let request = Request::new(Method::GET, "c", &format!("{CONFIG_MAPS}?watch=true&{query}"));
        self.send_request(&request).watch.expect("a watch begins")
    }

    fn seen(&self, watch: &mut Watch, now: SimTime) -> (Vec<(String, Value)>, bool) {
        let (lines, done) = watch.poll(&self.store, now);
        let events = lines.iter().map(|line| {
            assert!(line.ends_with(b"\n"));
            let event: Value = serde_json::from_slice(line).expect("an event is JSON");
            (event["type"].as_str().unwrap_or_default().to_owned(), event["object"].clone())
        });
        (events.collect(), done)
    }

    fn kinds(&self, watch: &mut Watch) -> Vec<String> {
        let events = self.seen(watch, self.now).0;
        events
            .iter()
            .map(|(kind, object)| format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or("-")))
            .collect()
    }
}

#[test]
fn a_watch_from_a_revision_replays_exactly_the_later_changes() {
    let mut cluster = Cluster::new();
    cluster.post(CONFIG_MAPS, &config_map("old", json!({})));
    let start = cluster.store.revision();
    cluster.post(CONFIG_MAPS, &config_map("new", json!({})));
    cluster.merge(&format!("{CONFIG_MAPS}/new"), &json!({"data": {"a": "1"}}));
    let mut watch = cluster.watch(&format!("resourceVersion={start}"));
    assert_eq!(cluster.kinds(&mut watch), ["ADDED new", "MODIFIED new"]);
    assert!(cluster.kinds(&mut watch).is_empty());
    cluster.send(Method::DELETE, &format!("{CONFIG_MAPS}/new"), "application/json", &Value::Null);
    let (events, done) = cluster.seen(&mut watch, cluster.now);
    assert_eq!((events[0].0.as_str(), done), ("DELETED", false));
    assert_eq!(events[0].1["metadata"]["resourceVersion"], cluster.store.revision().to_string());
}

#[test]
fn a_watch_without_a_revision_starts_with_existing_objects() {
    let mut cluster = Cluster::new();
    cluster.post(CONFIG_MAPS, &config_map("a", json!({})));
    assert_eq!(cluster.watch("resourceVersion=0").poll(&cluster.store, cluster.now).0.len(), 1);
    let mut watch =
        cluster.watch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let events = cluster.seen(&mut watch, cluster.now).0;
    assert_eq!((events[0].0.as_str(), events[1].0.as_str()), ("ADDED", "BOOKMARK"));
    assert_eq!(events[1].1["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
}

#[test]
fn objects_come_and_go_by_entering_and_leaving_the_selection() {
    let mut cluster = Cluster::new();
    let mut watch = cluster.watch("labelSelector=app%3Dx");
    cluster.post(CONFIG_MAPS, &config_map("a", json!({})));
    let target = format!("{CONFIG_MAPS}/a");
    cluster.merge(&target, &json!({"metadata": {"labels": {"app": "x"}}}));
    cluster.merge(&target, &json!({"data": {"k": "v"}}));
    cluster.merge(&target, &json!({"metadata": {"labels": {"app": "y"}}}));
    assert_eq!(cluster.kinds(&mut watch), ["ADDED a", "MODIFIED a", "DELETED a"]);
}

#[test]
fn a_watch_ends_in_time_with_a_bookmark_before() {
    let mut cluster = Cluster::new();
    let mut watch = cluster.watch("timeoutSeconds=10&allowWatchBookmarks=true");
    let began = cluster.now;
    assert_eq!(watch.deadline(), began.plus_ms(9_500));
    let (events, done) = cluster.seen(&mut watch, began.plus_ms(9_500));
    assert_eq!((events[0].0.as_str(), done), ("BOOKMARK", false));
    assert_eq!(events[0].1["metadata"]["resourceVersion"], cluster.store.revision().to_string());
    assert_eq!(watch.deadline(), began.plus_ms(10_000));
    assert_eq!(cluster.seen(&mut watch, began.plus_ms(10_000)), (Vec::new(), true));
}

#[test]
fn a_watch_from_before_a_restart_expires() {
    let mut cluster = Cluster::new();
    cluster.post(CONFIG_MAPS, &config_map("a", json!({})));
    let text = serde_json::to_string(&cluster.store).expect("a store can be written");
    cluster.store = serde_json::from_str::<Store>(&text).expect("a store can be read");
    let current = cluster.store.revision();
    let mut watch = cluster.watch("resourceVersion=2");
    let (events, done) = cluster.seen(&mut watch, cluster.now);
    assert!(done);
    assert_eq!((events[0].0.as_str(), events[0].1["code"].as_i64()), ("ERROR", Some(410)));
    assert_eq!(events[0].1["reason"], "Expired");
    assert_eq!(events[0].1["message"], format!("too old resource version: 2 ({current})"));
    let mut fresh = cluster.watch(&format!("resourceVersion={current}"));
    cluster.post(CONFIG_MAPS, &config_map("b", json!({})));
    assert_eq!(cluster.kinds(&mut fresh), ["ADDED b"]);
}

#[test]
fn pages_of_a_list_show_one_revision() {
    let mut cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        cluster.post(CONFIG_MAPS, &config_map(name, json!({})));
    }
    let first = cluster.get(&format!("{CONFIG_MAPS}?limit=2")).value();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    assert_eq!(first["items"][0].get("kind"), None);
    cluster.send(Method::DELETE, &format!("{CONFIG_MAPS}/c"), "application/json", &Value::Null);
    let next = first["metadata"]["continue"].as_str().expect("there is more");
    let second = cluster.get(&format!("{CONFIG_MAPS}?limit=2&continue={next}")).value();
    assert_eq!(second["items"][0]["metadata"]["name"], "c", "it was there when the list began");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(second["metadata"].get("continue"), None);
}

#[test]
fn discovery_is_plain_or_aggregated_on_request() {
    let mut cluster = Cluster::new();
    let plain = cluster.get("/apis/gateway.networking.k8s.io/v1").value();
    assert_eq!(plain["kind"], "APIResourceList");
    let names: Vec<&Value> =
        plain["resources"].as_array().into_iter().flatten().map(|r| &r["name"]).collect();
    assert!(names.contains(&&json!("gateways")) && names.contains(&&json!("gateways/status")));
    let media_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let request = Request::new(Method::GET, "c", "/apis").with_header("accept", media_type);
    let aggregated = cluster.send_request(&request).reply;
    assert_eq!(aggregated.headers.get("content-type").and_then(|it| it.to_str().ok()), Some(media_type));
    assert_eq!(aggregated.value()["kind"], "APIGroupDiscoveryList");
    assert_eq!(cluster.get("/api").value()["versions"], json!(["v1"]));
    let document = cluster.get("/openapi/v3/apis/apps/v1").value();
    let place = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    assert_eq!(document["paths"][place]["patch"]["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    assert!(cluster.now > T0);
}

#[test]
fn a_table_has_a_row_for_each_object() {
    let mut cluster = Cluster::new();
    let request = Request::new(Method::GET, "c", "/api/v1/namespaces")
        .with_header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
    let table = cluster.send_request(&request).reply.value();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"].as_array().map(Vec::len), Some(3));
    assert_eq!(table["rows"][0]["cells"], json!(["demo", "Active", "0s"]));
}
