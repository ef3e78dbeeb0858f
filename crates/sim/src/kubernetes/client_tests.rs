//! Tests of the API with the `kube` client.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::client::{Body, Client};
use kube::core::GroupVersionKind;
use kube::runtime::conditions::is_deployment_completed;
use kube::runtime::wait::await_condition;
use serde_json::json;
use tokio::sync::Notify;

use super::dispatch::serve;
use super::fixture::{Cluster, deployment, gateway, route};
use crate::request::Request;

/// A cluster that a client in this process uses.
#[derive(Clone)]
struct Served {
    cluster: Arc<Mutex<Cluster>>,
    changed: Arc<Notify>,
}

impl Served {
    fn new() -> Self {
        Self { cluster: Arc::new(Mutex::new(Cluster::new())), changed: Arc::new(Notify::new()) }
    }

    fn client(&self) -> Client {
        let served = self.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let served = served.clone();
            async move { Ok::<_, Infallible>(served.api_reply(request).await) }
        });
        Client::new(service, "demo")
    }

    /// Changes the cluster like a controller, and notifies the watches.
    fn change(&self, change: impl FnOnce(&mut Cluster)) {
        change(&mut self.cluster.lock().expect("no test panics while it holds the cluster"));
        self.changed.notify_waiters();
    }

    async fn api_reply(
        &self,
        request: http::Request<Body>,
    ) -> http::Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut sim_request = Request::new(parts.method, "c", target);
        sim_request.headers = parts.headers;
        sim_request.body = body.collect().await.expect("the body is in memory").to_bytes();
        let api_reply = {
            let mut cluster = self.cluster.lock().expect("no test panics while it holds the cluster");
            cluster.now = cluster.now.plus_ms(10);
            let now = cluster.now;
            serve(&mut cluster.store, &sim_request, "dev", now)
        };
        self.changed.notify_waiters();
        let mut response = http::Response::builder().status(api_reply.reply.status);
        *response.headers_mut().expect("the status is good") = api_reply.reply.headers;
        let body = match api_reply.watch {
            None => Full::new(api_reply.reply.body).boxed_unsync(),
            Some(watch) => {
                let events = stream::unfold(Some((watch, self.clone())), |state| async move {
                    let (mut watch, served) = state?;
                    loop {
                        let changed = served.changed.notified();
                        tokio::pin!(changed);
                        changed.as_mut().enable();
                        let (lines, done) = {
                            let cluster =
                                served.cluster.lock().expect("no test panics while it holds the cluster");
                            watch.poll(&cluster.store, cluster.now)
                        };
                        if !lines.is_empty() || done {
                            let frame = Frame::data(Bytes::from(lines.concat()));
                            let next = (!done).then(|| (watch, served.clone()));
                            return Some((Ok::<_, Infallible>(frame), next));
                        }
                        changed.await;
                    }
                });
                StreamBody::new(events).boxed_unsync()
            }
        };
        response.body(body).expect("the response is made of good parts")
    }
}

async fn api(client: &Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    let (resource, _) = kube::discovery::pinned_kind(client, &kind).await.expect("the kind is served");
    Api::namespaced_with(client.clone(), "demo", &resource)
}

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

#[tokio::test]
async fn a_client_discovers_applies_and_lists() {
    let served = Served::new();
    let client = served.client();
    assert_eq!(client.apiserver_version().await.expect("it says its version").major, "1");
    let groups = kube::discovery::Discovery::new(client.clone()).run().await.expect("it says what it serves");
    assert!(groups.has_group(GATEWAY_GROUP));
    let aggregated = kube::discovery::Discovery::new(client.clone()).run_aggregated().await;
    assert!(aggregated.expect("it says so at once").has_group("apps"));

    let routes = api(&client, GATEWAY_GROUP, "v1", "HTTPRoute").await;
    let params = PatchParams::apply("landfall").validation_strict();
    let applied = routes.patch("web", &params, &Patch::Apply(&route())).await.expect("the route is good");
    assert_eq!(applied.data["spec"]["rules"][0]["matches"][0]["path"]["value"], "/");
    let refused = routes.patch("web", &PatchParams::apply("other"), &Patch::Apply(&route())).await;
    match refused {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
            let causes = status.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
            assert_eq!(causes[0].field, ".spec.parentRefs");
        }
        other => panic!("two managers of one list were let through: {other:?}"),
    }
    let forced = PatchParams::apply("other").force();
    routes.patch("web", &forced, &Patch::Apply(&route())).await.expect("force overrules");
    let listed =
        routes.list(&ListParams::default().fields("metadata.name=web")).await.expect("it can be listed");
    assert_eq!(listed.items.len(), 1);
    assert!(routes.get_opt("nope").await.expect("it is not there").is_none());
    routes.delete("web", &kube::api::DeleteParams::default()).await.expect("it can be deleted");
}

#[tokio::test]
async fn a_client_waits_by_watching_until_a_controller_is_done() {
    let served = Served::new();
    let client = served.client();
    let gateways = api(&client, GATEWAY_GROUP, "v1", "Gateway").await;
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let params = PatchParams::apply("landfall");
    gateways.patch("gw", &params, &Patch::Apply(&gateway(listeners))).await.expect("the gateway is good");
    let programmed = |object: Option<&DynamicObject>| {
        let conditions = object.and_then(|object| object.data["status"]["conditions"].as_array());
        conditions.into_iter().flatten().any(|it| it["type"] == "Programmed" && it["status"] == "True")
    };
    let waiting = tokio::spawn(await_condition(gateways, "gw", programmed));
    let resource = "gateways.gateway.networking.k8s.io";
    served.change(|cluster| {
        let at = cluster.now;
        let condition = json!({"type": "Programmed", "status": "True", "reason": "Programmed", "message": "",
            "lastTransitionTime": at.rfc3339()});
        cluster.store.put_status(resource, "demo", "gw", json!({"conditions": [condition]}), "istio", at);
    });
    assert!(waiting.await.expect("the wait ends").expect("the watch holds").is_some());
}

#[tokio::test]
async fn typed_objects_fit() {
    use k8s_openapi::api::apps::v1::Deployment;
    let served = Served::new();
    let deployments: Api<Deployment> = Api::namespaced(served.client(), "demo");
    let params = PatchParams::apply("landfall");
    let created = deployments.patch("web", &params, &Patch::Apply(&deployment())).await.expect("it is good");
    assert_eq!(created.metadata.generation, Some(1));
    let waiting = tokio::spawn(await_condition(deployments, "web", is_deployment_completed()));
    served.change(|cluster| {
        let at = cluster.now;
        let status = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
            "availableReplicas": 2, "conditions": [{"type": "Progressing", "status": "True",
                "reason": "NewReplicaSetAvailable"}]});
        cluster.store.put_status("deployments.apps", "demo", "web", status, "kcm", at);
    });
    assert!(waiting.await.expect("the wait ends").expect("the watch holds").is_some());
}
