//! Faults of a cluster's Kubernetes API, and changes by other clients inside the cluster.

use bytes::Bytes;
use serde_json::Value;

use super::around::{Bite, Scene};
use super::cluster::uid;
use super::lag::{self, Held};
use super::{Fault, Kind, Row};
use crate::aks;
use crate::arm::clusters::intervention;
use crate::clock::Moment;
use crate::kubernetes::{self, Store};
use crate::request::{Reply, Request, Streaming};
use crate::world::World;

const API: &str = "/kubernetes/";
const POD_STATUSES: &str = "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io";

const fn row(
    fault: Fault,
    name: &'static str,
    kind: Kind,
    method: &'static str,
    texts: (&'static str, &'static str),
    bite: Bite,
) -> Row {
    let (what, client) = texts;
    Row { fault, name, kind, method, path: API, what, client, heals: true, bite }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::HolderGone,
        "holder-gone",
        Kind::World,
        "",
        (
            "another client deletes the owner of the pod that holds the synced Secret, and the Secret is \
             deleted with it",
            "recreates the workload",
        ),
        Bite::Before(holder_gone),
    ),
    row(
        Fault::WatchBroken,
        "watch-broken",
        Kind::Transport,
        "GET",
        ("a watch ends in the middle of its first event", "lists and watches again"),
        Bite::After(watch_broken),
    ),
    row(
        Fault::WatchGone,
        "watch-gone",
        Kind::Refusal,
        "GET",
        (
            "the history is compacted: the number a watch begins at is too old, `ERROR` with 410 `Expired`",
            "lists and watches again",
        ),
        Bite::Before(watch_gone),
    ),
    row(
        Fault::ApiThrottled,
        "api-throttled",
        Kind::Refusal,
        "",
        ("429 of the API server with `Retry-After: 1`", "waits for `Retry-After`, then retries"),
        Bite::Instead(|_, _| Some(kubernetes::too_many_requests())),
    ),
    row(
        Fault::ApiDown,
        "api-down",
        Kind::World,
        "",
        ("the API server returns 503 for 60 s of cloud time", "retries for a few minutes"),
        Bite::Before(api_down),
    ),
    row(
        Fault::AggregatedApiDown,
        "aggregated-api-down",
        Kind::World,
        "",
        (
            "nothing answers behind the API of metrics-server: it stays listed in `/apis`, and everything below it is 503",
            "skips the group where it examines a cluster, and says so",
        ),
        Bite::Before(aggregated_api_down),
    ),
    row(
        Fault::KubectlOwns,
        "kubectl-owns",
        Kind::World,
        "PATCH",
        (
            "kubectl has written the applied object with one other value, without server-side apply: 409 `Conflict` unless forced",
            "takes the field over once, where the object is its own",
        ),
        Bite::Before(kubectl_owns),
    ),
];

/// Returns the request as the cluster's API sees it: with the path below the prefix.
fn below(scene: &Scene<'_>) -> Option<Request> {
    let (_, path) = scene.request.path.strip_prefix(API)?.split_once('/')?;
    Some(Request { path: format!("/{path}"), ..scene.request.clone() })
}

fn store<'a>(world: &'a mut World, scene: &Scene<'_>) -> Option<&'a mut Store> {
    intervention::store_mut(world, &uid(scene)?)
}

fn is_watch(request: &Request) -> bool {
    request.query("watch").is_some_and(|value| value == "true" || value == "1")
}

fn api_down(world: &mut World, scene: &Scene<'_>) -> bool {
    let Some(uid) = uid(scene).filter(|uid| intervention::store_mut(world, uid).is_some()) else {
        return false;
    };
    world.lags.hold(Held::ApiServer(uid), lag::API_SERVER, scene.now, scene.timing);
    true
}

fn aggregated_api_down(world: &mut World, scene: &Scene<'_>) -> bool {
    store(world, scene).is_some_and(|store| aks::register_metrics(store, scene.now))
}

fn kubectl_owns(world: &mut World, scene: &Scene<'_>) -> bool {
    let applies = scene.request.header("content-type").is_some_and(|kind| kind.contains("apply-patch"));
    let Some(request) = below(scene).filter(|_| applies) else { return false };
    store(world, scene).is_some_and(|store| kubernetes::overwrite(store, &request, scene.now))
}

fn watch_gone(world: &mut World, scene: &Scene<'_>) -> bool {
    let from = scene.request.query("resourceVersion").and_then(|text| text.parse::<u64>().ok());
    if !is_watch(scene.request) || from.is_none_or(|from| from == 0) {
        return false;
    }
    store(world, scene).map(kubernetes::write_elsewhere).is_some()
}

fn watch_broken(_: &mut World, _: &Scene<'_>, reply: &mut Reply) -> bool {
    let whole = reply.stream.take();
    let found = whole.is_some();
    reply.stream = whole.map(|whole| Box::new(Broken(whole)) as Box<dyn Streaming>);
    found
}

/// A stream that breaks off within its first chunk.
struct Broken(Box<dyn Streaming>);

impl Streaming for Broken {
    fn poll(&mut self, world: &World, now: Moment) -> (Vec<Bytes>, bool) {
        let (chunks, done) = self.0.poll(world, now);
        match chunks.into_iter().next() {
            Some(first) => (vec![first.slice(..first.len() / 2)], true),
            None => (Vec::new(), done),
        }
    }

    fn deadline(&self) -> Moment {
        self.0.deadline()
    }
}

fn holder_gone(world: &mut World, scene: &Scene<'_>) -> bool {
    let Some(store) = store(world, scene) else { return false };
    let Some(pod) = store.list(POD_STATUSES, None).into_iter().find_map(|status| holder(store, status))
    else {
        return false;
    };
    let (resource, namespace, name) = topmost(store, pod);
    store.remove(resource, &namespace, &name, scene.now).is_some()
}

/// Returns the pod of a mount.
fn holder<'a>(store: &'a Store, status: &Value) -> Option<&'a Value> {
    let namespace = status["metadata"]["namespace"].as_str()?;
    store.get("pods", namespace, status["status"]["podName"].as_str()?)
}

/// Returns resource, namespace and name of the topmost owner of an object.
fn topmost(store: &Store, object: &Value) -> (&'static str, String, String) {
    let text =
        |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (mut resource, mut object) = ("pods", object);
    loop {
        let namespace = text(object, "namespace");
        let owner = &object["metadata"]["ownerReferences"][0];
        let next = match owner["kind"].as_str() {
            Some("ReplicaSet") => "replicasets.apps",
            Some("Deployment") => "deployments.apps",
            _ => return (resource, namespace, text(object, "name")),
        };
        let Some(found) = owner["name"].as_str().and_then(|name| store.get(next, &namespace, name)) else {
            return (resource, namespace, text(object, "name"));
        };
        (resource, object) = (next, found);
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Inside, arm, make_cluster};
    use super::*;
    use crate::clock::{Speed, Timing};
    use crate::test_cloud::TestCloud;
    use http::Method;
    use serde_json::json;

    const MAPS: &str = "/api/v1/namespaces/default/configmaps";

    fn ready() -> (TestCloud, Inside) {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        cloud.pass(60.0);
        let inside = Inside::of(&mut cloud);
        (cloud, inside)
    }

    fn map(value: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "m", "labels": { "app.kubernetes.io/managed-by": "landfall" } },
            "data": { "key": value },
        })
    }

    #[test]
    fn the_api_server_throttles_and_goes_away_for_a_while() {
        let (mut cloud, inside) = ready();
        arm(&mut cloud, "api-throttled");
        let reply = inside.get(&mut cloud, MAPS);
        assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].to_str().unwrap()), (429, "1"));
        assert_eq!(reply.value()["reason"], "TooManyRequests");
        assert_eq!(reply.value()["details"]["retryAfterSeconds"], 1);
        arm(&mut cloud, "api-down");
        let reply = inside.get(&mut cloud, MAPS);
        assert_eq!((reply.status.as_u16(), &reply.value()["reason"]), (503, &json!("ServiceUnavailable")));
        cloud.pass(59.0);
        assert_eq!(inside.get(&mut cloud, MAPS).status, 503);
        cloud.pass(1.0);
        assert_eq!(inside.get(&mut cloud, MAPS).status, 200);
        cloud.timing = Timing::new(Speed::Instant);
        arm(&mut cloud, "api-down");
        let looks = [503, 503, 503, 200];
        assert_eq!(looks.map(|_| inside.get(&mut cloud, MAPS).status.as_u16()), looks);
    }

    #[test]
    fn an_aggregated_api_without_a_backend_stays_listed_and_answers_503() {
        let (mut cloud, inside) = ready();
        arm(&mut cloud, "aggregated-api-down");
        let listed = inside.get(&mut cloud, "/apis").value();
        let groups: Vec<&str> = listed["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["name"].as_str().unwrap())
            .collect();
        assert!(groups.contains(&"metrics.k8s.io") && groups.contains(&"apps"), "{groups:?}");
        for path in ["/apis/metrics.k8s.io/v1beta1", "/apis/metrics.k8s.io/v1beta1/nodes"] {
            let reply = inside.get(&mut cloud, path);
            assert_eq!(
                (reply.status.as_u16(), &reply.body[..]),
                (503, &b"service unavailable\n"[..]),
                "{path}"
            );
        }
        let at = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
        let condition = inside.get(&mut cloud, at).value()["status"]["conditions"][0].clone();
        assert_eq!((&condition["type"], &condition["status"]), (&json!("Available"), &json!("False")));
        assert_eq!(inside.get(&mut cloud, MAPS).status, 200);
    }

    #[test]
    fn a_watch_ends_in_the_middle_of_an_event() {
        let (mut cloud, inside) = ready();
        arm(&mut cloud, "watch-broken");
        assert!(inside.get(&mut cloud, MAPS).stream.is_none());
        let mut reply = inside.get(&mut cloud, "/api/v1/namespaces?watch=1");
        let mut stream = reply.stream.take().unwrap();
        let (chunks, done) = stream.poll(&cloud.world, cloud.now);
        assert!(done);
        let text = String::from_utf8_lossy(&chunks[0]).into_owned();
        assert!(text.starts_with("{\"type\":\"ADDED\"") && serde_json::from_str::<Value>(&text).is_err());
        assert!(cloud.world.faults.armed.is_empty());
    }

    #[test]
    fn a_watch_from_before_the_compaction_is_told_to_list_again() {
        let (mut cloud, inside) = ready();
        arm(&mut cloud, "watch-gone");
        let listed = inside.get(&mut cloud, MAPS).value();
        let from = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let mut reply = inside.get(&mut cloud, &format!("{MAPS}?watch=1&resourceVersion={from}"));
        let (chunks, done) = reply.stream.take().unwrap().poll(&cloud.world, cloud.now);
        let event: Value = serde_json::from_slice(&chunks[0]).unwrap();
        assert_eq!((done, &event["type"], &event["object"]["code"]), (true, &json!("ERROR"), &json!(410)));
        assert_eq!(event["object"]["reason"], "Expired");
        let listed = inside.get(&mut cloud, MAPS).value();
        let from = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let mut reply = inside.get(&mut cloud, &format!("{MAPS}?watch=1&resourceVersion={from}"));
        assert!(!reply.stream.take().unwrap().poll(&cloud.world, cloud.now).1);
    }

    #[test]
    fn what_kubectl_wrote_is_a_conflict_until_it_is_forced() {
        for there in [false, true] {
            let (mut cloud, inside) = ready();
            let at = format!("{MAPS}/m?fieldManager=landfall");
            if there {
                assert_eq!(inside.apply(&mut cloud, &at, &map("a")).status, 201);
            }
            arm(&mut cloud, "kubectl-owns");
            let refused = inside.apply(&mut cloud, &at, &map("a"));
            assert_eq!((refused.status.as_u16(), &refused.value()["reason"]), (409, &json!("Conflict")));
            let cause = &refused.value()["details"]["causes"][0];
            assert_eq!(
                (&cause["reason"], &cause["field"]),
                (&json!("FieldManagerConflict"), &json!(".data.key"))
            );
            assert!(refused.value()["message"].as_str().unwrap().contains("\"kubectl-client-side-apply\""));
            let live = inside.get(&mut cloud, &format!("{MAPS}/m")).value();
            assert_eq!(live["metadata"]["labels"]["app.kubernetes.io/managed-by"], "landfall");
            let forced = inside.apply(&mut cloud, &format!("{at}&force=true"), &map("a"));
            assert_eq!((forced.status.as_u16(), &forced.value()["data"]["key"]), (200, &json!("a")));
        }
    }

    #[test]
    fn the_holder_of_a_secret_goes_with_all_it_owned() {
        let (mut cloud, inside) = ready();
        let now = cloud.now;
        let store = intervention::store_mut(&mut cloud.world, &inside.uid).unwrap();
        let pods = "pods";
        let holder = |name: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "default" },
                "spec": {
                    "replicas": 1, "selector": { "matchLabels": { "app": name } },
                    "template": {
                        "metadata": { "labels": { "app": name } },
                        "spec": { "containers": [{ "name": "pause", "image": "mcr.microsoft.com/oss/kubernetes/pause:3.9" }] },
                    },
                },
            })
        };
        store.put("deployments.apps", holder("sync"), "test", now);
        cloud.pass(30.0);
        let store = intervention::store_mut(&mut cloud.world, &inside.uid).unwrap();
        let pod = store.list(pods, Some("default"))[0]["metadata"]["name"].as_str().unwrap().to_owned();
        let status = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus",
            "metadata": { "name": format!("{pod}-default-tls"), "namespace": "default" },
            "status": { "podName": pod, "mounted": true },
        });
        store.put(POD_STATUSES, status, "test", now);
        arm(&mut cloud, "holder-gone");
        let at = "/apis/apps/v1/namespaces/default/deployments/sync";
        assert_eq!(inside.get(&mut cloud, at).status, 404);
        let left = inside.get(&mut cloud, "/api/v1/namespaces/default/pods").value();
        assert_eq!(left["items"], json!([]));
        assert_eq!(cloud.send(&inside.request(Method::GET, "/version")).status, 200);
    }
}
