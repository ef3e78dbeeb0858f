//! Facts about Envoy's data plane that the simulated one keeps, as requests over a connection.

use super::data_plane::DataPlane;

const MANIFESTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: default}
spec: {selector: {app: httpbin}, ports: [{port: 8000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpbin, namespace: default}
spec:
  selector: {matchLabels: {app: httpbin}}
  template:
    metadata: {labels: {app: httpbin}}
    spec: {containers: [{name: httpbin, image: "mccutchen/go-httpbin:2.18.3"}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop, namespace: default}
spec:
  gatewayClassName: approuting-istio
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all-shops, namespace: default}
spec:
  parentRefs: [{name: shop}]
  hostnames: ["*.shop.test"]
  rules:
    - filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: all-shops}]}}
      backendRefs: [{name: httpbin, port: 8000}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: till, namespace: default}
spec:
  parentRefs: [{name: shop}]
  hostnames: [till.shop.test]
  rules:
    - matches: [{path: {type: PathPrefix, value: /pay}}]
      filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: pay}], remove: [server]}}
        - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
      backendRefs: [{name: httpbin, port: 8000}]
    - matches: [{path: {type: PathPrefix, value: /gone}}]
      filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: gone}]}}
      backendRefs: [{name: missing, port: 80}]
    - matches: [{path: {type: PathPrefix, value: /slow}}]
      filters:
        - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /delay/3}}}
      backendRefs: [{name: httpbin, port: 8000}]
      timeouts: {request: 10ms}
    - matches: [{path: {type: PathPrefix, value: /old}}]
      filters:
        - {type: RequestRedirect, requestRedirect: {scheme: https}}
    - matches: [{queryParams: [{name: size, value: "a%20b"}]}]
      filters:
        - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: size}]}}
      backendRefs: [{name: httpbin, port: 8000}]
"#;

/// Sends a request to the till; returns the status and the value of `x-rule`.
async fn rule(data_plane: &DataPlane, host: &str, line: &str) -> (String, String) {
    let response = data_plane.send("shop", 80, line, &[("Host", host)]).await;
    assert_eq!(response.header("server"), ["istio-envoy"], "{line}");
    (response.status.clone(), response.header("x-rule").join(","))
}

#[tokio::test]
async fn requests_are_normalized_and_matched_as_envoy_does() {
    let data_plane = DataPlane::new(&[MANIFESTS.to_owned()], "shop.test");
    for (host, line, status, wanted) in [
        ("till.shop.test", "GET /pay/get", "200", "pay"),
        ("TILL.shop.test:8080", "GET /pay/get", "200", "pay"),
        // A path without a rule does not fall back to the wildcard host.
        ("till.shop.test", "GET /get", "404", ""),
        ("door.shop.test", "GET /get", "200", "all-shops"),
        // Paths are normalized before they are matched; escaped and repeated slashes are not.
        ("till.shop.test", "GET /x/../%70ay/./get", "200", "pay"),
        ("till.shop.test", "GET /pay\\get", "200", "pay"),
        ("till.shop.test", "GET /pay%2Fget", "404", ""),
        ("till.shop.test", "GET //pay", "404", ""),
        // A prefix that is replaced by a slash takes the slashes after it along.
        ("till.shop.test", "GET /pay//get", "200", "pay"),
        // Query parameters are matched undecoded.
        ("till.shop.test", "GET /status/200?size=a%20b", "200", "size"),
        ("till.shop.test", "GET /status/200?size=a+b", "404", ""),
        // Errors of Envoy itself get the response headers of the rule too.
        ("till.shop.test", "GET /gone", "500", "gone"),
        ("till.shop.test", "get /pay/get", "400", ""),
        ("till.shop.test", "GET *", "400", ""),
    ] {
        assert_eq!(
            rule(&data_plane, host, line).await,
            (status.to_owned(), wanted.to_owned()),
            "{host} {line}"
        );
    }
}

#[tokio::test]
async fn envoy_answers_in_its_own_words() {
    let data_plane = DataPlane::new(&[MANIFESTS.to_owned()], "shop.test");
    let host = [("Host", "till.shop.test")];
    let slow = data_plane.send("shop", 80, "GET /slow", &host).await;
    assert_eq!((slow.status.as_str(), slow.body.as_str()), ("504", "upstream request timeout"));
    let unknown = data_plane.send("shop", 80, "post /pay", &host).await;
    assert_eq!((unknown.status.as_str(), unknown.body.as_str()), ("400", "Bad Request"));
    assert_eq!(unknown.header("connection"), ["close"]);
    let without_host = data_plane.send("shop", 80, "GET /pay", &[]).await;
    assert_eq!((without_host.status.as_str(), without_host.body.as_str()), ("400", ""));
}

#[tokio::test]
async fn redirects_keep_the_port_and_the_case_of_the_host() {
    let data_plane = DataPlane::new(&[MANIFESTS.to_owned()], "shop.test");
    for (host, location) in [
        ("till.shop.test", "https://till.shop.test/old/x?a=1"),
        ("till.shop.test:80", "https://till.shop.test/old/x?a=1"),
        ("till.shop.test:8080", "https://till.shop.test:8080/old/x?a=1"),
        ("Till.shop.test", "https://Till.shop.test/old/x?a=1"),
    ] {
        let response = data_plane.send("shop", 80, "GET /old/./x?a=1", &[("Host", host)]).await;
        assert_eq!(
            (response.status.as_str(), response.header("location")),
            ("302", vec![location]),
            "{host}"
        );
    }
}

#[tokio::test]
async fn backends_get_the_authority_and_the_query_as_they_were_sent() {
    let data_plane = DataPlane::new(&[MANIFESTS.to_owned()], "shop.test");
    let headers = [("Host", "Door.shop.test:8080"), ("X-Forwarded-Proto", "https")];
    let response = data_plane.send("shop", 80, "GET /get?a=%2B+", &headers).await;
    let seen: serde_json::Value = serde_json::from_str(&response.body).expect("JSON");
    assert_eq!(seen["url"], "http://Door.shop.test:8080/get?a=%2B+");
    assert_eq!(seen["headers"]["Host"][0], "Door.shop.test:8080");
    assert_eq!(seen["headers"]["X-Forwarded-Proto"][0], "http");
}
