//! The Gateway API's standard channel: GatewayClass, Gateway and ReferenceGrant; the routes are in `routes`.
//!
//! Contract: <https://gateway-api.sigs.k8s.io/reference/spec/>.

use serde_json::{Value, json};

use super::build::{Constrain, conditions, integer, keyed, label_selector, list, map, object, port, string};
use super::routes;
use crate::kubernetes::definition::{Column, Definition};

pub const GROUP: &str = "gateway.networking.k8s.io";

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

/// Returns the definitions of the Gateway API.
pub fn gateway_api() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    vec![
        Definition::new(GROUP, "v1", "GatewayClass", "gatewayclasses", gateway_class())
            .custom()
            .also_served("v1beta1", None)
            .status()
            .cluster_wide()
            .short(&["gc"])
            .categories(&["gateway-api"])
            .columns(vec![
                Column::new("Controller", "string", ".spec.controllerName"),
                Column::new("Accepted", "string", ".status.conditions[?type=Accepted].status"),
                age(),
                Column::new("Description", "string", ".spec.description").wide(),
            ]),
        Definition::new(GROUP, "v1", "Gateway", "gateways", gateway())
            .custom()
            .also_served("v1beta1", None)
            .status()
            .short(&["gtw"])
            .categories(&["gateway-api"])
            .columns(vec![
                Column::new("Class", "string", ".spec.gatewayClassName"),
                Column::new("Address", "string", ".status.addresses[0].value"),
                Column::new("Programmed", "string", ".status.conditions[?type=Programmed].status"),
                age(),
            ]),
        routes::http_route_definition()
            .also_served("v1beta1", None)
            .columns(vec![Column::new("Hostnames", "string", ".spec.hostnames"), age()]),
        routes::grpc_route_definition()
            .columns(vec![Column::new("Hostnames", "string", ".spec.hostnames"), age()]),
        Definition::new(GROUP, "v1beta1", "ReferenceGrant", "referencegrants", reference_grant())
            .custom()
            .also_served("v1", None)
            .short(&["refgrant"])
            .categories(&["gateway-api"])
            .columns(vec![age()]),
    ]
}

/// A DNS name; a wildcard may stand in for its first label.
pub(super) fn hostname() -> Value {
    string().length(1, 253).pattern(&format!(r"^(\*\.)?{LABEL}(\.{LABEL})*$"))
}

/// A DNS name without a wildcard.
pub(super) fn precise_hostname() -> Value {
    string().length(1, 253).pattern(&format!(r"^{LABEL}(\.{LABEL})*$"))
}

/// The name of a section: a listener or a rule.
pub(super) fn section_name() -> Value {
    precise_hostname()
}

pub(super) fn group() -> Value {
    string().with("maxLength", json!(253)).pattern(&format!(r"^$|^{LABEL}(\.{LABEL})*$"))
}

pub(super) fn kind() -> Value {
    string().length(1, 63).pattern("^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
}

pub(super) fn namespace() -> Value {
    string().length(1, 63).pattern(&format!("^{LABEL}$"))
}

pub(super) fn object_name() -> Value {
    string().length(1, 253)
}

/// The name of a controller: a domain and a path.
pub(super) fn controller_name() -> Value {
    let path = r"[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+";
    string().length(1, 253).pattern(&format!(r"^{LABEL}(\.{LABEL})*\/{path}$"))
}

/// Returns a condition with status Unknown, the default until a controller writes it.
fn pending(kind: &str) -> Value {
    json!({
        "type": kind, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    })
}

/// Conditions in the format of metav1.Condition, at most eight.
pub(super) fn strict_conditions() -> Value {
    let mut conditions = conditions().with("maxItems", json!(8));
    let complete = ["lastTransitionTime", "message", "reason", "status", "type"];
    conditions["items"] = object(&[
        ("type", string().length(1, 316)),
        ("status", string().one_of(&["True", "False", "Unknown"])),
        ("reason", string().length(1, 1_024).pattern("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")),
        ("message", string().with("maxLength", json!(32_768))),
        ("observedGeneration", integer().least(0)),
        ("lastTransitionTime", string().with("format", json!("date-time"))),
    ])
    .required(&complete);
    conditions
}

fn gateway_class() -> Value {
    let parameters =
        object(&[("group", group()), ("kind", kind()), ("name", object_name()), ("namespace", namespace())])
            .required(&["group", "kind", "name"]);
    let spec = object(&[
        ("controllerName", controller_name()),
        ("parametersRef", parameters),
        ("description", string().with("maxLength", json!(64))),
    ])
    .required(&["controllerName"]);
    let feature = object(&[("name", string())]).required(&["name"]);
    let status = object(&[
        ("conditions", strict_conditions().default(json!([pending("Accepted")]))),
        ("supportedFeatures", keyed(feature, &["name"]).with("maxItems", json!(64))),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"conditions": [pending("Accepted")]})))])
        .required(&["spec"])
}

fn gateway() -> Value {
    let limited = |values: Value| map(values).with("maxProperties", json!(8));
    let annotation = string().with("maxLength", json!(4_096));
    let label =
        string().with("maxLength", json!(63)).pattern("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$");
    let parameters = object(&[("group", group()), ("kind", kind()), ("name", object_name())])
        .required(&["group", "kind", "name"]);
    let infrastructure = object(&[
        ("labels", limited(label)),
        ("annotations", limited(annotation)),
        ("parametersRef", parameters),
    ]);
    let address = || {
        object(&[
            ("type", string().length(1, 253).default(json!("IPAddress"))),
            ("value", string().with("maxLength", json!(253))),
        ])
        .with("oneOf", address_forms())
    };
    let spec = object(&[
        ("gatewayClassName", object_name()),
        ("listeners", keyed(listener(), &["name"]).count(1, 64)),
        ("addresses", list(address()).count(0, 16)),
        ("infrastructure", infrastructure),
        ("tls", gateway_tls()),
        (
            "allowedListeners",
            object(&[("namespaces", from_namespaces(&["All", "None", "Selector", "Same"], "None"))]),
        ),
    ])
    .required(&["gatewayClassName", "listeners"]);
    let route_kind =
        object(&[("group", group().default(json!(GROUP))), ("kind", kind())]).required(&["kind"]);
    let listener_status = object(&[
        ("name", section_name()),
        ("supportedKinds", list(route_kind).count(0, 8)),
        ("attachedRoutes", integer()),
        ("conditions", strict_conditions()),
    ])
    .required(&["name", "attachedRoutes", "conditions"]);
    let untouched = json!([pending("Accepted"), pending("Programmed")]);
    let status = object(&[
        ("addresses", list(address().required(&["value"])).count(0, 16)),
        ("conditions", strict_conditions().default(untouched.clone())),
        ("listeners", keyed(listener_status, &["name"]).count(0, 64)),
        ("attachedListenerSets", integer()),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"conditions": untouched})))])
        .required(&["spec"])
}

/// An address of the type IPAddress is one of either family.
fn address_forms() -> Value {
    let is_ip = json!({"enum": ["IPAddress"]});
    let value = json!({"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]});
    json!([
        {"properties": {"type": is_ip, "value": value}},
        {"properties": {"type": {"not": is_ip}}},
    ])
}

/// The TLS settings of connections from clients and to backends.
fn gateway_tls() -> Value {
    let authority =
        object(&[("group", group()), ("kind", kind()), ("name", object_name()), ("namespace", namespace())])
            .required(&["group", "kind", "name"]);
    let modes = ["AllowValidOnly", "AllowInsecureFallback"];
    let validation = object(&[
        ("caCertificateRefs", list(authority).count(1, 8)),
        ("mode", string().one_of(&modes).default(json!("AllowValidOnly"))),
    ])
    .required(&["caCertificateRefs"]);
    let validated = || object(&[("validation", validation.clone())]);
    let of_port = object(&[("port", port()), ("tls", validated())]).required(&["port", "tls"]);
    let frontend = object(&[("default", validated()), ("perPort", keyed(of_port, &["port"]).count(0, 64))]);
    let backend = object(&[("clientCertificateRef", certificate())]);
    object(&[("backend", backend), ("frontend", frontend.required(&["default"]))])
}

/// A reference to a certificate, by default in a Secret.
fn certificate() -> Value {
    object(&[
        ("group", group().default(json!(""))),
        ("kind", kind().default(json!("Secret"))),
        ("name", object_name()),
        ("namespace", namespace()),
    ])
    .required(&["name"])
}

fn from_namespaces(choices: &[&str], default: &str) -> Value {
    object(&[("from", string().one_of(choices).default(json!(default))), ("selector", label_selector())])
        .default(json!({"from": default}))
}

fn listener() -> Value {
    let tls = object(&[
        ("mode", string().one_of(&["Terminate", "Passthrough"]).default(json!("Terminate"))),
        ("certificateRefs", list(certificate()).count(0, 64)),
        ("options", map(string().with("maxLength", json!(4_096))).with("maxProperties", json!(16))),
    ]);
    let route_kind =
        object(&[("group", group().default(json!(GROUP))), ("kind", kind())]).required(&["kind"]);
    let allowed = object(&[
        ("namespaces", from_namespaces(&["All", "Selector", "Same"], "Same")),
        ("kinds", list(route_kind).count(0, 8)),
    ]);
    let protocol = format!(r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|{LABEL}(\.{LABEL})*\/[A-Za-z0-9]+$");
    object(&[
        ("name", section_name()),
        ("hostname", hostname()),
        ("port", port()),
        ("protocol", string().length(1, 255).pattern(&protocol)),
        ("tls", tls),
        ("allowedRoutes", allowed.default(json!({"namespaces": {"from": "Same"}}))),
    ])
    .required(&["name", "port", "protocol"])
}

fn reference_grant() -> Value {
    let from = object(&[("group", group()), ("kind", kind()), ("namespace", namespace())]).required(&[
        "group",
        "kind",
        "namespace",
    ]);
    let to =
        object(&[("group", group()), ("kind", kind()), ("name", object_name())]).required(&["group", "kind"]);
    let spec =
        object(&[("from", list(from).count(1, 16)), ("to", list(to).count(1, 16))]).required(&["from", "to"]);
    object(&[("spec", spec)])
}
