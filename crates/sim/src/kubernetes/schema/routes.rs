//! The routes of the Gateway API: HTTPRoute and GRPCRoute.

use serde_json::{Value, json};

use super::build::{Constrain, boolean, integer, keyed, list, object, port, string};
use super::gateway::{
    GROUP, controller_name, group, hostname, kind, namespace, object_name, precise_hostname, section_name,
    strict_conditions,
};
use crate::kubernetes::definition::Definition;

/// Returns the definition of HTTPRoute, without columns.
pub(super) fn http_route_definition() -> Definition {
    definition("HTTPRoute", "httproutes", http_rules())
}

/// Returns the definition of GRPCRoute, without columns.
pub(super) fn grpc_route_definition() -> Definition {
    definition("GRPCRoute", "grpcroutes", grpc_rules())
}

fn definition(kind: &str, plural: &str, rules: Value) -> Definition {
    let spec = object(&[
        ("parentRefs", list(parent_reference()).count(0, 32)),
        ("hostnames", list(hostname()).count(0, 16)),
        ("rules", rules),
    ]);
    let parent = object(&[
        ("parentRef", parent_reference()),
        ("controllerName", controller_name()),
        ("conditions", strict_conditions()),
    ])
    .required(&["parentRef", "controllerName", "conditions"]);
    let status = object(&[("parents", list(parent).count(0, 32))]).required(&["parents"]);
    Definition::new(
        GROUP,
        "v1",
        kind,
        plural,
        object(&[("spec", spec), ("status", status)]).required(&["spec"]),
    )
    .custom()
    .status()
    .categories(&["gateway-api"])
}

fn parent_reference() -> Value {
    object(&[
        ("group", group().default(json!(GROUP))),
        ("kind", kind().default(json!("Gateway"))),
        ("namespace", namespace()),
        ("name", object_name()),
        ("sectionName", section_name()),
        ("port", port()),
    ])
    .required(&["name"])
}

fn backend_fields() -> Value {
    object(&[
        ("group", group().default(json!(""))),
        ("kind", kind().default(json!("Service"))),
        ("name", object_name()),
        ("namespace", namespace()),
        ("port", port()),
    ])
    .required(&["name"])
}

fn weighted_backend(filters: Value) -> Value {
    backend_fields().and(&[("weight", integer().range(0, 1_000_000).default(json!(1))), ("filters", filters)])
}

fn header_name() -> Value {
    string().length(1, 256).pattern("^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$")
}

fn duration() -> Value {
    string().pattern("^([0-9]{1,5}(h|m|s|ms)){1,4}$")
}

fn header_changes() -> Value {
    let header =
        object(&[("name", header_name()), ("value", string().length(1, 4_096))]).required(&["name", "value"]);
    object(&[
        ("set", keyed(header.clone(), &["name"]).count(0, 16)),
        ("add", keyed(header, &["name"]).count(0, 16)),
        ("remove", super::build::set(string()).count(0, 16)),
    ])
}

fn mirror() -> Value {
    let fraction =
        object(&[("numerator", integer().least(0)), ("denominator", integer().least(1).default(json!(100)))])
            .required(&["numerator"]);
    object(&[("backendRef", backend_fields()), ("percent", integer().range(0, 100)), ("fraction", fraction)])
        .required(&["backendRef"])
}

fn extension() -> Value {
    object(&[("group", group()), ("kind", kind()), ("name", object_name())])
        .required(&["group", "kind", "name"])
}

fn http_filter() -> Value {
    let path = || {
        object(&[
            ("type", string().one_of(&["ReplaceFullPath", "ReplacePrefixMatch"])),
            ("replaceFullPath", string().with("maxLength", json!(1_024))),
            ("replacePrefixMatch", string().with("maxLength", json!(1_024))),
        ])
        .required(&["type"])
    };
    let codes = json!({"type": "integer", "enum": [301, 302, 303, 307, 308], "default": 302});
    let redirect = object(&[
        ("scheme", string().one_of(&["http", "https"])),
        ("hostname", precise_hostname()),
        ("path", path()),
        ("port", port()),
        ("statusCode", codes),
    ]);
    let cors = object(&[
        ("allowOrigins", super::build::set(string()).count(0, 64)),
        ("allowCredentials", boolean()),
        ("allowMethods", super::build::set(string()).count(0, 9)),
        ("allowHeaders", super::build::set(string()).count(0, 64)),
        ("exposeHeaders", super::build::set(string()).count(0, 64)),
        ("maxAge", integer().least(1).default(json!(5))),
    ]);
    let kinds = [
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
    ];
    object(&[
        ("type", string().one_of(&kinds)),
        ("requestHeaderModifier", header_changes()),
        ("responseHeaderModifier", header_changes()),
        ("requestMirror", mirror()),
        ("requestRedirect", redirect),
        ("urlRewrite", object(&[("hostname", precise_hostname()), ("path", path())])),
        ("cors", cors),
        ("extensionRef", extension()),
    ])
    .required(&["type"])
}

fn named_value(kinds: &[&str]) -> Value {
    object(&[
        ("type", string().one_of(kinds).default(json!("Exact"))),
        ("name", header_name()),
        ("value", string().length(1, 4_096)),
    ])
    .required(&["name", "value"])
}

fn http_rules() -> Value {
    let anywhere = json!({"type": "PathPrefix", "value": "/"});
    let path = object(&[
        ("type", string().one_of(&["Exact", "PathPrefix", "RegularExpression"]).default(json!("PathPrefix"))),
        ("value", string().with("maxLength", json!(1_024)).default(json!("/"))),
    ])
    .default(anywhere.clone());
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let text = ["Exact", "RegularExpression"];
    let one_match = object(&[
        ("path", path),
        ("headers", keyed(named_value(&text), &["name"]).count(0, 16)),
        ("queryParams", keyed(named_value(&text), &["name"]).count(0, 16)),
        ("method", string().one_of(&methods)),
    ]);
    let rule = object(&[
        ("name", section_name()),
        ("matches", list(one_match).count(0, 64).default(json!([{"path": anywhere}]))),
        ("filters", list(http_filter()).count(0, 16)),
        ("backendRefs", list(weighted_backend(list(http_filter()).count(0, 16))).count(0, 16)),
        ("timeouts", object(&[("request", duration()), ("backendRequest", duration())])),
    ]);
    list(rule).count(1, 16).default(json!([{"matches": [{"path": anywhere}]}]))
}

fn grpc_rules() -> Value {
    let kinds = ["Exact", "RegularExpression"];
    let method = object(&[
        ("type", string().one_of(&kinds).default(json!("Exact"))),
        ("service", string().with("maxLength", json!(1_024))),
        ("method", string().with("maxLength", json!(1_024))),
    ]);
    let one_match =
        object(&[("method", method), ("headers", keyed(named_value(&kinds), &["name"]).count(0, 16))]);
    let filter = || {
        let kinds = ["ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"];
        object(&[
            ("type", string().one_of(&kinds)),
            ("requestHeaderModifier", header_changes()),
            ("responseHeaderModifier", header_changes()),
            ("requestMirror", mirror()),
            ("extensionRef", extension()),
        ])
        .required(&["type"])
    };
    let rule = object(&[
        ("name", section_name()),
        ("matches", list(one_match).count(0, 64)),
        ("filters", list(filter()).count(0, 16)),
        ("backendRefs", list(weighted_backend(list(filter()).count(0, 16))).count(0, 16)),
    ]);
    list(rule).count(0, 16)
}
