//! The core group (v1): namespaces, nodes, pods, services, configuration, accounts, events.

use serde_json::{Value, json};

use super::build::{
    Constrain, boolean, conditions, int_or_string, integer, keyed, list, map, object, port, quantity, set,
    string, time,
};
use super::pod;
use crate::kubernetes::definition::{Column, Definition};

/// Returns the kinds of the core group.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    vec![
        Definition::new("", "v1", "Namespace", "namespaces", namespace())
            .cluster_wide()
            .status()
            .short(&["ns"])
            .columns(vec![Column::new("Status", "string", ".status.phase"), age()]),
        Definition::new("", "v1", "Node", "nodes", node()).cluster_wide().status().short(&["no"]).columns(
            vec![
                Column::new("Status", "string", "=node.ready"),
                Column::new("Roles", "string", "=node.roles"),
                age(),
                Column::new("Version", "string", ".status.nodeInfo.kubeletVersion"),
                Column::new("Internal-IP", "string", "=node.internal").wide(),
                Column::new("External-IP", "string", "=node.external").wide(),
                Column::new("OS-Image", "string", ".status.nodeInfo.osImage").wide(),
                Column::new("Kernel-Version", "string", ".status.nodeInfo.kernelVersion").wide(),
                Column::new("Container-Runtime", "string", ".status.nodeInfo.containerRuntimeVersion").wide(),
            ],
        ),
        Definition::new("", "v1", "Pod", "pods", pod::pod())
            .status()
            .short(&["po"])
            .categories(&["all"])
            .columns(vec![
                Column::new("Ready", "string", "=pod.ready"),
                Column::new("Status", "string", "=pod.status"),
                Column::new("Restarts", "string", "=pod.restarts"),
                age(),
                Column::new("IP", "string", "=pod.ip").wide(),
                Column::new("Node", "string", "=pod.node").wide(),
                Column::new("Nominated Node", "string", "=pod.nominated").wide(),
                Column::new("Readiness Gates", "string", "=pod.gates").wide(),
            ]),
        Definition::new("", "v1", "Service", "services", service())
            .status()
            .short(&["svc"])
            .categories(&["all"])
            .columns(vec![
                Column::new("Type", "string", ".spec.type"),
                Column::new("Cluster-IP", "string", "=service.cluster"),
                Column::new("External-IP", "string", "=service.address"),
                Column::new("Port(s)", "string", "=service.ports"),
                age(),
                Column::new("Selector", "string", "=service.selector").wide(),
            ]),
        Definition::new("", "v1", "ConfigMap", "configmaps", config_map())
            .short(&["cm"])
            .columns(vec![Column::new("Data", "string", "=data"), age()]),
        Definition::new("", "v1", "Secret", "secrets", secret()).columns(vec![
            Column::new("Type", "string", ".type"),
            Column::new("Data", "integer", "=data"),
            age(),
        ]),
        Definition::new("", "v1", "ServiceAccount", "serviceaccounts", service_account())
            .short(&["sa"])
            .columns(vec![Column::new("Secrets", "integer", "=data.accounts"), age()]),
        Definition::new("", "v1", "Event", "events", event()).short(&["ev"]).columns(vec![
            Column::new("Last Seen", "string", "=event.last"),
            Column::new("Type", "string", ".type"),
            Column::new("Reason", "string", ".reason"),
            Column::new("Object", "string", "=event.object"),
            Column::new("Subobject", "string", ".involvedObject.fieldPath").wide(),
            Column::new("Source", "string", "=event.source").wide(),
            Column::new("Message", "string", "=event.message"),
            Column::new("First Seen", "string", "=event.first").wide(),
            Column::new("Count", "integer", "=event.count").wide(),
            Column::new("Name", "string", ".metadata.name").wide(),
        ]),
        Definition::new("", "v1", "Endpoints", "endpoints", endpoints())
            .short(&["ep"])
            .columns(vec![Column::new("Endpoints", "string", "=endpoints"), age()]),
    ]
}

fn namespace() -> Value {
    object(&[
        ("spec", object(&[("finalizers", list(string()))]).default(json!({}))),
        ("status", object(&[("phase", string()), ("conditions", conditions())])),
    ])
}

fn node() -> Value {
    let taint = object(&[
        ("key", string()),
        ("value", string()),
        ("effect", string().one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"])),
        ("timeAdded", time()),
    ])
    .required(&["key", "effect"]);
    let address = object(&[("type", string()), ("address", string())]).required(&["type", "address"]);
    let image = object(&[("names", list(string())), ("sizeBytes", integer())]);
    object(&[
        (
            "spec",
            object(&[
                ("podCIDR", string()),
                ("podCIDRs", set(string())),
                ("providerID", string()),
                ("unschedulable", boolean()),
                ("taints", list(taint)),
            ])
            .default(json!({})),
        ),
        (
            "status",
            object(&[
                ("capacity", map(quantity())),
                ("allocatable", map(quantity())),
                ("conditions", conditions()),
                ("addresses", keyed(address, &["type"])),
                ("nodeInfo", map(string()).with("x-kubernetes-preserve-unknown-fields", json!(true))),
                ("daemonEndpoints", super::build::anything()),
                ("images", list(image)),
                ("volumesInUse", list(string())),
                ("volumesAttached", list(object(&[("name", string()), ("devicePath", string())]))),
                ("phase", string()),
            ]),
        ),
    ])
}

fn service() -> Value {
    let service_port = object(&[
        ("name", string()),
        ("protocol", string().one_of(&["TCP", "UDP", "SCTP"]).default(json!("TCP"))),
        ("appProtocol", string()),
        ("port", port()),
        ("targetPort", int_or_string()),
        ("nodePort", integer().range(0, 65_535)),
    ])
    .required(&["port"]);
    let affinity = object(&[("clientIP", object(&[("timeoutSeconds", integer().range(1, 86_400))]))]);
    let spec = object(&[
        ("type", string().one_of(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])),
        ("clusterIP", string()),
        ("clusterIPs", list(string())),
        ("ports", keyed(service_port, &["port", "protocol"])),
        ("selector", map(string()).atomic_map()),
        ("externalIPs", list(string())),
        ("externalName", string()),
        ("externalTrafficPolicy", string().one_of(&["Cluster", "Local"])),
        ("internalTrafficPolicy", string().one_of(&["Cluster", "Local"])),
        ("healthCheckNodePort", integer()),
        ("ipFamilies", list(string().one_of(&["IPv4", "IPv6"]))),
        ("ipFamilyPolicy", string().one_of(&["SingleStack", "PreferDualStack", "RequireDualStack"])),
        ("loadBalancerClass", string()),
        ("loadBalancerIP", string()),
        ("loadBalancerSourceRanges", list(string())),
        ("allocateLoadBalancerNodePorts", boolean()),
        ("publishNotReadyAddresses", boolean()),
        ("sessionAffinity", string().one_of(&["ClientIP", "None"]).default(json!("None"))),
        ("sessionAffinityConfig", affinity),
        ("trafficDistribution", string()),
    ]);
    let ingress_port = object(&[("port", integer()), ("protocol", string()), ("error", string())]);
    let ingress = object(&[
        ("ip", string()),
        ("hostname", string()),
        ("ipMode", string()),
        ("ports", list(ingress_port)),
    ]);
    let status = object(&[
        ("loadBalancer", object(&[("ingress", list(ingress))]).default(json!({}))),
        ("conditions", conditions()),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"loadBalancer": {}})))])
}

fn config_map() -> Value {
    object(&[("data", map(string())), ("binaryData", map(base64())), ("immutable", boolean())])
}

fn secret() -> Value {
    object(&[
        ("type", string().default(json!("Opaque"))),
        ("data", map(base64())),
        ("stringData", map(string())),
        ("immutable", boolean()),
    ])
}

fn base64() -> Value {
    string().with("format", json!("byte"))
}

fn reference() -> Value {
    object(&[
        ("apiVersion", string()),
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("uid", string()),
        ("resourceVersion", string()),
        ("fieldPath", string()),
    ])
    .atomic_map()
}

fn service_account() -> Value {
    object(&[
        ("secrets", keyed(reference(), &["name"])),
        ("imagePullSecrets", list(object(&[("name", string())]).atomic_map())),
        ("automountServiceAccountToken", boolean()),
    ])
}

fn event() -> Value {
    let source = object(&[("component", string()), ("host", string())]);
    let series = object(&[("count", integer()), ("lastObservedTime", time())]);
    object(&[
        ("involvedObject", reference()),
        ("reason", string()),
        ("message", string()),
        ("source", source.default(json!({}))),
        ("firstTimestamp", time()),
        ("lastTimestamp", time()),
        ("eventTime", time()),
        ("count", integer()),
        ("type", string()),
        ("series", series),
        ("action", string()),
        ("related", reference()),
        ("reportingComponent", string().default(json!(""))),
        ("reportingInstance", string().default(json!(""))),
    ])
    .required(&["involvedObject"])
}

fn endpoints() -> Value {
    let address = object(&[
        ("ip", string()),
        ("hostname", string()),
        ("nodeName", string()),
        ("targetRef", reference()),
    ])
    .required(&["ip"])
    .atomic_map();
    let endpoint_port = object(&[
        ("name", string()),
        ("port", port()),
        ("protocol", string().default(json!("TCP"))),
        ("appProtocol", string()),
    ])
    .required(&["port"])
    .atomic_map();
    let subset = object(&[
        ("addresses", list(address.clone())),
        ("notReadyAddresses", list(address)),
        ("ports", list(endpoint_port)),
    ]);
    object(&[("subsets", list(subset))])
}
