//! Faults between the gateway and its address, and in its responses.

use super::{
    Case, case,
    out_of_band::{gateway, route},
};
use serde_json::{Value, json};

const PRESET: &str = "/api/v1/namespaces/aks-istio-system/configmaps/istio-gateway-class-defaults";

pub const CASES: &[Case] = &[
    case!("the gateway is gone", "GATEWAY_MISSING", "httpbin-gateway", h => {
        h.kubectl.delete(&gateway("httpbin-gateway")).await;
    }),
    case!("the gateway asks for another class", "GATEWAY_CLASS_OTHER", "nginx", h => {
        h.edit(&gateway("httpbin-gateway"), |spec| spec["gatewayClassName"] = json!("nginx")).await;
    }),
    case!("two protocols on one port", "LISTENER_CONFLICT", "Conflicted=True", h => {
        h.edit(&gateway("httpbin-gateway"), |spec| spec["listeners"][0]["port"] = json!(443)).await;
    }),
    case!("a Secret of another namespace", "REFERENCE_GRANT_MISSING", "RefNotPermitted", h => {
        let mut secret = h.kubectl.get("/api/v1/namespaces/default/secrets/gateway-tls-secret").await;
        secret["metadata"] = json!({ "name": "far", "namespace": "kube-public" });
        h.kubectl.apply("/api/v1/namespaces/kube-public/secrets/far", &secret).await;
        h.edit(&gateway("httpbin-gateway"), |spec| {
            spec["listeners"][1]["tls"]["certificateRefs"][0] = json!({ "name": "far", "namespace": "kube-public" });
        }).await;
    }),
    case!("the quota of addresses is used up", "PUBLIC_IP_QUOTA", "PublicIPCountLimitReached", h => {
        h.arm("addresses-few@/microsoft.network/locations/");
        h.fixture.clients.azure.network_usages("eastus").await.unwrap();
        h.recreate(&gateway("echo-gateway"), |_| {}).await;
    }),
    case!("the load balancer cannot be made", "LOAD_BALANCER_FAILED", "SubnetIsFull", h => {
        h.arm("balancer-fails@DELETE /gateways/");
        h.recreate(&gateway("echo-gateway"), |_| {}).await;
    }),
    case!("the probe asks for /", "HEALTH_PROBE", "http://httpbin.demo.example.com/ does not respond", h => {
        let path = gateway("httpbin-gateway");
        let annotations = h.kubectl.get(&path).await["spec"]["infrastructure"]["annotations"].clone();
        let none: Value = annotations.as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
        h.kubectl.merge(PRESET, &json!({ "data": { "service": null } })).await;
        h.kubectl.merge(&path, &json!({ "spec": { "infrastructure": { "annotations": none } } })).await;
    }),
    case!("no route on the listener of port 80", "LISTENER_WITHOUT_ROUTE", "attachedRoutes is 0", h => {
        h.kubectl.delete(&route("httpbin-redirect")).await;
    }),
];
