//! Networking: EndpointSlices of discovery.k8s.io/v1, and the policies and ingresses of networking.k8s.io/v1.

use serde_json::{Value, json};

use super::build::{
    Constrain, boolean, int_or_string, integer, label_selector, list, map, object, port, string,
};
use crate::kubernetes::definition::{Column, Definition};

const GROUP: &str = "networking.k8s.io";

/// Returns the kinds of discovery.k8s.io/v1 and networking.k8s.io/v1.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    vec![
        Definition::new(GROUP, "v1", "NetworkPolicy", "networkpolicies", network_policy())
            .generation()
            .short(&["netpol"])
            .columns(vec![Column::new("Pod-Selector", "string", "=policy.selector"), age()]),
        Definition::new(GROUP, "v1", "Ingress", "ingresses", ingress())
            .status()
            .generation()
            .short(&["ing"])
            .columns(vec![
                Column::new("Class", "string", "=ingress.class"),
                Column::new("Hosts", "string", "=ingress.hosts"),
                Column::new("Address", "string", "=ingress.address"),
                Column::new("Ports", "string", "=ingress.ports"),
                age(),
            ]),
        Definition::new(GROUP, "v1", "IngressClass", "ingressclasses", ingress_class())
            .cluster_wide()
            .generation()
            .columns(vec![
                Column::new("Controller", "string", ".spec.controller"),
                Column::new("Parameters", "string", "=ingress.parameters"),
                age(),
            ]),
        Definition::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", slice())
            .generation()
            .columns(vec![
                Column::new("AddressType", "string", ".addressType"),
                Column::new("Ports", "string", "=slice.ports"),
                Column::new("Endpoints", "string", "=slice.endpoints"),
                Column::new("Age", "date", ".metadata.creationTimestamp"),
            ]),
    ]
}

fn network_policy() -> Value {
    let block = object(&[("cidr", string()), ("except", list(string()))]).required(&["cidr"]);
    let peer = || {
        object(&[
            ("podSelector", label_selector()),
            ("namespaceSelector", label_selector()),
            ("ipBlock", block.clone()),
        ])
    };
    let allowed = || {
        object(&[
            ("protocol", string().one_of(&["SCTP", "TCP", "UDP"]).default(json!("TCP"))),
            ("port", int_or_string()),
            ("endPort", integer().range(1, 65_535)),
        ])
    };
    let rule = |peers: &str| object(&[("ports", list(allowed())), (peers, list(peer()))]);
    let spec = object(&[
        ("podSelector", label_selector()),
        ("ingress", list(rule("from"))),
        ("egress", list(rule("to"))),
        ("policyTypes", list(string().one_of(&["Egress", "Ingress"]))),
    ]);
    object(&[("spec", spec)])
}

fn ingress() -> Value {
    let backend = || {
        let target = object(&[("name", string()), ("number", port())]);
        let service = object(&[("name", string()), ("port", target)]).required(&["name"]);
        let resource = object(&[("apiGroup", string()), ("kind", string()), ("name", string())])
            .required(&["kind", "name"])
            .atomic_map();
        object(&[("service", service), ("resource", resource)])
    };
    let path = object(&[
        ("path", string()),
        ("pathType", string().one_of(&["Exact", "ImplementationSpecific", "Prefix"])),
        ("backend", backend()),
    ])
    .required(&["pathType", "backend"]);
    let http = object(&[("paths", list(path))]).required(&["paths"]);
    let rule = object(&[("host", string()), ("http", http)]);
    let tls = object(&[("hosts", list(string())), ("secretName", string())]);
    let spec = object(&[
        ("ingressClassName", string()),
        ("defaultBackend", backend()),
        ("tls", list(tls)),
        ("rules", list(rule)),
    ]);
    let error = object(&[("port", integer()), ("protocol", string()), ("error", string())]);
    let point = object(&[("ip", string()), ("hostname", string()), ("ports", list(error))]);
    let balancer = object(&[("ingress", list(point))]).default(json!({}));
    let status = object(&[("loadBalancer", balancer)]).default(json!({"loadBalancer": {}}));
    object(&[("spec", spec), ("status", status)])
}

fn ingress_class() -> Value {
    let parameters = object(&[
        ("apiGroup", string()),
        ("kind", string()),
        ("name", string()),
        ("scope", string().default(json!("Cluster"))),
        ("namespace", string()),
    ])
    .required(&["kind", "name"]);
    object(&[("spec", object(&[("controller", string()), ("parameters", parameters)]))])
}

fn slice() -> Value {
    let conditions = object(&[("ready", boolean()), ("serving", boolean()), ("terminating", boolean())]);
    let target = object(&[
        ("apiVersion", string()),
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("uid", string()),
        ("resourceVersion", string()),
        ("fieldPath", string()),
    ])
    .atomic_map();
    let zone = object(&[("name", string())]).required(&["name"]);
    let endpoint = object(&[
        ("addresses", list(string())),
        ("conditions", conditions),
        ("hostname", string()),
        ("targetRef", target),
        ("deprecatedTopology", map(string())),
        ("nodeName", string()),
        ("zone", string()),
        ("hints", object(&[("forZones", list(zone))])),
    ])
    .required(&["addresses"]);
    let endpoint_port = object(&[
        ("name", string().default(json!(""))),
        ("protocol", string().default(json!("TCP"))),
        ("port", port()),
        ("appProtocol", string()),
    ])
    .atomic_map();
    object(&[
        ("addressType", string().one_of(&["IPv4", "IPv6", "FQDN"])),
        ("endpoints", list(endpoint)),
        ("ports", list(endpoint_port)),
    ])
    .required(&["addressType", "endpoints"])
}
