//! Faults between the route and the pods behind it.

use super::{
    Case, case,
    out_of_band::{deployment, gateway, route, service},
};
use serde_json::json;

pub const CASES: &[Case] = &[
    case!("the route is gone, and others are on its listener", "ROUTE_MISSING", "echo-headers", h => {
        h.kubectl.delete(&route("echo-headers")).await;
    }),
    case!("the route names hosts that no listener serves", "ROUTE_HOSTNAME_MISMATCH", "NoMatchingListenerHostname", h => {
        h.edit(&route("httpbin"), |spec| spec["hostnames"] = json!(["httpbin.example.org"])).await;
    }),
    case!("the route names a gateway that is not there", "ROUTE_PARENT_MISSING", "nobody-gateway", h => {
        h.edit(&route("httpbin"), |spec| spec["parentRefs"] = json!([{ "name": "nobody-gateway" }])).await;
    }),
    case!("the route names a listener that is not there", "ROUTE_PARENT_MISSING", "NoMatchingParent", h => {
        h.edit(&route("httpbin"), |spec| spec["parentRefs"][0]["sectionName"] = json!("tls")).await;
    }),
    case!("the listener allows no routes of this namespace", "ROUTE_NOT_ALLOWED", "NotAllowedByListeners", h => {
        h.edit(&gateway("httpbin-gateway"), |spec| {
            spec["listeners"][1]["allowedRoutes"] = json!({ "namespaces": {
                "from": "Selector", "selector": { "matchLabels": { "team": "other" } },
            } });
        }).await;
    }),
    case!("a foreign route comes before ours", "ROUTE_TAKEN", "default/a-web", h => {
        let spec = json!({
            "parentRefs": [{ "name": "httpbin-gateway" }], "hostnames": ["httpbin.demo.example.com"],
            "rules": [{ "backendRefs": [{ "name": "echo-v1", "port": 80 }] }],
        });
        let foreign = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "a-web", "namespace": "default" }, "spec": spec,
        });
        h.kubectl.apply(&route("a-web"), &foreign).await;
        // By the recreation ours is the younger one; within a second the name decides.
        h.recreate(&route("httpbin"), |_| {}).await;
    }),
    case!("the Service is gone", "BACKEND_MISSING", "BackendNotFound", h => {
        h.kubectl.delete(&service("httpbin")).await;
    }),
    case!("a share of the requests goes to nobody", "BACKEND_WEIGHT_LOST", "no Service nobody", h => {
        h.edit(&route("echo-canary"), |spec| spec["rules"][0]["backendRefs"][1]["name"] = json!("nobody")).await;
    }),
    case!("all weights are nought", "ROUTE_WEIGHTS_ZERO", "weight is 0", h => {
        h.edit(&route("echo-canary"), |spec| {
            for at in 0..2 {
                spec["rules"][0]["backendRefs"][at]["weight"] = json!(0);
            }
        }).await;
    }),
    case!("no pod runs", "BACKEND_NOT_READY", "no pod matches the selector", h => {
        h.edit(&deployment("httpbin"), |spec| spec["replicas"] = json!(0)).await;
    }),
    case!("the pods cannot start", "BACKEND_NOT_READY", "InvalidImageName", h => {
        h.recreate(&deployment("httpbin"), |spec| {
            spec["template"]["spec"]["containers"][0]["image"] = json!("mccutchen/Httpbin:1");
        }).await;
    }),
    case!("the port is wrong", "BACKEND_PORT_WRONG", "httpbin:9999", h => {
        h.edit(&route("httpbin"), |spec| spec["rules"][0]["backendRefs"][0]["port"] = json!(9999)).await;
    }),
    case!("the Service leads to a port that the pods do not have", "BACKEND_TARGET_PORT_WRONG", "\"web\"", h => {
        h.edit(&service("httpbin"), |spec| spec["ports"][0]["targetPort"] = json!("web")).await;
    }),
    case!("the matches leave / out", "PATHS_RESTRICTED", "https://httpbin.demo.example.com/ returns 404", h => {
        h.edit(&route("httpbin"), |spec| {
            spec["rules"][0]["matches"] = json!([{ "path": { "type": "PathPrefix", "value": "/get" } }]);
        }).await;
    }),
];
