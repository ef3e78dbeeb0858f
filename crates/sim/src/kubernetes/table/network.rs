//! Computed cells of services, endpoints and nodes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cell::{NONE, each, joined, labels, or_none, text};

/// The maximum number of addresses or ports in a cell.
const SHOWN_MAX: usize = 3;

/// Returns a cell of an Ingress or an IngressClass.
pub(super) fn ingress(what: &str, object: &Value) -> Value {
    match what {
        "class" => match text(object, "/spec/ingressClassName") {
            "" => or_none(object, "/metadata/annotations/kubernetes.io~1ingress.class"),
            class => json!(class),
        },
        "hosts" => match joined(each(object, "/spec/rules").map(|rule| text(rule, "/host").to_owned())) {
            Value::String(none) if none == NONE => json!("*"),
            hosts => hosts,
        },
        "address" => {
            let points = each(object, "/status/loadBalancer/ingress");
            let of = |point: &Value| match text(point, "/ip") {
                "" => text(point, "/hostname").to_owned(),
                address => address.to_owned(),
            };
            json!(points.map(of).collect::<Vec<_>>().join(","))
        }
        "ports" => json!(if each(object, "/spec/tls").next().is_some() { "80, 443" } else { "80" }),
        _ => {
            let parameters = &object["spec"]["parameters"];
            let group = text(parameters, "/apiGroup");
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            match text(parameters, "/kind") {
                "" => json!(NONE),
                kind => json!(format!("{kind}{group}/{}", text(parameters, "/name"))),
            }
        }
    }
}

/// Returns a cell of a Service.
pub(super) fn service(what: &str, service: &Value) -> Value {
    match what {
        "address" => external_address(service),
        "ports" => joined(each(service, "/spec/ports").map(|port| {
            let (number, protocol) = (&port["port"], text(port, "/protocol"));
            match port["nodePort"].as_i64() {
                Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
                _ => format!("{number}/{protocol}"),
            }
        })),
        "selector" => labels(&service["spec"]["selector"]),
        _ => or_none(service, "/spec/clusterIP"),
    }
}

fn external_address(service: &Value) -> Value {
    let fixed = each(service, "/spec/externalIPs").filter_map(Value::as_str).map(str::to_owned);
    match text(service, "/spec/type") {
        "ExternalName" => or_none(service, "/spec/externalName"),
        "LoadBalancer" => {
            let given =
                each(service, "/status/loadBalancer/ingress").map(|ingress| match text(ingress, "/ip") {
                    "" => text(ingress, "/hostname").to_owned(),
                    address => address.to_owned(),
                });
            match joined(given.chain(fixed)) {
                Value::String(none) if none == NONE => json!("<pending>"),
                found => found,
            }
        }
        _ => joined(fixed),
    }
}

/// Joins the first items, and appends the number of the others.
fn abbreviated(all: &[String]) -> Value {
    let Some(more) = all.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) else {
        return joined(all.iter().cloned());
    };
    json!(format!("{} + {more} more...", all[..SHOWN_MAX].join(",")))
}

/// Returns the ready addresses of Endpoints, combined with each port.
pub(super) fn endpoints(_what: &str, endpoints: &Value) -> Value {
    let mut all = Vec::new();
    for subset in each(endpoints, "/subsets") {
        for port in each(subset, "/ports") {
            all.extend(
                each(subset, "/addresses")
                    .map(|address| format!("{}:{}", text(address, "/ip"), port["port"])),
            );
        }
    }
    abbreviated(&all)
}

/// Returns a cell of an EndpointSlice.
pub(super) fn slice(what: &str, slice: &Value) -> Value {
    match what {
        "ports" => {
            let ports: Vec<String> = each(slice, "/ports").map(|port| port["port"].to_string()).collect();
            if ports.is_empty() { json!("<unset>") } else { abbreviated(&ports) }
        }
        _ => {
            let addresses = each(slice, "/endpoints").flat_map(|endpoint| each(endpoint, "/addresses"));
            let all: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
            if all.is_empty() { json!("<unset>") } else { abbreviated(&all) }
        }
    }
}

/// Returns a cell of a Node.
pub(super) fn node(what: &str, node: &Value) -> Value {
    let address = |kind: &str| {
        joined(
            each(node, "/status/addresses")
                .find(|a| a["type"] == *kind)
                .map(|a| text(a, "/address").to_owned()),
        )
    };
    match what {
        "roles" => roles(node),
        "internal" => address("InternalIP"),
        "external" => address("ExternalIP"),
        _ => json!(ready(node)),
    }
}

fn ready(node: &Value) -> String {
    let ready = each(node, "/status/conditions").find(|line| line["type"] == "Ready");
    let word = match ready.map(|line| text(line, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let held = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{word}{held}")
}

fn roles(node: &Value) -> Value {
    let mut roles = BTreeSet::new();
    for (key, value) in node["metadata"]["labels"].as_object().into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => roles.insert(role.to_owned()),
            None if key == "kubernetes.io/role" => {
                roles.insert(value.as_str().unwrap_or_default().to_owned())
            }
            None => false,
        };
    }
    joined(roles)
}
