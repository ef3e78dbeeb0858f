//! Test fixture of a cluster: takes requests, returns replies.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::dispatch::{ApiResponse, serve};
use super::schema::documents::{NEWEST, gateway_api, secrets_store};
use super::store::Store;
use crate::clock::SimTime;
use crate::request::{Reply, Request};

/// The start time of tests.
pub const T0: SimTime = SimTime(1_795_421_700_000);

/// A store with the namespace `demo` and all custom kinds, and a clock that advances with each request.
pub struct Cluster {
    pub store: Store,
    pub now: SimTime,
}

impl Cluster {
    pub fn new() -> Self {
        let mut store = Store::new("cluster");
        let kinds = gateway_api(NEWEST).iter().chain(secrets_store());
        kinds.for_each(|kind| store.serve_document(kind.clone(), NEWEST, "kube-apiserver", T0));
        store.put("namespaces", json!({"metadata": {"name": "demo"}}), "boot", T0);
        Self { store, now: T0 }
    }

    pub fn send_request(&mut self, request: &Request) -> ApiResponse {
        self.now = self.now.plus_ms(10);
        serve(&mut self.store, request, "dev", self.now)
    }

    pub fn send(&mut self, method: Method, target: &str, media_type: &str, body: &Value) -> Reply {
        let mut request = Request::new(method, "c", target).with_header("content-type", media_type);
        if !body.is_null() {
            request.body = Bytes::from(body.to_string());
        }
        self.send_request(&request).reply
    }

    pub fn get(&mut self, target: &str) -> Reply {
        self.send_request(&Request::new(Method::GET, "c", target)).reply
    }

    pub fn post(&mut self, target: &str, body: &Value) -> Reply {
        self.send(Method::POST, target, "application/json", body)
    }

    /// Applies a configuration; `who` is the field manager, optionally followed by more query parameters.
    pub fn apply(&mut self, target: &str, field_manager: &str, body: &Value) -> Reply {
        let target = format!("{target}?&fieldManager={field_manager}");
        self.send(Method::PATCH, &target, "application/apply-patch+yaml", body)
    }

    pub fn merge(&mut self, target: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, target, "application/merge-patch+json", body)
    }
}

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/demo/configmaps";
pub const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/gateways";
pub const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/demo/deployments";

pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub fn gateway(listeners: Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "gw"},
        "spec": {"gatewayClassName": "approuting-istio", "listeners": listeners},
    })
}

pub fn route() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {
            "parentRefs": [{"name": "gw"}],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        },
    })
}

pub fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}],
                    "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
                }]},
            },
        },
    })
}
