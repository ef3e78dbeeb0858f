//! The Kubernetes API of a cluster, and what somebody else does in there.

use bytes::Bytes;
use serde_json::Value;

use super::around::{Bite, Scene};
use super::cluster::uid;
use super::lag::{self, Held};
use super::{Fault, Kind, Row};
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

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::HolderGone,
        "holder-gone",
        Kind::World,
        "",
        (
            "somebody deletes what owns the pod that holds the synced Secret, and the Secret goes with it",
            "makes the holder anew",
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
        ("429 of the API server with `Retry-After: 1`", "waits as told, then asks again"),
        Bite::Instead(|_, _| Some(kubernetes::too_many_requests())),
    ),
    row(
        Fault::ApiDown,
        "api-down",
        Kind::World,
        "",
        ("the API server answers 503 for 60 s of cloud time", "asks again for a few minutes"),
        Bite::Before(api_down),
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

/// The request as the cluster's API sees it: below the prefix.
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

/// A stream that ends in the middle of its first chunk.
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

/// The pod that a mount belongs to.
fn holder<'a>(store: &'a Store, status: &Value) -> Option<&'a Value> {
    let namespace = status["metadata"]["namespace"].as_str()?;
    store.get("pods", namespace, status["status"]["podName"].as_str()?)
}

/// Resource, namespace and name of what owns an object in the end.
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
