//! Faults of a cluster's Kubernetes API, and changes by other clients inside the cluster.

use std::any::Any;

use bytes::Bytes;
use serde_json::Value;

use super::cluster::uid;
use super::delay;
use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::aks;
use crate::arm::clusters::fault_hooks;
use crate::clock::SimTime;
use crate::delays::DelaySubject;
use crate::kubernetes::{self, Store};
use crate::request::{Reply, Request, Streaming};
use crate::state::CloudState;
use crate::traffic::kept_certificate;

const API: &str = "/kubernetes/";
const POD_STATUSES: &str = "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io";

const fn row(
    fault: Fault,
    name: &'static str,
    kind: Kind,
    method: &'static str,
    texts: (&'static str, &'static str),
    injection: Injection,
) -> Row {
    let (what, client) = texts;
    Row { fault, name, kind, method, path: API, what, client, heals: true, injection }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::HolderGone,
        "holder-gone",
        Kind::StateChange,
        "",
        (
            "another client deletes the owner of the pod that holds the synced Secret, and the Secret is \
             deleted with it",
            "recreates the workload",
        ),
        Injection::Before(holder_gone),
    ),
    row(
        Fault::WatchBroken,
        "watch-broken",
        Kind::Transport,
        "GET",
        ("a watch ends in the middle of its first event", "lists and watches again"),
        Injection::After(watch_broken),
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
        Injection::Before(watch_gone),
    ),
    row(
        Fault::ApiThrottled,
        "api-throttled",
        Kind::Refusal,
        "",
        ("429 of the API server with `Retry-After: 1`", "waits for `Retry-After`, then retries"),
        Injection::Respond(|_, _| Some(kubernetes::too_many_requests())),
    ),
    row(
        Fault::ApiDown,
        "api-down",
        Kind::StateChange,
        "",
        ("the API server returns 503 for 60 s of cloud time", "retries for a few minutes"),
        Injection::Before(api_down),
    ),
    row(
        Fault::AggregatedApiDown,
        "aggregated-api-down",
        Kind::StateChange,
        "",
        (
            "nothing answers behind the API of metrics-server: it stays listed in `/apis`, and everything below it is 503",
            "skips the group where it examines a cluster, and says so",
        ),
        Injection::Before(aggregated_api_down),
    ),
    row(
        Fault::KubectlOwns,
        "kubectl-owns",
        Kind::StateChange,
        "PATCH",
        (
            "kubectl has written the applied object with one other value, without server-side apply: 409 `Conflict` unless forced",
            "takes the field over once, where the object is its own",
        ),
        Injection::Before(kubectl_owns),
    ),
    Row {
        heals: false,
        ..row(
            Fault::GatewayKeepsCertificate,
            "gateway-keeps-certificate",
            Kind::StateChange,
            "GET",
            (
                "the proxies of all gateways keep the certificates that they have, until their Deployments restart",
                "compares the served certificate with the Secret, and names the restart",
            ),
            Injection::Before(gateway_keeps_certificate),
        )
    },
];

/// Returns the request as the cluster's API sees it: with the path below the prefix.
fn below(context: &RequestContext<'_>) -> Option<Request> {
    let (_, path) = context.request.path.strip_prefix(API)?.split_once('/')?;
    Some(Request { path: format!("/{path}"), ..context.request.clone() })
}

fn store<'a>(state: &'a mut CloudState, context: &RequestContext<'_>) -> Option<&'a mut Store> {
    fault_hooks::store_mut(state, &uid(context)?)
}

fn is_watch(request: &Request) -> bool {
    request.query("watch").is_some_and(|value| value == "true" || value == "1")
}

fn api_down(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let Some(uid) = uid(context).filter(|uid| fault_hooks::store_mut(state, uid).is_some()) else {
        return false;
    };
    state.delays.hold(DelaySubject::ApiServer(uid), delay::API_SERVER, context.now, context.timing);
    true
}

fn aggregated_api_down(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    store(state, context).is_some_and(|store| aks::register_metrics(store, context.now))
}

fn gateway_keeps_certificate(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    store(state, context).is_some_and(|store| kept_certificate::keep_all(store, context.now))
}

fn kubectl_owns(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let applies = context.request.header("content-type").is_some_and(|kind| kind.contains("apply-patch"));
    let Some(request) = below(context).filter(|_| applies) else { return false };
    store(state, context)
        .is_some_and(|store| kubernetes::overwrite_as_other_client(store, &request, context.now))
}

fn watch_gone(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let from = context.request.query("resourceVersion").and_then(|text| text.parse::<u64>().ok());
    if !is_watch(context.request) || from.is_none_or(|from| from == 0) {
        return false;
    }
    store(state, context).map(kubernetes::compact_store).is_some()
}

fn watch_broken(_: &mut CloudState, _: &RequestContext<'_>, reply: &mut Reply) -> bool {
    let whole = reply.stream.take();
    let found = whole.is_some();
    reply.stream = whole.map(|whole| Box::new(BrokenStream(whole)) as Box<dyn Streaming>);
    found
}

/// A stream that breaks off within its first chunk.
struct BrokenStream(Box<dyn Streaming>);

impl Streaming for BrokenStream {
    fn poll(&mut self, state: &dyn Any, now: SimTime) -> (Vec<Bytes>, bool) {
        let (chunks, done) = self.0.poll(state, now);
        match chunks.into_iter().next() {
            Some(first) => (vec![first.slice(..first.len() / 2)], true),
            None => (Vec::new(), done),
        }
    }

    fn deadline(&self) -> SimTime {
        self.0.deadline()
    }
}

fn holder_gone(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let Some(store) = store(state, context) else { return false };
    let Some(pod) = store.list(POD_STATUSES, None).into_iter().find_map(|status| holder(store, status))
    else {
        return false;
    };
    let (resource, namespace, name) = topmost(store, pod);
    store.remove(resource, &namespace, &name, context.now).is_some()
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
    use super::super::fixture::{TestCluster, arm, make_cluster};
    use super::*;
    use crate::clock::{Speed, Timing};
    use crate::test_cloud::TestCloud;
    use http::Method;
    use serde_json::json;

    const MAPS: &str = "/api/v1/namespaces/default/configmaps";

    fn ready() -> (TestCloud, TestCluster) {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        cloud.advance(60.0);
        let test_cluster = TestCluster::of(&mut cloud);
        (cloud, test_cluster)
    }

    fn map(value: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "m", "labels": { "app.kubernetes.io/managed-by": "landfall" } },
            "data": { "key": value },
        })
    }

    #[test]
    fn the_api_server_throttles_and_is_unavailable_for_some_time() {
        let (mut cloud, test_cluster) = ready();
        arm(&mut cloud, "api-throttled");
        let reply = test_cluster.get(&mut cloud, MAPS);
        assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].to_str().unwrap()), (429, "1"));
        assert_eq!(reply.value()["reason"], "TooManyRequests");
        assert_eq!(reply.value()["details"]["retryAfterSeconds"], 1);
        arm(&mut cloud, "api-down");
        let reply = test_cluster.get(&mut cloud, MAPS);
        assert_eq!((reply.status.as_u16(), &reply.value()["reason"]), (503, &json!("ServiceUnavailable")));
        cloud.advance(59.0);
        assert_eq!(test_cluster.get(&mut cloud, MAPS).status, 503);
        cloud.advance(1.0);
        assert_eq!(test_cluster.get(&mut cloud, MAPS).status, 200);
        cloud.timing = Timing::new(Speed::Instant);
        arm(&mut cloud, "api-down");
        let uses_polls = [503, 503, 503, 200];
        assert_eq!(uses_polls.map(|_| test_cluster.get(&mut cloud, MAPS).status.as_u16()), uses_polls);
    }

    #[test]
    fn an_aggregated_api_without_a_backend_stays_listed_and_answers_503() {
        let (mut cloud, test_cluster) = ready();
        arm(&mut cloud, "aggregated-api-down");
        let listed = test_cluster.get(&mut cloud, "/apis").value();
        let groups: Vec<&str> = listed["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["name"].as_str().unwrap())
            .collect();
        assert!(groups.contains(&"metrics.k8s.io") && groups.contains(&"apps"), "{groups:?}");
        for path in ["/apis/metrics.k8s.io/v1beta1", "/apis/metrics.k8s.io/v1beta1/nodes"] {
            let reply = test_cluster.get(&mut cloud, path);
            assert_eq!(
                (reply.status.as_u16(), &reply.body[..]),
                (503, &b"service unavailable\n"[..]),
                "{path}"
            );
        }
        let at = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
        let condition = test_cluster.get(&mut cloud, at).value()["status"]["conditions"][0].clone();
        assert_eq!((&condition["type"], &condition["status"]), (&json!("Available"), &json!("False")));
        assert_eq!(test_cluster.get(&mut cloud, MAPS).status, 200);
    }

    #[test]
    fn a_watch_ends_in_the_middle_of_an_event() {
        let (mut cloud, test_cluster) = ready();
        arm(&mut cloud, "watch-broken");
        assert!(test_cluster.get(&mut cloud, MAPS).stream.is_none());
        let mut reply = test_cluster.get(&mut cloud, "/api/v1/namespaces?watch=1");
        let mut stream = reply.stream.take().unwrap();
        let (chunks, done) = stream.poll(&cloud.state, cloud.now);
        assert!(done);
        let text = String::from_utf8_lossy(&chunks[0]).into_owned();
        assert!(text.starts_with("{\"type\":\"ADDED\"") && serde_json::from_str::<Value>(&text).is_err());
        assert!(cloud.state.faults.armed.is_empty());
    }

    #[test]
    fn a_watch_from_before_the_compaction_gets_expired() {
        let (mut cloud, test_cluster) = ready();
        arm(&mut cloud, "watch-gone");
        let listed = test_cluster.get(&mut cloud, MAPS).value();
        let from = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let mut reply = test_cluster.get(&mut cloud, &format!("{MAPS}?watch=1&resourceVersion={from}"));
        let (chunks, done) = reply.stream.take().unwrap().poll(&cloud.state, cloud.now);
        let event: Value = serde_json::from_slice(&chunks[0]).unwrap();
        assert_eq!((done, &event["type"], &event["object"]["code"]), (true, &json!("ERROR"), &json!(410)));
        assert_eq!(event["object"]["reason"], "Expired");
        let listed = test_cluster.get(&mut cloud, MAPS).value();
        let from = listed["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let mut reply = test_cluster.get(&mut cloud, &format!("{MAPS}?watch=1&resourceVersion={from}"));
        assert!(!reply.stream.take().unwrap().poll(&cloud.state, cloud.now).1);
    }

    #[test]
    fn what_kubectl_wrote_is_a_conflict_until_it_is_forced() {
        for exists in [false, true] {
            let (mut cloud, test_cluster) = ready();
            let at = format!("{MAPS}/m?fieldManager=landfall");
            if exists {
                assert_eq!(test_cluster.apply(&mut cloud, &at, &map("a")).status, 201);
            }
            arm(&mut cloud, "kubectl-owns");
            let refused = test_cluster.apply(&mut cloud, &at, &map("a"));
            assert_eq!((refused.status.as_u16(), &refused.value()["reason"]), (409, &json!("Conflict")));
            let cause = &refused.value()["details"]["causes"][0];
            assert_eq!(
                (&cause["reason"], &cause["field"]),
                (&json!("FieldManagerConflict"), &json!(".data.key"))
            );
            assert!(refused.value()["message"].as_str().unwrap().contains("\"kubectl-client-side-apply\""));
            let live = test_cluster.get(&mut cloud, &format!("{MAPS}/m")).value();
            assert_eq!(live["metadata"]["labels"]["app.kubernetes.io/managed-by"], "landfall");
            let forced = test_cluster.apply(&mut cloud, &format!("{at}&force=true"), &map("a"));
            assert_eq!((forced.status.as_u16(), &forced.value()["data"]["key"]), (200, &json!("a")));
        }
    }

    #[test]
    fn deleting_the_holder_of_a_secret_deletes_its_dependents() {
        let (mut cloud, test_cluster) = ready();
        let now = cloud.now;
        let store = fault_hooks::store_mut(&mut cloud.state, &test_cluster.uid).unwrap();
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
        cloud.advance(30.0);
        let store = fault_hooks::store_mut(&mut cloud.state, &test_cluster.uid).unwrap();
        let pod = store.list(pods, Some("default"))[0]["metadata"]["name"].as_str().unwrap().to_owned();
        let status = json!({
            "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClassPodStatus",
            "metadata": { "name": format!("{pod}-default-tls"), "namespace": "default" },
            "status": { "podName": pod, "mounted": true },
        });
        store.put(POD_STATUSES, status, "test", now);
        arm(&mut cloud, "holder-gone");
        let at = "/apis/apps/v1/namespaces/default/deployments/sync";
        assert_eq!(test_cluster.get(&mut cloud, at).status, 404);
        let left = test_cluster.get(&mut cloud, "/api/v1/namespaces/default/pods").value();
        assert_eq!(left["items"], json!([]));
        assert_eq!(cloud.send(&test_cluster.request(Method::GET, "/version")).status, 200);
    }
}
