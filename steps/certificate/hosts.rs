//! The hosts that the certificate must cover: those that the gateways in use serve with it.

use crate::tls_secret;
use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use serde_json::Value;
use std::collections::BTreeSet;

/// The placeholder of the certificate in a SecretProviderClass.
const CERTIFICATE: &str = "__CERTIFICATE_NAME__";

/// Returns the hosts of all HTTPS listeners with the Secret of the certificate, in the manifests' order and in
/// lower case. A listener with another Secret needs no coverage.
pub(crate) fn certificate_hosts(manifests: &[Manifest]) -> Vec<String> {
    let objects = |wanted: &'static str| {
        let is =
            move |object: &&DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == wanted);
        manifests.iter().map(|manifest| &manifest.object).filter(is)
    };
    let mut secrets = BTreeSet::from([("default", tls_secret::SECRET)]);
    for class in objects("SecretProviderClass") {
        let text = class.data.pointer("/spec/parameters/objects").and_then(Value::as_str);
        if text.is_some_and(|text| text.contains(CERTIFICATE)) {
            let names =
                values(&class.data["spec"]["secretObjects"]).filter_map(|one| one["secretName"].as_str());
            secrets.extend(names.map(|name| (namespace(class), name)));
        }
    }
    let mut hosts: Vec<String> = Vec::new();
    let mut add = |host: &str| {
        let host = host.to_ascii_lowercase();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    };
    for gateway in objects("Gateway") {
        for listener in values(&gateway.data["spec"]["listeners"]) {
            let secret = |reference: &'_ Value| {
                let space = reference["namespace"].as_str().unwrap_or(namespace(gateway));
                reference["name"].as_str().is_some_and(|name| secrets.contains(&(space, name)))
            };
            if !values(&listener["tls"]["certificateRefs"]).any(secret) {
                continue;
            }
            let own = listener["hostname"].as_str();
            let mut attached =
                objects("HTTPRoute").filter(|route| is_attached(route, gateway, listener)).peekable();
            // An exact host has its certificate before it has a route.
            if let (None, Some(own)) = (attached.peek(), own.filter(|own| !own.starts_with('*'))) {
                add(own);
            }
            for route in attached {
                let mut names = values(&route.data["spec"]["hostnames"]).filter_map(Value::as_str).peekable();
                match names.peek() {
                    None => own.into_iter().for_each(&mut add),
                    Some(_) => names.filter_map(|name| shared(own, name)).for_each(&mut add),
                }
            }
        }
    }
    hosts
}

fn values(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn namespace(object: &DynamicObject) -> &str {
    object.metadata.namespace.as_deref().unwrap_or("default")
}

/// Returns whether a route names the listener, or its whole gateway, as a parent.
fn is_attached(route: &DynamicObject, gateway: &DynamicObject, listener: &Value) -> bool {
    values(&route.data["spec"]["parentRefs"]).any(|parent| {
        parent["kind"].as_str().is_none_or(|kind| kind == "Gateway")
            && parent["name"].as_str() == gateway.metadata.name.as_deref()
            && parent["namespace"].as_str().unwrap_or(namespace(route)) == namespace(gateway)
            && parent["sectionName"].as_str().is_none_or(|section| listener["name"] == section)
            && parent["port"].as_u64().is_none_or(|port| listener["port"] == port)
    })
}

/// Returns the more specific of a listener's and a route's host, if they intersect.
fn shared<'a>(listener: Option<&'a str>, route: &'a str) -> Option<&'a str> {
    let Some(listener) = listener else { return Some(route) };
    let matches = |pattern: &str, host: &str| {
        pattern.eq_ignore_ascii_case(host)
            || pattern.strip_prefix('*').is_some_and(|parent| {
                host.to_ascii_lowercase().ends_with(&parent.to_ascii_lowercase()) && host.len() > parent.len()
            })
    };
    match () {
        () if matches(listener, route) => Some(route),
        () if matches(route, listener) => Some(listener),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_cloud::kubernetes::manifest::parse;

    fn gateway(listeners: &str) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: shop}}\nspec:\n  \
             gatewayClassName: approuting-istio\n  listeners: [{listeners}]\n---\n"
        )
    }

    fn route(parent: &str, hostnames: &str) -> String {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: shop}}\nspec:\n  \
             parentRefs: [{{name: shop{parent}}}]\n  hostnames: [{hostnames}]\n---\n"
        )
    }

    fn listener(name: &str, hostname: &str, secret: &str) -> String {
        format!(
            "{{name: {name}, port: 443, protocol: HTTPS{hostname}, tls: {{certificateRefs: [{{name: {secret}}}]}}}}"
        )
    }

    fn hosts(text: &str) -> Vec<String> {
        certificate_hosts(&parse("shop.yaml", text).unwrap())
    }

    #[test]
    fn a_host_is_that_of_a_route_within_the_listener() {
        let with = |hostname: &str| gateway(&listener("https", hostname, "gateway-tls-secret"));
        let exact = with(", hostname: shop.example.com");
        assert_eq!(hosts(&exact), ["shop.example.com"], "without a route");
        assert_eq!(hosts(&(exact.clone() + &route("", ""))), ["shop.example.com"]);
        assert_eq!(hosts(&(exact.clone() + &route("", "\"*.example.com\""))), ["shop.example.com"]);
        assert!(hosts(&(exact + &route("", "a.example.org"))).is_empty());

        let wildcard = with(", hostname: \"*.example.com\"");
        assert!(hosts(&wildcard).is_empty(), "it serves no host");
        assert_eq!(hosts(&(wildcard.clone() + &route("", ""))), ["*.example.com"]);
        let names = route("", "A.example.com, b.example.com, example.com, a.example.com");
        assert_eq!(hosts(&(wildcard + &names)), ["a.example.com", "b.example.com"]);
        assert_eq!(hosts(&(with("") + &names)), ["a.example.com", "b.example.com", "example.com"]);
    }

    #[test]
    fn only_listeners_with_the_certificate_count() {
        let plain = "{name: http, port: 80, protocol: HTTP, hostname: plain.example.com}";
        let own = listener("own", ", hostname: own.example.com", "own-secret");
        let ours = listener("https", "", "gateway-tls-secret");
        let all = gateway(&[plain, &own, &ours].join(", "));
        assert_eq!(
            hosts(&(all.clone() + &route(", sectionName: https", "a.example.com"))),
            ["a.example.com"]
        );
        assert!(hosts(&(all.clone() + &route(", sectionName: http", "a.example.com"))).is_empty());
        assert!(hosts(&(all.clone() + &route(", namespace: other", "a.example.com"))).is_empty());
        let class = "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: own}\n\
                     spec:\n  parameters: {objects: \"objectName: __CERTIFICATE_NAME__\"}\n  secretObjects: \
                     [{secretName: own-secret}]\n";
        assert_eq!(hosts(&(all + class)), ["own.example.com"], "a class of the folder syncs the certificate");
    }
}
